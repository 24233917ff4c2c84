# What photactl reads, the API answers: the same objects, the same rows, page by
# page, by whichever worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::API;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme globex / ],
    server => "location $Phota::API::location { phota_api; }");
my $slow = $Phota::Test::slow;

my $api = Phota::API->new($t, scope => 'read', label => 'desk');

# something of everything to look at

for my $n (1 .. 5) {
    $t->is_miss($t->post('remix', $t->token('acme'),
        remix(prompt => "no. $n"), headers => [ 'Phota-Tag' => "t$n" ]),
        '0.120000', "bought: $n");
}

$t->is_miss($t->post('enhance', $t->token('globex'), enhance()), '0.120000',
    'another tenant buys');
$t->is_hit($t->post('remix', $t->token('acme'), remix(prompt => 'no. 1')),
    '0.120000', 'a hit');
$t->post('remix', $t->token('acme'), remix(prompt => 'unknown'),
    fault => 'status=500');

# free hits are in the books within a second

wait_for(sub {
    my ($sum) = $api->said('usage');

    return $sum->{total}{hits} == 1;
}, 5);

my ($charge) = map { $_->{charge_id} } $api->said(qw/ ledger list /);


# --- one object

my @objects = (
    [ 'usage', [], 'usage' ],
    [ 'usage', [ by => 'day' ], qw/ usage --by day / ],
    [ 'usage', [ by => 'tag', tenant => 'acme' ],
        qw/ usage --by tag --tenant acme / ],
    [ 'tenant/show', [ tenant => 'acme' ], qw/ tenant show acme / ],
    [ 'token/show', [ token => 1 ], qw/ token show 1 / ],
    [ 'ledger/show', [ charge => $charge ], qw/ ledger show /, $charge ],
    [ 'ledger/verify', [], qw/ ledger verify / ],
    [ 'holds/deadline', [], qw/ holds deadline / ],
    [ 'cache/stats', [], qw/ cache stats / ],
);

for my $case (@objects) {
    my ($path, $params, @words) = @$case;

    my $answer = $api->get($path, @$params);

    is($answer->status, 200, "$path: answered");
    is_deeply($answer->json, ($api->said(@words))[0],
        "$path: what photactl @words says");
}

# --- rows

my @lists = (
    [ 'tenant/list', [], qw/ tenant list / ],
    [ 'token/list', [], qw/ token list / ],
    [ 'token/list', [ tenant => 'acme' ], qw/ token list acme / ],
    [ 'token/list', [ admin => 'true' ], qw/ token list --admin / ],
    [ 'profile/list', [], qw/ profile list / ],
    [ 'job/list', [], qw/ job list / ],
    [ 'callback/list', [], qw/ callback list / ],
    [ 'price/list', [], qw/ price list / ],
    [ 'ledger/list', [], qw/ ledger list / ],
    [ 'ledger/list', [ tenant => 'globex' ],
        qw/ ledger list --tenant globex / ],
    [ 'ledger/list', [ state => 'unknown' ],
        qw/ ledger list --state unknown / ],
    [ 'holds/list', [], qw/ holds list / ],
    [ 'cache/list', [], qw/ cache list / ],
    [ 'ledger/export', [ format => 'json' ],
        qw/ ledger export --format json / ],
    [ 'ledger/export', [ format => 'cloudevents' ],
        qw/ ledger export --format cloudevents / ],
);

for my $case (@lists) {
    my ($path, $params, @words) = @$case;

    my @said = $api->said(@words);
    my @told = $api->rows($path, @$params);
    my @paged = $api->rows($path, @$params, limit => 1);

    # age is counted in seconds

    delete $_->{age_s} for @said, @told, @paged;

    is_deeply(\@told, \@said, "$path @$params: what photactl says");
    is_deeply(\@paged, \@said, "$path @$params: row by row the same");
}

ok($api->rows('ledger/list') == 7, 'and these are seven charges');

# a page ends where it was told to, and says where the next begins

my $page = $api->get('ledger/list', limit => 2)->json;

is(scalar @{$page->{rows}}, 2, 'a page of two');
ok(defined $page->{next}, 'and there is more');
is_deeply([ map { $_->{charge_id} } @{$api->get('ledger/list', limit => 1000,
    cursor => $page->{next})->json->{rows}} ],
    [ (map { $_->{charge_id} } $api->said(qw/ ledger list /))[2 .. 6] ],
    'which begins behind it');

my ($code, $out, $err) = $t->ctl(qw/ ledger list --json --limit 2 /);

is($code, 0, 'photactl has pages too');
is(scalar split(/\n/, $out), 2, 'of so many rows');
is($err, "cursor: $page->{next}\n", 'with the same cursor');

# CSV as it is

my $csv = $api->get('ledger/export', format => 'csv', limit => 1000);

is($csv->status, 200, 'an export as CSV');
is($csv->header('Content-Type'), 'text/csv; charset=utf-8', 'says so');
is($csv->body, ($t->ctl(qw/ ledger export /))[1], 'and is what photactl says');
like($csv->header('Phota-Cursor'), qr/^\d+-[0-9a-f]{16}$/, 'with a cursor');


# --- caches of answers

my $tagged = $api->get('tenant/list');
my $etag = $tagged->header('ETag') // '';

like($etag, qr/^"[0-9a-f]{32}"$/, 'an answer has a tag');
is($tagged->header('Cache-Control'), 'private, no-cache',
    'may be kept, but not used without asking');

is($api->request('GET', 'tenant/list', undef,
    headers => [ 'If-None-Match' => $etag ])->status, 304, 'it is the same');

$t->ctl_ok(qw/ tenant set acme --budget-day 5 /);

is($api->request('GET', 'tenant/list', undef,
    headers => [ 'If-None-Match' => $etag ])->status, 200,
    'until it is another');

my $head = $api->request('HEAD', 'usage');

is($head->status, 200, 'HEAD is answered');
is($head->body, '', 'without a body');
is($head->header('Content-Length'), length $api->get('usage')->body,
    'but with its length');

$t->finish(holds => 1);
done_testing();
