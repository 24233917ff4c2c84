# The life of a profile: its training is charged by tier when the upstream takes
# it on, and never otherwise; who trained it owns it, sees it, deletes it, and
# takes with it what was made of it; nobody else ever does, not even afterwards.
# A retry under a key trains nothing twice.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Phota::Test;
use Test::More;

my $slow = $Phota::Test::slow;

my $t = Phota::Test->new(tenants => [ qw/ acme globex poor / ],
    start => 0, profiles => {});
my $g = $t->gateway;

# profiles are those of the account alone, as at Phota

$t->ctl_ok('tenant', 'set', 'poor', '--budget-total', '2');
$t->sim->config(size => 'tiny', strict_profiles => JSON::PP::true());
$t->start;

my ($acme, $globex, $poor) = map { $t->token($_) } qw/ acme globex poor /;

# photactl profile list, by id

sub owners {
    return { map { $_->{profile_id} => $_ } map { JSON::PP::decode_json($_) }
        split /\n/, $t->ctl_ok('profile', 'list', '--json') };
}

sub state {
    my ($answer) = @_;

    return ($t->charge($answer) // {})->{state} // 'none';
}

# charged as much, and owned

sub is_trained {
    my ($answer, $tenant, $cost, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $id = $answer->json->{profile_id} // 'none';
    my $row = owners()->{$id} // {};

    $t->check($name, $answer,
        Phota::Test::differ('status', $answer->status, 200),
        Phota::Test::differ('Cache-Status', Phota::Test::source($answer),
            'phota; fwd=bypass'),
        Phota::Test::money($answer, $cost, '0.000000'),
        Phota::Test::differ('state', state($answer), 'settled'),
        Phota::Test::differ('owner', $row->{tenant}, $tenant),
        Phota::Test::differ('charge', $row->{charge_id},
            $answer->header('Phota-Charge-Id')));

    return $id;
}

sub direct {
    my ($method, $path) = @_;

    return $t->sim->request($method, "/v1/phota/$path",
        { 'X-API-Key' => $t->{key} });
}

# the same but for the id of the request

sub is_alike {
    my ($got, $other, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my @texts = map {
        my %json = %{$_->json};
        delete $json{request_id};
        $_->status . ' ' . JSON::PP->new->canonical->encode(\%json)
    } $got, $other;

    is($texts[0], $texts[1], $name);
}


# --- charged by its tier

my @photos = map { "https://example.com/$_.jpg" } 1 .. 10;

my $first = $t->train($acme, { tag => 'Ann', training_tier => 'standard',
    image_urls => \@photos }, headers => [ 'Phota-Tag' => 'casting' ],
    job => 'delay=' . 1500 * $slow);
my $ann = is_trained($first, 'acme', '2.900000', 'a standard training');

is($t->charge($first)->{tag}, 'casting', 'its charge has the Phota-Tag');
is($t->charge($first)->{operation}, 'training', 'and is a training\'s');
is_deeply($first->json, { profile_id => $ann }, 'Phota\'s own answer');
is($first->header('X-Request-Id'), $t->charge($first)->{upstream_request_id},
    'and its request id');

is_trained($t->post('profiles/add', $acme, object([ 'image_urls' ],
    { image_urls => \@photos })), 'acme', '2.900000',
    'without a tier it is a standard one');
is_trained($t->post('profiles/add', $acme, object([ qw/ image_urls
    training_tier / ], { image_urls => \@photos, training_tier => undef })),
    'acme', '2.900000', 'as it is with null');

my $fast = $t->train($globex);
my $ben = is_trained($fast, 'globex', '1.490000', 'a fast training');

my $calls = $t->calls;
my $twice = $t->train($globex);

isnt(is_trained($twice, 'globex', '1.490000', 'the same once more'), $ben,
    'trains another: no training is answered from the cache');
is($t->calls, $calls + 1, 'by another call');

# a tier that has no price isn't bought, nor is one that can't be paid

$calls = $t->calls;

$t->is_error($t->train($acme, { training_tier => 'premium' }), 422,
    'PRICE_UNKNOWN', 'a tier that nobody has priced');
$t->is_error($t->train($poor, { training_tier => 'standard' }), 402,
    'BUDGET_EXCEEDED', 'one that exceeds a budget');
is($t->calls, $calls, 'nothing of that went up');

is_trained($t->train($poor), 'poor', '1.490000', 'a fast one doesn\'t');
$t->is_error($t->train($poor), 402, 'BUDGET_EXCEEDED', 'two of them do');
is($t->calls, $calls + 1, 'so that one was bought');

my $dry = $t->train($acme, { training_tier => 'standard' },
    headers => [ 'Phota-Dry-Run' => 1 ]);

is($dry->json->{cost}, '2.900000', 'a dry run says what it would cost');
is($t->calls, $calls + 1, 'and buys nothing');


# --- void when it is refused

my $owned = owners();

for my $case ([ 'status=400', 400 ], [ 'status=422', 422 ],
    [ 'status=404', 404 ], [ 'status=429', 429 ], [ 'status=503', 503 ],
    [ 'status=504', 504 ], [ 'early=413', 413 ], [ 'status=401', 502 ],
    [ 'status=402', 503 ])
{
    my ($fault, $status) = @$case;
    my $answer = $t->train($acme, {}, fault => $fault);

    is($answer->status, $status, "$fault: told as $status");
    is(state($answer), 'void', "$fault: nothing is charged");
}

is($t->train($acme, { image_urls => [ 'https://example.com/1.jpg' ] })
    ->status, 422, 'too few photos are refused by Phota itself');

$t->sim->stop;

my $unsent = $t->train($acme);

$t->is_error($unsent, 502, 'UPSTREAM_FAILED', 'it can\'t be reached');
is(state($unsent), 'void', 'what was never sent is not charged');
$t->sim->start;

# which has forgotten its profiles, but not its bill

$t->sim->config(size => 'tiny', strict_profiles => JSON::PP::true());
$t->sim->add_profile('shared', $ann, tag => 'x', delay => 1500 * $slow);
$t->sim->add_profile('shared', $ben);

is_deeply(owners(), $owned, 'nobody owns anything more');


# --- unknown when it breaks off, and then an operator helps

for my $fault ('resetlate', 'garbage', 'status=500', 'close', 'redirect') {
    my $answer = $t->train($acme, {}, fault => "$fault; bill=1");

    isnt($answer->status, 200, "$fault: there is no answer");
    is(state($answer), 'unknown', "$fault: nobody knows whether it trains");
}

my %known = map { $_->{profile_id} => 1 } $t->sim->profiles;
my $lost = $t->train($acme, { tag => 'Eve' }, fault => 'truncate');
my ($eve) = grep { !$known{$_} } map { $_->{profile_id} } $t->sim->profiles;

$t->is_error($lost, 502, 'OUTCOME_UNKNOWN', 'an answer that breaks off');
ok($eve, 'tells of no profile, though Phota trains one');
is_deeply(owners(), $owned, 'whose that is isn\'t guessed');
is($t->get("profiles/$eve/status", $acme)->status, 404, 'it is nobody\'s');

my $bill = $t->dir . '/client/bill.csv';

sub reconcile {
    open(my $fh, '>', $bill) or die "$bill: $!\n";
    print $fh $t->sim->bill_csv;
    close($fh);

    my ($code, $out, $err) = $t->ctl('reconcile', '--bill', $bill, '--json',
        @_);
    my ($last) = reverse split /\n/, $out;

    return ($code, JSON::PP::decode_json($last // '{}'), "$out$err");
}

my ($code, $sum, $said) = reconcile('--apply');

is($code, 0, 'the bill says what became of them') or diag($said);
is(state($lost), 'settled', 'and it is charged');
is($t->get("profiles/$eve/status", $acme)->status, 404, 'by which it has no '
    . 'owner yet');
is(owners()->{$eve}, undef, 'nor in the books');

$t->ctl_ok('profile', 'adopt', 'acme', $eve, '--tag', 'Eve');

my $seen = $t->get("profiles/$eve/status", $acme);

is($seen->status, 200, 'it has when an operator says whose it is');
is($seen->json->{profile_id}, $eve, 'under its own id');
is($t->get("profiles/$eve/status", $globex)->status, 404, 'and one owner');
is_deeply([ grep { $_->{profile_id} eq $eve } @{$t->get('profiles/ids',
    $acme)->json->{profiles}} ]->[0]{tag}, 'Eve', 'with its tag');


# --- a retry trains nothing twice

sub keyed {
    my ($token, $key, $fields, %o) = @_;

    return $t->train($token, $fields, %o, headers => [
        'Idempotency-Key' => $key, @{$o{headers} || []} ]);
}

my $paid = keyed($acme, 'order 1', { tag => 'Zoe' });
my $zoe = is_trained($paid, 'acme', '1.490000', 'a training with a key');

$calls = $t->calls;

my $again = keyed($acme, 'order 1', { tag => 'Zoe' });

is($again->status, 200, 'a retry is answered');
is_deeply($again->json, $paid->json, 'with the same profile');
is($again->header($_), $paid->header($_), "and the same $_")
    for qw/ Phota-Charge-Id X-Request-Id /;
like($again->header('Cache-Status'), qr/^phota; hit; .*detail=replay/,
    'it says that it is one');
is($again->header('Phota-Cost'), '0.000000', 'and costs nothing');

$dry = keyed($acme, 'order 1', { tag => 'Zoe' },
    headers => [ 'Phota-Dry-Run' => 1 ]);

is($dry->json->{cost}, '0.000000', 'as a dry run says, too')
    or diag($dry->summary);
$t->is_error(keyed($acme, 'order 1', { tag => 'Max' }), 422,
    'IDEMPOTENCY_MISMATCH', 'another training under the key');
is($t->calls, $calls, 'none of that went up');

isnt(is_trained(keyed($globex, 'order 1', { tag => 'Zoe' }), 'globex',
    '1.490000', 'another tenant\'s key is another'), $zoe, 'with a profile of '
    . 'its own');

# refused ones may be tried again, unknown ones not before it is known

is(keyed($acme, 'order 2', {}, fault => 'status=503')->status, 503,
    'a keyed one is refused');
is_trained(keyed($acme, 'order 2', {}), 'acme', '1.490000',
    'and may be tried again');

my $broken = keyed($acme, 'order 3', {}, fault => 'truncate');

$calls = $t->calls;
$t->is_error($broken, 502, 'OUTCOME_UNKNOWN', 'a keyed one breaks off');
$t->is_error(keyed($acme, 'order 3', {}), 409, 'OUTCOME_UNKNOWN',
    'its retry is told so');
$t->ctl_ok('holds', 'settle', $broken->header('Phota-Charge-Id'),
    '--outputs', 1, '--reason', 'on the bill');
$t->is_error(keyed($acme, 'order 3', {}), 410, 'REPLAY_GONE',
    'and that its answer never came, once it is known');
is($t->calls, $calls, 'and trains nothing');

# of twenty at once one trains

my @answers = $t->parallel(map { [ 'profiles/add', $acme, object([ 'image_urls',
    'training_tier' ], { image_urls => [ @photos[0 .. 4] ],
    training_tier => 'fast' }), fault => 'latency=500',
    headers => [ 'Idempotency-Key' => 'race' ] ] } 1 .. 20);
my %told = map { $_->json->{profile_id} => 1 } grep { $_->status == 200 }
    @answers;

is($t->calls, $calls + 1, 'of twenty at once one trains');
is(keys %told, 1, 'all who are answered are told of one profile');
is(scalar(grep { $_->status == 200 || ($_->status == 409
    && $_->json->{code} eq 'IN_FLIGHT') } @answers), 20,
    'the others wait for it');


# --- looked at by its owner alone

my %stages;

wait_for(sub {
    my $status = $t->get("profiles/$ann/status", $acme)->json->{status};
    $stages{$status} = 1;
    $status eq 'READY';
}, 10);
ok($stages{READY}, 'its owner sees it get ready') or diag(explain \%stages);

my $portrait = direct('GET', "profiles/$ann/profile_picture")->{body};
my $picture = $t->get("profiles/$ann/profile_picture", $acme);

is($picture->status, 200, 'and its picture');
like($picture->body, qr/^\xff\xd8\xff/, 'which is a JPEG');
ok($picture->body eq $portrait, 'byte by byte as Phota has it');
is($picture->header('Content-Type'), 'image/jpeg', 'of that type');

my $head = $t->request('HEAD', "/v1/phota/profiles/$ann/profile_picture",
    $acme);

is($head->status, 200, 'HEAD is answered');
is($head->body, '', 'without a body');
is($head->header($_), $picture->header($_), "HEAD: $_ as of GET")
    for qw/ Content-Type Content-Length /;

my $range = $t->get("profiles/$ann/profile_picture", $acme,
    headers => [ Range => 'bytes=2-9' ]);

if ($range->status == 206) {
    ok($range->body eq substr($portrait, 2, 8), 'a range of it is that');

} else {
    is($range->status, 200, 'a range of it is all of it');
    ok($range->body eq $portrait, 'as RFC 9110 allows');
}

$calls = $t->calls;

for my $path ('status', 'profile_picture') {
    is_alike($t->get("profiles/$ann/$path", $globex),
        $t->get("profiles/prof_never/$path", $globex),
        "$path: another's looks like none");
    is($t->get("profiles/$ann/$path", $globex)->status, 404,
        "$path: which is 404");
}

is_alike($t->delete("profiles/$ann", $globex),
    $t->delete('profiles/prof_never', $globex),
    'delete: another\'s looks like none');
is($t->calls, $calls, 'nothing of that went up');


# --- deleted, and with it what was made of it

my %bodies = (
    profile_ids => remix(prompt => 'at sea', profile_ids => [ $ann ]),
    prompt => remix(prompt => "at sea with [[$ann]]"),
);
my $nobody = remix(prompt => 'at sea');

sub stored {
    my ($body, $token) = @_;

    return $t->post('remix', $token || $acme, $body, headers =>
        [ 'Cache-Control' => 'only-if-cached' ])->status == 200;
}

is($t->post('remix', $acme, $_)->status, 200, 'bought with it')
    for values %bodies;
is($t->post('remix', $_, $nobody)->status, 200, 'bought without it')
    for $acme, $globex;
ok(stored($_), 'and stored') for values %bodies;

# refused by Phota: nothing happens

is($t->delete("profiles/$ann", $acme, fault => 'status=500')->status, 500,
    'a delete fails');
ok(stored($bodies{$_}), "$_: nothing is lost") for sort keys %bodies;
is($t->get("profiles/$ann/status", $acme)->status, 200, 'it is there');

my $deleted = $t->delete("profiles/$ann", $acme);

is($deleted->status, 200, 'its owner deletes it');
is_deeply($deleted->json, { profile_id => $ann, status => 'ok' },
    'and is told as by Phota');
ok(!stored($bodies{$_}), "$_: what was made with it is gone")
    for sort keys %bodies;
ok(stored($nobody, $_), 'what was made without stays') for $acme, $globex;
is($t->get("profiles/$ann/$_", $acme)->status, 404, "$_: 404 for its owner")
    for qw/ status profile_picture /;
ok(!(grep { $_->{profile_id} eq $ann } @{$t->get('profiles/ids', $acme)
    ->json->{profiles}}), 'it isn\'t on the list');

$calls = $t->calls('remix');
isnt($t->post('remix', $acme, $bodies{profile_ids})->status, 200,
    'nothing is made with it any more');
is($t->calls('remix'), $calls + 1, 'says Phota');

# it stays its owner's: who wasn't told that it is gone may ask again, and
# others don't learn that it ever was

is($t->delete("profiles/$ann", $acme)->status, 404, 'deleted again: 404');
is(owners()->{$ann}{tenant}, 'acme', 'the id stays its owner\'s');

$calls = $t->calls;
is_alike($t->$_("profiles/$ann" . ($_ eq 'get' ? '/status' : ''), $globex),
    $t->$_('profiles/prof_never' . ($_ eq 'get' ? '/status' : ''), $globex),
    "$_: for others it never was") for qw/ get delete /;
$t->is_error($t->post('remix', $globex, $bodies{$_}), 422, 'INVALID_REQUEST',
    "nor can they name it in $_", field => $_) for sort keys %bodies;
is($t->calls, $calls, 'nothing of that goes up');

my ($refused, undef, $why) = $t->ctl('profile', 'adopt', 'globex', $ann);

is($refused, 1, 'and nobody is given it');
like($why, qr/another tenant's/, 'by an oversight');
is(owners()->{$ann}{tenant}, 'acme', 'it is still acme\'s');

# a retry of its training is told what it was told then

$t->delete("profiles/$zoe", $acme);
is(keyed($acme, 'order 1', { tag => 'Zoe' })->json->{profile_id}, $zoe,
    'a key outlives its profile');


# --- the books

my ($rows) = map { $_->{rows} } $g->usage;
my %trained = map { $_->{tenant} => $_ } grep { $_->{operation} eq 'training' }
    @$rows;

is($trained{$_->[0]}{cost}, $_->[1], "what $_->[0] has trained")
    for [ globex => usd(3 * 1_490_000) ], [ poor => usd(1_490_000) ];

($code, $sum, $said) = reconcile();
is($code, 0, 'the bill is the books\'') or diag($said);
is($sum->{difference}, '0.000000', 'to the micro-dollar');

$t->finish;

done_testing();
