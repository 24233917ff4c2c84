# Every write of a purchase fails once, and from there on, in every way that a
# disk fails: the client gets its picture with a charge that stays, or a clear
# error; nothing is bought that isn't held; and when the disk is well again the
# same worker sells again, and nothing is left half done.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Fail;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep time /;

my @ways = (
    { name => 'one error', error => 'EIO' },
    { name => 'no room', error => 'ENOSPC', to => 'always' },
    { name => 'done, and said to have failed', error => 'EIO', how => 'late' },
);

# with PHOTA_IO_ALL every way at every write, which takes minutes

my $all = $ENV{PHOTA_IO_ALL};

push @ways, (
    { name => 'half written', error => 'ENOSPC', how => 'short' },
    { name => 'one error of room', error => 'ENOSPC' },
    { name => 'errors without end', error => 'EIO', to => 'always' },
    { name => 'two errors', error => 'EIO', more => 1 },
    { name => 'done, and errors without end', error => 'EIO', how => 'late',
      to => 'always' },
    { name => 'half written, and no more', error => 'ENOSPC', how => 'short',
      to => 'always' },
) if $all;

my $t = Phota::Test->new(start => 0, workers => 1,
    http => 'phota_spool_memory 64k;');
my $g = $t->gateway;

my $fail = Phota::Fail->new($t->dir . '/fail',
    books => $g->data . '/books', cache => $g->data . '/cache',
    temp => $g->dir . '/temp');

$g->{env} = $fail->env;
$t->start;

my $acme = $t->token('acme');
my ($worker) = $g->workers;
my ($serial, $unsure) = (0, 0);

$t->is_miss($t->post('remix', $acme, remix(prompt => 'before')), '0.120000',
    'before it all');

# how a purchase under failing writes goes, and its retry under the same key

sub try {
    my ($way, $at, $parts, %o) = @_;

    my $body = remix(prompt => 'try ' . ++$serial, %{$o{fields} || {}});
    my @key = (headers => [ 'Idempotency-Key' => "try $serial",
        'X-Sim-Size' => $o{size} || 'tiny' ]);
    my $calls = $t->calls;
    my @wrong;

    $fail->arm(in => $parts, at => $at, error => $way->{error},
        how => $way->{how}, to => $way->{to}
            || ($way->{more} ? $at + $way->{more} : undef));

    my $first = $t->post('remix', $acme, $body, @key);
    my $bought = $t->calls - $calls;

    sleep 0.5 if $way->{to} && $first->status != 200;
    $fail->clear;

    my ($failed, $trace) = ($fail->failed, $fail->trace);
    my $what = "$way->{name} at $at ($trace)";

    return (0, $what) if !$failed;

    push @wrong, first_answer($first, $bought, $parts);

    # no longer than a few ticks of the worker

    my $begun = time();
    my $again;

    wait_for(sub {
        $again = $t->post('remix', $acme, $body, @key);
        $again->status != 503 && $again->status != 409;
    }, 10);

    push @wrong, retry($first, $again, "@$parts");

    $calls = $t->calls - $calls;
    push @wrong, "$calls calls for one key" if $calls != 1;

    push @wrong, whole();
    push @wrong, anew($begun);

    return (1, $what, map { "  $_" } @wrong);
}

# a new one is bought, and stored

sub anew {
    my ($begun) = @_;

    my $body = remix(prompt => "new $serial");
    my $new = $t->post('remix', $acme, $body);

    return 'a new purchase: ' . $new->summary if $new->status != 200;

    wait_for(sub { $t->post('remix', $acme, $body)
        ->header('Cache-Status') =~ /; hit/ }, 10)
        or return 'nothing is stored';

    return if time() - $begun < 5 * $Phota::Test::slow;
    return 'well again only after ' . (time() - $begun) . ' s';
}

sub first_answer {
    my ($answer, $bought, $parts) = @_;

    my $json = $answer->json;
    my $charge = $answer->header('Phota-Charge-Id');

    if ($answer->status == 200) {
        my $state = ($t->charge($answer) || {})->{state} || 'nothing';

        return 'not whole' if !$answer->complete || !@{$json->{images} || []};
        return 'no charge' if !$charge;
        return "told of charge $charge, which is $state"
            if $state ne 'settled';
        return;
    }

    my $code = $json->{code} // 'none';
    my $detail = $json->{detail} // '';

    $unsure++ if $bought;

    return 'no clear error: ' . $answer->summary
        if $answer->status < 500 || $detail eq '' || !$json->{request_id};
    return "said that nothing was bought: $detail"
        if $bought && $detail =~ /nothing was bought/;
    return "not said that nothing was bought: $detail"
        if !$bought && $code eq 'BOOKS_UNAVAILABLE'
            && $detail !~ /nothing was bought/;
    return 'an error of the books without a failure there: '
        . $answer->summary
        if $code eq 'BOOKS_UNAVAILABLE' && !grep { $_ eq 'books' } @$parts;

    return;
}

# the same charge, or the first purchase; where its answer could not be stored
# that is said

sub retry {
    my ($first, $again, $parts) = @_;

    my $told = $first->status == 200
        ? $first->header('Phota-Charge-Id') : undef;

    if ($again->status == 410) {
        return $parts =~ /cache|temp/ ? ()
            : 'gone, though the cache was well: ' . $again->summary;
    }

    return 'the retry: ' . $again->summary if $again->status != 200;

    my $charge = $again->header('Phota-Charge-Id') // 'none';

    return "charge $told became $charge" if $told && $told ne $charge;
    return;
}

# books that are whole: nothing open, nothing lost, the bill to the micro-dollar

sub whole {
    my @wrong;

    wait_for(sub { !$g->holds }, 5);

    push @wrong, "$_->{state}: charge $_->{charge_id}" for $g->holds;

    my ($code, $out, $err) = $t->ctl('ledger', 'verify');
    my $settled = micro($g->usage->{total}{cost});
    my $bill = $t->bill->{amount};

    push @wrong, "verify: $out$err" if $code;
    push @wrong, "settled $settled, bill $bill" if $settled != $bill;

    my @now = $g->workers;

    push @wrong, "worker $worker is now @now" if "@now" ne $worker;
    ($worker) = @now;

    return @wrong;
}

# from the first write to the last one of a purchase

sub every_write {
    my ($way, $parts, %o) = @_;

    my ($at, @all) = (1 - ($o{step} || 1));

    while (($at += $o{step} || 1) < 100) {
        my ($met, $what, @wrong) = try($way, $at, $parts, %o);
        last if !$met;
        push @all, $what, @wrong if @wrong;
    }

    my $where = join(' and ', @$parts);

    ok(!@all, "$way->{name}, at every write of $where")
        or diag(join("\n", @all));
    cmp_ok($at, '>', $o{least}, "there were less than $at in $where");
}

every_write($_, [ 'books' ], least => 4) for @ways;
every_write($_, [ 'cache' ], least => 4) for $all ? @ways : $ways[0];

# bodies and answers that go through files

my @big = (fields => { input => noise(200_000, 1) }, size => 'medium');

every_write($_, [ 'temp' ], least => 2, step => $all ? 1 : 5, @big)
    for $all ? @ways : $ways[1];

cmp_ok($unsure, '>', 2, 'some were bought before it failed');


# --- photactl: done or not, and it says so; nginx has orders of its own

my $ctl = Phota::Fail->new($t->dir . '/fail_ctl',
    books => $g->data . '/books');

sub state_of {
    my ($subject) = @_;

    my $list = $subject eq 'holds' || $subject eq 'key' ? 'ledger' : $subject;

    return $t->ctl_ok($list, 'list', '--json')
        . $t->ctl_ok('tenant', 'list', '--json');
}

sub failing_ctl {
    my ($way, $at, @args) = @_;

    local $g->{ctl_env} = $ctl->env;

    $ctl->arm(in => [ 'books' ], at => $at, error => $way->{error},
        how => $way->{how}, to => $way->{to});

    my @result = $t->ctl(@args);

    $ctl->clear;

    return ($ctl->failed, @result);
}

# args: a function that makes another command line each time

sub every_write_of_ctl {
    my ($way, $name, $args) = @_;

    my ($at, @all) = (0);

    while (++$at < 100) {
        my @args = $args->();
        my $before = state_of($name =~ /^(\w+)/);
        my ($failed, $code, $out, $err) = failing_ctl($way, $at, @args);
        my $what = "at $at (" . $ctl->trace . '): ';
        my $same = state_of($name =~ /^(\w+)/) eq $before;

        if (!$failed) {
            push @all, "${what}exit $code, $err" if $code || $same;
            last;
        }

        # a commit that is durable and said to have failed may be either

        push @all, "${what}exit $code" if $code != 1;
        push @all, "${what}nothing said" if $err !~ /\S/;
        push @all, "${what}printed $out" if $out ne '';
        push @all, "${what}half done"
            if !$same && ($way->{how} || '') ne 'late';
        $t->ctl(@args) if $args[0] eq 'holds';
    }

    push @all, whole();

    ok(!@all, "photactl $name: $way->{name}") or diag(join("\n", @all));
    cmp_ok($at, '>', 3, "at each of " . ($at - 1) . ' writes');
}

my $n = 0;

my @commands = (
    'tenant add' => sub { ('tenant', 'add', 'tenant' . ++$n) },
    'tenant set' => sub { ('tenant', 'set', 'acme', '--budget-total',
        1000 + ++$n) },
    'token issue' => sub { ('token', 'issue', 'acme') },
    'price add' => sub { ('price', 'add', '--operation', 'edit', '--usd',
        '0.' . (100 + ++$n)) },
    'key set' => sub { $t->tenant('keyed' . ++$n);
        (\"phk-$n", 'key', 'set', "keyed$n") },
    'holds void' => sub { ('holds', 'void', unknown(), '--reason', 'test') },
    'holds settle' => sub { ('holds', 'settle', unknown('bill=1'),
        '--reason', 'test') },
);

# a charge whose outcome nobody knows

sub unknown {
    my ($bill) = @_;

    $t->post('remix', $acme, remix(prompt => 'unknown ' . ++$n),
        fault => 'reset' . ($bill ? ";$bill" : ''));
    wait_for(sub { $g->holds }, 5);

    my ($hold) = $g->holds;

    return $hold->{charge_id};
}

while (my ($name, $args) = splice(@commands, 0, 2)) {
    every_write_of_ctl($_, $name, $args) for @ways[0, 2];
}

$t->finish(log => qr/phota:|No space left|Input\/output error/);

done_testing();
