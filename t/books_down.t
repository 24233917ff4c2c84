# Without books nothing is bought, and whoever asks is told.  It heals by itself.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

# books that the workers can't write from the start

subtest 'a directory that is closed' => sub {
    my $t = Phota::Test->new(start => 0);
    my $books = $t->gateway->data . '/books';
    my ($uid, $gid) = (stat $books)[4, 5];

    sub_tree(sub { chmod(-d $_[0] ? 0500 : 0400, $_[0]);
        chown(0, 0, $_[0]) if $> == 0 }, $books);
    $t->start;

    my $answer = $t->post('remix', $t->token('acme'), remix());

    $t->is_error($answer, 503, 'BOOKS_UNAVAILABLE', 'nothing is sold');
    like($answer->header('Retry-After'), qr/^\d+$/, 'come again');
    is($t->calls, 0, 'nothing was bought');

    sub_tree(sub { chmod(-d $_[0] ? 0700 : 0600, $_[0]);
        chown($uid, $gid, $_[0]) if $> == 0 }, $books);

    ok(wait_for(sub {
        $t->post('remix', $t->token('acme'), remix())->status == 200
    }, 20), 'sells once it may write');

    $t->finish(log => qr/books/);
};

sub sub_tree {
    my ($change, $dir) = @_;

    $change->($_) for glob("$dir/*"), $dir;
}

done_testing();
