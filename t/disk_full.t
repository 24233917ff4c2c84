# A disk that is full: under the books nothing is bought, and free hits are
# served and counted later; under the cache purchases go on and only storing
# fails; under both of them together the books still come first.  With room
# again all of it heals by itself.  Once on file systems that are small, where
# they can be mounted, and always by writes that fail as on a full disk.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Fail;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep /;

my (@mounts, $serial);
my $log = qr/phota:|No space left|MDB_/;
my @medium = (headers => [ 'X-Sim-Size' => 'medium' ]);


# --- small disks

# what a part of the data ("." for all of it) lies on from now on

sub small_disk {
    my ($t, $part, $size) = @_;

    my $dir = $t->gateway->data . ($part eq '.' ? '' : "/$part");
    my $aside = $t->dir . '/aside';
    my ($uid, $gid) = (stat $t->gateway->data)[4, 5];

    mkdir $dir;
    system('cp', '-a', "$dir/.", $aside) == 0 or die "cp failed\n";
    system("mount -t tmpfs -o size=$size,mode=700,uid=$uid,gid=$gid"
        . " tmpfs $dir 2>/dev/null") == 0 or return;
    push @mounts, $dir;
    system("cp -a $aside/. $dir/ && rm -rf $aside") == 0 or die "cp failed\n";

    return { full => sub { fill($dir) }, room => sub { unlink "$dir/fill" },
        more => sub { system('mount', '-o', "remount,size=$_[0]", $dir) },
        dir => $dir };
}

sub fill {
    my ($dir) = @_;

    open(my $fh, '>>', "$dir/fill") or die "fill: $!\n";
    1 while syswrite($fh, 'x' x 4096);
    close($fh);
}

sub unmount {
    my ($dir) = @_;

    system("umount -l $dir 2>/dev/null");
    @mounts = grep { $_ ne $dir } @mounts;
}

END {
    my $status = $?;
    unmount($_) for @mounts;
    $? = $status;
}

# the same by the shim: every write of a part fails

sub failing_disk {
    my ($t, $part) = @_;

    my $g = $t->gateway;
    my $fail = Phota::Fail->new($t->dir . '/fail',
        books => $g->data . '/books', cache => $g->data . '/cache');

    $g->{env} = $fail->env;

    return { room => sub { $fail->clear }, full => sub {
        $fail->arm(in => [ $part ], to => 'always', error => 'ENOSPC') } };
}


# --- what must hold

sub buy {
    my ($t, @more) = @_;

    return $t->post('remix', $t->token('acme'),
        remix(prompt => 'new ' . ++$serial), @more);
}

# a request that the books must refuse: where they had room for the hold alone,
# the call is made and its charge waits, and then nobody says that there is none

sub is_refused {
    my ($t, $name, @request) = @_;

    my $calls = $t->calls;
    my $answer = $t->post('remix', $t->token('acme'), @request);

    $t->is_error($answer, 503, 'BOOKS_UNAVAILABLE', $name);
    like($answer->header('Retry-After'), qr/^\d+$/, 'come again');
    is(scalar($answer->json->{detail} =~ /nothing was bought/),
        $t->calls == $calls ? 1 : '', 'and says whether it was bought');
}

# all of them, which take a moment to begin

sub workers {
    my ($t) = @_;

    wait_for(sub { $t->gateway->workers == 2 }, 5);

    return $t->gateway->workers;
}

# how often it takes until a purchase is refused: LMDB has some pages yet that
# it can use again

sub until_refused {
    my ($t, @more) = @_;

    my ($bought, $answer) = (0);

    while ($bought < 400) {
        $answer = buy($t, @more);
        last if $answer->status != 200;
        $bought++;
    }

    return ($bought, $answer);
}

sub books_full {
    my ($t, $disk) = @_;

    $t->start;

    my @workers = workers($t);
    my $kept = remix(prompt => 'kept');

    $t->is_miss($t->post('remix', $t->token('acme'), $kept), '0.120000',
        'before');

    $disk->{full}->();

    my ($bought, $answer) = until_refused($t);

    $t->is_error($answer, 503, 'BOOKS_UNAVAILABLE', 'a miss is refused');

    for my $n (1 .. 3) {
        is_refused($t, 'still refused', remix(prompt => "still $n"));
        is_refused($t, 'with a key too', remix(prompt => "late $n"),
            headers => [ 'Idempotency-Key' => "full $n" ]);
        $t->is_hit($t->post('remix', $t->token('acme'), $kept), '0.120000',
            'a free hit is served');
        sleep 0.5;
    }

    is(scalar(grep { $_->{state} ne 'void' } $t->gateway->ledger),
        $t->calls, 'each call has its hold');

    $disk->{room}->();

    ok(wait_for(sub { buy($t)->status == 200 }, 10),
        'sells when there is room again');

    my @again = map { my $n = $_; $t->post('remix', $t->token('acme'),
        remix(prompt => "late $n"),
        headers => [ 'Idempotency-Key' => "full $n" ]) } 1 .. 3;

    is(scalar(grep { $_->status == 200 } @again), 3, 'and to those with a key')
        or diag(map { $_->summary . "\n" } @again);

    ok(wait_for(sub { $t->gateway->usage->{total}{hits} >= 3 }, 5),
        'the free hits are counted') or diag(explain($t->gateway->usage));
    ok(wait_for(sub { !$t->gateway->holds }, 20), 'no hold is left');
    is_deeply([ $t->gateway->workers ], \@workers, 'by the same workers');
}

sub cache_full {
    my ($t, $disk) = @_;

    $t->start;

    my @workers = workers($t);

    $t->is_miss(buy($t), '0.120000', 'before');
    $disk->{full}->();

    my @wrong = map { $_->summary } grep { $_->status != 200
        || ($_->header('Phota-Cost') // '') ne '0.120000'
        || @{$_->json->{images} || []} != 1 || !$_->complete
    } map { buy($t, @medium) } 1 .. 5;

    is("@wrong", '', 'purchases go on, answers are given');

    # its answer isn't stored, or took the place of an older one

    my $body = remix(prompt => 'while it is full');
    my @key = (headers => [ 'Idempotency-Key' => 'full',
        'X-Sim-Size' => 'medium' ]);
    my $first = $t->post('remix', $t->token('acme'), $body, @key);
    my $calls = $t->calls;
    my $again = $t->post('remix', $t->token('acme'), $body, @key);

    is($first->status, 200, 'one with a key as well');
    ok($again->status == 410 || $again->body eq $first->body,
        'its replay comes, or is gone') or diag($again->summary);
    is($t->calls, $calls, 'and buys nothing');

    $disk->{room}->();

    my $room = remix(prompt => 'room');

    ok(wait_for(sub {
        my $answer = $t->post('remix', $t->token('acme'), $room);
        ($answer->header('Cache-Status') // '') =~ /; hit/;
    }, 10), 'stores when there is room again');
    is_deeply([ $t->gateway->workers ], \@workers, 'by the same workers');
}

# as it is where nobody gave the books a disk of their own

sub all_full {
    my ($t, $disk) = @_;

    $t->start;

    my @workers = workers($t);
    my $kept = remix(prompt => 'kept');

    $t->is_miss($t->post('remix', $t->token('acme'), $kept), '0.120000',
        'before');

    my ($bought, $answer) = until_refused($t, @medium);

    if ($bought < 400) {
        $t->is_error($answer, 503, 'BOOKS_UNAVAILABLE',
            "the cache took the disk after $bought, a miss is refused");

    } else {
        is($answer->status, 200, 'the cache leaves room to the books');
    }

    is(scalar @{[ $t->gateway->ledger('--state', 'settled') ]}, $t->calls,
        'each call has its charge');

    my $hit = $t->post('remix', $t->token('acme'), $kept);

    ok($hit->status == 200 || $hit->status == 503, 'hits or is refused');

    $disk->{more}->('64m');

    ok(wait_for(sub { buy($t)->status == 200 }, 10),
        'sells when the disk has grown');
    ok(wait_for(sub { !$t->gateway->holds }, 20), 'no hold is left');
    is_deeply([ $t->gateway->workers ], \@workers, 'by the same workers');
}

# workers that begin on a full disk

sub born_full {
    my ($t, $disk) = @_;

    $t->start;
    $t->is_miss(buy($t), '0.120000', 'before');
    $disk->{full}->();
    until_refused($t);
    ok($t->restart, 'a restart on a full disk');

    is_refused($t, 'a miss is refused', remix(prompt => 'born'));

    my ($code, $out, $err) = $t->ctl('ledger', 'verify');

    is($code, 0, 'the books can be read') or diag("$out$err");

    ($code, $out, $err) = $t->ctl('tenant', 'add', 'nobody');

    ok($code == 0 || ($code == 1 && $err =~ /\S/), 'photactl says so');
    is($code == 0 ? 1 : 0, scalar(() = $t->ctl_ok('tenant', 'list')
        =~ /^nobody\b/mg), 'and does what it says');

    $disk->{room}->();

    ok(wait_for(sub { buy($t)->status == 200 }, 15),
        'sells when there is room again');
    ok(wait_for(sub { !$t->gateway->holds }, 20), 'no hold is left');
}

my @cases = (
    [ 'books', '2m', \&books_full ],
    [ 'books', '2m', \&born_full ],
    [ 'cache', '6m', \&cache_full ],
    [ '.', '12m', \&all_full ],
);

for (@cases) {
    my ($part, $size, $look) = @$_;

    next if $part eq '.';

    subtest "writes of $part fail as on a full disk" => sub {
        my $t = Phota::Test->new(start => 0);

        $look->($t, failing_disk($t, $part));
        $t->finish(log => $log);
    };
}

for (@cases) {
    my ($part, $size, $look) = @$_;

    subtest "a disk of $size under " . ($part eq '.' ? 'all' : $part) => sub {
        plan(skip_all => 'only root can mount a small disk') if $> != 0;

        my $t = Phota::Test->new(start => 0);
        my $disk = small_disk($t, $part, $size);

        if (!$disk) {
            $t->finish(stopped => 1);
            diag('mounting a tmpfs is refused here, not tested on a disk');

            SKIP: { skip('mounting a tmpfs is refused here', 1) }
            return;
        }

        $look->($t, $disk);
        $t->finish(log => $log);
        unmount($disk->{dir});
    };
}

done_testing();
