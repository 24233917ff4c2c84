# Links to stored pictures: whoever has one needs no token, until it ends; a
# browser or a proxy may keep the picture, ask for parts of it, or whether it
# has changed.  A bad link tells nothing, not even whether there is a picture.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ sha256_hex /;
use Phota::Pictures;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme globex / ]);
my ($acme, $globex) = map { $t->token($_) } qw/ acme globex /;

# a link and the picture behind it

sub link_of {
    my ($token, %fields) = @_;

    my $answer = $t->post('remix', $token, remix(response_mode => 'urls',
        %fields));

    return lists($answer)->{download_urls}[0];
}

my $link = link_of($acme, prompt => 'a');
my ($picture) = $t->sim->delivered;
my $etag = '"' . sha256_hex($picture) . '"';

like($link, qr{^http://127\.0\.0\.1:\d+/phota/results/\d+/[0-9a-f]{64}\.jpg
    \?Expires=\d+&Signature=[0-9A-Za-z_-]{43}$}x, 'a link');

# the whole of it

for my $http2 (0, 1) {
    my $version = $http2 ? 'HTTP/2' : 'HTTP/1.1';
    my $answer = fetch($t, $link, http2 => $http2);
    my ($age) = ($answer->header('Cache-Control') // '')
        =~ /^private, max-age=(\d+)$/;

    is($answer->status, 200, "$version: GET without a token");
    ok($answer->body eq $picture, "$version: the picture");
    is($answer->header('Content-Type'), 'image/jpeg', "$version: its type");
    is($answer->header('Content-Length'), length $picture,
        "$version: its length");
    is($answer->header('ETag'), $etag, "$version: a strong ETag");
    is($answer->header('Accept-Ranges'), 'bytes', "$version: parts");
    is($answer->header('X-Content-Type-Options'), 'nosniff',
        "$version: nothing to guess");
    cmp_ok($age, '<=', 86400, "$version: may be kept as long as the link");
    cmp_ok($age, '>', 86300, "$version: lives");
    is($answer->header('Access-Control-Allow-Origin'), undef,
        "$version: no other origin");
    is($answer->header($_), undef, "$version: no $_")
        for qw/ Phota-Cost Phota-Charge-Id Phota-Fingerprint /;

    my $head = fetch($t, $link, method => 'HEAD', http2 => 0);

    is($head->status, 200, 'HEAD');
    is($head->body, '', 'has no body');
    is($head->header($_), $answer->header($_), "and the same $_")
        for qw/ Content-Type Content-Length ETag /;
    like($head->header('Cache-Control'), qr/^private, max-age=\d+$/,
        'and a life');
}

# parts of it, one at a time

my $size = length $picture;

for my $http2 (0, 1) {
    for my $case (
        [ 'bytes=0-99', 0, 99 ],
        [ 'bytes=100-299', 100, 299 ],
        [ 'bytes=-50', $size - 50, $size - 1 ],
        [ "bytes=" . ($size - 1) . '-', $size - 1, $size - 1 ],
        [ 'bytes=0-' . 2 * $size, 0, $size - 1 ],
    ) {
        my ($range, $from, $to) = @$case;
        my $part = fetch($t, $link, headers => [ Range => $range ],
            http2 => $http2);

        is($part->status, 206, "$range: a part");
        is($part->header('Content-Range'), "bytes $from-$to/$size",
            "$range: says which");
        ok($part->body eq substr($picture, $from, $to - $from + 1),
            "$range: the bytes");
        is($part->header('ETag'), $etag, "$range: the ETag");
    }
}

is(fetch($t, $link, headers => [ Range => "bytes=$size-" ])->status, 416,
    'behind the end');
is(fetch($t, $link, headers => [ Range => 'bytes=0-9', 'If-Range' => $etag ])
    ->status, 206, 'If-Range: the same');
ok(fetch($t, $link, headers => [ Range => 'bytes=0-9', 'If-Range' => '"x"' ])
    ->body eq $picture, 'If-Range: another, so all of it');
is(fetch($t, $link, headers => [ Range => 'bytes=0-9,20-29' ])->body,
    $picture, 'several parts at once: all of it');

# whether it has changed

for my $case ([ $etag, 304 ], [ "W/$etag", 304 ], [ '*', 304 ],
    [ "\"x\", $etag", 304 ], [ '"x"', 200 ])
{
    my ($value, $status) = @$case;
    my $answer = fetch($t, $link, headers => [ 'If-None-Match' => $value ]);

    is($answer->status, $status, "If-None-Match: $value");
    ok($answer->body eq ($status == 304 ? '' : $picture),
        'with what it needs');
    is($answer->header('ETag'), $etag, 'and the ETag');
}

is(fetch($t, $link, headers => [ 'If-Match' => '"x"' ])->status, 412,
    'If-Match: another');

# another format, a big one, in parts on the way

my $png = link_of($acme, prompt => 'png', output_format => 'png');

like($png, qr/\.png\?/, 'a PNG is called so');
is(fetch($t, $png)->header('Content-Type'), 'image/png', 'and is one');

$t->sim->config(size => 'large');

my $large = link_of($acme, prompt => 'large', output_format => 'png');

$t->sim->config(size => 'small');

my ($bytes) = $t->sim->delivered;

cmp_ok(length $bytes, '>', 2_000_000, 'megabytes');
ok(fetch($t, $large, http2 => $_)->body eq $bytes, 'come whole')
    for 0, 1;
ok(fetch($t, $large, headers => [ Range => "bytes=1500001-1700000" ])->body
    eq substr($bytes, 1500001, 200000), 'a part of a big one');

# one connection, for several, without waiting in between

my ($path) = $link =~ m{^\w+://[^/]+(/.*)};
my $c = $t->connect;

for (1 .. 3) {
    ok($c->exchange('GET', $path, [])->body eq $picture, 'kept alive');
}

{
    my $request = "GET $path HTTP/1.1\r\nHost: x\r\n\r\n";

    $c->{socket}->blocking(1);
    print { $c->{socket} } $request x 4;
    $c->{socket}->flush;
    $c->{socket}->blocking(0);

    my @answers = map { $c->exchange('GET', $path, []) } 1 .. 5;

    is(scalar(grep { $_->body eq $picture } @answers), 5, 'pipelined');
}

# only those who read

for my $method (qw/ POST PUT DELETE OPTIONS /) {
    is(fetch($t, $link, method => $method)->status, 405, "no $method");
}

# a bad link: the same answer whether there is a picture or not

my $hers = link_of($globex, prompt => 'hers');
my ($mine) = $link =~ m{results/(\d+)/};
my ($other) = $hers =~ m{results/(\d+)/};

sub refusal {
    my ($bad, $name, %o) = @_;

    my $answer = fetch($t, $bad, %o);

    $t->is_error($answer, 403, 'OPERATION_NOT_ALLOWED', "$name: refused");
    is($answer->header('Cache-Control'), 'no-store', "$name: not kept");

    my $text = $answer->bytes;
    my $id = $answer->header('Phota-Request-Id');

    $text =~ s/\Q$id/ID/g;
    $text =~ s/^date: .*\n//mi;

    return $text;
}

sub changed {
    my ($from, $to, $text) = @_;

    $text //= $link;
    $text =~ s/$from/$to/ or die "$from doesn't occur in $text\n";

    return $text;
}

my ($digest) = $link =~ m{([0-9a-f]{64})};
my ($theirs) = $hers =~ m{([0-9a-f]{64})};
my $none = 'f' x 64;

my @bad = (
    [ 'a signature of another', changed('Signature=.', 'Signature=_') ],
    [ 'a shorter signature', changed('.$', '') ],
    [ 'a longer signature', changed('$', 'A') ],
    [ 'no signature', changed('&Signature=.*', '') ],
    [ 'an empty signature', changed('Signature=.*', 'Signature=') ],
    [ 'the last letter', changed('.$', $link =~ /A$/ ? 'B' : 'A') ],
    [ 'another end', changed('Expires=(\d)', 'Expires=9') ],
    [ 'no end', changed('Expires=\d+&', '') ],
    [ 'an end that is none', changed('Expires=\d', 'Expires=-') ],
    [ 'another tenant', changed("/$mine/", "/$other/") ],
    [ 'a picture of another tenant', changed($digest, $theirs) ],
    [ 'a picture that is not', changed($digest, $none) ],
    [ 'a picture of no tenant', changed("/$mine/", '/9999/') ],
    [ 'shared', changed("/$mine/", "/$mine/shared/") ],
    [ 'another type', changed('\.jpg', '.png') ],
    [ 'capitals', changed($digest, uc $digest) ],
    [ 'no picture', changed('results/.*', 'results/') ],
    [ 'a path', changed('results/', 'results/x/') ],
    [ 'twice', changed('Expires=', 'Expires=1&Expires=') ],
);
my %said;

for my $case (@bad) {
    my ($name, $bad) = @$case;

    next if $bad eq $link;
    push @{$said{refusal($bad, $name)}}, $name;
}

is(keys %said, 1, 'all in the same words, byte for byte')
    or diag(explain(\%said));
is_deeply([ map { fetch($t, $_->[1], method => 'HEAD')->status } @bad[0, 11] ],
    [ 403, 403 ], 'HEAD too');

my $token = fetch($t, changed($digest, $theirs), headers =>
    [ 'X-API-Key' => $globex ]);

is($token->status, 403, 'a token is no help, and is in no log');
is(fetch($t, "$link&utm=1")->status, 200, 'other parameters do no harm');

# everywhere, and always

is(scalar(grep { fetch($t, $link)->body eq $picture } 1 .. 20), 20,
    'from every worker');
ok($t->restart, 'a restart');
ok(fetch($t, $link)->body eq $picture, 'the link lives');

# another address, and other origins, as the operator wants

ok($t->gateway->reload(
    http => 'phota_results_url https://cdn.example/pictures/;',
    results => 'add_header Access-Control-Allow-Origin *;'), 'reloaded');
ok(fetch($t, $link)->body eq $picture, 'the link lives');

my $cdn = link_of($acme, prompt => 'a');

like($cdn, qr{^https://cdn\.example/pictures/$mine/$digest\.jpg\?Expires=\d+&},
    'another address');
$cdn =~ s{^.*/pictures/}{/phota/results/};

my $cors = fetch($t, $cdn);

ok($cors->body eq $picture, 'which leads here');
is($cors->header('Access-Control-Allow-Origin'), '*', 'with what was added');

# links end

ok($t->gateway->reload(http => 'phota_results_valid 2s;'), 'short lives');

my $short = link_of($acme, prompt => 'a');
my $answer = fetch($t, $short);

ok($answer->body eq $picture, 'a young link');
like($answer->header('Cache-Control'), qr/^private, max-age=[012]$/,
    'is not kept for longer');

wait_for(sub { fetch($t, $short)->status == 403 }, 5);
push @{$said{refusal($short, 'too old')}}, 'too old';
is(keys %said, 1, 'too old: in the same words');
is(fetch($t, $link)->status, 200, 'a long one lives on');

# a good link to a picture that is gone

$t->ctl_ok('cache', 'purge', '--tenant', 'acme');

my $gone = fetch($t, $link);

is($gone->status, 404, 'purged');
is($gone->json->{code}, 'NOT_FOUND', 'and says so');
is(fetch($t, $hers)->status, 200, "others' stay");

# those who share a cache have links of their own

$t->ctl_ok('tenant', 'set', $_, '--cache-scope', 'shared')
    for qw/ acme globex /;
sleep 2;

my ($one, $two) = map { link_of($_, prompt => 'shared') } $acme, $globex;

like($one, qr{results/$mine/shared/}, 'shared');
like($two, qr{results/$other/shared/}, 'by another');
ok(fetch($t, $one)->body eq fetch($t, $two)->body, 'the same picture');
push @{$said{refusal(changed("/$other/", "/$mine/", $two), 'for another')}},
    'for another';
is(keys %said, 1, 'but each has a signature of its own');

$t->finish;

done_testing();
