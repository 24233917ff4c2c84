package Phota::Receiver;

# Who is called back: a small HTTP server in a process of its own, on a free
# port of the loopback.  It answers as it was told to and writes down each
# request as it came, whole, for got() to read.

use strict;
use warnings;

use File::Temp ();
use IO::Socket::INET ();
use JSON::PP ();
use POSIX ();
use Time::HiRes qw/ time sleep /;

my $json = JSON::PP->new->latin1->canonical;

# dir: where it keeps its files (default: a temporary one); port (default: a
# free one); host: its address, 127.0.0.1; answers: see answer()

sub new {
    my ($class, %o) = @_;

    my $temp = $o{dir} ? undef : File::Temp->newdir('phota-receiver-XXXXXX',
        TMPDIR => 1);
    my $self = bless { dir => $o{dir} // "$temp", temp => $temp, owner => $$,
        host => $o{host} // '127.0.0.1', wanted => $o{port} // 0 }, $class;

    mkdir $self->{dir};
    $self->answer(@{$o{answers} || [ 200 ]});

    return $self->start;
}

sub port { $_[0]{port} }

sub url {
    my ($self, $path) = @_;

    return "http://$self->{host}:$self->{port}" . ($path // '/');
}

# The answers to the requests that come from now on, in order; the last one is
# for all that follow.  Each is a status, or a hash: status; location, for a
# redirect; headers, a list; body; delay in seconds; hang => 1 says nothing
# until the other side leaves; close => 1 closes without a word

sub answer {
    my ($self, @answers) = @_;

    my @script = map { ref $_ ? $_ : { status => $_ } } @answers;

    _write("$self->{dir}/script", $json->encode({ version => ++$self->{version},
        answers => \@script }));
}

sub start {
    my ($self) = @_;

    my $socket = IO::Socket::INET->new(LocalAddr => $self->{host},
        LocalPort => $self->{port} // $self->{wanted}, Listen => 64,
        ReuseAddr => 1, Proto => 'tcp', Timeout => 1)
        or die "no receiver: $!\n";

    $self->{port} = $socket->sockport;

    my $pid = fork() // die "fork: $!\n";

    if ($pid == 0) {
        eval { $self->_serve($socket) };
        POSIX::_exit(0);
    }

    $self->{pid} = $pid;
    close($socket);

    return $self;
}

# nobody listens then; start() again has the same port

sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid} or return;

    kill('TERM', $pid);
    waitpid($pid, 0);
}

sub DESTROY {
    my ($self) = @_;

    return if $$ != $self->{owner};

    local ($?, $@, $!);

    $self->stop;
}


# --- what it got

# requests so far: method, path, headers (lower case), head (raw), body, json,
# time

sub got {
    my ($self) = @_;

    my @got = map { $json->decode($_) } split /\n/,
        _read("$self->{dir}/requests");

    for my $request (@got) {
        $request->{json} = eval { JSON::PP::decode_json($request->{body}) };
    }

    return @got;
}

# the same once there are so many, or when that takes too long

sub wait_for {
    my ($self, $n, $seconds) = @_;

    my $end = time() + 3 * ($seconds // 5) * ($ENV{PHOTA_SLOW} || 1);

    while (time() < $end) {
        my $text = _read("$self->{dir}/requests");

        last if $text =~ tr/\n// >= $n;
        sleep 0.02;
    }

    return $self->got;
}

sub forget {
    my ($self) = @_;

    _write("$self->{dir}/requests", '');
}


# --- the process

sub _serve {
    my ($self, $socket) = @_;

    local $SIG{CHLD} = 'IGNORE';
    local $SIG{PIPE} = 'IGNORE';
    local $SIG{TERM} = 'DEFAULT';

    my ($version, $n, @answers) = (0, 0);

    # a test that was killed leaves none behind

    while (getppid() == $self->{owner}) {
        my $client = $socket->accept or next;
        my $script = $json->decode(_read("$self->{dir}/script"));

        if ($script->{version} != $version) {
            ($version, $n) = ($script->{version}, 0);
            @answers = @{$script->{answers}};
        }

        my $answer = $answers[$n < $#answers ? $n : $#answers];

        $n++;

        # slow ones keep nobody else waiting

        my $pid = fork();

        next if $pid || !defined $pid;

        close($socket);
        eval { $self->_handle($client, $answer) };
        POSIX::_exit(0);
    }
}

sub _handle {
    my ($self, $client, $answer) = @_;

    alarm(60);

    my $request = _receive($client) or return;

    $self->_note($request);
    sleep $answer->{delay} if $answer->{delay};

    if ($answer->{hang}) {
        1 while sysread($client, my $rest, 4096);
        return;
    }

    return if $answer->{close};

    my $body = $answer->{body} // '';
    my $status = $answer->{status} // 200;
    my $text = "HTTP/1.1 $status Answer\r\nConnection: close\r\n"
        . 'Content-Length: ' . length($body) . "\r\n";
    my @headers = @{$answer->{headers} || []};

    push @headers, Location => $answer->{location} if $answer->{location};

    while (my ($name, $value) = splice(@headers, 0, 2)) {
        $text .= "$name: $value\r\n";
    }

    syswrite($client, "$text\r\n$body");
    $client->shutdown(1);

    # what is still on its way would make a reset of the close

    1 while sysread($client, my $rest, 4096);
}

sub _receive {
    my ($client) = @_;

    my $in = '';

    until ($in =~ /\r\n\r\n/) {
        sysread($client, $in, 65536, length $in) or return;
    }

    my ($head, $body) = split /\r\n\r\n/, $in, 2;
    my ($line, @lines) = split /\r\n/, $head;
    my ($method, $path) = split / /, $line;
    my %headers;

    for (@lines) {
        $headers{lc $1} = $2 if /^([^:]+):\s*(.*?)\s*$/;
    }

    my $length = $headers{'content-length'} // 0;

    while (length $body < $length) {
        sysread($client, $body, 65536, length $body) or last;
    }

    return { method => $method, path => $path, headers => \%headers,
        head => $head, body => $body, time => time() };
}

# one write a line, so that those who come together don't mix

sub _note {
    my ($self, $request) = @_;

    open(my $fh, '>>:raw', "$self->{dir}/requests") or return;
    syswrite($fh, $json->encode($request) . "\n");
}

sub _write {
    my ($file, $text) = @_;

    open(my $fh, '>:raw', "$file.new") or die "$file: $!\n";
    print $fh $text;
    close($fh);
    rename("$file.new", $file) or die "$file: $!\n";
}

sub _read {
    my ($file) = @_;

    open(my $fh, '<:raw', $file) or return '';
    local $/;

    return <$fh> // '';
}

1;
