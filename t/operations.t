# What can be called: what is bought, once it has a price; jobs, profiles and
# the secret of callbacks, of the tenant's own; with an account of one's own
# the rest may be read.  All else is refused, and nothing of a refusal reaches
# Phota.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme owner / ],
    own => { owner => 'phk-own-' . Phota::Test::random() });
my ($acme, $owner) = map { $t->token($_) } qw/ acme owner /;

$t->sim->config(size => 'tiny');

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

# a job, from its submit to its end, then as often as it is asked for

for my $who ([ 'a shared key', $acme ], [ 'an own key', $owner ]) {
    my ($with, $token) = @$who;

    for my $name (qw/ remix enhance edit generate /) {
        my $job = $t->submit($name, $token, { prompt => 'later' });

        is($job->status, 202, "$name as a job, with $with");
        is($job->json->{poll_url}, 'http://127.0.0.1:' . $t->port
            . '/v1/phota/jobs/' . ($job->json->{job_id} // ''),
            'it is polled at the gateway');

        my $done = $t->poll_until($token, $job);

        is($done->json->{status}, 'completed', 'it ends');
        is($t->poll($token, $job)->json->{$_}, $done->json->{$_},
            "the same $_ again") for qw/ job_id status /;
    }
}

# a profile, from its training to its end

for my $who ([ 'a shared key', $acme ], [ 'an own key', $owner ]) {
    my ($with, $token) = @$who;

    my $made = $t->train($token, { tag => 'staff' });
    my $id = $made->json->{profile_id} // 'none';

    $t->is_miss($made, '1.490000', "profiles/add with $with",
        cache => 'phota; fwd=bypass');
    is($t->train($token, { training_tier => 'standard', image_urls =>
        [ map { "https://example.com/$_.jpg" } 1 .. 10 ] })
        ->header('Phota-Cost'), '2.900000', 'the other tier costs more');
    is($t->train($token, { image_urls => [] })->header('Phota-Cost'),
        '0.000000', 'what Phota refuses costs nothing');

    is($t->get("profiles/$id/status", $token)->json->{status}, 'READY',
        'its status');
    like($t->get("profiles/$id/profile_picture", $token)->body,
        qr/^\xff\xd8\xff/, 'its picture');
    is_deeply([ map { $_->{profile_id} }
        @{$t->get('profiles/ids?tag=staff', $token)->json->{profiles}} ],
        [ $id ], 'by its tag');
    is($t->delete("profiles/$id", $token)->status, 200, 'deleted');
    is($t->delete("profiles/$id", $token)->status, 404, 'once');
}

# the secret of callbacks is the tenant's, and no question to Phota

$calls = $t->calls;

my %secret = map {
    my $answer = $t->get('webhook-secret', $t->token($_));

    is($answer->status, 200, "webhook-secret of $_");
    is($answer->json->{secret}, $t->get('webhook-secret', $t->token($_))
        ->json->{secret}, 'it stays');
    $_ => $answer->json->{secret};
} qw/ acme owner /;

like($secret{$_}, qr/^whsec_[\w-]{43}$/, "$_ has one") for sort keys %secret;
isnt($secret{acme}, $secret{owner}, 'of its own');

# ways of writing a path that mean another one

for my $path ('//v1/phota/webhook-secret', '/v1/phota/./webhook-secret',
    '/v1/phota/%77ebhook-secret', '/v1/phota/x/../webhook-secret',
    '/v1/phota/webhook-secret?x=1')
{
    is($t->request('GET', $path, $owner)->json->{secret}, $secret{owner},
        "GET $path");
}

# what is refused to everybody

for my $who ([ 'a shared key', $acme ], [ 'an own key', $owner ]) {
    my ($with, $token) = @$who;

    for my $case ([ 'POST', 'nothing' ], [ 'POST', 'webhook-secret' ],
        [ 'GET', 'webhook-secret/' ], [ 'GET', 'x/webhook-secret' ],
        [ 'GET', 'Webhook-Secret' ], [ 'POST', 'jobs/j1' ],
        [ 'POST', 'profiles/ids' ], [ 'POST', 'profiles/p1' ],
        [ 'PUT', 'profiles/add' ], [ 'DELETE', 'profiles/p1/x' ],
        [ 'DELETE', 'profiles/' ], [ 'DELETE', 'jobs/j1' ], [ 'PUT', 'remix' ],
        [ 'POST', 'remix/' ], [ 'POST', 'REMIX' ], [ 'POST', 'remix/x' ],
        [ 'PATCH', 'jobs/j1' ])
    {
        my ($method, $path) = @$case;
        my $body = $method eq 'GET' || $method eq 'DELETE' ? undef : remix();

        $t->is_error($t->request($method, "/v1/phota/$path", $token, $body),
            403, 'OPERATION_NOT_ALLOWED', "$method $path with $with");
    }
}

# what isn't known to be fenced is for accounts of one's own

for my $path (qw{ models jobs profiles profiles/p1 profiles/add remix x },
    'jobs/j1/x', 'profiles/p1/x', '')
{
    $t->is_error($t->get("/v1/phota/$path", $acme), 403,
        'OPERATION_NOT_ALLOWED', "GET $path with a shared key");
}

for my $case ([ 'GET', 'jobs/j1' ], [ 'GET', 'profiles/p1/status' ],
    [ 'GET', 'profiles/p1/profile_picture' ], [ 'DELETE', 'profiles/p1' ])
{
    my ($method, $path) = @$case;

    $t->is_error($t->request($method, "/v1/phota/$path", $acme), 404,
        'NOT_FOUND', "$method $path of nobody's");
}

is($t->calls, $calls, 'none of these was passed on');

# what an own key may read

for my $path (qw{ profiles/ids models jobs/j1 profiles/p1/status }) {
    my $answer = $t->get($path, $owner);

    isnt($answer->status, 403, "GET $path with an own key");
    like($answer->header('Phota-Request-Id'), qr/\S/, 'has a request id');
}

is($t->calls, $calls + 4, 'they went to Phota');
is($t->seen('X-API-Key'), $t->{own}{owner},
    "with the owner's key");

# the upstream location is nobody's door

is($t->request('POST', '/upstream/v1/phota/remix', $acme, remix())->status,
    404, 'the upstream location is internal');

$t->finish;

done_testing();
