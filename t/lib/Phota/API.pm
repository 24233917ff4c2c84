package Phota::API;

# An operator at the API: a token of his own, commands by their words, and what
# photactl would have said to the same.

use strict;
use warnings;

use JSON::PP ();
use Phota::HTTP;
use Phota::Test ();

our $location = '/phota/';

# scope: read or write (default); label; path of the location

sub new {
    my ($class, $t, %o) = @_;

    my @label = $o{label} ? ('--label', $o{label}) : ();

    my $self = bless { t => $t, path => $location, scope => 'write', %o },
        $class;

    my $token = $t->ctl_ok(qw/ token issue --admin --scope /, $self->{scope},
        @label);
    chomp $token;

    $t->secret($self->{token} = $token);

    if ($t->gateway->master) {
        Phota::Test::everywhere(sub { $self->get('usage')->status == 200 }, 5)
            or die "no worker knows the token\n";
    }

    return $self;
}

sub token { $_[0]{token} }

# the whole request; path behind the location's name.  headers: a list more

sub request {
    my ($self, $method, $path, $body, %o) = @_;

    my $token = exists $o{token} ? $o{token} : $self->{token};
    my @headers = @{$o{headers} || []};

    push @headers, Authorization => "Bearer $token" if defined $token;

    return Phota::HTTP::request($self->{t}->port, $method,
        "$self->{path}$path", \@headers, $body, %o);
}

sub query {
    my (%params) = @_;

    return join('&', map { "$_=" . escape($params{$_}) } sort keys %params);
}

sub escape {
    my ($text) = @_;

    utf8::encode($text) if utf8::is_utf8($text);
    $text =~ s/([^A-Za-z0-9_.~-])/sprintf('%%%02X', ord $1)/ge;

    return $text;
}

sub get {
    my ($self, $command, %params) = @_;

    my $query = query(%params);

    return $self->request('GET', $command . (length $query ? "?$query" : ''));
}

sub post {
    my ($self, $command, %params) = @_;

    return $self->request('POST', $command,
        JSON::PP->new->canonical->encode(\%params),
        headers => [ 'Content-Type' => 'application/json' ]);
}

# all rows of a list, page by page; each answer must be one

sub rows {
    my ($self, $command, %params) = @_;

    my (@rows, $pages);

    while (1) {
        my $json = $self->get($command, %params)->json;

        die "no list: $command\n" unless ref $json->{rows};
        die "$command has no end\n" if ++$pages > 1000;

        push @rows, @{$json->{rows}};

        last unless defined $json->{next};

        $params{cursor} = $json->{next};
    }

    return @rows;
}

# photactl's own words: the one object, or the rows, that --json prints

sub said {
    my ($self, @args) = @_;

    my ($code, $out) = $self->{t}->ctl(@args, '--json');

    return map { JSON::PP::decode_json($_) } split /\n/, $out;
}

1;
