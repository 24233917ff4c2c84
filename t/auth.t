# Who is let in: one good token, in either header.  What photactl changes holds
# within a second, without a reload.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Fail;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ time /;

my $t = Phota::Test->new(start => 0, tenants => [ qw/ acme globex / ]);
my $fail = Phota::Fail->new($t->dir . '/fail',
    books => $t->gateway->data . '/books');

$t->gateway->{env} = $fail->env;
$t->start;

my ($acme, $globex) = map { $t->token($_) } qw/ acme globex /;

like($acme, qr/^phg_[0-9A-Za-z_-]{43}_[0-9A-Za-z]{6}$/, 'the form of a token');

$t->is_miss($t->post('remix', $acme, remix()), '0.120000', 'X-API-Key');
$t->is_hit($t->post('remix', $acme, remix(), bearer => 1), '0.120000',
    'Authorization: Bearer');
$t->is_hit($t->post('remix', undef, remix(), headers => [
    authorization => "bearer $acme" ]), '0.120000', 'of any case');
$t->is_hit($t->post('remix', $acme, remix(), headers => [
    Authorization => "Bearer $acme" ]), '0.120000', 'both alike');

my $changed = $acme;
$changed =~ s/^(phg_)(.)/$1 . ($2 eq 'a' ? 'b' : 'a')/e;

for my $case (
    [ 'no token', [] ],
    [ 'two different tokens', [ 'X-API-Key' => $acme,
        Authorization => "Bearer $globex" ] ],
    [ 'two X-API-Keys', [ 'X-API-Key' => $acme, 'X-API-Key' => $globex ] ],
    [ 'a good and a bad one', [ 'X-API-Key' => $acme,
        Authorization => 'Bearer x' ] ],
    [ 'an empty one', [ 'X-API-Key' => '' ] ],
    [ 'some word', [ 'X-API-Key' => 'x' ] ],
    [ 'a changed token', [ 'X-API-Key' => $changed ] ],
    [ 'a cut token', [ 'X-API-Key' => substr($acme, 0, -1) ] ],
    [ 'a longer token', [ 'X-API-Key' => "${acme}x" ] ],
    [ 'a huge one', [ 'X-API-Key' => 'x' x 4000 ] ],
    [ 'Basic', [ Authorization => "Basic $acme" ] ],
    [ "Phota's key", [ 'X-API-Key' => $t->{key} ] ],
) {
    my ($what, $headers) = @$case;

    $t->is_error($t->post('remix', undef, remix(),
        headers => $headers), 401, 'UNAUTHORIZED', $what);
}

is($t->calls, 1, 'none of them bought anything');

# changes that running workers see

# the last who asked and was told something else didn't ask late

sub within {
    my ($name, $code) = @_;

    my $changed = time();
    my $last = $changed;

    ok(everywhere(sub {
        my $asked = time();
        my $known = $code->();

        $last = $asked if !$known;

        return $known;
    }, 10), $name);
    cmp_ok($last - $changed, '<', 1.7 * $Phota::Test::slow,
        "$name: within a second");
}

sub status {
    my ($token) = @_;

    return $t->post('remix', $token, remix())->status;
}

$t->ctl_ok('tenant', 'suspend', 'acme');
within('suspended', sub { status($acme) == 403 });
$t->is_error($t->post('remix', $acme, remix()), 403, 'TENANT_SUSPENDED',
    'and told so');

$t->ctl_ok('tenant', 'resume', 'acme');
within('resumed', sub { status($acme) == 200 });

my $second = $t->issue('acme', '--label', 'second');
my ($id) = map { $_->{token_id} } grep { ($_->{label} // '') eq 'second' }
    map { JSON::PP::decode_json($_) }
    split /\n/, $t->ctl_ok('token', 'list', '--json');

is(status($second), 200, 'a second token');
$t->ctl_ok('token', 'revoke', $id);
within('revoked', sub { status($second) == 401 });
is(status($acme), 200, 'the first one stays');

# the key that goes upstream: the default one, then an own one

sub key_used {
    my ($mark) = @_;

    my $answer = $t->post('remix', $globex, remix(prompt => "$mark"),
        headers => [ 'Cache-Control' => 'no-cache' ]);

    return $t->seen('X-API-Key');
}

is(key_used(1), $t->{key}, 'the default key');

my $own = 'phk-own-' . Phota::Test::random();

$t->secret($own);
$t->gateway->ctl_ok(\$own, 'key', 'set', 'globex');

my $n = 1;

within('a key of its own', sub { key_used(++$n) eq $own });

my $refused = $t->post('remix', $globex, remix(prompt => 'refused'));

$t->is_error($refused, 502, 'UPSTREAM_AUTH', 'which Phota refuses');
unlike($refused->bytes, qr/\Q$own/, 'and the client learns nothing of it');
unlike($refused->bytes, qr/Missing or invalid API key/,
    "nor of Phota's words");

my ($code, $out, $err) = $t->ctl(\$own, 'key', 'set', 'nobody');

is($code, 1, 'no key for a tenant that is none');

# an hour that passes at once

my $short = $t->issue('acme', '--expires',
    POSIX::strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time() + 3600)));

is(status($short), 200, 'a token that expires');
$fail->clock(3500);
is(status($short), 200, 'has a while yet');
$fail->clock(3700);
is(status($short), 401, 'and has expired');
is(status($acme), 200, 'as others don\'t');

$t->finish;

done_testing();
