# A tenant's poll ends no job by an error: it carries what the tenant has put
# into it, and the upstream may mean that.  Nobody gets pictures for nothing by
# asking badly, and what was given up for lost and turns up is paid for.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme / ], job_poll => '1h');
my $acme = $t->token('acme');

my $held = Phota::Sim::HELD;

$t->sim->config(size => 'tiny');

for my $status (400, 404, 410, 422) {
    my $job = $t->submit('remix', $acme, { prompt => "asked for $status" },
        job => $held);

    is($t->poll($acme, $job, fault => "status=$status")->status, $status,
        "a poll that was asked for $status is told so");

    $t->sim->end_jobs;
    is($t->poll_until($acme, $job)->json->{status}, 'completed',
        'the job goes on to its end');
    is($t->charge($job)->{state}, 'settled', 'and is paid for');
}

my $job = $t->submit('remix', $acme, { prompt => 'a query' }, job => $held);

$t->get('jobs/' . $job->json->{job_id} . '?job_id=another', $acme);
unlike($t->sim->last->{uri}, qr/\?/, 'no query of a tenant\'s goes up');
$t->sim->end_jobs;
is($t->poll_until($acme, $job)->json->{status}, 'completed', 'it ends');

# the gateway hears of a job that is gone by itself

my $gone = $t->submit('remix', $acme, { prompt => 'gone' },
    job => 'delay=1; end=gone');

wait_for(sub { ($t->sim->jobs)[-1]{ended} }, 10);
is($t->poll($acme, $gone)->status, 404, 'one that is gone is gone');
ok(wait_for(sub { $t->charge($gone)->{state} eq 'unknown' }, 10),
    'as soon as the gateway has asked itself');

# or by a door that was led astray for a while

my $lost = $t->submit('remix', $acme, { prompt => 'lost' }, job => $held);

$t->sim->fault('status=404', operation => 'jobs', count => 2);
is($t->poll($acme, $lost)->status, 404, 'one that can\'t be found');
ok(wait_for(sub { $t->charge($lost)->{state} eq 'unknown' }, 10), 'is lost');
$t->sim->end_jobs;
is($t->poll_until($acme, $lost)->json->{status}, 'completed', 'until it is');
is($t->charge($lost)->{state}, 'settled', 'then it is paid for');

$t->ctl_ok('holds', 'void', $gone->header('Phota-Charge-Id'), '--reason',
    'it is gone');

$t->finish;
done_testing();
