# Another master key, while nginx sells: no call fails, what was bought stays
# bought, links and jobs go on, the books equal the bill.  A rekey may be killed
# at any moment, and is refused while a worker lives that doesn't know the new
# key.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Phota::Fail;
use Phota::Gateway;
use Phota::Pictures;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep time /;

my %own = map { ("corp$_" => "phk-corp$_-" . Phota::Test::random()) } 1 .. 3;

my $t = Phota::Test->new(own => \%own, tenants => [ 'acme', sort keys %own ]);
my $g = $t->gateway;
my $dir = $g->dir;
my $slow = $Phota::Test::slow;
my ($acme, $corp) = map { $t->token($_) } qw/ acme corp1 /;
my @owner = $> == 0 ? ('--owner', 'www-data') : ();

my ($old, $new) = ("$dir/master.key", "$dir/master-2.key");

# photactl with the keys of files

sub ctl {
    my (@args) = @_;

    my $in = ref $args[0] ? shift @args : \'';

    return $g->ctl($in, @args);
}

sub rekey {
    my (@args) = @_;

    return ctl('--master-key', $new, '--old-master-key', $old, 'rekey', @args);
}

# nginx with these keys

sub keys_are {
    my (@files) = @_;

    $g->{config} = sub {
        my ($text) = @_;

        $text =~ s/(phota_master_key) [^;]+;/$1 @files;/;

        return $text;
    };
}

sub json {
    return JSON::PP::decode_json($_[0]);
}

# how many keys are under which master key, by the doctor of each

sub opened {
    my ($file, @data) = @_;

    my ($code, $out) = ctl(@data, '--master-key', $file, 'doctor', '--conf',
        "$dir/none", '--all', '--json');
    my ($found) = grep { $_->{check} eq 'keys' } map { json($_) }
        split /\n/, $out;

    return $found->{what} =~ /opens (\d+) of|opens all (\d+)/ ? $1 // $2 : '?';
}

# a key each that is only there to be many

my $many = 150;
my $keys = 1 + keys(%own) + $many;

for my $n (1 .. $many) {
    $t->ctl_ok('tenant', 'add', "many$n");
    $t->ctl_ok(\"key-of-$n", 'key', 'set', "many$n");
}

# what is there before

$t->is_miss($t->post('remix', $_->[1], remix(prompt => "first $_->[0]")),
    '0.120000', "$_->[0] buys") for [ acme => $acme ], [ corp => $corp ];

my $link = lists($t->post('remix', $acme,
    remix(prompt => 'first acme', response_mode => 'urls')))
    ->{download_urls}[0];

is(fetch($t, $link)->status, 200, 'a link');

my $job = $t->submit('remix', $acme, { prompt => 'first acme' });

is($t->poll($acme, $job)->status, 200, 'a job out of the cache');

my $open = $t->submit('remix', $acme, { prompt => 'open' },
    job => 'end=never');

is($open->status, 202, 'a job that goes on');

my $secret = $t->ctl_ok('webhook-secret', 'acme');
my $before = $t->post('remix', $acme, remix(prompt => 'first acme'))
    ->header('Phota-Fingerprint');

$t->ctl_ok('backup', "$dir/backup");

# the new key's file

is((ctl('--master-key', $new, 'init', @owner))[0], 0, 'a new key');

my ($code, $out, $err) = rekey();

is($code, 1, 'refused while workers know the old one alone');
like($err, qr/2 workers of nginx know not the new master key: .*reload/s,
    'and says what to do');
is(opened($old), $keys, 'nothing was sealed anew');

# load: what is bought, and hits

sub load {
    my ($name) = @_;

    return map {
        my $id = $_;

        $t->background(sub {
            for (my $n = 0; !-e "$dir/$name.enough"; $n++) {
                my ($token, $who) = $n % 2 ? ($corp, 'corp') : ($acme, 'acme');
                my $answer = eval { $t->post('remix', $token,
                    remix(prompt => $n % 3 ? "first $who"
                        : "$name $id $n")) };

                $t->report($answer ? "$name " . ($n % 3 ? 'hit ' : 'miss ')
                    . $answer->status . ' '
                    . ($answer->header('Cache-Status') // '') : "$name $@");
            }
        })
    } 1 .. 3;
}

sub all_well {
    my ($name, @pids) = @_;

    open(my $enough, '>', "$dir/$name.enough") or die "enough: $!\n";
    $t->reap(@pids);

    my @reports = grep { /^$name/ } $t->reports;
    my @bad = grep { !/ hit 200 phota; hit;/ && !/ miss 200 phota; fwd/ }
        @reports;

    cmp_ok(scalar @reports, '>', 9, "$name: there was load");
    is(join("\n", @bad), '', "$name: every call was answered, by a hit where "
        . 'it was bought before');
}

my @pids = load('rekey');

ok(wait_for(sub { $t->reports > 5 }, 20), 'there is load');

# both keys

keys_are($new, $old);
ok($g->reload, 'nginx knows both keys');
ok(wait_for(sub { $g->workers(also => 1) == 2 }, 30), 'and none but it');

# killed on its way

my @two = ('--master-key', $new, '--old-master-key', $old);
my $fail = Phota::Fail->new("$dir/fail", books => $g->data . '/books',
    before => "$dir/before/books");

sub killed_at {
    my ($n, @data) = @_;

    local $g->{ctl_env} = { %{$g->{ctl_env} || {}}, %{$fail->env} };

    $fail->arm(at => $n, how => 'kill');

    my ($code) = ctl(@data, @two, 'rekey');

    $fail->clear;

    return $code == 9 || $code == 128 + 9;
}

my ($n, $mine, $theirs) = (2, 0, 0);

while (!$mine && killed_at(++$n)) {
    ($mine, $theirs) = (opened($new), opened($old));
}

cmp_ok($n, '>', 3, 'rekeys are killed, each a write later');

is($mine + $theirs, $keys, 'each key opens under one of both');
cmp_ok($mine, '>', 0, 'some under the new one');
cmp_ok($theirs, '>', 0, 'some under the old one');

my @found = map { json($_) } split /\n/, (ctl('--master-key', $new, 'doctor',
    '--conf', "$dir/nginx.conf", '--json'))[1];
my ($half) = grep { $_->{check} eq 'rekey' } @found;

is($half->{severity}, 'warning', 'the doctor knows that it isn\'t finished');
like($half->{mend}, qr/photactl rekey .*--old-master-key/, 'and the command');

($code, $out, $err) = ctl(\'another', '--master-key', $new, 'key', 'set',
    'many1');
is($code, 1, 'no key is set meanwhile that others couldn\'t be compared with');
like($err, qr/--old-master-key/, 'it says what is missing');

# begun again

($code, $out, $err) = rekey('--json');

is($code, 0, 'rekey goes on where it was') or diag($err);
is(json($out)->{keys}, $keys, 'over all keys');
is(opened($new), $keys, 'all are under the new key');
is(opened($old), 0, 'and none under the old one');

($code, $out) = rekey();

is($code, 0, 'once more');
like($out, qr/^nothing to do: all $keys keys/, 'there is nothing to do');

all_well('rekey', @pids);

is(fetch($t, $link)->status, 200, 'an old link is read');
is($t->poll($acme, $job)->status, 200, 'an old job, too');

my $fresh = lists($t->post('remix', $acme,
    remix(prompt => 'first acme', response_mode => 'urls')))
    ->{download_urls}[0];
my $again = $t->submit('remix', $acme, { prompt => 'first acme' });

is(fetch($t, $fresh)->status, 200, 'a new one');
is((ctl(@two, 'webhook-secret', 'acme'))[1], $secret,
    'the secret of callbacks is the same');

($half) = grep { $_->{check} eq 'rekey' } map { json($_) } split /\n/,
    (ctl('--master-key', $new, 'doctor', '--conf', "$dir/nginx.conf",
    '--json'))[1];

is($half->{severity}, 'note', 'the doctor knows that nginx has both keys');
is($half->{where}, $old, 'and which of them may go');

# who works with the old key alone is told so, and can do no harm

($code, $out, $err) = ctl(\'another', 'key', 'set', 'many1');

is($code, 1, 'a key isn\'t sealed under the old one');
like($err, qr/sealed under another master key/, 'it says why');
is((ctl(\'another', @two, 'key', 'set', 'many1'))[0], 0, 'but under the new');
is(opened($new), $keys, 'where it opens');

# the new key alone

@pids = load('alone');

keys_are($new);
ok($g->reload, 'nginx without the old key');
ok(wait_for(sub { $g->workers(also => 1) == 2 }, 30), 'and none but it');

my $gone = "$dir/gone.key";

rename $old, $gone or die "rename: $!\n";

all_well('alone', @pids);

$t->is_hit($t->post('remix', $acme, remix(prompt => 'first acme')),
    '0.120000', 'what was bought with the old key is a hit');
is($t->post('remix', $acme, remix(prompt => 'first acme'))
    ->header('Phota-Fingerprint'), $before, 'by its old fingerprint');
is(fetch($t, $link)->status, 403, 'what the old key has signed is over');
is($t->poll($acme, $job)->status, 404, 'jobs out of the cache, too');
is(fetch($t, $fresh)->status, 200, 'what the new one has isn\'t');
is($t->poll($acme, $again)->status, 200, 'neither of jobs');
is($t->poll($acme, $open)->status, 200, 'one that was bought has its name');

# wrong and bad keys

my $third = "$dir/master-3.key";

ctl('--master-key', $third, 'init', @owner);

($code, $out, $err) = ctl('--master-key', $third, 'rekey');
is($code, 1, 'a rekey without the old key');
like($err, qr/--old-master-key/, 'says what is missing');

($code, $out, $err) = ctl('--master-key', $third, '--old-master-key', $old,
    'rekey');
is($code, 1, 'with one that isn\'t there');
like($err, qr/No such file/, 'says so');

($code, $out, $err) = ctl('--master-key', $third, '--old-master-key', $third,
    'rekey');
is($code, 1, 'with the same twice');
like($err, qr/the same key/, 'says so');

ctl('--master-key', "$dir/master-4.key", 'init', @owner);
($code, $out, $err) = ctl('--master-key', $third, '--old-master-key',
    "$dir/master-4.key", 'rekey');
is($code, 1, 'with a wrong one');
like($err, qr/another master key than these two/, 'says so');

chmod 0644, $third;
($code, $out, $err) = ctl('--master-key', $third, '--old-master-key', $new,
    'rekey');
is($code, 1, 'with one that others read');
like($err, qr/mode 0644/, 'says so');
chmod 0600, $third;

is(opened($new), $keys, 'nothing has changed');

# nginx with a wrong key sells nothing, and says so

$t->stop;
keys_are($third);
$t->start;

is($t->post('remix', $acme, remix(prompt => 'wrong'))->status, 503,
    'nginx with a wrong key buys nothing');
like($g->log, qr/books are sealed under another master key/, 'and says why');

$t->stop;

# A backup of before, restored: its keys are the old one's.  In copies of it the
# rekey is killed at each of its writes.

$old = $gone;
@two = ('--master-key', $new, '--old-master-key', $old);

my @before = ('--data', "$dir/before");
my ($writes, $lost, $unfinished) = (0, 0, 0);

while (1) {
    system('rm', '-rf', "$dir/before");

    ($code, $out, $err) = ctl(@before, '--master-key', $new, 'restore',
        "$dir/backup", @owner);
    last if $code;

    if (!$writes) {
        is(opened($new, @before), 0, 'the new key opens nothing of a backup '
            . 'of before');
        is(opened($old, @before), $keys, 'the old one all');
    }

    last if !killed_at(++$writes, @before);

    my ($mine, $theirs) = (opened($new, @before), opened($old, @before));

    $lost++ if $mine + $theirs != $keys;

    $unfinished++ if (ctl(@before, @two, 'rekey'))[0]
        || opened($new, @before) != $keys;
}

is($code, 0, 'backups are restored') or diag($err);
cmp_ok($writes, '>', 10, 'a rekey writes');
is($lost, 0, 'killed at any write it loses no key');
is($unfinished, 0, 'and the next one finishes it');
is(opened($new, @before), $keys, 'one that isn\'t killed, too');

# the key is lost: all begins anew, and says so

($code, $out, $err) = ctl('--master-key', $third, 'rekey', '--lost');
is($code, 0, 'a lost master key');
like($err, qr/key set all keys anew/, 'says what is lost');
is((ctl(\$t->{key}, '--master-key', $third, 'key', 'set', '--default'))[0], 0,
    'keys are set anew');

$t->start;
is($t->post('remix', $acme, remix(prompt => 'first acme'))->status, 200,
    'and calls are answered');

rename $third, "$dir/master.key";

$t->finish(unknown => 1, holds => 1, log => qr/another master key|healed/);

done_testing();
