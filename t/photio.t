# Photio's own API at a door of its own: its key in and out and never another's,
# its fields and answers untouched, inputs by their content, what has a seed
# bought once, what has none by the policy of the door, and errors that stand in
# a 200 told and not charged.

use strict;
use warnings;

use Digest::SHA qw/ sha256_hex /;
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use MIME::Base64 qw/ decode_base64 /;
use Phota::Test;
use Test::More;

my $slow = $Phota::Test::slow;
my $path = '/v1/inference/remix';

my $t = Phota::Test->new(tenants => [ qw/ acme globex own / ],
    own => { own => 'phk-own-0123456789' }, photio => 1);
my $g = $t->gateway;
my ($acme, $globex, $own) = map { $t->token($_) } qw/ acme globex own /;

# asks Photio without a gateway: an account that no tenant's calls are on

my $direct = 'pt-' . Phota::Test::random();

$t->sim->config(size => 'tiny', photio_keys => { direct => $direct });

my @order = qw/ prompt product_image ref_image /;

sub body {
    my (%o) = @_;

    my %how = map { $_ => delete $o{$_} }
        grep { exists $o{$_} } qw/ breaks prefix urlsafe unpadded space /;
    my %fields = (prompt => 'on a beach', product_image =>
        \photo('png', 64, 48, 1), ref_image => \photo('jpg', 64, 48, 2), %o);

    return object([ sort keys %fields ], \%fields, %how);
}

sub ask {
    my ($token, $body, %o) = @_;

    return $t->request('POST', $path, $token, $body, photio => 1, %o);
}

sub fingerprint { $_[0]->header('Phota-Fingerprint') // 'none' }

sub state {
    my ($answer) = @_;

    return ($t->charge($answer) // {})->{state} // 'none';
}


# --- the price

$t->is_error(ask($acme, body(seed => 1)), 422, 'PRICE_UNKNOWN',
    'no price is shipped: Photio publishes none');
is($t->calls, 0, 'so that nothing is bought');

$t->ctl_ok('price', 'add', '--provider', 'photio', '--operation', 'remix',
    '--usd', '0.05');
ok(Phota::Test::everywhere(sub { ask($acme, body(seed => 1),
    headers => [ 'Phota-Dry-Run' => 1 ])->status == 200 }, 10),
    'one is added');


# --- untouched on its way there and back

my $first = body(seed => 1);
my $bought = ask($acme, $first);
my $seen = $t->sim->last;
my $plain = $t->sim->request('POST', $path, { 'X-Photio-Key' => $direct,
    'Content-Type' => 'application/json' }, $first);

$t->is_miss($bought, '0.050000', 'one is bought');
is($bought->body, $plain->{body}, 'and told as Photio tells it');
is($bought->header('Content-Type'), $plain->{headers}{'content-type'},
    'as what it is');
is($seen->{body_sha256}, sha256_hex($first), 'it went up as it came');

my $hit = ask($acme, $first);

$t->is_hit($hit, '0.050000', 'a repeat is a hit');
is($hit->body, $bought->body, 'in the same words');

# whatever Photio may come to know: names that are Phota's mean nothing here

my $odd = body(seed => 2, response_mode => 'urls', async => JSON::PP::true(),
    callback_url => 'https://example.com/hook', client_request_id => 'mine',
    num_output_images => 4, profile_ids => [ 'prof_of_another' ],
    tag => 'x', prompt => 'with [[prof_of_another]]', strength => 0.5);
my $passed = ask($acme, $odd);

$t->is_miss($passed, '0.050000', 'unknown fields are passed');
is($t->sim->last->{body_sha256}, sha256_hex($odd), 'untouched');
is_deeply([ sort keys %{$passed->json} ], [ qw/ body status_code / ],
    'the answer has its picture in it');
$t->is_hit(ask($acme, $odd), '0.050000', 'and is kept');
isnt(fingerprint(ask($acme, body(seed => 2, response_mode => 'bytes'),
    headers => [ 'Phota-Dry-Run' => 1 ])),
    fingerprint(ask($acme, body(seed => 2), headers =>
    [ 'Phota-Dry-Run' => 1 ])), 'what is unknown counts');

# pictures of another form are told in that

for my $form ([ 'jpg', JSON::PP::false() ], [ 'jpg', JSON::PP::true() ],
    [ 'png', JSON::PP::false() ])
{
    my ($format, $prefix) = @$form;
    my $name = $format . ($prefix ? ' with' : ' without') . ' a data: prefix';
    my $body = body(seed => 3, prompt => $name);

    $t->sim->config(photio_format => $format,
        photio_prefix => $prefix ? JSON::PP::true() : JSON::PP::false());

    my $answer = ask($acme, $body);
    my $again = ask($acme, $body);

    $t->is_miss($answer, '0.050000', "$name: bought");
    is($answer->json->{body} =~ /^data:/ ? 1 : 0, $prefix ? 1 : 0,
        "$name: as Photio tells it");
    $t->is_hit($again, '0.050000', "$name: stored");
    is($again->body, $answer->body, "$name: to the letter");
    like(decode_base64($again->json->{body} =~ s/^data:[^,]*,//r),
        $format eq 'png' ? qr/^\x89PNG/ : qr/^\xff\xd8\xff/,
        "$name: a picture");
}


# --- keys

for my $how ([ photio => 1 ], [ photio => 0 ], [ photio => 0, bearer => 1 ]) {
    my $answer = ask($acme, body(seed => 4, prompt => "by @$how"), @$how);
    my $call = $t->sim->last;

    is($answer->status, 200, "a token by @$how");
    is($call->{headers}{'x-photio-key'}, $t->{photio}{shared},
        "@$how: Photio's key goes up");
    unlike($call->{raw_header}, qr/\Q$t->{key}\E|\Q$acme\E/,
        "@$how: neither Phota's, nor the token");
    ok(!$call->{headers}{'x-api-key'} && !$call->{headers}{authorization},
        "@$how: in no other header");
}

is(ask($own, body(seed => 4))->status, 200, 'a tenant with an own key');
is($t->seen('X-Photio-Key'), $t->{photio}{own}, 'buys with that');

is($t->post('remix', $own, remix())->status, 200, 'and at Phota');
is($t->seen('X-API-Key'), 'phk-own-0123456789', 'with that of Phota');
is($t->seen('X-Photio-Key'), undef, 'which sees no key of Photio\'s');

is($t->post('remix', $acme, remix())->status, 200, 'as others do');
unlike($t->sim->last->{raw_header}, qr/\Q$t->{photio}{shared}\E/,
    'nor that of all');

$t->is_error(ask('phg_wrong', body()), 401, 'UNAUTHORIZED', 'no token');
$t->is_error(ask($acme, body(), headers => [ 'X-API-Key' => $globex ]), 401,
    'UNAUTHORIZED', 'two different tokens');

my $calls = $t->calls;

$t->is_error($t->request($$_[0], $$_[1], $acme, $$_[2], photio => 1), 403,
    'OPERATION_NOT_ALLOWED', "$$_[0] $$_[1]: nothing else passes")
    for [ GET => '/v1/inference/jobs/1' ], [ GET => $path ],
    [ POST => '/v1/inference/instant', '{}' ], [ DELETE => $path ];
is($t->calls, $calls, 'or reaches Photio');


# --- what makes two requests one

my $one = body(seed => 5);
my $id = fingerprint(ask($acme, $one));
my @default = (negative_prompt => 'worst quality, low quality, illustration, '
    . '3d, 2d, painting, cartoons, sketch', cfg_scale => 1.75,
    outline_fidelity => 1, style_fidelity => 0.7);

$t->is_hit(ask($acme, body(seed => 5, @{$$_[1]})), '0.050000',
    "the same: $$_[0]")
    for [ 'line breaks in base64' => [ breaks => 76 ] ],
    [ 'a data: prefix' => [ prefix => 'data:image/png;base64,' ] ],
    [ 'another alphabet' => [ urlsafe => 1, unpadded => 1 ] ],
    [ 'white space' => [ space => ' ' ] ],
    [ 'defaults in so many words' => [ @default ] ];

for my $other ([ 'another seed' => [ seed => 6 ] ],
    [ 'another prompt' => [ prompt => 'in snow' ] ],
    [ 'another picture' => [ ref_image => \photo('jpg', 64, 48, 9) ] ],
    [ 'pictures the other way round' => [ ref_image =>
        \photo('png', 64, 48, 1), product_image => \photo('jpg', 64, 48, 2) ] ],
    [ 'a bolder scale' => [ cfg_scale => 2 ] ])
{
    isnt(fingerprint(ask($acme, body(seed => 5, @{$$other[1]}),
        headers => [ 'Phota-Dry-Run' => 1 ])), $id, "not the same: $$other[0]");
}

$t->is_miss(ask($globex, $one), '0.050000', 'another tenant buys his own');
$t->is_error(ask($acme, object([ 'prompt' ], { prompt => 'x' })), 422,
    'INVALID_REQUEST', 'without pictures it isn\'t one');

# chance has one fingerprint, however it is asked for

my @chance = ([ 'no seed' ], [ 'seed -1', seed => -1 ],
    [ 'seed null', seed => undef ]);
my %ids = map { my ($name, @seed) = @$_;
    (fingerprint(ask($acme, body(prompt => 'by chance', @seed))) => 1) }
    @chance;

is(keys %ids, 1, 'chance is chance');
$t->is_hit(ask($acme, body(prompt => 'by chance')), '0.050000',
    'and cached, as remix is by default');


# --- many at once

$calls = $t->calls;

my @crowd = map { $t->background(sub {
    my $answer = ask($acme, body(seed => 10), fault => 'latency='
        . 700 * $slow);
    $t->report($answer->status . ' ' . sha256_hex($answer->body) . ' '
        . $answer->header('Phota-Cost'));
}) } 1 .. 12;

$t->reap(@crowd);

my @reports = $t->reports;
my %bodies = map { (split)[1] => 1 } grep { /^200 / } @reports;

is($t->calls, $calls + 1, 'twelve at once are one purchase');
is(scalar(grep { /^200 / } @reports), 12, 'all are answered');
is(keys %bodies, 1, 'in the same words');
is(scalar(grep { / 0\.050000$/ } @reports), 1, 'and one has paid');


# --- errors, in a 200 or outright

for my $way (qw/ photio_in_body status /) {
    for my $case ([ 400, 400 ], [ 401, 502, 'UPSTREAM_AUTH' ],
        [ 402, 503, 'UPSTREAM_BALANCE' ], [ 403, 502, 'UPSTREAM_AUTH' ],
        [ 404, 404 ], [ 429, 429 ], [ 503, 503 ])
    {
        my ($code, $status, $ours) = @$case;
        my $answer = ask($acme, body(seed => 20), fault => "$way=$code");
        my $name = "$way $code";

        if ($ours) {
            $t->is_error($answer, $status, $ours, "$name: told as $ours");

        } else {
            is($answer->status, $way eq 'status' ? $status : 200,
                "$name: passed");
            is($answer->json->{status_code}, $code, "$name: as it is")
                if $way ne 'status';
        }

        is(state($answer), 'void', "$name: nothing is charged");
    }
}

my $inside = ask($acme, body(seed => 20), fault => 'photio_in_body=500');

is($inside->status, 200, 'a 500 in a 200 is passed');
is($inside->json->{body}, 'Service unavailable', 'in Photio\'s words');
is(state($inside), 'void', 'and not charged');
is($inside->header('Phota-Cost'), '0.000000', 'as it says');

like($g->log, qr/refused the key \(tenant "acme", .*status 401/,
    'the operator is told of keys');
like($g->log, qr/no balance left \(tenant "acme"/, 'and of balances');

$t->is_miss(ask($acme, body(seed => 20)), '0.050000',
    'no error was kept: the next one buys');

# nobody knows

for my $fault ('status=500', 'truncate', 'resetlate', 'garbage', 'close') {
    my $answer = ask($acme, body(seed => 21), fault => "$fault; bill=0");

    isnt($answer->status, 200, "$fault: no picture");
    is(state($answer), 'unknown', "$fault: nobody knows");
}

$t->ctl_ok('holds', 'void', $_->{charge_id}, '--reason', 'not on the bill')
    for $g->holds;


# --- books and cache

my %usage = map { ("$_->{tenant} $_->{operation}" => $_) }
    @{$g->usage->{rows}};

is($usage{'globex photio-remix'}{$$_[0]}, $$_[1],
    "globex has bought one: $$_[0]")
    for [ calls => 1 ], [ outputs => 1 ], [ cost => '0.050000' ],
    [ identity_outputs => 0 ];
is($usage{'own remix'}{calls}, 1, 'Phota\'s remix is another');
is($usage{'own photio-remix'}{calls}, 1, 'than Photio\'s');
is($t->charge($bought)->{operation}, 'photio-remix', 'in the ledger, too');

my ($code, $out, $err) = $t->ctl('cache', 'check');

is($code, 0, 'the cache is sound') or diag("$out$err");
$t->ctl_ok('cache', 'purge', '--fingerprint', fingerprint($bought));
is(ask($acme, $first, headers => [ 'Cache-Control' => 'only-if-cached' ])
    ->status, 504, 'what is purged is gone');
$t->is_miss(ask($acme, $first), '0.050000', 'and bought anew');


# --- the door's policy

sub policy {
    my ($text) = @_;

    $g->reload(photio_door => $text) or die "no reload: $text\n";
}

policy('phota_cache edit;');

my $other = body(seed => 30);

$t->is_miss(ask($acme, $other), '0.050000',
    'a seed is asked for though others are cached');
$t->is_hit(ask($acme, $other), '0.050000', 'and cached, being the same');

for my $way (@chance) {
    my ($name, @seed) = @$way;
    my $body = body(prompt => 'not kept', @seed);

    $t->is_miss(ask($acme, $body), '0.050000', "$name: bought",
        cache => 'phota; fwd=bypass');
}

policy('phota_cache off;');
$t->is_miss(ask($acme, $other), '0.050000', 'nothing is cached at all',
    cache => 'phota; fwd=bypass');

policy('phota_cache_variations 2;');

my @made = map { ask($acme, body(prompt => 'varied', @$_)) }
    [], [ seed => -1 ], [ seed => undef ], [];
my %different = map { $_->json->{body} => 1 } @made;

is(keys %different, 2, 'two by chance, then these');
is(join(' ', map { $_->header('Phota-Cost') } @made),
    '0.050000 0.050000 0.000000 0.000000', 'two are paid');
is($made[$_]->json->{status_code}, 200, 'each is told alone') for 0 .. 3;

my @same = map { ask($acme, body(prompt => 'varied', seed => 7)) } 1 .. 3;

is(join(' ', map { $_->header('Phota-Cost') } @same),
    '0.050000 0.000000 0.000000', 'of what has a seed there is one');

$t->finish;


# --- answers that nobody can make sense of

# a vendor of which one orders what it says

my %odd = (
    'status_code as a string' => '{"status_code":"200","body":"/9j/4AAQ"}',
    'and another' => '{"status_code":"401","body":"Unauthorized"}',
    'a status_code with a point' => '{"status_code":200.0,"body":"/9j/4AAQ"}',
    'no body' => '{"status_code":200}',
    'body null' => '{"status_code":200,"body":null}',
    'an empty body' => '{"status_code":200,"body":""}',
    'a list for a body' => '{"status_code":200,"body":["/9j/4AAQ"]}',
    'a body within' => '{"status_code":200,"data":{"body":"/9j/4AAQ"}}',
    'two bodies' => '{"status_code":200,"body":"/9j/4AAQ","body":"/9j/4AAQ"}',
    'two codes' => '{"status_code":401,"status_code":200,"body":"/9j/4AAQ"}',
    'no object' => '["/9j/4AAQ"]',
    'no JSON' => '/9j/4AAQ',
    'half of it' => '{"status_code":200,"body":"/9j/4AAQ',
    'nothing' => '',
);
my @odd = sort keys %odd;
my $refusal = '{"status_code":404,"body":"Not found"}';
my $map = join("\n", 'map $http_x_odd $odd {', "    default '$refusal';",
    (map { "    $_ '$odd{$odd[$_]}';" } 0 .. $#odd), '}');
my $port = Phota::Gateway::free_port();

my $u = Phota::Test->new(photio => 1, start => 0, http => <<"EOF_VENDOR",
$map
server {
    listen 127.0.0.1:$port;
    default_type application/json;
    location / {
        return 200 \$odd;
    }
}
EOF_VENDOR
    config => sub { $_[0] =~ s{(location /photio/ .*?http://)phota_api}
        {${1}127.0.0.1:$port}sr });

$u->ctl_ok('price', 'add', '--provider', 'photio', '--operation', 'remix',
    '--usd', '0.05');
$u->start;

my $heard = $u->request('POST', $path, $u->token('acme'), body(seed => 1),
    photio => 1);

is($heard->body, $refusal, 'this vendor\'s words are passed');
is(($u->charge($heard) // {})->{state}, 'void', 'and understood');

for my $i (0 .. $#odd) {
    my $answer = $u->request('POST', $path, $u->token('acme'),
        body(seed => 1), photio => 1, headers => [ 'X-Odd' => $i ]);
    my $charge = $u->charge($answer) // {};

    is($charge->{state}, 'unknown', "$odd[$i]: nobody knows")
        or diag($answer->summary);
    isnt($answer->header('Phota-Cost') // 'none', '0.050000',
        "$odd[$i]: and nobody says that it was paid");
    ok($answer->status == 502 || $answer->body eq $odd{$odd[$i]},
        "$odd[$i]: it is refused, or passed as it is");
}

is($u->gateway->usage->{total}{cost}, '0.000000', 'none of it was charged');
$u->finish(unknown => 1, holds => scalar @odd);

done_testing();
