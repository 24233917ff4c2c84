# The operator's page in a browser, over a month of books: what it shows is what
# photactl says, what is done with it is in the books, and nothing of it goes
# anywhere else.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib", $FindBin::Bin;

use JSON::PP qw/ decode_json /;
use Month;
use Phota::API;
use Phota::Test;
use POSIX ();
use Test::More;

my $t = Month::gateway();

my $writer = Phota::API->new($t, scope => 'write', label => 'desk');
my $reader = Phota::API->new($t, scope => 'read', label => 'guest');

sub day {
    my ($ago) = @_;

    return POSIX::strftime('%Y-%m-%d', gmtime(time() - $ago * 86400));
}

my ($from, $to) = (day(29), day(-1));

sub usage {
    return $t->gateway->usage('--from', $from, '--to', $to, @_);
}

# what the page shows of it

sub shown {
    my ($sum) = @_;

    return { (map { $_ => $sum->{$_} } qw/ price cost saved outputs hits
        calls /), margin => usd(micro($sum->{price}) - micro($sum->{cost})) };
}

sub sums_by {
    my ($key, $usage) = @_;
    my %sums;

    for my $row (@{$usage->{rows}}) {
        my $name = $key eq 'token_id' ? "$row->{tenant} #$row->{token_id}"
            : length $row->{$key} ? $row->{$key} : 'no tag';
        my $sum = $sums{$name} ||= { calls => 0 };

        $sum->{calls} += $row->{calls};
        $sum->{$_} += micro($row->{$_}) for qw/ cost price saved /;
    }

    return { map { my $sum = $sums{$_}; $_ => [ $sum->{calls},
        map { usd($sum->{$_}) } qw/ cost price saved / ] } keys %sums };
}

sub as_sums {
    my ($rows) = @_;

    return { map { my ($name, $calls, @money) = @$_; $calls =~ s/,//g;
        $name => [ $calls, @money ] } @$rows };
}

my %usage = (before => usage(), acme => usage('--tenant', 'acme'),
    map { $_ => usage('--by', $_) } qw/ tag token day /);
my %unknown = map { $_->{charge_id} => $_ } $t->gateway->holds;


# --- the browser

my $files = $t->dir . '/files';

mkdir $files;

my ($code, $out, $err) = Month::browse($t, 'check.mjs',
    PHOTA_TOKEN => $writer->token, PHOTA_READER => $reader->token,
    PHOTA_FILES => $files);

is($code, 0, 'the browser came to the end') or diag($err, $out);

my %found = map { $_->{name} => $_->{value} } map { decode_json($_) }
    split /\n/, $out;

sub found { $found{$_[0]} }

like(found("a tenant's token"), qr/begins with .*pha_/, "a tenant's token");
like(found('a wrong token'), qr/not accepted/, 'a wrong token');

is_deeply(found('sums'), shown($usage{before}{total}), 'the sums');
is_deeply(found('sums of acme'), shown($usage{acme}{total}), "acme's sums");
is_deeply(as_sums(found("by $_->[0]")), sums_by($_->[1], $_->[2]),
    "by $_->[0]")
    for [ 'tenant', 'tenant', $usage{before} ],
        [ 'operation', 'operation', $usage{before} ],
        [ 'tag', 'tag', $usage{tag} ], [ 'token', 'token_id', $usage{token} ];

like(found('ledger'), qr/Sound\d/, 'the ledger is sound');
is(scalar @{found('budgets')}, 5, 'all budgets');
is_deeply([ sort @{found('unknown')} ], [ sort keys %unknown ],
    'all that is unknown');
is(found('charges'), 12, 'recent charges');

cmp_ok(scalar @{found('thumbnails')}, '>=', 3, 'with pictures');
is_deeply([ grep { !m{^/phota/results/\d+/[0-9a-f]{64}\.\w+\?Expires=} }
    @{found('thumbnails')} ], [], 'by signed links to this host');

is_deeply([ grep { !/^(remix|enhance|edit|generate|)$/ } @{found('lines')} ],
    [], 'a line for each operation');
is(found('behind the chart'), 30, 'a table behind the chart');
like(found('read by arrows'),
    qr/^\d+ \w+: price \$\d+\.\d\d, cost \$\d+\.\d\d, saved \$\d+\.\d\d$/,
    'a chart is read from the keyboard');

ok(found('focus is seen'), 'where the keyboard is is seen');
like(found('no reason'), qr/Say why/, 'a reason is needed');
like(found('said'), qr/^Settled: remix for acme/, 'what was done is said');
like(found('who may only read'), qr/may only read/, 'who may only read');

is_deeply(found("accessible: $_"), [], "accessible: $_")
    or diag(explain(found("accessible: $_")))
    for qw/ sign-in light dark dialog phone /;
ok(found("fits $_"), "fits $_ pixels")
    for 375, 320, '320, signed out';

is_deeply(found('signed out'), [ JSON::PP::true, JSON::PP::false, '', '' ],
    'signed out: nothing stays');
is_deeply(found('kept'), [ 0, 0, '' ], 'nothing is kept');
is_deeply([ grep { !/401/ } @{found('401 told by the browser')} ], [],
    'nothing but the 401 in the console at first');
is_deeply(found($_), [], "no $_") or diag(explain(found($_)))
    for 'complaints', 'violations', 'elsewhere', 'tokens in addresses';
is_deeply(found('the policy holds'), [ JSON::PP::true, JSON::PP::true,
    'TypeError', JSON::PP::true ], 'and the policy holds');


# --- the books

my ($bought) = grep { $unknown{$_}{asked} == 4 } keys %unknown;
my ($not) = grep { $unknown{$_}{operation} eq 'enhance' } keys %unknown;
my $charge = $t->gateway->charge($bought);

is($charge->{state}, 'settled', 'settled');
is($charge->{outputs}, 3, 'for three');
is($charge->{price}, '0.450000', 'at its price');
is($t->gateway->charge($not)->{state}, 'void', 'void');

my $history = decode_json($t->ctl_ok('ledger', 'show', $bought, '--json'));
my $last = $history->{entries}[-1];

is($last->{by}, 'api desk', 'by whom');
is($last->{note}, 'on the bill, three', 'and why');
is_deeply(found('sums, later'), shown(usage()->{total}),
    'and the page has it');


# --- the files

sub read_csv {
    my ($name) = @_;
    my ($head, @lines) = split /\n/, Phota::Gateway::slurp("$files/$name");
    my @names = split /,/, $head;

    return map { my %row; @row{@names} = split /,/, $_, -1; \%row } @lines;
}

for my $name (qw/ entries sums /) {
    my %sum;

    for my $row (read_csv("$name.csv")) {
        $sum{$_} += micro($row->{$_}) for qw/ cost price saved /;
        $sum{$_} += $row->{$_} for qw/ calls hits outputs /;
    }

    $sum{$_} = usd($sum{$_}) for qw/ cost price saved /;

    is_deeply(\%sum, { map { $_ => $usage{before}{total}{$_} } keys %sum },
        "$name.csv: the sums of the books");
    is(found("file: $name.csv"), "phota-$name-$from-" . day(0) . '.csv',
        "$name.csv: its name");
}

is_deeply([ grep { /20% sale/ } map { $_->{tag} } read_csv('entries.csv') ],
    [ "'-20% sale" ], 'what a tenant has written is no formula');
is(scalar(my @rows = read_csv('sums.csv')), scalar @{$usage{day}{rows}},
    'a row for each sum');


# --- the end

is_deeply([ Phota::Test::search($t->dir, @{$t->{secrets}}) ], [],
    "tokens are in no file, the browser's neither");
like($t->ctl_ok('ledger', 'verify'), qr/^ok: /, 'the ledger is sound');
is_deeply([ grep { /\[(?:alert|crit|emerg)\]/ } split /\n/,
    $t->gateway->log ], [], 'nothing bad in the error log');
ok($t->stop, 'nginx stops gracefully');
$t->sim->stop;

done_testing();
