# Who knows the fingerprint of a request gets the hit without sending its body,
# or is told that there is none.  It opens nothing: what another tenant bought,
# or another operation, is as unknown as what nobody ever bought.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Pictures;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme globex half one two / ],
    start => 0);
my ($acme, $globex, $half) = map { $t->token($_) } qw/ acme globex half /;

$t->ctl_ok('tenant', 'set', 'half', '--hit-price', '50%', '--budget-total',
    '0.72');
$t->ctl_ok('tenant', 'set', $_, '--cache-scope', 'shared') for qw/ one two /;
$t->start;

my %body = (prompt => 'known', num_output_images => 4);
my $body = remix(%body);

# asks by fingerprint; body: what there is to send, if it must be

sub known {
    my ($fingerprint, %o) = @_;

    my $token = delete $o{token} || $acme;
    my $text = exists $o{body} ? delete $o{body} : '';

    return $t->post(delete $o{operation} || 'remix', $token, $text, %o,
        headers => [ 'Phota-Fingerprint' => $fingerprint,
            @{$o{headers} || []} ]);
}

my $bought = $t->post('remix', $acme, $body);
my @pictures = $t->sim->delivered;
my $fingerprint = $bought->header('Phota-Fingerprint');
my $unknown = 'ab' x 32;

like($fingerprint, qr/^[0-9a-f]{64}$/, 'every answer tells its fingerprint');

# without a body, and with one that waits for our word

for my $http2 (0, 1) {
    my $version = $http2 ? 'HTTP/2' : 'HTTP/1.1';

    for my $way (
        [ 'an empty body', body => '' ],
        [ 'no body', body => undef ],
        [ 'a body that waits', body => $body, expect => 1 ],
        [ 'a large body that waits', body => remix(input => noise(3_000_000)),
            expect => 1 ],
        [ 'a body that comes', body => $body ],
    ) {
        my ($what, %how) = @$way;
        my $name = "$version, $what";
        my $hit = known($fingerprint, %how, http2 => $http2);
        my $none = known($unknown, %how, http2 => $http2);

        $t->is_hit($hit, '0.120000', "$name: a hit");
        is_deeply([ pictures($t, $hit) ], [ $pictures[0] ],
            "$name: the first picture");
        is($hit->header('Phota-Fingerprint'), $fingerprint,
            "$name: its fingerprint");
        is($hit->header('X-Request-Id'), $bought->header('X-Request-Id'),
            "$name: the original's request");
        $t->is_error($none, 412, 'NOT_CACHED', "$name: nothing there");

        next unless $how{expect};

        for my $answer ($hit, $none) {
            is($answer->{continued}, undef, "$name: no 100 Continue");
            is($answer->{body_sent}, 0, "$name: nothing was sent");
        }
    }
}

is($t->calls, 1, 'nothing was bought');

# how many, and how they are told

for my $case (
    [ '; outputs=4', 'bytes 4' ],
    [ ';outputs=2;mode=urls', 'urls 2' ],
    [ '; mode=urls', 'urls 1' ],
    [ '; mode=bytes ; outputs=3', 'bytes 3' ],
) {
    my ($more, $told) = @$case;
    my $hit = known("$fingerprint$more");
    my ($n) = $told =~ /(\d)/;

    $t->is_hit($hit, usd($n * 120000), "with \"$more\"");
    is(told($hit), $told, "with \"$more\": what comes");
    is_deeply([ pictures($t, $hit) ], [ @pictures[0 .. $n - 1] ],
        "with \"$more\": the pictures");
}

$t->is_hit(known(uc $fingerprint), '0.120000', 'in capitals');
$t->is_error(known("$fingerprint; outputs=5"), 412, 'NOT_CACHED',
    'more than there are');

for my $bad ('x', substr($fingerprint, 1), "${fingerprint}0", "g$fingerprint",
    '', "$fingerprint; outputs=0", "$fingerprint; outputs=99999",
    "$fingerprint; outputs=", "$fingerprint; mode=links", "$fingerprint;",
    "$fingerprint; x", "$fingerprint, $fingerprint", 'z' x 64)
{
    $t->is_error(known($bad), 422, 'INVALID_REQUEST', "garbage: \"$bad\"",
        field => 'Phota-Fingerprint');
}

# foreign ones are unknown ones, in every byte

sub refusal {
    my ($answer, $fingerprint) = @_;

    my $text = $answer->status . "\n" . $answer->bytes;
    my $id = $answer->header('Phota-Request-Id');

    $text =~ s/\Q$id/ID/g;
    $text =~ s/\Q$fingerprint/FINGERPRINT/g;
    $text =~ s/^date: .*\n//mi;

    return $text;
}

my $hers = $t->post('remix', $globex, $body)->header('Phota-Fingerprint');
my $enhanced = $t->post('enhance', $acme, enhance())
    ->header('Phota-Fingerprint');

isnt($hers, $fingerprint, 'the same request of another tenant has its own');

my %said;

for my $case (
    [ $unknown, {} ],
    [ $hers, {} ],
    [ $fingerprint, { token => $globex } ],
    [ $enhanced, {} ],
    [ $fingerprint, { token => $t->token('one') } ],
) {
    my ($foreign, $how) = @$case;
    my $answer = known($foreign, %$how);

    $t->is_error($answer, 412, 'NOT_CACHED', 'not his');
    $said{refusal($answer, $foreign)}++;
}

is(keys %said, 1, 'all in the same words') or diag(explain(\%said));
$t->is_error(known($enhanced), 412, 'NOT_CACHED', 'of another operation');
$t->is_hit(known($enhanced, operation => 'enhance'), '0.120000', 'of its own');
$t->is_error(known($fingerprint, token => 'nobody'), 401, 'UNAUTHORIZED',
    'a fingerprint is no token');
unlike($t->gateway->log, qr/another scope/, 'and nobody is alarmed');

# those who share a cache share its fingerprints

my $shared = $t->post('remix', $t->token('one'), $body)
    ->header('Phota-Fingerprint');

$t->is_hit(known($shared, token => $t->token('two')), '0.120000', 'shared');
$t->is_error(known($shared), 412, 'NOT_CACHED', 'but not with all');

# what a client says about the cache counts here, too

for my $control (qw/ no-cache no-store max-age=0 /) {
    sleep 1 if $control eq 'max-age=0';
    $t->is_error(known($fingerprint, headers => [ 'Cache-Control' =>
        $control ]), 412, 'NOT_CACHED', "$control: nothing to give");
}

$t->is_hit(known($fingerprint, headers => [ 'Cache-Control' =>
    'max-age=60, only-if-cached' ]), '0.120000', 'young enough');

# a hit that has a price is paid, once

my $priced = $t->post('remix', $half, remix(prompt => 'half',
    num_output_images => 4))->header('Phota-Fingerprint');
my @key = (headers => [ 'Idempotency-Key' => 'k' ]);
my $sold = known("$priced; outputs=3", token => $half, @key);

is(join(' ', map { $sold->header("Phota-$_") } qw/ Cost Price Saved /),
    '0.000000 0.180000 0.360000', 'half the price of three');
is($t->charge($sold)->{cache}, 'hit', 'in the books');

my $replay = known("$priced; outputs=3", token => $half, @key);

is($replay->header('Phota-Price'), '0.000000', 'its replay is free');
is($replay->header('Phota-Charge-Id'), $sold->header('Phota-Charge-Id'),
    'and has its charge');
is(known($priced, token => $half)->header('Phota-Price'), '0.060000',
    'to the last cent');
is(known($priced, token => $half)->status, 402, 'and no further');

# a connection goes on, whatever became of the body

my $c = $t->connect;
my $path = Phota::Test::path('remix');

sub on_connection {
    my ($name, $text, %o) = @_;

    my $answer = $c->exchange('POST', $path, [ 'X-API-Key' => $acme,
        'Phota-Fingerprint' => $o{as} || $fingerprint ], $text, %o);

    is($answer->status, $o{as} ? 412 : 200, $name);

    return $answer;
}

for my $as (undef, $unknown) {
    on_connection('an empty body', '', as => $as);
    on_connection('no body', undef, as => $as);
    on_connection('a body that comes', $body, as => $as, drain => 1);
    on_connection('a body in chunks', $body, as => $as, drain => 1,
        chunked => 1000);

    # told before it was sent, a client may send it all the same

    my $told = on_connection('a body that waits', $body, as => $as,
        expect => 1);

    is($told->{body_sent}, 0, 'for nothing');

    if (($told->header('Connection') // '') eq 'close') {
        $c = $t->connect;

    } else {
        $c->{socket}->blocking(1);
        print { $c->{socket} } $body;
        $c->{socket}->flush;
        $c->{socket}->blocking(0);
    }
}

is($c->exchange('POST', $path, [ 'X-API-Key' => $acme,
    'Content-Type' => 'application/json' ], $body)->status, 200,
    'then a whole request on the same connection');

# it outlives a restart, and a purge ends it

ok($t->restart, 'a restart');
$t->is_hit(known($fingerprint), '0.120000', 'still known');
$t->ctl_ok('cache', 'purge', '--fingerprint', $fingerprint);
$t->is_error(known($fingerprint), 412, 'NOT_CACHED', 'purged');

$t->finish;

done_testing();
