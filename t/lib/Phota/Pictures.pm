package Phota::Pictures;

# What an answer shows: its pictures as bytes, whether they came as base64 or
# as links, and what is said around them.  By patterns, because a JSON parser
# in Perl takes seconds for megabytes.

use strict;
use warnings;

use Exporter qw/ import /;
use JSON::PP ();
use MIME::Base64 qw/ decode_base64 /;

our @EXPORT = qw/ lists pictures fetch around asked told subjects /;

# the texts in "images" and in "download_urls"

sub lists {
    my ($answer) = @_;

    my %lists = $answer->body =~ /"(images|download_urls)":\[([^\]]*)\]/g;

    return { map { $_ => [ $lists{$_} =~ /"([^"]*)"/g ] } keys %lists };
}

# "bytes 2", "urls 1": which of both lists is filled, with how many, or what is
# wrong with them

sub told {
    my ($answer) = @_;

    my $lists = lists($answer);
    my ($images, $urls) = map {
        defined $lists->{$_} ? scalar @{$lists->{$_}} : -1
    } qw/ images download_urls /;

    return "bytes $images" if $images > 0 && $urls == 0;
    return "urls $urls" if $urls > 0 && $images == 0;
    return "images $images, download_urls $urls";
}

# the bytes of all pictures, in order; links are followed

sub pictures {
    my ($t, $answer) = @_;

    my $lists = lists($answer);

    return (
        (map { decode_base64($_) } @{$lists->{images} || []}),
        (map { fetch($t, $_)->body } @{$lists->{download_urls} || []}),
    );
}

# of a link; method, http2 and what else a request may have

sub fetch {
    my ($t, $link, %o) = @_;

    my ($path) = $link =~ m{^\w+://[^/]+(/.*)}s;

    return $t->request(delete $o{method} || 'GET', $path // $link, undef,
        undef, %o);
}

# an answer without its pictures

sub around {
    my ($answer) = @_;

    my $text = $answer->body;

    $text =~ s/"(images|download_urls)":\[[^\]]*\]/"$1":[]/g;

    return $text;
}

# how often each was recognised, as "prof_a=2 prof_b=1"

sub subjects {
    my ($answer) = @_;

    my $counts = JSON::PP::decode_json(around($answer))
        ->{known_subjects}{counts};

    return join(' ', map { "$_=$counts->{$_}" } sort keys %$counts);
}

# the body of the last call, as the simulator was sent it

sub asked {
    my ($t) = @_;

    return $t->sim->last->{body};
}

1;
