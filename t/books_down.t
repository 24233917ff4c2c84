# Without books nothing is bought, and whoever asks is told; without a cache
# only hits are lost.  Both heal by themselves.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my @mounts;

# books that the workers can't write from the start

subtest 'a directory that is closed' => sub {
    my $t = Phota::Test->new(start => 0);
    my $books = $t->gateway->data . '/books';
    my ($uid, $gid) = (stat $books)[4, 5];

    sub_tree(sub { chmod(-d $_[0] ? 0500 : 0400, $_[0]);
        chown(0, 0, $_[0]) if $> == 0 }, $books);
    $t->start;

    my $answer = $t->post('remix', $t->token('acme'), remix());

    $t->is_error($answer, 503, 'BOOKS_UNAVAILABLE', 'nothing is sold');
    like($answer->header('Retry-After'), qr/^\d+$/, 'come again');
    is($t->calls, 0, 'nothing was bought');

    sub_tree(sub { chmod(-d $_[0] ? 0700 : 0600, $_[0]);
        chown($uid, $gid, $_[0]) if $> == 0 }, $books);

    ok(wait_for(sub {
        $t->post('remix', $t->token('acme'), remix())->status == 200
    }, 20), 'sells once it may write');

    $t->finish(log => qr/books/);
};

# a disk that is full

SKIP: {
    skip 'only root can mount a small disk', 1 if $> != 0;

    my $t = Phota::Test->new(start => 0);
    my $small = small_disk($t, 'books', '1m')
        or skip 'no small disk can be mounted here', 1;

    subtest 'a full disk under the books' => sub { books_full($t, $small) };

    $t = Phota::Test->new(start => 0);
    $small = small_disk($t, 'cache', '4m');

    subtest 'a full disk under the cache' => sub { cache_full($t, $small) };
}

sub sub_tree {
    my ($change, $dir) = @_;

    $change->($_) for glob("$dir/*"), $dir;
}

# puts a small file system under a part of the data; unmounted at the end

sub small_disk {
    my ($t, $part, $size) = @_;

    my $dir = $t->gateway->data . "/$part";
    my $aside = $t->dir . "/$part.aside";
    my ($uid, $gid) = (stat $dir)[4, 5];

    mkdir $dir unless -d $dir;
    ($uid, $gid) = (stat $t->gateway->data)[4, 5] unless defined $uid;

    system('cp', '-a', $dir, $aside) == 0 or return;
    system("mount -t tmpfs -o size=$size,mode=700,uid=$uid,gid=$gid"
        . " tmpfs $dir 2>/dev/null") == 0 or return;
    push @mounts, $dir;
    system("cp -a $aside/. $dir/ && rm -rf $aside") == 0 or return;

    return $dir;
}

sub unmount {
    my ($dir) = @_;

    system("umount -l $dir 2>/dev/null");
    @mounts = grep { $_ ne $dir } @mounts;
}

END {
    unmount($_) for @mounts;
}

sub fill {
    my ($dir) = @_;

    open(my $fh, '>', "$dir/fill") or die "fill: $!\n";
    1 while syswrite($fh, 'x' x 4096);
    close($fh);
}

# the first 503 comes when LMDB finds no page that it could use again

sub books_full {
    my ($t, $disk) = @_;

    $t->start;

    my $acme = $t->token('acme');
    my $kept = remix(prompt => 'kept');

    $t->is_miss($t->post('remix', $acme, $kept), '0.120000', 'before');

    fill($disk);

    my ($answer, $bought) = (undef, 1);

    for my $n (1 .. 300) {
        $answer = $t->post('remix', $acme, remix(prompt => "full $n"));
        last if $answer->status != 200;
        $bought++;
    }

    $t->is_error($answer, 503, 'BOOKS_UNAVAILABLE', 'a miss is refused');

    my $calls = $t->calls;

    is($calls, $bought, 'and is not bought');
    $t->is_hit($t->post('remix', $acme, $kept), '0.120000',
        'a free hit is served');

    for my $n (1 .. 3) {
        $answer = $t->post('remix', $acme, remix(prompt => "still $n"));
        $t->is_error($answer, 503, 'BOOKS_UNAVAILABLE', 'still refused');
    }

    is($t->calls, $calls, 'and nothing is bought');

    unlink "$disk/fill";

    ok(wait_for(sub {
        $t->post('remix', $acme, remix(prompt => 'room'))->status == 200
    }, 10), 'sells when there is room again');

    ok(wait_for(sub { !$t->gateway->holds }, 20), 'what was held is settled');

    $t->finish(log => qr/books|No space left|MDB_/);
    unmount($disk);
}

sub cache_full {
    my ($t, $disk) = @_;

    $t->start;

    my $acme = $t->token('acme');

    $t->is_miss($t->post('remix', $acme, remix(prompt => 'before')),
        '0.120000', 'before');

    fill($disk);

    for my $n (1 .. 3) {
        my $answer = $t->post('remix', $acme, remix(prompt => "full $n"),
            headers => [ 'X-Sim-Size' => 'medium' ]);

        is($answer->status, 200, 'a miss is bought');
        is($answer->header('Phota-Cost'), '0.120000', 'and charged');
        is(scalar @{$answer->json->{images} || []}, 1, 'the picture comes');
    }

    unlink "$disk/fill";

    my $body = remix(prompt => 'room');

    ok(wait_for(sub {
        my $answer = $t->post('remix', $acme, $body);
        ($answer->header('Cache-Status') // '') =~ /; hit/;
    }, 10), 'stores when there is room again');

    $t->finish(log => qr/cache|No space left|MDB_/);
    unmount($disk);
}

done_testing();
