package Phota::Cache;

# The cache beside a gateway: pictures and links of answers, what photactl says
# of it, and its bytes: which files hold some, and damage to them where they
# lie.  nginx maps the file, so it sees what is written here at once.

use strict;
use warnings;

use Exporter qw/ import /;
use File::Find ();
use JSON::PP ();
use MIME::Base64 qw/ decode_base64 /;
use Phota::HTTP;
use Socket qw/ PF_INET SOCK_STREAM SOL_SOCKET SO_RCVBUF pack_sockaddr_in
    inet_aton /;
use Time::HiRes qw/ time sleep /;

our @EXPORT = qw/ pictures links mark ask slowly /;

# the decoded pictures of an answer; JSON::PP takes seconds for large ones

sub pictures {
    my ($answer) = @_;

    my ($list) = $answer->body =~ /"images":\[([^\]]*)\]/ or return;

    return map { decode_base64($_) } $list =~ /"([^"]*)"/g;
}

# the paths of its links, as they are asked of this gateway

sub links {
    my ($answer) = @_;

    my ($list) = $answer->body =~ /"download_urls":\[([^\]]*)\]/ or return;

    return map { m{^https?://[^/]+(/.*)} ? $1 : $_ } $list =~ /"([^"]*)"/g;
}

# what is in no other picture: the simulator tells them apart by a comment

sub mark {
    my ($picture) = @_;

    return $picture =~ /(phota-sim [0-9a-f-]+)/ ? $1 : die "no mark\n";
}

# a hit by its fingerprint, and no body

sub ask {
    my ($t, $tenant, $fingerprint, %o) = @_;

    my @headers = ('Phota-Fingerprint' => $fingerprint,
        @{delete $o{headers} || []});

    return $t->post('remix', $t->token($tenant), '', headers => \@headers,
        %o);
}

# a request whose answer is read over so many seconds, evenly, with a small
# buffer.  What nginx hands to the kernel at once is little only where its
# listen has a small sndbuf

sub slowly {
    my ($port, $seconds, $method, $path, $headers, $body) = @_;

    my $text = "$method $path HTTP/1.1\r\nHost: 127.0.0.1:$port\r\n"
        . "Connection: close\r\n";
    my @h = @$headers;

    while (my ($name, $value) = splice(@h, 0, 2)) {
        $text .= "$name: $value\r\n";
    }

    $text .= 'Content-Length: ' . length($body) . "\r\n" if defined $body;

    socket(my $socket, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
    setsockopt($socket, SOL_SOCKET, SO_RCVBUF, 4096);
    connect($socket, pack_sockaddr_in($port, inet_aton('127.0.0.1')))
        or die "connect: $!\n";
    syswrite($socket, "$text\r\n" . ($body // ''));

    my ($in, $begun, $length) = ('', time());

    while (sysread($socket, $in, 8192, length $in)) {
        $length //= $in =~ /\r\n\r\n/ && $in =~ /^Content-Length: (\d+)/mi
            ? $1 : undef;
        next unless $length;

        my $due = $begun + $seconds * length($in) / $length;

        sleep($due - time()) if $due > time();
    }

    my ($head, $rest) = split /\r\n\r\n/, $in, 2;
    my ($line, @lines) = split /\r\n/, $head // '';
    my $answer = Phota::HTTP::Answer->new(body => $rest // '',
        status => ($line // '') =~ / (\d{3})/ ? $1 : 0,
        seconds => time() - $begun);

    $answer->add_headers(@lines);
    $answer->{complete} = length $answer->{body} == ($length // -1);

    return $answer;
}

sub new {
    my ($class, $t) = @_;

    return bless { t => $t, data => $t->gateway->data }, $class;
}

sub file { "$_[0]{data}/cache/data.mdb" }

# bytes that it takes of the disk

sub size {
    my ($self) = @_;

    my @stat = stat($self->file) or return 0;

    return 512 * $stat[12];
}


# --- what photactl says

# a row for each stored result

sub results {
    my ($self, @args) = @_;

    return map { JSON::PP::decode_json($_) }
        split /\n/, $self->{t}->ctl_ok('cache', 'list', '--json', @args);
}

# results, pictures, bytes, garbage

sub stats {
    my ($self) = @_;

    return JSON::PP::decode_json($self->{t}->ctl_ok(qw/ cache stats --json /));
}

# how many results went

sub purge {
    my ($self, @args) = @_;

    return JSON::PP::decode_json($self->{t}->ctl_ok(qw/ cache purge --json /,
        @args))->{results};
}

# exit code, the last line's object, and what is wrong, a sentence each

sub check {
    my ($self, @args) = @_;

    my ($code, $out, $err) = $self->{t}->ctl(qw/ cache check --json /, @args);
    my @lines = map { eval { JSON::PP::decode_json($_) } || {} }
        split /\n/, $out;
    my $report = @lines && exists $lines[-1]{ok} ? pop @lines : {};

    return ($code, $report, join("\n", map { $_->{wrong} // '' } @lines)
        . $err);
}


# --- its bytes

# names of files below the data directory that hold some bytes

sub holders {
    my ($self, $bytes) = @_;

    my @found;

    File::Find::find({ no_chdir => 1, wanted => sub {
        push @found, substr($_, 1 + length $self->{data})
            if -f $_ && offsets($_, $bytes);
    } }, $self->{data});

    @found = sort @found;

    return @found;
}

# where they lie in a file: everywhere, for LMDB leaves old copies behind

sub offsets {
    my ($file, $bytes) = @_;

    open(my $fh, '<:raw', $file) or return;
    my $text = do { local $/; <$fh> } // '';
    my ($at, @offsets) = (0);

    while (($at = index($text, $bytes, $at)) >= 0) {
        push @offsets, $at;
        $at += length $bytes;
    }

    return @offsets;
}

# turns a bit of some bytes' n-th, wherever they lie; how often

sub damage {
    my ($self, $bytes, $n) = @_;

    my @offsets = offsets($self->file, $bytes);

    $self->overwrite($_ + $n, substr($bytes, $n, 1) ^ "\x10") for @offsets;

    return scalar @offsets;
}

# the same of a picture.  In its first chunk it is told from all others; behind
# that the simulator's pictures of one size and format are alike

sub damage_picture {
    my ($self, $picture, $n) = @_;

    my $size = $n < 65000 ? $n + 1 : 200;

    return $self->damage(substr($picture, $n < 65000 ? 0 : $n, $size),
        $size == 200 ? 0 : $n);
}

sub overwrite {
    my ($self, $at, $bytes) = @_;

    open(my $fh, '+<:raw', $self->file) or die $self->file . ": $!\n";
    sysseek($fh, $at, 0);
    syswrite($fh, $bytes) == length $bytes or die "write: $!\n";
    close($fh);
}

1;
