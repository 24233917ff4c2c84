# What a client may ask of the cache (RFC 9111, 5.2.1): buy again, don't keep,
# not older than, only what is there.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new;
my $acme = $t->token('acme');

sub ask {
    my ($control, $body, %o) = @_;

    return $t->post('remix', $acme, $body, headers =>
        [ 'Cache-Control' => $control ], %o);
}

my $body = remix(prompt => 'a');

# only-if-cached

my $none = ask('only-if-cached', $body);

is($none->status, 504, 'only-if-cached: nothing there');
is($none->header('Cache-Status'), 'phota; detail=none', 'and said so');
like($none->json->{code}, qr/\S/, 'in the shape of an error');
is($t->calls, 0, 'nothing was bought');

my $first = $t->post('remix', $acme, $body);

$t->is_miss($first, '0.120000', 'bought');
$t->is_hit(ask('only-if-cached', $body), '0.120000', 'only-if-cached: a hit');

# no-cache: bought again, and from now on the new one is given

my $again = ask('no-cache', $body);

$t->is_miss($again, '0.120000', 'no-cache buys again',
    cache => 'phota; fwd=request; stored');
isnt($again->json->{images}[0], $first->json->{images}[0], 'a new picture');

my $hit = $t->post('remix', $acme, $body);

$t->is_hit($hit, '0.120000', 'then a hit');
is($hit->json->{images}[0], $again->json->{images}[0], 'of the new one');

# a purchase that fails leaves what is there

my $failed = ask('no-cache', $body, fault => 'status=400');

is($failed->status, 400, 'no-cache, and Phota refuses');
is($t->post('remix', $acme, $body)->json->{images}[0],
    $again->json->{images}[0], 'the picture stays');

# no-store

my $secret = remix(prompt => 'b');
my $bypass = ask('no-store', $secret);

$t->is_miss($bypass, '0.120000', 'no-store buys',
    cache => 'phota; fwd=bypass');
is(ask('only-if-cached', $secret)->status, 504, 'and keeps nothing');
$t->is_miss($t->post('remix', $acme, $secret), '0.120000',
    'so the next one buys');

# max-age

my $old = remix(prompt => 'c');

$t->is_miss($t->post('remix', $acme, $old), '0.120000', 'bought');
$t->is_hit(ask('max-age=60', $old), '0.120000', 'young enough');

sleep 2;

my $fresh = ask('max-age=1', $old);

is($fresh->status, 200, 'too old');
is($fresh->header('Phota-Cost'), '0.120000', 'is bought again');
like($fresh->header('Cache-Status'), qr/^phota; fwd=\S+; stored; key=/,
    'and stored');
cmp_ok($t->post('remix', $acme, $old)->header('Age'), '<=', 1,
    'the new one is given');

sleep 2;

my $neither = ask('max-age=0, only-if-cached', $old);

is($neither->status, 504, 'nothing that young, and nothing bought');

# the age, and for how long

$hit = $t->post('remix', $acme, $body);

my ($ttl) = $hit->header('Cache-Status') =~ /ttl=(\d+)/;

cmp_ok($hit->header('Age'), '>=', 2, 'the age grows');
cmp_ok(abs($ttl + $hit->header('Age') - 30 * 86400), '<=', 2,
    'the life is 30 days');

# a short life, and an operation that isn't to be cached

ok($t->gateway->reload(door => "            phota_cache_valid 2s;\n"
    . '            phota_cache remix;'), 'another configuration');

my $short = remix(prompt => 'd');

$t->is_miss($t->post('remix', $acme, $short), '0.120000', 'bought');
$t->is_hit($t->post('remix', $acme, $short), '0.120000', 'a hit');
sleep 3;
$t->is_miss($t->post('remix', $acme, $short), '0.120000', 'and dead');

for (1 .. 2) {
    $t->is_miss($t->post('enhance', $acme, enhance()), '0.120000',
        'enhance is not cached here', cache => 'phota; fwd=bypass');
}

$t->finish;

done_testing();
