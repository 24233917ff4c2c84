# The manual page, the help and the completion of photactl speak of the same
# commands and options, all of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Gateway;
use Test::More;

my $program = Phota::Gateway::program('photactl');
my $top = $Phota::Gateway::top;

sub said {
    my (@args) = @_;

    my ($code, $out, $err) = Phota::Gateway::execute([ $program, @args ], '');

    die "photactl @args: $err\n" if $code;

    return $out;
}

# the page's own words, without requests and fonts

my $page = Phota::Gateway::slurp("$top/man/photactl.8");

$page =~ s/\\-/-/g;
$page =~ s/\\f[BIRP]//g;
$page =~ s/\\~/ /g;

my $completion = said('completion', 'bash');
my (%subjects, %options);

for my $line (split /\n/, said('help')) {
    my ($name) = $line =~ /^  (\S+(?: \S+)?)  / or next;

    $subjects{(split / /, $name)[0]} = 1;
}

cmp_ok(scalar keys %subjects, '>', 12, 'there are commands');

for my $subject (sort keys %subjects) {
    my $help = said('help', $subject);

    like($page, qr/^\.SS \Q$subject\E$/m, "the manual has $subject");
    like($completion, qr/\b\Q$subject\E\b/, "so has the completion");

    for my $line ($help =~ /^photactl (.*)$/mg) {
        my ($verb) = $line =~ /^\Q$subject\E ([a-z]+)\b/;

        if ($verb && $completion =~ /^ +\Q$subject\E\\ \Q$verb\E\)/m) {
            like($page, qr/\b\Q$verb\E\b/, "the manual has $subject $verb");
        }

        $options{$_} = $subject for $line =~ /(?<![\w-])(--[a-z][a-z-]*)/g;
    }
}

cmp_ok(scalar keys %options, '>', 30, 'there are options');

for my $option (sort keys %options) {
    like($page, qr/\Q$option\E\b/, "the manual has $option");
    like($completion, qr/'[^']*\Q$option\E(?![\w-])/, "the completion, too");
}

# the script is one, and completes

SKIP: {
    skip 'no bash', 5 if !-x '/bin/bash';

    my $complete = sub {
        my (@words) = @_;

        my ($code, $out, $err) = Phota::Gateway::execute([ '/bin/bash', '-c',
            'eval "$0"; COMP_WORDS=(photactl "$@");'
            . ' COMP_CWORD=$#; _photactl; echo "${COMPREPLY[*]}"',
            $completion, @words ], '');

        die $err if $code || $err ne '';
        chomp $out;

        return $out;
    };

    is($complete->('le'), 'ledger', 'a command');
    is($complete->('ledger', 've'), 'verify', 'its verb');
    is($complete->('--data', '/x', 'ledger', 'archive', '--b'), '--before',
        'its option');
    is($complete->('tenant', 'set', 'acme', '--cache-scope', 's'), 'shared',
        'a value');
    unlike($complete->('ledger', 'verify', '--'), qr/--before/,
        'nothing of another command');
}

done_testing();
