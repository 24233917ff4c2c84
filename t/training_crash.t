# A settled training has its owner, always: both are written at once or not at
# all.  Everything is killed while a training is under way or being written, and
# the disk is full at every write in turn; what comes of it is a charge with its
# profile or one that is unknown, and for that an operator says whose it is.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Phota::Fail;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep /;

my $slow = $Phota::Test::slow;
my $rounds = $ENV{PHOTA_CRASH_ROUNDS} || 3;

my $t = Phota::Test->new(tenants => [ qw/ acme globex / ], start => 0,
    profiles => {});
my $g = $t->gateway;
my $fail = Phota::Fail->new($t->dir . '/fail', books => $g->data . '/books');

# half of them are looked after as well, by a row in the same transaction

$t->ctl_ok('price', 'add', '--operation', 'training', '--base-model', 'fast',
    '--usd', '1.49', '--refund-error');

$t->sim->config(strict_profiles => JSON::PP::true());
$g->{env} = $fail->env;
$t->start;

my %token = map { $_ => $t->token($_) } qw/ acme globex /;
my @tiers = ({}, { training_tier => 'standard', image_urls =>
    [ map { "https://example.com/$_.jpg" } 1 .. 10 ] });

sub owners {
    return map { JSON::PP::decode_json($_) }
        split /\n/, $t->ctl_ok('profile', 'list', '--json');
}

sub trainings {
    return grep { $_->{operation} eq 'training' } $g->ledger;
}

# every settled one has one profile, of its tenant; no other charge has any; and
# these are profiles that Phota knows

sub is_sound {
    my ($name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my (%profiles, @wrong);
    my %known = map { $_->{profile_id} => 1 } $t->sim->profiles;

    for my $row (grep { $_->{charge_id} } owners()) {
        push @{$profiles{$row->{charge_id}}}, $row;
        push @wrong, "Phota knows no $row->{profile_id}"
            if !$known{$row->{profile_id}};
    }

    for my $charge (trainings()) {
        my @rows = @{delete $profiles{$charge->{charge_id}} || []};
        my $owned = grep { $_->{tenant} eq $charge->{tenant} } @rows;
        my $expected = $charge->{state} eq 'settled'
            && $charge->{reason} ne 'operator' ? 1 : 0;

        push @wrong, "$charge->{charge_id}: $charge->{state}, " . @rows
            . ' profiles' if @rows != $expected || $owned != $expected;
    }

    push @wrong, map { "$_: no such charge" } keys %profiles;

    return ok(!@wrong, $name) || diag(join("\n", @wrong));
}

# Which of the unknown ones the bill has: some were never sent.  Two tiers, and
# few of them: the sum tells how many of each.

sub on_the_bill {
    my %holds;
    my $rest = $t->bill->{amount} - micro($g->usage->{total}{cost});

    push @{$holds{$_->{amount}}}, $_ for $g->holds;

    my @fast = @{$holds{'1.490000'} || []};
    my @standard = @{$holds{'2.900000'} || []};

    for my $n (0 .. @standard) {
        my $m = ($rest - $n * 2_900_000) / 1_490_000;
        next if $m < 0 || $m > @fast || $m != int $m;

        my @billed = (splice(@standard, 0, $n), splice(@fast, 0, $m));
        return (\@billed, @standard, @fast);
    }

    die "the bill has $rest more than the books can tell\n";
}

# what nobody knows is on the bill: an operator says so, and whose it is

sub mend {
    my ($name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my %owned = map { $_->{profile_id} => 1 } owners();
    my @lost = grep { !$owned{$_} } map { $_->{profile_id} } $t->sim->profiles;
    my ($billed, @others) = on_the_bill();

    is(scalar @lost, scalar @$billed, "$name: as many are unknown and billed "
        . 'as have no owner');

    $t->ctl_ok('holds', 'settle', $_->{charge_id}, '--outputs', 1, '--reason',
        'on the bill') for @$billed;
    $t->ctl_ok('holds', 'void', $_->{charge_id}, '--reason',
        'not on the bill') for @others;

    for my $id (@lost) {
        is($t->get("profiles/$id/status", $token{acme})->status, 404,
            "$name: it is nobody's");
        $t->ctl_ok('profile', 'adopt', 'acme', $id);
        is($t->get("profiles/$id/status", $token{acme})->status, 200,
            "$name: until it is adopted");
    }
}

sub all_known {
    return !grep { $_->{state} eq 'held' } $g->holds;
}


# --- killed while it is under way, and while it is being written

for my $round (1 .. $rounds) {
    my $fields = $tiers[$round % 2];
    my $key = [ 'Idempotency-Key' => "order $round" ];

    my $pid = $t->background(sub {
        eval { $t->train($token{acme}, $fields, headers => $key,
            fault => 'latency=' . ($round % 2 ? 2000 : 1000) * $slow,
            timeout => 10) };
    });

    ok($t->sim->wait_in_flight(1, 10 * $slow), 'a training is under way');

    # the call comes back, but what it brought can't be written

    my $held = $round % 2 ? $g->hold_books : undef;

    $t->sim->wait_in_flight(0, 10 * $slow) if $held;
    sleep 0.1 * $slow if $held;
    $g->kill_all;
    $t->reap($pid);
    $g->release_books($held) if $held;
    $t->start;
    $t->sim->wait_in_flight(0, 10 * $slow);

    ok(wait_for(\&all_known, 15), 'everything is killed, and started again');
    is_sound('what is settled is owned');
    $t->is_error($t->train($token{acme}, $fields, headers => $key), 409,
        'OUTCOME_UNKNOWN', 'its client is told that nobody knows');
    mend($held ? 'killed while it was written' : 'killed on its way');
    is($t->train($token{globex}, $fields)->status, 200,
        'trainings go on');
}

# killed at any moment, with many under way

for my $round (1 .. $rounds) {
    my @clients = map {
        my ($name, $number) = ($_ % 2 ? 'acme' : 'globex', $_);
        $t->background(sub { for (1 .. 20) {
            eval { $t->train($token{$name}, $tiers[$number % 2],
                timeout => 5) } or last;
        } });
    } 1 .. 4;

    sleep 0.1 + rand 0.3;
    $g->kill_all;
    $t->reap(@clients);
    $t->start;
    $t->sim->wait_in_flight(0, 10 * $slow);

    ok(wait_for(\&all_known, 15), 'killed with many under way');
    is_sound('what is settled is owned');
    mend('of many');
}


# --- the disk is full at every write in turn

for my $at (1 .. 8) {
    my $pid = $t->background(sub {
        my $answer = eval { $t->train($token{globex}, $tiers[$at % 2],
            fault => 'latency=' . 300 * $slow) };
        $t->report($answer ? $answer->status : 'none');
    });

    ok($t->sim->wait_in_flight(1, 10 * $slow), 'a training is under way');
    $fail->arm(in => [ 'books' ], at => $at, to => 'always',
        error => 'ENOSPC');
    $t->reap($pid);
    is_sound("no room from write $at on: what is settled is owned");
    $fail->clear;

    ok(wait_for(sub { !(my @holds = $g->holds) }, 20),
        'with room again it is settled');
    is_sound('and owned');
}

my %told;

$told{$_}++ for $t->reports;
ok(!$told{none}, 'every client was answered');
ok($told{502}, 'some that nothing is certain') or diag(explain \%told);

$t->finish(log => qr/exited on signal 9|sendmsg\(\) failed
    |bind\(\)\ to\ .*\ failed/x);

done_testing();
