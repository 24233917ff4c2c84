package Phota::Crowd;

# Many clients in one process, each on a connection to a worker of one's
# choice, so that it is known who buys and who waits, and when each was
# answered to within the reading of a socket.

use strict;
use warnings;

use Phota::HTTP;
use Socket qw/ IPPROTO_TCP TCP_NODELAY /;
use Time::HiRes qw/ sleep time /;

our $slow = $ENV{PHOTA_SLOW} || 1;

# for the gateway's server block

our $server = '        location = /who { return 200 $pid; }
        keepalive_timeout 1h;';

sub new {
    my ($class, $t) = @_;

    return bless { t => $t, probes => {} }, $class;
}

# so many clients of a worker: the others are stopped while they connect, now
# and then in the midst of something that all wait for

sub on {
    my ($self, $worker, $n, %o) = @_;

    my @clients;

    for (1 .. 20) {
        my @others = grep { $_ != $worker } $self->{t}->gateway->workers;

        kill('STOP', @others);

        while (@clients < ($n // 1)) {
            push @clients, $self->_client($worker, %o) // last;
        }

        kill('CONT', @others);

        last if @clients == ($n // 1);
        sleep 0.1;
    }

    @clients == ($n // 1) or die "no connection to worker $worker\n";

    return $n ? @clients : $clients[0];
}

sub _client {
    my ($self, $worker, %o) = @_;

    my $c = Phota::HTTP->connect($self->{t}->port, timeout => 0.3);
    my $said = $c->exchange('GET', '/who', [], undef)->body;

    return if $said ne $worker;

    # or a body would stay here until the worker's kernel has acknowledged the
    # head, and come after what was sent later

    setsockopt($c->{socket}, IPPROTO_TCP, TCP_NODELAY, 1)
        or die "TCP_NODELAY: $!\n";

    $c->{timeout} = ($o{timeout} || 20) * $slow;

    return bless { t => $self->{t}, c => $c, worker => $worker },
        'Phota::Crowd::Client';
}

# What a worker hasn't been asked for lately it lets a thread look for first.
# Afterwards these workers decide about it at once, and in the order in which
# they are asked; nothing is bought by it

sub known {
    my ($self, $operation, $token, $body, @workers) = @_;

    for my $worker (@workers) {
        my $status = $self->on($worker)->ask($operation, $token, $body,
            headers => [ 'Cache-Control' => 'only-if-cached' ])
            ->answer->status;

        $status == 504 or die "a look at what is not there: $status\n";
    }
}

# returns when the workers have seen all that was sent to them before

sub arrived {
    my ($self, @workers) = @_;

    @workers = $self->{t}->gateway->workers if !@workers;

    for my $worker (@workers) {
        my $probe = $self->{probes}{$worker} //= $self->on($worker);

        for (1 .. 3) {
            my $said = $probe->{c}->exchange('GET', '/who', [], undef)->body;

            $said eq $worker or die "worker $worker doesn't answer\n";
        }
    }
}

# the answers of clients that have asked, in their order; each has {at}, when
# it was complete

sub answers {
    my ($self, @clients) = @_;

    local $SIG{PIPE} = 'IGNORE';

    my %open = map { fileno($_->{c}{socket}) => $_ } grep { $_->{x} } @clients;

    delete @open{grep { $open{$_}->_over } keys %open};

    while (%open) {
        my ($next) = sort { $a <=> $b }
            map { $_->{x}{deadline} } values %open;
        my $mask = '';

        vec($mask, $_, 1) = 1 for keys %open;
        select($mask, undef, undef, $next > time() ? $next - time() : 0);

        for my $fd (keys %open) {
            $open{$fd}{c}->readable($open{$fd}{x}) if vec($mask, $fd, 1);
            delete $open{$fd} if $open{$fd}->_over;
        }
    }

    return map { $_->{answer} } @clients;
}

# whether one of them has been answered yet, in so many seconds

sub answered {
    my ($self, $seconds, @clients) = @_;

    my $mask = '';

    vec($mask, fileno($_->{c}{socket}), 1) = 1 for @clients;

    return select($mask, undef, undef, $seconds) > 0;
}


package Phota::Crowd::Client;

use strict;
use warnings;

use Time::HiRes qw/ time /;

# sends a request whole; answers() waits for what becomes of it

sub ask {
    my ($self, $operation, $token, $body, %o) = @_;

    my $c = $self->{c};
    my $t = $self->{t};

    local $SIG{PIPE} = 'IGNORE';

    $self->{answer} = undef;
    $self->{x} = $c->begin('POST', Phota::Test::path($operation),
        $t->headers($token, $body, %o), $body, %o);

    $c->{socket}->blocking(1);
    $c->_write($self->{x}) while @{$self->{x}{out}};
    $c->{socket}->blocking(0);

    return $self;
}

sub answer {
    my ($self) = @_;

    return (Phota::Crowd::answers(undef, $self))[0];
}

sub leave {
    my ($self, $how) = @_;

    $self->{c}->close($how);
    $self->{x} = undef;
}

sub _over {
    my ($self) = @_;

    my $x = $self->{x};

    if (!$x->{over} && time() > $x->{deadline}) {
        $x->{answer}{error} = 'timed out';
        $x->{over} = 1;
    }

    return 0 if !$x->{over};

    $self->{x} = undef;
    $self->{answer} = $self->{c}->ended($x);
    $self->{answer}{at} = time();
    $self->{answer}{worker} = $self->{worker};

    # a worker that quits waits for us to go

    $self->{c}->close if lc($self->{answer}->header('Connection') // '')
        eq 'close';

    return 1;
}

1;
