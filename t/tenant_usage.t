# A tenant sees what it used and what is left of its budgets, with its own token
# and through its own door; nothing of others, nothing of what it is charged by,
# and no call goes up for it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Phota::API;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme globex / ],
    own => { hooli => 'hooli-key' }, server => <<'EOF_SERVER');
location /phota/ { phota_api; }
EOF_SERVER

my $slow = $Phota::Test::slow;

$t->ctl_ok(qw/ tenant set acme --budget-day 5 --budget-total 50
    --markup 50% /);
$t->ctl_ok(qw/ tenant add hooli /);
$t->ctl_ok(\'hooli-key', qw/ key set hooli /);

my $second = $t->issue('acme', qw/ --label second --budget-month 1 /);
my $hooli = $t->issue('hooli');

ok(everywhere(sub { ($t->get('usage', $t->token('acme'))->json->{budgets}{day}
    {limit} // '') eq '5.000000' }, 5), 'the plan is known');

my $calls = $t->calls;

$t->post('remix', $t->token('acme'), remix(prompt => 'a'),
    headers => [ 'Phota-Tag' => 'web' ])->status == 200
    or diag('acme could not buy');
$t->post('enhance', $second, enhance());
$t->post('remix', $t->token('globex'), remix(prompt => 'theirs'),
    headers => [ 'Phota-Tag' => 'secret project' ]);

sub usage {
    my ($token, %params) = @_;

    my $query = Phota::API::query(%params);

    return $t->get('usage' . (length $query ? "?$query" : ''), $token);
}

my $answer = usage($t->token('acme'));

is($answer->status, 200, 'acme asks');
is($answer->header('Content-Type'), 'application/json', 'and gets JSON');
is($answer->header('Cache-Control'), 'private, no-cache', 'of its own');

my $usage = $answer->json;
my ($said) = JSON::PP::decode_json($t->ctl_ok(qw/ usage --tenant acme
    --json /));

is_deeply($usage->{rows}, $said->{rows}, 'what photactl says of it');
is_deeply($usage->{total}, $said->{total}, 'in total');
is($usage->{total}{price}, '0.360000', 'at its price');

is($usage->{budgets}{day}{left}, '4.640000', 'what is left of the day');
is($usage->{budgets}{month}{limit}, undef, 'a budget that there is not');
is($usage->{budgets}{total}{spent}, '0.360000', 'what is spent');
is($usage->{token}{budgets}{month}{limit}, undef, 'nor of the token');

my $own = usage($second)->json;

is($own->{token}{budgets}{month}{left}, '0.820000', 'another token has its own');
is_deeply($own->{total}, $usage->{total}, 'and sees the same sums');

for my $by (qw/ day token tag operation /) {
    my ($told) = JSON::PP::decode_json($t->ctl_ok('usage', '--tenant', 'acme',
        '--by', $by, '--json'));

    is_deeply(usage($t->token('acme'), by => $by)->json->{rows},
        $told->{rows}, "by $by");
}

is_deeply(usage($t->token('acme'), to => '2001-01-01')->json->{rows}, [],
    'of days on which there was nothing');

unlike(usage($t->token('acme'), by => 'tag')->body,
    qr/globex|secret project|markup|50%/, 'nothing of others or its plan');
like(usage($t->token('globex'), by => 'tag')->body, qr/secret project/,
    'which they see themselves');

is(usage($hooli)->json->{total}{calls}, 0, 'who has used nothing sees that');

# what isn't asked like that

for my $case ([ 'tenant', 'globex' ], [ 'tenant', '#2' ], [ 'limit', 1 ],
    [ 'by', 'moon' ], [ 'from', 'x' ], [ 'from', '2026-01-01T12:00:00Z' ])
{
    my ($name, $value) = @$case;
    my $json = usage($t->token('acme'), $name => $value);

    is($json->status, 422, "$name=$value");
    is($json->json->{field}, $name, 'and which it is');
}

is($t->request('GET', '/v1/phota/usage', undef)->status, 401, 'no token');
is(usage('phg_' . 'x' x 50)->status, 401, 'no tenant');

my $api = Phota::API->new($t);

is(usage($api->token)->status, 401, 'an operator has the API');
is($t->request('POST', '/v1/phota/usage', $t->token('acme'), '{}')->status,
    403, 'it is only read');
is($t->request('GET', '/v1/phota/usage/', $t->token('acme'))->status, 403,
    'under this name');

my $head = $t->request('HEAD', '/v1/phota/usage', $t->token('acme'));

is($head->status, 200, 'HEAD');
is($head->body, '', 'has no body');
is($t->request('GET', '/v1/phota/usage', $t->token('acme'), undef,
    http2 => 1)->status, 200, 'HTTP/2');

# a suspended one sees nothing

$t->ctl_ok(qw/ tenant suspend globex /);
ok(everywhere(sub { usage($t->token('globex'))->status == 403 }, 5),
    'suspended');

# off: as any path that the gateway doesn't know

$t->gateway->write_config(door => 'phota_usage off;');
$t->gateway->reload;

ok(everywhere(sub { usage($t->token('acme'))->json->{code}
    eq 'OPERATION_NOT_ALLOWED' }, 10), 'off: a fenced tenant is refused');

is($t->calls, $calls + 3, 'no call went up for any of it');

$t->finish;
done_testing();
