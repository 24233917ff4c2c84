package Phota::Sim;

# The Phota simulator for tests: starts it on a free port, asks for its bill,
# orders faults, stops it.  Core Perl only.  Also holds the small HTTP client
# with which that is done, because tests that want plain calls can use it too.

use warnings;
use strict;

use Cwd ();
use File::Basename ();
use File::Temp ();
use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();
use POSIX ();
use Time::HiRes ();

my $slow = 3 * ($ENV{PHOTA_SLOW} || 1);
my $home = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../sim');


# dir (default: a temporary one); keys: { value => name }, the bill goes by the
# name; photio_keys: the same of Photio; workers; seed; tls => 1

sub new {
    my ($class, %arg) = @_;

    my $self = bless {
        dir => $arg{dir},
        keys => $arg{keys} // { pk_test => 'pk_test' },
        photio_keys => $arg{photio_keys} // {},
        workers => $arg{workers} // 1,
        seed => $arg{seed},
        tls => $arg{tls},
        owner => $$,
    }, $class;

    if (!defined $self->{dir}) {
        $self->{temp} = File::Temp->newdir('phota-sim-XXXXXX', TMPDIR => 1);
        $self->{dir} = $self->{temp}->dirname();
    }

    return $self;
}


sub port { $_[0]->{port} }
sub tls_port { $_[0]->{tls_port} }
sub dir { $_[0]->{dir} }
sub ca { $_[0]->{dir} . '/ca.pem' }
sub url { 'http://127.0.0.1:' . $_[0]->{port} }


# a port can be lost between finding and listening: then another one

sub start {
    my ($self) = @_;
    my $said;

    for (1 .. 5) {
        my $port = $self->{port} // _free_port();
        my $tls_port = $self->{tls_port} // ($self->{tls} && _free_port());

        $said = $self->_run($port, $tls_port);

        if ($? == 0) {
            @$self{qw(port tls_port)} = ($port, $tls_port);
            $self->{pid} = $self->_pid();
            return $self;
        }

        last if defined $self->{port};
    }

    die "the simulator doesn't start: $said";
}


# below the range from which the kernel takes the ports of outgoing connections

sub _free_port {
    for (1 .. 100) {
        my $port = 10000 + int rand 20000;
        my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
                                      LocalPort => $port, Listen => 1,
                                      ReuseAddr => 1);
        return $port if $s;
    }

    die "no free port: $!";
}


sub _run {
    my ($self, $port, $tls_port) = @_;
    my $log = "$self->{dir}/start.log";
    my @args = ('--port', $port, '--dir', $self->{dir},
                '--workers', $self->{workers});

    push @args, '--tls-port', $tls_port if $tls_port;
    push @args, '--seed', $self->{seed} if defined $self->{seed};
    push @args, '--key', "$self->{keys}{$_}=$_" for sort keys %{$self->{keys}};

    push @args, '--photio-key', "$self->{photio_keys}{$_}=$_"
        for sort keys %{$self->{photio_keys}};

    mkdir $self->{dir};

    my $pid = fork() // die "fork() failed: $!";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $log;
        open STDERR, '>&', \*STDOUT;
        exec 'sh', "$home/start.sh", @args or POSIX::_exit(127);
    }

    waitpid $pid, 0;

    open my $fh, '<', $log or return '';
    local $/;
    return <$fh> // '';
}


sub _pid {
    my ($self) = @_;

    open my $fh, '<', "$self->{dir}/sim.pid" or return undef;
    my $pid = <$fh> // '';

    return $pid =~ /^(\d+)/ ? $1 : undef;
}


# the bill stays in the directory: start() again goes on with it

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;

    kill 'TERM', $pid;

    for (1 .. 500) {
        return if !kill(0, $pid) || !-e "$self->{dir}/sim.pid";
        Time::HiRes::sleep(0.01);
    }

    kill 'KILL', $pid;
    warn "the simulator had to be killed, pid $pid\n";
}


sub restart {
    my ($self) = @_;

    $self->stop();
    return $self->start();
}


sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);

    $self->stop() if $$ == $self->{owner};
}


# calls, outputs, identity_outputs, amount in micro-USD and usd ("0.240000") of
# a key, told by its value or its name; or of all, by name

sub bill {
    my ($self, $key) = @_;
    my $bill = $self->_control('GET', 'bill');

    for my $row (values %$bill) {
        $row->{usd} = $row->{amount};
        $row->{amount} = delete $row->{amount_micro};
    }

    return $bill if !defined $key;
    return $bill->{$self->{keys}{$key} // $key}
        // { calls => 0, outputs => 0, identity_outputs => 0, amount => 0,
             usd => '0.000000' };
}


sub bill_csv {
    my ($self) = @_;

    return $self->request('GET', '/_sim/bill.csv')->{body};
}


# requests received, in flight, refused; operations: {remix => n, ...};
# jobs_open, callbacks_waiting

sub counters { $_[0]->_control('GET', 'calls') }


# how many API requests came in, billed or not; or only those of an operation:
# remix, ..., training, jobs (polls), profiles (the list), profile, secret,
# models, photio-remix, picture (links; these aren't in the sum), other

sub calls {
    my ($self, $operation) = @_;
    my $c = $self->counters();

    return defined $operation ? $c->{operations}{$operation} : $c->{received};
}


# the last API request as it was received: method, uri, headers, raw_header,
# body_length, body_sha256, body when it is small, tls

sub last { $_[0]->_control('GET', 'last') }
sub reset { $_[0]->_control('POST', 'reset', {}) }


# the pictures that were made last, their bytes

sub delivered {
    my ($self) = @_;

    return map {
        my ($path) = m{^https?://[^/]+(/.*)};
        $self->request('GET', $path)->{body}
    } @{$self->_control('GET', 'delivered')};
}


# fault('truncate=100; bill=0', count => 2, operation => 'remix'); undef clears

sub fault {
    my ($self, $fault, %arg) = @_;

    return $self->_control('POST', 'fault', { fault => $fault, %arg });
}


# jobs of all accounts in order of submission: job_id, key, status, ends, ended,
# submitted, client_request_id, callback_url, request_id

sub jobs { @{$_[0]->_control('GET', 'jobs')} }


# key, profile_id, tag, status, deleted

sub profiles { @{$_[0]->_control('GET', 'profiles')} }


# what was sent to callback URLs, each attempt: key, job_id, status, url,
# attempt, time, answered, error, signature, body

sub callbacks { @{$_[0]->_control('GET', 'callbacks')} }


# sends one more, of a job of an account (by name): status and delay (ms) as
# they are wanted

sub call_back {
    my ($self, $key, $job, %arg) = @_;

    $self->_control('POST', 'callback', { key => $key, job_id => $job, %arg });
}


# what is open ends now, however long its delay: all jobs, or those of an account
# (by name), or one; none goes on by itself that was submitted with HELD

use constant HELD => 'delay=3600000';

sub end_jobs {
    my ($self, $key, $job) = @_;

    $self->_control('POST', 'end', { $key ? (key => $key) : (),
        $job ? (job_id => $job) : () });
}


# the same of a training, by its profile

sub end_training {
    my ($self, $key, $id) = @_;

    $self->_control('POST', 'end', { key => $key, profile_id => $id });
}


# a profile that an account has had before: tag, status, delay (ms)

sub add_profile {
    my ($self, $key, $id, %arg) = @_;

    $self->_control('POST', 'profile', { key => $key, profile_id => $id,
        %arg });
}


# waits until all jobs that end have ended, and callbacks are sent or given up

sub wait_jobs {
    my ($self, $seconds) = @_;
    my $end = Time::HiRes::time() + ($seconds // 10) * $slow;

    while (Time::HiRes::time() < $end) {
        my $c = $self->counters();

        return 1 if !$c->{jobs_open} && !$c->{callbacks_waiting};
        Time::HiRes::sleep(0.02);
    }

    return 0;
}


sub config {
    my ($self, %arg) = @_;

    return $self->_control(%arg ? ('POST', 'config', \%arg)
                                : ('GET', 'config'));
}


# waits until so many calls are in flight; false when that takes too long

sub wait_in_flight {
    my ($self, $n, $seconds) = @_;
    my $end = Time::HiRes::time() + ($seconds // 5) * $slow;

    while (Time::HiRes::time() < $end) {
        return 1 if $self->counters()->{in_flight} == $n;
        Time::HiRes::sleep(0.02);
    }

    return 0;
}


sub _control {
    my ($self, $method, $name, $arg) = @_;
    my $body = defined $arg ? JSON::PP->new->canonical->encode($arg) : undef;
    my $r = $self->request($method, "/_sim/$name", {}, $body);

    if ($r->{status} != 200) {
        die "simulator: $method $name: "
            . ($r->{error} || $r->{body} || $r->{status}) . "\n";
    }

    return JSON::PP->new->decode($r->{body});
}


sub request {
    my ($self, $method, $path, $headers, $body, %arg) = @_;

    return http_request($self->{port}, $method, $path, $headers, $body, %arg);
}


# One HTTP/1.1 call on a connection of its own.  Gives status (0 without one),
# headers (lower case, the last of equal ones), head, body, and error: '' when
# the answer is complete, else "connect", "write", "timeout", "reset", "closed"
# (before the head's end) or "cut".

sub http_request {
    my ($port, $method, $path, $headers, $body, %arg) = @_;
    my %headers = (Host => 'api.photalabs.com', Connection => 'close',
                   %{$headers // {}});

    $headers{'Content-Length'} //= length $body if defined $body;

    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
        or return _result('', 'connect');

    my $head = join '', "$method $path HTTP/1.1\r\n",
        map { "$_: $headers{$_}\r\n" } grep { defined $headers{$_} }
        sort keys %headers;

    local $SIG{PIPE} = 'IGNORE';

    my $end = Time::HiRes::time() + ($arg{timeout} // 30);
    my $sent = _send($s, "$head\r\n" . ($body // ''), $end);
    my ($text, $error) = _receive($s, $end);

    return _result($text, $error || ($sent ? '' : 'write'), $method);
}


sub _send {
    my ($s, $text, $end) = @_;
    my $at = 0;

    while ($at < length $text) {
        my $n = syswrite $s, $text, 65536, $at;
        return 0 if !defined $n || Time::HiRes::time() > $end;
        $at += $n;
    }

    return 1;
}


sub _receive {
    my ($s, $end) = @_;
    my $select = IO::Select->new($s);
    my $text = '';

    while (1) {
        my $left = $end - Time::HiRes::time();
        return ($text, 'timeout') if $left <= 0 || !$select->can_read($left);

        my $n = sysread $s, $text, 1 << 18, length $text;
        return ($text, 'reset') if !defined $n;
        return ($text, '') if $n == 0;
    }
}


sub _result {
    my ($text, $error, $method) = @_;
    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    my %r = (status => 0, headers => {}, head => $head // '', body => '',
             error => $error);

    if (!defined $body) {
        $r{error} ||= 'closed';
        return \%r;
    }

    ($r{status}) = $head =~ m{^HTTP/1\.\d (\d+)};
    $r{headers}{lc $1} = $2 while $head =~ /^([^:\r\n]+):[ ]*(.*?)\r?$/mg;
    $r{body} = $body;

    my $length = $r{headers}{'content-length'};
    my $complete = 1;

    if (($r{headers}{'transfer-encoding'} // '') eq 'chunked') {
        ($r{body}, $complete) = _dechunk($body);

    } elsif (defined $length && $method ne 'HEAD') {
        $complete = length $body >= $length;
    }

    # a complete answer counts whatever came behind it
    $r{error} = $complete ? (defined $length ? '' : $error) : $error || 'cut';

    return \%r;
}


sub _dechunk {
    my ($in) = @_;
    my ($out, $at) = ('', 0);

    while (1) {
        pos($in) = $at;
        $in =~ /\G([0-9a-fA-F]+)[^\r\n]*\r\n/g or return ($out, 0);

        my $n = hex $1;
        return ($out, 1) if $n == 0;

        $at = pos $in;
        return ($out . substr($in, $at), 0) if $at + $n + 2 > length $in;

        $out .= substr $in, $at, $n;
        $at += $n + 2;
    }
}


1;
