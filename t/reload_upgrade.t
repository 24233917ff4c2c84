# nginx -t changes nothing; a reload, a binary upgrade and a graceful stop lose
# nothing, under load and with calls in flight.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA ();
use File::Find ();
use Phota::Fail;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep /;

my $t = Phota::Test->new;
my $g = $t->gateway;
my $acme = $t->token('acme');
my $slow = $Phota::Test::slow;

$t->is_miss($t->post('remix', $acme, remix(prompt => 'first')), '0.120000',
    'something is in the books');

# all files with their owners, modes, times and contents

sub snapshot {
    my ($dir) = @_;

    my @files;

    File::Find::find({ no_chdir => 1, wanted => sub {
        my @s = stat $_;
        my $digest = -f $_ ? Digest::SHA->new(256)->addfile($_)->hexdigest
            : '';
        push @files, join(' ', $_, @s[2, 4, 5, 7, 9], $digest);
    } }, $dir);

    return join("\n", sort @files);
}

$t->stop;

my $before = snapshot($g->data);
my ($code, $said) = $g->run('-t');

is($code, 0, 'nginx -t is content') or diag($said);
is(snapshot($g->data), $before, 'and leaves the data as it was');

my $data = $g->data;

rename $data, "$data.aside" or die "rename: $!\n";
$g->run('-t');
ok(!-e $data, 'nginx -t makes no data directory');
rename "$data.aside", $data or die "rename: $!\n";

$t->start;

$t->is_hit($t->post('remix', $acme, remix(prompt => 'first')), '0.120000',
    'what was bought is still there');

($code) = $g->run('-t');

is($code, 0, 'nginx -t beside a running one');
$t->is_hit($t->post('remix', $acme, remix(prompt => 'first')), '0.120000',
    'which goes on');

# load: slow calls, so that some are always in flight

sub load {
    my ($name, $seconds) = @_;

    return map {
        my $id = $_;

        $t->background(sub {
            my $end = time() + $seconds;
            my $n = 0;

            while (time() < $end) {
                my $answer = eval { $t->post('remix', $acme,
                    remix(prompt => "$name $id " . ++$n),
                    fault => 'latency=' . int(rand 300)) };

                $t->report($answer ? "$name " . $answer->status
                    . ' ' . ($answer->{error} || '') : "$name $@");
            }
        })
    } 1 .. 4;
}

sub all_well {
    my ($name) = @_;

    my @reports = grep { /^$name/ } $t->reports;
    my @bad = grep { !/^$name 200$/ } @reports;

    cmp_ok(scalar @reports, '>=', 8, "$name: there was load");
    is("@bad", '', "$name: every call was answered");
}

my @pids = load('reload', 2.5 * $slow);

for my $n (1 .. 4) {
    ok($g->reload, "reload $n");
    sleep 0.1;
}

$t->reap(@pids);
all_well('reload');

@pids = load('upgrade', 2.5 * $slow);
sleep 0.3;
ok($g->upgrade, 'a binary upgrade');
sleep 0.2;
$t->reap(@pids);
all_well('upgrade');

$t->is_hit($t->post('remix', $acme, remix(prompt => 'first')), '0.120000',
    'the new binary knows what was bought');

# a graceful stop with a call in flight

my $pid = $t->background(sub {
    my $answer = $t->post('remix', $acme, remix(prompt => 'last'),
        fault => 'latency=1500');
    $t->report('quit ' . $answer->status . ' ' . ($answer->{error} || ''));
});

ok($t->sim->wait_in_flight(1, 5 * $slow), 'a call in flight');
ok($t->stop, 'nginx stops when it has ended');
$t->reap($pid);
is((grep { /^quit/ } $t->reports)[0], 'quit 200', 'and the client has it');

# and one by TERM: the hold stays, it isn't forgotten

$t->start;

$pid = $t->background(sub {
    $t->post('remix', $acme, remix(prompt => 'cut'), fault => 'latency=1500');
});

ok($t->sim->wait_in_flight(1, 5 * $slow), 'a call in flight');
$g->stop('TERM');
$t->reap($pid);

my @holds = $g->holds;

is(scalar @holds, 1, 'a stop by TERM leaves its hold');
is($holds[0]{state}, 'unknown', 'which reads as unknown');

$t->start;

ok(wait_for(sub {
    grep { $_->{state} eq 'unknown' } $t->gateway->ledger }, 15),
    'after the next start too');

# threads that end after all that their worker had was put away

my $fail = Phota::Fail->new($t->dir . '/fail');

$t->stop;
$g->{env} = $fail->env;
$t->start;
$fail->linger(200);
$t->is_hit($t->post('remix', $acme, remix(prompt => 'first')), '0.120000',
    'a hit');
$t->is_miss($t->post('remix', $acme, remix(prompt => 'second')), '0.120000',
    'and a miss');
ok($t->stop, 'a worker stops before its threads do');
unlike($g->log, qr/exited on signal/, 'and nothing falls over');

$t->start;

$t->finish(unknown => 1, holds => 1,
    log => qr/exited with|open socket .* left/);

done_testing();
