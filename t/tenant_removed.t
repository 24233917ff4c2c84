# A tenant that was removed buys nothing any more, not even with a request that
# was let in before and whose body came after; nobody's key is used for it, and
# what it bought stays charged.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep /;

my $t = Phota::Test->new(tenants => [ qw/ acme other shared owner / ],
    own => { owner => 'phk-owner-of-a-key' },
    profiles => { other => [ 'prof_late' ] });
my $g = $t->gateway;

# its head and a first part of its body are there, the last part isn't

sub begin {
    my ($tenant) = @_;

    my $body = remix(prompt => "late $tenant",
        $tenant eq 'other' ? (profile_ids => [ 'prof_late' ]) : ());
    my $c = $t->connect;
    my $half = int(length($body) / 2);

    $c->{socket}->blocking(1);
    print {$c->{socket}} "POST /v1/phota/remix HTTP/1.1\r\nHost: x\r\n"
        . 'X-API-Key: ' . $t->token($tenant) . "\r\nConnection: close\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n"
        . substr($body, 0, $half);
    $c->{socket}->flush;

    return [ $c->{socket}, substr($body, $half) ];
}

sub end {
    my ($socket, $rest) = @{$_[0]};

    print $socket $rest;
    $socket->flush;

    local $/;
    local $SIG{ALRM} = sub { die "no answer\n" };

    alarm(20 * $Phota::Test::slow);
    my $answer = readline($socket);
    alarm(0);

    return $answer;
}

sub said {
    my ($status) = $_[0] =~ m{^HTTP/1\.1 (\d+) };
    my ($code) = $_[0] =~ m{"code":"(\w+)"};

    return join(' ', grep { defined } $status, $code);
}

# bought before, by him with a key of his own first

my %bought;

$bought{$_} = $t->post('remix', $t->token($_), remix(prompt => "before $_"))
    ->header('Phota-Charge-Id') for qw/ owner acme /;

my %late = map { $_ => begin($_) } qw/ acme other shared owner /;
sleep 0.5;

my $calls = $t->sim->calls;

# workers that run are waited for: all at once

$t->reap(map { my $name = $_; $t->background(sub {
    $t->ctl_ok('tenant', 'remove', $name);
}) } qw/ other shared owner /);

$t->tenant('other');

is(said(end($late{shared})), '401 UNAUTHORIZED',
    'a body that came too late buys nothing');
is(said(end($late{owner})), '401 UNAUTHORIZED',
    'and not with another key, when its own is gone');
is(said(end($late{other})), '401 UNAUTHORIZED',
    'another of its name is another');

is($t->sim->calls, $calls, 'nothing was called');
is(scalar($g->ledger), 2, 'and nothing more stands in the books');

is(said(end($late{acme})), '200', 'who stayed is served');

# the bill of the shared key doesn't have the calls of another

sub bill_file {
    my $file = $t->dir . '/client/bill.csv';

    open(my $fh, '>', $file) or die "$file: $!\n";
    print $fh @_;
    close($fh);

    return $file;
}

my ($head, @lines) = split /^/, $t->sim->bill_csv;

$t->ctl_ok('reconcile', '--apply', '--bill',
    bill_file($head, grep { !/,owner,/ } @lines));
is($t->gateway->charge($bought{$_})->{state}, 'settled',
    "$_: what was bought stays so") for qw/ acme owner /;

# what he had is found by his number, also for the last bill of his key

my $number = $g->charge($bought{owner})->{tenant};

is(scalar($g->ledger('--tenant', $number)), 1, "$number has a charge");
is($g->usage('--tenant', $number)->{total}{cost}, '0.120000', 'and its cost');
$t->ctl_ok('reconcile', '--apply', '--tenant', $number, '--bill',
    bill_file($head, grep { /,owner,/ } @lines));
is(($t->ctl('reconcile', '--apply', '--tenant', '#99', '--bill',
    bill_file($head, grep { /,owner,/ } @lines)))[0], 1,
    'a number that nobody had is refused');

$t->removed($number, 'owner');
$t->finish;
done_testing();
