# What wasn't delivered, or is wanted again, the operator has tried once more,
# whenever its time is; and a stored result calls back as a job that was bought.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Callbacks;
use Phota::Receiver;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ 'acme' ]);
my $dir = $t->dir;

# what receivers get is searched for keys and tokens with all that clients get

my $hook = Phota::Receiver->new(dir => "$dir/client/hook");
my $second = Phota::Receiver->new(dir => "$dir/client/second");

use_test($t);
$t->sim->config(size => 'tiny');


subtest 'the operator has it tried once more' => sub {
    $hook->forget;
    $hook->answer(500, 500, 200);

    my @jobs = map { begin($hook->url("/more$_")) } 1, 2;

    tried($_, 1) for @jobs;

    $t->ctl_ok('callback', 'retry', id($jobs[0]));
    is_delivered($jobs[0], 'one, at once');
    is(row($jobs[1])->{delivery}, 'waiting', 'the other waits');

    $t->ctl_ok('callback', 'retry', '--all');
    is_delivered($jobs[1], 'all that wait');

    my ($first, @more) = came($hook, '/more1', 2);

    is(told($more[0]{body}), told($first->{body}), 'the same words');
    is_signed($more[0], secret('acme'), 'signed anew');

    $t->ctl_ok('callback', 'retry', id($jobs[0]));
    is(scalar came($hook, '/more1', 3), 3, 'what was delivered, again');

    my ($code) = $t->ctl('callback', 'retry', 'job_none');

    isnt($code, 0, 'one that nobody knows');

    my $open = begin($hook->url('/open'), job => Phota::Sim::HELD);
    my $none = $t->submit('remix', $t->token('acme'), { prompt => 'quiet' });

    isnt(($t->ctl('callback', 'retry', id($_)))[0], 0, $_ == $open
        ? 'one that is open' : 'one without a callback') for $open, $none;
    $t->sim->end_jobs;
    is_delivered($open, 'which ends by itself');
};


subtest 'a stored result calls back as well' => sub {
    $hook->forget;
    $hook->answer(200);

    my %fields = (prompt => 'twice the same');
    my $first = begin($hook->url('/first'), fields => \%fields);

    is_delivered($first, 'bought');

    my $calls = $t->sim->calls('remix');
    my $again;

    wait_for(sub {
        $again = begin($hook->url('/again'), fields => { %fields,
            client_request_id => 'order 8' });
        ($again->header('Cache-Status') // '') =~ /hit/;
    }, 10);

    is($t->sim->calls('remix'), $calls, 'nothing is bought');
    isnt(id($again), id($first), 'a job of its own');

    my ($got) = grep { $_->{json}{job_id} eq id($again) }
        came($hook, '/again');

    is_signed($got, secret('acme'), 'called back');
    is($got->{json}{status}, 'completed', 'it is done');
    is($got->{json}{client_request_id}, 'order 8', 'with the client\'s id');
    is($got->{headers}{'x-phota-job-id'}, id($again), 'and its own');

    my $poll = $t->poll($t->token('acme'), $again)->json;

    is(told($got->{json}{result}{download_urls}[0]),
        told($poll->{result}{download_urls}[0]), 'with what a poll tells');
    is_delivered($again, 'listed as delivered');

    # and again when it isn't taken

    $second->answer(500, 200);

    my $busy = begin($second->url('/busy'), fields => \%fields);

    is(tried($busy, 1)->{status}, 500, 'refused');
    $t->ctl_ok('callback', 'retry', id($busy));
    is_delivered($busy, 'tried again');
    is($t->sim->calls('remix'), $calls, 'and nothing was bought for it');
};

$t->finish;

done_testing();
