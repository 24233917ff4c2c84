# How a purchase ends for those who have joined it.  What the upstream refused
# they are told in its words; what may have been bought is bought by nobody a
# second time; what couldn't be sent, or kept, isn't tried by each of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Crowd;
use Phota::Fail;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $slow = $Phota::Test::slow;
my $t = Phota::Test->new(start => 0, server => $Phota::Crowd::server,
    tenants => [ qw/ acme / ], params => {
        proxy_read_timeout => 3 * $slow . 's' });
my $g = $t->gateway;
my $fail = Phota::Fail->new($t->dir . '/fail', cache => $g->data . '/cache');

$g->{env} = $fail->env;

my $small = $t->issue('acme', '--budget-day', '0.10');

$t->start;
$t->sim->config(size => 'tiny');

my $acme = $t->token('acme');
my $crowd = Phota::Crowd->new($t);
my ($here, $there) = $g->workers;

# fault, what the buyer is told, what the others are told, state of the charge.
# A name is an error of the gateway's own; '=': what the buyer is told

my @cases = (
    [ 'status=400', '400', '=', 'void' ],
    [ 'status=401', '502 UPSTREAM_AUTH', '=', 'void' ],
    [ 'status=402', '503 UPSTREAM_BALANCE', '=', 'void' ],
    [ 'status=404', '404', '=', 'void' ],
    [ 'status=422', '422', '=', 'void' ],
    [ 'status=429', '429', '=', 'void' ],
    [ 'status=503', '503', '=', 'void' ],
    [ 'status=504', '504', '=', 'void' ],
    [ 'html;status=503', '503', '=', 'void' ],
    [ 'status=400;long=7000', '400', '=', 'void' ],
    [ 'status=400;long=20000', '400', '502 UPSTREAM_FAILED', 'void' ],
    [ 'status=500', '500', '502 OUTCOME_UNKNOWN', 'unknown' ],
    [ 'status=500;bill=1', '500', '502 OUTCOME_UNKNOWN', 'unknown' ],
    [ 'html;status=502', '502', '502 OUTCOME_UNKNOWN', 'unknown' ],
    [ 'truncate', '502 OUTCOME_UNKNOWN', '502 OUTCOME_UNKNOWN', 'unknown' ],
    [ 'reset', '502 OUTCOME_UNKNOWN', '502 OUTCOME_UNKNOWN', 'unknown' ],
    [ 'close', '502 OUTCOME_UNKNOWN', '502 OUTCOME_UNKNOWN', 'unknown' ],
    [ 'garbage', '502 OUTCOME_UNKNOWN', '502 OUTCOME_UNKNOWN', 'unknown' ],
    [ 'emptyimages', '200', '502 OUTCOME_UNKNOWN', 'unknown' ],
    [ 'hang', '504 UPSTREAM_TIMEOUT', '502 OUTCOME_UNKNOWN', 'unknown' ],
);

# all of them at once

my @leaders = $crowd->on($here, scalar @cases);
my @waiters = map { [ $crowd->on($here, 2), $crowd->on($there, 2) ] } @cases;
my @bodies = map { remix(prompt => $_->[0]) } @cases;

$leaders[$_]->ask('remix', $acme, $bodies[$_], fault =>
    "$cases[$_][0];latency=" . 1000 * $slow) for 0 .. $#cases;

wait_for(sub { $t->calls == @cases }, 10);

for my $i (0 .. $#cases) {
    $_->ask('remix', $acme, $bodies[$i]) for @{$waiters[$i]};
}

for my $i (0 .. $#cases) {
    my ($fault, @told) = @{$cases[$i]};

    subtest $fault => sub {
        ends($fault, @told, $leaders[$i]->answer,
            $crowd->answers(@{$waiters[$i]}));
    };
}

sub ends {
    my ($fault, $buyer, $others, $state, $first, @answers) = @_;

    is(short($first, $buyer), $buyer, 'the buyer');

    for my $answer (@answers) {
        my $as = $others eq '=' ? $buyer : $others;

        is(short($answer, $as), $as, 'who joined');
        is($answer->header('Phota-Charge-Id'), undef, 'without a charge');

        next if $others ne '=';

        is($answer->header($_), $first->header($_), "its $_")
            for qw/ Retry-After Content-Type /;
        is($answer->body, $first->body, 'its body') if $as !~ / /;
    }

    is($answers[0]->header('Retry-After'), 1, 'and when to come again')
        if $first->status == 429;

    my @charges = grep { $_->{fingerprint}
        eq $first->header('Phota-Fingerprint') } $g->ledger;

    is(join(' ', map { $_->{state} } @charges), $state, 'one charge');
}

# "502 UPSTREAM_FAILED", or the status alone where nothing more is expected

sub short {
    my ($answer, $expected) = @_;

    return $answer->status if $expected !~ / /;
    return $answer->status . ' ' . ($answer->json->{code} // $answer->body);
}

is($t->calls, scalar @cases, 'a call for each, and no other');
is($t->post('remix', $acme, $bodies[0])->status, 200,
    'who comes later buys');

# nothing can be sent

subtest 'no upstream' => sub {
    my $body = remix(prompt => 'no upstream');
    my @clients = ($crowd->on($here, 10), $crowd->on($there, 10));
    my $tries = () = $g->log =~ /connect\(\) failed/g;

    $crowd->known('remix', $acme, $body, $here, $there);

    my $held = $g->hold_books or plan(skip_all => 'no mdb_load');

    $t->sim->stop;
    $_->ask('remix', $acme, $body) for @clients;
    $crowd->arrived;
    $g->release_books($held);

    my @answers = $crowd->answers(@clients);

    $t->sim->start;
    $t->sim->config(size => 'tiny');

    is(scalar(grep { short($_, ' ') eq '502 UPSTREAM_FAILED' } @answers), 20,
        'all are told');
    is(scalar(() = $g->log =~ /connect\(\) failed/g) - $tries, 1,
        'after one attempt');
    is($t->post('remix', $acme, $body)->status, 200, 'later it is bought');
};

# bought, but not kept: those who joined are not told to buy it themselves

subtest 'no room in the cache' => sub {
    my $body = remix(prompt => 'no room');
    my @clients = ($crowd->on($here), $crowd->on($here, 5),
        $crowd->on($there, 5));
    my $calls = $t->calls;

    $clients[0]->ask('remix', $acme, $body, fault => 'latency='
        . 700 * $slow);
    wait_for(sub { $t->calls > $calls }, 10);
    $fail->arm(to => 'always', error => 'ENOSPC');
    $_->ask('remix', $acme, $body) for @clients[1 .. 10];

    my ($first, @answers) = $crowd->answers(@clients);

    $fail->clear;

    $t->is_miss($first, '0.120000', 'the buyer gets it',
        cache => 'phota; fwd=uri-miss');
    is(scalar(grep { short($_, ' ') eq '502 UPSTREAM_FAILED' } @answers), 10,
        'the others are told');
    is($t->calls, $calls + 1, 'and nothing is bought for them');
    like($answers[0]->json->{detail}, qr/could not be kept/, 'why');

    ok(wait_for(sub { $t->post('remix', $acme, $body)
        ->header('Cache-Status') =~ /; hit/ }, 10), 'later it is kept');
};

# older than a waiter allows isn't what he waited for

subtest 'freshness' => sub {
    my $body = remix(prompt => 'fresh');
    my ($leader, $waiter) = ($crowd->on($here), $crowd->on($there));

    is($t->post('remix', $acme, $body)->status, 200, 'there is an old one');
    sleep 1.1;

    for my $fault ('ok', 'status=400') {
        my $calls = $t->calls;

        $leader->ask('remix', $acme, $body, headers => [
            'Cache-Control' => 'no-cache',
            'X-Sim-Fault' => "$fault;latency=" . 400 * $slow ]);
        wait_for(sub { $t->calls > $calls }, 10);
        $waiter->ask('remix', $acme, $body,
            headers => [ 'Cache-Control' => 'max-age=0' ]);

        my ($first, $joined) = $crowd->answers($leader, $waiter);

        is($joined->status, $first->status, "$fault: told what came of it");
        is(($joined->json->{images} || [ '' ])->[0],
            ($first->json->{images} || [ '' ])->[0], "$fault: and no other");
        is($t->calls, $calls + 1, "$fault: one call");
    }

    # who joined takes over, and there is an old one yet

    my $calls = $t->calls;
    my $held = $g->hold_books or return;

    $leader->ask('remix', $small, $body,
        headers => [ 'Cache-Control' => 'no-cache' ]);
    $crowd->arrived($here);
    $waiter->ask('remix', $acme, $body,
        headers => [ 'Cache-Control' => 'max-age=0' ]);
    $crowd->arrived($there);
    $g->release_books($held);

    is($leader->answer->status, 402, 'the first one lacks the money');
    is($waiter->answer->header('Phota-Cost'), '0.120000', 'the other buys');
    is($t->calls, $calls + 1, 'a fresh one');

    # and one of those that are bought to what is there

    $leader->ask('remix', $acme, remix(prompt => 'fresh',
        num_output_images => 2), fault => 'latency=' . 400 * $slow);
    wait_for(sub { $t->calls == $calls + 2 }, 10);
    $waiter->ask('remix', $acme, $body,
        headers => [ 'Cache-Control' => 'max-age=0' ]);

    my ($first, $joined) = $crowd->answers($leader, $waiter);

    is($joined->json->{images}[0], $first->json->{images}[1],
        'of two the one that is new');
};

$t->finish(unknown => 1, log => qr/No space left/);


# --- a zone without room

subtest 'a zone that is full' => sub {
    my $t = Phota::Test->new(server => $Phota::Crowd::server,
        http => 'phota_zone 160k;');

    $t->sim->config(size => 'tiny');

    my $crowd = Phota::Crowd->new($t);
    my @clients = map { $crowd->on($_, 100) } $t->gateway->workers;
    my @pair = map { $crowd->on($_, 1) } $t->gateway->workers;
    my $acme = $t->token('acme');
    my $calls = 0;

    # what ended and nobody waited for takes no room, what flies does

    $_->ask('remix', $acme, remix(prompt => 'other ' . ++$calls),
        fault => 'latency=' . 3000 * $slow) for @clients;

    ok(wait_for(sub { $t->gateway->log =~ /the zone is full, .* phota_zone/ },
        10), "with $calls in flight it is full, and logged");
    ok(wait_for(sub { $t->calls == $calls }, 10), 'it still sells');

    $_->ask('remix', $acme, remix(prompt => 'once too often'),
        fault => 'latency=300') for @pair;

    my @answers = $crowd->answers(@pair);

    is(join(' ', map { $_->status } @answers), '200 200', 'at once');
    is($t->calls, $calls + 2, 'equal ones twice');
    is(scalar(grep { $_->status == 200 } $crowd->answers(@clients)), $calls,
        'and everybody is answered');
    is(scalar(() = $t->gateway->log =~ /the zone is full/g), 1,
        'it says so once a minute');

    $t->finish;
};

done_testing();
