# What is in the logs can be read by a machine, and nobody can fill a disk with
# it: under a load of what clients do wrong, and of an upstream and a disk that
# fail, each line of the module in the error log is one of the documented form,
# says whose it is, and of what comes again and again only so much is there,
# with the number of what isn't; each line of the access log is an object, with
# the trace that the client is in beside the charge.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use Phota::Fail;
use Phota::Test;
use Test::More;

my $top = $Phota::Gateway::top;
my $page = Phota::Gateway::slurp("$top/docs/logs.md");

# of a worker and a kind of line: as docs/logs.md has it

my ($burst, $every) = (20, 3);

like($page, qr/\b$burst at once.* one in $every seconds/s,
    'the page has the limit');


# --- in the source: one way to write, each kind of line has its place

my %said;

for my $file (glob("$top/src/ngx/*.c")) {
    my $text = Phota::Gateway::slurp($file);
    my ($name) = $file =~ m{([^/]+)$};

    # of a start that is refused, nginx's own form: file and line

    my @past = grep { !/cf->log/ } $text =~ /ngx_log_error\(([^;]*);/g;

    is(scalar @past, $name eq 'ngx_http_phota_say.c' ? 1 : 0,
        "$name: lines by one way");

    while ($text =~ /ngx_http_phota_say(?:_some)?\(((?:[^;"]|"[^"]*")*)\);/g) {
        my ($args) = $1;
        my $call = $args =~ s/"\s*"//gr;

        next if $call !~ /ngx_\w*log|->log/;

        my ($what) = $call =~ /"((?:[^"\\]|\\.)*)"/;

        $said{$what} = $name if defined $what && $what ne '%s';
    }

    # the name of a trouble is handed on

    $said{$1} = $name while $text =~ /_complain\("([^"]*)"/g;
}

cmp_ok(scalar keys %said, '>', 40, 'all kinds of lines were found');

delete $said{'lines were left out'};

for my $what (sort keys %said) {
    unlike($what, qr/[:("]/, "$said{$what}: \"$what\" is one phrase");
    like($page, qr/^\| \Q$what\E \|/m, 'and is documented');
}


# --- a gateway with all that can be wrong

my $t = Phota::Test->new(start => 0, workers => 1,
    tenants => [ qw/ acme poor own / ], own => { own => 'phk-the-own-key' });
my $g = $t->gateway;
my $fail = Phota::Fail->new($t->dir . '/fail', books => $g->data . '/books');
my $scheme = $g->{scheme} // 'http';

$g->{env} = $fail->env;
$g->{config} = sub { $_[0] =~ s/log_format phota\b/log_format old/r
    =~ s/access\.log phota;/access.log old;/r };
$g->{http} = "include $top/conf/phota_log_formats;\n"
    . 'access_log ' . $g->dir . "/json.log phota_json;\n";

# doors whose ways out lose money, and one that has no key

$g->{server} = <<"EOF_SERVER";
        location = /v1/phota/enhance { phota_pass /unsafe/; }
        location /v1/phota/unsafe/ { phota_pass /unsafe/; }
        location /v1/phota/keyless/ { phota_pass /without/; }

        location /unsafe/ {
            internal;
            proxy_next_upstream off;
            proxy_set_header X-API-Key \$phota_upstream_key;
            proxy_pass $scheme://phota_api/;
        }

        location /without/ {
            internal;
            proxy_ignore_client_abort on;
            proxy_next_upstream off;
            proxy_pass $scheme://phota_api/;
        }
EOF_SERVER

$t->ctl_ok('tenant', 'set', 'poor', '--budget-total', '0.01');
$t->start;

my ($acme, $poor, $own) = map { $t->token($_) } qw/ acme poor own /;
my $trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

sub lines {
    my ($pattern) = @_;

    return grep { /phota: / && (!$pattern || $_ =~ $pattern) }
        split /\n/, $g->log;
}

# what a number of lines may be, and that none is lost without a word

sub bounded {
    my ($pattern, $n, $since, $name) = @_;

    my $left = sub {
        my $sum = 0;

        /: (\d+) like "/ and $sum += $1
            for grep { $_ =~ $pattern } lines(qr/lines were left out/);

        return $sum;
    };
    my $there = sub {
        return scalar grep { !/lines were left out/ } lines($pattern);
    };

    cmp_ok($there->(), '<=', $burst + 1 + (time() - $since) / $every,
        "$name: so many lines, not more");
    ok(wait_for(sub { $there->() + $left->() >= $n }, 30),
        "$name: the others are counted");
    is($there->() + $left->(), $n, "$name: exactly");
}


# --- the trace

my $bought = $t->post('remix', $acme, remix(), headers => [
    traceparent => $trace, tracestate => 'congo=t61rcWkgMzE' ]);

$t->is_miss($bought, '0.120000', 'a call that belongs to a trace');
is($t->seen('traceparent'), $trace, 'which Phota sees');
is($t->seen('tracestate'), 'congo=t61rcWkgMzE', 'with its state');

my $hit = $t->post('remix', $acme, remix(), headers => [
    traceparent => $trace ]);

$t->is_hit($hit, '0.120000', 'and a hit');


# --- a location that is wrong, and a tenant who calls and calls

my $n = 120;
my $since = time();
my $c = $t->connect(timeout => 60);

for my $i (1 .. $n) {
    $c->exchange('POST', '/v1/phota/enhance', [ 'X-API-Key' => $acme,
        'Content-Type' => 'application/json' ], enhance(prompt => "no. $i"));
}

bounded(qr/a location gets no key/, $n, $since, 'an unsafe location');

my ($line) = lines(qr/a location gets no key \(/);

like($line, qr/phota:\ a\ location\ gets\ no\ key\ \(tenant\ "acme",
    \ operation\ enhance,\ charge\ ch_\w{26}\):\ it\ needs/x,
    'which says whose call it was');

# with the charge's id the books tell the rest

my ($id) = $line =~ /charge (ch_\w+)/;

is($g->charge($id)->{state}, 'void', 'the charge is the one in the books');


# --- words of a client's that would be a line of their own

my $forged = "x\nphota: all is well";
my $path = '/v1/phota/keyless/' . join('', map { sprintf('%%%02x', ord) }
    split //, $forged);

$t->is_error($t->get($path, $own), 403, 'OPERATION_NOT_ALLOWED',
    'a path with the end of a line in it');
$t->is_error($t->get($path =~ s/keyless/unsafe/r, $own), 403,
    'OPERATION_NOT_ALLOWED', 'anywhere');

is(scalar(grep { /^phota: all is well/ } split /\n/, $g->log), 0,
    'nobody writes a line of his own');


# --- an upstream that refuses, breaks off and fails

$since = time();

for my $i (1 .. 40) {
    $t->post('remix', $acme, remix(prompt => "refused $i"),
        fault => 'status=401');
}

bounded(qr/the upstream refused the key/, 40, $since, 'a key that is refused');

my @unknown = map { $t->post('remix', $acme, remix(prompt => "broken $_"),
    fault => 'reset') } 1 .. 30;
my @holds = grep { $_->{state} eq 'unknown' } $g->holds;

is(scalar(lines(qr/a charge is unknown/)), scalar @holds,
    'what may have been bought has a line for each');

cmp_ok(scalar @holds, '>=', 3, 'there are some');

for my $hold (@holds[0 .. 2]) {
    is(scalar(lines(qr/a\ charge\ is\ unknown\ \(tenant\ "acme",
        \ operation\ remix,\ charge\ $hold->{charge_id}\):\ /x)), 1,
        'with the charge\'s id');
}


# --- a disk that takes nothing

$fail->arm(in => [ 'books' ], to => 'always', error => 'ENOSPC');
$since = time();
$c = $t->connect(timeout => 60);

my %status;

for my $i (1 .. $n) {
    my $answer = $c->exchange('POST', '/v1/phota/remix', [ 'X-API-Key' => $acme,
        'Content-Type' => 'application/json' ], remix(prompt => "full $i"));

    $status{$answer->status}++;
}

is_deeply(\%status, { 503 => $n }, 'nothing is sold without books');
cmp_ok(scalar(lines(qr/a hold could not be written/)), '<=',
    $burst + 1 + (time() - $since) / $every, 'and is not told without end');
cmp_ok(scalar(lines(qr/a hold could not be written/)), '>=', 1, 'but told');
$fail->clear;
ok(wait_for(sub { $t->post('remix', $acme, remix(prompt => 'again'))->status
    == 200 }, 30), 'until it takes something');


# --- what clients send otherwise

for my $body ('{', '[]', '{"a":1,"a":2}', "\xff\xfe", remix(prompt => 7)) {
    $t->post('remix', $acme, $body);
}

$t->post('remix', $poor, remix(prompt => 'too dear'));
$t->post('remix', 'phg_' . 'x' x 50, remix());
$t->get('%ff%fe"\\', $own, headers => [ traceparent => "\xff\"\\\x01",
    'User-Agent' => "\xff" ]);
$t->get('/called/nobody', undef);
$t->post('remix', $acme, remix(), headers => [ 'Phota-Dry-Run' => 1 ]);


# --- all of the error log

my $who = qr/tenant\ (?:"[a-z0-9_-]{1,64}"|\#\d+)|operation\ [a-z-]+
    |charge\ ch_[0-9A-Z]{26}/x;
my $form = qr/^\S+\ \S+\ \[\w+\]\ \d+\#\d+:\ (?:\*\d+\ )?
    phota:\ ([^:("]*[^:("\ ])(\ \($who(?:,\ $who)*\))?
    (?::\ .+|\ \(\d+:.*|\ while\ .*|,.*)?$
    /x;
my @all = lines();
my @odd = grep { !(/$form/ && ($said{$1} || $1 eq 'lines were left out')) }
    @all;

cmp_ok(scalar @all, '>=', 30, 'there were lines');
is(join("\n", @odd), '', 'each is of the documented form and kind');
unlike($g->log, qr/phg_|phk-/, 'and none has a token or a key');


# --- all of the access log

my $json = JSON::PP->new->utf8;
my (@entries, @broken);

for my $text (split /\n/, $g->log('json.log')) {
    my $entry = eval { $json->decode($text) };

    $entry ? (push @entries, $entry) : (push @broken, $text);
}

is("@broken", '', 'each line of the access log is an object');
cmp_ok(scalar @entries, '>=', 2 * $n + 80, 'for each call one');

my %keys = map { $_ => 1 } keys %{$entries[0]};
my $sources = Phota::Gateway::slurp(
    "$top/src/ngx/ngx_http_phota_variables.c");

while ($sources =~ /ngx_string\("phota_(\w+)"\)/g) {
    next if $1 =~ /^(?:upstream_key|outbound_)/;
    ok($keys{$1}, "it has \$phota_$1");
}

my ($first) = grep { $_->{charge_id} eq $bought->header('Phota-Charge-Id') }
    @entries;

is($first->{traceparent}, $trace, 'the trace stands beside the charge');
is($first->{cost}, '0.120000', 'and what it cost');
is($first->{request_id}, $bought->header('Phota-Request-Id'),
    'the id is the client\'s');
is($first->{status}, 200, 'a status is a number');
is(scalar(grep { $_->{cache_status} eq 'HIT' && $_->{traceparent} eq $trace }
    @entries), 1, 'and a hit in the same trace');

$t->finish(unknown => 1, log => qr/phota: /);

done_testing();
