# Who deletes a profile wants what was made of it gone: results that named it or
# in which it was recognised are bought anew, its links are dead, and others'
# results stay.  A delete that Phota refused removes nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ owner other / ],
    own => { owner => 'phk-of-the-owner', other => 'phk-of-another' });
my ($owner, $other) = map { $t->token($_) } qw/ owner other /;

sub deletes {
    my ($token, $id, %o) = @_;

    return $t->request('DELETE', "/v1/phota/profiles/$id", $token, undef, %o);
}

sub is_stored {
    my ($token, $body, $stored, $name) = @_;

    my $answer = $t->post('remix', $token, $body, headers =>
        [ 'Cache-Control' => 'only-if-cached' ]);

    is($answer->status, $stored ? 200 : 504, $name);
}

my %bodies = (
    'named in profile_ids' => remix(prompt => '1',
        profile_ids => [ 'prof_anna', 'prof_ben' ]),
    'named in the prompt' => remix(prompt => 'at sea with [[prof_anna]]'),
);

my $plain = remix(prompt => 'nobody');
my $ben = remix(prompt => 'ben', profile_ids => [ 'prof_ben' ]);

for my $body (values %bodies, $plain, $ben) {
    is($t->post('remix', $owner, $body)->status, 200, 'bought');
}

is($t->post('remix', $other, $_)->status, 200, 'bought by another')
    for values %bodies;

# refused by Phota: nothing is lost

my $failed = deletes($owner, 'prof_anna', fault => 'status=500');

is($failed->status, 500, 'the delete fails');

for my $how (sort keys %bodies) {
    is_stored($owner, $bodies{$how}, 1, "still there: $how");
}

# deleted, whether Phota knew it or it is gone already

my $deleted = deletes($owner, 'prof_anna');

ok($deleted->status == 200 || $deleted->status == 404, 'the delete is passed');

for my $how (sort keys %bodies) {
    is_stored($owner, $bodies{$how}, 0, "gone: $how");
    is_stored($other, $bodies{$how}, 1, "another tenant's stays: $how");
}

is_stored($owner, $plain, 1, 'what shows nobody stays');
is_stored($owner, $ben, 1, 'what shows another profile stays');

$t->finish;

done_testing();
