package Phota::HTTP;

# A raw HTTP/1.1 client.  It sends and reads at the same time, so that an
# answer is seen although the body is still on its way, and it can be a rude
# client: pieces, pauses, half-closed, gone by FIN or RST at a chosen moment.
# A connection is an object; one shot is Phota::HTTP::request().

use strict;
use warnings;

use Errno qw/ EAGAIN EINTR EWOULDBLOCK /;
use IO::Socket::INET;
use JSON::PP ();
use Socket qw/ SOL_SOCKET SO_LINGER /;
use Time::HiRes qw/ time sleep /;

our $slow = $ENV{PHOTA_SLOW} || 1;

# port; timeout in seconds (20), for a whole request

sub connect {
    my ($class, $port, %o) = @_;

    my $socket = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => $port, Proto => 'tcp',
        Timeout => 5 * $slow) or die "can't connect to port $port: $@\n";

    $socket->blocking(0);

    return bless { socket => $socket, port => $port, in => '',
        timeout => ($o{timeout} || 20) * $slow }, $class;
}

# one request on a connection of its own

sub request {
    my ($port, $method, $path, $headers, $body, %o) = @_;

    my $c = Phota::HTTP->connect($port, timeout => $o{timeout});

    return $c->exchange($method, $path, [ @{$headers || []},
        Connection => 'close' ], $body, %o);
}

# headers: a list of names and values.  Options:
#   chunked    size of the chunks that the body is sent in
#   length     a false Content-Length
#   expect     Expect: 100-continue, the body waits for the gateway's word
#   pieces     size of the writes (65536); delay: seconds before each
#   half_close shut down our sending side once all is sent
#   drain      go on sending after a complete answer, to keep the connection
#   leave      'fin' or 'rst'; at: 'sent', 'head', or bytes of body sent (a
#              number) ; then after so many seconds more: linger

sub exchange {
    my ($self, @request) = @_;

    local $SIG{PIPE} = 'IGNORE';

    my $x = $self->begin(@request);

    until ($x->{over}) {
        $self->_turn($x);
    }

    return $self->ended($x);
}

# the same in three steps, for those who have many under way: between begin()
# and ended() whoever waits for sockets calls readable() until $x->{over}

sub begin {
    my ($self, $method, $path, $headers, $body, %o) = @_;

    my $answer = Phota::HTTP::Answer->new;
    my @out = $self->_pieces($method, $path, $headers, $body, %o);

    my $x = { answer => $answer, out => \@out, o => \%o, body_sent => 0,
        method => $method, offset => 0, parse => 'head', begun => time(),
        gated => 0 };

    $x->{deadline} = $x->{begun} + $self->{timeout};
    $x->{next} = $x->{begun};

    return $x;
}

sub readable {
    my ($self, $x) = @_;

    $self->_read($x);
}

sub ended {
    my ($self, $x) = @_;

    my $answer = $x->{answer};

    $answer->{seconds} = time() - $x->{begun};
    $answer->{body_sent} = $x->{body_sent};

    return $answer;
}

sub close {
    my ($self, $how) = @_;

    my $socket = delete $self->{socket} or return;

    if (($how || 'fin') eq 'rst') {
        setsockopt($socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
    }

    close($socket);
}

# head and body as a list of [ text, bytes of body in it ]

sub _pieces {
    my ($self, $method, $path, $headers, $body, %o) = @_;

    my @h = @{$headers || []};
    my $text = "$method $path HTTP/1.1\r\nHost: 127.0.0.1:$self->{port}\r\n";

    while (my ($name, $value) = splice(@h, 0, 2)) {
        $text .= "$name: $value\r\n";
    }

    if (defined $body) {
        $text .= $o{chunked} ? "Transfer-Encoding: chunked\r\n"
            : 'Content-Length: ' . ($o{length} // length $body) . "\r\n";
        $text .= "Expect: 100-continue\r\n" if $o{expect};
    }

    my @out = ([ "$text\r\n", 0 ]);

    if (defined $body) {
        my $size = $o{chunked} || $o{pieces} || 65536;

        for (my $i = 0; $i < length $body; $i += $size) {
            my $part = substr($body, $i, $size);
            my $n = length $part;
            $part = sprintf("%x\r\n", $n) . "$part\r\n" if $o{chunked};
            push @out, [ $part, $n ];
        }

        push @out, [ "0\r\n\r\n", 0 ] if $o{chunked} && !$o{cut};
    }

    return @out;
}

# waits for the next thing to do and does it

sub _turn {
    my ($self, $x) = @_;

    my $now = time();
    my ($r, $w) = ('', '');

    if ($now > $x->{deadline}) {
        $x->{answer}{error} = 'timed out';
        $x->{over} = 1;
        return;
    }

    if (defined $x->{leave_at} && $now >= $x->{leave_at}) {
        $self->close($x->{o}{leave});
        $x->{answer}{left} = 1;
        $x->{over} = 1;
        return;
    }

    my $sending = @{$x->{out}} && !$x->{gated};
    my $wait = $x->{deadline} - $now;

    if (defined $x->{leave_at} && $x->{leave_at} - $now < $wait) {
        $wait = $x->{leave_at} - $now;
    }

    vec($r, fileno($self->{socket}), 1) = 1;

    if ($sending && $x->{next} <= $now) {
        vec($w, fileno($self->{socket}), 1) = 1;

    } elsif ($sending && $x->{next} - $now < $wait) {
        $wait = $x->{next} - $now;
    }

    my $n = select(my $ready = $r, my $writable = $w, undef, $wait);

    return if $n <= 0;

    $self->_read($x) if vec($ready, fileno($self->{socket}), 1);

    if (!$x->{over} && $w ne '' && vec($writable, fileno($self->{socket}), 1))
    {
        $self->_write($x);
    }
}

sub _write {
    my ($self, $x) = @_;

    my $piece = $x->{out}[0] or return;
    my $n = syswrite($self->{socket}, $piece->[0],
        length($piece->[0]) - $x->{offset}, $x->{offset});

    if (!defined $n) {
        return if $! == EAGAIN || $! == EINTR || $! == EWOULDBLOCK;

        $x->{answer}{write_error} = "$!";
        @{$x->{out}} = ();
        return;
    }

    $x->{offset} += $n;

    if ($x->{offset} == length $piece->[0]) {
        shift @{$x->{out}};
        $x->{offset} = 0;
        $x->{gated} = 1 if $x->{o}{expect} && !$x->{head_sent};
        $x->{head_sent} = 1;
        $x->{body_sent} += $piece->[1];
        $x->{next} = time() + ($x->{o}{delay} || 0);
    }

    $self->_sent($x);
}

sub _sent {
    my ($self, $x) = @_;

    my $at = $x->{o}{leave} ? ($x->{o}{at} // 'sent') : '';

    if ($at =~ /^\d/ && $x->{body_sent} >= $at) {
        $self->_leave($x);
    }

    return if @{$x->{out}};

    $self->_leave($x) if $at eq 'sent';

    if ($x->{o}{half_close}) {
        $self->{socket}->shutdown(1);
    }

    if ($x->{parse} eq 'done') {
        $x->{over} = 1;
    }
}

sub _leave {
    my ($self, $x) = @_;

    $x->{leave_at} //= time() + ($x->{o}{linger} || 0);
}

sub _read {
    my ($self, $x) = @_;

    my $n = sysread($self->{socket}, $self->{in}, 262144, length $self->{in});

    if (!defined $n) {
        return if $! == EAGAIN || $! == EINTR || $! == EWOULDBLOCK;
    }

    if (!$n) {
        $self->_end($x, defined $n ? undef : "$!");
        return;
    }

    while ($self->_parse($x)) { }

    if ($x->{parse} eq 'done' && !($x->{o}{drain} && @{$x->{out}})) {
        $x->{over} = 1;
    }
}

# the peer closed, or reset

sub _end {
    my ($self, $x, $error) = @_;

    my $a = $x->{answer};

    $x->{over} = 1;
    $self->{closed} = 1;

    return if $x->{parse} eq 'done';

    if ($x->{parse} eq 'rest' && !defined $error) {
        $a->{complete} = 1;
        return;
    }

    $a->{error} = $error || 'closed early';
}

# takes what it can from the input; true when there may be more to take

sub _parse {
    my ($self, $x) = @_;

    my $a = $x->{answer};

    if ($x->{parse} eq 'head') {
        return $self->_parse_head($x);
    }

    if ($x->{parse} eq 'length' || $x->{parse} eq 'chunk') {
        my $take = length $self->{in};
        $take = $x->{left} if $take > $x->{left};

        $a->{body} .= substr($self->{in}, 0, $take, '');
        $x->{left} -= $take;

        return 0 if $x->{left};
        return $self->_done($x) if $x->{parse} eq 'length';

        $x->{parse} = 'crlf';
    }

    if ($x->{parse} eq 'crlf') {
        return 0 if length $self->{in} < 2;
        substr($self->{in}, 0, 2, '');
        $x->{parse} = 'size';
    }

    if ($x->{parse} eq 'size') {
        $self->{in} =~ s/^([0-9a-fA-F]+)[^\r\n]*\r\n// or return 0;
        $x->{left} = hex $1;
        $x->{parse} = $x->{left} ? 'chunk' : 'trailer';
        return 1;
    }

    if ($x->{parse} eq 'trailer') {
        $self->{in} =~ s/^((?:[^\r\n]+\r\n)*)\r\n// or return 0;
        return $self->_done($x);
    }

    if ($x->{parse} eq 'rest') {
        $a->{body} .= $self->{in};
        $self->{in} = '';
    }

    return 0;
}

sub _parse_head {
    my ($self, $x) = @_;

    my $a = $x->{answer};
    my $end = index($self->{in}, "\r\n\r\n");

    return 0 if $end < 0;

    my ($line, @lines) = split /\r\n/, substr($self->{in}, 0, $end);
    substr($self->{in}, 0, $end + 4, '');

    my ($status) = $line =~ m{^HTTP/1\.[01] (\d{3})} or die "bad: $line\n";

    if ($status < 200) {
        $a->{continued} = 1 if $status == 100;
        $x->{gated} = 0;
        return 1;
    }

    $a->{status} = $status;
    $a->{sent_at_head} = $x->{body_sent};
    $a->add_headers(@lines);

    # whoever was told the outcome doesn't send what was asked for by Expect

    @{$x->{out}} = () if $x->{gated};

    $self->_leave($x) if $x->{o}{leave} && ($x->{o}{at} // '') eq 'head';

    my $length = $a->header('Content-Length');

    if ($x->{method} eq 'HEAD' || $status == 204 || $status == 304) {
        return $self->_done($x);
    }

    if (lc($a->header('Transfer-Encoding') // '') eq 'chunked') {
        $x->{parse} = 'size';

    } elsif (defined $length) {
        $x->{parse} = 'length';
        $x->{left} = $length;

    } else {
        $x->{parse} = 'rest';
    }

    return 1;
}

sub _done {
    my ($self, $x) = @_;

    $x->{parse} = 'done';
    $x->{answer}{complete} = 1;

    return 0;
}


package Phota::HTTP::Answer;

# What came back: status (0 when nothing did), headers, body, and how it went.

use strict;
use warnings;

sub new {
    my ($class, %o) = @_;

    return bless { status => 0, headers => {}, lines => [], body => '', %o },
        $class;
}

sub add_headers {
    my ($self, @lines) = @_;

    for my $line (@lines) {
        my ($name, $value) = $line =~ /^([^:]+):\s*(.*?)\s*$/ or next;

        push @{$self->{lines}}, [ $name, $value ];

        my $known = \$self->{headers}{lc $name};
        $$known = defined $$known ? "$$known, $value" : $value;
    }
}

sub status { $_[0]{status} }
sub body { $_[0]{body} }
sub complete { $_[0]{complete} }
sub header { $_[0]{headers}{lc $_[1]} }

# the body as JSON, or an empty object

sub json {
    my ($self) = @_;

    $self->{json} //= eval { JSON::PP::decode_json($self->{body}) } || {};

    return $self->{json};
}

# every byte that reached the client, for looking at what must not be there

sub bytes {
    my ($self) = @_;

    return join('', map { "$_->[0]: $_->[1]\n" } @{$self->{lines}})
        . $self->{body};
}

# in one line, for a test that failed

sub summary {
    my ($self) = @_;

    my $body = length $self->{body} > 300 ? length($self->{body}) . ' bytes'
        : $self->{body};

    return "status $self->{status}"
        . ($self->{error} ? " ($self->{error})" : '')
        . ' Cache-Status: ' . ($self->header('Cache-Status') // '-')
        . " body: $body";
}

1;
