# A request for fewer pictures than are stored is a hit with the first of them;
# one for more buys the difference by a call that differs from the client's in
# its number alone, pays for the difference, and is told all of them in order.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ sha256_hex /;
use Phota::Pictures;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme half few / ], start => 0);
my $acme = $t->token('acme');

$t->ctl_ok('price', 'add', '--operation', 'enhance', '--usd', '0.100001',
    '--identity-usd', '0.100003');
$t->ctl_ok('tenant', 'set', 'half', '--hit-price', '50%');
$t->ctl_ok('tenant', 'set', 'few', '--budget-total', '0.36');
$t->sim->config(rates => { enhance => { base => '0.100001',
    identity => '0.100003' } });
$t->start;

# so small that the simulator shows it, or with photographs of that size

sub body {
    my ($count, %fields) = @_;

    my $size = delete $fields{size} || 600;

    return remix(input => noise($size, 1), reference => noise(600, 2),
        num_output_images => $count, %fields);
}

sub ask {
    my ($count, %fields) = @_;

    my $how = delete $fields{how} || {};
    my $token = delete $fields{token} || $acme;

    return $t->post('remix', $token, body($count, %fields), timeout => 60,
        %$how);
}

sub is_topped_up {
    my ($answer, $cost, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return $t->is_miss($answer, $cost, $name,
        cache => 'phota; fwd=miss; stored');
}

# fewer: the first of them

my $four = ask(4, prompt => 'four');
my @four = $t->sim->delivered;

$t->is_miss($four, '0.480000', 'four are bought');

for my $count (1 .. 4) {
    for my $mode (qw/ bytes urls /) {
        my $hit = ask($count, prompt => 'four', response_mode => $mode);

        $t->is_hit($hit, usd(120000 * $count), "$count of four as $mode");
        is_deeply([ pictures($t, $hit) ], [ @four[0 .. $count - 1] ],
            "the first $count as $mode");
    }
}

is($t->calls, 1, 'by one call');

# what a part saves is rounded down

my %odd = (prompt => 'odd', profile_ids => [ 'prof_once' ]);
my $odd = $t->post('enhance', $acme, enhance(%odd, num_output_images => 3));

$t->is_miss($odd, '0.300005', 'three, one of them dearer');

for my $case ([ 1, '0.100001' ], [ 2, '0.200003' ], [ 3, '0.300005' ]) {
    my ($count, $saved) = @$case;

    $t->is_hit($t->post('enhance', $acme, enhance(%odd,
        num_output_images => $count)), $saved, "$count of three saves $saved");
}

# and so is what a part of them is sold for

ask(4, prompt => 'sold', token => $t->token('half'));

my $sold = ask(3, prompt => 'sold', token => $t->token('half'));

is(join(' ', map { $sold->header("Phota-$_") } qw/ Cost Price Saved /),
    '0.000000 0.180000 0.360000', 'three of four at half the price');

my $sale = $t->charge($sold);

is("$sale->{cache} $sale->{outputs} $sale->{price} $sale->{saved}",
    'hit 3 0.180000 0.360000', 'as the books have it');

# more: the difference, however the body came

my %ways = (
    'HTTP/1.1' => {},
    'chunked' => { chunked => 1001 },
    'HTTP/2' => { http2 => 1 },
    'Expect' => { expect => 1 },
);

for my $size (600, 600_000) {
    for my $way (sort keys %ways) {
        my $name = "$size bytes, $way";
        my %fields = (prompt => $name, size => $size, how => $ways{$way});
        my $first = ask(1, %fields);
        my @pictures = $t->sim->delivered;

        $t->is_miss($first, '0.120000', "$name: one is bought");

        my $more = ask(3, %fields);

        delete $fields{how};
        push @pictures, $t->sim->delivered;

        is_topped_up($more, '0.240000', "$name: two are bought to it");
        is(scalar @pictures, 3, "$name: no more");
        is_deeply([ pictures($t, $more) ], \@pictures,
            "$name: all are told in order");

        my $last = $t->sim->last;

        is($last->{body_sha256}, sha256_hex(body(2, %fields)),
            "$name: the call differs in its number alone");
        is($last->{headers}{'content-length'}, $last->{body_length},
            "$name: its length is right");
        is($last->{headers}{'transfer-encoding'}, undef, "$name: is told");

        my $charge = $t->charge($more);

        is("$charge->{outputs} $charge->{cost}", '2 0.240000',
            "$name: the charge is for the difference");

        my $hit = ask(3, %fields);

        $t->is_hit($hit, '0.360000', "$name: then all is a hit");
        is_deeply([ pictures($t, $hit) ], \@pictures,
            "$name: in the same order");
    }
}

# both fields that are rewritten, in any order, among spaces

for my $case (
    [ 'count first', 4,
        '{ "num_output_images" : %d ,%s, "response_mode":"urls"}' ],
    [ 'mode first', 3,
        '{"response_mode": "urls",%2$s,"num_output_images":%1$d}' ],
) {
    my ($name, $count, $format) = @$case;
    my $fields = substr(remix(input => noise(600), reference => noise(60),
        prompt => $name), 1, -1);

    $t->post('remix', $acme, sprintf($format, 1, $fields));
    my @pictures = $t->sim->delivered;

    my $more = $t->post('remix', $acme, sprintf($format, $count, $fields));
    push @pictures, $t->sim->delivered;

    is_topped_up($more, usd(120000 * ($count - 1)), "$name: bought");
    is(told($more), "urls $count", "$name: as links");
    is_deeply([ pictures($t, $more) ], \@pictures, "$name: all of them");

    (my $call = sprintf($format, $count - 1, $fields)) =~ s/"urls"/"bytes"/;
    is(asked($t), $call, "$name: what was asked for");
}

# in steps; each part has its own price for who is seen in it

my %seen = (prompt => 'seen', profile_ids => [ 'prof_once' ]);

is(ask(1, %seen)->header('Phota-Cost'), '0.150000', 'one, of somebody');

my @seen = $t->sim->delivered;
my $part = ask(3, %seen);

is_topped_up($part, '0.270000', 'two more, one of them of somebody');
is(subjects($part), 'prof_once=2', 'who is told as seen in two');
is($t->charge($part)->{identity_outputs}, 1, 'and is paid once here');
push @seen, $t->sim->delivered;

my $last = ask(4, %seen);

push @seen, $t->sim->delivered;
is_topped_up($last, '0.150000', 'and one more');
is_deeply([ pictures($t, $last) ], \@seen, 'behind all that there were');
is(subjects($last), 'prof_once=3', 'who is seen once in each part');

for my $case ([ 1, '0.150000' ], [ 2, '0.285000' ], [ 3, '0.420000' ],
    [ 4, '0.570000' ])
{
    my ($count, $saved) = @$case;

    $t->is_hit(ask($count, %seen), $saved, "$count of them save $saved");
}

# a difference that isn't bought, or not all of it

sub one {
    my ($name) = @_;

    $t->is_miss(ask(1, prompt => $name), '0.120000', "$name: one");

    return $t->sim->delivered;
}

my ($kept) = one('refused');
my $refused = ask(3, prompt => 'refused', how => { fault => '400' });

$t->is_passed($refused, 400, 'the difference is refused, and told so');
is($refused->header('Phota-Cost'), '0.000000', 'for nothing');
$t->is_hit(ask(1, prompt => 'refused'), '0.120000', 'what was there stays');
is_topped_up(ask(3, prompt => 'refused'), '0.240000', 'later it is bought');

one('lost');

my $lost = ask(2, prompt => 'lost', how => { fault => '500' });
my ($hold) = $t->gateway->holds;

is($lost->status, 500, 'the difference may be bought');
is("$hold->{state} $hold->{amount}", 'unknown 0.120000',
    'its hold is for the difference alone');
$t->ctl_ok('holds', 'void', $hold->{charge_id}, '--reason', 'not billed');

my @partial = one('partial');
my $partial = ask(4, prompt => 'partial', how => { fault => 'partial=1' });

push @partial, $t->sim->delivered;
is_topped_up($partial, '0.120000', 'one of a difference of three');
is_deeply([ pictures($t, $partial) ], \@partial, 'tells the two there are');
is_topped_up(ask(4, prompt => 'partial'), '0.240000', 'the rest is bought');

# a budget that is enough for the difference, and not for all

my $few = $t->token('few');

$t->is_miss(ask(1, prompt => 'few', token => $few), '0.120000', 'one');
is_topped_up(ask(3, prompt => 'few', token => $few), '0.240000',
    'two more, to the last cent');
$t->is_error(ask(4, prompt => 'few', token => $few), 402, 'BUDGET_EXCEEDED',
    'one more is too much');
$t->is_hit(ask(3, prompt => 'few', token => $few), '0.360000',
    'hits are free');

# with a key the same pictures come again, whatever is bought to them

my @keyed = one('keyed');
my %key = (how => { headers => [ 'Idempotency-Key' => 'k' ] });
my $bought = ask(2, prompt => 'keyed', %key);

push @keyed, $t->sim->delivered;
is_topped_up($bought, '0.120000', 'a difference with a key');
ask(4, prompt => 'keyed');

my $replay = ask(2, prompt => 'keyed', %key);

like($replay->header('Cache-Status'), qr/detail=replay/, 'is replayed');
is($replay->header('Phota-Charge-Id'), $bought->header('Phota-Charge-Id'),
    'with its charge');
is_deeply([ pictures($t, $replay) ], \@keyed, 'both pictures');
ok($replay->body eq $bought->body, 'the same answer');

# also when fewer came than were asked for

for my $old (0, 1) {
    my $name = "fewer, behind $old";
    my %again = (prompt => $name, how => { headers =>
        [ 'Idempotency-Key' => $name ] });

    one($name) if $old;
    $t->sim->fault('partial=2');

    my $fewer = ask(4, %again);

    is(told($fewer), 'bytes ' . (2 + $old), "$name: bought");
    ok(ask(4, %again)->body eq $fewer->body, "$name: replayed as it was");
    ask(4, prompt => $name);
    ok(ask(4, %again)->body eq $fewer->body, "$name: whatever came later");
}

# and when what it came behind has gone, nothing else takes its place

ask(1, prompt => 'keyed', how => { headers =>
    [ 'Cache-Control' => 'no-cache' ] });
$t->is_error(ask(2, prompt => 'keyed', %key), 410, 'REPLAY_GONE',
    'one of both was replaced');

# where the operator wants whole calls

ok($t->gateway->reload(door => 'phota_cache_top_up off;'), 'whole calls');

my @old = one('whole');
my $whole = ask(3, prompt => 'whole');
my @new = $t->sim->delivered;

is_topped_up($whole, '0.360000', 'three are bought');
is(JSON::PP::decode_json(asked($t))->{num_output_images}, 3,
    'as they were asked for');
is_deeply([ pictures($t, $whole) ], \@new, 'they are the answer');

for my $count (1 .. 3) {
    is_deeply([ pictures($t, ask($count, prompt => 'whole')) ],
        [ @new[0 .. $count - 1] ], "and replace what was there: $count");
}

$t->finish;

done_testing();
