package Phota::HTTP2;

# HTTP/2 without TLS, in two ways.  request() asks curl, a client as they are
# in the world.  The object speaks just enough of the protocol itself to post a
# small body and then to be rude: RST_STREAM, GOAWAY, or a dead connection.

use strict;
use warnings;

use File::Temp ();
use IO::Socket::INET;
use POSIX ();
use Phota::HTTP;
use Socket qw/ SOL_SOCKET SO_LINGER /;
use Time::HiRes qw/ time sleep /;

use constant {
    DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4, PING => 6,
    GOAWAY => 7, END_STREAM => 1, END_HEADERS => 4, ACK => 1, CANCEL => 8,
};

our $slow = $ENV{PHOTA_SLOW} || 1;

# Options: dir for curl's files; timeout; rate (bytes a second, as curl's
# --limit-rate); expect.  The answer is as Phota::HTTP gives it; its error is
# what curl says.

sub request {
    my ($port, $method, $path, $headers, $body, %o) = @_;

    my $files = File::Temp->newdir(DIR => $o{dir} || '/tmp');
    my @args = arguments($port, $method, $path, $headers, $body, $files, %o);
    my $begun = time();

    open(my $curl, '-|', @args) or die "curl: $!\n";
    my $said = do { local $/; <$curl> } // '';
    close($curl);

    my $answer = Phota::HTTP::Answer->new(seconds => time() - $begun);

    my ($sent, $code) = $said =~ /^sent=(\d+) exit=(\d+)/m;
    $answer->{body_sent} = $sent // 0;
    $answer->{error} = "curl's error $code" if $code;

    for my $block (split /\r\n\r\n/, slurp("$files/head")) {
        my ($line, @lines) = split /\r\n/, $block;
        my ($status) = ($line // '') =~ m{^HTTP/2 (\d{3})} or next;

        $answer->{continued} = 1 if $status == 100;
        next if $status < 200;

        $answer->{status} = $status;
        $answer->add_headers(@lines);
    }

    $answer->{body} = slurp("$files/body");
    $answer->{complete} = $code ? 0 : 1;

    return $answer;
}

# curl's command line; the body lies in a file under files

sub arguments {
    my ($port, $method, $path, $headers, $body, $files, %o) = @_;

    my @args = ('curl', '-s', '--http2-prior-knowledge', '-X', $method,
        '-D', "$files/head", '-o', "$files/body", '-m',
        ($o{timeout} || 20) * $slow, '-w',
        "sent=%{size_upload} exit=%{exitcode}\n");
    my @h = @{$headers || []};

    while (my ($name, $value) = splice(@h, 0, 2)) {
        push @args, '-H', "$name: $value";
    }

    push @args, '-H', $o{expect} ? 'Expect: 100-continue' : 'Expect:';
    push @args, '--limit-rate', $o{rate} if $o{rate};

    if (defined $body) {
        open(my $fh, '>:raw', "$files/in") or die "$files/in: $!\n";
        print $fh $body;
        close($fh);

        push @args, '--data-binary', "\@$files/in";
    }

    return (@args, "http://127.0.0.1:$port$path");
}

# a curl that runs by itself, to be killed: its process id

sub spawn {
    my ($port, $method, $path, $headers, $body, $files, %o) = @_;

    my @args = arguments($port, $method, $path, $headers, $body, $files, %o);
    my $pid = fork() // die "fork: $!\n";

    return $pid if $pid;

    open(STDOUT, '>', '/dev/null');
    exec(@args) or POSIX::_exit(127);
}

sub slurp {
    my ($file) = @_;

    open(my $fh, '<:raw', $file) or return '';
    local $/;

    return scalar(<$fh>) // '';
}


# --- the rude one

sub connect {
    my ($class, $port) = @_;

    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => $port, Proto => 'tcp',
        Timeout => 5 * $slow) or die "can't connect to port $port: $@\n";

    my $self = bless { socket => $socket, port => $port, in => '',
        stream => 1 }, $class;

    $self->_write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        . frame(SETTINGS, 0, 0, ''));

    return $self;
}

# the number of the stream; the body must fit the first window of 64 KB.
# Options: cut: leave the last bytes of the body, and the end, unsent

sub post {
    my ($self, $path, $headers, $body, %o) = @_;

    my $stream = $self->{stream};
    my @h = (':method' => 'POST', ':scheme' => 'http', ':path' => $path,
        ':authority' => "127.0.0.1:$self->{port}",
        'content-length' => length $body, @{$headers || []});
    my $block = '';

    while (my ($name, $value) = splice(@h, 0, 2)) {
        $block .= "\0" . integer(length $name) . lc($name)
            . integer(length $value) . $value;
    }

    my $frames = frame(HEADERS, END_HEADERS, $stream, $block);
    my $end = length($body) - ($o{cut} || 0);

    for (my $i = 0; $i < $end; $i += 16384) {
        my $part = substr($body, $i, $end - $i < 16384 ? $end - $i : 16384);
        my $last = $i + length $part == length $body;
        $frames .= frame(DATA, $last ? END_STREAM : 0, $stream, $part);
    }

    $self->{stream} += 2;
    $self->_write($frames);

    return $stream;
}

# waits for the answer's header on a stream: true when it came

sub wait_header {
    my ($self, $stream, $seconds) = @_;

    my $deadline = time() + $seconds * $slow;

    while ((my $left = $deadline - time()) > 0) {
        while ($self->{in} =~ /^(...)(.)(.)(....)/s) {
            my $length = unpack('N', "\0$1");
            my ($type, $flags, $id) = (ord $2, ord $3, unpack('N', $4));

            last if length $self->{in} < 9 + $length;
            substr($self->{in}, 0, 9 + $length, '');

            $self->_write(frame(SETTINGS, ACK, 0, ''))
                if $type == SETTINGS && !($flags & ACK);

            return 1 if $type == HEADERS && $id == $stream;
        }

        vec(my $r = '', fileno($self->{socket}), 1) = 1;
        next if select($r, undef, undef, $left) <= 0;

        sysread($self->{socket}, $self->{in}, 65536, length $self->{in})
            or return 0;
    }

    return 0;
}

sub reset {
    my ($self, $stream) = @_;

    $self->_write(frame(RST_STREAM, 0, $stream, pack('N', CANCEL)));
}

sub goaway {
    my ($self) = @_;

    $self->_write(frame(GOAWAY, 0, 0, pack('NN', 0, 0)));
    $self->close('fin');
}

sub close {
    my ($self, $how) = @_;

    my $socket = delete $self->{socket} or return;

    if (($how || 'fin') eq 'rst') {
        setsockopt($socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
    }

    close($socket);
}

sub _write {
    my ($self, $bytes) = @_;

    local $SIG{PIPE} = 'IGNORE';
    my $offset = 0;

    while ($offset < length $bytes) {
        my $n = syswrite($self->{socket}, $bytes, length($bytes) - $offset,
            $offset) or return;
        $offset += $n;
    }
}

sub frame {
    my ($type, $flags, $stream, $payload) = @_;

    return substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $stream) . $payload;
}

# RFC 7541, 5.1, with a prefix of 7 bits and no Huffman coding

sub integer {
    my ($n) = @_;

    return pack('C', $n) if $n < 127;

    my $bytes = pack('C', 127);
    $n -= 127;

    while ($n >= 128) {
        $bytes .= pack('C', $n % 128 + 128);
        $n = int($n / 128);
    }

    return $bytes . pack('C', $n);
}

1;
