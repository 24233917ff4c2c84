# Whoever may not buy is told so while 20 MB are still being sent, and hears
# it; over HTTP/1.1 the connection goes on.  With Expect nothing is uploaded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme gone revoked / ],
    server => <<'EOF_SERVER');
        location = /v1/phota/enhance { phota_pass /upstream/; deny all; }
EOF_SERVER

my ($id) = map { $_->{token_id} } grep { $_->{tenant} eq 'revoked' }
    map { JSON::PP::decode_json($_) }
    split /\n/, $t->ctl_ok('token', 'list', '--json');

$t->ctl_ok('tenant', 'suspend', 'gone');
$t->ctl_ok('token', 'revoke', $id);

my $unknown = $t->token('acme');
$unknown =~ s/(.)\z/$1 eq 'x' ? 'y' : 'x'/e;

my @refused = (
    [ 'no token', undef, 401, 'UNAUTHORIZED' ],
    [ 'an unknown token', $unknown, 401, 'UNAUTHORIZED' ],
    [ 'a revoked token', $t->token('revoked'), 401, 'UNAUTHORIZED' ],
    [ 'a suspended tenant', $t->token('gone'), 403, 'TENANT_SUSPENDED' ],
);

ok(everywhere(sub {
    $t->post('remix', $t->token('gone'), '{}')->status == 403
        && $t->post('remix', $t->token('revoked'), '{}')->status == 401
}, 5), 'the tenants are as they shall be');

my $body = remix(input => noise(15_000_000));

for my $case (@refused) {
    my ($who, $token, $status, $code) = @$case;

    for my $chunked (0, 65536) {
        my $way = $chunked ? "$who, chunked" : $who;
        my $c = $t->connect;
        my $answer = $c->exchange('POST', '/v1/phota/remix',
            $t->headers($token, $body), $body, drain => 1,
            chunked => $chunked, delay => 0.0005);

        $t->is_error($answer, $status, $code, $way);
        cmp_ok($answer->{sent_at_head}, '<', 5_000_000,
            "$way: told before all was sent");

        $answer = $c->exchange('POST', '/v1/phota/remix',
            $t->headers($token, '{}'), '{}');

        $t->is_error($answer, $status, $code, "$way: the next one");
    }

    my $answer = $t->post('remix', $token, $body, expect => 1);

    $t->is_error($answer, $status, $code, "$who, Expect");
    is($answer->{body_sent}, 0, "$who, Expect: nothing was uploaded");
    ok(!$answer->{continued}, "$who, Expect: nobody asked for it");
}

# curl hangs up when it isn't let finish: every one must get its answer

for my $case (@refused) {
    my ($who, $token, $status, $code) = @$case;

    for my $n (1 .. 5) {
        my $answer = $t->post('remix', $token, $body, http2 => 1);

        $t->is_error($answer, $status, $code, "$who, HTTP/2, $n");
        is($answer->{error}, undef, "$who, HTTP/2, $n: curl is content");
    }
}

# refusals that nginx makes inside a door

for my $n (1 .. 5) {
    my $answer = $t->post('enhance', $t->token('acme'), $body, http2 => 1);

    $t->is_error($answer, 403, 'OPERATION_NOT_ALLOWED', "deny, HTTP/2, $n");
    is($answer->{error}, undef, "deny, HTTP/2, $n: curl is content");
}

# what is known before the body is read: a length, a path

my $answer = $t->post('/v1/phota/nothing', $t->token('acme'), $body,
    expect => 1);

$t->is_error($answer, 403, 'OPERATION_NOT_ALLOWED', 'an unknown path');
is($answer->{body_sent}, 0, 'its body is not uploaded');

$answer = $t->post('remix', $t->token('acme'), $body, expect => 1,
    length => 40_000_000);

$t->is_error($answer, 413, 'BODY_TOO_LARGE', 'too long by its length');
is($answer->{body_sent}, 0, 'and is not uploaded');

is($t->calls, 0, 'Phota was not called');

my @kept = glob($t->gateway->dir . '/temp/body/*');

is("@kept", '', 'no body was kept');

$t->finish;

done_testing();
