# An asynchronous call is bought once, as a job: the tenant sees names of the
# gateway's own, the upstream others of its own, and whoever hears first that it
# has ended settles it, once.  Polls cost nothing and repeat freely; nobody
# else's job can be told from one that doesn't exist.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Phota::Pictures;
use Phota::Receiver;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme globex solo / ], workers => 2,
    own => { solo => 'phk-solo-' . Phota::Test::random() },
    job_poll => '1h', profiles => { acme => [ 'prof_anna' ] });
my ($acme, $globex, $solo) = map { $t->token($_) } qw/ acme globex solo /;

my $held = Phota::Sim::HELD;
my %small = (input => noise(300, 1), reference => noise(300, 2));
my $own_job = qr/^job_[0-9A-Z]{26}$/;
my $serial = 0;

$t->sim->config(size => 'tiny');

sub buy {
    my ($token, $fields, %o) = @_;

    return $t->submit('remix', $token, { %small, prompt => 'job ' . ++$serial,
        %{$fields || {}} }, %o);
}

# the simulator's job of the last submit

sub theirs {
    return ($t->sim->jobs)[-1];
}

sub states {
    my %states;

    $states{$_->{state}}++ for $t->gateway->ledger;

    return \%states;
}


# --- what is told on both sides

my $receiver = Phota::Receiver->new;
my %ids = (client_request_id => 'order-1', callback_url =>
    $receiver->url('/hook'));

my $job = buy($acme, { %ids, profile_ids => [ 'prof_anna' ] },
    job => "$held; callback=lost");
my $sent = JSON::PP::decode_json($t->sim->last->{body});
my $up = theirs();
my $id = $job->json->{job_id};

is($job->status, 202, 'a job is accepted');
like($id, $own_job, 'under a name of the gateway\'s own');
isnt($id, $up->{job_id}, 'not the upstream\'s');
is($job->json->{poll_url}, 'http://127.0.0.1:' . $t->port
    . "/v1/phota/jobs/$id", 'to be polled here');
is($job->json->{client_request_id}, 'order-1', 'its request id as it was sent');
like($job->header('Phota-Charge-Id'), qr/^ch_/, 'it has a charge');
is($job->header('Phota-Cost'), undef, 'whose cost isn\'t known yet');

ok($sent->{async}, 'the upstream was asked for a job');
like($sent->{client_request_id}, qr/^[0-9a-f-]{36}$/,
    'under another request id');
like($sent->{callback_url}, qr{^http://127\.0\.0\.1:\d+/called/\S+$},
    'which is to call the gateway');
unlike($sent->{callback_url}, qr/hook|\Q$id\E/, 'not the tenant');

my ($hold) = $t->gateway->holds;

is($hold->{charge_id}, $job->header('Phota-Charge-Id'), 'it is held');
is("$hold->{state} $hold->{amount}", 'held 0.150000',
    'for what it may cost, nothing is settled');

for my $http2 (0, 1) {
    my $poll = $t->poll($acme, $job, http2 => $http2);

    is($poll->status, 200, 'it is polled');
    is($poll->json->{job_id}, $id, 'by its name here');
    like($poll->json->{status}, qr/^(?:queued|in_progress)$/, 'it goes on');
    is($poll->json->{client_request_id}, 'order-1', 'its request id');
    unlike($poll->bytes, qr/\Q$up->{job_id}\E|\Q$up->{client_request_id}\E/,
        'and nothing of the upstream\'s names');
}

my $path = $t->get($job->json->{poll_url} =~ m{(/v1/.*)}, $acme);

is($path->json->{job_id}, $id, 'poll_url leads to it');

$t->sim->end_jobs;

my $end = $t->poll_until($acme, $job);

is($end->json->{status}, 'completed', 'it ends');
is($end->json->{job_id}, $id, 'under its name');
is($end->json->{client_request_id}, 'order-1', 'and request id');
is($end->json->{result}{known_subjects}{counts}{prof_anna}, 1,
    'with its subjects');
unlike($end->bytes, qr/\Q$up->{job_id}\E|\Q$up->{client_request_id}\E|called/,
    'and nothing of the upstream\'s names');

my $charge = $t->charge($job);

is("$charge->{state} $charge->{reason} $charge->{cost}",
    'settled delivered 0.150000', 'what was recognised is paid for');
is("$charge->{outputs} $charge->{identity_outputs}", '1 1', 'output by output');
is(scalar $t->gateway->holds, 0, 'nothing is held any more');


# --- polls repeat; pictures are the gateway's own

my $first = $t->poll($acme, $job);

wait_for(sub { lists($first = $t->poll($acme, $job))->{download_urls}[0]
    =~ m{/phota/results/} }, 10);

my ($link) = @{lists($first)->{download_urls}};
my $picture = fetch($t, $link);

like($link, qr{^http://127\.0\.0\.1:${\$t->port}/phota/results/},
    'once it is stored it is told by links of the gateway\'s own');
is($picture->status, 200, 'which need no token');
ok($picture->body eq ($t->sim->delivered)[0], 'the very picture');

my $calls = $t->sim->calls('jobs');

is(around($t->poll($acme, $job)), around($first), 'polls say the same')
    for 1 .. 3;
is(around($t->poll($acme, $job, http2 => 1)), around($first), 'in HTTP/2');
is($t->sim->calls('jobs'), $calls, 'and the upstream isn\'t asked any more');
is($t->gateway->usage->{total}{cost}, '0.150000', 'nor anything charged');

my ($got) = $receiver->wait_for(1, 10);

is($got->{json}{job_id}, $id, 'the tenant is called back by the same name');
is($got->{json}{client_request_id}, 'order-1', 'and request id');
unlike($got->{head} . $got->{body}, qr/\Q$up->{job_id}\E|
    \Q$up->{client_request_id}\E/x, 'nothing of the upstream\'s leaks there');


# --- nobody else's

my $none = $t->poll($acme, 'job_nothing');

$t->is_error($none, 404, 'NOT_FOUND', 'an unknown job');

sub like_none {
    my ($answer, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my %said = %{$answer->json};
    my %none = %{$none->json};

    delete $_->{request_id} for \%said, \%none;

    is_deeply([ $answer->status, \%said ], [ 404, \%none ], $name);
}

my $open = buy($acme, {}, job => 'end=never');
my $before = $t->calls;
my $damaged = $id;

substr($damaged, -3, 1) =~ tr/0-8A-Y9Z/1-9B-Z0A/;

like_none($t->poll($globex, $job), 'a job of another tenant\'s');
like_none($t->poll($globex, $open), 'one that is open');
like_none($t->poll($acme, $up->{job_id}), 'the upstream\'s name of one');
like_none($t->poll($globex, theirs()->{job_id}), 'an open one\'s');
like_none($t->poll($acme, $damaged), 'a name with an error');
like_none($t->poll($acme, $_), "the name $_") for 'job_', 'x',
    'job_' . 'A' x 26, 'job_' . 'a' x 600, 'ch_' . substr($id, 4);
is($t->calls, $before, 'for none of these was the upstream asked');

like_none($t->poll($acme, buy($solo, {}, job => 'end=never')),
    'one of another account\'s');
is($t->poll($solo, 'job_nothing')->status, 404,
    'who has an account of his own is told by it');


# --- many polls, one charge

for my $version ('HTTP/1.1', 'HTTP/2') {
    my $raced = buy($acme, { num_output_images => 2 }, job => $held);
    my $settled = states()->{settled};
    my $reports = () = $t->reports;
    my $many = $version eq 'HTTP/2' ? 4 : 10;

    # each until it has ended and three times more

    my @pids = map {
        $t->background(sub {
            for (my ($n, $ended) = (0, 0); $n < 1000 && $ended < 4; $n++) {
                my $answer = $t->poll($acme, $raced,
                    http2 => $version eq 'HTTP/2');
                my $status = $answer->json->{status};

                $ended++ if $answer->status != 200 || $status eq 'completed';
                $t->report(join(' ', 'poll', $answer->status, $status,
                    scalar pictures_of($answer)));
            }
        });
    } 1 .. $many;

    wait_for(sub { $t->reports >= $reports + 2 * $many }, 10);
    $t->sim->end_jobs;
    $t->reap(@pids);

    my $last = $t->poll_until($acme, $raced);

    is($last->json->{status}, 'completed', "$version: polled by many");
    is(states()->{settled}, $settled + 1, "$version: settled once");
    is($t->charge($raced)->{cost}, '0.240000', "$version: for both pictures");
}

sub pictures_of {
    my ($answer) = @_;

    return scalar @{(lists($answer)->{download_urls}) || []};
}

my %told;

$told{$_}++ for $t->reports;

is_deeply([ grep { !/^poll 200 (?:(?:queued|in_progress) 0|completed 2)$/ }
    sort keys %told ], [], 'every poll was told what was so');


# --- budgets, usage, tags

$t->ctl_ok('tenant', 'set', 'globex', '--budget-total', '0.20', '--markup',
    '50%');
ok(everywhere(sub {
    my $dry = $t->submit('remix', $globex, { %small, prompt => 'dry' },
        headers => [ 'Phota-Dry-Run' => '1' ]);
    ($dry->json->{price} // '') eq '0.180000'
        && defined $dry->json->{budget}{tenant}{total};
}, 10), 'a budget is set');

my $one = buy($globex, {}, job => $held,
    headers => [ 'Phota-Tag' => 'project x' ]);

is($one->status, 202, 'within the budget');
$before = $t->calls;

$t->is_error(buy($globex), 402, 'BUDGET_EXCEEDED',
    'an open job counts against it');
is($t->calls, $before, 'before the upstream is asked');

$t->sim->end_jobs;
$t->poll_until($globex, $one);

is($t->charge($one)->{price}, '0.180000', 'it is priced as any other');
is($t->charge($one)->{tag}, 'project x', 'and tagged');

my ($used) = grep { $_->{tenant} eq 'globex' }
    @{$t->gateway->usage('--tenant', 'globex')->{rows}};

is("$used->{calls} $used->{outputs} $used->{cost} $used->{price}",
    '1 1 0.120000 0.180000', 'and in the usage')
    or diag(JSON::PP::encode_json($used));

my $free = buy($globex, {}, job => 'delay=50; end=failed');

is($free->status, 402, 'what is settled counts');


# --- operations that aren't cached

$t->ctl_ok('price', 'add', '--operation', $_, '--usd', '0.10')
    for qw/ edit generate /;
ok(everywhere(sub { $t->submit('generate', $acme, { prompt => 'dry' },
    headers => [ 'Phota-Dry-Run' => '1' ])->status == 200 }, 10),
    'prices are known');

for my $operation (qw/ edit generate /) {
    my %fields = (prompt => 'blue', $operation eq 'edit'
        ? (images => [ 'https://example.com/1.jpg' ]) : ());

    my @jobs = map { $t->submit($operation, $acme, \%fields,
        job => 'delay=100') } 1 .. 2;
    my @ends = map { $t->poll_until($acme, $_) } @jobs;

    isnt($jobs[0]->json->{job_id}, $jobs[1]->json->{job_id},
        "$operation: equal ones are two jobs");
    is($_->json->{status}, 'completed', "$operation: that end") for @ends;
    is($t->charge($_)->{cost}, '0.100000', "$operation: and are paid for")
        for @jobs;
}

# what can't end is resolved by whoever reads the bill

$t->ctl_ok('holds', 'void', $_->{charge_id}, '--reason', 'never on the bill')
    for $t->gateway->holds;

is($t->charge($open)->{state}, 'void', 'an operator may end a job');
is($t->poll($acme, $open)->status, 200, 'which is polled as before');

$t->finish;

done_testing();
