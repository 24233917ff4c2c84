# With an Idempotency-Key a request buys once, however often it is sent: a retry
# gets the first answer and charge, or is told what became of it.  The key and
# the purchase share one fate, also when everything is killed in between.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme globex / ], workers => 2);
my ($acme, $globex) = map { $t->token($_) } qw/ acme globex /;

sub keyed {
    my ($token, $key, $body, %o) = @_;

    my $operation = delete $o{operation} || 'remix';

    return $t->post($operation, $token, $body, %o,
        headers => [ 'Idempotency-Key' => $key, @{$o{headers} || []} ]);
}

sub is_replay {
    my ($answer, $first, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($answer->status, 200, "$name: an answer");
    is($answer->header('Phota-Charge-Id'), $first->header('Phota-Charge-Id'),
        "$name: the first one's charge");
    is_deeply($answer->json, $first->json, "$name: the first one's answer");
    is($answer->header('Phota-Cost'), '0.000000', "$name: nothing is charged");
    like($answer->header('Cache-Status'), qr/^phota; hit; .*detail=replay/,
        "$name: says that it is a replay");
}

my $body = remix(prompt => 'once');
my $first = keyed($acme, 'order 1', $body);

$t->is_miss($first, '0.120000', 'the first buys');
is_replay(keyed($acme, 'order 1', $body), $first, 'a retry');
is($t->calls, 1, 'one call was made');

$t->is_error(keyed($acme, 'order 1', remix(prompt => 'another')), 422,
    'IDEMPOTENCY_MISMATCH', 'the key of another request',
    field => 'Idempotency-Key');

my $own = keyed($globex, 'order 1', $body);

$t->is_miss($own, '0.120000', 'a key is its tenant\'s');
isnt($own->json->{images}[0], $first->json->{images}[0], 'as its picture is');

# what is bought anew by others is still the first answer here

my $newer = $t->post('remix', $acme, $body,
    headers => [ 'Cache-Control' => 'no-cache' ]);

is($newer->status, 200, 'the result is replaced');
isnt($newer->json->{images}[0], $first->json->{images}[0], 'by another');
is_replay(keyed($acme, 'order 1', $body), $first, 'after that');

# operations that aren't cached, and requests that forbid it

$t->ctl_ok('price', 'add', '--operation', 'edit', '--usd', '0.10');
sleep 2;

my $edit = object([ qw/ prompt images / ], { prompt => 'blue',
    images => [ 'https://example.com/1.jpg' ] });
my $edited = keyed($acme, 'edit 1', $edit, operation => 'edit');

is($edited->header('Phota-Cost'), '0.100000', 'an edit is bought');
is_replay(keyed($acme, 'edit 1', $edit, operation => 'edit'), $edited,
    'an edit');

my $secret = keyed($acme, 'quiet', remix(prompt => 'quiet'),
    headers => [ 'Cache-Control' => 'no-store' ]);

is_replay(keyed($acme, 'quiet', remix(prompt => 'quiet'),
    headers => [ 'Cache-Control' => 'no-store' ]), $secret, 'a no-store');

# at once

my $calls = $t->calls;
my @answers = $t->parallel(map { [ 'remix', $acme, remix(prompt => 'race'),
    fault => 'latency=1000', headers => [ 'Idempotency-Key' => 'race' ] ] }
    1 .. 20);

is($t->calls, $calls + 1, 'of twenty at once one buys');

# those that come late on a busy machine get its answer

my @others = grep { $_->status == 409 } @answers;
my %charges = map { $_->header('Phota-Charge-Id') => 1 } @answers;
my ($winner) = grep { $_->status == 200 && $_->header('Cache-Status') !~ /hit/ }
    @answers;

ok($winner, 'and is answered');
is(keys %charges, 1, 'all are told of one charge');
cmp_ok(scalar @others, '>', 0, 'others are told to wait');
is(scalar @others + grep({ $_->status == 200 } @answers), 20, 'or answered');
$t->is_error($others[0], 409, 'IN_FLIGHT', 'in so many words')
    if @others;

is_replay(keyed($acme, 'race', remix(prompt => 'race')), $winner,
    'later they get it');

# what came to nothing may be tried again

my $refused = keyed($acme, 'again', remix(prompt => 'again'),
    fault => 'status=503');

is($refused->status, 503, 'the upstream is not available');
$t->is_miss(keyed($acme, 'again', remix(prompt => 'again')), '0.120000',
    'the same key buys when it is');

# what nobody knows isn't bought a second time

my $lost = keyed($acme, 'lost', remix(prompt => 'lost'),
    fault => 'status=500');

is($lost->status, 500, 'an unknown outcome');
$calls = $t->calls;

$t->is_error(keyed($acme, 'lost', remix(prompt => 'lost')), 409,
    'OUTCOME_UNKNOWN', 'the retry is told so', detail => qr/unknown/);
is($t->calls, $calls, 'and buys nothing');

my ($hold) = $t->gateway->holds;

$t->ctl_ok('holds', 'void', $hold->{charge_id}, '--reason', 'not on the bill');
$t->is_miss(keyed($acme, 'lost', remix(prompt => 'lost')), '0.120000',
    'until it is resolved');

# everything is killed while it is bought

my $pid = $t->background(sub {
    eval { keyed($acme, 'crash', remix(prompt => 'crash'),
        fault => 'latency=3000', timeout => 5) };
});

ok(wait_for(sub { $t->sim->counters->{in_flight} }, 10), 'a call is under way');
$t->gateway->kill_all;
$t->reap($pid);
$t->start;
$calls = $t->calls;

$t->is_error(keyed($acme, 'crash', remix(prompt => 'crash')), 409,
    'OUTCOME_UNKNOWN', 'after a crash the retry is told so');
is($t->calls, $calls, 'and buys nothing');
is_replay(keyed($acme, 'order 1', $body), $first, 'a crash forgets no key');

$t->sim->wait_in_flight(0, 20);
($hold) = $t->gateway->holds;
$t->ctl_ok('holds', 'settle', $hold->{charge_id}, '--outputs', 1,
    '--reason', 'it is on the bill');

$t->is_error(keyed($acme, 'crash', remix(prompt => 'crash')), 410,
    'REPLAY_GONE', 'it has ended, and its answer never came');

# a key is 1 to 255 printable characters

for my $key ("\x{e4}", 'x' x 256) {
    $t->is_error(keyed($acme, $key, remix()), 422, 'INVALID_REQUEST',
        'not a key', field => 'Idempotency-Key');
}

is(keyed($acme, '"' . 'x' x 253 . '"', remix(prompt => 'long'))->status, 200,
    'a long key');

# one that became a job is told as that job, and in a trial as nothing to pay

my @job = ('remix', $acme, { prompt => 'a job' },
    headers => [ 'Idempotency-Key' => 'job' ]);
my $job = $t->submit(@job);
my $trial = $t->submit(@job[0 .. 2], headers => [ 'Idempotency-Key' => 'job',
    'Phota-Dry-Run' => 1 ]);

is($job->status, 202, 'a job');
is($trial->status, 200, 'its trial is answered');
is($trial->json->{cost}, '0.000000', 'and costs nothing');
is($t->submit(@job)->json->{job_id}, $job->json->{job_id},
    'its retry is the same job');
is($t->poll_until($acme, $job)->json->{status}, 'completed', 'which ends');

$t->finish(log => qr/exited on signal 9|sendmsg\(\) failed
    |bind\(\)\ to\ .*\ failed/x, holds => 0);

done_testing();
