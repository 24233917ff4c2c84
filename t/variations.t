# With phota_cache_variations a purchase is made so many times before repeats
# are answered from the cache: who asks four times at once gets four different
# pictures, later ones get them in turn, or the one that they name.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Pictures;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme globex / ], workers => 2,
    door => 'phota_cache_variations 4;');
my ($acme, $globex) = map { $t->token($_) } qw/ acme globex /;

$t->sim->config(size => 'tiny');

sub ask {
    my ($prompt, %o) = @_;

    my $token = delete $o{token} || $acme;
    my $fields = delete $o{fields} || {};

    return $t->post('remix', $token, remix(prompt => $prompt, %$fields), %o);
}

sub variation {
    my ($k, $prompt, %o) = @_;

    return ask($prompt, %o, headers => [ 'Phota-Variation' => $k ]);
}

# so many at once, slow enough to meet

sub at_once {
    my ($n, $prompt, %fields) = @_;

    return $t->parallel(map { [ 'remix', $acme, remix(prompt => $prompt,
        %fields), fault => 'latency=1000' ] } 1 .. $n);
}

sub picture {
    my ($answer) = @_;

    return (pictures($t, $answer))[0] // 'none';
}

sub different {
    my (@answers) = @_;

    my %seen = map { picture($_) => 1 } @answers;

    return scalar keys %seen;
}

# four at once

my @four = at_once(4, 'four');

$t->is_miss($_, '0.120000', 'one of four at once') for @four;
is($t->calls, 4, 'four calls');
is(different(@four), 4, 'four different pictures');

my %bought = map { picture($_) => 1 } @four;

# then in turn, from any worker

for my $round (1 .. 3) {
    my @hits = map { ask('four') } 1 .. 4;

    $t->is_hit($_, '0.120000', 'a repeat') for @hits;
    is(different(@hits), 4, 'all come up in turn');
    is(scalar(grep { !$bought{picture($_)} } @hits), 0, 'of those four');
}

# by number, as base64, as a link, over HTTP/2, after a restart

my @numbered = map { picture(variation($_, 'four')) } 1 .. 4;

is(keys %{{ map { $_ => 1 } @numbered }}, 4, 'four by their numbers');

sub is_numbered {
    my ($name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my @ways = ({}, { fields => { response_mode => 'urls' } },
        { http2 => 1 });

    for my $k (4, 1, 3, 2) {
        for my $way (@ways) {
            my $hit = variation($k, 'four', %$way);

            $t->is_hit($hit, '0.120000', "$name: number $k");
            ok(picture($hit) eq $numbered[$k - 1], "$name: the same");
        }
    }
}

is_numbered('again');

$t->is_error(variation(5, 'four'), 422, 'INVALID_REQUEST',
    'there will be no fifth', field => 'Phota-Variation');

for my $k (qw/ 0 -1 x 1.5 99999999999 /) {
    $t->is_error(variation($k, 'four'), 422, 'INVALID_REQUEST', "no $k",
        field => 'Phota-Variation');
}

is($t->calls, 4, 'nothing more was bought');

# several of them

my $pair = ask('four', fields => { num_output_images => 2 });

$t->is_hit($pair, '0.240000', 'two at once');
is(scalar(grep { $bought{$_} } pictures($t, $pair)), 2, 'of the four');

my $last = variation(4, 'four', fields => { num_output_images => 2 });

is_deeply([ pictures($t, $last) ], [ @numbered[3, 0] ],
    'from the last on, and again from the first');

ok($t->restart, 'a restart');
is_numbered('after a restart');
is($t->calls, 4, 'nothing more was bought');

# the fifth joins

my @five = at_once(5, 'five');
my @joined = grep { ($_->header('Cache-Status') // '') =~ /collapsed/ } @five;

is($t->calls, 8, 'five at once: four calls');
is(scalar(grep { $_->status == 200 } @five), 5, 'all are answered');
is(different(@five), 4, 'with four pictures');
is(scalar @joined, 1, 'one of them has joined');
is($joined[0]->header('Phota-Cost'), '0.000000', 'for nothing');
is($joined[0]->header('Phota-Saved'), '0.120000', 'as saved');

# two at a time are two calls of two

my @twice = at_once(2, 'twice', num_output_images => 2);

is($t->calls, 10, 'two of two at once: two calls');
is(scalar(keys %{{ map { $_ => 1 } map { pictures($t, $_) } @twice }}), 4,
    'four pictures');
$t->is_hit(ask('twice'), '0.120000', 'which fill the pool');

# one after the other: each is bought as long as there is room

my @rest;

for my $k (1 .. 4) {
    my $answer = ask('slowly');

    $t->is_miss($answer, '0.120000', "number $k is bought",
        cache => $k == 1 ? undef : 'phota; fwd=miss; stored');
    push @rest, picture($answer);
}

$t->is_hit(ask('slowly'), '0.120000', 'the fifth is a hit');
is_deeply([ map { picture(variation($_, 'slowly')) } 1 .. 4 ], \@rest,
    'numbered as they were bought');

# the last place of a pool, and one that was there before

my @three = map { picture(ask('three')) } 1 .. 3;
my $two = ask('three', fields => { num_output_images => 2 });

$t->is_miss($two, '0.120000', 'two of a pool that has room for one',
    cache => 'phota; fwd=miss; stored');
is_deeply([ pictures($t, $two) ], [ $three[0], $t->sim->delivered ],
    'the first and the new one');

# numbers at once, of which none is there yet

my @numbers = $t->parallel(map { [ 'remix', $acme, remix(prompt =>
    'numbers'), fault => 'latency=1000', headers =>
    [ 'Phota-Variation' => $_ ] ] } 1 .. 4);

$t->is_miss($_, '0.120000', 'one of four numbers') for @numbers;
is(different(@numbers), 4, 'four pictures');

# a number that is there is a hit, the next one is bought

my @next = map { variation($_, 'named') } 1, 1, 2, 2;

$t->is_miss($next[0], '0.120000', 'the first by its number');
$t->is_hit($next[1], '0.120000', 'again');
ok(picture($next[1]) eq picture($next[0]), 'the same');
$t->is_miss($next[2], '0.120000', 'the second',
    cache => 'phota; fwd=miss; stored');
ok(picture($next[2]) ne picture($next[0]), 'is another');
ok(picture($next[3]) eq picture($next[2]), 'and stays');

# who can't buy gets what there is

$t->is_hit(ask('named', headers => [ 'Cache-Control' => 'only-if-cached' ]),
    '0.120000', 'only-if-cached from a pool that is not full');

# one of four fails: nobody is harmed, and a later one buys it

my $calls = $t->calls;

$t->sim->config(latency => 1000);
$t->sim->fault('status=400');

my @mixed = $t->parallel(map { [ 'remix', $acme, remix(prompt => 'mixed') ] }
    1 .. 4);

$t->sim->config(latency => 0);

my @good = grep { $_->status == 200 } @mixed;

is(scalar @good, 3, 'one of four fails');
is(different(@good), 3, 'the others get theirs');
$t->is_miss(ask('mixed'), '0.120000', 'a later one buys the fourth',
    cache => 'phota; fwd=miss; stored');
is(different(map { ask('mixed') } 1 .. 4), 4, 'then all four are there');
is($t->calls, $calls + 5, 'four, and the one that failed');

# each tenant has his own four

$t->is_miss(ask('four', token => $globex), '0.120000', "another's first");

$t->finish;

done_testing();
