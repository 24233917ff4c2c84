# What nobody knows the outcome of is resolved by the operator's word: once,
# with his name and his reason in the books, and never while a worker is at it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme globex / ]);
my $slow = $Phota::Test::slow;
my $g = $t->gateway;

sub unknown {
    my ($fault, %fields) = @_;

    my %known = map { $_->{charge_id} => 1 } $g->holds;

    $t->post('remix', $t->token('acme'),
        remix(prompt => 'no. ' . rand, %fields), fault => $fault);

    my ($hold) = grep { !$known{$_->{charge_id}} } $g->holds;

    return $hold // { charge_id => 'none', state => 'none' };
}

sub show {
    my ($id) = @_;

    return JSON::PP::decode_json($t->ctl_ok('--json', 'ledger', 'show', $id));
}

# it must not work, with this exit code, and say why

sub refused {
    my ($code, $why, @args) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($got, $out, $err) = $t->ctl(@args);

    is($got, $code, "exit $code: @args");
    like($err, $why, 'it says why');
    is($out, '', 'and nothing on stdout');
}

my $who = $> == 0 && $ENV{SUDO_USER} ? $ENV{SUDO_USER} : getpwuid($<);

# as it was held for

my $hold = unknown('status=500;bill=1', num_output_images => 2);
my $id = $hold->{charge_id};

is($hold->{state}, 'unknown', 'a 500 leaves an unknown');
is($hold->{tenant}, 'acme', 'of its tenant');
is($hold->{amount}, '0.240000', 'that holds its money');
is($hold->{asked}, 2, 'for what was asked');
like($hold->{age_s}, qr/^\d+$/, 'and has an age');

refused(2, qr/--reason/, qw/ holds settle /, $id);
refused(2, qr/--reason/, qw/ holds settle --reason /, '  ', $id);
refused(2, qr/control/, qw/ holds settle --reason /, "a\nb", $id);
refused(2, qr/128/, qw/ holds settle --reason /, 'x' x 129, $id);
refused(2, qr/UTF-8/, qw/ holds settle --reason /, "\xff", $id);
refused(2, qr/--outputs/, qw/ holds settle --identity 1 --reason x /, $id);
refused(2, qr/more than/,
    qw/ holds settle --outputs 1 --identity 2 --reason x /, $id);
refused(1, qr/none of this id/, qw/ holds settle --reason x /,
    'ch_' . '0' x 26);
refused(2, qr/not the id/, qw/ holds void --reason x ch_1 /);

$t->ctl_ok(qw/ holds settle --reason /, 'the bill has it', $id);

my $charge = show($id);

is($charge->{state}, 'settled', 'by word it is settled');
is($charge->{cost}, '0.240000', 'as it was held for');
is($charge->{reason}, 'operator', 'by the operator');

my @entries = @{$charge->{entries}};

is(join(' ', map { $_->{type} } @entries), 'held unknown settled',
    'and its entries tell how');
is($entries[2]{by}, "operator $who", 'who');
is($entries[2]{note}, 'the bill has it', 'and why');
is($entries[2]{delta_cost}, '0.240000', 'and what changed');
is($entries[1]{by}, '', 'the gateway itself has no name');

refused(1, qr/settled/, qw/ holds settle --reason x /, $id);
refused(1, qr/settled/, qw/ holds void --reason x /, $id);

# for so many, and for that cost

$hold = unknown('status=500;bill=0', num_output_images => 3,
    profile_ids => [ 'prof_ann' ]);
is($hold->{amount}, '0.450000', 'with a profile its rate is held');
$t->ctl_ok(qw/ holds settle --outputs 0 --reason none /,
    $hold->{charge_id});
is(show($hold->{charge_id})->{cost}, '0.000000', 'so many, were it none');

$hold = unknown('status=500;bill=1', num_output_images => 2,
    profile_ids => [ 'prof_ann' ]);

refused(1, qr/--outputs/, qw/ holds settle --usd 0.1 --reason x /,
    $hold->{charge_id});
$t->ctl_ok(qw/ holds settle --reason bill --usd 0.3 /, $hold->{charge_id});

$charge = show($hold->{charge_id});

is($charge->{cost}, '0.300000', 'for what was billed');
is($charge->{outputs}, 2, 'which says how many came');
ok($charge->{billed}, 'and is marked so');

# not bought

$hold = unknown('status=500;bill=0');
$t->ctl_ok(qw/ holds void --reason /, 'not on the bill', $hold->{charge_id});

$charge = show($hold->{charge_id});

is($charge->{state}, 'void', 'by word it is void');
is($charge->{cost}, '0.000000', 'and costs nothing');
is($charge->{entries}[2]{note}, 'not on the bill', 'with a reason');

is(scalar $g->holds, 0, 'nothing is held any more');

# what is under way is nobody else's

my $client = $t->background(sub {
    $t->post('remix', $t->token('globex'), remix(prompt => 'slow'),
        fault => 'latency=' . 3000 * $slow);
});

ok(wait_for(sub { $t->sim->counters->{in_flight} }, 10), 'one is under way');

my ($held) = $g->holds;

is($held->{state}, 'held', 'it is held');
is(scalar($t->ctl_ok(qw/ holds list --json --tenant acme /)), '',
    'and listed for its tenant only');
refused(1, qr/\w/, qw/ holds settle --reason x /, $held->{charge_id});
refused(1, qr/\w/, qw/ holds void --reason x /, $held->{charge_id});

$t->reap($client);
ok(wait_for(sub { !$g->holds }, 10 * $slow), 'it ends as ever');
is(show($held->{charge_id})->{state}, 'settled', 'settled by its worker');

# a deadline says it for all

is($t->ctl_ok(qw/ holds deadline /), "none\n", 'by default there is none');
refused(2, qr/one of/, qw/ holds deadline 72h /);
refused(2, qr/one of/, qw/ holds deadline 72h --settle --void /);
refused(2, qr/duration/, qw/ holds deadline soon --void /);
refused(2, qr/duration/, qw/ holds deadline --void /);
refused(2, qr/duration/, qw/ holds deadline none --void /);

$t->ctl_ok(qw/ holds deadline 3d --settle /);
is($t->ctl_ok(qw/ --json holds deadline /),
    qq/{"action":"settle","after_s":259200}\n/, 'it is shown');

$t->ctl_ok(qw/ holds deadline 1s --void /);

$id = unknown('status=500;bill=0')->{charge_id};

ok(wait_for(sub { !$g->holds }, 30 * $slow), 'after it nothing is unknown');

$charge = show($id);

is($charge->{state}, 'void', 'as the deadline says');
is($charge->{reason}, 'deadline', 'by which it was');

$t->ctl_ok(qw/ holds deadline none /);
is($t->ctl_ok(qw/ holds deadline /), "none\n", 'there is none again');

$t->finish;

done_testing();
