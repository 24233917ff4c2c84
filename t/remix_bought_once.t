# A remix is bought once.  Whoever asks again, with the fields in another order
# or the base64 written in another way, gets the same pictures at no cost: now,
# after a restart, with the upstream down.  Another tenant buys its own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme globex one two / ]);
my ($acme, $globex) = map { $t->token($_) } qw/ acme globex /;

my %photos = (input => photo('jpg', 640, 480, 11),
    reference => photo('png', 200, 200, 12));
my $body = remix(%photos, num_output_images => 1);

my $bought = $t->post('remix', $acme, $body);

$t->is_miss($bought, '0.120000', 'the first is bought');
is($t->calls, 1, 'by one call');

my $charge = $t->charge($bought);

is($charge->{state}, 'settled', 'its charge is settled');
is($charge->{cost}, '0.120000', 'for its price');
is($charge->{cache}, 'miss', 'as a miss');
is($charge->{tenant}, 'acme', 'of its tenant');
is($charge->{upstream_request_id}, $bought->header('X-Request-Id'),
    "with the upstream's request id");

my $pictures = $bought->json->{images};

is(ref $pictures && @$pictures, 1, 'one picture came');

my %ways = (
    'the same body' => $body,
    'another order of fields' => remix(%photos, num_output_images => 1,
        order => 'reverse'),
    'line breaks in the base64' => remix(%photos, num_output_images => 1,
        breaks => 76),
    'a data: prefix' => remix(%photos, num_output_images => 1,
        prefix => 'data:image/jpeg;base64,'),
    'the URL-safe alphabet' => remix(%photos, num_output_images => 1,
        urlsafe => 1, unpadded => 1),
    'white space between tokens' => remix(%photos, num_output_images => 1,
        space => " \t\r\n"),
    'the defaults written out' => remix(%photos, num_output_images => 1,
        prompt => ''),
    'no count' => remix(%photos),
);

for my $way (sort keys %ways) {
    my $hit = $t->post('remix', $acme, $ways{$way});

    $t->is_hit($hit, '0.120000', "a hit: $way");
    is_deeply($hit->json->{images}, $pictures, "the same picture: $way");
    is($hit->header('X-Request-Id'), $bought->header('X-Request-Id'),
        "the original's request id: $way");
}

my $hit = $t->post('remix', $acme, $body, http2 => 1);

$t->is_hit($hit, '0.120000', 'a hit over HTTP/2');
is_deeply($hit->json->{images}, $pictures, 'and the same picture');

is($t->calls, 1, 'nothing else was bought');

# what is another picture is another purchase

for my $other (
    [ 'another prompt', remix(%photos, prompt => 'at dusk') ],
    [ 'another format', remix(%photos, output_format => 'png') ],
    [ 'the photographs exchanged', remix(input => $photos{reference},
        reference => $photos{input}) ],
    [ 'an unknown field', remix(%photos, pro_mode => JSON::PP::true()) ],
) {
    my ($what, $text) = @$other;
    my $answer = $t->post('remix', $acme, $text);

    $t->is_miss($answer, '0.120000', "a miss: $what");
    isnt($answer->json->{images}[0], $pictures->[0], "its own picture: $what");
}

# another tenant

my $own = $t->post('remix', $globex, $body);

$t->is_miss($own, '0.120000', 'another tenant buys its own');
isnt($own->json->{images}[0], $pictures->[0], 'and gets its own picture');

# tenants that share a scope

$t->ctl_ok('tenant', 'set', $_, '--cache-scope', 'shared') for qw/ one two /;
sleep 2;

my $shared = $t->post('remix', $t->token('one'), $body);

$t->is_miss($shared, '0.120000', 'the first of two that share buys');

$hit = $t->post('remix', $t->token('two'), $body);

$t->is_hit($hit, '0.120000', 'the second one hits');
is_deeply($hit->json->{images}, $shared->json->{images}, 'the same picture');

# a restart, and no upstream

ok($t->restart, 'nginx restarts');

$hit = $t->post('remix', $acme, $body);

$t->is_hit($hit, '0.120000', 'a hit after the restart');
is_deeply($hit->json->{images}, $pictures, 'still the same picture');


$t->sim->stop;

$hit = $t->post('remix', $acme, $body);

$t->is_hit($hit, '0.120000', 'a hit with the upstream down');
is_deeply($hit->json->{images}, $pictures, 'of all its bytes');

my $down = $t->post('remix', $acme, remix(%photos, prompt => 'nobody there'));

$t->is_error($down, 502, 'UPSTREAM_FAILED', 'a miss is an error meanwhile');

# usage

$t->stop;

my ($row) = grep { $_->{tenant} eq 'acme' } @{$t->gateway->usage->{rows}};

is($row->{operation}, 'remix', 'usage: the operation');
is($row->{outputs}, 5, 'usage: outputs that were bought');
is($row->{hits}, 11, 'usage: hits');
is($row->{calls}, 16, 'usage: calls');
is($row->{cost}, '0.600000', 'usage: cost');
is($row->{price}, '0.600000', 'usage: price');
is($row->{saved}, '1.320000', 'usage: saved');

$t->sim->start;

is($t->gateway->usage->{total}{cost}, usd($t->bill->{amount}),
    'the total is the bill');
is($t->sim->bill('shared')->{calls}, 7, 'of seven calls');

$t->finish(stopped => 1);

done_testing();
