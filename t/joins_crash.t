# Workers, clients and everything at once die while a purchase is under way
# that others have joined.  The books decide: where nothing can have been sent
# exactly one of those who live takes over, else all are told within a second
# that nobody knows, and nobody buys.  A picture that was stored is given.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Crowd;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep time /;

# with PHOTA_JOINS_ALL what takes long; rounds of the last subtest

my $all = $ENV{PHOTA_JOINS_ALL};
my $rounds = $ENV{PHOTA_JOINS_ROUNDS} || ($all ? 100 : 5);

my $slow = $Phota::Test::slow;
my $t = Phota::Test->new(server => $Phota::Crowd::server);
my $g = $t->gateway;

$t->sim->config(size => 'tiny');

my $acme = $t->token('acme');
my $crowd = Phota::Crowd->new($t);
my $serial = 0;

sub new_body { remix(prompt => 'crash ' . ++$serial) }

sub latency { (fault => 'latency=' . $_[0] * $slow) }

# two workers that answer

sub workers {
    my @pids;

    wait_for(sub { (@pids = $g->workers) == 2 }, 10)
        or die "there are not two workers\n";

    $crowd->arrived(@pids);

    return @pids;
}

# a purchase under way in one worker, joined by others in both

sub purchase {
    my ($here, $there, %o) = @_;

    my $p = { body => new_body(), calls => $t->calls,
        buyer => $crowd->on($here), near => [ $crowd->on($here, 2) ],
        far => [ $crowd->on($there, delete $o{far} || 4) ] };

    $crowd->known('remix', $acme, $p->{body}, $here, $there);
    $p->{held} = $g->hold_books if $o{held};
    $p->{buyer}->ask('remix', $acme, $p->{body}, %o);

    $o{held} ? $crowd->arrived($here)
        : wait_for(sub { $t->calls > $p->{calls} }, 10);

    $_->ask('remix', $acme, $p->{body}) for @{$p->{near}}, @{$p->{far}};
    $crowd->arrived($here, $there);

    return $p;
}

sub die_hard {
    my ($pid) = @_;

    kill('KILL', $pid);
    wait_for(sub { !Phota::Gateway::alive($pid) }, 10);

    return time();
}

sub charges {
    my ($p) = @_;

    my $key = $p->{fingerprint} //= $t->post('remix', $acme, $p->{body},
        headers => [ 'Phota-Dry-Run' => 1 ])->header('Phota-Fingerprint');

    return grep { $_->{fingerprint} eq $key } $g->ledger;
}

sub states { join(' ', map { $_->{state} } charges($_[0])) }

# all have the one picture, which some Cache-Status says was bought

sub all_have {
    my ($name, @answers) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my %images = map { ($_->json->{images} || [ 'none' ])->[0] => 1 }
        @answers;

    is(join(' ', map { $_->status } @answers),
        join(' ', (200) x @answers), "$name: all are answered");
    is(join(' ', keys %images) =~ /none/ || keys %images, 1,
        "$name: with the same picture");
}

sub all_unknown {
    my ($name, $since, @answers) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($last) = sort { $b <=> $a } map { $_->{at} } @answers;

    is(join(', ', map { $_->status . ' ' . ($_->json->{code} // '') }
        @answers), join(', ', ('502 OUTCOME_UNKNOWN') x @answers),
        "$name: all are told");
    cmp_ok($last - $since, '<', 1.5 * $slow, "$name: within a second or so");
    note(sprintf('%s: told after %.0f ms', $name, ($last - $since) * 1000));
}


subtest 'the worker dies before its hold is durable' => sub {
    my ($here, $there) = workers();
    my $p = purchase($here, $there, held => 1);

    plan(skip_all => 'no mdb_load') if !$p->{held};

    die_hard($here);
    sleep 1 * $slow;
    is($t->calls, $p->{calls}, 'nobody has bought it yet');
    $g->release_books($p->{held});

    my @answers = $crowd->answers(@{$p->{far}});

    all_have('those who live', @answers);
    is(scalar(grep { Phota::Test::source($_) =~ /stored/ } @answers), 1,
        'one has taken over');
    is(scalar(grep { Phota::Test::source($_) =~ /collapsed/ } @answers), 3,
        'the others joined it');
    is($t->calls, $p->{calls} + 1, 'one call');
    is(states($p), 'settled', 'one charge');
};

for my $stage ([ 'while it calls', latency(3000) ],
    [ 'while the answer comes', fault => 'slow=' . 1500 * $slow ])
{
    my ($when, @fault) = @$stage;

    subtest "the worker dies $when" => sub {
        my ($here, $there) = workers();
        my $p = purchase($here, $there, @fault);

        sleep 0.1 * $slow if $when =~ /comes/;

        my $since = die_hard($here);

        all_unknown($when, $since, $crowd->answers(@{$p->{far}}));
        ok(wait_for(sub { states($p) eq 'unknown' }, 15), 'as the charge is');
        is($t->calls, $p->{calls} + 1, 'and nobody has bought it again');
        is($t->post('remix', $acme, $p->{body})->header('Phota-Cost'),
            '0.120000', 'but who asks anew');
    };
}

# nobody waits for the dead: who comes after them is a new request

subtest 'the worker dies, and nobody has joined' => sub {
    my ($here, $there) = workers();
    my $body = new_body();
    my $calls = $t->calls;
    my ($buyer, $late) = ($crowd->on($here), $crowd->on($there));

    $buyer->ask('remix', $acme, $body, latency(3000));
    wait_for(sub { $t->calls > $calls }, 10);
    die_hard($here);

    # the next worker, once it has its slot: until it has said that it is
    # another the dead one passes for living, and who asks is told to wait

    workers();

    $t->is_miss($late->ask('remix', $acme, $body)->answer, '0.120000',
        'who asks then buys anew');
    is($t->calls, $calls + 2, 'by a call of his own');
    ok(wait_for(sub { states({ body => $body }) =~ /unknown/ }, 15),
        'the other is unknown');
};

subtest 'the worker dies between picture and settle' => sub {
    my ($here, $there) = workers();
    my $before = stored();
    my $p = purchase($here, $there, latency(700));
    my $held = $g->hold_books or plan(skip_all => 'no mdb_load');

    ok(wait_for(sub { stored() > $before }, 10), 'the picture is stored');
    ok(!$crowd->answered(0.1, @{$p->{far}}), 'and nobody told before it is '
        . 'settled');
    die_hard($here);
    sleep 0.2 * $slow;
    $g->release_books($held);

    all_have('those who joined', $crowd->answers(@{$p->{far}}));

    ok(wait_for(sub { states($p) eq 'settled' }, 20), 'it is settled');
    is((charges($p))[0]{reason}, 'recovered', 'by its picture');
    is($t->calls, $p->{calls} + 1, 'one call');
};

sub stored {
    return JSON::PP::decode_json($t->ctl_ok('cache', 'stats', '--json'))
        ->{results};
}

subtest 'the worker of those who joined dies' => sub {
    my ($here, $there) = workers();
    my $p = purchase($here, $there, latency(700));

    die_hard($there);

    my @late = $crowd->on((grep { $_ != $here } workers())[0], 2);

    $_->ask('remix', $acme, $p->{body}) for @late;
    all_have('the others', $crowd->answers($p->{buyer}, @{$p->{near}},
        @late));
    is($t->calls, $p->{calls} + 1, 'one call');
    is(states($p), 'settled', 'one charge');
};

subtest 'a reload' => sub {
    my ($here, $there) = workers();
    my $p = purchase($here, $there, latency(1500));

    ok($g->reload, 'new workers');

    my @new = workers();
    my @late = map { $crowd->on($_, 3) } @new;

    $_->ask('remix', $acme, $p->{body}) for @late;

    my @answers = $crowd->answers($p->{buyer}, @{$p->{near}}, @{$p->{far}},
        @late);

    all_have('in old workers and new ones', @answers);
    is($t->calls, $p->{calls} + 1, 'one call');

    my ($last) = sort { $b <=> $a } map { $_->{at} } @answers;

    note(sprintf('a reload: the last one %.1f ms after the first',
        1000 * ($last - $answers[0]{at})));
    cmp_ok($last - $answers[0]{at}, '<', 0.24 * $slow, 'all woken');
    ok(wait_for(sub { !grep { Phota::Gateway::alive($_) } $here, $there },
        10), 'and the old workers go');
};

subtest 'a worker that is made to quit in the midst of it' => sub {
    my ($here, $there) = workers();

    ok($g->reload(main => 'worker_shutdown_timeout 3s;'), 'a short patience');
    ok(wait_for(sub { !grep { Phota::Gateway::alive($_) } $here, $there },
        10), 'the old ones are gone');

    my $p = purchase(workers(), latency(6000));
    my $begun = time();

    ok($g->reload(main => ''), 'those workers are to quit');

    my ($new) = workers();
    my $late = $crowd->on($new)->ask('remix', $acme, $p->{body});

    all_unknown('who joined in a new worker', $begun + 3, $late->answer);
    is(states($p), 'unknown', 'the charge is');
    is($t->calls, $p->{calls} + 1, 'one call');
} if $all;

subtest 'everything dies' => sub {
    my ($here, $there) = workers();
    my $p = purchase($here, $there, latency(3000));

    $g->kill_all;
    $t->start;

    my $again = $t->post('remix', $acme, $p->{body});

    $t->is_miss($again, '0.120000', 'who asks anew buys, and does not wait');
    is($t->calls, $p->{calls} + 2, 'by one more call');
    ok(wait_for(sub { states($p) =~ /unknown/ }, 15), 'the first is unknown');
};

# a worker that slept through the end, and for so long that it is forgotten

subtest 'who joined wakes too late' => sub {
    my ($here, $there) = workers();
    my $p = purchase($here, $there, fault => 'status=500;latency=700');

    kill('STOP', $there);
    is($p->{buyer}->answer->status, 500, 'an unknown end');
    sleep 14;
    kill('CONT', $there);

    all_unknown('after it', time(), $crowd->answers(@{$p->{far}}));
    is($t->calls, $p->{calls} + 1, 'nobody has bought it again');
} if $all;

subtest 'the upstream dies' => sub {
    my ($here, $there) = workers();
    my $p = purchase($here, $there, latency(2000));

    my $since = time();

    $t->sim->stop;
    all_unknown('with it', $since, $crowd->answers(@{$p->{near}},
        @{$p->{far}}));
    $t->sim->start;
    $t->sim->config(size => 'tiny');
    is(states($p), 'unknown', 'the charge is unknown');
} if $all;


# --- at any moment

sub round {
    my ($round) = @_;

    my ($here, $there) = workers();
    my $body = new_body();
    my %on = map { $_ => [ $crowd->on($_, 6) ] } $here, $there;
    my @clients = map { $on{$here}[$_], $on{$there}[$_] } 0 .. 5;
    my $victim = rand() < 0.7 ? $here : $there;
    my $calls = $t->calls;

    my $held = rand() < 0.3 ? $g->hold_books : undef;

    # the first one buys, unless its worker is slow to see it

    $clients[0]->ask('remix', $acme, $body,
        fault => 'latency=' . int(rand(400) * $slow));
    $_->ask('remix', $acme, $body) for @clients[1 .. 11];
    $crowd->arrived(grep { $_ != $victim } $here, $there);

    sleep rand(0.2) * $slow if rand() < 0.7;
    $clients[0]->leave('rst') if my $left = rand() < 0.3;
    kill('HUP', $g->master) if my $hup = rand() < 0.2;
    die_hard($victim);
    $g->release_books($held) if $held;

    my @alive = grep { $_->{worker} != $victim && !($left
        && $_ == $clients[0]) } @clients;
    my @answers = $crowd->answers(@alive);
    my %count;

    $count{$_->status . ' ' . ($_->json->{code} // '')}++ for @answers;

    my %images = map { $_->json->{images}[0] => 1 }
        grep { $_->status == 200 } @answers;
    my @open = grep { $_->{state} ne 'void' } charges({ body => $body });

    my @wrong = grep { !/^(?:200 |502 OUTCOME_UNKNOWN)$/ } keys %count;

    push @wrong, 'other pictures' if keys %images > 1;
    push @wrong, scalar(@open) . ' charges' if @open > 1;
    push @wrong, 'calls: ' . ($t->calls - $calls) if $t->calls > $calls + 1;

    is("@wrong", '', "round $round: " . join(', ',
        map { "$count{$_} x $_" } sort keys %count)) or diag($g->tail,
        map { JSON::PP::encode_json($_) . "\n" } charges({ body => $body }));

    if ($hup) {
        wait_for(sub { my @all = $g->workers(also => 1); @all == 2 }, 20);
    }
}

subtest 'at any moment' => sub {
    round($_) for 1 .. $rounds;
};

# and quits in peace: a worker that only waits has nothing else to stay for

subtest 'a quit' => sub {
    my ($here, $there) = workers();
    my $p = purchase($here, $there, far => 1, latency(900));
    my $master = $g->master;

    kill('QUIT', $master);
    all_have('before they go', $crowd->answers($p->{buyer}, @{$p->{near}},
        @{$p->{far}}));
    ok(wait_for(sub { !Phota::Gateway::alive($master) }, 10), 'then all go');
    is($t->calls, $p->{calls} + 1, 'one call');
};

$t->finish(unknown => 1, stopped => 1, log => qr/exited\ on\ signal\ 9
    |sendmsg\(\)\ failed|bind\(\)\ to\ .*\ failed/x);

done_testing();
