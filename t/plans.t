# What a tenant owes: cost with a markup, or a fixed price, and what a hit costs
# him.  Cost, price and saved add up everywhere: headers, log, ledger, usage.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme globex initech / ],
    profiles => { globex => [ 'prof_once' ] },
    http => q{log_format money '$phota_charge_id $phota_cost $phota_price }
        . q{$phota_saved'; access_log money.log money;});

my %sum;

# posts, and adds up what the headers say

sub post {
    my ($tenant, $body, %o) = @_;

    my $answer = $t->post('remix', $t->token($tenant), $body, %o);

    for my $column (qw/ cost price saved /) {
        my $usd = $answer->header('Phota-' . ucfirst $column);
        $sum{$tenant}{$column} += micro($usd) if defined $usd;
    }

    return $answer;
}

sub is_money {
    my ($answer, $cost, $price, $saved, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is(join(' ', map { $answer->header("Phota-$_") // '-' }
        qw/ Cost Price Saved /), "$cost $price $saved", $name)
        or diag($answer->summary);
}

sub arrange {
    my ($tenant, @options) = @_;

    $t->ctl_ok('tenant', 'set', $tenant, @options);
    sleep 2;
}

# a markup, in percent, rounded once

arrange('acme', '--markup', '12.3457%');

is_money(post('acme', remix(prompt => 'p1')), '0.120000', '0.134815', '0.000000',
    'the markup is on the price, rounded half up');
is_money(post('acme', remix(prompt => 'p2', num_output_images => 3)), '0.360000',
    '0.404445', '0.000000', 'once, not for each output');
is_money(post('acme', remix(prompt => 'p1')), '0.000000', '0.000000', '0.120000',
    'a hit is free');

# hits that cost

arrange('acme', '--hit-price', '50%');

my $hit = post('acme', remix(prompt => 'p1'));

is_money($hit, '0.000000', '0.067407', '0.120000', 'half the price for a hit');

my $charge = $t->charge($hit);

is($charge->{cache}, 'hit', 'it has a charge');
is($charge->{state}, 'settled', 'that is settled');
is("$charge->{cost} $charge->{price} $charge->{saved}",
    '0.000000 0.067407 0.120000', 'for what the headers say');

arrange('acme', '--hit-price', 'full');
is_money(post('acme', remix(prompt => 'p1')), '0.000000', '0.134815', '0.120000',
    'the full price for a hit');

# which need the budget

arrange('acme', '--budget-total', '0.80');

is(post('acme', remix(prompt => 'p1'))->status, 402, 'a hit that costs can be refused');
arrange('acme', '--budget-total', 'none');

# and are served once per key

my @key = (headers => [ 'Idempotency-Key' => 'a hit' ]);
my $sold = post('acme', remix(prompt => 'p1'), @key);
my $again = post('acme', remix(prompt => 'p1'), @key);

is_money($sold, '0.000000', '0.134815', '0.120000', 'a hit with a key');
is_money($again, '0.000000', '0.000000', '0.000000', 'costs once');
is($again->header('Phota-Charge-Id'), $sold->header('Phota-Charge-Id'),
    'and has one charge');

# fixed prices

arrange('globex', '--fixed-price', 'remix=0.20/0.30', '--markup', '500%');

is_money(post('globex', remix(prompt => 'p3', num_output_images => 2,
    profile_ids => [ 'prof_once' ])), '0.270000', '0.500000', '0.000000',
    'fixed prices by output');

arrange('globex', '--hit-price', '10%');
is_money(post('globex', remix(prompt => 'p3', num_output_images => 2,
    profile_ids => [ 'prof_once' ])), '0.000000', '0.050000', '0.270000',
    'and what part of them a hit costs');

# a plan changes nothing that was before

is_money(post('initech', remix(prompt => 'p4')), '0.120000', '0.120000',
    '0.000000', 'no plan: the price is the cost');
arrange('initech', '--markup', '-10%');
is_money(post('initech', remix(prompt => 'p5')), '0.120000', '0.108000',
    '0.000000', 'a discount');

sleep 2;

my %usage = map { $_->{tenant} => $_ } @{$t->gateway->usage->{rows}};
my %ledger;

for my $entry ($t->gateway->ledger) {
    $ledger{$entry->{tenant}}{$_} += micro($entry->{$_})
        for qw/ cost price saved /;
}

for my $tenant (qw/ acme globex initech /) {
    for my $column (qw/ cost price saved /) {
        is($usage{$tenant}{$column}, usd($sum{$tenant}{$column}),
            "$tenant: the usage is the sum of what was said: $column");
    }

    is($usage{$tenant}{price}, usd($ledger{$tenant}{price}),
        "$tenant: so is the ledger's price");
}

my %log;

for my $line (split /\n/, Phota::Gateway::slurp($t->gateway->dir
    . '/money.log'))
{
    my (undef, @money) = split / /, $line;
    $log{$_} += $money[0] =~ /\d/ ? micro(shift @money) : shift @money && 0
        for qw/ cost price saved /;
}

is(usd($log{$_}), $t->gateway->usage->{total}{$_},
    "the log adds up to the usage: $_") for qw/ cost price saved /;

$t->finish;

done_testing();
