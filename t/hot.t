# A picture that is asked for again and again is answered from memory, byte for
# byte as from the cache; whether it is a hit the cache alone says.  What a
# worker has of them is bounded, and a client that still takes one gets all of
# it whatever goes meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Cache;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(workers => 1, tenants => [ qw/ acme globex / ],
    listen => 'sndbuf=8k', http => '    phota_hot_memory 4m;');
my $g = $t->gateway;
my $acme = $t->token('acme');
my $cache = Phota::Cache->new($t);

sub again {
    my ($name, $size, %o) = @_;

    return $t->post('remix', $o{token} || $acme, remix(prompt => $name), %o,
        headers => [ 'X-Sim-Size' => $size ]);
}

# sizes in bytes of the pictures that the worker has in memory

sub hot {
    my ($worker) = $g->workers;

    return map { -s $_ } grep { (readlink $_ || '') =~ /memfd:phota hot/ }
        glob("/proc/$worker/fd/*");
}

sub total {
    my $sum = 0;

    $sum += $_ for hot();

    return $sum;
}

# --- from the second hit on

my $bought = again('a', 'medium');

$t->is_miss($bought, '0.120000', 'bought');

my ($picture) = pictures($bought);

for my $n (1 .. 2) {
    my $hit = again('a', 'medium');

    $t->is_hit($hit, '0.120000', "hit $n");
    ok($hit->body eq $bought->body, 'as it was bought');
}

ok(wait_for(sub { hot() == 1 }, 5), 'then it is in memory');
is(total(), int((length($picture) + 2) / 3) * 4, 'as base64');

for my $n (3 .. 4) {
    my $hit = again('a', 'medium');

    $t->is_hit($hit, '0.120000', "hit $n");
    ok($hit->body eq $bought->body, 'from there');
}

is(scalar hot(), 1, 'once');

# --- and for its tenant alone

$t->is_miss(again('a', 'medium', token => $t->token('globex')), '0.120000',
    'another tenant buys the same');

# --- a small one isn't worth it

again('small', 'tiny') for 1 .. 4;
is(scalar hot(), 1, 'a small one is made each time');

# --- bounded

my %body;

for my $round (1 .. 4) {
    for my $name (map { "b$_" } 1 .. 8) {
        my $answer = again($name, 'medium');

        $body{$name} //= $answer->body;
        ok($answer->body eq $body{$name}, "$name, round $round");
        cmp_ok(total(), '<=', 4 << 20, 'within the bound');
    }
}

cmp_ok(scalar hot(), '>=', 2, 'and some are there');

# --- a slow client of one that has to go

my $slow = again('slow', 'medium');

again('slow', 'medium') for 1 .. 2;

my $pid = $t->background(sub {
    my $answer = slowly($t->port, 4, 'POST', Phota::Test::path('remix'),
        [ 'X-API-Key' => $acme,
            'Phota-Fingerprint' => $slow->header('Phota-Fingerprint') ], '');

    $t->report($answer->body eq $slow->body ? 'whole'
        : 'cut at ' . length $answer->body);
});

for my $round (1 .. 3) {
    again("c$_", 'medium') for 1 .. 6;
    cmp_ok(total(), '<=', 4 << 20, 'within the bound beside it');
}

$t->reap($pid);
is(($t->reports)[0], 'whole', 'a slow client got every byte');

# --- purged

again('a', 'medium') for 1 .. 3;

is($cache->purge('--fingerprint', $bought->header('Phota-Fingerprint')), 1,
    'one is purged');
$t->is_miss(again('a', 'medium'), '0.120000', 'what was purged is bought again');

# --- none where none are wanted

ok($g->reload(http => '    phota_hot_memory 0;'), 'without memory');

for my $n (1 .. 4) {
    ok(again('b1', 'medium')->body eq $body{b1}, "hit $n");
}

is(scalar hot(), 0, 'none is there');

$t->finish;

done_testing();
