# Bytes that aren't what was stored are shown to nobody: whatever of the cache
# is damaged, in a running gateway or between two runs, is a miss that is bought
# again once, and links to it are dead.  What isn't a cache of ours is left as
# it is, and the gateway sells without one.  The books know nothing of it all.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ sha256_hex /;
use File::Copy qw/ copy /;
use Phota::Cache;
use Phota::Test;
use Test::More;

# what is in memory is right whatever happens to the file

my $t = Phota::Test->new(http => '    phota_hot_memory 0;');
my $g = $t->gateway;
my $cache = Phota::Cache->new($t);
my $acme = $t->token('acme');

sub body {
    my ($name, %o) = @_;

    return remix(prompt => $name, %o);
}

sub hit {
    my ($name, %o) = @_;

    return $t->post('remix', $acme, body($name, %o));
}

# a picture that nothing else has the bytes of, whichever part of it

sub unlike_others {
    my ($name) = @_;

    return hit($name, output_format => 'png');
}

sub logged {
    my ($pattern) = @_;

    return scalar grep { $_ =~ $pattern } split /\n/, $g->log;
}

sub is_mended {
    my ($name) = @_;

    my ($code, $report, $wrong) = $cache->check;

    is($code, 0, $name) or diag($wrong);
}


# --- a picture's bytes, unseen since the start: found before anything is sent

my ($good) = pictures(hit('a'));

$t->stop;
is($cache->damage_picture($good, 100_000), 1, 'a bit turns');
$t->start;

my $calls = $t->calls;
my @answers = $t->parallel(map {
    [ 'remix', $acme, body('a'), fault => 'latency=400' ] } 1 .. 20);
my %shown = map { (pictures($_))[0] // '' => 1 } @answers;

is(scalar(grep { $_->status == 200 && $_->complete } @answers), 20,
    'twenty at once are answered');
is($t->calls - $calls, 1, 'by one call');
is(keys %shown, 1, 'with one picture');
ok(!$shown{$good}, 'that was bought anew');
cmp_ok(logged(qr/stored picture is damaged and not shown/), '>=', 1,
    'a log line says so');

$t->is_hit(hit('a'), '0.120000', 'then it is a hit again');
is_mended('and nothing bad is left');


# --- seen by every worker before: what is sent is held against its checksum

($good) = pictures(unlike_others('b'));
ok(everywhere(sub { (pictures(unlike_others('b')))[0] eq $good }, 5),
    'b is shown');

is($cache->damage_picture($good, 200_000), 1, 'a bit turns');

$calls = $t->calls;

my @bad = grep { $_->complete && $_->header('Phota-Cost') eq '0.000000'
    && mark((pictures($_))[0]) eq mark($good) }
    map { unlike_others('b') } 1 .. 4;

is(join("\n", map { $_->summary } @bad), '', 'no answer is whole with it');
is($t->calls - $calls, 1, 'it is bought again, once');
$t->is_hit(unlike_others('b'), '0.120000', 'and a hit then');


# --- links

my ($link) = links(hit('c', response_mode => 'urls'));

($good) = $t->request('GET', $link)->body;
$g->reload;
is($cache->damage_picture($good, 60_000), 1, 'a bit turns');

my $dead = $t->request('GET', $link);

$t->is_error($dead, 404, 'NOT_FOUND', 'its link is dead');
is($t->request('GET', $link)->status, 404, 'and stays so');
is($t->request('HEAD', $link)->status, 404, 'by HEAD, too');

my $again = hit('c', response_mode => 'urls');

$t->is_miss($again, '0.120000', 'the next one buys');
is($t->request('GET', (links($again))[0])->status, 200, 'and its link lives');


# --- records: all that the file says of one request

my $record = hit('d');

is($record->status, 200, 'd is bought');

cmp_ok($cache->damage($record->header('X-Request-Id'), 9), '>=', 1,
    'a bit of its record turns');
$t->is_miss(hit('d'), '0.120000', 'it is bought again');
ok(wait_for(sub { logged(qr/damaged results of the cache.*removed/) }, 5),
    'a log line says so');
$t->is_hit(hit('d'), '0.120000', 'and hits');


# --- before anybody asks: photactl

($good) = pictures(hit('e'));

my (undef, $sound) = $cache->check;

is($sound->{damaged}, 0, 'all is sound');
is($cache->damage_picture($good, 50_000), 1, 'a bit turns');

my ($code, $report, $wrong) = $cache->check;

is($code, 1, 'check finds it');
like($wrong, qr/^picture \d+\/@{[ sha256_hex($good) ]} is damaged$/m,
    'and says which');

($code, $report) = $cache->check('--mend');

is($code, 0, 'check --mend takes it away');
cmp_ok($report->{removed}, '>=', 1, 'and counts it');
is_mended('then all is sound');
$t->is_miss(hit('e'), '0.120000', 'it is bought again');
$t->is_hit(hit($_), '0.120000', "$_ stayed") for qw/ a c d e /;
$t->is_hit(unlike_others('b'), '0.120000', 'b stayed');


# --- pages of zeros where its chunks lie

($good) = pictures(hit('f'));

my ($at) = Phota::Cache::offsets($cache->file, substr($good, 0, 64));

$cache->overwrite(4096 * int($at / 4096 + 5), "\0" x 4096);
$g->reload;

$t->is_miss(hit('f'), '0.120000', 'a page of zeros: bought again');
$t->is_hit(hit('f'), '0.120000', 'and hits');


# --- the whole file: whoever starts sells, with a cache or without one

sub sells {
    my ($name, $prompt, $stored) = @_;

    $t->is_miss(hit("$name $prompt"), '0.120000', "$name: sells",
        cache => 'phota; fwd=uri-miss' . ($stored ? '; stored' : ''));
}

# does something to the file while nginx is down

sub between {
    my ($change) = @_;

    $t->stop;
    $change->();
    $t->start;
}

my $file = $cache->file;
my $sane = Phota::Gateway::slurp($file);

sub put {
    my ($bytes) = @_;

    open(my $fh, '>:raw', $file) or die "$file: $!\n";
    print $fh $bytes;
    close($fh);
}

# the command of the log's last word on it

sub told {
    return ($g->log =~ /phota: .*"(rm \S+)"/g)[-1];
}

sub command {
    my ($name) = @_;

    my $log = told();
    my ($failed, undef, $said) = $t->ctl(qw/ cache check /);

    is($log, "rm $file", "$name: the log has the command that helps");
    is($failed, 1, "$name: photactl refuses it");
    like($said, qr/\Q$log\E/, "$name: with the same command");
}

my $alien = "this is none of yours\n" x 5000;
my $later = $sane =~ s/schema\K\002\0\0\0/\003\0\0\0/gr;
my $books = Phota::Gateway::slurp($g->data . '/books/data.mdb');

for my $case (
    [ 'foreign bytes', $alien ],
    [ 'a later schema', $later ],
    [ "the books' file", $books ],
    [ 'a head of zeros', "\0" x 8192 . substr($sane, 8192) ],
) {
    my ($name, $bytes) = @$case;

    between(sub { put($bytes) });
    sells($name, 1);
    sells($name, 1);
    command($name);

    ok(Phota::Gateway::slurp($file) eq $bytes, "$name: not a byte is changed");
}

# as it was told; the books have charged each once

between(sub { system(told()) });
sells('a new cache', 1, 1);
$t->is_hit(hit('a new cache 1'), '0.120000', 'a new cache: hits');

# a file that was cut off, or whose pages are zeros: no worker dies of it

for my $case (
    [ 'half of it', sub { truncate($file, length($sane) / 8192 * 4096) } ],
    [ 'a third', sub { truncate($file, 4096 * int(length($sane) / 12288)) } ],
    [ 'its head alone', sub { truncate($file, 8192) } ],
    [ 'pages of zeros', sub { $cache->overwrite(8192, "\0" x
        (length($sane) - 8192)) } ],
) {
    my ($name, $change) = @$case;

    between(sub { put($sane); $change->() });

    is(hit("$name 1")->status, 200, "$name: sells");
    is(hit('a')->status, 200, "$name: and what was there");
    is(logged(qr/exited on signal/), 0, "$name: no worker died");
}

# another file in its place while nginx runs

between(sub { put($sane) });
$t->is_hit(hit('a'), '0.120000', 'as it was');

open(my $fh, '>:raw', "$file.new");
print $fh $alien;
close($fh);
chmod 0666, "$file.new";

my $foreign = qr/phota: the cache can't be used: the cache is not a file of phota/;
my $said = logged($foreign);

rename("$file.new", $file);

ok(wait_for(sub { logged($foreign) == $said + 2 }, 5),
    'exchanged in flight: both workers say so');
is(hit('a')->status, 200, 'and sell');
ok(Phota::Gateway::slurp($file) eq $alien, 'the file stays as it is');

$t->finish;

done_testing();
