# A client that goes away doesn't lose what was bought for it: the picture is
# stored, charged once, and the retry hits.  Before, while and after Phota
# answers; by FIN, by RST, and over HTTP/2.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep /;

my $t = Phota::Test->new;
my $acme = $t->token('acme');
my $slow = $Phota::Test::slow;

my %moments = (
    'before the answer' => { fault => 'latency=700', linger => 0.15 },
    'while it comes' => { fault => 'slow=700', linger => 0.3 },
    'after its head' => { fault => 'ok', at => 'head' },
);

my %ways = (
    'FIN' => sub { leave(@_, leave => 'fin') },
    'RST' => sub { leave(@_, leave => 'rst') },
    'half-closed, then RST' => sub {
        leave(@_, leave => 'rst', half_close => 1) },
    'RST_STREAM' => sub { leave2('reset', @_) },
    'GOAWAY' => sub { leave2('goaway', @_) },
    'HTTP/2 and RST' => sub { leave2('rst', @_) },
);

sub leave {
    my ($body, $moment, %o) = @_;

    my $answer = $t->post('remix', $acme, $body, headers =>
        [ 'X-Sim-Size' => 'medium' ], %$moment, %o);

    ok($answer->{left}, 'it left');
}

sub leave2 {
    my ($how, $body, $moment) = @_;

    my $c = Phota::HTTP2->connect($t->port2);
    my $stream = $c->post('/v1/phota/remix', [ 'x-api-key' => $acme,
        'x-sim-size' => 'medium', 'x-sim-fault' => $moment->{fault} ], $body);

    if ($moment->{at}) {
        ok($c->wait_header($stream, 10), 'the head came');
    } else {
        sleep $moment->{linger} * $slow;
    }

    $how eq 'reset' ? $c->reset($stream) : $how eq 'goaway' ? $c->goaway
        : $c->close('rst');

    sleep 0.05;
    $c->close;
}

sub settled {
    return scalar grep { $_->{state} eq 'settled' } $t->gateway->ledger;
}

my $n = 0;

for my $when (sort keys %moments) {
    for my $way (sort keys %ways) {
        my $body = remix(prompt => "$when, $way");

        subtest "$when: $way" => sub {
            $ways{$way}->($body, $moments{$when});
            $n++;

            ok(wait_for(sub { settled() == $n }, 10), 'it is charged');

            my $retry;

            ok(wait_for(sub {
                $retry = $t->post('remix', $acme, $body);
                ($retry->header('Cache-Status') // '') =~ /; hit/;
            }, 3), 'the retry hits');

            is(scalar @{$retry->json->{images} || []}, 1, 'the picture');
            is($t->calls, $n, 'one call for it');
        };
    }
}

# who leaves before its body is complete has bought nothing

my $body = remix(prompt => 'half of it', input => noise(300_000));

for my $how (qw/ fin rst /) {
    my $answer = $t->post('remix', $acme, $body, leave => $how, at => 200_000);

    ok($answer->{left}, "left in the middle of the upload by $how");
}

my $small = remix(prompt => 'half of it over HTTP/2');
my $c = Phota::HTTP2->connect($t->port2);

$c->post('/v1/phota/remix', [ 'x-api-key' => $acme ], $small, cut => 100);
sleep 0.1;
$c->close('rst');
sleep 0.5;

is($t->calls, $n, 'nothing was bought for those');
is(settled(), $n, 'nothing else is charged');

# many at once, each at another moment

my @pids = map {
    my $id = $_;

    $t->background(sub {
        for my $i (1 .. 4) {
            $t->post('remix', $acme, remix(prompt => "load $id $i"),
                fault => 'latency=' . int(rand 150),
                leave => rand() < 0.5 ? 'fin' : 'rst', linger => rand(0.2));
        }
    })
} 1 .. 6;

$t->reap(@pids);

ok(wait_for(sub { !$t->gateway->holds }, 10), 'all calls have ended');
is(settled(), $t->sim->bill('shared')->{calls}, 'and each is charged');

$t->finish;

done_testing();
