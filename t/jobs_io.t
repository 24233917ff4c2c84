# A disk that fails at any write of a job: what the client is told of is charged
# as the bill says, what nobody knows is unknown, nothing stays open, and
# nothing is bought twice.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Phota::Fail;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep /;

my $t = Phota::Test->new(start => 0, workers => 2);
my $g = $t->gateway;
my $acme = $t->token('acme');
my $fail = Phota::Fail->new($t->dir . '/fail', books => $g->data . '/books',
    cache => $g->data . '/cache');

$g->{env} = $fail->env;
$t->start;

my %small = (input => noise(300, 1), reference => noise(300, 2));
my $settled = 'settled delivered';
my $serial = 0;

$t->sim->config(size => 'tiny');

sub job {
    my ($order, %o) = @_;

    return $t->submit('remix', $acme, { %small, prompt => 'disk '
        . ++$serial }, job => $order, %o);
}

sub state_of {
    my ($job) = @_;

    my $charge = $t->charge($job) || return 'none';

    return "$charge->{state} $charge->{reason}";
}

# how a job goes whose handle and end are written there

sub on_bad_disk {
    my ($way, $at) = @_;

    my @wrong;
    my $calls = $t->sim->calls('remix');

    $fail->arm(in => [ 'books' ], at => $at, error => $way->{error},
        how => $way->{how}, to => $way->{to});

    my $x = job('delay=30', timeout => 10);
    my $bought = $t->sim->calls('remix') - $calls;

    if ($x->status == 202) {
        $t->poll($acme, $x) for 1 .. 2;
    }

    sleep 0.3;
    $fail->clear;

    my $what = "$way->{name} at $at, answered " . $x->status;

    if (!$fail->failed) {
        $t->poll_until($acme, $x);
        return (0, $what);
    }

    push @wrong, 'no clear error: ' . $x->summary
        if $x->status != 202 && !($x->status >= 500 && $x->json->{detail});
    push @wrong, "$bought bought" if $bought > 1;

    # all that is open becomes settled, or unknown: nobody has to ask

    wait_for(sub { !grep { $_->{state} eq 'held' } $g->holds }, 20)
        or push @wrong, 'it stays open: '
            . join(' ', map { JSON::PP::encode_json($_) } $g->holds);

    push @wrong, 'a job that was told is ' . state_of($x)
        if $x->status == 202 && state_of($x) ne $settled;

    my ($code, $out, $err) = $t->ctl('ledger', 'verify');

    push @wrong, "verify: $out$err" if $code;

    for my $unknown ($g->holds) {
        $t->ctl_ok('holds', $bought ? ('settle', $unknown->{charge_id},
            '--outputs', 1) : ('void', $unknown->{charge_id}),
            '--reason', 'as the bill says');
    }

    my $sum = micro($g->usage->{total}{cost});
    my $bill = $t->bill->{amount};

    push @wrong, "settled $sum, bill $bill" if $sum != $bill;

    return (1, $what, map { "  $_" } @wrong);
}

my @ways = (
    { name => 'one error', error => 'EIO', step => 6 },
    { name => 'done, and said to have failed', error => 'EIO', how => 'late',
      step => 6 },
    { name => 'no room', error => 'ENOSPC', to => 'always', step => 13 },
);

# with PHOTA_IO_ALL at every write, which takes minutes

for my $way (@ways) {
    my @all;
    my $step = $ENV{PHOTA_IO_ALL} ? 1 : $way->{step};
    my $at = 1 - $step;

    while (($at += $step) < 60) {
        my ($met, $what, @wrong) = on_bad_disk($way, $at);

        last if !$met;
        push @all, $what, @wrong if @wrong;
    }

    ok(!@all, "$way->{name}, at writes of the books")
        or diag(join("\n", @all));
    cmp_ok($at, '>', 4, "there were less than $at");
}

$t->finish;

done_testing();
