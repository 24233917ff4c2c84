# photactl on a terminal: a table that is wider than it stands row below row,
# with every cell whole; what takes longer than a second shows how far it is,
# and leaves nothing of that behind.  Where there is no terminal nothing of
# either is to be seen.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Fail;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep /;

my $t = Phota::Test->new(tenants => [ qw/ acme globex / ]);
my $g = $t->gateway;
my $acme = $t->token('acme');
my $file = $t->dir . '/out';
my $ctl = join(' ', Phota::Gateway::program('photactl'), '--data', $g->data,
    '--master-key', $g->dir . '/master.key');
my $fail = Phota::Fail->new($t->dir . '/fail');

# what a terminal of so many columns would show of a shell's command

sub terminal {
    my ($columns, $command, $env) = @_;

    local %ENV = (%ENV, COLUMNS => $columns, TERM => 'xterm', %{$env || {}});

    open(my $fh, '-|', 'script', '-qec', $command, '/dev/null')
        or die "script: $!\n";

    local $/;
    my $text = <$fh>;

    close($fh) or die "$command: $text\n";

    return $text =~ s/\r\n/\n/gr;
}

my $body = remix(prompt => 'a', response_mode => 'bytes');

$t->post('remix', $acme, remix(prompt => "n $_"),
    headers => [ 'X-Sim-Size' => 'tiny' ]) for 1 .. 300;

# --- tables

my $plain = $g->ctl_ok('tenant', 'list');
my @names = (split /\s{2,}|\n/, (split /\n/, $plain)[0]);

is(terminal(200, "$ctl tenant list"), $plain, 'a wide terminal: as ever');

my $narrow = terminal(40, "$ctl tenant list");

is(scalar(() = $narrow =~ /^$names[0] /mg), 2, 'a narrow one: two rows');

for my $name (@names) {
    is(scalar(() = $narrow =~ /^\Q$name\E\s+\S/mg), 2, "each has its $name");
}

for my $line (split /\n/, $g->ctl_ok('ledger', 'list', '--limit', 5)) {
    my ($charge) = $line =~ /(ch_\w{26})/ or next;

    like(terminal(60, "$ctl ledger list --limit 5"), qr/ \Q$charge\E$/m,
        'an id is whole');
}

# --- how far it is: with a clock that goes fast

sub hurried {
    my ($columns, $command) = @_;

    my $pid = $t->background(sub {
        my $seconds = 0;

        while (1) {
            $fail->clock($seconds += 2);
        }
    });

    my $env = $fail->env;
    my $text;

    # it may be over before the clock has gone on

    for (1 .. 20) {
        $text = terminal($columns, join(' ', 'env',
            map({ "$_='$env->{$_}'" } sort keys %$env), $command));
        last if $text =~ /\r/;
    }

    kill('KILL', $pid);
    $t->reap($pid);

    return $text;
}

my $export = $g->ctl_ok('ledger', 'export');
my $shown = hurried(100, "$ctl ledger export > $file");

is(Phota::Gateway::slurp($file), $export, 'an export is as ever');
like($shown, qr/\rreading\s+\[#*\.*\]\s+\d+%/, 'meanwhile it is told how far');
like($shown, qr/\r\e\[Kcursor: \S+\n\z/, 'and that goes');

my $small = hurried(40, "$ctl ledger export > $file");
my ($bar) = $small =~ /(reading[^\r]*)\r/;

cmp_ok(length($bar // 'x' x 99), '<=', 40, 'within a narrow terminal');

$shown = hurried(100, "$ctl ledger export");
$shown =~ s/\rreading[^\r]*(?=\r)//g;
$shown =~ s/\r\e\[K//g;
$shown =~ s/cursor: \S+\n\z//;
is($shown, $export, 'on the same terminal no line of it is broken');

# --- without one

my ($code, $out, $err) = Phota::Gateway::execute([ 'sh', '-c',
    "COLUMNS=40 $ctl ledger export" ]);

is($out, $export, 'no terminal: the same');
like($err, qr/^cursor: \S+\n\z/, 'and nothing of a bar');

$t->finish;

done_testing();
