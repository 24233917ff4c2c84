# Nobody learns from the cache what another tenant has bought: to whoever asks,
# what is another's looks in every way like what there is not, and costs the
# same time.  Tenants that share a cache share all of it with each other, and
# nothing with the rest.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ sha256_hex /;
use List::Util qw/ max /;
use Phota::Cache;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $t = Phota::Test->new(tenants => [ qw/ acme globex one two / ]);
my $cache = Phota::Cache->new($t);
my %token = map { $_ => $t->token($_) } qw/ acme globex one two /;

$t->ctl_ok('tenant', 'set', $_, '--cache-scope', 'shared') for qw/ one two /;
sleep 1.5;

my $body = remix(prompt => 'a secret');
my $bought = $t->post('remix', $token{acme}, $body);
my $fingerprint = $bought->header('Phota-Fingerprint');
my ($picture) = pictures($bought);

$t->is_miss($bought, '0.120000', 'acme buys');

# an answer but for what differs from one to the next: ids, the time, and the
# fingerprint that was asked for

sub told {
    my ($answer) = @_;

    my $text = $answer->status . "\n" . $answer->bytes;
    my $id = $answer->header('Phota-Request-Id') // '';
    my $asked = $answer->header('Phota-Fingerprint') // '';

    $text =~ s/^date: .*$/Date/mi;
    $text =~ s/\Q$id\E/ID/g if $id;
    $text =~ s/\Q$asked\E/FINGERPRINT/g if $asked;

    return $text;
}

sub alike {
    my ($foreign, $absent, $status, $name) = @_;

    is($foreign->status, $status, "$name: $status");
    is(told($foreign), told($absent), "$name: another's is like none");
}


# --- hits by fingerprint

my $nowhere = sha256_hex('nowhere');

for my $way (
    [ 'plain', '' ],
    [ 'as links', '; mode=urls' ],
    [ 'several', '; outputs=2' ],
    [ 'HTTP/2', '', http2 => 1 ],
    [ 'only-if-cached', '', headers => [ 'Cache-Control',
        'only-if-cached' ] ],
    [ 'a variation', '', headers => [ 'Phota-Variation', 1 ] ],
    [ 'a dry run', '', headers => [ 'Phota-Dry-Run', 1 ] ],
    [ 'a key', '', headers => [ 'Idempotency-Key', 'k' ] ],
) {
    my ($name, $more, %o) = @$way;
    my @answers = map { ask($t, 'globex', "$_$more", %o) }
        $fingerprint, $nowhere;

    alike(@answers, 412, "by fingerprint, $name");
}

my $calls = $t->calls;

is(ask($t, 'acme', $fingerprint)->status, 200, 'its owner is answered');
is(ask($t, $_, $fingerprint)->status, 412, "and not $_") for qw/ one two /;
is($t->calls, $calls, 'nobody has bought anything by that');


# --- by body: dry runs, only-if-cached

my $unknown = remix(prompt => 'nobody');

for my $way (
    [ 200, 'a dry run', [ 'Phota-Dry-Run', 1 ] ],
    [ 200, 'a dry run of a variation', [ 'Phota-Dry-Run', 1,
        'Phota-Variation', 1 ] ],
    [ 504, 'only-if-cached', [ 'Cache-Control', 'only-if-cached' ] ],
) {
    my ($status, $name, $headers) = @$way;
    my @answers = map { $t->post('remix', $token{globex}, $_,
        headers => $headers) } $body, $unknown;

    alike(@answers, $status, "by body, $name");
}

my $dry = $t->post('remix', $token{acme}, $body, headers =>
    [ 'Phota-Dry-Run' => 1 ]);

is($dry->json->{cache}, 'hit', 'its owner would hit');


# --- purchases: own pictures, own age, own keys

sleep 1.2;

my $own = $t->post('remix', $token{globex}, $body);

$t->is_miss($own, '0.120000', 'globex buys the same for itself');
isnt($own->header('Phota-Fingerprint'), $fingerprint,
    'under a fingerprint of its own');
isnt((pictures($own))[0], $picture, 'a picture of its own');

my $hit = $t->post('remix', $token{globex}, $body);

$t->is_hit($hit, '0.120000', 'and hits');
is((pictures($hit))[0], (pictures($own))[0], 'what it bought');
is($hit->header('Age'), 0, 'as young as that is');
is($hit->header('X-Request-Id'), $own->header('X-Request-Id'),
    'under the request id that it was told');

my $again = $t->post('remix', $token{acme}, $body);

cmp_ok($again->header('Age'), '>=', 1, "acme's is older");
is((pictures($again))[0], $picture, 'and its own');

my @keyed = map { $t->post('remix', $token{$_}, remix(prompt => 'keyed'),
    headers => [ 'Idempotency-Key' => 'same' ]) } qw/ acme globex acme /;

isnt($keyed[1]->header('Phota-Charge-Id'), $keyed[0]->header('Phota-Charge-Id'),
    'a key is a key of one tenant');
isnt((pictures($keyed[1]))[0], (pictures($keyed[0]))[0],
    'and replays nothing of another');
is((pictures($keyed[2]))[0], (pictures($keyed[0]))[0],
    'its owner is answered again');

my $claim = $t->post('remix', $token{globex}, remix(prompt => 'other'),
    headers => [ 'Idempotency-Key' => 'only acme' ]);

is($claim->status, 200, "whose keys are taken doesn't show");


# --- joins

my @who = (qw/ acme globex /) x 3;
my $together = remix(prompt => 'together');

$calls = $t->calls;

my @answers = $t->parallel(map {
    [ 'remix', $token{$_}, $together, fault => 'latency=400' ] } @who);
my (%of, %joined);

for my $i (0 .. $#who) {
    $of{$who[$i]}{(pictures($answers[$i]))[0] // ''} = 1;
    $joined{$who[$i]}++ if Phota::Test::source($answers[$i])
        eq 'phota; fwd=uri-miss; collapsed';
}

is($t->calls - $calls, 2, 'six at once: each tenant buys once');
is($joined{$_}, 2, "$_: two have joined") for qw/ acme globex /;
is(keys %{$of{$_}}, 1, "$_: they get one picture") for qw/ acme globex /;
is_deeply([ grep { $of{globex}{$_} } keys %{$of{acme}} ], [],
    "and none of the other's");


# --- links

my %link;

for my $name (qw/ acme globex one two /) {
    my $answer = $t->post('remix', $token{$name}, remix(prompt => 'a secret',
        response_mode => 'urls'));

    ($link{$name}) = links($answer);
    ok($link{$name}, "$name gets a link");
}

is($t->request('GET', $link{acme})->body, $picture, "acme's shows its picture");

my ($path, $digest, $query) = $link{acme}
    =~ m{^(/phota/results/\d+/)([0-9a-f]{64})\.jpg\?(.*)};
my ($theirs, $foreign) = $link{globex}
    =~ m{^(/phota/results/\d+/)([0-9a-f]{64})\.jpg\?};
my $signature = ($query =~ /Signature=([^&]*)/)[0];
my $later = $query =~ s/Expires=(\d+)/'Expires=' . ($1 + 86400)/er;
my $none = sha256_hex('no picture');
my $bad = $t->request('GET', "$path$none.jpg?$query");

is($bad->status, 403, 'a link to nothing is 403');

# globex has its own link and acme's picture's digest, and tries

for my $try (
    [ 'its signature', "$path$digest.jpg?" . ($link{globex} =~ /\?(.*)/)[0] ],
    [ 'its number', "$theirs$digest.jpg?$query" ],
    [ "another picture under acme's signature", "$path$foreign.jpg?$query" ],
    [ 'the shared scope', "${path}shared/$digest.jpg?$query" ],
    [ 'a later end', "$path$digest.jpg?$later" ],
    [ 'another type', "$path$digest.png?$query" ],
    [ 'no signature', "$path$digest.jpg" ],
    [ 'an empty signature', "$path$digest.jpg?" . ($query =~
        s/Signature=.*/Signature=/r) ],
    [ 'two signatures', "$path$digest.jpg?Expires=1&$query" ],
    [ 'half a signature', "$path$digest.jpg?" . substr($query, 0, -20) ],
    [ 'a parent directory', "/phota/results/9/../1/$foreign.jpg?$query" ],
) {
    my ($name, $what) = @$try;

    is(told($t->request('GET', $what)), told($bad), "refused alike: $name");
}

# what a link shows beside the picture

my %known = map { $_ => 1 } qw/ server date content-type content-length
    connection cache-control x-content-type-options etag accept-ranges /;
my $shown = $t->request('GET', $link{acme});

is(join(' ', grep { !$known{$_} } sort keys %{$shown->{headers}}), '',
    'a link tells nothing but the picture');
is($shown->header('ETag'), '"' . sha256_hex($picture) . '"',
    'by its own digest');

unlike($t->gateway->log('access.log'), qr/\Q$signature\E/,
    'and no log line lets others see it');


# --- the shared scope

my $shared = $t->post('remix', $token{one}, $body);

$t->is_hit($shared, '0.120000', 'one hits what was bought with the link');
isnt((pictures($shared))[0], $picture, "and that isn't acme's");

$hit = $t->post('remix', $token{two}, $body);

$t->is_hit($hit, '0.120000', 'two hits it too');
is((pictures($hit))[0], (pictures($shared))[0], 'the same picture');

$fingerprint = $shared->header('Phota-Fingerprint');
is($hit->header('Phota-Fingerprint'), $fingerprint, 'by one fingerprint');
is(ask($t, 'two', $fingerprint)->status, 200, 'which is good for two');
alike(ask($t, 'acme', $fingerprint), ask($t, 'acme', $nowhere), 412,
    'who has a cache of his own');


# --- one picture, bought by two

$t->sim->config(picture => 'abcdef');

my $twin = remix(prompt => 'twin');

for my $name (qw/ acme globex one /) {
    my $before = $cache->stats->{pictures};

    $t->is_miss($t->post('remix', $token{$name}, $twin), '0.120000',
        "$name buys it");
    is($cache->stats->{pictures}, $before + 1, 'it is stored for it alone');
}

for my $name (qw/ acme two /) {
    my $before = $cache->stats->{pictures};

    $t->is_miss($t->post('remix', $token{$name}, remix(prompt => 'again')),
        '0.120000', "and $name once more");
    is($cache->stats->{pictures}, $before, 'which takes no more room');
}

$t->sim->config(picture => undef);


# --- time: of what there is elsewhere, and of what is nowhere

my $c = $t->connect;
my %times;
my @foreign = map { $t->post('remix', $token{globex}, remix(prompt =>
    "timed $_"), headers => [ 'X-Sim-Size' => 'tiny' ])
    ->header('Phota-Fingerprint') } 1 .. 40;

for my $i (0 .. 400) {
    my @asked = ([ foreign => $foreign[$i % 40] ],
        [ absent => sha256_hex($i % 40) ]);

    for ($i % 2 ? reverse @asked : @asked) {
        my ($what, $print) = @$_;
        my $begun = time();

        $c->exchange('POST', '/v1/phota/remix', [ 'X-API-Key' => $token{acme},
            'Phota-Fingerprint' => $print ], '');
        push @{$times{$what}}, time() - $begun;
    }
}

my %median = map { $_ => (sort { $a <=> $b } @{$times{$_}})[200] } keys %times;
my $ratio = $median{foreign} / $median{absent};

note(sprintf('foreign %.0f us, absent %.0f us, ratio %.3f',
    $median{foreign} * 1e6, $median{absent} * 1e6, $ratio));
cmp_ok(max($ratio, 1 / $ratio), '<', 1.3, 'take the same time');


# --- purge

$cache->purge('--tenant', 'acme');

is(ask($t, 'acme', $_->header('Phota-Fingerprint'))->status, 412,
    'acme: purged') for $bought, $keyed[0];
is($t->request('GET', $link{acme})->status, 404, 'its link is dead');

$t->is_hit($t->post('remix', $token{globex}, $_), '0.120000',
    'globex: as before') for $body, $twin;
$t->is_hit($t->post('remix', $token{two}, $_), '0.120000',
    'two: as before') for $body, $twin;
is($t->request('GET', $link{$_})->status, 200, "$_: its link, too")
    for qw/ globex one two /;

# a picture of the shared scope that another of it has bought as well stays

$cache->purge('--tenant', 'two');
$t->is_hit($t->post('remix', $token{one}, $twin), '0.120000',
    'one has what two had bought once more');


# --- variations

ok($t->gateway->reload(door => '            phota_cache_variations 2;'),
    'two variations');

my $varied = remix(prompt => 'varied');
my %mine;

$t->is_miss($t->post('remix', $token{acme}, $varied), '0.120000',
    'acme buys the first');
$t->is_miss($t->post('remix', $token{acme}, $varied), '0.120000',
    'and the second', cache => 'phota; fwd=miss; stored');

$mine{(pictures($t->post('remix', $token{acme}, $varied, headers =>
    [ 'Phota-Variation' => $_ ])))[0]} = 1 for 1, 2;

is(keys %mine, 2, 'it has two');

my $first = $t->post('remix', $token{globex}, $varied, headers =>
    [ 'Phota-Variation' => 1 ]);

$t->is_miss($first, '0.120000', 'the first of globex is bought');
ok(!$mine{(pictures($first))[0]}, 'and is none of them');

$t->finish;

done_testing();
