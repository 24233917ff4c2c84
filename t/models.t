# Every model and resolution that Phota offers can be bought, with whatever
# fields, and costs what the price list says of it.  The body goes up to the
# letter, also with fields that nobody here knows; what Phota doesn't sell it
# refuses itself, and that costs nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ sha256_hex /;
use JSON::PP ();
use Phota::Pictures;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(door =>
    'phota_cache remix enhance edit generate;');
my $acme = $t->token('acme');

$t->sim->config(size => 'tiny');

my %models = (
    'nb2' => [ qw/ 1K 2K 4K / ],
    'gpt-image-2' => [ qw/ 1K 2K 4K / ],
    'qwen-image-2' => [ qw/ 1K 2K / ],
    'flux-2' => [ qw/ 1K 2K / ],
    'reve' => [ '1K' ],
);

# --- a price of its own for each; a general one for what isn't sold, or Phota
# would never be asked

my (%price, %rates);
my $list = "operation,base_model,resolution,usd,identity_usd,estimate\n"
    . "edit,,,0.9,0.95,\ngenerate,,,0.9,0.95,\n"
    . "edit,gpt-image-2,,0.9,0.95,true\ngenerate,gpt-image-2,,0.9,0.95,true\n";
my $micro = 100_000;

for my $operation (qw/ edit generate /) {
    for my $model (sort keys %models) {
        for my $resolution (@{$models{$model}}) {
            my $name = "$operation/$model/$resolution";
            my ($base, $identity) = ($micro += 1001, $micro + 20_000);

            $price{$name} = [ $base, $identity ];
            $rates{$name} = { base => usd($base),
                identity => usd($identity) };
            $list .= join(',', $operation, $model, $resolution, usd($base),
                usd($identity), $model eq 'gpt-image-2' ? 'true' : '') . "\n";
        }
    }
}

$t->sim->config(rates => \%rates);

my $file = $t->dir . '/prices.csv';

open(my $fh, '>', $file) or die "$file: $!\n";
print $fh $list;
close($fh);
chmod 0644, $file;
$t->ctl_ok('price', 'import', $file);

my $canonical = JSON::PP->new->utf8->canonical;

sub body {
    my ($operation, %fields) = @_;

    return $operation eq 'remix' ? remix(%fields)
        : $operation eq 'enhance' ? enhance(%fields)
        : object([ sort keys %fields ], \%fields);
}

everywhere(sub { $t->post('edit', $acme, '{"prompt":"x"}', headers =>
    [ 'Phota-Dry-Run' => 1 ])->status == 200 }, 5) or die "no prices\n";

# the charge of an answer, from one look at the books

my %charges;

sub charge {
    my ($answer) = @_;

    my $id = $answer->header('Phota-Charge-Id') // 'none';

    %charges = map { $_->{charge_id} => $_ } $t->gateway->ledger
        if !$charges{$id};

    return $charges{$id} || {};
}

# --- all of them

my @bought;

sub buy {
    my ($name, $operation, $cost, $fields, %o) = @_;

    my $body = $o{body} // body($operation, %$fields);
    my $answer = $t->post($operation, $acme, $body);

    $t->is_miss($answer, usd($cost), $name);
    is($t->sim->last->{body_sha256}, sha256_hex($body),
        "$name: to the letter");

    push @bought, { name => $name, operation => $operation, cost => $cost,
        body => $body, answer => $answer, n => $fields->{num_output_images}
        // 1, %o };

    return $answer;
}

# the nb2 of 1K is what they are who say nothing

sub what {
    my ($model, $resolution) = @_;

    return ($model eq 'nb2' ? () : (base_model => $model),
        $resolution eq '1K' ? () : (resolution => $resolution));
}

my $i = 0;

for my $name (sort keys %price) {
    my ($operation, $model, $resolution) = split m{/}, $name;
    my ($base, $identity) = @{$price{$name}};
    my $n = 1 + $i++ % 4;

    buy($name, $operation, $base * $n, { prompt => 'a boat',
        num_output_images => $n, what($model, $resolution) });

    my %who = $operation eq 'edit' ? (prompt => 'a boat',
        profile_ids => [ 'prof_once' ]) : (prompt => 'a boat [[prof_once]]');

    buy("$name with identity", $operation, $identity + $base * ($n - 1), {
        %who, num_output_images => $n, base_model => $model,
        resolution => $resolution }, identity => 1);
}

# --- what else can be said, to all four

my @formats = map { { output_format => $_ } } qw/ png jpg /;
my @qualities = map { { base_model => 'gpt-image-2', quality => $_ } }
    qw/ auto low medium high /;
my @ratios = map { { aspect_ratio => $_ } }
    qw/ auto 1:1 3:4 4:3 9:16 16:9 /;

my $odd = '"pro_mode":true,"a":{"b":[1.0,1e2,-0,18446744073709551615,"\u00e4'
    . '\ud83d\ude00\/",{}],"":null},"Prompt":"x" , "images2":["aHR0cA=="],'
    . '"seed": 7, "quality":null,"base_model" :null';

for my $operation (qw/ edit generate remix enhance /) {
    my $chosen = $price{"$operation/nb2/1K"};
    my $cost = $chosen ? $chosen->[0] : 120_000;

    for my $fields (@formats, $chosen ? @ratios : ()) {
        my ($said) = values %$fields;

        # what stands for itself has been bought above, and these are others

        my $answer = buy("$operation, $said", $operation, $cost,
            { prompt => 'a car', %$fields }) if $said ne 'auto';

        next if !$fields->{output_format};

        like((pictures($t, $answer))[0], $said eq 'png' ? qr/^\x89PNG/
            : qr/^\xff\xd8\xff/, "$operation: a $said");
    }

    if ($chosen) {
        my ($estimate) = @{$price{"$operation/gpt-image-2/1K"}};

        for my $fields (@qualities) {
            buy("$operation, $fields->{quality}", $operation, $estimate,
                { prompt => 'a car', %$fields });
        }
    }

    my $body = body($operation, prompt => 'odd');
    $body =~ s/^\{/{$odd,/;

    buy("$operation, fields that nobody knows", $operation, $cost, {},
        body => $body);
}

# not accepted there, and what they cost can't change by it

for my $operation (qw/ remix enhance /) {
    buy("$operation, with a size", $operation, 120_000, { prompt => 'size',
        resolution => '4K', aspect_ratio => '1:1', base_model => 'reve' });
}

# --- in the books

for my $b (@bought) {
    my $charge = charge($b->{answer});
    my $estimated = $b->{body} =~ /gpt-image-2/ ? 1 : 0;

    is_deeply([ @$charge{qw/ state cost outputs identity_outputs operation /},
        $charge->{estimated} ? 1 : 0 ], [ 'settled', usd($b->{cost}), $b->{n},
        $b->{identity} || 0, $b->{operation}, $estimated ],
        "$b->{name}: in the books");
}

# --- once bought each is kept by itself

my $calls = $t->calls;

for my $b (@bought) {
    my $hit = $t->post($b->{operation}, $acme, $b->{body});

    $t->is_hit($hit, usd($b->{cost}), "$b->{name}: a hit");
    is($hit->body, $b->{answer}->body, "$b->{name}: the same");
}

is($t->calls, $calls, 'Phota was not asked again');

# --- what Phota doesn't sell

my @refused = (
    [ 400, resolution => '4K', base_model => 'qwen-image-2' ],
    [ 400, resolution => '4K', base_model => 'flux-2' ],
    [ 400, resolution => '2K', base_model => 'reve' ],
    [ 400, resolution => '4K', base_model => 'reve' ],
    [ 400, quality => 'low' ],
    [ 400, quality => 'high', base_model => 'flux-2' ],
    [ 422, base_model => 'dall-e-2' ],
    [ 422, resolution => '8K' ],
    [ 422, aspect_ratio => '21:9' ],
    [ 422, quality => 'best', base_model => 'gpt-image-2' ],
    [ 422, output_format => 'webp' ],
);

my %before = map { $_->{charge_id} => 1 } $t->gateway->ledger;

for my $operation (qw/ edit generate /) {
    for my $case (@refused) {
        my ($status, %fields) = @$case;
        my $name = join(' ', $operation, map { "$_ $fields{$_}" }
            sort keys %fields);
        my $answer = $t->post($operation, $acme, body($operation,
            prompt => 'a boat', %fields));

        $t->is_passed($answer, $status, "$name: Phota refuses");
        is(ref $answer->json->{detail}, $status == 422 ? 'ARRAY' : '',
            "$name: in its own words");
        unlike($answer->body, qr/"field"/, "$name: and none of ours");
        is($answer->header('Phota-Cost') // '0.000000', '0.000000',
            "$name: costs nothing");
    }
}

my @void = grep { !$before{$_->{charge_id}} } $t->gateway->ledger;

is(join(' ', sort keys %{{ map { $_->{state} => 1 } @void }}), 'void',
    'all of them are void');
is(scalar @void, 2 * @refused, 'and all are in the books');
is($t->calls, $calls + 2 * @refused, 'all were asked of Phota, once');

$t->finish;

done_testing();
