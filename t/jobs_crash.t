# A job survives whatever happens to the gateway between its submit and its end:
# restarts, reloads, upgrades, kill -9 at any moment, slow books.  It is bought
# once, ends once, as the bill says, and nobody has to poll for it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Phota::Pictures;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep /;

my $t = Phota::Test->new(workers => 2);
my $g = $t->gateway;
my $acme = $t->token('acme');

my %small = (input => noise(300, 1), reference => noise(300, 2));
my $settled = 'settled delivered';
my $held = Phota::Sim::HELD;
my $serial = 0;

$t->sim->config(size => 'tiny');

sub job {
    my ($order, %o) = @_;

    return $t->submit('remix', $acme, { %small, prompt => 'crash '
        . ++$serial }, job => $order, %o);
}

sub state_of {
    my ($job) = @_;

    my $charge = $t->charge($job) || return 'none';

    return "$charge->{state} $charge->{reason}";
}

sub row {
    my ($job) = @_;

    my ($row) = grep { $_->{job_id} eq $job->json->{job_id} }
        map { JSON::PP::decode_json($_) }
        split /\n/, $t->ctl_ok('job', 'list', '--json');

    return $row || {};
}

# ended by the gateway itself, in the cache, and still polled

sub ends_well {
    my ($job, $name, $seconds) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my @wrong;

    push @wrong, 'its charge is ' . state_of($job)
        if !wait_for(sub { state_of($job) eq $settled }, $seconds || 10);
    push @wrong, 'it is not stored: ' . JSON::PP::encode_json(row($job))
        if !wait_for(sub { row($job)->{stored} }, $seconds || 10);

    my $poll = $t->poll($acme, $job);
    my ($link) = @{lists($poll)->{download_urls} || []};

    push @wrong, 'its poll: ' . $poll->body
        if ($link // '') !~ m{/phota/results/}
            || fetch($t, $link)->body !~ /phota-sim/;

    $t->check($name, $job, @wrong);
}

# everything is killed, and starts again

sub crash {
    $g->kill_all;
    $t->start;
}


# --- between the submit and the first poll

my $job = job($held);

crash();
$t->sim->end_jobs;
ends_well($job, 'a job is followed when everything was killed');

$job = job($held);
$g->kill_worker($_) for $g->workers;
wait_for(sub { $g->workers == 2 }, 10);
$t->sim->end_jobs;
ends_well($job, 'and when the workers were');

$job = job($held);
ok($g->reload, 'a reload');
$t->sim->end_jobs;
ends_well($job, 'a job is followed after a reload');

$job = job($held);
ok($g->upgrade, 'an upgrade');
$t->sim->end_jobs;
ends_well($job, 'and after an upgrade');

# all was missed while nothing ran

$job = job($held);
$t->stop;
$t->sim->end_jobs;
$t->start;
ends_well($job, 'one that ended while the gateway was down');


# --- while the upstream takes it on: what isn't known is unknown

my $pid = $t->background(sub {
    eval { job('delay=100', fault => 'latency=800', timeout => 3) };
});

wait_for(sub { $t->sim->counters->{in_flight} }, 10);
$g->kill_all;
$t->reap($pid);
$t->sim->wait_in_flight(0, 10);
$t->start;
$serial++;

my ($hold) = $g->holds;

is($hold->{state}, 'unknown', 'killed before the handle came: unknown');
$t->ctl_ok('holds', 'settle', $hold->{charge_id}, '--outputs', 1,
    '--reason', 'it is on the bill');


# --- while it settles: nothing is durable before the books are free

SKIP: {
    $job = job($held);

    my $books = $g->hold_books or skip 'no mdb_load', 4;
    my $polls = $t->sim->calls('jobs');

    $t->sim->end_jobs;

    my $poll = $t->background(sub {
        eval { $t->poll($acme, $job, timeout => 3) };
    });

    ok(wait_for(sub { $t->sim->calls('jobs') > $polls
        && !$t->sim->counters->{in_flight} }, 10), 'its end was heard');
    sleep 0.3;
    $g->kill_all;
    $t->reap($poll);
    $g->release_books($books);

    is(state_of($job), 'held accepted', 'killed before it was written');
    $t->start;
    ends_well($job, 'it is asked for again');

    # and with the client waiting for the word

    $job = job($held);
    $books = $g->hold_books;
    $t->sim->end_jobs;
    $poll = $t->background(sub {
        my $answer = $t->poll($acme, $job);
        $t->report(join(' ', 'held', $answer->status,
            $answer->json->{status}));
    });
    sleep 0.5;
    $g->release_books($books);
    $t->reap($poll);
    like(join("\n", $t->reports), qr/^held 200 completed$/m,
        'who waits for slow books is told the end');
    ends_well($job, 'that is written');
}


# --- while its pictures are fetched

my $fetches = $t->sim->calls('picture');

$t->sim->fault('latency=1500', operation => 'picture', count => 1);
$job = job('delay=50');
ok(wait_for(sub { state_of($job) eq $settled }, 10), 'it is settled');
wait_for(sub { $t->sim->calls('picture') > $fetches }, 10);
crash();
ends_well($job, 'killed while its picture was fetched');

$t->sim->fault($_, operation => 'picture', count => 1)
    for qw/ status=500 truncate reset close /;
ends_well($_, 'a picture that could not be had is fetched again', 15)
    for map { job('delay=20') } 1 .. 4;

$t->sim->fault('latency=1000', operation => 'picture', count => 1);
$job = job('delay=20');
wait_for(sub { state_of($job) eq $settled }, 10);
ok($g->reload, 'a reload meanwhile');
ends_well($job, 'it is fetched after that', 15);


is(scalar(grep { $_->{state} eq 'settled' } $g->ledger),
    $t->sim->bill('shared')->{calls}, 'every job is on the bill once');

$t->finish(log => qr/exited\ on\ signal\ 9|sendmsg\(\)\ failed
    |bind\(\)\ to\ .*\ failed/x);

done_testing();
