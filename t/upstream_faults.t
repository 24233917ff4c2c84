# Whatever becomes of a call to Phota, the books know whether it was bought,
# was not, or may have been, the client is told, and only a whole picture is
# ever stored.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new(params => { proxy_read_timeout =>
    (1 + $Phota::Test::slow) . 's' });
my $acme = $t->token('acme');

# fault, status, the gateway's code (undef: Phota's answer passes), the state of
# the charge and its reason

my @cases = (
    [ 'status=400', 400, undef, 'void', 'refused' ],
    [ 'status=401', 502, 'UPSTREAM_AUTH', 'void', 'refused' ],
    [ 'status=402', 503, 'UPSTREAM_BALANCE', 'void', 'refused' ],
    [ 'status=404', 404, undef, 'void', 'refused' ],
    [ 'status=422', 422, undef, 'void', 'refused' ],
    [ 'status=429', 429, undef, 'void', 'refused' ],
    [ 'status=503', 503, undef, 'void', 'refused' ],
    [ 'status=504', 504, undef, 'void', 'refused' ],
    [ 'status=503;html', 503, undef, 'void', 'refused' ],
    [ 'status=500', 500, undef, 'unknown', 'server_error' ],
    [ 'status=502', 502, undef, 'unknown', 'server_error' ],
    [ 'status=502;html', 502, undef, 'unknown', 'server_error' ],
    [ 'status=507', 507, undef, 'unknown', 'server_error' ],
    [ 'status=500;bill=1', 500, undef, 'unknown', 'server_error' ],
    [ 'redirect', 302, undef, 'unknown', 'redirect' ],
    [ 'garbage', 502, 'OUTCOME_UNKNOWN', 'unknown', 'unparsable' ],
    [ 'garbage;bill=1', 502, 'OUTCOME_UNKNOWN', 'unknown', 'unparsable' ],
    [ 'emptyimages', 200, undef, 'unknown', 'unparsable' ],
    [ 'truncate', 502, 'OUTCOME_UNKNOWN', 'unknown', 'truncated' ],
    [ 'truncate=0', 502, 'OUTCOME_UNKNOWN', 'unknown', 'truncated' ],
    [ 'truncate=1000;bill=0', 502, 'OUTCOME_UNKNOWN', 'unknown', 'truncated' ],
    [ 'chunkedcut=1000', 502, 'OUTCOME_UNKNOWN', 'unknown', 'truncated' ],
    [ 'reset', 502, 'OUTCOME_UNKNOWN', 'unknown', 'reset' ],
    [ 'reset;bill=1', 502, 'OUTCOME_UNKNOWN', 'unknown', 'reset' ],
    [ 'resetlate=1000', 502, 'OUTCOME_UNKNOWN', 'unknown', 'truncated' ],
    [ 'close', 502, 'OUTCOME_UNKNOWN', 'unknown', 'reset' ],
    [ 'bigheader', 502, 'OUTCOME_UNKNOWN', 'unknown', 'reset' ],
    [ 'hang', 504, 'UPSTREAM_TIMEOUT', 'unknown', 'timeout' ],
    [ 'chunked', 200, undef, 'settled', 'delivered' ],
    [ 'slow=300', 200, undef, 'settled', 'delivered' ],
    [ 'latency=300', 200, undef, 'settled', 'delivered' ],
    [ 'nosubjects', 200, undef, 'settled', 'delivered' ],
);

my %known;

# the charge that is new since the last look

sub newest {
    my @new = grep { !$known{$_->{charge_id}}++ } $t->gateway->ledger;

    return @new == 1 ? $new[0] : { state => @new . ' new charges' };
}

sub fault {
    my ($fault, $status, $code, $state, $reason) = @_;

    my $body = remix(prompt => $fault);
    my $answer = $t->post('remix', $acme, $body, fault => $fault);
    my $settled = $state eq 'settled';

    $code ? $t->is_error($answer, $status, $code, 'the client is told')
        : $t->is_passed($answer, $status, "Phota's answer passes");

    unlike($answer->bytes, qr/\Q$t->{key}/, 'without the key');

    my $charge = newest();

    is($charge->{state}, $state, "the charge is $state");
    is($charge->{reason}, $reason, "for it was $reason");
    is($charge->{cost}, $settled ? '0.120000' : '0.000000', 'its cost');

    my $cached = $t->post('remix', $acme, $body, headers => [
        'Cache-Control' => 'only-if-cached' ]);

    is($cached->status, $settled ? 200 : 504,
        $settled ? 'it is stored' : 'nothing is stored');

    return ($answer, $charge);
}

for my $case (@cases) {
    subtest $case->[0] => sub { fault(@$case) };
}

# the gateway's own words don't hide Phota's

my ($answer) = fault('status=429;latency=10', 429, undef, 'void',
    'refused');

is($answer->json->{code}, 'RATE_LIMITED', "Phota's code");
is($answer->header('Retry-After'), 1, "Phota's Retry-After");
is($answer->header('X-Request-Id'), $answer->json->{request_id},
    "Phota's request id");

# an answer in the middle of a large upload: never handed on whole

subtest 'early, 20 MB' => sub {
    my $large = remix(prompt => 'early', input => noise(15_000_000));
    my $early = $t->post('remix', $acme, $large, fault => 'early=402');
    my $charge = newest();

    is($charge->{state}, 'void', 'void');
    cmp_ok($early->status, '>=', 500, 'an error');
    like($early->json->{code}, qr/^UPSTREAM_(?:FAILED|BALANCE)$/, 'its code');
};

# nobody there

$t->sim->stop;

subtest 'connection refused' => sub {
    my $refused = $t->post('remix', $acme, remix(prompt => 'refused'));

    $t->is_error($refused, 502, 'UPSTREAM_FAILED', 'the client is told');
    is(newest()->{state}, 'void', 'void');
};

$t->sim->start;

# after all that

$t->is_miss($t->post('remix', $acme, remix(prompt => 'reset')), '0.120000',
    'a new request buys anew');

my $unknown = grep { $_->[3] eq 'unknown' } @cases;
my @holds = $t->gateway->holds;

is(scalar(grep { $_->{state} eq 'unknown' } @holds), $unknown,
    'what may have been bought waits for its bill');

$t->finish(unknown => 1, holds => $unknown);

done_testing();
