# Bodies of any size, however they are sent and buffered, arrive at Phota byte
# by byte as the client wrote them, and are bought once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ sha256_hex /;
use Phota::Test;
use Test::More;

my $LIMIT = 32 * 1024 * 1024;

my $t = Phota::Test->new;
my $acme = $t->token('acme');
my $seed = 0;

# a remix of exactly that many bytes, never twice the same

sub sized {
    my ($size, %o) = @_;

    my $photo = $size > 10_000 ? noise(int($size * 0.7), ++$seed) : noise(64);
    my $empty = remix(input => $photo, reference => noise(64),
        prompt => sprintf('%06d', ++$seed), %o);
    my $pad = 'x' x ($size - length $empty);

    return remix(input => $photo, reference => noise(64),
        prompt => sprintf('%06d', $seed) . $pad, %o);
}

sub arrives {
    my ($name, $body, %how) = @_;

    my $answer = $t->post('remix', $acme, $body, timeout => 60, %how);

    $t->is_miss($answer, '0.120000', $name);
    is($t->sim->last->{body_sha256}, sha256_hex($body),
        "$name: unchanged upstream");

    return $answer;
}

# sizes around those of buffers, in all ways of sending

my %ways = (
    'HTTP/1.1' => {},
    'chunked' => { chunked => 4001 },
    'Expect' => { expect => 1 },
    'HTTP/2' => { http2 => 1 },
);

for my $size (300, 1023, 4096, 16383, 16384, 16385, 65535, 65536, 65537,
    1_500_000)
{
    for my $way (sort keys %ways) {
        arrives("$size bytes, $way", sized($size), %{$ways{$way}});
    }
}

my $pieces = arrives('byte by byte', sized(700), pieces => 1, delay => 0.0005);

ok($pieces->complete, 'and answered');

# buffers

for my $buffer (qw/ 1k 16k 1m 40m /) {
    ok($t->gateway->reload(door =>
        "            client_body_buffer_size $buffer;"), "buffers of $buffer");

    for my $way (sort keys %ways) {
        arrives("200 KB, $way, $buffer", sized(200_000), %{$ways{$way}});
    }

    arrives("20 MB, $buffer", sized(20_000_000));
}

arrives('20 MB, chunked', sized(20_000_000), chunked => 100_000);
arrives('20 MB, HTTP/2', sized(20_000_000), http2 => 1);

# the limit itself

arrives('the limit', sized($LIMIT));

my $large = sized($LIMIT + 1);

$t->is_error($t->post('remix', $acme, $large), 413, 'BODY_TOO_LARGE',
    'a byte more');
$t->is_error($t->post('remix', $acme, $large, chunked => 1_000_000), 413,
    'BODY_TOO_LARGE', 'a byte more, chunked');

# a hit for 20 MB, sent in another way

my $body = sized(5_000_000);
my $first = arrives('5 MB', $body);

$t->is_hit($t->post('remix', $acme, $body, chunked => 70_001), '0.120000',
    'a hit, chunked');
$t->is_hit($t->post('remix', $acme, $body, http2 => 1), '0.120000',
    'a hit over HTTP/2');

# small ones that are no JSON, and requests one after the other

for my $size (0 .. 2) {
    my $answer = $t->post('remix', $acme, ' ' x $size);

    is($answer->status, 422, "$size bytes");
}

my $c = $t->connect;

for my $n (1 .. 3) {
    my $text = sized(100_000);
    my $answer = $c->exchange('POST', '/v1/phota/remix',
        $t->headers($acme, $text), $text, $n == 2 ? (chunked => 5000) : ());

    $t->is_miss($answer, '0.120000', "request $n of a connection");
}

$t->finish;

done_testing();
