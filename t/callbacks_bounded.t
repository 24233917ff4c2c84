# Stored results cost nothing, and asking for them as jobs doesn't either: a
# tenant whose receiver never answers has only so many callbacks waiting, and
# neither other tenants nor a worker that leaves wait for him.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Receiver;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme globex / ],
    main => 'worker_shutdown_timeout 2s;');
my $g = $t->gateway;
my ($acme, $globex) = map { $t->token($_) } qw/ acme globex /;

my $hole = Phota::Receiver->new(answers => [ { hang => 1 } ]);
my $receiver = Phota::Receiver->new;

$t->sim->config(size => 'tiny');

sub rows {
    my ($tenant) = @_;

    return scalar grep { /"tenant":"$tenant"/ } split /\n/,
        $g->ctl_ok('callback', 'list', '--json');
}

my %body = (prompt => 'again', response_mode => 'urls');
my %accepted;

is($t->post('remix', $acme, remix(%body))->status, 200, 'a result is stored');

for my $n (1 .. 120) {
    my $answer = $t->submit('remix', $acme, { %body, callback_url =>
        $hole->url("/$n") });

    $accepted{$answer->status}++;
}

is_deeply(\%accepted, { 202 => 120 }, 'it is a job as often as it is asked for');
is(rows('acme'), 100, 'not all of them are called back');
is($t->sim->calls('remix'), 1, 'it was bought once');

my $job = $t->submit('remix', $globex, { callback_url =>
    $receiver->url('/hook') });

is(scalar(my @got = $receiver->wait_for(1, 15)), 1,
    'another tenant is called back meanwhile');
is($got[0]{path}, '/hook', 'at his receiver');

my @old = $g->workers;

$g->reload;
ok(wait_for(sub { !grep { kill 0, $_ } @old }, 8),
    'a worker that leaves doesn\'t wait for a receiver that is silent');

$t->finish;
done_testing();
