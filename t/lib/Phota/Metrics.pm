package Phota::Metrics;

# What phota_metrics says: read strictly, as the text format has it, so that
# whatever is wrong with it is found, and asked for a number or a sum.

use strict;
use warnings;

use Phota::HTTP;

our $server = <<'END';
        location = /phota/metrics { phota_metrics; }
        location = /phota/tenants { phota_metrics tenants; }
END

my %suffixes = (histogram => qr/_(?:bucket|sum|count)/);

# by its port; tenants => 1: the other location

sub scrape {
    my ($class, $port, %o) = @_;

    my $path = $o{tenants} ? '/phota/tenants' : '/phota/metrics';
    my $answer = Phota::HTTP::request($port, 'GET', $path, [], undef);

    return $class->parse($answer->body, answer => $answer);
}

sub parse {
    my ($class, $text, %o) = @_;

    my $self = bless { %o, series => {}, types => {}, wrong => [] }, $class;
    my (%over, $family);

    $self->_wrong('the last line has no end') if $text !~ /\n\z/;

    for my $line (split /\n/, $text) {

        if ($line =~ /^# HELP (\S+) (\S.*)$/) {
            $self->_wrong("$1 comes twice") if $over{$1}++;
            $self->{help}{$1} = $2;
            $family = $1;
            next;
        }

        if ($line =~ /^# TYPE (\S+) (counter|gauge|histogram)$/) {
            $self->_wrong("$1: TYPE without HELP") if $1 ne ($family // '');
            $self->{types}{$1} = $2;
            next;
        }

        $self->_sample($family // '', $line);
    }

    $self->_names;
    $self->_histograms;

    return $self;
}

sub _wrong { push @{$_[0]{wrong}}, $_[1] }

sub _sample {
    my ($self, $family, $line) = @_;

    my ($name, $labels, $value) =
        $line =~ /^([a-z_]+)(?:\{([^{}]*)\})? (-?\d+(?:\.\d+)?)$/
        or return $self->_wrong("no sample: $line");

    my %labels;
    my $rest = $labels // '';

    while ($rest =~ s/^([a-z]+)="([^"\\]*)"(?:,|$)//) {
        $labels{$1} = $2;
    }

    $self->_wrong("labels: $line") if $rest ne '';

    my $type = $self->{types}{$family} // '';
    my $suffix = $suffixes{$type} // '';

    $self->_wrong("$line is not of $family") if $name !~ /^$family$suffix$/;
    $self->_wrong("twice: $line")
        if exists $self->{series}{$name}{$labels // ''};
    $self->_wrong("less than nothing: $line")
        if $type ne 'gauge' && $value < 0;

    $self->{series}{$name}{$labels // ''} = { labels => \%labels,
        value => $value };
}

sub _names {
    my ($self) = @_;

    for my $name (sort keys %{$self->{types}}) {
        my $counts = $self->{types}{$name} eq 'counter';

        $self->_wrong("$name: not ours") if $name !~ /^phota_[a-z_]+$/;
        $self->_wrong("$name: _total is for counters")
            if $counts != ($name =~ /_total$/ ? 1 : 0);
        $self->_wrong("$name: not in base units")
            if $name =~ /_(?:ms|milliseconds|us|kb|mb|micro)(?:_|$)/;
    }
}

# buckets never get less, and the last is the count

sub _histograms {
    my ($self) = @_;

    for my $name (grep { $self->{types}{$_} eq 'histogram' }
        sort keys %{$self->{types}})
    {
        my %of;

        for my $s (values %{$self->{series}{"${name}_bucket"}}) {
            my %labels = %{$s->{labels}};
            my $le = delete $labels{le};
            my $key = join(',', map { "$_=\"$labels{$_}\"" }
                sort keys %labels);

            $of{$key}{$le eq '+Inf' ? 9e99 : $le} = $s->{value};
        }

        for my $key (sort keys %of) {
            my $before = 0;

            for my $le (sort { $a <=> $b } keys %{$of{$key}}) {
                $self->_wrong("$name\{$key}: $le is less than before")
                    if $of{$key}{$le} < $before;
                $before = $of{$key}{$le};
            }

            my $count = $self->{series}{"${name}_count"}{$key}{value};

            $self->_wrong("$name\{$key}: has no count of $before")
                if !defined $of{$key}{9e99} || ($count // -1) != $before;
        }
    }
}

sub wrong { @{$_[0]{wrong}} }
sub names { sort keys %{$_[0]{series}} }
sub answer { $_[0]{answer} }

# the sum of a name's series with these labels; undef when there are none

sub sum {
    my ($self, $name, %labels) = @_;

    my $sum;

    for my $s (values %{$self->{series}{$name} || {}}) {
        next if grep { ($s->{labels}{$_} // '') !~ /^(?:$labels{$_})$/ }
            keys %labels;
        $sum = ($sum // 0) + $s->{value};
    }

    return $sum;
}

# the same in micro-USD

sub micro {
    my ($self, $name, %labels) = @_;

    my $sum = $self->sum($name, %labels);

    return defined $sum ? sprintf('%.0f', $sum * 1e6) : undef;
}

# labels that a name has

sub labels {
    my ($self, $name, $label) = @_;

    my %all = map { ($_->{labels}{$label} // '') => 1 }
        values %{$self->{series}{$name} || {}};

    return sort keys %all;
}

1;
