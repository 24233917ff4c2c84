# Workers, everything at once, and photactl are killed while the cache is full:
# stores, evictions, sweeps and links, purges, checks and compacts go on all the
# time.  Afterwards nothing in it is damaged, it is used as before, no answer
# was ever wrong, and the books are the bill.
#
# PHOTA_CACHE_ROUNDS=N: so many rounds, 6 by default.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ sha256_hex /;
use Phota::Cache;
use Phota::Test;
use POSIX ();
use Test::More;
use Time::HiRes qw/ sleep time /;

my $rounds = $ENV{PHOTA_CACHE_ROUNDS} || 6;
my $slow = $Phota::Test::slow;
my @tenants = qw/ acme globex /;
my $t = Phota::Test->new(tenants => \@tenants,
    http => '    phota_cache_max_size 16m;',
    params => { proxy_read_timeout => 2 * $slow . 's' });
my $g = $t->gateway;
my $cache = Phota::Cache->new($t);
my @sizes = qw/ tiny small medium /;
my %count;

remix();


# --- clients

# some names again and again, so that there are hits and links: small ones, for
# what was asked for lately stays.  The others are new, and fill the cache

sub client {
    my ($id, $seconds) = @_;

    my $end = time() + $seconds;

    while (time() < $end) {
        my $n = rand() < 0.5 ? int(rand 12) : 12 + int(rand 100_000);
        my $answer = eval { request($tenants[$n % 2], $n) };

        if (!$answer || !$answer->complete) {
            sleep 0.02;
            next;
        }

        my $wrong = $answer->status == 200 ? wrong($n, $answer) : '';
        my $status = $answer->header('Cache-Status') // '';

        $t->report(join(' ', 'status', $answer->status,
            $status =~ /^phota; (hit|fwd)/ ? $1 : '-'));
        $t->report("wrong $n $wrong") if $wrong;
    }
}

sub request {
    my ($tenant, $n) = @_;

    my $name = "name $n";
    my @mode = $n < 12 && rand() < 0.5 ? (response_mode => 'urls') : ();
    my $size = $n < 12 ? $sizes[$n % 2] : $sizes[rand @sizes];

    return $t->post('remix', $t->token($tenant), remix(prompt => $name,
        output_format => $n % 3 ? 'jpg' : 'png', @mode), timeout => 10,
        fault => 'latency=' . int(rand 30), headers => [ 'Phota-Tag' =>
        'tag' . $n % 4, 'X-Sim-Size' => $size ]);
}

# a picture is whole, of its format, and a link's is what the link says; a
# picture may have been purged by the time that its link is followed

sub wrong {
    my ($n, $answer) = @_;

    my @pictures = pictures($answer);

    for my $link (links($answer)) {
        my $got = eval { $t->request('GET', $link) };

        next if !$got || !$got->complete || $got->status == 404;
        return 'link: status ' . $got->status if $got->status != 200;
        return 'another picture behind a link'
            if index($link, sha256_hex($got->body)) < 0;

        push @pictures, $got->body;
        $t->report('followed');
    }

    for my $picture (@pictures) {
        my $whole = $n % 3 ? qr/^\xff\xd8\xff.*\xff\xd9$/s
            : qr/^\x89PNG.*IEND.{4}$/s;

        return 'a picture of ' . length($picture) . ' bytes'
            if $picture !~ $whole || $picture !~ /phota-sim [0-9a-f-]+/;
    }

    return '';
}


# --- photactl, which is killed more often than not

sub operator {
    my ($seconds) = @_;

    my $end = time() + $seconds;

    while (time() < $end) {
        my $command = (
            [ 'purge', '--tag', 'tag' . int(rand 4) ],
            [ 'purge', '--tenant', $tenants[rand 2] ],
            [ 'purge', '--all' ],
            [ 'compact' ], [ 'compact' ], [ 'compact' ],
            [ 'check' ], [ 'check', '--mend' ],
        )[rand 8];

        my $ended = doomed(rand() < 0.7 ? 0.001 + rand 0.05 : 5, 'cache',
            @$command);

        $t->report(($ended ? 'done ' : 'killed ') . $command->[0]);
        sleep rand 0.15;
    }
}

# true when it came to its end before so many seconds

sub doomed {
    my ($seconds, @args) = @_;

    my $pid = fork() // die "fork: $!\n";

    if (!$pid) {
        POSIX::setpgid(0, 0);
        $ENV{TMPDIR} = $t->dir . '/client';
        my ($code, undef, $err) = $t->ctl(@args);
        $t->report("said @args: $err") if $code;
        POSIX::_exit(0);
    }

    my $end = time() + $seconds * $slow;

    while (time() < $end) {
        return 1 if waitpid($pid, POSIX::WNOHANG()) == $pid;
        sleep 0.001;
    }

    kill('KILL', -$pid) or kill('KILL', $pid);
    waitpid($pid, 0);
    kill('KILL', -$pid);
    wait_for(sub { !kill(0, -$pid) }, 5);

    return 0;
}


# --- rounds

sub round {
    my ($round) = @_;

    my $seconds = 1.5 * $slow;

    unlink $t->dir . '/client/reports';

    my @pids = ((map { my $id = $_; $t->background(sub {
        client($id, $seconds) }) } 1 .. 3),
        $t->background(sub { operator($seconds) }));

    for (1 .. 3) {
        sleep(0.1 + rand 0.35);

        if ($round % 3 == 0 && $_ == 2) {
            $g->kill_all;
            $t->start;

        } else {
            $g->kill_worker;
        }
    }

    $t->reap(@pids);
    $t->sim->wait_in_flight(0, 20 * $slow);

    my @wrong;

    for ($t->reports) {
        $count{$1}++ if /^(status \d+ \S+|followed|done \S+|killed \S+)/;
        push @wrong, $_ if /^(?:wrong|died)/
            || (/^said/ && !/replaced meanwhile|is being compacted/);
    }

    is(join("\n", @wrong), '', "round $round: nothing was wrong");
    look("round $round");
}

sub look {
    my ($name) = @_;

    ok(wait_for(sub { !grep { $_->{state} eq 'held' } $g->holds }, 20),
        "$name: no hold of a living worker is left");

    my ($code, $report, $wrong) = $cache->check;

    is($code, 0, "$name: the cache is sound") or diag($wrong);

    # who dies as a reader keeps pages from reuse until somebody looks for the
    # dead, a second; that much of a small cache is written in one

    cmp_ok($cache->size, '<=', 2 * (16 << 20), "$name: and not much larger "
        . 'than it may be');

    my ($verified, $out, $err) = $t->ctl('ledger', 'verify');

    is($verified, 0, "$name: so is the ledger") or diag("$out$err");

    my $settled = micro($g->usage->{total}{cost});
    my $billed = $t->bill->{amount};
    my $unknown = 0;

    $unknown += micro($_->{held_cost} // $_->{amount}) for $g->holds;

    ok($settled <= $billed && $billed <= $settled + $unknown,
        "$name: the bill lies within the books")
        or diag("settled $settled, unknown $unknown, bill $billed");

    # a cache as small as this is full of what was sent a moment ago, and that
    # stays for some seconds

    my ($try, @answers) = (0);

    ok(wait_for(sub {
            $try++;
            @answers = map { $t->post('remix', $t->token('acme'),
                remix(prompt => "$name, $try")) } 1 .. 3;

            return join(' ', map { $_->header('Phota-Cost') // 'none' }
                @answers) eq '0.120000 0.000000 0.000000';
        }, 10), "$name: and the cache is used")
        or diag(map({ $_->summary . "\n" } @answers), $g->tail);
}

for (1 .. $rounds) {
    round($_);
    last if $ENV{PHOTA_CRASH_STOP} && !Test::More->builder->is_passing;
}

$count{$_} //= 0 for 'status 200 hit', 'status 200 fwd', 'followed',
    'killed purge', 'killed compact', 'done compact', 'killed check';

cmp_ok($count{'status 200 hit'}, '>', 5 * $rounds, 'there were hits');
cmp_ok($count{'status 200 fwd'}, '>', 5 * $rounds, 'and purchases');
cmp_ok($count{followed}, '>', $rounds, 'and links');
cmp_ok($count{'done compact'} + $count{'killed compact'}, '>', 0,
    'and compacts');
diag("$rounds rounds: " . join(', ', map { "$count{$_} $_" }
    sort keys %count)) if $rounds > 20;
note(explain(\%count));


# --- nothing stays behind of all that was broken off

my @marks = map { mark($_) } map { pictures($t->post('remix',
    $t->token('acme'), remix(prompt => "last $_"))) } 1 .. 3;

is(scalar(grep { !$cache->holders($_) } @marks), 0, 'three are in the files');
$cache->purge('--all');
$t->ctl_ok(qw/ cache compact /);

is(join(' ', map { $cache->holders($_) } @marks, 'phota-sim'), '',
    'after a purge and a compact no file has a picture');
is(join(' ', map { s{.*/}{}r } sort glob($g->data . '/*'),
    glob($g->data . '/cache/*')), 'books cache data.mdb lock.mdb',
    'and there are no files but these');

my $killed = join('|', 'exited on signal 9', 'sendmsg\(\) failed',
    'bind\(\) to .* failed');

$t->finish(unknown => 1, log => qr/$killed/);

done_testing();
