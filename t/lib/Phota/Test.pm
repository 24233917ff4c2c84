package Phota::Test;

# The harness: a gateway in front of a simulated Phota, clients that post to
# it, and finish(), with which every test ends and which looks at what must
# hold always: a quiet error log, no secret in any file, no forgotten hold, a
# sound ledger, and books that equal the simulator's bill.

use strict;
use warnings;

use Exporter qw/ import /;
use File::Find ();
use File::Temp ();
use JSON::PP ();
use POSIX ();
use Scalar::Util ();
use Phota::Body;
use Phota::Gateway;
use Phota::HTTP;
use Phota::HTTP2;
use Phota::Sim;
use Test::More;
use Time::HiRes qw/ time sleep /;

our @EXPORT = (@Phota::Body::EXPORT, qw/ wait_for everywhere micro
    usd /);

our $slow = $ENV{PHOTA_SLOW} || 1;

# that the simulator knows by their names, and tests by what they do

our @profiles = map { "prof_$_" } qw/ a b ann anna ben bert guest none once
    once1 once2 /;

my %alive;

*wait_for = \&Phota::Gateway::wait_for;
*micro = \&Phota::Gateway::micro;

# Options: those of Phota::Gateway; tenants: names to add before the start
# (default: acme); own: { tenant => key } of tenants with a key of their own;
# profiles: { tenant => [ id, ... ] } that fenced tenants own (default: the
# first one owns @profiles); photio => 1: every Phota account is one of Photio
# too; sim: options of Phota::Sim; start => 0 prepares without starting nginx

sub new {
    my ($class, %o) = @_;

    my $dir = File::Temp->newdir('phota-test-XXXXXX', TMPDIR => 1,
        CLEANUP => !$ENV{PHOTA_KEEP});
    my $self = bless { dir => $dir, pid => $$, tokens => {},
        own => $o{own} || {}, key => 'phk-shared-' . random() }, $class;

    Scalar::Util::weaken($alive{$self} = $self);

    chmod 0711, $dir;
    diag("kept: $dir") if $ENV{PHOTA_KEEP};

    mkdir "$dir/$_" for qw/ sim client /;

    # a simulator that drops root's rights must still be able to write there

    chmod 0711, "$dir/sim";

    my $names = delete $o{tenants} || [ 'acme' ];
    my %sim = %{delete $o{sim} || {}};
    my $start = delete $o{start} // 1;

    my $profiles = delete $o{profiles} // $self->_first_owns(@$names);

    if ($o{photio}) {
        $self->{photio} = { map { $_ => 'pt-' . random() } 'shared',
            keys %{$self->{own}} };
    }

    $self->{sim} = Phota::Sim->new(dir => "$dir/sim",
        keys => { $self->{key} => 'shared', reverse %{$self->{own}} },
        photio_keys => { reverse %{$self->{photio} || {}} }, %sim);
    $self->{sim}->start;

    $self->{gateway} = Phota::Gateway->new(dir => "$dir/gateway",
        upstream => '127.0.0.1:' . $self->{sim}->port, %o);

    $self->_prepare($names, $profiles);
    $self->start if $start;

    return $self;
}

sub _first_owns {
    my ($self, @names) = @_;

    my ($first) = grep { !$self->{own}{$_} } @names;

    return $first ? { $first => \@profiles } : {};
}

sub _prepare {
    my ($self, $names, $profiles) = @_;

    my $g = $self->{gateway};

    $g->ctl_ok('init', $> == 0 ? ('--owner', 'www-data') : ());
    $g->ctl_ok(\$self->{key}, 'key', 'set', '--default');

    if (my $photio = $self->{photio}) {
        $g->ctl_ok(\$photio->{shared}, 'key', 'set', '--provider', 'photio',
            '--default');
    }

    $self->tenant($_) for @$names;
    $self->adopt($_, @{$profiles->{$_}}) for sort keys %$profiles;
}

# says that profiles of the shared account are a tenant's

sub adopt {
    my ($self, $name, @ids) = @_;

    $self->ctl_ok('profile', 'adopt', $name, @ids) if @ids;
}

sub gateway { $_[0]{gateway} }
sub sim { $_[0]{sim} }
sub port { $_[0]{gateway}->port }
sub port2 { $_[0]{gateway}->port2 }
sub dir { "$_[0]{dir}" }
sub token { $_[0]{tokens}{$_[1]} // die "no tenant $_[1]\n" }

sub start {
    my ($self) = @_;

    $self->{gateway}->start;
}

sub stop {
    my ($self) = @_;

    return $self->{gateway}->stop;
}

sub restart {
    my ($self) = @_;

    return $self->{gateway}->restart;
}

sub ctl {
    my ($self, @args) = @_;

    return $self->{gateway}->ctl(@args);
}

sub ctl_ok {
    my ($self, @args) = @_;

    return $self->{gateway}->ctl_ok(@args);
}

# adds a tenant, with its own key where new() was told of one; its token.
# While nginx runs it returns when the workers know the token

sub tenant {
    my ($self, $name) = @_;

    my $g = $self->{gateway};

    $g->ctl_ok('tenant', 'add', $name);

    if (my $key = $self->{own}{$name}) {
        $g->ctl_ok(\$key, 'key', 'set', $name);
        $g->ctl_ok(\$self->{photio}{$name}, 'key', 'set', '--provider',
            'photio', $name) if $self->{photio};
    }

    return $self->{tokens}{$name} = $self->issue($name);
}

sub issue {
    my ($self, $name, @args) = @_;

    my $token = $self->{gateway}->ctl_ok('token', 'issue', $name, @args);
    chomp $token;

    $self->secret($token);

    if ($self->{gateway}->master) {
        everywhere(sub { $self->knows($token) }, 5);
    }

    return $token;
}

# Until a function is true many times in a row, and every worker has answered
# meanwhile: all have seen what was changed.  One that answers nothing, because
# another is always quicker, is given twice the time in which it must.

sub everywhere {
    my ($function, $seconds) = @_;

    my ($since, %from);

    return wait_for(sub {
        if (!$since) {
            $since = time();
            %from = map { $_ => length $alive{$_}{gateway}->log('access.log') }
                grep { $alive{$_} && $alive{$_}{gateway} } keys %alive;
        }

        for (1 .. 10) {
            next if $function->();
            undef $since;
            return 0;
        }

        my @asked = grep { length $alive{$_}{gateway}->log('access.log')
            > $from{$_} } keys %from;

        return time() - $since > 2 * $slow || @asked && !grep {
            !$alive{$_}{gateway}->heard_all($from{$_}) } @asked;
    }, $seconds);
}

# remembered as something that finish() must find in no file

sub secret {
    my ($self, $secret) = @_;

    push @{$self->{secrets}}, $secret;

    return $secret;
}

sub knows {
    my ($self, $token) = @_;

    my $answer = $self->request('POST', '/v1/phota/nothing', $token, '{}');

    return $answer->status != 401;
}

sub random {
    return join('', map { ('a' .. 'z', 0 .. 9)[rand 36] } 1 .. 24);
}


# --- clients

# A whole request.  Options: those of Phota::HTTP; headers: a list; bearer:
# the token as Authorization; photio: in X-Photio-Key; fault: what the simulator
# shall do; job: what it shall make of a job or training; http2

sub request {
    my ($self, $method, $path, $token, $body, %o) = @_;

    return Phota::HTTP2::request($self->port2, $method, $path,
        $self->headers($token, $body, %o), $body, dir => "$self->{dir}/client",
        %o) if $o{http2};

    return Phota::HTTP::request($self->port, $method, $path,
        $self->headers($token, $body, %o), $body, %o);
}

sub headers {
    my ($self, $token, $body, %o) = @_;

    my @headers = @{$o{headers} || []};

    if (defined $token) {
        push @headers, $o{bearer} ? (Authorization => "Bearer $token")
            : $o{photio} ? ('X-Photio-Key' => $token) : ('X-API-Key' => $token);
    }

    push @headers, 'Content-Type' => 'application/json' if defined $body;
    push @headers, 'X-Sim-Fault' => $o{fault} if $o{fault};
    push @headers, 'X-Sim-Job' => $o{job} if $o{job};

    return \@headers;
}

# of an operation, by its name

sub post {
    my ($self, $operation, $token, $body, %o) = @_;

    return $self->request('POST', path($operation), $token, $body, %o);
}

sub path {
    my ($operation) = @_;

    return $operation =~ m{^/} ? $operation : "/v1/phota/$operation";
}

# what isn't bought, by its path below /v1/phota/

sub get {
    my ($self, $path, $token, %o) = @_;

    return $self->request('GET', path($path), $token, undef, %o);
}

sub delete {
    my ($self, $path, $token, %o) = @_;

    return $self->request('DELETE', path($path), $token, undef, %o);
}


# --- jobs and trainings

my %bodies = (remix => \&remix, enhance => \&enhance);

# an asynchronous call with these fields

sub submit {
    my ($self, $operation, $token, $fields, %o) = @_;

    my %fields = (async => JSON::PP::true(), response_mode => 'urls',
        %{$fields || {}});
    my $body = $bodies{$operation} ? $bodies{$operation}->(%fields)
        : object([ sort keys %fields ], \%fields);

    return $self->post($operation, $token, $body, %o);
}

# a job by its id, or by what its submit was answered

sub poll {
    my ($self, $token, $job, %o) = @_;

    my $id = ref $job ? $job->json->{job_id} // 'none' : $job;

    return $self->get("jobs/$id", $token, %o);
}

# polls until the job has a status (a pattern; default: it has ended), or for so
# many seconds; the last answer

sub poll_until {
    my ($self, $token, $job, $status, $seconds, %o) = @_;

    my $answer;

    $status //= qr/^(?!queued|in_progress)/;

    wait_for(sub {
        $answer = $self->poll($token, $job, %o);
        $answer->status != 200 || ($answer->json->{status} // '') =~ $status;
    }, $seconds || 10);

    return $answer;
}

# so many links as photographs

sub train {
    my ($self, $token, $fields, %o) = @_;

    my %fields = (training_tier => 'fast', image_urls =>
        [ map { "https://example.com/$_.jpg" } 1 .. 5 ], %{$fields || {}});

    return $self->post('profiles/add', $token,
        object([ sort keys %fields ], \%fields), %o);
}


# --- clients that do more than ask

# a connection that stays, for Phota::HTTP's exchange()

sub connect {
    my ($self, %o) = @_;

    return Phota::HTTP->connect($self->port, %o);
}

# runs a function in a process of its own; what it returns is lost, what it
# reports by report() is read by reports()

sub background {
    my ($self, $function) = @_;

    my $pid = fork() // die "fork: $!\n";

    return $pid if $pid;

    srand($$ ^ time());
    eval { $function->(); 1 } or $self->report("died $@");
    POSIX::_exit(0);
}

sub reap {
    my ($self, @pids) = @_;

    waitpid($_, 0) for @pids;
}

sub report {
    my ($self, $line) = @_;

    $line =~ s/\s*\z/\n/;

    open(my $fh, '>>', "$self->{dir}/client/reports") or return;
    syswrite($fh, $line);
}

sub reports {
    my ($self) = @_;

    return split /\n/, Phota::Gateway::slurp("$self->{dir}/client/reports");
}

# so many requests at once, each a list of arguments for post(); the answers
# in order

sub parallel {
    my ($self, @requests) = @_;

    my @readers;

    for my $request (@requests) {
        pipe(my $read, my $write) or die "pipe: $!\n";

        my $pid = $self->background(sub {
            my $answer = $self->post(@$request);
            delete $answer->{json};
            binmode($write);
            print $write JSON::PP->new->latin1->allow_blessed->encode(
                { %$answer });
            close($write);
        });

        close($write);
        push @readers, [ $pid, $read ];
    }

    return map {
        my ($pid, $read) = @$_;
        local $/;
        my $text = readline($read);
        waitpid($pid, 0);
        Phota::HTTP::Answer->new(%{JSON::PP->new->latin1->decode($text)});
    } @readers;
}


# --- what is asked of answers

sub usd {
    my ($micro) = @_;

    return sprintf('%s%d.%06d', $micro < 0 ? '-' : '',
        abs($micro) / 1_000_000, abs($micro) % 1_000_000);
}

# fails with all that is wrong

sub check {
    my ($self, $name, $answer, @wrong) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok(!@wrong, $name)
        or diag(join("\n", @wrong, $answer->summary));

    return !@wrong;
}

sub differ {
    my ($what, $got, $expected) = @_;

    $got //= 'nothing';

    my $same = ref $expected ? $got =~ $expected : $got eq $expected;

    return $same ? () : "$what is $got, not $expected";
}

sub money {
    my ($answer, $cost, $saved) = @_;

    return differ('Phota-Cost', $answer->header('Phota-Cost'), $cost),
        differ('Phota-Price', $answer->header('Phota-Price'), $cost),
        differ('Phota-Saved', $answer->header('Phota-Saved'), $saved);
}

# what Cache-Status says, but for the key, which is the fingerprint

sub source {
    my ($answer) = @_;

    my $status = $answer->header('Cache-Status') // 'nothing';
    my $fingerprint = $answer->header('Phota-Fingerprint') // 'none';

    $status =~ s/; key="$fingerprint"$//;

    return $status;
}

# bought for that much ("0.120000"); cache: what Cache-Status says

sub is_miss {
    my ($self, $answer, $cost, $name, %o) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return $self->check($name, $answer,
        differ('status', $answer->status, 200),
        differ('Cache-Status', source($answer),
            $o{cache} || 'phota; fwd=uri-miss; stored'),
        differ('Phota-Charge-Id', $answer->header('Phota-Charge-Id'),
            qr/^ch_[0-9A-Z]{26}$/),
        differ('Age', $answer->header('Age') // 'none', 'none'),
        money($answer, $cost, '0.000000'));
}

# answered from the cache; what it saved

sub is_hit {
    my ($self, $answer, $saved, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return $self->check($name, $answer,
        differ('status', $answer->status, 200),
        differ('Cache-Status', source($answer), qr/^phota; hit; ttl=\d+$/),
        differ('Age', $answer->header('Age'), qr/^\d+$/),
        differ('Phota-Charge-Id', $answer->header('Phota-Charge-Id')
            // 'none', 'none'),
        money($answer, '0.000000', $saved));
}

# an error of the gateway's own, in Phota's shape

sub is_error {
    my ($self, $answer, $status, $code, $name, %more) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $json = $answer->json;
    my $id = $answer->header('Phota-Request-Id') // 'no header';

    return $self->check($name, $answer,
        differ('status', $answer->status, $status),
        differ('code', $json->{code}, $code),
        differ('detail', $json->{detail}, qr/\S/),
        differ('request_id', $json->{request_id}, $id),
        differ('X-Request-Id', $answer->header('X-Request-Id'), $id),
        differ('type', $answer->header('Content-Type'),
            qr{^application/json}),
        map { differ($_, $json->{$_}, $more{$_}) } sort keys %more);
}

# as the simulator sent it: nothing of it is the gateway's

sub is_passed {
    my ($self, $answer, $status, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return $self->check($name, $answer,
        differ('status', $answer->status, $status),
        differ('Phota-Request-Id', $answer->header('Phota-Request-Id'),
            qr/\S/));
}

# a settled charge of the ledger, found by the answer that names it

sub charge {
    my ($self, $answer) = @_;

    return $self->{gateway}->charge($answer->header('Phota-Charge-Id'));
}

# how many calls have reached the simulator

sub calls {
    my ($self) = @_;

    return $self->{sim}->calls;
}

# a header as the simulator saw it last

sub seen {
    my ($self, $name) = @_;

    return $self->{sim}->last->{headers}{lc $name};
}


# --- the end

# Stops nginx and looks at everything.  Options:
#   log       a pattern of bad lines that the test brought about on purpose
#   unknown   the bill may lie between settled and settled + unknown
#   holds     how many holds, unknown all of them, the test has left behind
#   stopped   nginx is down already, or never was up

sub finish {
    my ($self, %o) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    subtest 'what always holds' => sub {
        my $g = $self->{gateway};

        ok($g->stop, 'nginx stops gracefully') unless $o{stopped};

        $self->_check_log($o{log});
        $self->_check_secrets;
        $self->_check_books(%o) if -e $g->data . '/books';

        $self->{sim}->stop;
    };

    $self->{finished} = 1;
}

sub _check_log {
    my ($self, $allowed) = @_;

    my $bad = qr/\[(?:alert|crit|emerg)\]|Sanitizer|runtime error:
        |open\ socket\ .*left|count\ is\ zero|exited\ with\ fatal/x;

    my @lines = grep { $_ =~ $bad && !($allowed && $_ =~ $allowed) }
        split /\n/, $self->{gateway}->log;

    splice(@lines, 20) if @lines > 20;

    is(join("\n", @lines), '', 'nothing bad in the error log');
}

# tokens in no file at all, upstream keys in none but the simulator's

sub _check_secrets {
    my ($self) = @_;

    my @keys = ($self->{key}, values %{$self->{own}},
        values %{$self->{photio} || {}});
    my ($master) = Phota::Gateway::slurp($self->{gateway}->dir
        . '/master.key') =~ /([0-9a-fA-F]{64})/;

    push @keys, $master if $master;

    my @found = (
        search("$self->{dir}", @{$self->{secrets} || []}),
        search("$self->{dir}/gateway", @keys),
        search("$self->{dir}/client", @keys),
    );

    is(join("\n", @found), '', 'no token and no key in any file');
}

sub search {
    my ($dir, @secrets) = @_;

    my @found;

    return unless @secrets && -d $dir;

    my $pattern = join('|', map { quotemeta } @secrets);
    $pattern = qr/$pattern/;

    File::Find::find({ no_chdir => 1, wanted => sub {
        return if !-f $_ || m{/master\.key$};
        push @found, "a secret in $_" if holds_any($_, $pattern);
    } }, $dir);

    return @found;
}

sub holds_any {
    my ($file, $pattern) = @_;

    open(my $fh, '<:raw', $file) or return;

    my $part = '';

    while (read($fh, $part, 4194304, length $part)) {
        return 1 if $part =~ $pattern;
        substr($part, 0, -256, '') if length $part > 256;
    }

    return;
}

sub _check_books {
    my ($self, %o) = @_;

    my $g = $self->{gateway};
    my ($code, $out, $err) = $g->ctl('ledger', 'verify');

    is("$code $out$err" =~ /^0 ok: \d+ entries, chain \S+$/m, 1,
        'the ledger is sound') or diag("$code $out$err");

    my @holds = $g->holds;

    if (defined $o{holds}) {
        is(scalar @holds, $o{holds}, 'as many holds as were expected');

    } elsif (!$o{unknown}) {
        is(scalar @holds, 0, 'no hold is left')
            or diag(map { JSON::PP::encode_json($_) . "\n" } @holds);
    }

    $self->_check_bill(\@holds, %o);
}

# that a number ("#7") was a tenant's, for the bill of the key he had

sub removed {
    my ($self, $number, $name) = @_;

    $self->{removed}{$number} = $name;
}

# on whose bill a tenant's calls are

sub _payer {
    my ($self, $tenant) = @_;

    my $name = $self->{removed}{$tenant} // $tenant;

    return $self->{own}{$name} ? $name : 'shared';
}

# for each upstream key: what the tenants paid with it, and the bill.  A call
# that a dead worker left is billed when the simulator has ended it, a job when
# it is due

sub _check_bill {
    my ($self, $holds, %o) = @_;

    my (%settled, %unknown, %bounds);
    my $own = $self->{own};

    $self->{sim}->wait_in_flight(0, 20 * $slow);
    $self->{sim}->wait_jobs(20 * $slow);

    for my $row (@{$self->{gateway}->usage->{rows}}) {
        my $name = $self->_payer($row->{tenant});

        $settled{$name}{amount} += micro($row->{cost});
        $settled{$name}{$_} += $row->{$_} for qw/ outputs identity_outputs /;
    }

    # several subjects in several outputs: the books have the lower bound

    for my $charge (grep { $_->{state} eq 'settled' }
        $self->{gateway}->ledger)
    {
        my $name = $self->_payer($charge->{tenant});

        $bounds{$name} += micro($charge->{cost_high} // $charge->{cost})
            - micro($charge->{cost});
    }

    for my $hold (@$holds) {
        my $name = $self->_payer($hold->{tenant});

        $unknown{$name} += micro($hold->{amount});
    }

    for my $name ('shared', sort keys %$own) {
        my $bill = $self->bill($name);
        my $sum = $settled{$name} || {};

        if ($o{unknown} || $bounds{$name}) {
            my $low = $sum->{amount} || 0;
            my $high = $low + ($unknown{$name} || 0) + ($bounds{$name} || 0);

            ok($low <= $bill->{amount} && $bill->{amount} <= $high,
                "the bill of key $name lies within the books")
                or diag("settled $low, at most $high, bill $bill->{amount}");
            next;
        }

        is_deeply({ map { $_ => $sum->{$_} || 0 }
            qw/ amount outputs identity_outputs / }, $bill,
            "the books equal the bill of key $name");
    }
}

# of the simulator, for a key by its name, in micro-USD

sub bill {
    my ($self, $name) = @_;

    my $bill = $self->{sim}->bill($name || 'shared');

    return { map { $_ => $bill->{$_} } qw/ amount outputs identity_outputs / };
}

# a test that dies leaves no process behind, and shows why; one whose functions
# know it lives until all is destroyed in no order, which is too late for that

END {
    $_->_abandon for grep { defined } values %alive;
}

sub DESTROY {
    my ($self) = @_;

    delete $alive{$self};
    $self->_abandon;
}

sub _abandon {
    my ($self) = @_;

    return if $self->{pid} != $$ || $self->{finished}++;

    local $?;

    diag($self->{gateway}->tail) if $self->{gateway};

    $self->{gateway}->kill_all if $self->{gateway};
    $self->{sim}->stop if $self->{sim};
}

1;
