# The cache stays within its size under any load, and lets go of what was used
# longest ago, also after a restart; results end when they were said to.  None
# of it touches who is being answered: a slow reader gets every byte of what is
# evicted and purged meanwhile, and links live as long as was promised.
#
# PHOTA_LIMITS_ALL=1: with results that are used again, which takes 90 s.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Cache;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $all = $ENV{PHOTA_LIMITS_ALL};
my $max = 16 << 20;
my $port = Phota::Gateway::free_port();
my $t = Phota::Test->new(workers => 2,
    server => "        listen 127.0.0.1:$port sndbuf=16k;",
    http => '    phota_cache_max_size 16m;',
    door => '            phota_cache_valid 2s;');
my $cache = Phota::Cache->new($t);
my $acme = $t->token('acme');
my @names;

sub buy {
    my ($name, $size, %fields) = @_;

    return $t->post('remix', $acme, remix(prompt => $name, %fields), headers =>
        [ 'X-Sim-Size' => $size ]);
}

# y or n for each: whether it is there, told by a trial, which uses nothing

sub there {
    my (@names) = @_;

    return join('', map {
        my $trial = $t->post('remix', $acme, remix(prompt => $_), headers =>
            [ 'Phota-Dry-Run' => 1 ]);
        ($trial->json->{cache} // '') eq 'hit' ? 'y' : 'n'
    } @names);
}

# the same, when the sweep has done its work: a moment later

sub settled {
    my ($now, $was) = ('', '');

    wait_for(sub {
        $was = $now;
        sleep 1.2;
        $was eq ($now = there(@names))
    }, 10);

    return $now;
}


# --- lifetime

my $linked = buy('linked', 'small', response_mode => 'urls');
my ($link) = links($linked);

buy('plain', 'small');

my $picture = $t->request('GET', $link);

sub max_age {
    my ($answer) = @_;

    return ($answer->header('Cache-Control') // '')
        =~ /^private, max-age=(\d+)$/ ? $1 : -1;
}

my $age = max_age($picture);

ok($age > 86_390 && $age <= 86_400, 'a link says how long it lives');
is(there(qw/ linked plain /), 'yy', 'two results');

sleep 2.5;

is(there(qw/ linked plain /), 'nn', 'their two seconds are over');
cmp_ok(max_age($t->request('GET', $link)), '<=', $age - 2,
    "the link's day is not");
ok(wait_for(sub { $cache->stats->{pictures} == 1 }, 5),
    'what nobody has a link to goes');
ok($t->request('GET', $link)->body eq $picture->body,
    'what somebody has a link to stays');
$t->is_miss(buy('plain', 'tiny'), '0.120000', 'the next one buys');

ok($t->gateway->reload(door => '', http => "    phota_cache_max_size 16m;\n"
    . '    phota_results_valid 2s;'), 'links of two seconds');

my ($short) = links(buy('short', 'tiny', response_mode => 'urls'));

cmp_ok(max_age($t->request('GET', $short)), '<=', 2, 'one says so');
sleep 2.2;
$t->is_error($t->request('GET', $short), 403, 'OPERATION_NOT_ALLOWED',
    'then it is dead');
is(there('short'), 'y', 'and its result is not');


# --- slow readers, of what goes meanwhile

my $slow = buy('slow', 'small');
my $path = Phota::Test::path('remix');
my $begun = time();
my @readers = map {
    my $what = $_;

    $t->background(sub {
        my $answer = $what eq 'link'
            ? slowly($port, 12.5, 'GET', $link, [])
            : slowly($port, 12.5, 'POST', $path, [ 'X-API-Key' => $acme,
                'Phota-Fingerprint' => $slow->header('Phota-Fingerprint') ],
                '');
        my $same = $answer->body eq ($what eq 'link' ? $picture->body
            : $slow->body);

        $t->report(sprintf('%s %s %s %s', $what, $answer->status,
            $same ? 'whole' : 'cut at ' . length $answer->body,
            $answer->{seconds} > 11 ? 'slowly' : "in $answer->{seconds} s"));
    })
} qw/ link hit /;

sleep 1;
cmp_ok($cache->purge('--all'), '>=', 1, 'all is purged');
is($t->post('remix', $acme, '', headers => [ 'Phota-Fingerprint' =>
    $slow->header('Phota-Fingerprint') ])->status, 412, 'it is gone');


# --- size

my @sizes = (qw/ tiny small medium /);
my ($largest, $stored) = (0, 0);

srand($ENV{PHOTA_SEED} || 7);

for my $i (1 .. 60) {
    my $answer = buy("size $i", $sizes[rand @sizes],
        output_format => (qw/ jpg png /)[rand 2]);

    $stored++ if Phota::Test::source($answer) =~ /stored/;
    $largest = $cache->size if $cache->size > $largest;

    is($answer->status, 200, "size $i is answered")
        if $answer->status != 200;
}

note(sprintf('60 purchases, %d stored, file at most %.3f of the limit',
    $stored, $largest / $max));
cmp_ok($largest, '<=', 1.1 * $max, 'the file stays within 1.1 of its limit');
cmp_ok($largest, '>', 0.6 * $max, 'and has been full');
cmp_ok($stored, '>', 40, 'with nearly all stored');


# --- order

@names = map { "n$_" } 1 .. 22;

$t->is_miss(buy($_, 'medium'), '0.120000', "$_ is bought") for @names;

my $left = settled();

like($left, qr/^n{3,}y{4,}$/, "the oldest went, in their order: $left");
ok($t->restart, 'nginx restarts');
is(there(@names), $left, 'they are still there');

my ($gone) = $left =~ /^(n+)/;

my @more = map { "n$_" } 23 .. 26;

push @names, @more;
buy($_, 'medium') for @more;

my $now = there(@names);

like($now, qr/^n{@{[ 1 + length $gone ]},}y{4,}$/,
    "and still go in their order: $now");

SKIP: {
    skip('PHOTA_LIMITS_ALL is not set', 2) unless $all;

    # the use of a result counts when the last one is a minute ago

    sleep 61;
    $now = settled();

    my @old = map { $names[$_] } grep { substr($now, $_, 1) eq 'y' }
        0 .. $#names;

    is(buy($old[0], 'medium')->header('Phota-Cost'), '0.000000',
        'the oldest is used again');
    sleep 2;

    for (1 .. 12) {
        buy("later $_", 'medium');
        last if there(@old) =~ /n/;
    }

    like(there(@old), qr/^yn/, 'it stays, and the next one goes');
}


# --- a smaller cache, and what is too large for it

ok($t->gateway->reload(http => '    phota_cache_max_size 8m;'), 'eight MB');

my $huge = buy('huge', 'large', num_output_images => 4,
    output_format => 'png');

$t->is_miss($huge, '0.480000', 'what is larger than the cache is answered',
    cache => 'phota; fwd=uri-miss');
ok(wait_for(sub { $cache->stats->{bytes} <= 8 << 20 }, 5),
    'what is over the new limit goes');
is(there(qw/ n1 n10 /), 'nn', 'the oldest first');


# --- what became of the readers

$t->reap(@readers);
is_deeply([ sort $t->reports ], [ 'hit 200 whole slowly',
    'link 200 whole slowly' ], 'slow readers got every byte');
is($t->request('GET', $link)->status, 404, 'of what nobody else gets');

my ($code, undef, $wrong) = $cache->check;

is($code, 0, 'the cache is sound') or diag($wrong);

$t->finish;

done_testing();
