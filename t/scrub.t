# A token is in no log and no file, whoever refuses the request that brought
# it: limit_req, deny, a body too large, nginx itself.  finish() looks.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new(
    http => 'limit_req_zone $phota_tenant zone=each:1m rate=1r/m;'
        . ' limit_req_status 429;',
    door => '            limit_req zone=each burst=2 nodelay;',
    server => <<'EOF_SERVER',
        location /v1/phota/denied/ { phota_pass /upstream/; deny all; }
        location /v1/phota/small/ {
            phota_pass /upstream/;
            phota_max_body 1k;
        }
EOF_SERVER
    tenants => [ qw/ acme globex / ]);
my ($acme, $globex) = map { $t->token($_) } qw/ acme globex /;

my @statuses = map {
    $t->post('remix', $acme, remix(), bearer => $_ % 2)->status
} 1 .. 6;

is("@statuses", '200 200 200 429 429 429', 'limit_req by tenant');
is($t->post('remix', $globex, remix())->status, 200,
    'the other tenant has a limit of its own');

is($t->post('/v1/phota/denied/x', $acme, remix())->status, 403, 'denied');
is($t->post('/v1/phota/denied/x', $acme, remix(), http2 => 1)->status, 403,
    'denied over HTTP/2');
is($t->post('/v1/phota/small/x', $globex, remix())->status, 403,
    'an unknown operation');
is($t->post('remix', undef, remix(), headers => [ 'X-API-Key' => $globex,
    Authorization => "Bearer $acme" ])->status, 401, 'two tokens');
is($t->post('remix', $globex, '{"input_image": 1')->status, 422,
    'a bad body');

# a request that nginx refuses before any module: its header was read

my $c = $t->connect;
my $bad = $c->exchange('POST', '/v1/phota/remix', [ 'X-API-Key' => $globex,
    'Content-Length' => 'x' ]);

is($bad->status, 400, 'a bad header');

# a client that goes away in the middle of its body

Phota::HTTP::request($t->port, 'POST', '/v1/phota/remix',
    [ 'X-API-Key' => $globex ], noise(100_000), leave => 'rst', at => 65536);

# a token upon a path outside of the door isn't the module's, and isn't logged
# by the module either; here it is asked for inside only

ok(wait_for(sub {
    my @lines = split /\n/, $t->gateway->log('access.log');
    @lines >= 13;
}, 5), 'all requests are logged');

my $log = $t->gateway->log('access.log');

unlike($log, qr/phg_/, 'no token in the access log');
like($log, qr/tenant=acme/, 'the tenant is there');
unlike($log, qr/\Q$t->{key}/, 'no upstream key');
unlike($t->gateway->log, qr/phg_/, 'no token in the error log');

$t->finish;

done_testing();
