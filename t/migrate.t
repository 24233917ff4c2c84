# Books of an older schema are brought along, whole or not at all; while a
# worker has them, without their master key, or when they aren't sound they stay
# as they are, and so do those that nothing brings along.  t/migrate has books
# that a late version of schema 2 has written, of two tenants, and their key.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Fcntl qw/ F_SETLK F_WRLCK SEEK_SET /;
use JSON::PP ();
use Phota::Fail;
use Phota::Gateway;
use Phota::Test;
use Test::More;

my ($load) = grep { -x } map { "$_/mdb_load" } split /:/, $ENV{PATH};

plan skip_all => 'no mdb_load' if !$load;

# what is in there

my $shared = 'phk-shared-4c0oylerxj3alsde3bt57hge';
my $token = 'phg_0LZB7kYDdp51tlAw0SuiSxLmLX9mLKcfOg_CPLNMoVY_2SmYoH';
my $entries = 14;
my $written = 1796137638;               # s since 1970, at the latest

my $t = Phota::Test->new(start => 0, tenants => [], sim => { keys => {
    $shared => 'shared', 'phk-corp-key-of-schema-2' => 'corp' } });
my $g = $t->gateway;
my $dir = $t->dir;
my $data = $g->data;
my $slow = $Phota::Test::slow;

sub text {
    my ($file) = @_;

    return Phota::Gateway::slurp("$Phota::Gateway::top/t/migrate/$file");
}

sub put {
    my ($file, $text) = @_;

    open(my $fh, '>', $file) or die "$file: $!\n";
    print $fh $text;
    close($fh);
    chmod 0600, $file;
}

sub loads {
    my ($text, @args) = @_;

    put("$dir/dump", $text);

    my ($code, undef, $err) = Phota::Gateway::execute([ $load, '-f',
        "$dir/dump", @args, "$data/books" ], '');

    $code and die "mdb_load: $err\n";
    system('chown', '-R', 'www-data:', $data) if $> == 0;
}

# the books of schema 2 in the place of those that are there

sub old_books {
    my ($change) = @_;

    my $text = text('books-2.dump');

    $change->($text) if $change;

    system('rm', '-rf', "$data/books", "$data/cache");
    mkdir "$data/books", 0700 or die "books: $!\n";
    loads($text);
}

sub schema_is {
    my ($schema) = @_;

    loads("VERSION=3\nformat=bytevalue\ntype=btree\ndatabase=meta\n"
        . "HEADER=END\n " . unpack('H*', 'schema') . "\n "
        . unpack('H*', pack('V', $schema)) . "\nDATA=END\n", '-s', 'meta');
}

sub dump_books {
    my ($code, $out) = Phota::Gateway::execute([ 'mdb_dump', '-a',
        "$data/books" ], '');

    return $out;
}

sub migrate {
    return $t->ctl('migrate', @_);
}

# what it doesn't do leaves all as it was

sub stays {
    my ($name, $like, @args) = @_;

    my $before = dump_books();
    my ($code, $out, $err) = migrate(@args);

    is($code, 1, "$name: refused");
    like($err, $like, "$name: it says what to do");
    ok(dump_books() eq $before, "$name: nothing was changed");
}

put("$g->{dir}/master.key", text('master.key'));
put("$dir/other.key", 'ab' x 32 . "\n");

old_books();

my ($code, $out, $err) = $t->ctl('usage');

is($code, 1, 'books of an older schema aren\'t read');
like($err, qr/schema 2.*photactl migrate/, 'but brought along');

($code, $out) = $t->ctl('doctor', '--conf', "$dir/none", '--json');
my ($found) = grep { $_->{check} eq 'books' }
    map { JSON::PP::decode_json($_) } split /\n/, $out;

like($found->{mend}, qr/photactl migrate/, 'as the doctor says');

# nginx of this version sells nothing, and leaves them alone

my $before = dump_books();

$t->start;
is($t->post('remix', $token, remix(prompt => 'early'))->status, 503,
    'nginx sells nothing');
like($g->log, qr/photactl migrate, with nginx stopped/, 'and says why');
$t->stop;
ok(dump_books() eq $before, 'the books are as they were');

# without their key, or with another one

stays('no key', qr/--master-key/, '--master-key', "$dir/none.key");
stays('another key', qr/--master-key/, '--master-key', "$dir/other.key");

# while a worker of the older version has its lock

open(my $owners, '+>>', "$data/books/owners") or die "owners: $!\n";
system('chown', 'www-data:', "$data/books/owners") if $> == 0;
my $lock = pack('s s x![l!] l! l! i x![l!]', F_WRLCK, SEEK_SET, 3, 1, 0);
fcntl($owners, F_SETLK, $lock) or die "lock: $!\n";

stays('a worker', qr/stop nginx/);

close($owners);

# of which a byte isn't as it was written

old_books(sub { $_[0] =~ s/(database=entries\n.*?\n \S+\n (?:\S\S){60})(\S)/
    $1 . ($2 eq '0' ? '1' : '0')/es });
stays('damaged books', qr/damaged, or of an early form of schema 2/);

# killed at each of its writes they are of one schema or the other

my $fail = Phota::Fail->new("$dir/fail", books => "$data/books");
my ($writes, $bad) = (0, 0);

while (1) {
    old_books();

    local $g->{ctl_env} = { %{$g->{ctl_env} || {}}, %{$fail->env} };

    $fail->arm(at => ++$writes, how => 'kill');
    ($code) = migrate();
    $fail->clear;

    last if $code != 128 + 9;

    my ($again, $out) = migrate('--json');
    my ($sound) = $t->ctl('ledger', 'verify');

    $bad++ if $again || $sound || JSON::PP::decode_json($out)->{books} != 3;
}

is($code, 0, 'books are brought along') or diag($err);
cmp_ok($writes, '>', 3, 'with some writes');
is($bad, 0, 'killed at any of them another try finishes it');

# all is there

($code, $out) = migrate();
is($code, 0, 'once more');
like($out, qr/^books: schema 3, nothing to do$/m, 'there is nothing to do');

like($t->ctl_ok('ledger', 'verify'), qr/^ok: $entries entries/,
    'all entries are there, and sound');
is($g->usage->{total}{price}, '0.540000', 'and what is owed');
is(join(' ', map { "$_->{tenant} $_->{amount}" } $g->holds), 'corp 0.120000',
    'and what is unknown');

($code, $out) = $t->ctl('doctor', '--conf', "$dir/none", '--all', '--json');
($found) = grep { $_->{check} eq 'keys' }
    map { JSON::PP::decode_json($_) } split /\n/, $out;

is($found->{what}, 'the master key opens all 2 sealed keys', 'and the keys');

SKIP: {
    skip 'a clock of before', 3 if time() < $written;

    $t->start;
    is($t->post('remix', $token, remix(prompt => 'late'))->status, 200,
        'nginx sells');
    is($t->bill('shared')->{amount}, 120000, 'for the key that was sealed');
    ok($t->stop, 'and stops');
}

is((JSON::PP::decode_json((migrate('--json'))[1]))->{cache}, 2,
    'a cache is of this version');

# of other schemas

schema_is(4);
stays('a newer schema', qr/use the version that wrote them/);
schema_is(1);
stays('the first one', qr/begin with a new data directory/);

done_testing();
