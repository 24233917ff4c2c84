# The test that is the product: workers, photactl and everything at once are
# killed at any moment, under load, with a faulty upstream, under budgets that
# run out, with keys under which clients try again, on a disk that fails.  After
# every round Phota's bill lies between what is settled and that plus what is
# unknown; the provider's bill makes them equal; no budget was exceeded, no key
# paid twice, no charge that a client was told of is lost.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Fail;
use Phota::Test;
use POSIX ();
use Test::More;
use Time::HiRes qw/ sleep time /;

my $rounds = $ENV{PHOTA_CRASH_ROUNDS} || 6;
my $slow = $Phota::Test::slow;
my @tenants = qw/ acme globex /;

my $t = Phota::Test->new(tenants => \@tenants, start => 0,
    profiles => { map { $_ => [ "prof_anna_$_", "prof_none_$_" ] } @tenants },
    params => { proxy_read_timeout => 2 * $slow . 's' });
my $g = $t->gateway;

my $fail = Phota::Fail->new($t->dir . '/fail',
    books => $g->data . '/books', cache => $g->data . '/cache',
    temp => $g->dir . '/temp');

$g->{env} = $fail->env;
$g->{ctl_env} = $fail->env;

# what the tenants pay isn't what Phota bills

$t->ctl_ok('tenant', 'set', 'globex', '--markup', '5%', '--hit-price', '10%');

my (%count, %ended, %open, %limit, @last_keys);

budgets();
$t->start;

# photographs are made once, not by each client in its own way

remix();

my $from = stamp(time() - 60);
my $bill = $t->dir . '/bill.csv';

# in every other round nothing goes wrong but the kill

my @faults = ('', '', '', 'latency=50', 'latency=200', 'slow=100', 'chunked',
    'status=400', 'status=500', 'status=504', 'truncate', 'chunkedcut=500',
    'reset', 'reset;bill=1', 'resetlate', 'close', 'garbage', 'partial=1');

sub stamp {
    my ($time) = @_;

    return POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $time);
}


# --- clients

# unlike requests, now and then one that was made before; many under a key,
# which they try again when they don't know how it ended

sub client {
    my ($round, $id, $seconds, @again) = @_;

    my $end = time() + $seconds;
    my $n = 0;
    my @good;

    ask($_, '') for @again;

    # on a slow machine it is the number that makes a load

    while (time() < $end || ($n < 6 && time() < $end + 10 * $slow)) {
        my $number = ++$n % 4 || !@good ? $n : $good[rand @good];
        my $keyed = rand() < 0.4;
        my $name = join('-', $keyed ? 'key' : 'free', $round, $id, $number);

        my $answer = ask($name, $round % 2 ? 'latency=' . int(rand 150)
            : $faults[rand @faults]);

        if ($keyed && rand() < 0.2) {

            # somebody else at the same time

            ask($name, '');
        }

        for (1 .. 3) {
            last if !$keyed || ($answer && $answer->status != 409
                && $answer->status < 500);
            sleep 0.1 + rand 0.3;
            $answer = ask($name, '');
        }

        push @good, $number if $answer && $answer->status == 200
            && !$keyed;
        sleep 0.05 if $answer && $answer->status != 200;
    }
}

# the request of a name, always the same; what is told of it is reported

sub ask {
    my ($name, $fault) = @_;

    my ($kind, $round, $id, $number) = split /-/, $name;
    my $tenant = $tenants[$id % 2];
    my $body = remix(prompt => "$round $id $number",
        num_output_images => 1 + $number % 2,
        profile_ids => [ ($number % 3 ? 'prof_anna_' : 'prof_none_')
            . $tenant ]);
    my @headers = ('Phota-Tag' => $name, $kind eq 'key'
        ? ('Idempotency-Key' => $name) : ());

    my $answer = eval { $t->post('remix', $t->token($tenant), $body,
        fault => $fault, timeout => 10, headers => \@headers,
        rand() < 0.1 ? (leave => 'rst', linger => rand 0.1) : ()) };

    if (!$answer) {
        sleep 0.02;
        return;
    }

    my $status = $answer->status;
    my $charge = $answer->header('Phota-Charge-Id') // '-';

    return $answer if !$answer->complete;

    $t->report("status $status " . ($answer->json->{code} // '-'));
    $t->report("key $name $charge") if $kind eq 'key' && $status == 200;

    if ($status == 200 && $charge ne '-'
        && ($answer->header('Cache-Status') // '') !~ /replay/)
    {
        $t->report(join(' ', 'charged', $charge,
            map { $answer->header($_) } qw/ Phota-Cost Phota-Price /));
    }

    $t->report('hit') if $status == 200
        && ($answer->header('Cache-Status') // '') =~ /; hit/;

    return $answer;
}


# --- who writes beside them

# photactl at work until the end, more often than not killed

sub scribe {
    my ($round, $seconds) = @_;

    my $end = time() + $seconds;

    while (time() < $end) {
        my $n = 1000 + int(rand 1000);
        my @command = ('tenant', 'set', $tenants[rand 2], '--budget-month',
            $n);

        if (rand() < ($round < 20 ? 0.4 : 0.03)) {
            @command = rand() < 0.5 ? ('token', 'issue', 'acme', '--label',
                "round $round") : ('price', 'add', '--operation', 'edit',
                '--usd', '0.' . $n);
        }

        doomed(rand() < 0.7 ? 0.001 + rand 0.02 : 5, @command);
        $t->report('written');
        sleep rand 0.05;
    }
}

# photactl that is killed after so many seconds; true when it came to its end

sub doomed {
    my ($seconds, @args) = @_;

    my $pid = fork() // die "fork: $!\n";

    if (!$pid) {
        POSIX::setpgid(0, 0);
        $ENV{TMPDIR} = $t->dir . '/client';
        my ($code) = $t->ctl(@args);
        POSIX::_exit($code > 1 ? 3 : $code);
    }

    my $end = time() + $seconds * $slow;

    while (time() < $end) {
        return $? >> 8 == 0 if waitpid($pid, POSIX::WNOHANG()) == $pid;
        sleep 0.001;
    }

    # it and its photactl: a group of their own, once there is one

    kill('KILL', -$pid) or kill('KILL', $pid);
    waitpid($pid, 0);
    kill('KILL', -$pid);

    # the dead hold their locks until they are gone

    wait_for(sub { !kill(0, -$pid) }, 5 * $slow);

    return 0;
}

# a disk that fails now and then

sub bad_disk {
    my ($seconds) = @_;

    my $end = time() + $seconds;

    while (time() < $end) {
        my $at = 1 + int(rand 12);

        $fail->arm(at => $at, to => rand() < 0.3 ? 'always'
            : $at + int(rand 3), error => rand() < 0.5 ? 'EIO' : 'ENOSPC',
            how => (qw/ refuse refuse short late /)[rand 4]);
        sleep rand 0.4;
        $fail->clear;
        $t->report('failed ' . $fail->failed);
        sleep rand 0.2;
    }
}


# --- rounds

# room for some, above what is spent: so that it runs out.  A limit only grows,
# for workers see a smaller one up to a second later

sub budgets {
    for my $tenant (@tenants) {
        my $now = spending($tenant);
        my $new = micro($now->{spent}) + micro($now->{held}) + 500_000
            + int(rand 4_000_000);

        $limit{$tenant} = $new if $new > ($limit{$tenant} // 0);
        $t->ctl_ok('tenant', 'set', $tenant, '--budget-total',
            usd($limit{$tenant}));
    }
}

sub spending {
    my ($tenant) = @_;

    return JSON::PP::decode_json($t->ctl_ok('tenant', 'show', $tenant,
        '--json'))->{budgets}{total};
}

sub round {
    my ($round) = @_;

    my $begin = stamp(time() - 1);
    my $seconds = 1.5 * $slow;

    unlink $t->dir . '/client/reports';
    budgets();

    my @again = splice(@last_keys);
    my @pids = map { my $id = $_; $t->background(sub {
        client($round, $id, $seconds,
            grep { (split /-/)[2] == $id } @again) }) } 1 .. 4;

    push @pids, $t->background(sub { scribe($round, $seconds) });
    push @pids, $t->background(sub { bad_disk($seconds) }) if $round % 3 == 0;

    sleep(0.2 + rand(0.4));

    if ($round % 4 == 0) {
        $g->kill_all;
        $t->start;

    } else {
        for (1 .. 1 + $round % 2) {
            $g->kill_worker;
            sleep(rand(0.4));
        }
    }

    $t->reap(@pids);
    $fail->clear;

    # the calls that nobody waits for any more, and their answers

    $t->sim->wait_in_flight(0, 20 * $slow);
    ok(wait_for(sub { !grep { $_->{state} eq 'held' } $g->holds }, 20),
        "round $round: no hold of a living worker is left");

    look("round $round", $begin);
    resolved("round $round") if $round % 4 == 0;
    operator($round);
    reconciled("round $round", $begin);
}

# what was told to clients, before anything is corrected

sub look {
    my ($name, $begin) = @_;

    my ($code, $out, $err) = $t->ctl('ledger', 'verify');

    is($code, 0, "$name: the ledger is sound") or diag("$out$err");

    my $settled = micro($g->usage->{total}{cost});
    my $unknown = 0;
    my $billed = $t->bill->{amount};
    my @holds = $g->holds;

    $unknown += micro($_->{held_cost} // $_->{amount}) for @holds;

    ok($settled <= $billed && $billed <= $settled + $unknown,
        "$name: the bill lies within the books")
        or diag("settled $settled, unknown $unknown, bill $billed");

    for my $tenant (@tenants) {
        my $now = spending($tenant);
        my $sum = micro($now->{spent}) + micro($now->{held});

        cmp_ok($sum, '<=', $limit{$tenant},
            "$name: the budget of $tenant holds");
    }

    told($name, map { $_->{charge_id} => $_ } $g->ledger('--from', $begin));

    note(sprintf('%s: settled %s, unknown %s in %d, bill %s', $name,
        (map { usd($_) } $settled, $unknown), scalar @holds, usd($billed)));
}

# acknowledged charges, and keys: at most one charge of a key isn't void, the
# last one, and all its answers name the same

sub told {
    my ($name, %charges) = @_;

    my (@lost, %of_key);

    for ($t->reports) {
        $count{$1}++ if /^(hit|written|died)/;
        $count{"$1 $2"}++ if /^status (\d+) (\S+)/;
        $count{'failed writes'} += $1 if /^failed (\d+)/;
        diag($_) if /^died/;

        $of_key{$1}{$2} = 1 if /^key (\S+) (\S+)/;

        my ($charge, $cost, $price) = /^charged (\S+) (\S+) (\S+)/ or next;
        my $now = $charges{$charge} || {};
        my $state = join(' ', map { $now->{$_} // '-' }
            qw/ state cost price /);

        $count{charged}++;
        push @lost, "$charge $cost $price: $state"
            if $state ne "settled $cost $price";
    }

    is("@lost", '', "$name: no acknowledged charge is lost");

    my @several = grep { keys %{$of_key{$_}} > 1 } sort keys %of_key;

    is("@several", '', "$name: a key has one charge for all its answers");

    for (sort { $a->{time} cmp $b->{time}
        || $a->{charge_id} cmp $b->{charge_id} } values %charges)
    {
        push @{$open{$_->{tag}}}, $_->{charge_id} if $_->{tag} =~ /^key-/
            && !grep { $_ eq ($ended{$_} // '') } $_->{charge_id};
        $ended{$_->{charge_id}} = $_->{state};
    }
}

# by the end of a round every charge of a key is what it stays

sub keys_once {
    my ($name, %charges) = @_;

    my @twice;

    $ended{$_} = $charges{$_}{state} for keys %charges;

    for my $key (sort keys %open) {
        my %seen;
        my @all = grep { !$seen{$_}++ } @{$open{$key}};
        my @paid = grep { $ended{$_} ne 'void' } @all;

        push @twice, "$key: " . join(' ', map { "$_ $ended{$_}" } @all)
            if @paid > 1 || (@paid && $paid[0] ne $all[-1]);
        $count{'keys'}++;
        $count{'keys tried again'}++ if @all > 1;
    }

    is("@twice", '', "$name: no key has paid twice");

    # some are tried again in the next round, when their charges are resolved

    my ($round) = $name =~ /(\d+)/;
    my @mine = grep { /^key-$round-/ } keys %open;

    @last_keys = splice(@mine, 0, 8);

    my %keep = map { $_ => 1 } @last_keys;
    delete $open{$_} for grep { !$keep{$_} } keys %open;
    my %live = map { $_ => 1 } map { @$_ } values %open;
    delete $ended{$_} for grep { !$live{$_} } keys %ended;
}

# after a start nothing only reads as unknown: it has an entry that says so

sub resolved {
    my ($name) = @_;

    my @missing;

    wait_for(sub {
        @missing = grep { entries($_->{charge_id}) !~ /unknown/ } $g->holds;
        !@missing;
    }, 15);

    is(join(' ', map { $_->{charge_id} } @missing), '',
        "$name: recovery has been everywhere");
}

sub entries {
    my ($id) = @_;

    my $json = JSON::PP::decode_json($t->ctl_ok('ledger', 'show', $id,
        '--json'));

    return join(' ', map { $_->{type} // $_->{entry} // $_->{state} // '' }
        @{$json->{entries} || $json->{history} || []});
}

# an operator who guesses, and is killed at it; the same for reconcile

sub operator {
    my ($round) = @_;

    my @holds = $g->holds;

    for (splice(@holds, 0, 4)) {
        doomed(rand 0.02, 'holds', rand() < 0.5 ? 'void' : 'settle',
            $_->{charge_id}, '--reason', 'a guess');
    }

    open(my $fh, '>', $bill) or die "$bill: $!\n";
    print $fh $t->sim->bill_csv;
    close($fh);
    chmod 0644, $bill;

    doomed(0.002 + rand 0.03, reconcile()) for 1 .. 2;
}

sub reconcile {
    return ('reconcile', '--bill', $bill, '--apply', '--from', $from,
        '--to', stamp(time() + 1));
}

sub reconciled {
    my ($name, $begin) = @_;

    my ($code, $out, $err) = $t->ctl(reconcile());

    is($code, 0, "$name: the books are reconciled") or diag("$out$err");

    is(usd(micro($g->usage->{total}{cost})), usd($t->bill->{amount}),
        "$name: and equal the bill");

    # what may be of a call that runs yet the bill doesn't end, we know better

    $t->ctl_ok('holds', 'void', $_->{charge_id}, '--reason', 'not billed')
        for $g->holds;

    ($code, $out, $err) = $t->ctl('ledger', 'verify');
    is($code, 0, "$name: and are sound") or diag("$out$err");

    $count{entries} = $1 if $out =~ /^ok: (\d+) entries/;

    for my $tenant (@tenants) {
        my $now = spending($tenant);
        my ($price) = map { $_->{price} } grep { $_->{tenant} eq $tenant }
            @{$g->usage('--tenant', $tenant)->{rows}};

        is("$now->{spent} $now->{held}", ($price // '0.000000')
            . ' 0.000000', "$name: what $tenant has spent is what it used");
    }

    keys_once($name, map { $_->{charge_id} => $_ }
        $g->ledger('--from', $begin));
}

for (1 .. $rounds) {
    round($_);
    last if $ENV{PHOTA_CRASH_STOP} && !Test::More->builder->is_passing;
}

$count{$_} //= 0 for 'charged', 'hit', 'keys', 'written', 'failed writes',
    '402 BUDGET_EXCEEDED';

cmp_ok($count{charged}, '>', 2 * $rounds, 'there was load');
cmp_ok($count{hit}, '>', 0, 'with hits in it');
cmp_ok($count{keys}, '>', $rounds, 'and keys');
cmp_ok($count{written}, '>', $rounds, 'beside photactl at work');
cmp_ok($count{'failed writes'}, '>', 0, 'on a failing disk');
cmp_ok($count{'402 BUDGET_EXCEEDED'}, '>', 0, 'with budgets that ran out');
ok(!$count{died}, 'no client died');

diag("$rounds rounds: " . join(', ', map { "$count{$_} $_" }
    sort keys %count)) if $rounds > 20;
note(explain(\%count));

ok($t->restart, 'nginx restarts');
$t->ctl_ok('tenant', 'set', 'acme', '--budget-total', 'none');

ok(wait_for(sub { $t->post('remix', $t->token('acme'),
    remix(prompt => 'after ' . rand()))->status == 200 }, 5), 'and sells');

# a start may find the sockets of the dead for a moment, and waits for them

my $killed = join('|', 'exited on signal 9', 'sendmsg\(\) failed',
    'bind\(\) to .* failed', 'No space left', 'Input/output error',
    'has written only');

$t->finish(log => qr/$killed/);

done_testing();
