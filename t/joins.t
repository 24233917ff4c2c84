# Equal purchases in flight become one.  Whoever asks for what is just being
# bought, of whatever worker, in whatever way, waits for it and gets the same
# pictures within milliseconds; it costs what the plan says.  Who leaves, while
# he waits or while others wait for him, disturbs nobody.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Crowd;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $slow = $Phota::Test::slow;
my $t = Phota::Test->new(start => 0, server => $Phota::Crowd::server,
    tenants => [ qw/ acme globex one two toll poor / ],
    profiles => { toll => [ 'prof_anna' ] });
my $g = $t->gateway;

$t->ctl_ok('tenant', 'set', $_, '--cache-scope', 'shared') for qw/ one two /;
$t->ctl_ok('tenant', 'set', $_, '--join-price', '50%') for qw/ toll poor /;
$t->ctl_ok('tenant', 'set', 'poor', '--budget-total', '0.25');
$t->ctl_ok('price', 'add', '--operation', 'edit', '--usd', '0.10');

my $small = $t->issue('acme', '--budget-day', '0.10');

$t->start;
$t->sim->config(size => 'tiny');

my $acme = $t->token('acme');
my $crowd = Phota::Crowd->new($t);
my ($here, $there) = $g->workers;
my $serial = 0;

# photographs are made once

remix();

# a purchase that takes its time, and is under way

sub leader {
    my ($client, $token, $body, %o) = @_;

    my $calls = $t->calls;
    my $latency = 'latency=' . ($o{latency} || 600) * $slow;

    $client->ask($o{operation} || 'remix', $token, $body,
        headers => [ 'X-Sim-Fault' => $latency, @{$o{headers} || []} ]);

    wait_for(sub { $t->calls > $calls }, 10) or die "no call came\n";

    return $client;
}

sub is_join {
    my ($answer, $first, $name, %o) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $price = $o{price} || '0.000000';
    my @wrong = Phota::Test::differ('status', $answer->status, 200);

    push @wrong, Phota::Test::differ('Cache-Status',
        Phota::Test::source($answer), 'phota; fwd=uri-miss; collapsed');
    push @wrong, Phota::Test::differ('X-Request-Id',
        $answer->header('X-Request-Id'), $first->header('X-Request-Id'));
    push @wrong, Phota::Test::differ('Phota-Cost',
        $answer->header('Phota-Cost'), '0.000000');
    push @wrong, Phota::Test::differ('Phota-Price',
        $answer->header('Phota-Price'), $price);
    push @wrong, 'other pictures' if !$o{other}
        && "@{$answer->json->{images}}" ne "@{$first->json->{images}}";

    $t->check($name, $answer, @wrong);
}

sub new_body { remix(prompt => 'joined ' . ++$serial, @_) }


subtest 'a hundred at once are one purchase' => sub {
    my $body = new_body();
    my @clients = ($crowd->on($here, 50), $crowd->on($there, 50));
    my $calls = $t->calls;

    $_->ask('remix', $acme, $body, fault => 'latency=' . 800 * $slow)
        for map { @clients[$_, 50 + $_] } 0 .. 49;

    my @answers = $crowd->answers(@clients);
    my ($first, @more) = grep {
        Phota::Test::source($_) !~ /collapsed/ } @answers;
    my @joined = grep { Phota::Test::source($_) =~ /collapsed/ } @answers;

    is($t->calls, $calls + 1, 'one call');
    is(scalar @more, 0, 'by one of them');
    $t->is_miss($first, '0.120000', 'who bought');
    is(scalar @joined, 99, 'the others joined');
    is(scalar(grep { $_->{worker} == $here } @answers), 50, 'in both workers');

    my %images = map { join(' ', @{$_->json->{images} || []}) => 1 } @answers;

    is(keys %images, 1, 'all got the same picture');

    is_join($joined[0], $first, 'one of them');
    is($joined[0]->header('Phota-Saved'), '0.120000', 'saved its cost');
    is($joined[0]->header('Phota-Charge-Id'), undef, 'and has no charge');

    my @late = sort { $a <=> $b } map { ($_->{at} - $first->{at}) * 1000 }
        @joined;

    diag(sprintf('joins: answered after the buyer: p50 %.1f ms, p99 %.1f ms',
        @late[49, 97]));
    cmp_ok($late[49], '<', 60 * $slow, 'woken, and not by a timer');
    cmp_ok($late[-1], '<', 240 * $slow, 'all of them');

    my @charges = grep { $_->{fingerprint}
        eq $first->header('Phota-Fingerprint') } $g->ledger;

    is(scalar @charges, 1, 'one charge');

    wait_for(sub { usage('acme')->{hits} >= 99 }, 5);
    is(usage('acme')->{calls}, 100, 'a hundred calls');
    is(usage('acme')->{hits}, 99, 'of which 99 hit');
    is(scalar(() = $g->log('access.log') =~ / cache=JOIN /g), 99,
        'and are logged as joins');
};

sub usage {
    my ($tenant) = @_;

    my ($row) = grep { $_->{tenant} eq $tenant } @{$g->usage->{rows}};

    return $row || {};
}

subtest 'links and bytes, HTTP/1.1 and HTTP/2' => sub {
    my %mode = map { $_ => new_body() } qw/ bytes urls /;

    $mode{$_} = remix(prompt => 'in all ways', response_mode => $_)
        for keys %mode;

    for my $first (qw/ bytes urls /) {
        my @ways = map { my $m = $_; map { [ $m, $_ ] } 0, 1 } qw/ urls bytes /;
        my @headers = (headers => [ 'X-Sim-Fault' => 'latency=' . 2000 * $slow,
            $first eq 'urls' ? ('Cache-Control' => 'no-cache') : () ]);
        my $calls = $t->calls;
        my $buyer = $t->background(sub {
            my $answer = $t->post('remix', $acme, $mode{$first}, @headers);
            $t->report("$first " . $answer->status);
        });

        wait_for(sub { $t->calls > $calls }, 10);

        # a picture that is there already is no reason to wait

        my $wait = $first eq 'urls' ? [ 'Cache-Control' => 'max-age=0' ] : [];
        my @answers = $t->parallel(map { [ 'remix', $acme, $mode{$_->[0]},
            http2 => $_->[1], headers => $wait ] } (@ways) x 2);

        $t->reap($buyer);

        is($t->calls, $calls + 1, "$first first: one call");

        for my $i (0 .. $#answers) {
            my ($mode, $http2) = @{$ways[$i % @ways]};
            my $json = $answers[$i]->json;
            my ($filled, $empty) = $mode eq 'urls'
                ? qw/ download_urls images / : qw/ images download_urls /;

            ok(@{$json->{$filled} || []} == 1 && !@{$json->{$empty} || []}
                && Phota::Test::source($answers[$i]) =~ /collapsed/,
                "$first first, then $mode over HTTP/" . ($http2 ? 2 : 1.1))
                or diag($answers[$i]->summary);
        }
    }

    is("@{[ sort $t->reports ]}", 'bytes 200 urls 200', 'who bought got his');
};

subtest 'other counts' => sub {
    my $body = 'counts ' . ++$serial;
    my $two = remix(prompt => $body, num_output_images => 2);
    my ($leader, @waiters) = ($crowd->on($here), $crowd->on($there, 3));
    my $calls = $t->calls;

    leader($leader, $acme, $two);
    $waiters[0]->ask('remix', $acme, remix(prompt => $body));
    $waiters[1]->ask('remix', $acme, $two);
    $waiters[2]->ask('remix', $acme,
        remix(prompt => $body, num_output_images => 4));

    my ($first, @answers) = $crowd->answers($leader, @waiters);

    $t->is_miss($first, '0.240000', 'two are bought');
    is($answers[0]->json->{images}[0], $first->json->{images}[0],
        'who wants one gets the first');
    is($answers[0]->header('Phota-Saved'), '0.120000', 'which saves one');
    is_join($answers[1], $first, 'who wants two gets both');
    is(scalar @{$answers[2]->json->{images}}, 4, 'who wants four gets four');
    is($answers[2]->header('Phota-Cost'), '0.240000', 'and buys two of them');
    is("@{$answers[2]->json->{images}}[0, 1]", "@{$first->json->{images}}",
        'the others are those');
    is($t->calls, $calls + 2, 'two calls in all');
};

subtest 'who does not join' => sub {
    my @clients = ($crowd->on($here, 2), $crowd->on($there, 2));
    my $edit = object([ qw/ prompt images / ], { prompt => 'blue',
        images => [ 'https://example.com/1.jpg' ] });

    for my $case (
        [ 'no-store', 'remix', new_body(), 'Cache-Control' => 'no-store' ],
        [ 'no-cache', 'remix', new_body(), 'Cache-Control' => 'no-cache' ],
        [ 'an operation that is not cached', 'edit', $edit ],
    ) {
        my ($name, $operation, $body, @headers) = @$case;
        my $calls = $t->calls;

        $_->ask($operation, $acme, $body, headers => [ @headers,
            'X-Sim-Fault' => 'latency=' . 200 * $slow ]) for @clients;

        my @answers = $crowd->answers(@clients);
        my %images = map { $_->json->{images}[0] => 1 } @answers;

        is($t->calls, $calls + 4, "$name: all four buy");
        is(keys %images, 4, "$name: a picture for each");
    }

    my $body = new_body();
    my $calls = $t->calls;

    leader($clients[0], $acme, $body, headers => [
        'Cache-Control' => 'no-store' ]);
    $clients[2]->ask('remix', $acme, $body);

    $t->is_miss($clients[2]->answer, '0.120000',
        'nobody joins what is not stored');
    is($t->calls, $calls + 2, 'but buys');
    $clients[0]->answer;

    $body = new_body();
    leader($clients[0], $acme, $body);

    is($clients[2]->ask('remix', $acme, $body, headers => [
        'Cache-Control' => 'only-if-cached' ])->answer->status, 504,
        'only-if-cached does not wait');
    is($t->post('remix', $acme, $body, headers => [ 'Phota-Dry-Run' => 1 ])
        ->json->{cache}, 'miss', 'nor does a dry run');
    is($clients[0]->answer->status, 200, 'for what is bought meanwhile');
};

subtest 'tenants' => sub {
    my $body = new_body();
    my ($mine, $own) = ($crowd->on($here), $crowd->on($there));
    my $calls = $t->calls;

    leader($mine, $acme, $body);
    $own->ask('remix', $t->token('globex'), $body);

    my ($first, $other) = $crowd->answers($mine, $own);

    $t->is_miss($other, '0.120000', "another tenant's is another purchase");
    isnt($other->json->{images}[0], $first->json->{images}[0],
        'with its own picture');
    is($t->calls, $calls + 2, 'two calls');

    leader($mine, $t->token('one'), $body);
    $own->ask('remix', $t->token('two'), $body);
    ($first, $other) = $crowd->answers($mine, $own);

    is_join($other, $first, 'but those of a shared scope join');
    is($t->calls, $calls + 3, 'one call for both');

    my ($charge) = grep { $_->{charge_id}
        eq $first->header('Phota-Charge-Id') } $g->ledger;

    is($charge->{tenant}, 'one', 'which pays who made it');
};

subtest 'keys' => sub {
    my $body = new_body();
    my ($leader, @waiters) = ($crowd->on($here), $crowd->on($there, 3));
    my $calls = $t->calls;

    leader($leader, $acme, $body, headers => [ 'Idempotency-Key' => 'k1' ]);
    $waiters[0]->ask('remix', $acme, $body);
    $waiters[1]->ask('remix', $acme, $body,
        headers => [ 'Idempotency-Key' => 'k2' ]);
    $waiters[2]->ask('remix', $acme, $body,
        headers => [ 'Idempotency-Key' => 'k1' ]);

    $t->is_error($waiters[2]->answer, 409, 'IN_FLIGHT',
        'its own key is told to wait');

    my ($first, $none, $other) = $crowd->answers($leader, @waiters[0, 1]);

    $t->is_miss($first, '0.120000', 'who has a key buys');
    is_join($none, $first, 'who has none joins');
    is_join($other, $first, 'who has another one joins');
    is($waiters[2]->ask('remix', $acme, $body, headers => [
        'Idempotency-Key' => 'k1' ])->answer->header('Phota-Charge-Id'),
        $first->header('Phota-Charge-Id'), 'its own key is replayed then');
    is($t->calls, $calls + 1, 'one call');
};

subtest 'a join has a price where the plan says so' => sub {
    my $toll = $t->token('toll');
    my $body = new_body(profile_ids => [ 'prof_anna' ]);
    my ($leader, @waiters) = ($crowd->on($here), $crowd->on($here, 2),
        $crowd->on($there, 2));

    leader($leader, $toll, $body);
    $_->ask('remix', $toll, $body) for @waiters;

    my ($first, @answers) = $crowd->answers($leader, @waiters);
    my %charges = map { $_->{charge_id} => $_ } $g->ledger;

    for my $i (0 .. $#answers) {
        my $id = $answers[$i]->header('Phota-Charge-Id') // 'none';
        my $charge = $charges{$id} || {};

        is_join($answers[$i], $first, 'half of it', price => '0.075000');
        is(join(' ', map { $charge->{$_} // '-' } qw/ cache state cost price
            saved /), 'join settled 0.000000 0.075000 0.150000',
            'is in the books');
    }

    is(keys %{{ map { $_->header('Phota-Charge-Id') => 1 } @answers }}, 4,
        'for each of them');
};

# 0.25 are one purchase and two joins of 0.06

subtest 'a join that the budget lacks the money for' => sub {
    my $poor = $t->token('poor');
    my $body = new_body();
    my ($leader, @waiters) = ($crowd->on($here), $crowd->on($here, 3),
        $crowd->on($there, 3));
    my $calls = $t->calls;

    leader($leader, $poor, $body);
    $_->ask('remix', $poor, $body) for @waiters;

    my ($first, @answers) = $crowd->answers($leader, @waiters);
    my @good = grep { $_->status == 200 } @answers;
    my @bad = grep { $_->status == 402 } @answers;

    is(scalar @good, 2, 'two of six can pay');
    is(scalar @bad, 4, 'the others are told');
    is_join($good[0], $first, 'who pays gets it', price => '0.060000');
    $t->is_error($bad[0], 402, 'BUDGET_EXCEEDED', 'who cannot is refused',
        left => '0.010000');
    is($t->calls, $calls + 1, 'and nobody buys');
};

subtest 'who buys cannot pay: another takes over' => sub {
    my $body = new_body();
    my ($leader, @waiters) = ($crowd->on($here), $crowd->on($here, 5),
        $crowd->on($there, 5));
    my $calls = $t->calls;

    $crowd->known('remix', $acme, $body, $here, $there);

    my $held = $g->hold_books or plan(skip_all => 'no mdb_load');

    $leader->ask('remix', $small, $body);
    $crowd->arrived($here);
    $_->ask('remix', $acme, $body) for @waiters;
    $crowd->arrived;
    ok(!$crowd->answered(0.1, $leader, @waiters), 'all wait for the books');
    $g->release_books($held);

    my ($first, @answers) = $crowd->answers($leader, @waiters);
    my ($miss) = grep { Phota::Test::source($_) =~ /stored/ } @answers;

    $t->is_error($first, 402, 'BUDGET_EXCEEDED', 'he is refused');
    $t->is_miss($miss, '0.120000', 'one of the others buys');
    is(scalar(grep { $_->status == 200
        && $_->json->{images}[0] eq $miss->json->{images}[0] } @answers), 10,
        'all others get it');
    is($t->calls, $calls + 1, 'by one call');
};


# and a purchase beside them, in a worker where half of them wait

subtest 'a thousand who wait' => sub {
    my $url = object([ qw/ image prompt / ], { prompt => 'of many ' . ++$serial,
        image => 'https://example.com/1.jpg' });
    my $other = new_body();
    my ($leader, $beside) = $crowd->on($here, 2);
    my @waiters = ($crowd->on($here, 500), $crowd->on($there, 500));
    my $calls = $t->calls;

    $crowd->known('enhance', $acme, $url, $here, $there);

    my %before = map { $_ => status($_) } $here, $there;
    my $readers = readers();
    my $held = $g->hold_books or plan(skip_all => 'no mdb_load');

    $leader->ask('enhance', $acme, $url, fault => 'latency=' . 500 * $slow);
    $crowd->arrived($here);
    $_->ask('enhance', $acme, $url) for @waiters;
    $crowd->arrived;
    ok(!$crowd->answered(0.1, @waiters), 'all wait');

    # what looks at something for a moment isn't theirs, and goes

    ok(wait_for(sub { readers() <= $readers }, 10),
        'no reader of an environment more, and none active');

    my %now = map { $_ => status($_) } $here, $there;

    is($now{$_}{Threads}, $before{$_}{Threads}, 'no thread more')
        for $here, $there;

    diag(sprintf('joins: %.1f KB for each who waits',
        ($now{$there}{VmRSS} - $before{$there}{VmRSS}) / 500));

    $g->release_books($held);
    wait_for(sub { $t->calls > $calls }, 10);

    is($beside->ask('remix', $acme, $other)->answer->status, 200,
        'others buy beside them');

    my ($first, @answers) = $crowd->answers($leader, @waiters);
    my ($begin) = sort { $a <=> $b } map { $_->{at} } $first, @answers;
    my @late = sort { $a <=> $b } map { ($_->{at} - $begin) * 1000 } @answers;

    is(Phota::Test::source($first), 'phota; fwd=uri-miss; stored',
        'who asked first buys');
    is(scalar(grep { Phota::Test::source($_) =~ /collapsed/ } @answers), 1000,
        'all have joined');
    is(scalar(grep { $_->status == 200
        && ($_->json->{images} || [ '' ])->[0] eq $first->json->{images}[0] }
        @answers), 1000, 'and have the picture');
    is($t->calls, $calls + 2, 'one call');
    diag(sprintf('joins: a thousand: p50 %.0f ms, p99 %.0f ms',
        @late[499, 989]));
};

sub status {
    my ($pid) = @_;

    return { Phota::Gateway::slurp("/proc/$pid/status")
        =~ /^(Threads|VmRSS):\s+(\d+)/mg };
}

# slots in the reader tables of both environments, while none of them reads; a
# worker keeps one of each from the first time that it reads there

sub readers {
    my @lines;

    wait_for(sub {
        @lines = map { my $dir = $g->data . "/$_";
            grep { /^\s*\d+\s+[0-9a-f]+\s+\S+$/ } `mdb_stat -r $dir` }
            qw/ books cache /;
        !grep { !/-\s*$/ } @lines;
    }, 10) or die "the environments are always read\n";

    return scalar @lines;
}


# --- who leaves

subtest 'waiters leave' => sub {
    my $body = new_body();
    my ($leader, @gone) = ($crowd->on($here), $crowd->on($here, 2),
        $crowd->on($there, 2));
    my @stay = ($crowd->on($here, 2), $crowd->on($there, 2));
    my $calls = $t->calls;

    leader($leader, $acme, $body, latency => 800);
    $_->ask('remix', $acme, $body) for @gone, @stay;

    my $h2 = Phota::HTTP2->connect($t->port2);
    my @streams = map { $h2->post('/v1/phota/remix',
        [ 'x-api-key' => $acme ], $body) } 1 .. 3;

    $crowd->arrived;
    sleep 0.1 * $slow;
    $gone[$_]->leave($_ % 2 ? 'fin' : 'rst') for 0 .. 3;
    $h2->reset($streams[0]);
    sleep 0.1 * $slow;

    my ($first, @answers) = $crowd->answers($leader, @stay);

    $t->is_miss($first, '0.120000', 'who bought has it');
    is_join($_, $first, 'who stayed has it') for @answers;
    ok($h2->wait_header($streams[2], 5), 'so has a stream beside a reset one');
    is($t->calls, $calls + 1, 'one call');
    is(scalar(() = $g->log('access.log') =~ /^499 /mg), 5,
        'the others were let go');
    $h2->close;
};

# the buyer leaves, in every way at once

my %way = (
    FIN => sub { $_[0]->leave('fin') },
    RST => sub { $_[0]->leave('rst') },
    RST_STREAM => sub { $_[0]->reset($_[1]) },
);

my %fault = ('not yet held' => 'ok', 'under way' => 'latency=' . 2000 * $slow,
    'answered' => 'slow=' . 500 * $slow);

for my $when (sort keys %fault) {
    subtest "who buys leaves, his call $when" => sub { buyers_leave($when) };
}

sub buyers_leave {
    my ($when) = @_;

    my $calls = $t->calls;
    my @cases = map { { way => $_, body => new_body(),
        waiters => [ $crowd->on($here, 2), $crowd->on($there, 2) ],
        client => $_ eq 'RST_STREAM' ? undef : $crowd->on($here) } }
        sort keys %way;
    my $held = $when =~ /held/ ? $g->hold_books : undef;

    $_->{buyer} = [ buyer($_, $fault{$when}) ] for @cases;

    $held ? $crowd->arrived
        : wait_for(sub { $t->calls == $calls + @cases }, 10);
    sleep 0.1 * $slow;

    for my $case (@cases) {
        $_->ask('remix', $acme, $case->{body}) for @{$case->{waiters}};
    }

    $crowd->arrived;
    $way{$_->{way}}->(@{$_->{buyer}}) for @cases;
    sleep 0.05 * $slow;
    $g->release_books($held) if $held;

    for my $case (@cases) {
        my @answers = $crowd->answers(@{$case->{waiters}});
        my %images = map { ($_->json->{images} || [ 'none' ])->[0] => 1 }
            @answers;

        is(join(' ', map { $_->status } @answers), '200 200 200 200',
            "by $case->{way}: all others are answered");
        is(keys %images, 1, "by $case->{way}: with one picture");
    }

    is($t->calls, $calls + @cases, 'a call for each');
}

# a client that has asked, and its stream where it has one

sub buyer {
    my ($case, $fault) = @_;

    return $case->{client}->ask('remix', $acme, $case->{body},
        fault => $fault) if $case->{client};

    my $c = Phota::HTTP2->connect($t->port2);

    return ($c, $c->post('/v1/phota/remix', [ 'x-api-key' => $acme,
        'x-sim-fault' => $fault ], $case->{body}));
}

$t->finish;

done_testing();
