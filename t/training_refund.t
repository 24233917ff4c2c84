# A training that ends in ERROR is given back where the price list says so, and
# only there: once, whoever hears of it first, its tenant's poll or the gateway,
# which looks by itself, also after a crash.  What the provider gives back is
# found on its bill either way.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Phota::Test;
use Test::More;

my $slow = $Phota::Test::slow;

# fast trainings are given back, standard ones aren't

my $t = Phota::Test->new(tenants => [ qw/ acme globex / ], start => 0,
    job_poll => '1h');
my $g = $t->gateway;

$t->ctl_ok('price', 'add', '--operation', 'training', '--base-model', 'fast',
    '--usd', '1.49', '--refund-error');
$t->ctl_ok('tenant', 'set', 'globex', '--markup', '10%');
$t->start;

my ($acme, $globex) = map { $t->token($_) } qw/ acme globex /;

sub state {
    my ($answer) = @_;

    return ($t->charge($answer) // {})->{state} // 'none';
}

sub watched {
    return scalar(my @lines = split /\n/, $t->ctl_ok('job', 'list', '--json'));
}

sub status {
    my ($token, $training) = @_;

    return $t->get('profiles/' . $training->json->{profile_id} . '/status',
        $token);
}

sub owner {
    my ($training) = @_;

    my ($row) = grep { $_->{profile_id} eq $training->json->{profile_id} }
        map { JSON::PP::decode_json($_) }
        split /\n/, $t->ctl_ok('profile', 'list', '--json');

    return $row->{tenant};
}


# --- by the tenant's own poll

# the gateway would look in an hour: who hears of it is the tenant

my $failed = $t->train($acme, {}, job => 'end=error; refund=negative; '
    . Phota::Sim::HELD);

is($failed->status, 200, 'a training that will fail is taken on');
is(state($failed), 'settled', 'and charged');
is(watched(), 1, 'it is looked after');

my $early = status($acme, $failed);

isnt($early->json->{status}, 'ERROR', 'it has not failed yet');
is(state($failed), 'settled', 'so that nothing is given back');
is(status($globex, $failed)->status, 404, 'another can\'t look');

my $told;

$t->sim->end_training('shared', $failed->json->{profile_id});
ok(wait_for(sub {
    $told = status($acme, $failed);
    $told->json->{status} eq 'ERROR' }, 10), 'then it has');
is($told->status, 200, 'which its tenant is told as by Phota');
ok($told->json->{message}, 'with the reason');
ok(wait_for(sub { state($failed) eq 'reversed' }, 5),
    'and what it cost is given back');
is(watched(), 0, 'it isn\'t looked after any more');
is(owner($failed), 'acme', 'the profile stays its owner\'s');

status($acme, $failed) for 1 .. 3;
is($g->usage('--tenant', 'acme')->{total}{$_}, '0.000000',
    "once: $_ is as if it had never been") for qw/ cost price /;

# a retry of one that is looked after, and of one that was given back

my @keyed = (headers => [ 'Idempotency-Key' => 'order 1' ],
    job => 'end=error; refund=negative; delay=' . 1500 * $slow);
my $original = $t->train($acme, { tag => 'Ann' }, @keyed);
my $retry = $t->train($acme, { tag => 'Ann' }, @keyed);

is($retry->status, 200, 'a retry of a training is no job\'s');
is_deeply($retry->json, $original->json, 'it is told of the same profile');
ok(wait_for(sub { status($acme, $original);
    state($original) eq 'reversed' }, 10), 'which fails');
is_deeply($t->train($acme, { tag => 'Ann' }, @keyed)->json, $original->json,
    'its key trains no other');
is($g->usage('--tenant', 'acme')->{total}{cost}, '0.000000',
    'and costs nothing');

# many at once

my @crowd = map { $t->train($globex, {}, job => 'end=error; refund=negative') }
    1 .. 3;

is($t->charge($crowd[0])->{price}, '1.639000', 'with a markup');

my @clients = map { $t->background(sub {
    status($globex, $_) for @crowd;
}) } 1 .. 5;

$t->reap(@clients);
ok(wait_for(sub { !grep { state($_) ne 'reversed' } @crowd }, 10),
    'asked for by many at once all are given back');
is($g->usage('--tenant', 'globex')->{total}{$_}, '0.000000',
    "$_: each once, with its markup") for qw/ cost price /;


# --- only in ERROR, and only where the price list says so

my %ends = (
    'standard, in ERROR' => $t->train($acme, { training_tier => 'standard',
        image_urls => [ map { "https://example.com/$_.jpg" } 1 .. 10 ] },
        job => 'end=error; refund=none'),
    'fast, READY' => $t->train($acme, {}, job => 'end=ready'),
    'fast, INACTIVE' => $t->train($acme, {}, job => 'end=inactive'),
    'fast, never ready' => $t->train($acme, {}, job => 'end=error; '
        . 'refund=none; delay=3600000'),
    'fast, nobody could say' => $t->train($acme, {}, job => 'delay=3600000'),
);

is(watched(), 4, 'a training that is not given back isn\'t looked after');

for my $how (sort keys %ends) {
    is(status($acme, $ends{$how})->status, 200, "$how: is looked at");
}

# an answer that isn't Phota's own word says nothing

for my $fault ('status=500', 'status=400', 'status=503', 'truncate', 'close') {
    $t->get('profiles/' . $ends{'fast, nobody could say'}->json->{profile_id}
        . '/status', $acme, fault => $fault);
}

ok(wait_for(sub { watched() == 2 }, 5), 'what has ended needs no more looks');
is(state($ends{$_}), 'settled', "$_: stays charged") for sort keys %ends;


# --- by the gateway's own watching

my @alone = map { $t->train($acme, {}, job => "end=$_; refund=negative; delay="
    . 1500 * $slow) } qw/ error ready error inactive /;

is(watched(), 6, 'four that nobody asks for');

# when it is first looked at was written when it was trained: by the next
# configuration that is soon

ok($g->reload(job_poll => '1s'), 'now the gateway looks after a second');

my @soon = map { $t->train($globex, {}, job => "end=$_; refund=negative; "
    . 'delay=' . 1500 * $slow) } qw/ error ready error inactive /;

# everything is killed before they have ended

$g->kill_all;
$t->start;

ok(wait_for(sub { state($soon[0]) eq 'reversed'
    && state($soon[2]) eq 'reversed' }, 20),
    'nobody asks, and after a crash: what failed is given back');
is(state($soon[$_]), 'settled', 'what didn\'t fail stays charged')
    for 1, 3;
ok(wait_for(sub { watched() == 6 }, 20), 'then the gateway asks no more');

my $asked = $t->calls('profile');

status($globex, $_) for @soon;
is($g->usage('--tenant', 'globex')->{total}{cost}, usd(2 * 1_490_000),
    'who asks later changes nothing');

# and the others by their tenant

status($acme, $_) for @alone;
ok(wait_for(sub { watched() == 2 }, 5), 'the others are heard of by a poll');
is(join(' ', map { state($_) } @alone),
    'reversed settled reversed settled', 'and end the same way');


# --- what the bill gives back

my $file = $t->dir . '/client/bill.csv';

sub reconcile {
    open(my $fh, '>', $file) or die "$file: $!\n";
    print $fh $t->sim->bill_csv;
    close($fh);

    my ($code, $out, $err) = $t->ctl('reconcile', '--bill', $file, '--json',
        @_);
    my @rows = map { JSON::PP::decode_json($_) } split /\n/, $out;

    return ($code, $rows[-1], "$out$err");
}

my ($code, $sum, $said) = reconcile();

is($code, 0, 'lines with a minus are what the books gave back')
    or diag($said);
is($sum->{difference}, '0.000000', 'to the micro-dollar');

# Phota gives back what the price list doesn't

my @kind = map { $t->train($acme, { training_tier => 'standard', image_urls =>
    [ map { "https://example.com/$_.jpg" } 1 .. 10 ] },
    job => "end=error; refund=$_") } qw/ removed negative /;

# so that the bill goes on behind them

is($t->train($acme)->status, 200, 'one more that is well');
ok(wait_for(sub { $t->sim->bill_csv =~ /,-2\.900000$/m }, 5),
    'a line with a minus that nobody expected');
is(join(' ', map { state($_) } @kind), 'settled settled',
    'the books don\'t know of it');

($code, $sum, $said) = reconcile();
isnt($code, 0, 'the bill differs');

($code, $sum, $said) = reconcile('--apply');
is($code, 0, 'and is applied') or diag($said);
is(join(' ', map { state($_) } @kind), 'reversed reversed',
    'what is gone from it or given back there is given back') or diag($said);

($code, $sum, $said) = reconcile('--apply');
is($sum->{difference}, '0.000000', 'then no difference is left');

$t->finish(log => qr/exited on signal 9|sendmsg\(\) failed
    |bind\(\)\ to\ .*\ failed/x);

done_testing();
