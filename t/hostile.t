# What somebody who means no good, or a disk that is bad, could get out of the
# cache's corners: pictures that were never paid for, damaged ones, links that
# die, a gateway that turns in circles, purchases that aren't joined any more.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Cache qw/ pictures links mark /;
use Phota::Fail;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(start => 0,
    tenants => [ qw/ acme half poor one two / ],
    own => { one => 'phk-the-key-of-one' },
    http => 'phota_zone 160k;', door => 'phota_cache_valid enhance 2s;',
    server => 'location /page.html { ssi on; root www; }');

my $g = $t->gateway;
my $cache = Phota::Cache->new($t);
my ($acme, $half, $poor) = map { $t->token($_) } qw/ acme half poor /;
my $fail = Phota::Fail->new($t->dir . '/fail', cache => $g->data . '/cache');

$g->{env} = $fail->env;

$t->ctl_ok('tenant', 'set', 'half', '--hit-price', '50%');
$t->ctl_ok('tenant', 'set', 'poor', '--budget-total', '0.01');
$t->ctl_ok('tenant', 'set', $_, '--cache-scope', 'shared') for qw/ one two /;
$t->start;

sub ask {
    my ($name, $count, %o) = @_;

    my $headers = [ $o{key} ? ('Idempotency-Key' => $o{key}) : (),
        @{$o{headers} || []} ];

    return $t->post('remix', $o{token} || $acme, remix(prompt => $name,
        output_format => 'png', num_output_images => $count,
        $o{mode} ? (response_mode => $o{mode}) : ()),
        headers => $headers, timeout => $o{timeout});
}

sub lines {
    my ($pattern) = @_;

    return scalar grep { $_ =~ $pattern } split /\n/, $g->log;
}


# --- links live as long as they say, in whatever answer they were: see the end

$t->post('enhance', $acme, enhance(num_output_images => 1));

my $sold = time();
my @links = links($t->post('enhance', $acme, enhance(num_output_images => 2,
    response_mode => 'urls')));

is(scalar @links, 2, 'a picture that was there and one that is bought');


# --- a picture within a page is not the end of it

mkdir $g->dir . '/www';
open(my $page, '>', $g->dir . '/www/page.html') or die "page.html: $!\n";
print $page "begin<!--# include virtual=\"$links[0]\" -->end";
close($page);

is(length $t->request('GET', '/page.html')->body,
    length('beginend') + length $t->request('GET', $links[0])->body,
    'a page goes on behind it');


# --- a key opens what it has paid for, not more

ask('sold', 4, token => $half);

my $one = ask('sold', 1, token => $half, key => 'one');

is($one->header('Phota-Price'), '0.060000', 'one of four is sold');
$t->is_error(ask('sold', 4, token => $half, key => 'one'), 422,
    'IDEMPOTENCY_MISMATCH', 'its key opens no other three',
    field => 'Idempotency-Key');
is(ask('sold', 1, token => $half, key => 'one')->header('Phota-Price'),
    '0.000000', 'but the one');

my @third = map { pictures(ask('sold', 1, token => $half, key => 'third',
    headers => [ 'Phota-Variation' => 3 ])) } 1 .. 2;

isnt($third[0], (pictures($one))[0], 'the third of four is another');
is(mark($third[1]), mark($third[0]), 'and the same for its key');
$t->is_error(ask('sold', 1, token => $half, key => 'third',
    headers => [ 'Phota-Variation' => 2 ]), 422, 'IDEMPOTENCY_MISMATCH',
    'which opens no second');

ask('few', 1);
ask('few', 3, key => 'few');

$t->is_error(ask('few', 2, key => 'few'), 422, 'IDEMPOTENCY_MISMATCH',
    'a key of three is none of two');
is(scalar pictures(ask('few', 3, key => 'few')), 3, 'it is one of three');


# --- a number of pictures that only the upstream can read

my $odd = remix(prompt => 'odd', num_output_images => 2);

$odd =~ s/"num_output_images":2/${&}e0/;

my @twice = map { $t->post('remix', $acme, $odd,
    headers => [ 'Idempotency-Key' => 'odd' ]) } 1 .. 2;

is($twice[0]->header('Phota-Cost'), '0.240000', 'two are bought');
is_deeply([ pictures($twice[1]) ], [ pictures($twice[0]) ],
    'and told again to who has the key');


# --- an age that no clock has

my $calls = $t->calls;
my $age = '18446744073709552';

ask('age', 1);
sleep 1;
$t->is_hit(ask('age', 1, headers => [ 'Cache-Control' => "max-age=$age" ]),
    '0.120000', 'any age is young enough');
is($t->calls, $calls + 1, 'and nothing is bought');


# --- damage among what is told along with what is bought

my ($good) = pictures(ask('damage', 1));

is($cache->damage_picture($good, 20_000), 1, 'a bit turns');

my $both = ask('damage', 2);
my @told = pictures($both);

is($both->header('Phota-Cost'), '0.120000', 'one more is bought');
is(scalar(grep { mark($_) eq mark($good) } @told), 0,
    'and the damaged one is not shown');
is_deeply([ map { $_ eq ($t->sim->delivered)[0] } @told ], [ 1 ],
    'what was bought is');

my $again = ask('damage', 2);

is(scalar pictures($again), 2, 'two the next time');
is($again->header('Phota-Cost'), '0.120000', 'for the one that lacks');
$t->is_hit(ask('damage', 2), '0.240000', 'then both are there');


# --- a damaged answer of a key, and a disk that lets nothing be removed

my $kept = ask('keyed', 1, key => 'kept');
my ($shown) = pictures($kept);

$t->restart;
is($cache->damage_picture($shown, 20_000), 1, 'a bit turns');
$fail->arm(in => [ 'cache' ], to => 'always', error => 'ENOSPC');

my $before = lines(qr/not shown/);
my $stuck = ask('keyed', 1, key => 'kept', timeout => 5);

$t->is_error($stuck, 503, 'BOOKS_UNAVAILABLE', 'a key whose answer is bad');
cmp_ok(lines(qr/not shown/) - $before, '<=', 2, 'it was tried once or twice');
$fail->clear;


# --- a tenant without money who asks and asks

$calls = $t->calls;

my $c = $t->connect(timeout => 60);
my %refused;

for my $i (1 .. 300) {
    my $answer = $c->exchange('POST', '/v1/phota/remix', [ 'X-API-Key' =>
        $poor, 'Content-Type' => 'application/json' ],
        remix(prompt => "poor $i"));

    $refused{$answer->status}++;
}

is_deeply(\%refused, { 402 => 300 }, 'three hundred are refused');
is(lines(qr/the zone is full/), 0, 'and take nobody\'s place');

# --- a tenant whose account is refused, and another who waits for him

for my $status (401, 402, 429, 422) {
    my $body = remix(prompt => "account $status");

    $calls = $t->calls;

    my $pid = $t->background(sub {
        $t->post('remix', $t->token('one'), $body,
            fault => "status=$status;latency=1000");
    });

    wait_for(sub { $t->calls > $calls }, 10);

    my $other = $t->post('remix', $t->token('two'), $body);

    $t->reap($pid);

    if ($status == 422) {
        is($other->status, 422, 'what is wrong with the request is told');

    } else {
        $t->is_miss($other, '0.120000', "$status: he buys by his own");
    }
}


# --- when the result has expired, and what is garbage has gone

my $left = $sold + 15 - time();

sleep($left) if $left > 0;
is(join(' ', map { $t->request('GET', $_)->status } @links), '200 200',
    'the links of both outlive it');

$t->finish;

done_testing();
