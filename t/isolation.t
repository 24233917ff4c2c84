# Two tenants with the same body never share a result, at the same moment or
# later; each call goes out with its tenant's key, and what one bought is on
# its own bill.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme globex owner / ], workers => 2,
    own => { owner => 'phk-own-' . Phota::Test::random() });
my @names = qw/ acme globex owner /;
my $body = remix(prompt => 'the same');
my %pictures;

for my $name (@names) {
    my $answer = $t->post('remix', $t->token($name), $body);

    $t->is_miss($answer, '0.120000', "$name buys");
    $pictures{$name} = $answer->json->{images}[0];

    is($t->seen('X-API-Key'), $t->{own}{$name} || $t->{key},
        "$name: with its key");
    is($t->charge($answer)->{tenant}, $name, "$name: on its bill");
}

for my $name (@names) {
    my $answer = $t->post('remix', $t->token($name), $body);

    $t->is_hit($answer, '0.120000', "$name hits");
    is($answer->json->{images}[0], $pictures{$name}, "$name: its own picture");
}

is(keys %{{ reverse %pictures }}, 3, 'three pictures');

# all at once

my @who = (@names) x 3;
my $same = remix(prompt => 'at once');
my @answers = $t->parallel(map {
    [ 'remix', $t->token($_), $same, fault => 'latency=300' ] } @who);
my %owner;

for my $i (0 .. $#who) {
    is($answers[$i]->status, 200, "$who[$i] is answered");
    $owner{$answers[$i]->json->{images}[0] // ''}{$who[$i]} = 1;
}

for my $picture (sort keys %owner) {
    is(keys %{$owner{$picture}}, 1, 'a picture belongs to one tenant');
}

# ids of one tenant's charges mean nothing to another

for my $name (@names) {
    my @foreign = grep { $_->{tenant} ne $name }
        $t->gateway->ledger('--tenant', $name);

    is(scalar @foreign, 0, "the ledger of $name is its own");
}

# HTTP/2: many tenants on one connection are several requests, not one

for my $name (@names) {
    my $answer = $t->post('remix', $t->token($name), $body, http2 => 1);

    is($answer->json->{images}[0], $pictures{$name}, "$name over HTTP/2");
}

# a token says who it is whatever else the request claims

my $answer = $t->post('remix', $t->token('acme'), $body, headers => [
    'Phota-Tenant' => 'globex', 'X-Phota-Tenant' => 'globex' ]);

is($answer->json->{images}[0], $pictures{acme}, 'headers claim nothing');

$t->finish;

done_testing();
