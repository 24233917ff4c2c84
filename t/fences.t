# Fences: tenants that share an account don't see each other, however a profile
# is named, in a body, a path, a tag or a result that is stored.  What is
# another's looks like what doesn't exist, and nothing of a refusal goes up.
# Who has an account of his own has none, unless the operator says so or another
# tenant turns out to have the same key.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ sha256_hex /;
use JSON::PP ();
use Phota::Test;
use Test::More;

my $key = 'phk-own-' . Phota::Test::random();
my $t = Phota::Test->new(tenants => [ qw/ acme globex owner / ],
    own => { owner => $key }, job_poll => '600s', workers => 1,
    profiles => { acme => [ 'prof_a', 'prof_a2' ], globex => [ 'prof_g' ] });
my ($acme, $globex, $owner) = map { $t->token($_) } qw/ acme globex owner /;
my @small = (input => photo('jpg', 16, 16, 1), reference =>
    photo('png', 16, 16, 2));
my $true = JSON::PP::true();

$t->sim->config(size => 'tiny');

# as it is written: the value of a member may be any text

sub raw {
    my (%members) = @_;

    my $body = remix(@small);
    my $more = join(',', map { "\"$_\":$members{$_}" } sort keys %members);

    return $body =~ s/\}$/,$more}/r;
}

my $json = JSON::PP->new->allow_nonref->canonical;

sub body {
    my (%fields) = @_;

    return raw(map { $_ => $json->encode($fields{$_}) } keys %fields);
}

# an answer but for what differs each time, and the digest of the question

sub told {
    my ($answer) = @_;

    my $text = $answer->status . "\n" . $answer->bytes;
    my $id = $answer->header('Phota-Request-Id') // 'none';

    $text =~ s/\Q$id/ID/g;
    $text =~ s/^(?:date|phota-fingerprint): .*//gmi;
    $text =~ s/key="[0-9a-f]{64}"/KEY/g;

    return $text;
}

# refused, in the same words as what is nobody's, and where the id stands

sub is_fenced {
    my ($token, $body, $field, $name, %o) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $calls = $t->calls;
    my $answer = $t->post('remix', $token, $body, %o);
    my $none = $body =~ s/prof_a/prof_x/gr;

    $t->is_error($answer, 422, 'INVALID_REQUEST', $name,
        $field ? (field => $field) : ());
    is(told($answer), told($t->post('remix', $token, $none, %o)),
        "$name: as of one that nobody has") if $none ne $body;
    is($t->calls, $calls, "$name: nothing goes up");

    return $answer;
}


# --- profiles in bodies

my %named = (
    'in the list' => [ 'profile_ids', profile_ids => '["prof_a"]' ],
    'behind an own one' => [ 'profile_ids',
        profile_ids => '["prof_g", "prof_a"]' ],
    'before an own one' => [ 'profile_ids',
        profile_ids => '["prof_a", "prof_g"]' ],
    'twice' => [ 'profile_ids', profile_ids => '["prof_a", "prof_a"]' ],
    'beside null' => [ 'profile_ids', profile_ids => '[null, "prof_a"]' ],
    'in the prompt' => [ 'prompt', prompt => '"at sea with [[prof_a]]"' ],
    'alone in the prompt' => [ 'prompt', prompt => '"[[prof_a]]"' ],
    'behind an own one in the prompt' => [ 'prompt',
        prompt => '"[[prof_g]][[prof_a]]"' ],
    'in the prompt, an own one in the list' => [ 'prompt',
        profile_ids => '["prof_g"]', prompt => '"with [[prof_a]]"' ],
    'in the list, an own one in the prompt' => [ 'profile_ids',
        profile_ids => '["prof_a"]', prompt => '"with [[prof_g]]"' ],
    'in both' => [ undef, profile_ids => '["prof_a"]',
        prompt => '"with [[prof_a]]"' ],
    'with escapes in the list' => [ 'profile_ids',
        profile_ids => '["\u0070\u0072of\u005fa"]' ],
    'with escapes in the prompt' => [ 'prompt',
        prompt => '"\u005b[\u0070rof_a]\u005d"' ],
    'with an escape in the name of the list' => [ 'profile_ids',
        'profile\u005fids' => '["prof_a"]' ],
    'with an escape in the name of the prompt' => [ 'prompt',
        'prom\u0070t' => '"[[prof_a]]"' ],
    'in another case' => [ 'profile_ids', profile_ids => '["PROF_A"]' ],
    'with a space' => [ 'profile_ids', profile_ids => '[" prof_a"]' ],
    'with spaces in the prompt' => [ 'prompt', prompt => '"[[ prof_a ]]"' ],
    'with a NUL' => [ 'profile_ids', profile_ids => '["prof_a\u0000"]' ],
    'with a NUL behind an own one' => [ 'profile_ids',
        profile_ids => '["prof_g\u0000"]' ],
    'an own one but for its end' => [ 'profile_ids',
        profile_ids => '["prof_"]' ],
    'of no characters' => [ 'profile_ids', profile_ids => '[""]' ],
    'longer than any' => [ 'profile_ids',
        profile_ids => '["' . 'prof_a' x 500 . '"]' ],
);

for my $how (sort keys %named) {
    my ($field, @members) = @{$named{$how}};

    is_fenced($globex, raw(@members), $field, $how);
}

# where it stands: at the first that isn't the tenant's

for my $case ([ '["prof_g", "prof_a2"]', 'prof_a2', profile_ids => 1 ],
    [ '"[[prof_g]] and [[prof_a2]]"', 'prof_a2', prompt => 2 ])
{
    my ($text, $id, $field, $before) = @$case;
    my $body = raw($field => $text);
    my $answer = is_fenced($globex, $body, $field, "$field points");

    is($answer->json->{offset}, index($body, $id) - $before,
        "$field: at the id");
}

# what only Phota could read may be anybody's

my %vague = (
    'a string for a list' => [ profile_ids => '"prof_a"' ],
    'an own one as a string' => [ profile_ids => '"prof_g"' ],
    'an object' => [ profile_ids => '{"id":"prof_a"}' ],
    'a list in a list' => [ profile_ids => '[["prof_a"]]' ],
    'objects in a list' => [ profile_ids => '[{"profile_id":"prof_a"}]' ],
    'own ones and an object' => [ profile_ids => '["prof_g",{"id":"prof_a"}]' ],
    'a number' => [ profile_ids => '5' ],
    'true' => [ profile_ids => 'true' ],
    'a number in the list' => [ profile_ids => '["prof_g",5]' ],
    'prompts in a list' => [ prompt => '["[[prof_a]]"]' ],
    'a prompt in an object' => [ prompt => '{"text":"[[prof_a]]"}' ],
    'no end' => [ prompt => '"with [[prof_a"' ],
    'half an end' => [ prompt => '"with [[prof_a]"' ],
    'an end further on' => [ prompt => '"with [[prof_a] ]"' ],
    'three brackets' => [ prompt => '"with [[[prof_a]]]"' ],
    'brackets in brackets' => [ prompt => '"[[x[[prof_a]]]]"' ],
    'nothing in brackets' => [ prompt => '"[[]]"' ],
    'an id of too many bytes' => [ prompt => '"[[' . 'a' x 5000 . ']]"' ],
);

is_fenced($globex, raw(@{$vague{$_}}), undef, "vague: $_") for sort keys %vague;

# a name twice is no JSON for us, whichever Phota would take

for my $members ('"profile_ids":["prof_g"],"profile_ids":["prof_a"]',
    '"profile_ids":["prof_g"],"profile\u005fids":["prof_a"]',
    '"prompt":"x","\u0070rompt":"[[prof_a]]"')
{
    is_fenced($globex, remix(@small) =~ s/\}$/,$members}/r, undef,
        "a name twice: $members");
}

# whatever else is asked for

my $foreign = body(profile_ids => [ 'prof_a' ], prompt => 'whatever');

for my $case ([ 'a dry run', 'Phota-Dry-Run' => 1 ],
    [ 'only-if-cached', 'Cache-Control' => 'only-if-cached' ],
    [ 'no-cache', 'Cache-Control' => 'no-cache' ],
    [ 'no-store', 'Cache-Control' => 'no-store' ],
    [ 'a variation', 'Phota-Variation' => 2 ],
    [ 'an idempotency key', 'Idempotency-Key' => '"one"' ])
{
    my ($name, @headers) = @$case;

    is_fenced($globex, $foreign, 'profile_ids', $name, headers => \@headers);
}

is_fenced($globex, body(profile_ids => [ 'prof_a' ], async => $true,
    response_mode => 'urls'), 'profile_ids', 'as a job');
is_fenced($globex, $foreign, 'profile_ids', 'in chunks', chunked => 100);
is_fenced($globex, $foreign, 'profile_ids', 'byte by byte', pieces => 97);
is_fenced($globex, $foreign, 'profile_ids', 'over HTTP/2', http2 => 1);
is_fenced($globex, body(client_request_id => $_, async => $true,
    response_mode => 'urls'), 'client_request_id', "no name for a job: "
    . $json->encode($_)) for '', 5, $true, [ 'a' ], { a => 1 };

# and what is a tenant's own, or nobody's name

my %allowed = (
    'an own one' => [ profile_ids => '["prof_g"]' ],
    'an own one twice' => [ profile_ids => '["prof_g","prof_g"]' ],
    'an own one in the prompt' => [ prompt => '"with [[prof_g]]"' ],
    'an own one in both' => [ profile_ids => '["prof_g"]',
        prompt => '"[[prof_g]] at home"' ],
    'with escapes' => [ prompt => '"[\u005bpro\u0066_g]]!"' ],
    'no list' => [ profile_ids => 'null', prompt => '"no list"' ],
    'none in it' => [ profile_ids => '[]', prompt => '"none in it"' ],
    'no prompt' => [ prompt => 'null' ],
    'single brackets' => [ prompt => '"a [prof_a], [ [prof_a] ]"' ],
    'no brackets' => [ prompt => '"a prof_a"' ],
);

for my $how (sort keys %allowed) {
    my $answer = $t->post('remix', $globex, raw(@{$allowed{$how}}));

    is($answer->status, 200, "allowed: $how") or diag($answer->summary);
}


# --- what is stored

$t->ctl_ok('tenant', 'set', $_, '--cache-scope', 'shared')
    for qw/ acme globex /;

my $plain = body(prompt => 'nobody');
my $shown = body(prompt => 'somebody', profile_ids => [ 'prof_a' ]);
my $nowhere = sha256_hex('nowhere');

# as a result of one is seen by the other, they share a scope

ok(everywhere(sub {
    my ($one, $two) = map { $t->post('remix', $_, $plain)
        ->header('Phota-Fingerprint') } $acme, $globex;
    $one eq $two;
}, 5), 'two tenants share a scope');

my %print = map { $_->[0] => $t->post('remix', $acme, $_->[1])
    ->header('Phota-Fingerprint') } [ plain => $plain ], [ shown => $shown ];

$t->is_hit($t->post('remix', $acme, $shown), '0.150000', 'acme has a result');

sub by_name {
    my ($token, $print, @headers) = @_;

    return $t->post('remix', $token, '', headers =>
        [ 'Phota-Fingerprint' => $print, @headers ]);
}

my $calls = $t->calls;

is(by_name($globex, $print{plain})->status, 200,
    'what shows nobody is shared by its fingerprint');
is(by_name($acme, $print{shown})->status, 200, 'who named him may see it');

is_fenced($globex, $shown, 'profile_ids', 'a stored result');
is_fenced($globex, $shown, 'profile_ids', 'a stored result', headers =>
    [ 'Phota-Dry-Run' => 1 ]);

for my $headers ([], [ 'Phota-Dry-Run' => 1 ],
    [ 'Cache-Control' => 'only-if-cached' ])
{
    my ($answer, $none) = map { by_name($globex, $_, @$headers) }
        $print{shown}, $nowhere;

    $t->is_error($answer, 412, 'NOT_CACHED', "by its fingerprint @$headers");
    is(told($answer), told($none), 'as of one that nobody has');
}

is($t->calls, $calls, 'nothing went up for any of it');


# --- while nginx runs: whose it is

sub listed {
    my ($token, $query) = @_;

    my $answer = $t->get('profiles/ids' . ($query // ''), $token);

    return join(' ', sort map { $_->{profile_id} . ($_->{tag} // '' ne ''
        ? "=$_->{tag}" : '') } @{$answer->json->{profiles} || []});
}

$t->sim->add_profile('shared', $_) for qw/ prof_a prof_a2 prof_g prof_n /;
$t->sim->add_profile('shared', 'prof_old', tag => 'legacy');

is(listed($acme), 'prof_a prof_a2', 'acme sees its own');
is(listed($globex), 'prof_g', 'globex sees its own');

my $new = body(profile_ids => [ 'prof_n' ]);

$t->is_error($t->get('profiles/prof_n/status', $globex), 404, 'NOT_FOUND',
    "nobody's");
is_fenced($globex, $new, 'profile_ids', "nobody's");
$t->ctl_ok(qw/ profile adopt globex prof_n /);
is($t->get('profiles/prof_n/status', $globex)->status, 200, 'adopted');
is($t->post('remix', $globex, $new)->status, 200, 'named');
is(listed($globex), 'prof_g prof_n', 'and listed');
is_fenced($acme, $new, 'profile_ids', "not another's");

my ($code, undef, $said) = $t->ctl(qw/ profile adopt acme prof_z prof_n /);

is($code, 1, "another's can't be adopted");
like($said, qr/prof_n/, 'it says which');
unlike($t->ctl_ok(qw/ profile list /), qr/prof_z/, 'nor what came before');

is(join(' ', map { JSON::PP::decode_json($_)->{profile_id} } split /\n/,
    $t->ctl_ok(qw/ --json profile list --tenant globex /)), 'prof_g prof_n',
    'the operator sees it, too');

$t->ctl_ok(qw/ profile release globex prof_n /);
is_fenced($globex, $new, 'profile_ids', 'released');
$t->is_error($t->get('profiles/prof_n/status', $globex), 404, 'NOT_FOUND',
    'released: status');
is(listed($globex), 'prof_g', 'released: the list');
is($t->sim->calls('profiles') > 0, 1, 'the lists were asked for');

# what was made with it before stays whoever's it was

$t->ctl_ok(qw/ profile release acme prof_a /);
$t->ctl_ok(qw/ profile adopt globex prof_a /);
is_fenced($acme, $shown, 'profile_ids', 'it has changed hands');
$t->is_error(by_name($globex, $print{shown}), 412, 'NOT_CACHED',
    "not the new owner's by its fingerprint");
$t->ctl_ok(qw/ profile release globex prof_a /);
$t->ctl_ok(qw/ profile adopt acme prof_a /);
is($t->post('remix', $acme, $shown)->status, 200, 'and back again');


# --- tags

my %trained = map { $_ => $t->train($t->token($_), { tag => 'staff' })
    ->json->{profile_id} } qw/ acme globex owner /;
my %up = map { my $id = $_->{profile_id}; $_->{tag} ? ($id => $_->{tag}) : () }
    $t->sim->profiles;

isnt($up{$trained{acme}}, $up{$trained{globex}}, 'two tags, for Phota');
like($up{$trained{$_}}, qr/^$_:[\w-]{22}$/, "$_: an operator can tell whose")
    for qw/ acme globex /;
is($up{$trained{owner}}, 'staff', "an own account's is as it was sent");

is(listed($acme), join(' ', sort 'prof_a', 'prof_a2',
    "$trained{acme}=staff"), 'acme: clean in the list');

for my $name (qw/ acme globex owner /) {
    my $own = "$trained{$name}=staff";
    my $token = $t->token($name);

    is(listed($token, '?tag=staff'), $own, "$name: by its tag");
    is(listed($token, '?tag=%73taff&x=1'), $own, "$name: with an escape");
    is(listed($token, '?x=1&tag=staff'), $own, "$name: behind another");
    is(listed($token, '?tag=nothing'), '', "$name: by no tag");
}

is(listed($globex, "?tag=$up{$trained{acme}}"), '',
    "another's tag as Phota knows it");
is(listed($acme, "?tag=$up{$trained{acme}}"), '', 'nor is an own one a tag');

my $odd = $t->train($acme, { tag => "\x{442}eam & +=%" })->json->{profile_id};

is(listed($acme, '?tag=%D1%82eam+%26%20%2B%3D%25'),
    "$odd=\x{442}eam & +=%", 'any characters');

$t->is_error($t->train($acme, { tag => 'x' x 129 }), 422, 'INVALID_REQUEST',
    'a tag of 129 characters', field => 'tag');

# one that was there before keeps the tag of the account, or has a new one

$t->ctl_ok(qw/ profile adopt globex prof_old /);
like(listed($globex), qr/\bprof_old=legacy\b/, 'adopted with its tag');
$t->ctl_ok(qw/ profile adopt globex prof_old --tag crew /);
like(listed($globex), qr/\bprof_old=crew\b/, 'adopted with a new one');

# what isn't a list can't be looked through

for my $fault (qw/ garbage truncate 500 /) {
    my $answer = $t->get('profiles/ids', $acme, fault => $fault);

    isnt($answer->status, 200, "a list that is $fault");
    unlike($answer->bytes, qr/prof_|globex/, 'shows nothing');
}

$t->sim->config(profile_elements => 'strings');
is_deeply([ sort @{$t->get('profiles/ids', $acme)->json->{profiles}} ],
    [ sort 'prof_a', 'prof_a2', $trained{acme}, $odd ],
    'a list of ids alone, too');
$t->sim->config(profile_elements => 'objects');


# --- paths

my $job = $t->submit('remix', $acme, { prompt => 'a job' });

$t->poll_until($acme, $job);

my $id = $job->json->{job_id};
my @paths = (
    [ 'profiles/prof_a/status', 200 ],
    [ 'profiles/prof_a/status?x=1', 200 ],
    [ 'profiles/prof_a/status?profile_id=prof_g', 200 ],
    [ 'profiles/prof%5Fa/status', 200 ],
    [ '%70rofiles/%70rof_a/%73tatus', 200 ],
    [ 'profiles//prof_a/status', 200 ],
    [ 'profiles/./prof_a/status', 200 ],
    [ 'profiles/prof_g/../prof_a/status', 200 ],
    [ 'profiles/prof_a%2Fstatus', 200 ],
    [ 'profiles/prof_a/profile_picture', 200 ],
    [ "jobs/$id", 200 ],
    [ "jobs/$id?x=1", 200 ],
    [ "jobs/%6Aob_" . substr($id, 4), 200 ],
    [ 'profiles/PROF_A/status', 404 ],
    [ 'profiles/prof%255Fa/status', 404 ],
    [ 'profiles/prof_a;x/status', 404 ],
    [ 'profiles/prof_a%20/status', 404 ],
    [ 'profiles/prof_a%3Fx/status', 404 ],
    [ 'profiles/%E2%80%AEprof_a/status', 404 ],
    [ 'profiles/*/status', 404 ],
    [ 'profiles/' . 'prof_a' x 300 . '/status', 404 ],
    [ 'jobs/' . uc $id, 404 ],
    [ "jobs/${id}0", 404 ],
    [ "jobs/$id%20", 404 ],
    [ 'jobs/' . substr($id, 0, -1), 404 ],
    [ 'jobs/' . 'j' x 3000, 404 ],
    [ 'profiles/prof_a/status/', 403 ],
    [ 'profiles/prof_a/Status', 403 ],
    [ 'Profiles/prof_a/status', 403 ],
    [ 'profiles/prof_a', 403 ],
    [ 'profiles/prof_a/', 403 ],
    [ 'profiles//status', 403 ],
    [ 'profiles/x/prof_a/status', 403 ],
    [ "jobs/$id/", 403 ],
    [ 'jobs/', 403 ],
    [ 'profiles/ids/', 403 ],
    [ 'profiles/ids/prof_a', 403 ],
);

my %codes = (403 => 'OPERATION_NOT_ALLOWED', 404 => 'NOT_FOUND');

for my $case (@paths) {
    my ($path, $status) = @$case;
    my $before = $t->calls;

    is($t->get($path, $acme)->status, $status, "its owner: GET $path");
    is($t->calls, $before, 'nothing went up') if $status != 200;

    $before = $t->calls;

    my $other = $t->get($path, $globex);
    my $refused = $status == 200 ? 404 : $status;

    $t->is_error($other, $refused, $codes{$refused}, "another: GET $path");
    unlike($other->body, qr/prof_a|\Q$id/, 'names nothing');
    is($t->calls, $before, 'nothing went up');
}

# HEAD is as GET, without a body

for my $path ('profiles/prof_a/status', "jobs/$id", 'profiles/prof_x/status',
    'jobs/job_x', 'webhook-secret', 'profiles/ids', 'models')
{
    for my $token ($acme, $globex) {
        my $head = $t->request('HEAD', "/v1/phota/$path", $token);

        is($head->status, $t->get($path, $token)->status, "HEAD $path");
        is($head->body, '', 'no body');
    }
}

# a delete of another's is none

for my $path ('profiles/prof_a', 'profiles/prof%5Fa', 'profiles/x/../prof_a',
    'profiles/prof_a?x=1')
{
    my $before = $t->calls;

    $t->is_error($t->delete($path, $globex), 404, 'NOT_FOUND',
        "another: DELETE $path");
    is($t->calls, $before, 'nothing went up');
}

is(scalar(grep { $_->{deleted} } $t->sim->profiles), 0, 'nothing is deleted');
is($t->delete('profiles/prof_a2', $acme)->status, 200, 'but by its owner');


# --- an account of one's own

$t->sim->add_profile('owner', 'prof_o');

# let through as they are, to be found out by Phota

sub is_exempt {
    my ($name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $random = Phota::Test::random();

    is($t->post('remix', $owner, body(profile_ids => [ 'prof_o' ],
        prompt => $random))->status, 200, "$name: in the list");
    is($t->post('remix', $owner, body(prompt => "[[prof_a]] $random"))
        ->status, 200, "$name: in the prompt");
    is($t->get('profiles/prof_o/status', $owner)->status, 200,
        "$name: in a path");
    like(listed($owner), qr/\bprof_o\b/, "$name: in the list of profiles");

    my $job = $t->submit('remix', $owner, { prompt => "job $random",
        client_request_id => "mine $random" });

    is(($t->sim->jobs)[-1]{client_request_id}, "mine $random",
        "$name: as it was sent");
    is($t->poll_until($owner, $job)->json->{status}, 'completed',
        "$name: a job");
}

sub is_in {
    my ($name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $calls = $t->calls;

    is_fenced($owner, body(profile_ids => [ 'prof_o' ]), 'profile_ids',
        "$name: in the list");
    is_fenced($owner, body(prompt => '[[prof_o]]'), 'prompt',
        "$name: in the prompt");
    $t->is_error($t->get('profiles/prof_o/status', $owner), 404, 'NOT_FOUND',
        "$name: in a path");
    $t->is_error($t->get('models', $owner), 403, 'OPERATION_NOT_ALLOWED',
        "$name: what has no fence");
    $t->is_error($t->get('jobs/job_x', $owner), 404, 'NOT_FOUND',
        "$name: a job");
    is($t->calls, $calls, 'nothing went up');
    unlike(listed($owner), qr/prof_o/, "$name: the list");
}

# until nginx has heard of it

sub wait_fenced {
    my ($token, $status) = @_;

    everywhere(sub { $t->get('models', $token)->status == $status }, 5);
}

is_exempt('an own key');

$t->ctl_ok(qw/ tenant set owner --fences on /);
wait_fenced($owner, 403);
is_in('fences on');
$t->ctl_ok(qw/ profile adopt owner prof_o /);
is($t->get('profiles/prof_o/status', $owner)->status, 200,
    'what is adopted is its own');
$t->ctl_ok(qw/ profile release owner prof_o /);

$t->ctl_ok(qw/ tenant set owner --fences off /);
wait_fenced($owner, 200);
is_exempt('fences off');

is(($t->ctl(qw/ tenant set acme --fences off /))[0], 1,
    'not for who shares an account');

# another tenant with the same key: both are fenced in

my $twin = $t->tenant('twin');

$t->ctl_ok(\$key, qw/ key set twin /);
wait_fenced($owner, 403);
is_in('the same key as another');

wait_fenced($twin, 403);
$t->is_error($t->get('profiles/prof_o/status', $twin), 404, 'NOT_FOUND',
    'nor has the other one');
$t->ctl_ok(qw/ profile adopt owner prof_o /);
is($t->get('profiles/prof_o/status', $owner)->status, 200, 'it is adopted');
$t->is_error($t->get('profiles/prof_o/status', $twin), 404, 'NOT_FOUND',
    "and not the other's");
is_fenced($twin, body(profile_ids => [ 'prof_o' ]), 'profile_ids',
    "another's of the same key");
is(listed($twin), '', 'who has none');
is($t->seen('X-API-Key'), $key, 'they have one account');

$t->finish;

done_testing();
