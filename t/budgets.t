# A budget is exact: with room for k pictures, whatever the number of requests,
# of workers, and of the moment, k are bought and the rest are told what is left
# and when that changes.  What came to nothing returns its money at once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme globex initech umbrella / ],
    workers => 2);

sub budget {
    my ($tenant, @options) = @_;

    $t->ctl_ok('tenant', 'set', $tenant, @options);
    sleep 2;
}

sub spending {
    my ($tenant) = @_;

    return JSON::PP::decode_json($t->ctl_ok('--json', 'tenant', 'show',
        $tenant))->{budgets};
}

# many at once

my $room = 12;
my $requests = $ENV{PHOTA_BUDGET_REQUESTS} || 120;

budget('acme', '--budget-day', usd($room * 120_000 + 119_999));

my @answers;

for my $part (1 .. $requests / 40) {
    push @answers, $t->parallel(map { [ 'remix', $t->token('acme'),
        remix(prompt => "$part $_"), fault => 'latency=100' ] } 1 .. 40);
}

my @bought = grep { $_->status == 200 } @answers;
my @refused = grep { $_->status == 402 } @answers;

is(scalar @bought, $room, "of $requests requests $room were bought");
is(scalar @refused, $requests - $room, 'and all others refused');
is($t->calls, $room, 'which Phota never saw');

$t->is_error($refused[-1], 402, 'BUDGET_EXCEEDED', 'they are told so',
    detail => qr/day budget of the tenant/, left => '0.119999',
    resets_at => qr/^\d{4}-\d\d-\d\dT00:00:00(?:\.000)?Z$/);
like($refused[-1]->header('Retry-After'), qr/^[1-9]\d*$/, 'and when to come');
is($refused[-1]->header('Phota-Charge-Id'), undef, 'nothing was written');

my $day = spending('acme')->{day};

is($day->{spent}, usd($room * 120_000), 'the day has spent it');
is($day->{held}, '0.000000', 'holds nothing');
is($day->{left}, '0.119999', 'has the rest left');
ok($day->{warning}, 'and warns');

my ($known) = grep { $answers[$_]->status == 200 } 0 .. $#answers;

$t->is_hit($t->post('remix', $t->token('acme'),
    remix(prompt => int($known / 40) + 1 . ' ' . ($known % 40 + 1))),
    '0.120000', 'a free hit needs no budget');

# a larger one, seen while nginx runs

budget('acme', '--budget-day', 'none', '--budget-month',
    usd(($room + 1) * 120_000));

$t->is_miss($t->post('remix', $t->token('acme'), remix(prompt => 'more')),
    '0.120000', 'a larger budget is seen');
$t->is_error($t->post('remix', $t->token('acme'), remix(prompt => 'enough')),
    402, 'BUDGET_EXCEEDED', 'the month counts what the day counted',
    detail => qr/month budget of the tenant/, left => '0.000000');

# the hold is for the most that the call can come to

budget('globex', '--budget-total', '0.30');

my $globex = $t->token('globex');

$t->is_error($t->post('remix', $globex, remix(num_output_images => 3)),
    402, 'BUDGET_EXCEEDED', 'three of 0.12 do not fit in 0.30');

# what came to nothing

for my $fault ('status=503', 'status=400', 'early=400') {
    my $answer = $t->post('remix', $globex, remix(num_output_images => 2,
        prompt => $fault), fault => $fault);

    isnt($answer->status, 402, "$fault: it was tried");
}

my $total = spending('globex')->{total};

is($total->{left}, '0.300000', 'voids return their money');

$t->is_miss($t->post('remix', $globex, remix(num_output_images => 2)),
    '0.240000', 'so that there is room');

$total = spending('globex')->{total};
is($total->{left}, '0.060000', 'which the purchase takes');
is($total->{warning} ? 1 : 0, 1, 'it warns from 80 % on');

my $none = $t->post('remix', $globex, remix(prompt => 'last'));

$t->is_error($none, 402, 'BUDGET_EXCEEDED', 'and is used up', left => '0.060000');
ok(!exists $none->json->{resets_at}, 'a total never resets');

# an unknown one keeps its hold

budget('initech', '--budget-day', '0.24');

my $initech = $t->token('initech');
my $lost = $t->post('remix', $initech, remix(prompt => 'lost'),
    fault => 'status=500;bill=1');

is($lost->status, 500, 'an unknown outcome');
is(spending('initech')->{day}{held}, '0.120000', 'keeps its money');
is($t->post('remix', $initech, remix(prompt => 'a'))->status, 200,
    'there is room for one more');
is($t->post('remix', $initech, remix(prompt => 'b'))->status, 402, 'not two');

my ($hold) = $t->gateway->holds;

$t->ctl_ok('holds', 'settle', $hold->{charge_id}, '--outputs', '1',
    '--reason', 'it was billed');
is(spending('initech')->{day}{spent}, '0.240000', 'settled, it is spent');

# a token's own

my $small = $t->issue('umbrella', '--budget-day', '0.12');
my $other = $t->issue('umbrella');

sleep 2;

is($t->post('remix', $small, remix(prompt => 'u1'))->status, 200,
    'a token buys');
$t->is_error($t->post('remix', $small, remix(prompt => 'u2')), 402,
    'BUDGET_EXCEEDED', 'as much as it may',
    detail => qr/day budget of the token/);
is($t->post('remix', $other, remix(prompt => 'u3'))->status, 200,
    "another of the tenant isn't concerned");

# after a restart

ok($t->restart, 'nginx restarts');
is($t->post('remix', $small, remix(prompt => 'u4'))->status, 402,
    'a restart forgets nothing');

$t->finish;

done_testing();
