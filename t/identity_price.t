# An output in which a trained profile is recognised costs more.  The answer
# says only how often each was seen in all outputs together: one subject gives
# the number of such outputs, several give bounds, and the lower one is taken.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new;
my $acme = $t->token('acme');

sub bought {
    my ($name, $cost, $identity, %body) = @_;

    my $answer = $t->post('remix', $acme, remix(prompt => $name,
        %{$body{fields}}), fault => $body{fault});

    $t->is_miss($answer, $cost, "$name: costs $cost");

    my $charge = $t->charge($answer);
    my $n = $body{fields}{num_output_images} || 1;

    is($charge->{outputs}, $n, "$name: outputs");
    is($charge->{identity_outputs}, $identity, "$name: identity outputs");
    is(scalar @{$answer->json->{images}}, $n, "$name: as many pictures");

    return $answer;
}

bought('nobody named', '0.120000', 0);
bought('two outputs, nobody named', '0.240000', 0,
    fields => { num_output_images => 2 });

bought('recognised once', '0.150000', 1,
    fields => { profile_ids => [ 'prof_once' ] });
bought('recognised in one of two', '0.270000', 1,
    fields => { profile_ids => [ 'prof_once' ], num_output_images => 2 });
bought('recognised in all', '0.600000', 4,
    fields => { profile_ids => [ 'prof_anna' ], num_output_images => 4 });
bought('named by the prompt', '0.150000', 1,
    fields => { prompt => 'with [[prof_anna]]' });
bought('asked for and not recognised', '0.120000', 0,
    fields => { profile_ids => [ 'prof_anna' ] }, fault => 'nosubjects');

# the same profiles, however they are named, are one purchase

my $first = $t->post('remix', $acme, remix(prompt => 'x [[prof_b]]',
    profile_ids => [ 'prof_a' ]));
my $again = $t->post('remix', $acme, remix(prompt => 'x [[prof_b]]',
    profile_ids => [ qw/ prof_b prof_a prof_a / ]));

is($first->status, 200, 'two profiles');
is($again->header('Phota-Cost'), '0.000000',
    'the set of profiles is what counts');

# two profiles, each seen once in two outputs: one output or both?

my $both = $t->post('remix', $acme, remix(prompt => 'both',
    profile_ids => [ qw/ prof_once prof_once2 / ], num_output_images => 2));

$t->is_miss($both, '0.270000', 'several subjects: the lower bound is taken');
is($t->charge($both)->{identity_outputs}, 1, 'and is in the books');
is($t->charge($both)->{cost_high}, '0.300000', 'with the higher one');

# what was delivered is what is paid

my $partial = $t->post('remix', $acme, remix(prompt => 'partial',
    num_output_images => 4), fault => 'partial=3');

is($partial->header('Phota-Cost'), '0.360000', 'three of four: pays three');
is($t->charge($partial)->{outputs}, 3, 'and counts three');

# a hit saves what the purchase cost, identity and all

my $hit = $t->post('remix', $acme, remix(prompt => 'recognised in all',
    profile_ids => [ 'prof_anna' ], num_output_images => 4));

$t->is_hit($hit, '0.600000', 'a hit saves the whole');

my $enhance = $t->post('enhance', $acme, enhance());

$t->is_miss($enhance, '0.120000', 'enhance is priced alike');

$enhance = $t->post('enhance', $acme, enhance(prompt => 'x',
    profile_ids => [ 'prof_anna' ]));

$t->is_miss($enhance, '0.150000', 'with identity as well');

$t->finish;

done_testing();
