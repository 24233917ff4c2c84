# A worker that dies between a stored picture and its settle loses nothing: the
# picture names its charge, and whoever comes next settles by it.  The settle is
# kept from the disk by another process that holds the books' write lock.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep /;

plan(skip_all => 'no mdb_load') unless grep { -x "$_/mdb_load" }
    split /:/, $ENV{PATH};

my $t = Phota::Test->new(workers => 1);
my $acme = $t->token('acme');
my $slow = $Phota::Test::slow;

my $body = remix(prompt => 'before the crash', profile_ids => [ 'prof_ann' ]);

# one that is settled as ever, so that everything has been open

$t->is_miss($t->post('remix', $acme, remix(prompt => 'first')), '0.120000',
    'an ordinary purchase');

my $client = $t->background(sub {
    $t->post('remix', $acme, $body,
        headers => [ 'X-Sim-Fault' => 'latency=' . 1500 * $slow ]);
});

ok(wait_for(sub { ($t->sim->counters->{in_flight} // 0) == 1 }, 10),
    'the call is under way');

my $lock = $t->gateway->hold_books;

ok(wait_for(sub { stored() == 2 }, 20), 'its picture is stored');

is($t->calls, 2, 'it was bought once');
is(scalar(grep { $_->{state} eq 'held' } $t->gateway->holds), 1,
    'and is not settled');

# nothing else can be bought meanwhile, but free hits go out

$t->is_hit($t->post('remix', $acme, remix(prompt => 'first')), '0.120000',
    'a free hit needs no lock');

$t->gateway->kill_all;
$t->gateway->release_books($lock);
$t->reap($client);

my ($left) = $t->gateway->holds;

is($left->{state}, 'unknown', 'a dead owner reads as unknown at once');

$t->start;

ok(wait_for(sub { !$t->gateway->holds }, 20), 'the next worker resolves it');

my ($charge) = grep { $_->{charge_id} eq $left->{charge_id} }
    $t->gateway->ledger;

is($charge->{state}, 'settled', 'settled');
is($charge->{reason}, 'recovered', 'by its result');
is($charge->{cost}, '0.150000', 'at what was delivered');

$t->is_hit($t->post('remix', $acme, $body), '0.150000', 'the retry hits');

$t->finish(log => qr/exited on signal 9/);

done_testing();


sub stored {
    my $stats = eval { JSON::PP::decode_json(
        $t->gateway->ctl_ok('cache', 'stats', '--json')) } or return 0;

    return $stats->{results} // 0;
}
