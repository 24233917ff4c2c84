# A backup that is made under load is whole: restored elsewhere it verifies, and
# its usage is that of the charges it has.  One that broke off, or of which a
# byte changed, is not accepted; nothing is ever overwritten.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use POSIX ();
use Phota::Fail;
use Phota::Gateway;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $t = Phota::Test->new;
my $g = $t->gateway;
my $acme = $t->token('acme');
my $slow = $Phota::Test::slow;
my $dir = $t->dir;

sub json {
    my (@args) = @_;

    return JSON::PP::decode_json($t->ctl_ok('--json', @args));
}

sub mode {
    my ($file) = @_;

    my @s = lstat $file or return 'missing';

    return sprintf('%04o %s', $s[2] & 07777, scalar getpwuid($s[4]));
}

# buys without a pause until it is told to end

sub load {
    return map {
        my $id = $_;

        $t->background(sub {
            for (my $n = 0; !-e "$dir/enough"; $n++) {
                my $answer = eval { $t->post('remix', $acme,
                    remix(prompt => "load $id $n")) };

                $t->report($answer ? 'load ' . $answer->status : "load $@");
            }
        })
    } 1 .. 3;
}

$t->is_miss($t->post('remix', $acme, remix(prompt => 'first')), '0.120000',
    'something is in the books');

my @pids = load();

ok(wait_for(sub { $t->reports > 5 }, 20), 'there is load');

for my $n (1 .. 3) {
    my $made = json('backup', "$dir/backup$n");

    is($made->{path}, "$dir/backup$n", "backup $n under load");
    cmp_ok($made->{entries}, '>', 5, 'with the entries so far');
}

open(my $enough, '>', "$dir/enough") or die "enough: $!\n";
$t->reap(@pids);

is(join("\n", grep { !/^load 200$/ } $t->reports), '',
    'no call noticed anything');

# the last one, restored

my $owner = $> == 0 ? 'www-data' : getpwuid($>);
my @owner = $> == 0 ? ('--owner', 'www-data') : ();
my $manifest = JSON::PP::decode_json(
    Phota::Gateway::slurp("$dir/backup3/manifest.json"));

my ($code, $out, $err) = $t->ctl('--data', "$dir/new", 'restore',
    "$dir/backup3", '--json', @owner);

is($code, 0, 'a restore') or diag($err);
is(JSON::PP::decode_json($out)->{chain}, $manifest->{chain},
    'it is what was backed up');
like($err, qr/bought after \Q$manifest->{made}\E is not in these books/,
    'it says what is missing');

is(mode("$dir/new"), "0700 $owner", 'the data directory is the owner\'s');
is(mode("$dir/new/$_"), "0700 $owner", "so is $_") for qw/ books cache /;
is(mode("$dir/new/books/data.mdb"), "0600 $owner", 'and the books');

like($t->ctl_ok('--data', "$dir/new", 'ledger', 'verify'),
    qr/^ok: $manifest->{entries} entries, chain \Q$manifest->{chain}\E$/,
    'the restored books verify');

# usage of what is settled in them is that of the same charges here

my @restored = map { JSON::PP::decode_json($_) } split /\n/,
    $t->ctl_ok('--data', "$dir/new", 'ledger', 'list', '--json');
my %here = map { $_->{charge_id} => $_ } $g->ledger;
my $cost = 0;

for my $charge (@restored) {
    my $now = $here{$charge->{charge_id}};

    ok(0, "$charge->{charge_id} is a charge of ours") if !$now;
    next if $charge->{state} ne 'settled';

    $cost += Phota::Gateway::micro($charge->{cost});
    ok(0, "$charge->{charge_id} is as it was")
        if "@$now{qw/ state cost /}" ne "@$charge{qw/ state cost /}";
}

my $usage = JSON::PP::decode_json($t->ctl_ok('--data', "$dir/new", 'usage',
    '--json'));

is(Phota::Gateway::micro($usage->{total}{cost}), $cost,
    'its usage is the sum of its settled charges');
is(scalar(grep { $_->{state} eq 'held' } @restored), 0,
    'what was held then is unknown now');

# and of a quiet gateway usage is the same to the byte

ok($t->stop, 'nginx stops');
json('backup', "$dir/quiet");
$t->ctl_ok('--data', "$dir/still", 'restore', "$dir/quiet", @owner);

is($t->ctl_ok('--data', "$dir/still", 'usage', '--json'),
    $t->ctl_ok('usage', '--json'), 'nginx down: the same usage');
is($t->ctl_ok('--data', "$dir/still", 'ledger', 'list', '--json'),
    $t->ctl_ok('ledger', 'list', '--json'), 'and the same charges');

# archived entries, two days later

my $fail = Phota::Fail->new("$dir/orders");

$fail->clock(2 * 86400);

{
    local $g->{ctl_env} = $fail->env;
    my @data = ('--data', "$dir/still");

    like($t->ctl_ok(@data, 'ledger', 'archive', '--before',
        POSIX::strftime('%Y-%m-%d', gmtime(time() + 86400))),
        qr/^\d+ entries are in/, 'entries are archived');

    $t->ctl_ok(@data, 'backup', "$dir/archived");
    ok(glob("$dir/archived/books/archive/0001-*.gz"),
        'their file is in the backup');

    $t->ctl_ok('--data', "$dir/put", 'restore', "$dir/archived", @owner);
    is($t->ctl_ok('--data', "$dir/put", 'ledger', 'verify'),
        $t->ctl_ok(@data, 'ledger', 'verify'), 'and restored with the books');
}


# refused

sub refused {
    my ($said, $name, @args) = @_;

    my ($code, undef, $err) = $t->ctl(@args);

    is($code, 1, $name);
    like($err, $said, 'and it says why');
}

refused(qr/is there already/, 'a backup over a backup', 'backup',
    "$dir/backup1");
refused(qr/isn't empty/, 'a restore over data', 'restore', "$dir/backup1");
refused(qr/isn't empty/, 'over restored data', '--data', "$dir/new",
    'restore', "$dir/backup1");
refused(qr/No such file/, 'a backup that isn\'t there', '--data', "$dir/none",
    'restore', "$dir/nothing");
ok(!-e "$dir/none", 'makes nothing');

sub damage {
    my ($file, $at) = @_;

    open(my $fh, '+<:raw', $file) or die "$file: $!\n";
    seek($fh, $at, 0);
    read($fh, my $byte, 1);
    seek($fh, $at, 0);
    print $fh chr(ord($byte) ^ 1);
    close($fh) or die "$file: $!\n";
}

damage("$dir/backup1/books/data.mdb", 12345);
refused(qr/not what was written: it is damaged/, 'one byte is another',
    '--data', "$dir/none", 'restore', "$dir/backup1");
ok(!-e "$dir/none/books", 'leaves no books');
ok(!-e "$dir/none/restore.tmp", 'and nothing else');

unlink "$dir/backup2/manifest.json" or die "manifest: $!\n";
refused(qr/no manifest\.json: it isn't one, or broke off/,
    'without its list of files', '--data', "$dir/none", 'restore',
    "$dir/backup2");

my $text = Phota::Gateway::slurp("$dir/quiet/manifest.json");

for my $wrong ([ qr/"path": "books/, '"path": "../books', qr/list .* damaged/,
        'a name that leads elsewhere' ],
    [ qr/"schema": \d+/, '"schema": 999', qr/schema 999/, 'another schema' ],
    [ qr/"chain": "./, '"chain": "x', qr/not those that were verified/,
        'another chain' ])
{
    my ($from, $to, $said, $name) = @$wrong;

    (my $changed = $text) =~ s/$from/$to/;
    open(my $fh, '>', "$dir/quiet/manifest.json") or die "manifest: $!\n";
    print $fh $changed;
    close($fh);

    refused($said, $name, '--data', "$dir/none", 'restore', "$dir/quiet");
    ok(!-e "$dir/none/books", 'no books');
}

# kill -9 at any moment leaves nothing that a restore accepts, or a backup

my ($whole, $broken) = (0, 0);
my $program = Phota::Gateway::program('photactl');

for my $n (1 .. 12) {
    my $to = "$dir/killed$n";
    my $pid = fork() // die "fork: $!\n";

    if (!$pid) {
        open(STDOUT, '>', '/dev/null');
        open(STDERR, '>', '/dev/null');
        exec($program, '--data', $g->data, 'backup', $to)
            or POSIX::_exit(127);
    }

    # the steps in turn, by what there is to see; then at some time

    my $seen = ($n % 3 == 1) ? $to : ($n % 3 == 2) ? "$to/books/data.mdb"
        : "$to/books/lock.mdb";
    my $end = time() + 10 * $slow;

    until (-e $seen || time() > $end || waitpid($pid, POSIX::WNOHANG())) { }
    sleep 0.001 * int($n / 3);

    kill('KILL', $pid);
    waitpid($pid, 0);

    my ($code, undef, $err) = $t->ctl('--data', "$dir/of$n", 'restore', $to,
        @owner);

    if (-e "$to/manifest.json") {
        $whole++;
        is($code, 0, "killed $n: whole") or diag($err);
        like($t->ctl_ok('--data', "$dir/of$n", 'ledger', 'verify'), qr/^ok: /,
            'it verifies');

    } else {
        $broken++;
        is($code, 1, "killed $n: refused");
        ok(!-e "$dir/of$n/books", 'no books');
    }
}

diag("killed: $whole whole, $broken broken off") if $ENV{TEST_VERBOSE};
cmp_ok($broken, '>', 0, 'some were killed in time');

# a restore that was killed is begun again in the same place

mkdir "$dir/again" or die "mkdir: $!\n";
mkdir "$dir/again/restore.tmp" or die "mkdir: $!\n";
mkdir "$dir/again/restore.tmp/books" or die "mkdir: $!\n";

$t->ctl_ok('--data', "$dir/again", 'restore', "$dir/backup3", @owner);
like($t->ctl_ok('--data', "$dir/again", 'ledger', 'verify'), qr/^ok: /,
    'a restore is begun again where one broke off');
ok(!-e "$dir/again/restore.tmp", 'which leaves nothing behind');

# nginx runs on restored data

rename $g->data, $g->data . '.lost' or die "rename: $!\n";
rename "$dir/again", $g->data or die "rename: $!\n";
$t->start;

my $answer = $t->post('remix', $acme, remix(prompt => 'after'),
    fault => 'status=503');

is($answer->status, 503, 'a gateway works with restored books');
is($t->charge($answer)->{state}, 'void', 'and writes in them');

ok($t->stop, 'nginx stops');
rename $g->data, $g->data . '.restored' or die "rename: $!\n";
rename $g->data . '.lost', $g->data or die "rename: $!\n";

$t->finish(stopped => 1);

done_testing();
