package Phota::Docs;

# The pages of the documentation as programs: blocks of "sh" and "console" are
# run in their order, in one shell for each page, and what a console shows is
# what was said.  A block that another test runs says so in a comment above it:
#
#     <!-- run by t/install.t -->
#
# In what a console shows, "…" stands for any rest, and what is another each
# time (names of charges, digests, times) for any of its kind; amounts, words
# and statuses are as they stand.

use strict;
use warnings;

use Phota::Gateway;

our $top = $Phota::Gateway::top;

# [ file, ... ] from the top

sub pages {
    return sort grep { -f "$top/$_" } 'README.md',
        map { s{^\Q$top\E/}{}r } glob("$top/docs/*.md");
}

# { kind, line, text, by } of each fenced block

sub blocks {
    my ($page) = @_;

    my ($block, $by, @blocks);
    my @lines = split /\n/, Phota::Gateway::slurp("$top/$page");

    for my $i (0 .. $#lines) {
        my $line = $lines[$i];

        if ($block && $line =~ /^```\s*$/) {
            push @blocks, $block;
            undef $block;

        } elsif ($block) {
            $block->{text} .= "$line\n";

        } elsif ($line =~ /^```(\w*)/) {
            $block = { kind => $1, line => $i + 1, text => '', by => $by };
            undef $by;

        } elsif ($line =~ /^<!-- run by (\S+) -->$/) {
            $by = $1;

        } elsif ($line =~ /\S/) {
            undef $by;
        }
    }

    die "$page: a block has no end\n" if $block;

    return @blocks;
}

# [ command, what it should say ], of a console; of a script one, with undef

sub steps {
    my ($block) = @_;

    return [ $block->{text}, undef ] if $block->{kind} eq 'sh';

    my (@steps, $more, $here);

    for my $line (split /\n/, $block->{text}) {

        if ($more) {
            $steps[-1][0] .= "$line\n";

        } elsif ($line =~ s/^[\$#] //) {
            push @steps, [ "$line\n", '' ];

        } else {
            $steps[-1][1] .= "$line\n";
            next;
        }

        $here = $1 if $line =~ /<< ?'?(\w+)'?$/;
        undef $here if $here && $line eq $here;

        $more = $here || $line =~ /[\\|]\s*$/ || open_quote($steps[-1][0]);
    }

    return @steps;
}

# whether a quote is open at the end of the text

sub open_quote {
    my ($text) = @_;

    $text =~ s/\\.//gs;
    $text =~ s/'[^']*'|"[^"]*"//g;

    return $text =~ /['"]/;
}

# what may stand where the page shows this line

sub pattern {
    my ($line) = @_;

    my $any = '';

    # amounts of money stay; any other word with a digit in it is a sample

    for my $part (split /(\b\d+\.\d{6}\b|…|[\w-]*\d[\w-]*)/, $line) {
        $any .= $part eq '…' ? '.*'
            : $part =~ /^\d+\.\d{6}$/ ? quotemeta $part
            : $part =~ /^\d{1,3}$/ ? '\d+'
            : $part =~ /\d/ ? '[\w-]+' : quotemeta $part;
    }

    $any =~ s/(?:\\ )+/\\s+/g;

    return qr/^$any\s*$/;
}

# '' when the lines are as they are shown, else what isn't

sub differs {
    my ($shown, $said) = @_;

    my @said = split /\n/, $said;

    for my $line (split /\n/, $shown) {

        if ($line eq '…') {
            @said = ();
            next;
        }

        my $is = shift @said;
        my $pattern = pattern($line);

        return "shown: $line\nsaid:  " . ($is // '(nothing)')
            if !defined $is || $is !~ $pattern;
    }

    return @said ? "said and not shown: $said[0]" : '';
}

1;
