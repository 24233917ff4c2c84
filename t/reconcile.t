# Reconcile: whatever went wrong between Phota and the gateway, the bill puts it
# right.  After --apply the books equal it to the micro-dollar, a second time
# changes nothing, and no tenant pays for a call that may be another's.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Phota::Test;
use POSIX ();
use Test::More;
use Time::HiRes qw/ sleep time /;

my $slow = $Phota::Test::slow;

my $t = Phota::Test->new(tenants => [ qw/ acme globex initech hooli / ],
    own => { initech => 'phk-initech-0123456789',
        hooli => 'phk-hooli-0123456789' },
    profiles => { acme => [ qw/ prof_none_acme prof_once prof_once2 / ],
        globex => [ qw/ prof_none_globex prof_anna / ] },
    params => { proxy_read_timeout => 4 * $slow . 's' });

my $n = 0;

sub buy {
    my ($tenant, $operation, %o) = @_;

    my %fields = (profile_ids => [ "prof_none_$tenant" ],
        prompt => 'no. ' . ++$n, %{delete $o{fields} || {}});
    my $body = $operation eq 'remix' ? remix(%fields) : enhance(%fields);

    return $t->post($operation, $t->token($tenant), $body, timeout => 10,
        headers => [ 'Cache-Control' => 'no-store' ], %o);
}

# --- photactl

sub bill_file {
    my ($text) = @_;

    my $file = $t->dir . '/client/bill.csv';

    open(my $fh, '>', $file) or die "$file: $!\n";
    print $fh $text;
    close($fh);

    return $file;
}

# exit code, the summary, and the rows
sub reconcile {
    my ($text, @args) = @_;

    my ($code, $out, $err) = $t->ctl('reconcile', '--bill', bill_file($text),
        '--json', @args);
    my @rows = map { JSON::PP::decode_json($_) } split /\n/, $out;
    my $sum = @rows && $rows[-1]{class} eq 'summary' ? pop @rows : {};

    return { code => $code, sum => $sum, rows => \@rows, err => $err };
}

sub rows {
    my ($r, $resolution) = @_;

    return grep { $_->{resolution} eq $resolution } @{$r->{rows}};
}

sub shown {
    my ($r) = @_;

    return join("\n", "exit $r->{code}: $r->{err}", map { join(' ', map {
        $_ eq '' ? '-' : $_ } @$_{qw/ class upstream_request_id tenant billed
        charged state resolution / }) } @{$r->{rows}});
}

sub chain {
    my ($code, $out, $err) = $t->ctl('ledger', 'verify');

    return $code ? "$out$err" : $out;
}

# applies, and once more, which changes nothing; the first result
sub apply {
    my ($text, $name, @args) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $r = reconcile($text, '--apply', @args);

    is($r->{code}, 0, "$name: applied") or diag(shown($r));
    is($r->{sum}{difference}, '0.000000', "$name: no difference is left");

    my $chain = chain();
    like($chain, qr/^ok: /, "$name: the ledger is sound");

    my $again = reconcile($text, '--apply', @args);

    is($again->{code}, 0, "$name: and once more");
    is(scalar @{$again->{rows}}, 0, "$name: finds nothing")
        or diag(shown($again));
    is(chain(), $chain, "$name: and writes nothing");

    is(books(), billed($text), "$name: the books equal the bill")
        or diag(shown($r));

    return $r;
}

sub books {
    my $sum = 0;

    $sum += micro($_->{cost})
        for grep { $_->{state} eq 'settled' } $t->gateway->ledger;

    is(micro($t->gateway->usage->{total}{cost}), $sum,
        'usage says what the ledger says');

    return $sum;
}

sub billed {
    my ($text) = @_;

    my $sum = 0;

    $sum += micro((split /,/, $_)[6]) for grep { /,req_/ } split /\n/, $text;

    return $sum;
}

# --- calls that go wrong in every way

my $ok = buy('acme', 'remix');

is($ok->status, 200, 'a call that is well');

buy('globex', 'remix', fields => { num_output_images => 2 });
buy('acme', 'remix', fault => 'status=500;bill=1');
buy('acme', 'remix', fault => 'status=500');
buy('globex', 'remix', fault => 'status=400');
buy('globex', 'remix', fault => 'status=400;bill=1');
buy('globex', 'remix', fault => 'truncate');
buy('acme', 'remix', fault => 'resetlate');
buy('acme', 'remix', fault => 'partial=1', fields =>
    { num_output_images => 2 });
buy('globex', 'remix', fault => 'nosubjects', fields =>
    { profile_ids => [ 'prof_anna' ] });
buy('acme', 'remix', fields => { num_output_images => 2,
    profile_ids => [ qw/ prof_once prof_once2 / ] });
buy('initech', 'remix');
buy('initech', 'remix', fault => 'status=502;bill=1');
buy('hooli', 'enhance');
buy('hooli', 'enhance', fault => 'garbage;bill=1');

# nobody ever learns the ids of these: the first can only be acme's, the others
# can be globex's or acme's

buy('acme', 'enhance', fault => 'reset;bill=1');

my $client = $t->background(sub {
    buy('globex', 'remix', fault => 'latency=' . 3000 * $slow);
});

ok(wait_for(sub { ($t->sim->counters->{in_flight} // 0) == 1 }, 10),
    'a call is under way');
buy('acme', 'remix', fault => 'reset;bill=1');
$t->gateway->kill_worker($_) for $t->gateway->workers;
$t->reap($client);
ok($t->sim->wait_in_flight(0, 20 * $slow), 'and goes on without its worker');
ok(wait_for(sub {
    !grep { $_->{state} eq 'held' } $t->gateway->holds }, 20),
    'which leaves no hold behind');

# one more, so that the bill goes on behind all that

is(buy('acme', 'remix')->status, 200, 'another that is well');

# --- what there is to be seen

my $bill = $t->sim->bill_csv;
my $chain = chain();
my $r = reconcile($bill);

is($r->{code}, 1, 'bill and books differ');
is(chain(), $chain, 'and to say so writes nothing');
isnt($r->{sum}{difference}, '0.000000', 'by so much')
    or diag(shown($r));
is(scalar(rows($r, 'settle')) > 5, 1, 'unknown ones are to be settled')
    or diag(shown($r));
is(scalar(rows($r, 'book')), 2, 'two are nobody\'s') or diag(shown($r));

my ($enhance) = grep { $_->{tenant} eq 'acme' && $bill =~
    /,\Q$_->{upstream_request_id}\E,shared,enhance,/ } rows($r, 'settle');

ok($enhance, 'one without an id can only be acme\'s') or diag(shown($r));

my ($bounds) = grep { $_->{class} eq 'different_amount' } @{$r->{rows}};

is($bounds->{billed}, '0.300000', 'two subjects: the bill knows better');
is($bounds->{charged}, '0.270000', 'than the lower bound');

# --- and what is done about it

my $done = apply($bill, 'all faults');

is(scalar(rows($done, 'booked')), 2, 'two were booked for nobody');
is_deeply([ sort map { $_->{tenant} } rows($done, 'booked') ], [ '', '' ],
    'so that no tenant pays for them');

my %own;

for my $row (@{$t->gateway->usage->{rows}}) {
    $own{$row->{tenant}} += micro($row->{cost});
}

is($own{$_}, $t->bill($_)->{amount}, "$_ pays what his key is billed")
    for qw/ initech hooli /;

is(scalar(grep { $_->{state} eq 'unknown' } $t->gateway->ledger), 3,
    'unknown are what the bill doesn\'t have, or not yet')
    or diag(map { "$_->{charge_id} $_->{tenant} $_->{upstream_request_id}\n" }
        grep { $_->{state} eq 'unknown' } $t->gateway->ledger);

# --- lines that are gone, are new, are others

my $charge = $t->charge($ok);
my @lines = split /^/, $t->sim->bill_csv;
my ($mine) = grep { $lines[$_] =~ /,\Q$charge->{upstream_request_id}\E,/ }
    0 .. $#lines;
my $from = (split /,/, $lines[$mine])[0];

$from =~ s/:\d\d\.\d+Z/:00Z/;

# the call's hold may lie in the minute before

my @period = ('--from', earlier($from));

sub earlier {
    my ($time) = @_;

    my ($y, $m, $d, $h, $min) = $time =~ /(\d+)-(\d+)-(\d+)T(\d+):(\d+)/;

    return POSIX::strftime('%Y-%m-%dT%H:%M:00Z', 0, $min - 10, $h, $d, $m - 1,
        $y - 1900);
}

my @edited = @lines;

splice(@edited, $mine, 1);
$edited[3] =~ s/,0\.\d+$/,0.990000/;
push @edited, ($edited[5] =~ s/,req_[^,]*/,req_by_hand/r);
$edited[-1] =~ s/,[\d.]+$/,7.123456/;

sleep 2.5;

$r = reconcile(join('', @edited), @period);

is($r->{code}, 1, 'a bill that was edited differs');
is($r->{sum}{$_}, 1, "one is $_") for qw/ billed_not_charged
    charged_not_billed different_amount /;

$done = apply(join('', @edited), 'the edited bill', @period);
is($t->charge($ok)->{state}, 'reversed', 'a charge without a line goes');

# --tenant: what isn't known is his, and only his charges count

my @his = grep { /^time,|,initech,/ } @lines;

push @his, ($his[1] =~ s/,req_[^,]*/,req_initech/r);

$r = reconcile(join('', @his), '--apply', '--tenant', 'initech', @period);
is($r->{code}, 0, 'a bill of one tenant\'s key') or diag(shown($r));
is(scalar(rows($r, 'booked')), 1, 'one is booked');
is($r->{rows}[0]{tenant}, 'initech', 'for him');

$r = reconcile(join('', @his, $lines[$mine]), '--apply', '--tenant',
    'initech', @period);
is($r->{code}, 1, 'what is another\'s on it');
is($r->{rows}[0]{tenant}, '', 'isn\'t his');

# --- what can't be read changes nothing

$chain = chain();

for my $bad (
    [ 'cut in a quote', join('', @lines) . '"2026', qr/isn't closed/ ],
    [ 'a field too few', join('', @lines) . "req_1,0.12\n", qr/fields/ ],
    [ 'not an amount', join('', @lines) =~ s/,0\.\d+$/,free/mr,
        qr/line 2, column "amount"/ ],
    [ 'not a time', join('', @lines) =~ s/^2\d\d\d-/yesterday/mr,
        qr/line 2, column "time"/ ],
    [ 'no header', join('', @lines[1 .. $#lines]), qr/no column/ ],
    [ 'a picture', "\xff\xd8\xff\xe0\0\x10JFIF\0", qr/line 1/ ],
    [ 'nothing', '', qr/empty/ ])
{
    my ($name, $text, $said) = @$bad;

    $r = reconcile($text, '--apply');
    is($r->{code}, 1, "$name: refused");
    like($r->{err}, $said, "$name: with the reason");
}

is(chain(), $chain, 'and nothing was written');

my ($code, $out, $err) = $t->ctl('reconcile', '--bill', '/nonexistent');

is($code, 1, 'no file');
like($err, qr/No such file/, 'is said so');
is(($t->ctl('reconcile'))[0], 2, 'without --bill it is a wrong command line');

# --- back to the truth, while nginx goes on

sleep 2.5;

my $answer = buy('acme', 'remix');

is($answer->status, 200, 'nginx buys as ever');

$bill = $t->sim->bill_csv;
$done = apply($bill, 'the true bill', @period,
    '--to', POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time() + 3600)));

my $total = 0;

$total += $_->{amount} for values %{$t->sim->bill};

is(books(), $total, 'the books are the simulator\'s bill');

($code, $out, $err) = $t->ctl('reconcile', '--bill', bill_file($bill));

is($code, 0, 'as a table too');
like($out, qr/^\d+ lines: billed \S+, charged \S+, difference 0\.000000; /,
    'which says so in one line');

$t->finish(unknown => 1, log => qr/exited on signal 9/);

done_testing();
