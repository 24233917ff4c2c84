# What is purged beside a running nginx is a miss at once, whichever worker is
# asked, and nothing else is; removing a tenant takes all that is its own but
# the money.  After a compact no file has a byte of what was purged; hits and
# purchases go on meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Cache;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $t = Phota::Test->new(tenants => [ qw/ acme globex leaver / ],
    own => { globex => 'phk-of-globex-' . Phota::Test::random() });
my $g = $t->gateway;
my $cache = Phota::Cache->new($t);

# who doesn't say how large has a picture that is unlike the ones that are
# looked for in the files

$t->sim->config(size => 'tiny');

sub buy {
    my ($tenant, $name, %o) = @_;

    my @headers = ($o{size} ? ('X-Sim-Size' => $o{size}) : (),
        $o{tag} ? ('Phota-Tag' => $o{tag}) : ());
    my $answer = $t->post('remix', $t->token($tenant), remix(prompt => $name,
        %{$o{fields} || {}}), headers => \@headers, fault => $o{fault});

    $answer->status == 200 or die "$name: " . $answer->summary . "\n";

    return $answer;
}

# whether each of some new connections has a hit: y or n for each

sub hits {
    my ($tenant, $name, %o) = @_;

    my $body = remix(prompt => $name, %{$o{fields} || {}});

    return join('', map {
        my $status = $t->post('remix', $t->token($tenant), $body, headers =>
            [ 'Cache-Control' => 'only-if-cached' ])->status;
        $status == 200 ? 'y' : $status == 504 ? 'n' : "($status)"
    } 1 .. 8);
}

sub are_gone {
    my ($what, @names) = @_;

    is(hits(@$_), 'nnnnnnnn', "$what: $_->[0] $_->[1] is gone") for @names;
}

sub have_stayed {
    my ($what, @names) = @_;

    is(hits(@$_), 'yyyyyyyy', "$what: $_->[0] $_->[1] has stayed") for @names;
}


# --- by each condition

my %anna = (fields => { profile_ids => [ 'prof_anna' ] });
my %bert = (fields => { profile_ids => [ 'prof_bert' ] });

buy('acme', 'tagged', tag => 'spring');
buy('acme', 'plain');
buy('globex', 'tagged', tag => 'spring');
buy('acme', 'named', %anna);
buy('acme', 'of [[prof_anna]]');
buy('acme', 'a guest', fault => 'guest');
buy('acme', 'another', %bert);
buy('globex', 'named', %anna);

is($cache->purge('--tag', 'autumn'), 0, 'a tag that nothing has');
is($cache->purge('--tag', 'spring', '--tenant', 'acme'), 1,
    'a tag of a tenant: one');
are_gone('--tag', [ 'acme', 'tagged' ]);
have_stayed('--tag', [ 'acme', 'plain' ], [ 'globex', 'tagged' ]);

is($cache->purge('--profile', 'prof_anna'), 3, 'a profile: three');
are_gone('--profile', [ 'acme', 'named', %anna ],
    [ 'acme', 'of [[prof_anna]]' ], [ 'globex', 'named', %anna ]);
have_stayed('--profile', [ 'acme', 'another', %bert ],
    [ 'acme', 'a guest' ]);

is($cache->purge('--profile', 'prof_guest'), 1,
    'a profile that was recognised, and not named');
are_gone('--profile', [ 'acme', 'a guest' ]);

my $print = buy('acme', 'by print')->header('Phota-Fingerprint');

is($cache->purge('--fingerprint', $print), 1, 'a fingerprint: one');
are_gone('--fingerprint', [ 'acme', 'by print' ]);
have_stayed('--fingerprint', [ 'acme', 'plain' ]);

sleep 2.5;
buy('acme', 'young');

is($cache->purge('--older', '2s', '--tenant', 'acme'), 2, 'an age: two');
are_gone('--older', [ 'acme', 'plain' ], [ 'acme', 'another', %bert ]);
have_stayed('--older', [ 'acme', 'young' ], [ 'globex', 'tagged' ]);

is($cache->purge('--tenant', 'globex'), 1, 'a tenant: one');
are_gone('--tenant', [ 'globex', 'tagged' ]);
have_stayed('--tenant', [ 'acme', 'young' ]);

for my $wrong (
    [ [], 'no condition' ],
    [ [ '--all', '--tenant', 'acme' ], 'all of one' ],
    [ [ '--tenant', 'nobody' ], 'a tenant that there is not' ],
    [ [ '--fingerprint', 'abc' ], 'half a fingerprint' ],
    [ [ '--older', 'soon' ], 'no age' ],
    [ [ '--tag', '' ], 'an empty tag' ],
) {
    my ($args, $name) = @$wrong;
    my ($code, undef, $said) = $t->ctl(qw/ cache purge /, @$args);

    cmp_ok($code, '>=', 1, "refused: $name") or diag($said);
}

have_stayed('refused', [ 'acme', 'young' ]);
is($cache->purge('--all'), 1, 'all: the last');
are_gone('--all', [ 'acme', 'young' ]);
$t->is_miss(buy('acme', 'young'), '0.120000', 'and can be bought again');


# --- an answer that was kept for an Idempotency-Key

my @keyed = (remix(prompt => 'keyed', response_mode => 'urls'),
    headers => [ 'Idempotency-Key' => 'once' ]);
my $kept = $t->post('remix', $t->token('acme'), @keyed);
my ($shown) = links($kept);

is($t->post('remix', $t->token('acme'), @keyed)->status, 200,
    'it is told again');
is($cache->purge('--fingerprint', $kept->header('Phota-Fingerprint')), 2,
    'who purges its fingerprint means it, too');
is($t->post('remix', $t->token('acme'), @keyed)->status, 410,
    'it is told no more');
is($t->request('GET', $shown)->status, 404, 'nor is its picture shown');


# --- a tenant that leaves

my $mine = buy('leaver', 'mine', size => 'small');
my ($link) = links(buy('leaver', 'linked', fields =>
    { response_mode => 'urls' }));
my $spare = $t->issue('leaver');
my ($secret) = pictures($mine);
my $before = $g->usage->{total};

$t->post('remix', $t->token('leaver'), remix(prompt => 'keyed'),
    headers => [ 'Idempotency-Key' => 'k' ]);
$before = $g->usage->{total};

is($t->request('GET', $link)->status, 200, 'its link lives');
$t->ctl_ok('tenant', 'remove', 'leaver');

is(join(' ', map { $t->request('POST', '/v1/phota/remix', $_,
    remix(prompt => 'mine'))->status } ($t->token('leaver'), $spare) x 4),
    join(' ', (401) x 8), 'its tokens are dead everywhere');
is(join(' ', map { $t->request('GET', $link)->status } 1 .. 8),
    join(' ', (404) x 8), 'and so is its link');
is(scalar(grep { $_->{tenant} ne 'acme' } $cache->results), 0,
    'no result of it is left');
is_deeply($g->usage->{total}, $before, 'the sums of the books are as before');
is(scalar(grep { $_->{tenant} eq 'leaver' } @{$g->usage->{rows}}, $g->ledger),
    0, 'without its name');

# who takes the name takes nothing else

$t->tenant('leaver');
$t->is_miss(buy('leaver', 'mine'), '0.120000', 'a new one of its name buys');
is($t->post('remix', $t->token('leaver'), remix(prompt => 'other'),
    headers => [ 'Idempotency-Key' => 'k' ])->status, 200,
    'and has its own keys');


# --- the bytes

my @doomed = ($secret);
my @parts = map { substr($secret, $_, 64) } 70_000, 140_000, 240_000;

push @doomed, pictures(buy('acme', "doomed $_", size => 'small')) for 1 .. 4;
buy('globex', "live $_", size => 'large', fields =>
    { output_format => 'png' }) for 1 .. 8;

is(scalar(grep { !$cache->holders(substr($_, 0, 1000)) } @doomed[1 .. 4]), 0,
    'what is to go is in the files');
is(scalar(grep { !$cache->holders($_) } @parts), 0, 'every part of it');

# while the cache is written anew

my $end = time() + 3 * $Phota::Test::slow;

my @clients = (map { my $id = $_; $t->background(sub {
    my $n = 0;

    while (time() < $end) {
        my $name = 'live ' . (1 + $n++ % 8);
        my $answer = $t->post('remix', $t->token('globex'),
            remix(prompt => $name, output_format => 'png'), headers =>
            [ 'Cache-Control' => 'only-if-cached' ]);

        $t->report(join(' ', 'hit', $answer->status,
            $answer->complete ? 'whole' : 'cut'));
    }
}) } 1, 2), $t->background(sub {
    my $n = 0;

    while (time() < $end) {
        $t->report(join(' ', 'bought', $n, Phota::Test::source(buy('globex',
            'meanwhile ' . $n++))));
    }
});

sleep 0.3;
is($cache->purge('--tenant', 'acme'), 5, 'acme is purged');

my @sizes;

while (time() < $end - 0.3) {
    push @sizes, JSON::PP::decode_json($t->ctl_ok(qw/ cache compact --json /));
    sleep 0.2;
}

$t->reap(@clients);

my %said;

$said{s/^bought \K\d+ //r}++ for $t->reports;

my ($hits, $bought) = delete @said{'hit 200 whole',
    'bought phota; fwd=uri-miss; stored'};

cmp_ok(scalar @sizes, '>=', 2, 'it was compacted several times');
cmp_ok($sizes[0]{after}, '<', $sizes[0]{before}, 'which took some off');
cmp_ok($hits, '>', 2, "hits go on: $hits");
cmp_ok($bought, '>', 2, "so do purchases: $bought");
is_deeply(\%said, {}, 'and nothing else was answered');

my $left = sub {
    return join(' ', map { $cache->holders($_) }
        (map { substr($_, 0, 1000) } @doomed), @parts);
};

ok(wait_for(sub { $left->() eq '' }, 5), 'no file has a byte of them')
    or diag($left->());

my ($code, undef, $wrong) = $cache->check;

is($code, 0, 'the new file is sound') or diag($wrong);
have_stayed('compact', map { [ 'globex', "live $_", fields =>
    { output_format => 'png' } ] } 1, 8);

my @lost = grep { $t->post('remix', $t->token('globex'),
    remix(prompt => "meanwhile $_"), headers =>
        [ 'Cache-Control' => 'only-if-cached' ])->status != 200 }
    0 .. $bought - 1;

is("@lost", '', 'what was bought meanwhile is a hit, all of it');
$t->is_miss(buy('acme', 'after'), '0.120000', 'workers write into it');
have_stayed('compact', [ 'acme', 'after' ]);

ok($t->restart, 'nginx restarts');
have_stayed('restart', [ 'acme', 'after' ], [ 'globex', 'meanwhile 0' ]);
is($left->(), '', 'and still no file has a byte of what was purged');

$t->finish;

done_testing();
