# A command that takes long keeps nobody waiting: reading, buying and other
# commands go on beside it, only so many of them run at once, and one whose
# client has left is done all the same.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use IO::Select ();
use JSON::PP ();
use POSIX ();
use Phota::API;
use Phota::HTTP;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep time /;

plan(skip_all => 'no mdb_load') unless grep { -x "$_/mdb_load" }
    split /:/, $ENV{PATH};

my $t = Phota::Test->new(workers => 1, tenants => [ 'acme' ],
    server => "location $Phota::API::location { phota_api write; }");

my $slow = $Phota::Test::slow;
my $api = Phota::API->new($t);
my $body = remix(prompt => 'kept');

$t->is_miss($t->post('remix', $t->token('acme'), $body), '0.120000', 'bought');

# a request whose answer is not waited for; the connection

my %begun;

sub begin {
    my ($method, $path, $text) = @_;

    my @request = @_;

    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $t->port, Proto => 'tcp') or die "no connection: $!\n";

    $text //= '';

    print $socket "$method $Phota::API::location$path HTTP/1.1\r\n"
        . "Host: localhost\r\nConnection: close\r\n"
        . 'Authorization: Bearer ' . $api->token . "\r\n"
        . 'Content-Length: ' . length($text) . "\r\n\r\n$text";
    $socket->flush;
    $begun{$socket} = \@request;

    return $socket;
}

# its status and its body

sub ended {
    my ($socket) = @_;

    local $/;
    local $SIG{ALRM} = sub { die "no answer\n" };

    alarm(20 * $slow);
    my $answer = <$socket> // '';
    alarm(0);

    return $answer =~ m{^HTTP/1.1 (\d+).*?\r\n\r\n(.*)}s ? ($1, $2) : (0, '');
}

# Until so many commands run that there is no place for another.  One of them
# may have found its place taken by who asks here: then it is begun again.

sub full {
    my ($method, $path, $running) = @_;

    my $answer;

    Phota::Test::wait_for(sub {
        for my $socket (@$running) {
            $socket = begin(@{$begun{$socket}})
                if IO::Select->new($socket)->can_read(0.1);
        }

        $answer = $api->request($method, $path);
        return $answer->status == 503;
    }, 10);

    return $answer;
}


# --- a check that comes to no end: a file of the archive that isn't there yet

my $archive = $t->gateway->data . '/books/archive';
my $fifo = "$archive/0001-1-1.gz";

mkdir $archive, 0700;
chown((stat $t->gateway->data)[4, 5], $archive);
POSIX::mkfifo($fifo, 0600) or die "$fifo: $!\n";
chown((stat $t->gateway->data)[4, 5], $fifo);

my @checks = map { begin('GET', 'ledger/verify') } 1 .. 4;

my $refused = full('GET', 'cache/stats', \@checks);

$t->is_error($refused, 503, 'UNAVAILABLE', 'four read, and no fifth');
is($refused->header('Retry-After'), 1, 'for now');

$t->is_hit($t->post('remix', $t->token('acme'), $body), '0.120000',
    'a hit beside them');
$t->is_miss($t->post('remix', $t->token('acme'), remix(prompt => 'new')),
    '0.120000', 'and a purchase');
is($t->get('usage', $t->token('acme'))->status, 200, 'a tenant asks');
is($api->post('tenant/add', tenant => 'beside')->status, 200,
    'and something is changed');

close(pop @checks);

# now it is there, and no archive

my $writer = fork() // die "fork: $!\n";

if ($writer == 0) {
    for (1 .. 100) {
        open(my $out, '>', $fifo) or last;
        close($out);
        sleep 0.02;
    }

    POSIX::_exit(0);
}

for my $check (@checks) {
    my ($status, $text) = ended($check);

    is($status, 200, 'a check ends');
    ok(!JSON::PP::decode_json($text)->{ok}, 'and says what is wrong');
}

kill('KILL', $writer);
waitpid($writer, 0);
unlink $fifo;
rmdir $archive;

ok(Phota::Test::wait_for(sub { $api->get('cache/stats')->status == 200 }, 10),
    'there are places again, that of the client who left too');
is($api->get('ledger/verify')->json->{ok}, JSON::PP::true,
    'and nothing was wrong with the books');


# --- changes that wait for another process

my $lock = $t->gateway->hold_books;
my @changes = map { begin('POST', 'tenant/add',
    JSON::PP::encode_json({ tenant => "late$_" })) } 1, 2;

$t->is_error(full('POST', 'tenant/add', \@changes), 503, 'UNAVAILABLE',
    'two wait to write, and no third');

is($api->get('tenant/list')->status, 200, 'reading goes on');
$t->is_hit($t->post('remix', $t->token('acme'), $body), '0.120000',
    'and hits do');

close(shift @changes);

$t->gateway->release_books($lock);

my ($status) = ended($changes[0]);

is($status, 200, 'done when the other is gone');

ok(Phota::Test::wait_for(sub {
    2 == grep { /late/ } map { $_->{tenant} } $api->rows('tenant/list') }, 10),
    'both, though a client had left');
$t->finish;
done_testing();
