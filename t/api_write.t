# What an operator changes over the API is in the books when it is answered, by
# his name, and nginx goes by it: tenants, tokens, prices, keys, holds, the
# cache.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Phota::API;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme globex / ],
    server => "location $Phota::API::location { phota_api write; }");
my $slow = $Phota::Test::slow;

my $api = Phota::API->new($t, label => 'billing');

# a change, done; the answer's object

sub done {
    my ($command, %params) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $answer = $api->post($command, %params);

    $t->check("$command: done", $answer,
        Phota::Test::differ('status', $answer->status, 200),
        Phota::Test::differ('Cache-Control', $answer->header('Cache-Control'),
            'private, no-store'));

    return $answer->json;
}

sub charge {
    my ($id) = @_;

    return ($api->said(qw/ ledger show /, $id))[0];
}

sub unknown {
    my ($tenant, $billed) = @_;

    my %known = map { $_->{charge_id} => 1 } $t->gateway->holds;

    $t->post('remix', $t->token($tenant), remix(prompt => 'no. ' . rand),
        fault => "status=500;bill=$billed");

    my ($hold) = grep { !$known{$_->{charge_id}} } $t->gateway->holds;

    return $hold->{charge_id};
}


# --- tenants and tokens

is_deeply(done('tenant/add', tenant => 'initech'), {}, 'nothing to say');
is(($api->said(qw/ tenant show initech /))[0]{state}, 'active',
    'the tenant is there');

done('tenant/set', tenant => 'initech', budget_day => '5', markup => '10%');

my ($initech) = $api->said(qw/ tenant show initech /);

is($initech->{budgets}{day}{limit}, '5.000000', 'with its budget');
is($initech->{markup}, '10%', 'and its markup');

my $issued = done('token/issue', tenant => 'initech', label => 'web');
my $token = $t->secret($issued->{token});

like($token, qr/^phg_/, 'a token for it');

everywhere(sub { $t->knows($token) }, 5);

is($t->post('remix', $token, remix(prompt => 'by the new one'))->status, 200,
    'which buys');
is(($api->said(qw/ ledger list --tenant initech /))[0]{price}, '0.132000',
    'at its price');

done('tenant/suspend', tenant => 'initech');

ok(everywhere(sub {
    ($t->post('remix', $token, '{}')->json->{code} // '')
        eq 'TENANT_SUSPENDED' }, 5), 'suspended everywhere');

done('tenant/resume', tenant => 'initech');
done('token/set', token => $issued->{token_id}, budget_total => 1);
done('token/revoke', token => $issued->{token_id});

is((grep { $_->{token_id} == $issued->{token_id} }
    $api->said(qw/ token list /))[0]{state}, 'revoked', 'and revoked');

my $reader = done('token/issue', admin => JSON::PP::true, label => 'reader');

like($t->secret($reader->{token}), qr/^pha_/, 'a token for an operator');
is($reader->{scope}, 'read', 'who may read');


# --- holds

my $id = unknown('acme', 1);

done('holds/settle', charge => $id, reason => 'the bill has it');

my $charge = charge($id);

is($charge->{state}, 'settled', 'settled by word');
is($charge->{cost}, '0.120000', 'as it was held for');
is($charge->{entries}[-1]{by}, 'api billing', 'whose word that was');
is($charge->{entries}[-1]{note}, 'the bill has it', 'and why');

$t->is_error($api->post('holds/settle', charge => $id, reason => 'again'), 409,
    'CONFLICT', 'once');
$t->is_error($api->post('holds/settle', charge => 'ch_' . '0' x 26,
    reason => 'none'), 404, 'NOT_FOUND', 'and nothing that is not there');

my $void = unknown('globex', 0);

done('holds/void', charge => $void, reason => 'never sent');
is(charge($void)->{state}, 'void', 'void by word');

done('holds/settle', charge => unknown('globex', 1), outputs => 1,
    usd => '0.12', reason => 'so much');

is_deeply(done('holds/deadline', duration => '72h', void => JSON::PP::true),
    {}, 'a deadline');
is($api->get('holds/deadline')->json->{after_s}, 259200, 'is set');
done('holds/deadline', duration => 'none');


# --- prices and keys

done('price/add', operation => 'edit', usd => '0.10', identity_usd => '0.13',
    tenant => 'acme');

is((grep { $_->{operation} eq 'edit' } $api->said(qw/ price list /))[0]{usd},
    '0.100000', 'a price');

done('price/import', prices => "operation,usd\ngenerate,0.20\n");
is((grep { $_->{operation} eq 'generate' } $api->said(qw/ price list /))[0]
    {usd}, '0.200000', 'a list of prices');

my $answer = $api->request('POST', 'price/import',
    "operation,usd\ngenerate,0.21\n",
    headers => [ 'Content-Type' => 'text/csv' ]);

is($answer->status, 200, 'a list as the body');
is((grep { $_->{operation} eq 'generate' } $api->said(qw/ price list /))[-1]
    {usd}, '0.210000', 'is read');

my $key = $t->secret('upstream-key-' . $t->random);

is_deeply(done('key/set', tenant => 'initech', secret => $key), {},
    'a key is sealed');
is(($api->said(qw/ tenant show initech /))[0]{key}, 'own', 'it is there');

my $notes = done('key/set', tenant => 'globex', secret => $key)->{notes};

like($notes->[0], qr/another's/, 'what follows is told');
done('key/remove', tenant => 'globex');
done('key/remove', tenant => 'initech');

like(done('webhook-secret', tenant => 'acme')->{secret}, qr/\S/,
    'what callbacks are signed with');
is($api->get('webhook-secret', tenant => 'acme')->status, 405,
    'which is not for those who only read');


# --- the cache

my $body = remix(prompt => 'kept');

$t->is_miss($t->post('remix', $t->token('acme'), $body), '0.120000', 'bought');
$t->is_hit($t->post('remix', $t->token('acme'), $body), '0.120000', 'kept');

is(done('cache/purge', tenant => 'globex')->{results}, 0,
    'another has none to purge');
$t->is_hit($t->post('remix', $t->token('acme'), $body), '0.120000',
    'still kept');

ok(done('cache/purge', tenant => 'acme')->{results} >= 1, 'purged');
$t->is_miss($t->post('remix', $t->token('acme'), $body), '0.120000',
    'bought again');


# --- the provider's bill, as the body and as a member

my $lost = unknown('acme', 1);
my $bill = $t->sim->bill_csv;

my $shown = $api->request('POST', 'reconcile', $bill,
    headers => [ 'Content-Type' => 'text/csv' ]);

is($shown->status, 200, 'bill and books side by side');

my ($summary) = grep { $_->{class} eq 'summary' } @{$shown->json->{rows}};

is($summary->{corrected}, 0, 'nothing is done unless it is asked for');
is(charge($lost)->{state}, 'unknown', 'nothing at all');

my $applied = $api->request('POST', 'reconcile?apply=true', $bill,
    headers => [ 'Content-Type' => 'text/csv; charset=utf-8' ]);

is($applied->status, 200, 'the books are corrected');
is(charge($lost)->{state}, 'settled', 'by the bill');

my ($again) = grep { $_->{class} eq 'summary' }
    @{done('reconcile', bill => $bill)->{rows}};

is($again->{difference}, '0.000000', 'and are equal to it');

# one that is too long for nginx's buffer, and lies in a file

my $empty = $api->request('POST', 'reconcile?from=2001-01-01&to=2001-01-02',
    $bill . $bill x 60, headers => [ 'Content-Type' => 'text/csv' ]);

is($empty->status, 422, 'a bill with its head in the middle is none');
like($empty->json->{detail}, qr/^"bill" line \d+/, 'and it says where');


# --- profiles, callbacks, charges, the end of a tenant

done('profile/adopt', tenant => 'globex',
    profile => [ 'abcdef0123456789', '0123456789abcdef' ], tag => 'old');

is(scalar $api->said(qw/ profile list --tenant globex /), 2, 'profiles');
done('profile/release', tenant => 'globex', profile => 'abcdef0123456789');
is(scalar $api->said(qw/ profile list --tenant globex /), 1, 'one is back');

done('callback/retry', all => JSON::PP::true);

my ($settled) = map { $_->{charge_id} } $api->said(qw/ ledger list --tenant
    initech --state settled /);

done('tenant/suspend', tenant => 'initech');
done('tenant/remove', tenant => 'initech');

$t->is_error($api->get('tenant/show', tenant => 'initech'), 404, 'NOT_FOUND',
    'a tenant that is removed');
is(charge($settled)->{state}, 'settled', 'its money stays');

is($api->get('ledger/verify')->json->{ok}, JSON::PP::true,
    'and the books are sound');

$t->finish(stopped => 0);
done_testing();
