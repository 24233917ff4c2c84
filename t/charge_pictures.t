# What a charge has bought can be looked at: photactl and the API link to its
# pictures as long as they are cached, for an hour, and to no others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ sha256_hex /;
use JSON::PP qw/ decode_json /;
use Phota::API;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme globex / ],
    server => "location $Phota::API::location { phota_api; }");

$t->ctl_ok(qw/ tenant set globex --hit-price 50% /);

my $api = Phota::API->new($t, scope => 'read', label => 'desk');
my $answer = $t->post('remix', $t->token('acme'),
    remix(num_output_images => 2));
my $charge = $answer->header('Phota-Charge-Id');
my @bytes = $t->sim->delivered;

is($answer->status, 200, 'two are bought');

sub pictures {
    my ($id) = @_;

    return @{$api->get('ledger/pictures', charge => $id)->json->{rows}};
}

sub fetch {
    my ($path) = @_;

    return Phota::HTTP::request($t->port, 'GET', $path, [], undef);
}

my @rows = pictures($charge);

is(scalar @rows, 2, 'two pictures');
is_deeply([ sort map { $_->{sha256} } @rows ],
    [ sort map { sha256_hex($_) } @bytes ], 'those that were delivered');
is_deeply([ map { $_->{picture} } @rows ], [ 0, 1 ], 'in their order');

for my $row (@rows) {
    my $picture = fetch($row->{link});
    my ($expires) = $row->{link} =~ /Expires=(\d+)/;

    like($row->{link}, qr{^/phota/results/}, 'a link to this host');
    is($picture->status, 200, 'leads to it');
    is(sha256_hex($picture->body), $row->{sha256}, 'and no other');
    is($picture->header('Content-Type'), $row->{type}, 'of that type');
    is(length $picture->body, $row->{bytes}, 'of that size');
    cmp_ok($expires - time(), '<=', 3600, 'for an hour');
}

# on the command line the address is nginx's to say

my @said = map { decode_json($_) }
    split /\n/, $t->ctl_ok(qw/ ledger pictures --json /, $charge);

is_deeply([ map { $_->{sha256} } @said ], [ map { $_->{sha256} } @rows ],
    'photactl says the same');
like($said[0]{link}, qr{^\d+/[0-9a-f]{64}\.\w+\?Expires=},
    'as it goes on behind the address');
is(fetch("/phota/results/$said[0]{link}")->status, 200, 'where it is good');

# a hit that has a price shows what it was answered with

$t->post('remix', $t->token('globex'), remix(prompt => 'hers')) for 1, 2;

my %hers = map { $_->{cache} => $_->{charge_id} }
    grep { $_->{tenant} eq 'globex' } $t->gateway->ledger;
my ($miss, $hit) = map { [ map { $_->{sha256} } pictures($hers{$_}) ] }
    qw/ miss hit /;

is(scalar @$hit, 1, 'a hit has its picture');
is_deeply($hit, $miss, 'which is what was bought');
isnt($hit->[0], $rows[0]{sha256}, "and not another tenant's");

# what has bought nothing has none; what isn't there is said

my $lost = $t->post('remix', $t->token('acme'), remix(prompt => 'lost'),
    fault => 'status=422')->header('Phota-Charge-Id');

is_deeply([ pictures($lost) ], [], 'nothing was bought');
is($api->get('ledger/pictures', charge => 'ch_' . '0' x 26)->status, 404,
    'no such charge');
is($api->get('ledger/pictures', charge => 'x')->status, 422, 'no charge');
is($api->get('ledger/pictures')->status, 422, 'which one?');
is($api->request('GET', "ledger/pictures?charge=$charge", undef,
    token => $t->token('acme'))->status, 401, "tenants' tokens are no use");

$t->ctl_ok(qw/ cache purge --tenant acme /);

is_deeply([ pictures($charge) ], [], 'what is purged has no link');

$t->finish;

done_testing();
