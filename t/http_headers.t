# What goes to Phota and what comes back: the tenant's headers stay here, the
# upstream key stays there, and every answer can be found again by its ids.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new;
my $acme = $t->token('acme');

my @mine = (
    Cookie => 'session=1', 'X-Photio-Key' => 'pt-1', Range => 'bytes=0-9',
    'If-None-Match' => '"x"', 'If-Modified-Since' => 'yesterday',
    'Accept-Encoding' => 'gzip', 'Idempotency-Key' => 'k-1',
    'Phota-Tag' => 'campaign', 'X-Forwarded-For' => '10.1.2.3',
);

my $answer = $t->post('remix', undef, remix(), headers => [ @mine,
    Authorization => "Bearer $acme", 'X-Mine' => 'kept',
    'User-Agent' => 'a client/1.0', Accept => 'application/json' ]);

# pt-1 is another token, and so refused

$t->is_error($answer, 401, 'UNAUTHORIZED', 'two tokens');

splice(@mine, 2, 2);

$answer = $t->post('remix', undef, remix(), headers => [ @mine,
    Authorization => "Bearer $acme", 'X-Mine' => 'kept',
    'User-Agent' => 'a client/1.0', Accept => 'application/json' ]);

$t->is_miss($answer, '0.120000', 'a request with many headers');

is($t->seen('X-API-Key'), $t->{key}, "Phota sees the tenant's upstream key");
is($t->seen($_), undef, "Phota doesn't see $_") for qw/ Authorization Cookie
    X-Photio-Key Range If-None-Match If-Modified-Since Accept-Encoding
    Idempotency-Key Phota-Tag X-Forwarded-For /;
is($t->seen('X-Mine'), 'kept', 'other headers pass');
is($t->seen('Content-Type'), 'application/json', 'the type passes');
is($t->seen('Host'), 'api.photalabs.com', 'the host is Phota');

my $last = $t->sim->last;

is($last->{method}, 'POST', 'the method');
is($last->{uri}, '/v1/phota/remix', 'the path');
unlike($last->{raw_header}, qr/phg_/, 'no token anywhere');
is(scalar(() = $last->{raw_header} =~ /^x-api-key:/gmi), 1, 'one key');
is(scalar(() = $last->{raw_header} =~ /^content-length:/gmi), 1,
    'one length');

# the answer

like($answer->header('Phota-Request-Id'), qr/^\S{8,}$/, 'our request id');
is($answer->header('X-Request-Id'), $last->{request_id},
    "Phota's request id") if $last->{request_id};
like($answer->header('Phota-Fingerprint'), qr/^\S{32,}$/, 'the fingerprint');
like($answer->header('Content-Type'), qr{^application/json}, 'the type');
is($answer->header('Content-Length'), length $answer->body, 'the length');
unlike($answer->bytes, qr/\Q$t->{key}/, 'no upstream key');
is($answer->header('Set-Cookie'), undef, 'no cookie');

my $hit = $t->post('remix', $acme, remix());

$t->is_hit($hit, '0.120000', 'a hit');
is($hit->header('Phota-Fingerprint'), $answer->header('Phota-Fingerprint'),
    'with the same fingerprint');
isnt($hit->header('Phota-Request-Id'), $answer->header('Phota-Request-Id'),
    'and a request id of its own');
is($hit->header('X-Request-Id'), $answer->header('X-Request-Id'),
    "and the original's");
is($hit->header('Content-Type'), $answer->header('Content-Type'),
    'the same type');
is($hit->body, $answer->body, 'the same body');

# a query is part of what is bought, and goes along

my $args = $t->post('/v1/phota/remix?x=1', $acme, remix());

$t->is_miss($args, '0.120000', 'with a query: another purchase');
is($t->sim->last->{uri}, '/v1/phota/remix?x=1', 'the query goes along');

# conditional and partial requests don't apply to an answer of a POST

my $partial = $t->post('remix', $acme, remix(), headers => [
    Range => 'bytes=0-9', 'If-None-Match' => '*' ]);

is($partial->status, 200, 'neither 206 nor 304');
is($partial->body, $answer->body, 'the whole body');

# URLs: the same pictures, told otherwise

my $urls = $t->post('remix', $acme, remix(response_mode => 'urls'));

$t->is_hit($urls, '0.120000', 'response_mode urls');
is(scalar @{$urls->json->{download_urls}}, 1, 'gives a URL');
is_deeply($urls->json->{images}, [], 'and no picture');
is($urls->header('X-Request-Id'), $answer->header('X-Request-Id'),
    'of the same request');

# errors

my $error = $t->post('remix', $acme, '{}');

$t->is_error($error, 422, 'INVALID_REQUEST', 'an error of ours');
is($error->header('Phota-Cost') // '0.000000', '0.000000', 'costs nothing');

my $theirs = $t->post('remix', $acme, remix(prompt => 'x'),
    fault => 'status=400');

$t->is_passed($theirs, 400, 'an error of theirs');
is($theirs->json->{code}, 'CONTENT_MODERATION', 'with its code');
is($theirs->header('X-Request-Id'), $theirs->json->{request_id},
    'and its request id');

$t->finish;

done_testing();
