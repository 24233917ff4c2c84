# What is wrong with a request is said before any money moves: the field and
# the byte of the first thing wrong.  Errors that nginx makes inside a door have
# the same shape.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new(
    http => 'limit_req_zone $phota_tenant zone=each:1m rate=1r/m;'
        . ' limit_req_status 429;',
    door => "            phota_max_body 64k;\n"
        . '            client_body_timeout 1s;',
    server => <<'EOF_SERVER',
        location = /v1/phota/enhance { phota_pass /upstream/; deny all; }
        location = /v1/phota/edit {
            phota_pass /upstream/;
            limit_req zone=each;
        }
EOF_SERVER
    tenants => [ qw/ acme globex / ]);
my ($acme, $globex) = map { $t->token($_) } qw/ acme globex /;

my $image = '"/9j/4AAQ"';
my $deep = '[' x 32 . ']' x 32;
my $members = join(',', map { "\"k$_\":0" } 1 .. 1025);

# what, body, field (undef: any), offset (undef: any)

my @cases = (
    [ 'no body', '', '', 0 ],
    [ 'white space', '  ', '', 2 ],
    [ 'no JSON', 'hello', '', 0 ],
    [ 'an array', '[]', '', 0 ],
    [ 'a string', '"x"', '', 0 ],
    [ 'an object that does not end', '{"a":1', undef, 6 ],
    [ 'something after it',
        "{\"input_image\":$image,\"reference_image\":$image}x", '', 55 ],
    [ 'a comma too many', '{"a":1,}', undef, 7 ],
    [ 'a number with a leading zero', '{"a":01}', undef, 6 ],
    [ 'a bad escape', '{"a":"\x"}', 'a', undef ],
    [ 'a control character', "{\"a\":\"\n\"}", 'a', 6 ],
    [ 'bad UTF-8', "{\"a\":\"\xff\"}", 'a', 6 ],
    [ 'a lone surrogate', '{"a":"\ud800"}', 'a', undef ],
    [ 'a BOM', "\xef\xbb\xbf{}", '', 0 ],
    [ 'a name twice', '{"a":1,"a":2}', 'a', 7 ],
    [ 'a name twice, escaped', '{"a":1,"\u0061":2}', 'a', 7 ],
    [ 'a name twice, deeper', '{"x":{"a":1,"a":2}}', 'x.a', 12 ],
    [ 'too deep', "{\"a\":$deep}", undef, 36 ],
    [ 'too many members', "{$members}", undef, undef ],
    [ 'bad base64', "{\"input_image\":\"/9j/!\",\"reference_image\":$image}",
        'input_image', 20 ],
    [ 'a required image missing', "{\"input_image\":$image}",
        'reference_image', undef ],
    [ 'a required image that is null', '{"input_image":null}', 'input_image',
        undef ],
    [ 'a required image that is a number', '{"input_image":7}',
        'input_image', 15 ],
);

for my $case (@cases) {
    my ($what, $body, $field, $offset) = @$case;
    my $answer = $t->post('remix', $acme, $body);

    $t->is_error($answer, 422, 'INVALID_REQUEST', $what,
        defined $field ? (field => $field) : (),
        defined $offset ? (offset => $offset) : ());
    like($answer->json->{offset} // 'none', qr/^\d+$/, "$what: an offset");
}

my $split = $t->post('remix', $acme, $cases[19][1], pieces => 1,
    delay => 0.001);

$t->is_error($split, 422, 'INVALID_REQUEST', 'byte by byte',
    field => 'input_image', offset => 20);

$t->is_error($t->post('remix', $acme, $cases[14][1], http2 => 1), 422,
    'INVALID_REQUEST', 'over HTTP/2', field => 'a', offset => 7);

# too large

my $large = remix(input => noise(60_000));

$t->is_error($t->post('remix', $acme, $large), 413, 'BODY_TOO_LARGE',
    'by Content-Length');
$t->is_error($t->post('remix', $acme, $large, chunked => 8192), 413,
    'BODY_TOO_LARGE', 'chunked');
$t->is_error($t->post('remix', $acme, $large, http2 => 1), 413,
    'BODY_TOO_LARGE', 'over HTTP/2');

# nginx's own

$t->is_error($t->post('enhance', $acme, enhance()), 403,
    'OPERATION_NOT_ALLOWED', 'deny');

$t->post('edit', $globex, '{}');
$t->is_error($t->post('edit', $globex, '{}'), 429, 'RATE_LIMITED',
    'limit_req');

my $slow = $t->post('remix', $acme, remix(), pieces => 1000,
    delay => 3 * $Phota::Test::slow);

$t->is_error($slow, 408, 'TIMEOUT', 'a body that does not come');

is($t->calls, 0, 'nothing was bought');
is(scalar(my @charges = $t->gateway->ledger), 0, 'nothing is in the books');

$t->finish;

done_testing();
