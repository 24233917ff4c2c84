package Phota::Body;

# Request bodies, and the photographs in them.  Photographs are real ones, made
# by ImageMagick once for each test file and kept in memory.  A body can be
# written in many ways that mean the same: order of fields, line breaks in the
# base64, a data: prefix, the URL-safe alphabet.

use strict;
use warnings;

use Exporter qw/ import /;
use JSON::PP ();
use MIME::Base64 qw/ encode_base64 /;

our @EXPORT = qw/ photo noise remix enhance object /;

my %photos;

# photo('jpg', 320, 240, 7): a JPEG or PNG; another seed is another picture

sub photo {
    my ($format, $width, $height, $seed) = @_;

    $format ||= 'jpg';
    $width ||= 96;
    $height ||= 64;
    $seed ||= 1;

    return $photos{"$format $width $height $seed"} //= do {
        open(my $convert, '-|', 'convert', '-size', "${width}x$height",
            '-seed', $seed, 'plasma:fractal', '-quality', 90, "$format:-")
            or die "convert: $!\n";
        binmode($convert);

        my $bytes = do { local $/; <$convert> };
        close($convert) or die "convert failed: $?\n";

        $bytes;
    };
}

# so many bytes that begin as a JPEG does, the same for the same seed

sub noise {
    my ($size, $seed) = @_;

    my $x = 12345 + ($seed || 0);
    my $block = pack('V*', map {
        $x = ($x * 1103515245 + 12345) & 0xffffffff } 1 .. 16384);

    return substr("\xff\xd8\xff" . $block x (1 + int($size / length $block)),
        0, $size);
}

# Bytes (a reference to them) become base64 as options say: breaks (line
# length), prefix ('data:image/jpeg;base64,'), urlsafe, unpadded.

sub image {
    my ($bytes, %o) = @_;

    my $text = encode_base64($$bytes, '');

    $text =~ tr{+/}{-_} if $o{urlsafe};
    $text =~ s/=+$// if $o{unpadded};
    $text =~ s/(.{1,$o{breaks}})/$1\\n/g if $o{breaks};

    return '"' . ($o{prefix} || '') . $text . '"';
}

# object(\@order, \%fields, %how): a JSON object with the fields in that order;
# a reference to a string is an image's bytes, any other value is encoded as it
# is.  how: space: white space between all tokens.

sub object {
    my ($order, $fields, %how) = @_;

    my $json = JSON::PP->new->utf8->allow_nonref->canonical;
    my $space = $how{space} // '';

    my @members = map {
        my $value = $fields->{$_};
        my $text = ref $value eq 'SCALAR' ? image($value, %how)
            : $json->encode($value);

        $space . $json->encode($_) . "$space:$space$text$space"
    } @$order;

    return '{' . join(',', @members) . "}$space";
}

# A remix: input and reference (bytes; small photographs by default), further
# fields as they are named.  Also order: a list of names, or 'reverse'; the
# options of image() and object().

sub remix {
    my %o = @_;

    my %fields = (
        input_image => \(delete $o{input} // photo('jpg', 96, 64, 1)),
        reference_image => \(delete $o{reference} // photo('png', 64, 64, 2)),
    );

    return request(\%fields, %o);
}

sub enhance {
    my %o = @_;

    my %fields = (image => \(delete $o{image} // photo('jpg', 96, 64, 3)));

    return request(\%fields, %o);
}

sub request {
    my ($fields, %o) = @_;

    my %how = map { $_ => delete $o{$_} }
        grep { exists $o{$_} } qw/ breaks prefix urlsafe unpadded space /;
    my $order = delete $o{order};

    my %all = (%$fields, %o);
    my @order = ref $order ? @$order : sort keys %all;
    @order = reverse @order if ($order // '') eq 'reverse';

    return object(\@order, \%all, %how);
}

1;
