# What is stored is never bought again because it is asked for as a job, nor as
# an answer because it was bought as a job: a repeat is a job that has ended
# before it began.  An equal one that is still open is told instead, and a
# submit that is sent again is the job that it was.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Pictures;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(tenants => [ qw/ acme globex dear / ], workers => 2,
    job_poll => '1h');
my ($acme, $globex, $dear) = map { $t->token($_) } qw/ acme globex dear /;

my $held = Phota::Sim::HELD;
my %small = (input => noise(300, 1), reference => noise(300, 2));
my $hit = qr/^phota; hit; ttl=\d+$/;

$t->sim->config(size => 'tiny');
$t->ctl_ok('tenant', 'set', 'dear', '--hit-price', '25%');

sub job {
    my ($token, $prompt, $fields, %o) = @_;

    return $t->submit('remix', $token, { %small, prompt => $prompt,
        %{$fields || {}} }, %o);
}

sub sync {
    my ($token, $prompt, %fields) = @_;

    return $t->post('remix', $token, remix(%small, prompt => $prompt,
        %fields));
}

# ended, and in the cache

sub stored {
    my ($token, $job) = @_;

    my $answer;

    wait_for(sub {
        $answer = $t->poll($token, $job);
        (lists($answer)->{download_urls}[0] // '') =~ m{/phota/results/};
    }, 10) or diag('not stored: ' . $answer->body);

    return $answer;
}

sub header_of {
    my ($answer) = @_;

    return join(' ', map { $answer->header("Phota-$_") // '-' }
        qw/ Cost Price Saved /);
}

# a job of the gateway's own, that has ended; nothing of it was asked upstream

sub is_repeat {
    my ($answer, $money, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $id = $answer->json->{job_id} // '';

    $t->check($name, $answer,
        Phota::Test::differ('status', $answer->status, 202),
        Phota::Test::differ('Cache-Status', Phota::Test::source($answer),
            $hit),
        Phota::Test::differ('money', header_of($answer), $money),
        Phota::Test::differ('job_id', $id, qr/^job_[0-9A-Za-z_-]{30,}$/),
        Phota::Test::differ('state', $answer->json->{status}, 'completed'),
        Phota::Test::differ('poll_url', $answer->json->{poll_url},
            qr{^http://127\.0\.0\.1:\d+/v1/phota/jobs/\Q$id\E$}));
}

# Links are signed anew in each second, and lead to the same

sub undated {
    my ($answer) = @_;

    return $answer->body =~ s/Expires=\d+&Signature=[\w-]+//gr;
}

# the pictures of a poll, each by its bytes

sub shown {
    my ($answer) = @_;

    return join('|', map { $_ =~ /(phota-sim [0-9a-f-]+)/ ? $1 : 'none' }
        pictures($t, $answer));
}


# --- a job, and what repeats it

my $job = job($acme, 'first', {}, job => 'delay=50');
my $told = stored($acme, $job);
my $pictures = shown($told);
my $calls = $t->calls;

like($pictures, qr/^phota-sim \S+$/, 'a job is bought');

for my $http2 (0, 1) {
    my $repeat = job($acme, 'first', { client_request_id => 'mine' },
        http2 => $http2);

    is_repeat($repeat, '0.000000 0.000000 0.120000', 'a repeat');
    is($repeat->json->{client_request_id}, 'mine', 'has its request id');

    my $poll = $t->poll($acme, $repeat, http2 => $http2);

    is($poll->status, 200, 'it has ended');
    is($poll->json->{status}, 'completed', 'and says so');
    is($poll->json->{job_id}, $repeat->json->{job_id}, 'by its name');
    is(told($poll->json->{result} ? $poll : $repeat), 'urls 1', 'with links');
    is(shown($poll), $pictures, 'to the same picture');
    is(undated($t->poll($acme, $repeat, http2 => $http2)), undated($poll),
        'however often')
        for 1 .. 2;
}

my $bytes = job($acme, 'first', { response_mode => 'bytes' });

is_repeat($bytes, '0.000000 0.000000 0.120000', 'asked for as bytes');
is(told($t->poll($acme, $bytes)), 'bytes 1', 'it has bytes');
is(shown($t->poll($acme, $bytes)), $pictures, 'the same');

$t->is_hit(sync($acme, 'first'), '0.120000', 'asked for as an answer');
is(shown(sync($acme, 'first')), $pictures, 'the same');
is(shown(sync($acme, 'first', response_mode => 'urls')), $pictures,
    'as links too');
is($t->calls, $calls, 'for none of this was the upstream asked');

# the other way round

my $answer = sync($acme, 'second', num_output_images => 2);

$t->is_miss($answer, '0.240000', 'an answer is bought');

my $two = job($acme, 'second', { num_output_images => 2 });

is_repeat($two, '0.000000 0.000000 0.240000', 'asked for as a job');
is(shown($t->poll($acme, $two)), shown($answer), 'it is the same pictures');

my $one = job($acme, 'second');

is_repeat($one, '0.000000 0.000000 0.120000', 'one of them');
like(shown($t->poll($acme, $one)), qr/^phota-sim [^|]+$/, 'is one');

# others have no part in it

my $foreign = $t->poll($globex, $two);

$t->is_error($foreign, 404, 'NOT_FOUND', 'its name is of no use to others');
is($t->poll($acme, substr($two->json->{job_id}, 0, -4) . 'AAAA')->status, 404,
    'nor one that was made up');

my $theirs = job($globex, 'first', {}, job => 'delay=20');

is(Phota::Test::source($theirs), 'phota; fwd=uri-miss',
    'who doesn\'t share the cache buys his own');
isnt(shown(stored($globex, $theirs)), $pictures, 'another picture');


# --- more than there is

my $more = job($acme, 'first', { num_output_images => 2 }, job => 'delay=20');

is(Phota::Test::source($more), 'phota; fwd=miss',
    'of more than there is the whole is bought');
is(scalar @{lists(stored($acme, $more))->{download_urls}}, 2, 'both');
is($t->charge($more)->{cost}, '0.240000', 'for the price of both');

is_repeat(job($acme, 'first', { num_output_images => 2 }),
    '0.000000 0.000000 0.240000', 'then it is stored');


# --- what a client says of the cache

my $anew = job($acme, 'first', {}, headers => [ 'Cache-Control' =>
    'no-cache' ]);

is(Phota::Test::source($anew), 'phota; fwd=request', 'no-cache buys anew');
isnt(shown(stored($acme, $anew)), $pictures, 'another picture');

my $quiet = job($acme, 'quiet', {}, headers => [ 'Cache-Control' =>
    'no-store' ]);

is($t->poll_until($acme, $quiet)->json->{status}, 'completed',
    'no-store buys');

$calls = $t->calls;

my $dry = job($acme, 'quiet', {}, headers => [ 'Phota-Dry-Run' => '1' ]);

is("$dry->{status} " . $dry->json->{cache}, '200 miss',
    'and stores nothing, as a dry run says');
is(job($acme, 'first', {}, headers => [ 'Phota-Dry-Run' => '1' ])
    ->json->{cache}, 'hit', 'or that it is stored');

$t->is_error(job($acme, 'unseen', {}, headers => [ 'Cache-Control' =>
    'only-if-cached' ]), 504, 'NOT_CACHED', 'only-if-cached buys nothing');
is_repeat(job($acme, 'second', {}, headers => [ 'Cache-Control' =>
    'only-if-cached' ]), '0.000000 0.000000 0.120000', 'and has what is there');
is($t->calls, $calls, 'for none of this was the upstream asked');


# --- what a hit costs

my $bought = job($dear, 'dear');

stored($dear, $bought);
is_repeat(my $priced = job($dear, 'dear'), '0.000000 0.030000 0.120000',
    'a repeat has its price');

$t->poll($dear, $priced) for 1 .. 3;

my ($used) = @{$t->gateway->usage('--tenant', 'dear')->{rows}};

is("$used->{cost} $used->{price}", '0.120000 0.150000',
    'that is paid once, however often it is polled');


# --- an equal one that is open

my $open = job($acme, 'open', { client_request_id => 'a' }, job => $held);
my $alike = job($acme, 'open', { client_request_id => 'b' });

is($alike->status, 202, 'an equal one');
is(Phota::Test::source($alike), 'phota; fwd=uri-miss; collapsed',
    'is told of the open one');
is($alike->json->{job_id}, $open->json->{job_id}, 'by its name');
is($alike->json->{client_request_id}, 'b', 'with its own request id');
is($alike->header('Phota-Charge-Id'), undef, 'and buys nothing');

my $others = job($globex, 'open', {}, job => 'delay=20');

isnt($others->json->{job_id}, $open->json->{job_id}, 'others buy their own');
isnt(job($acme, 'open', { num_output_images => 2 }, job => 'delay=20')
    ->json->{job_id}, $open->json->{job_id}, 'more is another purchase');

# many at once, on both workers: one charge, one name

my @crowd = $t->parallel(map { [ 'remix', $acme, remix(%small,
    prompt => 'crowd', async => JSON::PP::true(), response_mode => 'urls'),
    job => $held ] } 1 .. 12);
my %names = map { ($_->json->{job_id} // 'none') => 1 } @crowd;

is(scalar grep({ $_->status == 202 } @crowd), 12, 'a crowd is accepted');
is(keys %names, 1, 'by one name');
is(scalar(grep { $_->header('Phota-Charge-Id') } @crowd), 1,
    'which one of them buys');

$t->sim->end_jobs;
is($t->poll_until($acme, $_)->json->{status}, 'completed', 'it ends')
    for sort keys %names;


# --- a submit that is sent again

sub again {
    my ($prompt, $id, %o) = @_;

    return $t->submit('edit', $acme, { prompt => $prompt,
        images => [ 'https://example.com/1.jpg' ],
        client_request_id => $id }, %o);
}

$t->ctl_ok('price', 'add', '--operation', 'edit', '--usd', '0.10');
ok(everywhere(sub { again('dry', 'dry', headers => [ 'Phota-Dry-Run' => '1' ])
    ->status == 200 }, 10), 'edits have a price');

my $order = again('blue', 'order-1', job => $held);
my $retry = again('blue', 'order-1');

is($retry->json->{job_id}, $order->json->{job_id},
    'a request id that is sent again is the same job');
is($t->charge($retry)->{state}, 'void', 'and buys nothing');
$t->sim->end_jobs;
is($t->poll_until($acme, $retry)->json->{status}, 'completed', 'it ends');

my $late = again('blue', 'order-1');

is($late->json->{job_id}, $order->json->{job_id}, 'the same when it has ended');
is($t->poll($acme, $late)->json->{status}, 'completed', 'and tells its end');
is($t->charge($order)->{cost}, '0.100000', 'for one charge');

my @race = map { again('race', 'order-2', job => 'delay=50') } 1 .. 3;

is(scalar(grep { $t->charge($_)->{state} ne 'void' } @race), 1,
    'of three of one name one is bought');
$t->poll_until($acme, $race[0]);

# the same id of another tenant is another

my $foreigner = $t->submit('edit', $globex, { prompt => 'blue',
    images => [ 'https://example.com/1.jpg' ],
    client_request_id => 'order-1' }, job => 'delay=20');

isnt($foreigner->json->{job_id}, $order->json->{job_id},
    'another tenant\'s request id is another');
is($t->poll_until($globex, $foreigner)->json->{client_request_id}, 'order-1',
    'and is given back as sent');

# whose answer was lost: the same job is found by its name, and paid for once

$t->sim->fault('truncate=20', operation => 'edit');

my $lost = again('lost', 'order-3', job => 'delay=50');

is($lost->status, 502, 'an answer is lost');
is($lost->json->{code}, 'OUTCOME_UNKNOWN', 'nobody knows what became of it');
is($t->charge($lost)->{state}, 'unknown', 'nor the books');

my $found = again('lost', 'order-3');

is($t->poll_until($acme, $found)->json->{status}, 'completed',
    'the same submit finds its job');
is($t->charge($found)->{cost}, '0.100000', 'which is paid for');
is(join(' ', @{$t->charge($lost)}{qw/ state reason cost /}),
    'void duplicate 0.000000', 'and the lost one came to nothing else');


# --- under an Idempotency-Key

my @key = (headers => [ 'Idempotency-Key' => 'key 1' ]);
my $keyed = job($acme, 'keyed', { client_request_id => 'k' }, @key,
    job => $held);

$calls = $t->sim->calls('remix');

my $replay = job($acme, 'keyed', { client_request_id => 'k' }, @key);

is($replay->status, 202, 'a key that is sent again');
is($replay->json->{job_id}, $keyed->json->{job_id}, 'is the same job');
is($replay->header('Phota-Charge-Id'), $keyed->header('Phota-Charge-Id'),
    'and charge');
like($replay->header('Cache-Status'), qr/detail=replay/, 'says so');

$t->sim->end_jobs;
stored($acme, $keyed);
$replay = job($acme, 'keyed', { client_request_id => 'k' }, @key);

is($replay->json->{job_id}, $keyed->json->{job_id}, 'also when it has ended');
is($replay->json->{client_request_id}, 'k', 'with its request id');
is($t->poll($acme, $replay)->json->{status}, 'completed', 'which it tells');
is($t->sim->calls('remix'), $calls, 'the upstream was asked once');

$t->is_error(job($acme, 'other', {}, @key), 422, 'IDEMPOTENCY_MISMATCH',
    'another request under it');

# what nobody has polled yet

$t->poll_until($t->token($_->{tenant}), 'job_' . substr($_->{charge_id}, 3))
    for $t->gateway->holds;

$t->finish;

done_testing();
