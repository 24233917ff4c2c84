# Who may ask the API for what: by kind and scope of his token, by the directive
# and by nginx's own rules, none of which stands in for another.  And what comes
# to those who ask for nonsense.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Phota::API;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ 'acme' ], server => <<'EOF_SERVER');
location /phota/ { phota_api write; }
location /read/ { phota_api; }
location /denied/ { phota_api write; deny all; }
location /any/ { phota_api write; satisfy any; allow all; auth_basic x;
    auth_basic_user_file /dev/null; }
location /limited/ { phota_api write; limit_except GET { deny all; } }
EOF_SERVER

my $slow = $Phota::Test::slow;

my $writer = Phota::API->new($t);
my $reader = Phota::API->new($t, scope => 'read');
my $tenant = $t->token('acme');

my ($gone, $expired) = map { Phota::API->new($t) } 1, 2;
my ($id) = map { $_->{token_id} } grep { $_->{token_id} == 4 }
    $writer->said(qw/ token list --admin /);

$t->ctl_ok('token', 'revoke', $id);

my $late = $t->ctl_ok(qw/ token issue --admin --scope write --expires +1s /);
chomp $late;
$t->secret($late);

ok(everywhere(sub { $gone->get('usage')->status == 401 }, 5), 'revoked');
ok(everywhere(sub {
    $writer->request('GET', 'usage', undef, token => $late)->status == 401 },
    5), 'expired');

# a token, a place, a method; the status

my %tokens = (
    none => undef,
    nonsense => 'pha_nonsense',
    tenant => $tenant,
    revoked => $gone->token,
    expired => $late,
    read => $reader->token,
    write => $writer->token,
);

for my $who (sort keys %tokens) {
    for my $place (qw{ /phota/ /read/ /denied/ /any/ /limited/ }) {
        my $known = $who eq 'read' || $who eq 'write';

        my $get = $place eq '/denied/' ? 403 : $known ? 200 : 401;
        my $post = $place eq '/denied/' || $place eq '/limited/' ? 403
            : !$known ? 401 : $who eq 'read' || $place eq '/read/' ? 403 : 200;

        my $api = bless { %$writer, path => $place, token => $tokens{$who} },
            'Phota::API';

        my $answer = $api->get('usage');

        is($answer->status, $get, "$who at $place may read: $get");
        like($answer->json->{code}, qr/^[A-Z_]+$/, 'or is told in our shape')
            if $get != 200;

        $answer = $api->post('tenant/resume', tenant => 'acme');

        is($answer->status, $post, "$who at $place may write: $post");
        like($answer->json->{code}, qr/^[A-Z_]+$/, 'or is told in our shape')
            if $post != 200;
    }
}

$t->is_error($reader->request('GET', 'usage', undef, token => undef), 401,
    'UNAUTHORIZED', 'no token');
is($reader->request('GET', 'usage', undef, token => undef)
    ->header('WWW-Authenticate'), 'Bearer realm="phota"', 'how to have one');

# an operator is no tenant

is($t->post('remix', $writer->token, remix())->status, 401,
    'his token opens no door');
is($t->calls, 0, 'and buys nothing');

# by either header, but not by two tokens

is($writer->request('GET', 'usage', undef, token => undef,
    headers => [ 'X-API-Key' => $reader->token ])->status, 200, 'X-API-Key');
is($writer->request('GET', 'usage', undef,
    headers => [ 'X-API-Key' => $reader->token ])->status, 401,
    'two tokens are none');
is($writer->get('usage', token => $writer->token)->status, 422,
    'not in a URL');


# --- what isn't there

for my $path ('', 'nothing', 'usage/', 'usage/list', 'ledger', 'ledger/',
    'ledger/list/', 'Ledger/list', 'init', 'help', 'cache/compact',
    'cache/check', 'x' x 300, 'ledger/list%00')
{
    my $answer = $writer->get($path);

    ok($answer->status == 404 || $path =~ /%00/ && $answer->status == 400,
        "no such command: $path: " . $answer->status);
}

for my $case ([ 'POST', 'usage', 'GET, HEAD' ],
    [ 'DELETE', 'usage', 'GET, HEAD' ], [ 'GET', 'tenant/add', 'POST' ],
    [ 'PUT', 'tenant/add', 'POST' ], [ 'OPTIONS', 'usage', 'GET, HEAD' ],
    [ 'PATCH', 'holds/deadline', 'GET, HEAD, POST' ])
{
    my ($method, $path, $allow) = @$case;
    my $answer = $writer->request($method, $path);

    is($answer->status, 405, "$method $path");
    is($answer->header('Allow'), $allow, "only $allow");
}


# --- nonsense: nothing is done, and it is said what is wrong

sub wrong {
    my ($field, $answer, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $json = $answer->json;

    $t->check($name, $answer,
        Phota::Test::differ('status', $answer->status, 422),
        Phota::Test::differ('code', $json->{code}, 'INVALID_REQUEST'),
        Phota::Test::differ('field', $json->{field} // 'none',
            $field // 'none'),
        Phota::Test::differ('detail', $json->{detail}, qr/^(?!.*--)/));
}

sub body {
    my ($command, $body) = @_;

    return $writer->request('POST', $command, $body,
        headers => [ 'Content-Type' => 'application/json' ]);
}

wrong('nothing', $writer->get('usage', nothing => 1), 'no such parameter');
wrong('after', $writer->get('ledger/list', after => '00'),
    'an option by its other name');
wrong('data', $writer->get('usage', data => '/etc'), 'nor a path');
wrong('bill', $writer->get('usage', bill => '/etc/passwd'), 'nor a file');
wrong('cursor', $writer->get('ledger/list', cursor => 'xyz'), 'no cursor');
wrong('limit', $writer->get('ledger/list', limit => 1001), 'too many rows');
wrong('limit', $writer->get('ledger/list', limit => 0), 'none at all');
wrong('limit', $writer->get('ledger/list', limit => -1), 'less than none');
wrong('from', $writer->get('usage', from => 'yesterday'), 'no time');
wrong('by', $writer->get('usage', by => 'moon'), 'no such sum');
wrong('state', $writer->get('ledger/list', state => 'lost'), 'no such state');
wrong('charge', $writer->get('ledger/show', charge => '../../etc'),
    'no charge');
wrong('charge', $writer->get('ledger/show'), 'a charge is missing');
wrong('tenant', $writer->request('GET', 'usage?tenant=acme&tenant=acme'),
    'the same twice');
wrong(undef, $writer->request('GET', 'usage?from=%zz'), 'escaped badly');
wrong(undef, $writer->request('GET', 'usage?from=%00'), 'a NUL');
wrong(undef, $writer->get('holds/deadline', duration => '1h', void => 1),
    'a change by GET');
is($writer->get('usage', tenant => 'nobody')->status, 404, 'no such tenant');

wrong(undef, body('tenant/add', '{"tenant":'), 'cut');
wrong(undef, body('tenant/add', '["acme"]'), 'no object');
wrong(undef, body('tenant/add', '{"tenant":"a","tenant":"b"}'),
    'a member twice');
wrong(undef, body('tenant/add', '{"tenant":"a\u0000b"}'), 'a NUL in it');
wrong(undef, body('tenant/add', "{\"tenant\":\"\xff\"}"), 'no UTF-8');
wrong(undef, body('tenant/add', '[' x 100000), 'too deep');
wrong('tenant', body('tenant/add', '{}'), 'a tenant is missing');
wrong('tenant', body('tenant/add', ''), 'no body at all');
wrong('tenant', body('tenant/add', '{"tenant":["a","b"]}'), 'two tenants');
wrong('tenant', body('tenant/add', '{"tenant":{"a":1}}'), 'an object');
wrong('tenant', body('tenant/add', '{"tenant":true}'), 'a flag');
wrong('budget_day', body('tenant/set',
    '{"tenant":"acme","budget_day":0.1}'), 'a number with a point');
wrong('budget_day', body('tenant/set',
    '{"tenant":"acme","budget_day":"lots"}'), 'no amount');
wrong('all', body('cache/purge', '{"all":"yes"}'), 'no flag');
wrong('reason', body('holds/void', '{"charge":"ch_' . '0' x 26 . '"}'),
    'no reason');
wrong('profile', body('profile/adopt', '{"tenant":"acme","profile":["-"]}'),
    'what would be read');
wrong('secret', body('key/set', '{"tenant":"acme"}'), 'no secret');
wrong('scope', body('token/issue', '{"admin":true,"scope":"all"}'),
    'no such scope');
wrong(undef, $writer->request('POST', 'tenant/add?tenant=x', '{}'),
    'a POST by its query');
wrong(undef, body('tenant/add', ' ' x (1024 * 1024 + 1) . '{}'),
    'more than a megabyte');

my $huge = $writer->request('POST', 'tenant/add', 'x' x 1000,
    length => 64 * 1024 * 1024 + 1, timeout => 20);

$t->is_error($huge, 413, 'BODY_TOO_LARGE', 'more than phota_max_body');

my @tenants = map { $_->{tenant} } $writer->said(qw/ tenant list /);

is("@tenants", 'acme', 'nothing of it was done');

$t->finish(log => qr/phota_max_body|too large/);
done_testing();
