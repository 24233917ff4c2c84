package Phota::Callbacks;

# What tests of callbacks to tenants share: jobs that are called back, what
# becomes of their deliveries, receivers of all kinds.  use_test() says which
# gateway they are of.

use strict;
use warnings;

use Digest::SHA qw/ hmac_sha256_hex /;
use Exporter qw/ import /;
use IO::Socket::INET;
use JSON::PP ();
use Phota::Test;
use POSIX ();
use Test::More;
use Time::HiRes qw/ time sleep /;

our @EXPORT = qw/ use_test begin id row tried is_delivered came forward secret
    is_signed told raw /;

my $slow = $Phota::Test::slow;
my ($t, $fail);
my ($serial, $clock) = (0, 0);

# with its Phota::Fail, where the clock is to go forward

sub use_test { ($t, $fail, $clock) = (@_[0, 1], 0) }

# a job that is called back: fields, job, tenant

sub begin {
    my ($url, %o) = @_;

    my $token = $t->token($o{tenant} // 'acme');
    my $answer = $t->submit('remix', $token, { callback_url => $url,
        prompt => 'call me ' . ++$serial, %{$o{fields} || {}} },
        job => $o{job} // 'delay=0');

    $answer->status == 202 or die 'no job: ' . $answer->summary . "\n";
    $answer->{url} = $url;

    return $answer;
}

sub id { ref $_[0] ? $_[0]->json->{job_id} : $_[0] }

# What became of a delivery, as the operator sees it; jobs of one stored result
# may have one name

sub row {
    my ($job, @args) = @_;

    my ($row) = grep { $_->{job_id} eq id($job) && $_->{url} eq $job->{url} }
        map { JSON::PP::decode_json($_) }
        split /\n/, $t->ctl_ok('callback', 'list', '--json', @args);

    return $row || {};
}

sub tried {
    my ($job, $n) = @_;

    wait_for(sub { (row($job)->{tries} // 0) >= $n }, 10);

    return row($job);
}

sub is_delivered {
    my ($job, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    wait_for(sub { (row($job)->{delivery} // '') eq 'done' }, 10);
    is(row($job)->{delivery}, 'done', $name);
}

# the requests that have come for a path

sub came {
    my ($receiver, $path, $n) = @_;

    wait_for(sub {
        (grep { $_->{path} eq $path } $receiver->got) >= ($n // 1) }, 10);

    return grep { $_->{path} eq $path } $receiver->got;
}

# so many seconds, all in all since the test began

sub forward {
    my ($seconds) = @_;

    $fail->clock($clock += $seconds);

    return $clock;
}

sub secret {
    my ($name) = @_;

    return $t->get('webhook-secret', $t->token($name))->json->{secret};
}

sub is_signed {
    my ($request, $secret, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($time, $mac) = ($request->{headers}{'x-phota-signature'} // '')
        =~ /^t=(\d+),v1=([0-9a-f]{64})$/;

    is($mac, hmac_sha256_hex("$time.$request->{body}", $secret), $name);
    cmp_ok(abs($time - $clock - $request->{time}), '<', 5 * $slow,
        "$name: at its time");
}

# texts without what is new in each of their links

sub told {
    my ($text) = @_;

    $text =~ s/\?Expires=\d+&Signature=[\w-]+//g;

    return $text;
}

# A raw receiver: a function that is called with each connection, once something
# has come; its process and URL

sub raw {
    my ($function) = @_;

    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => 0, Listen => 64, ReuseAddr => 1) or die "socket: $!\n";
    my $parent = $$;
    my $pid = $t->background(sub {
        local $SIG{CHLD} = 'IGNORE';
        local $SIG{PIPE} = 'IGNORE';

        while (getppid() == $parent) {
            vec(my $mask = '', fileno($socket), 1) = 1;
            next if select($mask, undef, undef, 1) <= 0;

            my $client = $socket->accept or next;
            next if fork();

            alarm(30);
            sysread($client, my $in, 65536);
            $function->($client);
            POSIX::_exit(0);
        }
    });

    return ($pid, 'http://127.0.0.1:' . $socket->sockport);
}

1;
