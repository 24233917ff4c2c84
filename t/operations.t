# What can be called.  The four image operations, once they have a price; with
# a key of one's own the rest may be read; whatever could cost money unseen is
# refused, and nothing of a refusal reaches Phota.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme owner / ],
    own => { owner => 'phk-own-' . Phota::Test::random() });
my ($acme, $owner) = map { $t->token($_) } qw/ acme owner /;

$t->is_miss($t->post('remix', $acme, remix()), '0.120000', 'remix');
$t->is_miss($t->post('enhance', $acme, enhance()), '0.120000', 'enhance');

# no price, no purchase

my $calls = $t->calls;
my %bodies = (
    edit => object([ qw/ prompt images / ], { prompt => 'less rain',
        images => [ 'https://example.com/1.jpg' ] }),
    generate => object([ 'prompt' ], { prompt => 'a boat' }),
);

for my $name (sort keys %bodies) {
    $t->is_error($t->post($name, $acme, $bodies{$name}), 422, 'PRICE_UNKNOWN',
        "$name has no price yet");
}

is($t->calls, $calls, 'and so nothing was bought');

$t->ctl_ok(qw/ price add --operation edit --usd 0.10
    --identity-usd 0.13 /);
$t->ctl_ok(qw/ price add --operation generate --usd 0.10 /);

everywhere(sub { $t->post('generate', $acme, $bodies{generate})->status == 200
    }, 5);

for my $name (sort keys %bodies) {
    for my $time (qw/ once again /) {
        $t->is_miss($t->post($name, $acme, $bodies{$name}), '0.100000',
            "$name is bought $time", cache => 'phota; fwd=bypass');
    }
}

my $identity = $t->post('edit', $acme, object([ qw/ prompt images / ],
    { prompt => '[[prof_anna]] at sea', images =>
        [ 'https://example.com/1.jpg' ] }));

is($identity->header('Phota-Cost'), '0.130000', 'edit with identity');

# what is refused to everybody

$calls = $t->calls;

for my $who ([ 'with a shared key', $acme ], [ 'with an own key', $owner ]) {
    my ($with, $token) = @$who;

    $t->is_error($t->post('remix', $token, remix(async => JSON::PP::true(),
        response_mode => 'urls')), 422, 'INVALID_REQUEST', "async $with",
        field => 'async');

    for my $case ([ 'POST', 'profiles/add' ], [ 'GET', 'webhook-secret' ],
        [ 'POST', 'nothing' ], [ 'DELETE', 'profiles/p1/x' ],
        [ 'DELETE', 'profiles/' ], [ 'DELETE', 'jobs/j1' ], [ 'PUT', 'remix' ], [ 'POST', 'remix/' ], [ 'POST', 'REMIX' ],
        [ 'POST', 'remix/x' ], [ 'PATCH', 'jobs/j1' ])
    {
        my ($method, $path) = @$case;
        my $body = $method eq 'GET' || $method eq 'DELETE' ? undef : remix();

        $t->is_error($t->request($method, "/v1/phota/$path", $token, $body),
            403, 'OPERATION_NOT_ALLOWED', "$method $path $with");
    }
}

$t->is_error($t->request('DELETE', '/v1/phota/profiles/p1', $acme), 403,
    'OPERATION_NOT_ALLOWED', 'DELETE profiles/p1 with a shared key');

for my $path (qw{ profiles/ids jobs/j1 profiles/p1/status models }) {
    $t->is_error($t->request('GET', "/v1/phota/$path", $acme), 403,
        'OPERATION_NOT_ALLOWED', "GET $path with a shared key");
}

# ways of writing a path that mean a forbidden one

for my $path ('//v1/phota/webhook-secret', '/v1/phota/./webhook-secret',
    '/v1/phota/%77ebhook-secret', '/v1/phota/x/../webhook-secret',
    '/v1/phota/webhook-secret?x=1')
{
    $t->is_error($t->request('GET', $path, $owner), 403,
        'OPERATION_NOT_ALLOWED', "GET $path");
}

is($t->calls, $calls, 'none of these was passed on');

# what an own key may read

for my $path (qw{ profiles/ids models }) {
    my $answer = $t->request('GET', "/v1/phota/$path", $owner);

    isnt($answer->status, 403, "GET $path with an own key");
    like($answer->header('Phota-Request-Id'), qr/\S/, 'has a request id');
}

is($t->calls, $calls + 2, 'they went to Phota');
is($t->seen('X-API-Key'), $t->{own}{owner},
    "with the owner's key");

# the upstream location is nobody's door

is($t->request('POST', '/upstream/v1/phota/remix', $acme, remix())->status,
    404, 'the upstream location is internal');

$t->finish;

done_testing();
