# The tenant is called back when its job has ended: signed with a secret of its
# own, with the words of a poll, again and again until its receiver says that it
# is well, through restarts, until it is given up and listed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Callbacks;
use Phota::Fail;
use Phota::Receiver;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ time sleep /;
use Time::Local ();

my $t = Phota::Test->new(start => 0, tenants => [ qw/ acme globex / ]);
my $g = $t->gateway;
my $dir = $t->dir;
my $fail = Phota::Fail->new("$dir/fail", books => $g->data . '/books');

# what receivers get is searched for keys and tokens with all that clients get

my $hook = Phota::Receiver->new(dir => "$dir/client/hook");
my $second = Phota::Receiver->new(dir => "$dir/client/second");
$g->{env} = $fail->env;
$g->{http} = "phota_results_url http://127.0.0.1:@{[ $t->port ]}"
    . '/phota/results/;';

# the shipped lines, with a test's patience

$g->{config} = sub {
    my ($text) = @_;

    my $lines = Phota::Gateway::slurp(
        "$Phota::Gateway::top/conf/phota_outbound_params");

    $lines =~ s{(proxy_read_timeout\s+)30s}{${1}2s};
    $text =~ s{include \S+/phota_outbound_params;}{$lines};

    return $text;
};

use_test($t, $fail);
$t->start;
$t->sim->config(size => 'tiny');

subtest 'signed, and in the words of a poll' => sub {
    my %secret = map { $_ => secret($_) } qw/ acme globex /;

    like($secret{$_}, qr/^whsec_[\w-]{43}$/, "$_ has a secret")
        for qw/ acme globex /;
    isnt($secret{acme}, $secret{globex}, 'each its own');
    is($t->ctl_ok('webhook-secret', 'acme'), "$secret{acme}\n",
        'the operator can tell it');

    my %job = (
        acme => begin($hook->url('/acme?who=a&b=%20'), fields =>
            { client_request_id => 'order 7' }),
        globex => begin($hook->url('/globex'), tenant => 'globex'),
        failed => begin($hook->url('/failed'), job => 'delay=0;end=failed'),
        expired => begin($hook->url('/expired'),
            job => 'delay=0;end=expired'),
    );

    my ($acme) = came($hook, '/acme?who=a&b=%20');
    my ($globex) = came($hook, '/globex');

    is_signed($acme, $secret{acme}, 'one');
    is_signed($globex, $secret{globex}, 'of another tenant');
    is($acme->{method}, 'POST', 'posted');
    is($acme->{headers}{'content-type'}, 'application/json', 'as JSON');
    is($acme->{headers}{'x-phota-job-id'}, id($job{acme}), 'with its name');

    my $poll = $t->poll($t->token('acme'), $job{acme});

    is(told($acme->{body}), told($poll->body), 'the words of a poll');
    is($acme->{json}{job_id}, id($job{acme}), 'its id');
    is($acme->{json}{client_request_id}, 'order 7', 'the client\'s');

    my ($link) = @{$acme->{json}{result}{download_urls}};
    my ($base, $path) = $link =~ m{^(http://[^/]+)(/phota/results/.*)};

    is($base, 'http://127.0.0.1:' . $t->port, 'links are the gateway\'s own');

    my $picture = Phota::HTTP::request($t->port, 'GET', $path, [], undef);

    is($picture->status, 200, 'and give the picture');
    is($picture->body, ($t->sim->delivered)[0] // '', 'that was made')
        if grep { $_ eq $picture->body } $t->sim->delivered;

    for my $end (qw/ failed expired /) {
        my ($got) = came($hook, "/$end");

        is($got->{json}{status}, $end, "$end is told");
        is($got->{json}{job_id}, id($job{$end}), "$end: of which");
        is_signed($got, $secret{acme}, $end);
        is(told($got->{body}), told($t->poll($t->token('acme'), $job{$end})
            ->body), "$end: in the words of a poll");
    }

    is_delivered($_, 'all are delivered') for values %job;

    for my $request ($hook->got) {
        unlike($request->{head} . $request->{body},
            qr/\Q$t->{key}\E|x-api-key|authorization|job_req_|sim=/i,
            'nothing of the upstream, and no key');
    }

    is($hook->got + 0, 4, 'each once');
};


# of a time as photactl tells it

sub seconds {
    my ($text) = @_;

    my @t = $text =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):([\d.]+)Z$/;

    return Time::Local::timegm(int $t[5], @t[4, 3, 2], $t[1] - 1, $t[0])
        + $t[5] - int $t[5];
}


# writes until nobody reads any more, and reports how much that was

sub endless {
    my ($client, $name, $head, $piece) = @_;

    my $n = 0;

    syswrite($client, $head);

    while ($n < 64 << 20) {
        $n += syswrite($client, $piece) // last;
    }

    $t->report("$name $n");
}

subtest 'again and again, until it is given up' => sub {
    $hook->forget;
    $hook->answer({ status => 302, location => $second->url('/led') });

    my ($busy, $busy_url) = raw(sub {
        syswrite($_[0], "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n") });
    my ($hung, $hung_url) = raw(sub {
        1 while sysread($_[0], my $rest, 4096) });
    my ($body, $body_url) = raw(sub { endless($_[0], 'body',
        "HTTP/1.1 200 OK\r\n\r\n", 'x' x 65536) });
    my ($head, $head_url) = raw(sub { endless($_[0], 'head',
        "HTTP/1.1 200 OK\r\n", 'X-Long: ' . 'x' x 4000 . "\r\n") });
    my $nobody = Phota::Receiver->new;

    $nobody->stop;

    my %job = (busy => begin("$busy_url/"), hung => begin("$hung_url/"),
        nobody => begin($nobody->url('/back')), head => begin("$head_url/"),
        body => begin("$body_url/"), led => begin($hook->url('/leads')));

    my %row = map { $_ => tried($job{$_}, 1) } sort keys %job;

    is($row{body}{delivery}, 'done', 'an endless answer that begins well');
    is($row{$_}{delivery}, 'waiting', "$_: it is tried again")
        for qw/ busy hung nobody head led /;
    is($row{busy}{status}, 500, 'what the receiver said');
    is($row{led}{status}, 302, 'it led elsewhere');
    is($second->got + 0, 0, 'where nobody went');
    is($row{$_}{status}, 0, "$_: it said nothing")
        for qw/ hung nobody head /;
    like($row{$_}{trouble}, qr/receiver/, "$_: why") for qw/ busy hung nobody
        head led /;

    my %said = map { split / /, $_ } $t->reports;

    cmp_ok($said{$_}, '<', 8 << 20, "$_: it isn't read to the end")
        for qw/ body head /;

    kill('TERM', $hung, $head, $body);
    $t->reap($hung, $head, $body);

    # what was refused is tried later and later, through a restart

    ok($t->restart, 'a restart');
    is(secret('acme') =~ /^whsec_/ ? row($job{busy})->{tries} : 0, 1,
        'it isn\'t tried before its time');

    forward(8);
    is(tried($job{nobody}, 2)->{tries}, 2, 'then it is');
    $nobody->start;
    forward(15);
    is_delivered($job{nobody}, 'the receiver is there again');
    is($nobody->got + 0, 1, 'and has it once');

    my ($clock, @next) = (forward(0));

    for my $n (3 .. 12) {
        my $row = tried($job{busy}, $n);

        last if $row->{delivery} ne 'waiting';
        push @next, seconds($row->{next}) - time() - $clock;
        $clock = forward(int($next[-1]) + 1);
    }

    my @sorted = sort { $a <=> $b } @next;

    is_deeply(\@next, \@sorted, 'less and less often');
    cmp_ok($clock, '>', 6 * 3600, 'for hours');

    my $row = row($job{busy}, '--undelivered');

    is($row->{delivery}, 'given_up', 'then it is given up');
    is($row->{tries}, 12, 'after twelve tries');
    is(row($job{nobody}, '--undelivered')->{delivery}, undef,
        'what was delivered isn\'t listed');

    kill('TERM', $busy);
    $t->reap($busy);
};

$t->finish(unknown => 1, holds => 1);

done_testing();
