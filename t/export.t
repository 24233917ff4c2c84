# Exports: all lines together are what usage says, in every format, in one piece
# or from cursor to cursor; a cursor moves when its lines are safe, and what a
# customer writes in a tag is no formula.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;

my @columns = qw/ calls hits outputs identity_outputs /;
my @money = qw/ cost price saved /;

my $t = Phota::Test->new(tenants => [ qw/ acme globex / ]);
my $g = $t->gateway;
my $dir = $g->dir . '/export';

mkdir $dir;
chmod 0777, $dir;

$t->ctl_ok(qw/ tenant set acme --markup 33.3% /);
$t->ctl_ok(qw/ tenant set globex --hit-price full --join-price 50% /);
sleep 2;

# RFC 4180, into rows of hashes

sub csv {
    my ($text) = @_;

    my (@rows, @row);

    while ($text =~ /\G(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/gc) {
        my ($quoted, $cell, $end) = ($1, $2, $3);

        if (defined $quoted) {
            $cell = $quoted;
            $cell =~ s/""/"/g;
        }

        push @row, $cell;
        next if $end eq ',';

        push @rows, [ @row ];
        @row = ();
    }

    is(pos($text) // 0, length $text, 'it is CSV to its end');

    my @names = @{shift @rows};

    return map { my %row; @row{@names} = @$_; \%row } @rows;
}

sub lines {
    my ($text) = @_;

    return map { JSON::PP::decode_json($_) } split /\n/, $text;
}

# the sums of rows by tenant and operation, as those of usage

sub sums {
    my (@rows) = @_;

    my %sums;

    for my $row (@rows) {
        my $sum = $sums{"$row->{tenant} $row->{operation}"} ||= {};

        $sum->{$_} += $row->{$_} for @columns;
        $sum->{$_} += micro($row->{$_}) for @money;
    }

    return \%sums;
}

sub export {
    my (@args) = @_;

    my ($code, $out, $err) = $t->ctl(qw/ ledger export /, @args);

    is($code, 0, "ledger export @args") or diag($err);

    return wantarray ? ($out, $err) : $out;
}

sub buy {
    my ($tenant, $prompt, %o) = @_;

    my $tag = delete $o{tag};

    return $t->post('remix', $t->token($tenant), remix(prompt => $prompt),
        %o, defined $tag ? (headers => [ 'Phota-Tag' => $tag ]) : ());
}

# nothing happened yet: a header is all there is

my ($out, $err) = export('--format', 'csv');

is(scalar csv($out), 0, 'of new books the header');
is($err, "cursor: 0-0000000000000000\n", 'and the first cursor');
is(export('--format', 'json'), '', 'JSON has no header');

# purchases, free hits and hits that cost, a refusal, an unknown

buy('acme', 'one', tag => '=cmd|calc');
buy('acme', 'two', tag => 'a,"b"');
buy('acme', 'two') for 1 .. 3;
buy('acme', 'three', fault => 'status=422');
buy('acme', 'four', fault => 'status=500;bill=0');

my $sold = (buy('globex', 'five'), buy('globex', 'five', tag => '-x'))[1];

is($sold->header('Phota-Price'), '0.120000', 'a hit that costs');
$t->ctl_ok(qw/ ledger reverse --reason goodwill /,
    $sold->header('Phota-Charge-Id'));
$t->ctl_ok(qw/ holds void --reason x /, $_->{charge_id}) for $g->holds;

ok(wait_for(sub { $g->usage->{total}{hits} == 3 }, 10), 'hits are counted');

my $usage = sums(@{$g->usage->{rows}});

my @csv = csv(export('--format', 'csv'));

is_deeply(sums(@csv), $usage, 'CSV adds up to usage');
is_deeply(sums(lines(scalar export('--format', 'json'))), $usage,
    'JSON too');
is_deeply(sums(lines(scalar export('--json'))), $usage, 'also by --json');

is(scalar(grep { $_->{tag} eq q/'=cmd|calc/ } @csv), 1,
    'a formula is text');
is(scalar(grep { $_->{tag} eq 'a,"b"' } @csv), 1, 'quotes and commas hold');

my ($reversal) = grep { $_->{type} eq 'reversed' } @csv;

is($reversal->{price}, '-0.120000', 'a reversal takes back');
is($reversal->{charge_id}, $sold->header('Phota-Charge-Id'),
    'names its charge');
is($reversal->{note}, 'goodwill', 'and says why');

# CloudEvents

my @events = lines(scalar export('--format', 'cloudevents'));
my %ids = map { $_->{id} => $_ } @events;

is_deeply(sums(map { $_->{data} } @events), $usage, 'so do events');
is(scalar keys %ids, scalar @events, 'each with an id of its own');
is($ids{$sold->header('Phota-Charge-Id')}{type},
    'dev.nginx-phota.charge.settled', "a charge's first has its id");
ok(exists $ids{"$reversal->{charge_id}.$reversal->{sequence}"},
    'what came later the number of its entry too');

for my $event (@events) {
    my @wrong = grep { !defined $event->{$_} } qw/ specversion id source type
        time subject datacontenttype data /;

    is("@wrong", '', "event $event->{id} is whole");
}

is(scalar keys %{{ map { $_->{source} => 1 } @events }}, 1, 'of one source');

# FOCUS

my @focus = csv(export(qw/ --format focus --label /, 'Example Ltd'));
my %focus = (price => 0, cost => 0, saved => 0);

for my $row (@focus) {
    $focus{price} += micro($row->{BilledCost});
    $focus{cost} += micro($row->{x_Cost});
    $focus{saved} += micro($row->{x_Saved});
}

my $total = $g->usage->{total};

is_deeply(\%focus, { map { $_ => micro($total->{$_}) } @money },
    'FOCUS adds up');

my @mandatory = qw/ BilledCost BillingAccountId BillingCurrency
    BillingPeriodEnd BillingPeriodStart ChargeCategory ChargeDescription
    ChargePeriodEnd ChargePeriodStart ContractedCost EffectiveCost
    InvoiceIssuerName ListCost PricingQuantity PricingUnit ProviderName
    PublisherName ServiceCategory ServiceName /;

for my $row (@focus) {
    is(join(' ', grep { ($row->{$_} // '') eq '' } @mandatory), '',
        "all that is mandatory is in row $row->{x_Sequence}");
}

like($focus[0]{BillingPeriodStart}, qr/^\d{4}-\d\d-01T00:00:00Z$/,
    'a month begins');
is($focus[0]{ProviderName}, 'Example Ltd', 'by the name that was given');
is($focus[0]{SubAccountId}, 'acme', 'for its tenant');
is($focus[0]{Tags}, '{"tag":"=cmd|calc"}', 'with its tag');
is($focus[0]{ConsumedUnit}, 'Images', 'in pictures');

# one tenant

is_deeply([ sort keys %{sums(csv(export(qw/ --tenant globex /)))} ],
    [ 'globex remix' ], 'of one tenant alone');

# from cursor to cursor

my $file = "$dir/cursor";
my @parts = csv(export('--cursor', $file));

is(scalar csv(export('--cursor', $file)), 0, 'then there is nothing new');

for my $n (1 .. 3) {
    buy('acme', "part $n");
    buy('acme', 'two');

    ok(wait_for(sub { $g->usage->{total}{hits} == 3 + $n }, 10), 'a hit');
    push @parts, csv(export('--cursor', $file));
}

is_deeply(sums(@parts), sums(@{$g->usage->{rows}}), 'parts add up too');
is(scalar keys %{{ map { $_->{sequence} => 1 } @parts }}, scalar @parts,
    'and no line came twice');
ok(!-e "$file.new", 'nothing is left beside the cursor');

# what may not move a cursor doesn't

my $cursor = Phota::Gateway::slurp($file);

for my $bad ([ 1, '--cursor', "$dir/none/cursor" ],
    [ 2, '--after', 'nonsense' ],
    [ 2, '--after', '0-0000000000000000', '--cursor', $file ],
    [ 1, '--after', '1-0123456789abcdef' ],
    [ 2, '--format', 'xml' ], [ 2, '--label', 'x' ])
{
    my ($expected, @args) = @$bad;
    my ($code, $out, $err) = $t->ctl(qw/ ledger export /, @args);

    is($code, $expected, "refused: @args");
    is($out, '', 'before a line goes out');
}

SKIP: {
    skip('no /dev/full', 2) unless -e '/dev/full';

    buy('acme', 'lost');

    my @ctl = (Phota::Gateway::program('photactl'), '--data', $g->data,
        qw/ ledger export --cursor /, $file);
    my $status = system("@ctl > /dev/full 2> /dev/null");

    ok($status != 0, 'a full disk is a failure');
    is(Phota::Gateway::slurp($file), $cursor, 'and the cursor stays');
}

# days

my ($day) = $g->usage(qw/ --by day /)->{rows}[0]{day};

like($day, qr/^\d{4}-\d\d-\d\d$/, 'usage by day');
is_deeply($g->usage(qw/ --by day /)->{total}, $g->usage->{total},
    'has the same total');

my %tags = map { $_->{tag} => $_ } @{$g->usage(qw/ --by tag --tenant acme /)
    ->{rows}};

is($tags{'=cmd|calc'}{calls}, 1, 'by tag, as it was sent');
is($g->usage(qw/ --by token --tenant globex /)->{rows}[0]{token_id}, 2,
    'by token');
is(($t->ctl(qw/ usage --from /, '2026-11-21T12:00:00Z'))[0], 2,
    'half a day has no sum');

$t->finish;

done_testing();
