# Phota-Dry-Run tells what a request would do and come to, and what the budgets
# have left, as the request itself would find it; nothing is bought, held,
# counted or stored by it, and nothing of other tenants can be learned.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme globex plan poor / ],
    profiles => { acme => [ 'prof_a' ], plan => [ 'prof_p' ] }, start => 0);
my ($acme, $globex, $plan, $poor) = map { $t->token($_) }
    qw/ acme globex plan poor /;

$t->ctl_ok('tenant', 'set', 'plan', '--markup', '25%', '--hit-price', '50%',
    '--budget-day', '5', '--budget-month', '100', '--budget-total', '1000');
$t->ctl_ok('tenant', 'set', 'poor', '--budget-total', '0.20');

my $limited = $t->issue('plan', '--budget-total', '2');

$t->start;

# the verdict over a request, and that it is nothing else

sub try_out {
    my ($operation, $token, $body, %o) = @_;

    return $t->post($operation, $token, $body, %o, headers =>
        [ 'Phota-Dry-Run' => 1, @{$o{headers} || []} ]);
}

sub is_verdict {
    my ($answer, $expected, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my %said = %{$answer->json};

    delete @said{qw/ budget within_budget /};

    is($answer->status, 200, "$name: an answer");
    is(join(' ', map { "$_=$said{$_}" } sort keys %said),
        join(' ', map { "$_=$expected->{$_}" } sort keys %$expected), $name);
    is($answer->header('Phota-Charge-Id'), undef, "$name: no charge");
    like($answer->header('Cache-Status'), qr/; detail=dry-run; key="/,
        "$name: says that it is a trial");
}

# a miss of n outputs of remix at the list's price; changes to that

sub miss {
    my ($n, %change) = @_;

    my $usd = usd(120000 * $n);

    return { cache => 'miss', operation => 'remix', outputs => $n,
        stored => 0, buys => $n, cost => $usd, cost_max => $usd,
        price => $usd, price_max => $usd, saved => '0.000000', %change };
}

sub hit {
    my ($n, $stored, %change) = @_;

    return miss($n, cache => 'hit', stored => $stored, buys => 0,
        (map { $_ => '0.000000' } qw/ cost cost_max price price_max /),
        saved => usd(120000 * $n), %change);
}

my $body = remix(prompt => 'a', num_output_images => 2);

for my $way (
    [ 'HTTP/1.1' ], [ 'HTTP/2', http2 => 1 ], [ 'chunked', chunked => 100 ],
    [ 'Expect', expect => 1 ],
) {
    my ($name, %how) = @$way;

    is_verdict(try_out('remix', $acme, $body, %how), miss(2),
        "a miss, $name");
}

is($t->calls, 0, 'nothing was bought');
is(scalar(my @none = $t->gateway->ledger), 0, 'nothing is in the books');
is(JSON::PP::decode_json($t->ctl_ok('cache', 'stats', '--json'))->{results},
    0, 'nothing is stored');

# with names the price depends on who is seen

is_verdict(try_out('remix', $acme, remix(prompt => 'a', num_output_images =>
    4, profile_ids => [ 'prof_a' ])), miss(4, cost_max => '0.600000',
    price_max => '0.600000'), 'a range of prices');

# what it said is what comes to pass

my $bought = $t->post('remix', $acme, $body);

$t->is_miss($bought, '0.240000', 'then it is bought');

for my $mode (qw/ bytes urls /) {
    is_verdict(try_out('remix', $acme, remix(prompt => 'a',
        num_output_images => 2, response_mode => $mode)), hit(2, 2),
        "a hit as $mode");
}

is_verdict(try_out('remix', $acme, remix(prompt => 'a')), hit(1, 2),
    'a hit with one of two');
is_verdict(try_out('remix', $acme, remix(prompt => 'a',
    num_output_images => 4)), miss(4, stored => 2, buys => 2,
    map { $_ => '0.240000' } qw/ cost cost_max price price_max /),
    'two more to two');

my $trial = try_out('remix', $acme, $body);

is($trial->header('Phota-Fingerprint'), $bought->header('Phota-Fingerprint'),
    'with the fingerprint');
is($trial->header('Content-Type'), 'application/json', 'as JSON');
unlike($trial->body, qr/images|prof_|"a"/, 'and no picture');

# by fingerprint, without a body

my @known = ('Phota-Fingerprint' => $bought->header('Phota-Fingerprint'));

is_verdict(try_out('remix', $acme, '', headers => \@known), hit(1, 2),
    'by its fingerprint');
$t->is_error(try_out('remix', $globex, '', headers => \@known), 412,
    'NOT_CACHED', 'a foreign one is unknown');

# what a client says about the cache

for my $case (
    [ 'no-store', miss(2, cache => 'bypass') ],
    [ 'no-cache', miss(2) ],
) {
    my ($control, $expected) = @$case;
    my $said = try_out('remix', $acme, $body, headers =>
        [ 'Cache-Control' => $control ]);

    delete $expected->{stored};
    is($said->status, 200, "$control: an answer");
    is($said->json->{$_}, $expected->{$_}, "$control: $_")
        for sort keys %$expected;
}

$t->is_error(try_out('remix', $acme, remix(prompt => 'b'), headers =>
    [ 'Cache-Control' => 'only-if-cached' ]), 504, 'NOT_CACHED',
    'only-if-cached is refused as it would be');

# another tenant sees nothing of it

is_verdict(try_out('remix', $globex, $body), miss(2), 'a miss for others');

# what is refused is refused

$t->is_error(try_out('edit', $acme, object([ qw/ prompt images / ],
    { prompt => 'x', images => [ 'https://img.example/1.jpg' ] })), 422,
    'PRICE_UNKNOWN', 'no price');
$t->is_error(try_out('remix', $acme, '{"input_image":1}'), 422,
    'INVALID_REQUEST', 'a bad body');
$t->is_error(try_out('remix', 'nobody', $body), 401, 'UNAUTHORIZED',
    'no token');

for my $value (qw/ yes 2 true 11 /, '') {
    $t->is_error($t->post('remix', $acme, remix(prompt => 'never'),
        headers => [ 'Phota-Dry-Run' => $value ]), 422, 'INVALID_REQUEST',
        "\"$value\" is not bought by mistake", field => 'Phota-Dry-Run');
}

# plans, and what is left

sub budget {
    my ($answer, $whose) = @_;

    my $left = $answer->json->{budget}{$whose};

    return join(' ', map { $left->{$_} // 'null' } qw/ day month total /);
}

my $priced = remix(prompt => 'p', num_output_images => 2,
    profile_ids => [ 'prof_p' ]);
my $said = try_out('remix', $plan, $priced);

is_verdict($said, miss(2, cost_max => '0.300000', price => '0.300000',
    price_max => '0.375000'), 'a plan');
is(budget($said, 'tenant'), '5.000000 100.000000 1000.000000',
    'what is left of all budgets');
is(budget($said, 'token'), 'null null null', 'no limit is none');
ok($said->json->{within_budget}, 'what it may come to is in them');

my $paid = $t->post('remix', $plan, $priced);

is($paid->header('Phota-Price'), '0.375000', 'bought within the range');

$said = try_out('remix', $limited, $priced);
is_verdict($said, hit(2, 2, price => '0.187500', price_max => '0.187500',
    saved => '0.300000'), 'half of it for a hit');
is(budget($said, 'tenant'), '4.625000 99.625000 999.625000',
    'what is left after it');
is(budget($said, 'token'), 'null null 2.000000', 'of the token, too');

my $hit = $t->post('remix', $limited, $priced);

is($hit->header('Phota-Price'), '0.187500', 'and that is what it costs');
$said = try_out('remix', $limited, $priced);
is(budget($said, 'tenant'), '4.437500 99.437500 999.437500',
    'which is gone from the tenant');
is(budget($said, 'token'), 'null null 1.812500', 'and from the token');

# a hold counts while a call is under way

my $pid = $t->background(sub {
    $t->post('remix', $plan, remix(prompt => 'slow'),
        fault => 'latency=1500');
});

ok($t->sim->wait_in_flight(1, 10), 'a call is under way');
is_verdict(try_out('remix', $plan, remix(prompt => 'slow')), miss(1,
    price => '0.150000', price_max => '0.150000'), 'it is a miss so far');
is(budget(try_out('remix', $plan, remix(prompt => 'slow')), 'tenant'),
    '4.287500 99.287500 999.287500', 'and what it holds is not left');
$t->reap($pid);

# more than is left

$said = try_out('remix', $poor, $body);

is_verdict($said, miss(2), 'more than the budget has');
is(budget($said, 'tenant'), 'null null 0.200000', 'as can be seen');
ok(!$said->json->{within_budget}, 'and is said');
is($t->post('remix', $poor, $body)->status, 402, 'and is refused');

# a key is not used up by a trial

my @key = (headers => [ 'Idempotency-Key' => 'k' ]);

is_verdict(try_out('remix', $acme, remix(prompt => 'k'), @key), miss(1),
    'with a key');
$t->is_miss($t->post('remix', $acme, remix(prompt => 'k'), @key), '0.120000',
    'which can be used then');
is_verdict(try_out('remix', $acme, remix(prompt => 'k'), @key),
    hit(1, 0, saved => '0.000000'), 'a retry costs nothing');
$t->is_error(try_out('remix', $acme, remix(prompt => 'l'), @key), 422,
    'IDEMPOTENCY_MISMATCH', 'and another request is refused');
$t->is_miss($t->post('remix', $acme, remix(prompt => 'zero'), headers =>
    [ 'Phota-Dry-Run' => '0' ]), '0.120000', 'no trial is a request');

# nothing of all this is in the books but what was bought and sold

sleep 2;

my %calls = map { $_->{tenant} => "$_->{calls} $_->{hits} $_->{cost}" }
    @{$t->gateway->usage->{rows}};

is_deeply(\%calls, { acme => '3 0 0.480000', plan => '3 1 0.420000' },
    'calls, hits and cost');
is($t->calls, 5, 'and what has reached Phota');

$t->finish;

done_testing();
