# However a job ends, and whatever happens on the way, its charge ends as the
# bill does: with pictures it is settled, failed it is void, and what nobody can
# know is unknown until the bill is read.  Nobody has to poll: the gateway does,
# through errors of the upstream, reloads, kills and tenants that are gone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Pictures;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep /;

my $t = Phota::Test->new(tenants => [ qw/ acme globex gone owner / ],
    workers => 2, own => { owner => 'phk-owner-' . Phota::Test::random() },
    http => 'phota_job_limit 3s;');
my $g = $t->gateway;
my $acme = $t->token('acme');

my %small = (input => noise(300, 1), reference => noise(300, 2));
my $serial = 0;

$t->sim->config(size => 'tiny');

sub job {
    my ($tenant, $order, %o) = @_;

    return $t->submit('remix', $t->token($tenant), { %small,
        prompt => 'end ' . ++$serial }, job => $order, %o);
}

sub state_of {
    my ($job) = @_;

    my $charge = $t->charge($job) || return 'none';

    return "$charge->{state} $charge->{reason}";
}

# by the gateway alone

sub becomes {
    my ($job, $state, $name, $seconds) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $now = '';

    ok(wait_for(sub { ($now = state_of($job)) eq $state }, $seconds || 10),
        $name) or diag("$now, not $state: " . $job->summary);
}

my $settled = 'settled delivered';
my $held = Phota::Sim::HELD;


# --- nobody polls

my %jobs = (
    completed => job('acme', 'delay=200'),
    failed => job('acme', 'delay=200; end=failed'),
    expired => job('acme', 'delay=200; end=expired'),
    charged => job('acme', 'delay=200; end=expired; charge=1'),
    gone => job('acme', 'delay=200; end=gone'),
    empty => job('acme', 'delay=200; end=empty'),
    never => job('acme', 'end=never'),
);

# whose tenants are suspended or removed meanwhile

my $suspended = job('globex', 'delay=1500');
my $alone = job('owner', 'delay=1500');
my $orphan = job('gone', 'end=never');

$t->ctl_ok('tenant', 'suspend', $_) for qw/ globex owner /;
$t->removed('#3', 'gone');
$t->ctl_ok('tenant', 'remove', 'gone');

my %ends = (completed => $settled, failed => 'void job_failed',
    map { $_ => 'unknown job_lost' } qw/ expired charged gone empty never /);

for my $name (sort keys %ends) {
    becomes($jobs{$name}, $ends{$name}, "$name, and nobody polls");
}

becomes($suspended, $settled, 'a suspended tenant\'s job ends');
$t->is_error($t->poll($t->token('globex'), $suspended), 403,
    'TENANT_SUSPENDED', 'though he can\'t poll it');
becomes($alone, $settled, 'and one on an account of his own');
becomes($orphan, 'unknown job_lost',
    'of a removed tenant\'s nobody will hear');

my $polls = $t->sim->calls('jobs');

is($t->poll($acme, $jobs{completed})->json->{status}, 'completed',
    'it is told to whoever polls then');
is($t->poll($acme, $jobs{failed})->json->{status}, 'failed',
    'and that it failed');
like($t->poll($acme, $jobs{failed})->json->{error}{detail}, qr/\S/,
    'and why');
is($t->poll($acme, $jobs{expired})->json->{status}, 'expired',
    'or expired');
is($t->sim->calls('jobs'), $polls, 'and the upstream isn\'t asked again');
is($t->poll($acme, $jobs{never})->status, 200, 'one that is lost is polled');
is($t->poll($acme, $jobs{gone})->status, 404, 'and one that is gone');

cmp_ok($polls, '<', 40, 'the upstream was asked a few times');

# the bill tells what is unknown

my %unknown = map { $_->{charge_id} => $_ } $g->holds;

is(keys %unknown, 6, 'what is unknown is on the list');

for my $job (@jobs{qw/ expired charged gone empty never /}, $orphan) {
    my $charge = $job->header('Phota-Charge-Id');

    $t->ctl_ok('holds', $job == $jobs{charged}
        ? ('settle', $charge, '--outputs', 1) : ('void', $charge),
        '--reason', 'as the bill says');
}

$t->poll($acme, $_) for @jobs{qw/ charged never gone /};
is(state_of($jobs{charged}), 'settled operator',
    'what an operator has said is changed by no poll');


# --- a poll that tells nothing

for my $fault (qw/ status=429 status=500 status=503;html garbage truncate=20
    close reset redirect /)
{
    my $job = job('acme', $held);

    my $answer = $t->poll($acme, $job, fault => $fault);

    isnt($answer->status, 200, "a poll that meets $fault");
    is(state_of($job), 'held accepted', 'ends nothing');
    $t->sim->end_jobs;
    is($t->poll_until($acme, $job, qr/^completed/)->json->{status},
        'completed', 'a later one is told');
    is(state_of($job), $settled, 'and ends it');
}

my $refused = job('acme', $held);

$t->is_error($t->poll($acme, $refused, fault => 'status=401'), 502, 'UPSTREAM_AUTH',
    'a poll whose key is refused');
$t->sim->fault('status=500', operation => 'jobs', count => 2);
$t->sim->end_jobs;
becomes($refused, $settled, 'the gateway asks again after errors');


# --- an upstream that is down for a while

ok($g->reload(http => '', upstream => '127.0.0.1:1'), 'the upstream is down');

my $down = $t->poll($acme, $jobs{completed});

is($down->json->{status}, 'completed', 'what has ended is told');

ok($g->reload(upstream => '127.0.0.1:' . $t->sim->port), 'it is back');

my $later = job('acme', $held);

ok($g->reload(upstream => '127.0.0.1:1'), 'it is down once more');

my $answer = $t->poll($acme, $later);

is($answer->status, 502, 'an open job can\'t be polled');
ok(wait_for(sub { $g->log =~ /connect\(\) failed .* "GET/s }, 5),
    'by nobody');
is(state_of($later), 'held accepted', 'and stays open');
$t->sim->end_jobs;

ok($g->reload(upstream => '127.0.0.1:' . $t->sim->port), 'it is back');
becomes($later, $settled, 'then it ends', 15);

is($t->sim->calls('remix'), $serial, 'every job was bought once');

$t->finish;

done_testing();
