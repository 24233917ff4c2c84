# The test that is the product: a worker is killed at any moment, under load
# and with a faulty upstream, again and again.  Phota's bill always lies between
# what is settled and that plus what is unknown, the ledger stays sound, and no
# charge that a client was told of is ever lost.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep /;

my $rounds = $ENV{PHOTA_CRASH_ROUNDS} || 8;
my $slow = $Phota::Test::slow;

my $t = Phota::Test->new(tenants => [ qw/ acme globex / ],
    params => { proxy_read_timeout => 2 * $slow . 's' });

# in every other round nothing goes wrong but the kill

my @faults = ('', '', '', 'latency=50', 'latency=200', 'slow=100', 'chunked',
    'status=400', 'status=500', 'status=504', 'truncate', 'chunkedcut=500',
    'reset', 'reset;bill=1', 'resetlate', 'close', 'garbage', 'partial=1');

# a client: unlike requests, now and then one that was made before

sub client {
    my ($round, $id, $seconds) = @_;

    my $token = $t->token($id % 2 ? 'acme' : 'globex');
    my $end = time() + $seconds;
    my $n = 0;
    my @good;

    # on a slow machine it is the number that makes a load

    while (time() < $end || ($n < 6 && time() < $end + 10 * $slow)) {
        my $number = ++$n % 4 || !@good ? $n : $good[rand @good];
        my $body = remix(prompt => "$round $id $number",
            num_output_images => 1 + $number % 2,
            profile_ids => [ $number % 3 ? 'prof_anna' : 'prof_none' ]);

        my $answer = eval { $t->post('remix', $token, $body,
            fault => $round % 2 ? 'latency=' . int(rand 150)
                : $faults[rand @faults], timeout => 10,
            rand() < 0.1 ? (leave => 'rst', linger => rand 0.1) : ()) };

        if (!$answer) {
            sleep 0.02;
            next;
        }

        next if $answer->status != 200 || !$answer->complete;
        push @good, $number;

        my $charge = $answer->header('Phota-Charge-Id');
        $t->report("charged $charge " . $answer->header('Phota-Cost'))
            if $charge;
        $t->report('hit') if !$charge;
    }
}

sub round {
    my ($round) = @_;

    my @pids = map { my $id = $_; $t->background(sub {
        client($round, $id, 1.5 * $slow) }) } 1 .. 4;

    sleep(0.2 + rand(0.4));

    if ($round % 4 == 0) {
        $t->gateway->kill_all;
        $t->start;

    } else {
        for (1 .. 1 + $round % 2) {
            $t->gateway->kill_worker;
            sleep(rand(0.4));
        }
    }

    $t->reap(@pids);

    # the calls that nobody waits for any more, and their answers

    $t->sim->wait_in_flight(0, 20 * $slow);
    ok(wait_for(sub {
        !grep { $_->{state} eq 'held' } $t->gateway->holds }, 20),
        "round $round: no hold of a living worker is left");

    look("round $round");
}

# settled charges that Phota's bill, line by line, doesn't know; and whether the
# bill has more lines than the books can explain

sub unbilled {
    my (%billed, @wrong);
    my $unknown = 0;

    for my $line (split /\n/, $t->sim->bill_csv) {
        my (undef, $id, undef, undef, undef, undef, $usd) = split /,/, $line;
        $billed{$id} = $usd if $id =~ /^req_/;
    }

    for my $charge ($t->gateway->ledger) {
        $unknown++ if $charge->{state} eq 'unknown';
        next if $charge->{state} ne 'settled';

        my $usd = delete $billed{$charge->{upstream_request_id}} // 'nothing';

        push @wrong, "$charge->{charge_id}: $charge->{cost}, billed $usd"
            if $usd ne $charge->{cost};
    }

    push @wrong, keys(%billed) . " lines more, $unknown unknown"
        if keys %billed > $unknown;

    return join("\n", @wrong);
}

my %seen;

sub look {
    my ($name) = @_;

    my ($code, $out, $err) = $t->ctl('ledger', 'verify');

    is($code, 0, "$name: the ledger is sound") or diag("$out$err");

    my $settled = micro($t->gateway->usage->{total}{cost});
    my $unknown = 0;
    my $bill = $t->bill->{amount};

    $unknown += micro($_->{amount}) for $t->gateway->holds;

    ok($settled <= $bill && $bill <= $settled + $unknown,
        "$name: the bill lies within the books")
        or diag("settled $settled, unknown $unknown, bill $bill");

    is(unbilled(), '', "$name: every settled charge is on the bill once");

    my %state = map { $_->{charge_id} => "$_->{state} $_->{cost}" }
        $t->gateway->ledger;
    my @lost;

    for my $report ($t->reports) {
        my ($charge, $cost) = $report =~ /^charged (\S+) (\S+)/ or next;

        $seen{$charge} = 1;
        push @lost, "$charge $cost: " . ($state{$charge} || 'nothing')
            if ($state{$charge} || '') ne "settled $cost";
    }

    is("@lost", '', "$name: no acknowledged charge is lost");

    note(sprintf('%s: %d charges, settled %s, unknown %s, bill %s', $name,
        scalar keys %state, map { usd($_) } $settled, $unknown, $bill));
}

round($_) for 1 .. $rounds;

cmp_ok(scalar keys %seen, '>', 2 * $rounds, 'there was load');
ok(scalar(grep { $_ eq 'hit' } $t->reports), 'with hits in it');
ok(!(grep { /^died/ } $t->reports), 'no client died');

ok($t->restart, 'nginx restarts');

my $answer = $t->post('remix', $t->token('acme'), remix(prompt => 'after'));

$t->is_miss($answer, '0.120000', 'and sells');

# a start may find the sockets of the dead for a moment, and waits for them

my $killed = qr/exited on signal 9|sendmsg\(\) failed|bind\(\) to .* failed/;

$t->finish(unknown => 1, log => $killed);

done_testing();
