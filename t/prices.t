# A price takes effect at its moment, without a restart; each charge keeps the
# rate it was made by.  What has no price isn't bought, and what is metered in a
# way that no answer tells is an estimate, and says so.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use POSIX qw/ strftime /;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme globex / ]);
my ($acme, $globex) = map { $t->token($_) } qw/ acme globex /;

sub generate {
    my ($token, %fields) = @_;

    return $t->post('generate', $token, object([ 'prompt',
        grep { $_ ne 'prompt' } sort keys %fields ],
        { prompt => 'a boat', %fields }));
}

# what it costs, where Phota wants so much for it

sub cost {
    my ($usd, @call) = @_;

    $t->sim->config(rates => { generate => { base => $usd,
        identity => $usd } });

    my $answer = generate(@call);

    return $answer->status == 200 ? $answer->header('Phota-Cost')
        : $answer->json->{code};
}

is(cost('0.09', $acme), 'PRICE_UNKNOWN', 'no price, no purchase');
is($t->calls, 0, 'Phota was not asked');

# a list, as a file

my $file = $t->dir . '/prices.csv';

sub import_prices {
    my ($text) = @_;

    open(my $fh, '>', $file) or die "$file: $!\n";
    print $fh $text;
    close($fh);
    chmod 0644, $file;

    return $t->ctl('price', 'import', $file);
}

my ($code, undef, $err) = import_prices(
    "operation,base_model,resolution,usd\ngenerate,,,0.09\n"
    . "generate,,4K,nine\n");

is($code, 1, 'a list with a fault in it is refused') or diag($err);
like($err, qr/\b3\b/, 'and the line named');
sleep 2;
is(cost('0.09', $acme), 'PRICE_UNKNOWN', 'nothing of it counts');

($code, undef, $err) = import_prices(
    "operation,base_model,resolution,usd,identity_usd,tenant\r\n"
    . "generate,,,0.09,,\r\n"
    . "generate,,4K,0.18,0.2,\r\n"
    . "generate,flux-2,,\"0.05\",,\r\n"
    . "generate,,,0.07,,globex\r\n");

is($code, 0, 'a good one is taken') or diag($err);
sleep 2;

is(cost('0.09', $acme), '0.090000', 'a general price');
is(cost('0.18', $acme, resolution => '4K'), '0.180000', 'by resolution');
is(cost('0.05', $acme, base_model => 'flux-2'), '0.050000', 'by model');
is(cost('0.07', $globex, resolution => '4K'), '0.070000',
    "a tenant's own goes before all");

my %versions = map { $_->{price_version} => 1 } $t->gateway->ledger;

is(keys %versions, 1, 'a list is one version');

# the future

my $moment = time() + 4;

$t->ctl_ok('price', 'add', '--operation', 'generate', '--usd', '0.11',
    '--from', strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $moment));

is(cost('0.09', $acme), '0.090000', 'a price of the future');
sleep($moment - time() + 1) if $moment >= time();
is(cost('0.11', $acme), '0.110000', 'counts from its moment on');

my ($old) = grep { $_->{cost} eq '0.090000' } $t->gateway->ledger;

ok($old, 'what was bought before keeps its price');

# tokens that nobody tells us

is(cost('0.2', $acme, base_model => 'gpt-image-2'), 'PRICE_UNKNOWN',
    'the price of any model is none for one that is metered by tokens');

($code) = $t->ctl('price', 'add', '--operation', 'generate', '--usd', '0.2',
    '--base-model', 'gpt-image-2');
is($code, 1, 'nor has it a price that is more than an estimate');

$t->ctl_ok('price', 'add', '--operation', 'generate', '--usd', '0.2',
    '--base-model', 'gpt-image-2', '--estimate');
sleep 2;

is(cost('0.2', $acme, base_model => 'gpt-image-2'), '0.200000',
    'an estimate');

my @estimated = grep { $_->{estimated} } $t->gateway->ledger;

is(join(' ', map { $_->{cost} } @estimated), '0.200000',
    'is marked as one, and nothing else is');

$t->finish;

done_testing();
