# What Phota says of an error the client hears: status, words, headers, from
# every path that it can be said on.  But a refused key and an empty account
# are the operator's trouble: he finds a line in the log, the client an error of
# the gateway's own.  No error is charged, and nothing is sent a second time.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Phota::Receiver;
use Phota::Test;
use Test::More;

# who answers to the letter; nobody but the tenant asks for his jobs here

my $phota = Phota::Receiver->new;
my $t = Phota::Test->new(tenants => [ 'acme' ], callbacks => 0,
    upstream => '127.0.0.1:' . $phota->port, job_poll => '1h');
my $acme = $t->token('acme');
my $n = 0;

# by which Phota tells him from the gateway, which asks for itself as well

my @he = (headers => [ 'X-App-Trace' => 'acme' ]);

sub asked {
    return scalar grep { $_->{headers}{'x-app-trace'} } map { $_->got } @_;
}

sub submit {
    return $t->submit('remix', $acme, { prompt => 'job ' . ++$n }, @he);
}

# a job that Phota has taken on

sub job {
    $phota->answer({ status => 202, body =>
        '{"job_id":"job_' . ++$n . '","status":"queued"}' });

    my $handle = submit();

    $handle->status == 202 or die 'no job: ' . $handle->summary . "\n";

    return $handle->json->{job_id};
}

# where it can be said; buys: what the books know it by; made: what has to be
# there before

my %places = (
    remix => { buys => 1, ask => sub {
        $t->post('remix', $acme, remix(prompt => 'no. ' . ++$n), @he) } },
    enhance => { buys => 1, ask => sub {
        $t->post('enhance', $acme, enhance(prompt => 'no. ' . ++$n),
        @he) } },
    submit => { buys => 1, ask => \&submit },
    train => { buys => 1, ask => sub { $t->train($acme, {}, @he) } },
    poll => { made => \&job, ask => sub { $t->poll($acme, $_[0], @he) } },
    list => { ask => sub { $t->get('profiles/ids', $acme, @he) } },
    profile => { ask => sub {
        $t->get('profiles/prof_a/status', $acme, @he) } },
    picture => { ask => sub {
        $t->get('profiles/prof_b/profile_picture', $acme, @he) } },
    delete => { ask => sub {
        $t->delete('profiles/prof_ben', $acme, @he) } },
);

my %known;

# what stands in the books since the last look, call by call; what says that a
# job has ended the gateway hears for itself

sub written {
    my ($name, @expected) = @_;

    my @now;

    @expected = map { "$_ 0.000000" } @expected;

    wait_for(sub {
        @now = grep { !$known{$_->{charge_id}} } $t->gateway->ledger;
        "@expected" eq join(' ', map {
            "$_->{state} $_->{reason} $_->{cost}" } @now);
    }, 10);

    is_deeply([ map { "$_->{state} $_->{reason} $_->{cost}" } @now ],
        \@expected, $name);

    $known{$_->{charge_id}} = 1 for @now;
}

# what was answered, and how often Phota was asked

sub hear {
    my ($place, $status, $headers, $body) = @_;

    my $made = $place->{made} && $place->{made}->();

    $phota->forget;
    $phota->answer({ status => $status, headers => $headers, body => $body });

    my $answer = $place->{ask}->($made);

    return ($answer, asked($phota));
}

sub error {
    my ($code, $detail, %more) = @_;

    return JSON::PP->new->utf8->canonical->encode({ code => $code,
        detail => $detail, request_id => 'req_7f', %more });
}

my @json = ('Content-Type' => 'application/json', 'X-Request-Id' => 'req_7f');
my @html = ('Content-Type' => 'text/html; charset=UTF-8');

my $html = "<html><head><title>Oops</title></head>\r\n<body>&auml; "
    . "\xe4 {\"code\":</body></html>\n";

my $detail = '{"detail":[{"loc":["body","num_output_images"],'
    . '"msg":"Input should be less than or equal to 4",'
    . '"type":"less_than_equal" , "ctx":{"le":4.0}}]}';

# status, headers, body, what a purchase is then, and an open job

my %said = (
    'moderation' => [ 400, \@json, error('CONTENT_MODERATION',
        "Blocked: \x{e4}"), 'void refused', 'void job_failed' ],
    'no such thing' => [ 404, \@json, error('NOT_FOUND', 'Not Found'),
        'void refused', 'unknown job_lost' ],
    'a list of faults' => [ 422, \@json, $detail, 'void refused',
        'held accepted' ],
    'too many' => [ 429, [ @json, 'Retry-After' => 17 ],
        error('RATE_LIMITED', 'Slowly'), 'void refused', 'held accepted' ],
    'too many, at a time' => [ 429, [ @json, 'Retry-After' =>
        'Fri, 31 Dec 2027 23:59:59 GMT' ], error('RATE_LIMITED', 'x'),
        'void refused', 'held accepted' ],
    'broken' => [ 500, \@json, error('INTERNAL_ERROR', 'x', more => [ 1 ]),
        'unknown server_error', 'held accepted' ],
    'a proxy in between' => [ 502, \@html, $html, 'unknown server_error',
        'held accepted' ],
    'not now' => [ 503, [ @json, 'Retry-After' => 3 ],
        error('SERVICE_UNAVAILABLE', 'x'), 'void refused', 'held accepted' ],
    'not now, as a page' => [ 503, \@html, $html, 'void refused',
        'held accepted' ],
    'too long' => [ 504, \@json, error('TIMEOUT', 'x'), 'void refused',
        'held accepted' ],
    'nothing at all' => [ 503, [], '', 'void refused', 'held accepted' ],
    'a retirement' => [ 400, [ @json, 'X-Phota-Deprecation-Date' =>
        '2026-05-08' ], error('INVALID_REQUEST', 'x'), 'void refused',
        'void job_failed' ],
);

my @told = qw/ X-Request-Id Retry-After X-Phota-Deprecation-Date /;

for my $where (sort keys %places) {
    subtest "at $where" => sub {
        my $place = $places{$where};
        my @books;

        for my $what (sort keys %said) {
            my ($status, $headers, $body, $bought, $job) = @{$said{$what}};
            my ($answer, $calls) = hear($place, $status, $headers, $body);
            my %headers = @$headers;
            my $type = $answer->header('Content-Type') // 'none';

            $t->is_passed($answer, $status, "$what: the status");
            is($answer->body, $body, "$what: to the letter");
            is($type, $headers{'Content-Type'} // 'none', "$what: the type");

            for my $name (@told) {
                is($answer->header($name), $headers{$name}, "$what: $name");
            }

            is($calls, 1, "$what: asked once");

            push @books, $place->{buys} ? $bought : ();

            # before Phota says something else

            written("$what: the job is $job", $job) if $place->{made};
        }

        written('nothing is charged', @books);
    };
}

# --- what the client can't mend

sub new_lines {
    my ($before) = @_;

    return join("\n", grep { / \[error\] / }
        split /\n/, substr($t->gateway->log, $before));
}

my @mended = (
    [ 401, 502, 'UPSTREAM_AUTH', qr/refused the key \(tenant "acme"/ ],
    [ 403, 502, 'UPSTREAM_AUTH', qr/refused the key \(tenant "acme"/ ],
    [ 402, 503, 'UPSTREAM_BALANCE', qr/no balance left \(tenant "acme"/ ],
);

for my $where (sort keys %places) {
    subtest "the operator's, at $where" => sub {
        my $place = $places{$where};

        $t->restart;    # a worker says no more than so much

        for my $case (@mended) {
            my ($status, $instead, $code, $line) = @$case;

            for my $page ([ \@json, error('SOMETHING', "our account's") ],
                [ \@html, $html ], [ [], '' ])
            {
                my $before = length $t->gateway->log;
                my ($answer, $calls) = hear($place, $status, @$page);

                $t->is_error($answer, $instead, $code, "$status: is $code");
                unlike($answer->bytes, qr/our account|req_7f|Oops/,
                    'and says no more');
                is($calls, 1, 'asked once');
                like(new_lines($before), $line, 'a line in the log');
            }
        }

        written('nothing is charged, and jobs go on', ($place->{made}
            ? 'held accepted' : $place->{buys} ? 'void refused' : ()) x 9);
    };
}

# --- whatever may have been sent isn't sent again, to nobody

my $second = Phota::Receiver->new;

$t->gateway->write_config(upstream => join("\n", map {
    'server 127.0.0.1:' . $_->port . ' max_fails=0;' } $phota, $second));
$t->restart;

for my $where (sort keys %places) {
    subtest "once, at $where" => sub {
        my $place = $places{$where};

        for my $how ({ close => 1 }, map { { status => $_ } }
            429, 500, 502, 503, 504)
        {
            my $made;

            if ($place->{made}) {
                my $handle = { status => 202, body => '{"job_id":"job_'
                    . ++$n . '","status":"queued"}' };

                $_->answer($handle) for $phota, $second;
                $made = submit()->json->{job_id};
            }

            for my $upstream ($phota, $second) {
                $upstream->forget;
                $upstream->answer($how);
            }

            my $answer = $place->{ask}->($made);

            is(asked($phota, $second), 1, ($how->{status} // 'no word')
                . ': one call');
            cmp_ok($answer->status, '>=', 429, 'the client hears of it');
        }
    };
}

$_->stop for $phota, $second;

$known{$_->{charge_id}} = 1 for $t->gateway->ledger;

for my $where (grep { $places{$_}{buys} } sort keys %places) {
    $t->is_error($places{$where}{ask}->(), 502, 'UPSTREAM_FAILED',
        "$where: nobody there");
    written("$where: is void", 'void not_sent');
}

$t->finish(unknown => 1);

# --- and where nobody listens: the gateway asks for jobs by itself, hears the
# same, tells the operator, and goes on

my $alone = Phota::Test->new(tenants => [ 'solo' ], callbacks => 0);
my @faults = ('401', '402', '403', '429', '500', '502;html', '503', '504');

$alone->sim->config(size => 'tiny');
$alone->sim->fault($_, operation => 'jobs', count => 1) for @faults;

for my $i (0 .. $#faults) {
    my $handle = $alone->submit('remix', $alone->token('solo'),
        { prompt => "alone $i" });

    is($handle->status, 202, "job $i is taken on");
}

ok(wait_for(sub { $alone->sim->counters->{faults_left} == 0 }, 15),
    'each of them met an error');
ok(wait_for(sub { !grep { $_->{state} ne 'settled' } $alone->gateway->ledger
    }, 20), 'and was settled later');

my @lines = grep { / \[error\] / } split /\n/, $alone->gateway->log;

is(scalar(grep { /refused the key \(tenant "solo", .*status 40[13]/ } @lines), 2,
    'the refused key is in the log');
is(scalar(grep { /no balance left \(tenant "solo"/ } @lines), 1,
    'the empty account too');

$alone->finish;

done_testing();
