# phota_metrics: what Prometheus reads is what happened.  After a mixed load of
# two workers its numbers are those of the books and of the bill; a reload keeps
# them, and a restart what the books have; names and format are as they must be.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Metrics;
use Phota::Test;
use Test::More;

my $slow = $Phota::Test::slow;
my $t = Phota::Test->new(tenants => [ qw/ acme globex toll poor / ],
    start => 0, server => $Phota::Metrics::server);
my $g = $t->gateway;

$t->ctl_ok(qw/ tenant set toll --hit-price 50% /);
$t->ctl_ok(qw/ tenant set poor --budget-day 0.20 --budget-total 5 /);
$t->ctl_ok(qw/ price add --operation edit --usd 0.10 /);
$t->start;

my ($acme, $globex, $toll, $poor) =
    map { $t->token($_) } qw/ acme globex toll poor /;

sub scrape { return Phota::Metrics->scrape($t->port, @_) }

# at once, by whichever worker

sub is_sound {
    my ($m, $name) = @_;

    is(join("\n", $m->wrong), '', $name);
}


# --- before anything was asked

my $m = scrape();

is($m->answer->status, 200, 'answered');
is($m->answer->header('Content-Type'),
    'text/plain; version=0.0.4; charset=utf-8', 'in the text format');
is($m->answer->header('Cache-Control'), 'no-store', 'not to be kept');
is_sound($m, 'the format is right, with nothing in it yet');
is($m->sum('phota_calls_total'), 0, 'no calls, but all series');
is($m->sum('phota_workers'), 2, 'two workers');
is($m->sum('phota_build_info', version => '0\.1\.0'), 1, 'the version');
is($m->sum('phota_store_up'), 2, 'books and cache can be read');
is($t->request('POST', '/phota/metrics', undef, '{}')->status, 405,
    'nothing is to be posted');

my $head = $t->request('HEAD', '/phota/metrics');

is($head->status, 200, 'HEAD');
is($head->body, '', 'which has no body');


# --- a mixed load

sub ask {
    my ($token, $what, @rest) = @_;

    return $t->post('remix', $token, remix(prompt => $what), @rest);
}

ask($acme, "no. $_") for 1 .. 4;
ask($globex, 'no. 1');
ask($acme, "no. $_") for 1, 1, 2;
ask($toll, 'paid');
ask($toll, 'paid') for 1 .. 2;
ask($acme, 'no. 1', headers => [ 'Cache-Control' => 'no-cache' ]);
ask($acme, 'no. 9', headers => [ 'Cache-Control' => 'no-store' ]);
$t->post('enhance', $acme, enhance(num_output_images => 2));
$t->post('edit', $acme, object([ qw/ prompt images / ],
    { prompt => 'x', images => [ 'https://example.com/a.jpg' ] }));
ask($poor, 'fits');
ask($poor, "doesn't fit $_") for 1 .. 2;
$t->post('remix', $acme, '{');
$t->post('remix', 'phg_nobody', '{}');
$t->post('remix', $acme, remix(prompt => 'cached?'),
    headers => [ 'Cache-Control' => 'only-if-cached' ]);

# several who want the same at once: one buys, the others join or hit

$t->parallel(map { [ 'remix', $acme, remix(prompt => 'crowd'),
    fault => 'latency=' . 500 * $slow ] } 1 .. 4);

# what the upstream does

ask($acme, "error $_", fault => "status=$_") for 401, 402, 429, 404, 500;
ask($acme, 'cut', fault => 'truncate=100');

# free hits are in the books within a second

ok(wait_for(sub {
    my $total = $g->usage->{total};
    my $now = scrape();

    return $now->sum('phota_books_calls') == $total->{calls}
        && $now->sum('phota_calls_total') == $total->{calls}
        && $now->sum('phota_holds') == 2;
}, 10 * $slow), 'all is counted, and booked');

$m = scrape();
is_sound($m, 'the format is right');


# --- what it says is what the books have

my $usage = $g->usage;

for my $operation (qw/ remix enhance edit /) {
    my %sum;

    for my $row (grep { $_->{operation} eq $operation } @{$usage->{rows}}) {
        $sum{$_} += $row->{$_} for qw/ calls hits outputs identity_outputs /;
        $sum{$_} += micro($row->{$_}) for qw/ cost price saved /;
    }

    my @of = (operation => $operation);
    my @bought = (@of, cache => 'miss|bypass|refresh');
    my @got = (@of, cache => 'hit|join');

    is($m->sum("phota_books_$_", @of), $sum{$_}, "$operation: $_ of the books")
        for qw/ calls hits outputs identity_outputs /;
    is($m->micro("phota_books_${_}_usd", @of), $sum{$_},
        "$operation: $_ of the books") for qw/ cost price saved /;

    is($m->sum('phota_calls_total', @of), $sum{calls},
        "$operation: as many calls were counted");
    is($m->sum('phota_calls_total', @got), $sum{hits},
        "$operation: of them as many hits and joins");
    is($m->sum('phota_outputs_total', @bought), $sum{outputs},
        "$operation: as many pictures were bought");
    is($m->micro("phota_${_}_usd_total", @of), $sum{$_},
        "$operation: as much $_ was counted") for qw/ cost price saved /;
    is($m->micro('phota_cost_usd_total', @got), 0,
        "$operation: a hit costs nothing");
}

is($m->micro('phota_books_cost_usd'), micro($usage->{total}{cost}),
    'the total is that of the books');

# ... and what the bill says, but for the two that nobody knows

my $unknown = $m->micro('phota_holds_usd', state => 'unknown');
my $bill = 0;

$bill += $_->{amount} for values %{$t->sim->bill};

is($m->sum('phota_holds', state => 'unknown'), 2, 'two are unknown');
is($unknown, 240000, 'what they hold');
cmp_ok($m->sum('phota_holds_oldest_age_seconds', state => 'unknown'), '>', 0,
    'how old they are');
is($m->sum('phota_holds', state => 'held|job'), 0, 'nothing is held');
cmp_ok($m->micro('phota_cost_usd_total'), '<=', $bill,
    'no more than the bill');
cmp_ok($m->micro('phota_cost_usd_total') + $unknown, '>=', $bill,
    'and no less, with what is unknown');


# --- how it was answered

is($m->sum('phota_calls_total', cache => 'bypass'), 2, 'two passed by');
is($m->sum('phota_calls_total', cache => 'refresh'), 1, 'one was refreshed');
is($m->sum('phota_calls_total', cache => 'hit|join'), 8, 'hits and joins');
is($m->micro('phota_price_usd_total', cache => 'hit'), 120000,
    'two hits at half the price');
cmp_ok($m->sum('phota_join_wait_seconds_count'), '>', 0, 'some have waited');
cmp_ok($m->sum('phota_join_wait_seconds_sum'), '>', 0, 'and for how long');

is($m->sum('phota_refusals_total', code => $_->[0]), $_->[1],
    "refused: $_->[0]") for [ BUDGET_EXCEEDED => 2 ], [ UNAUTHORIZED => 1 ],
    [ INVALID_REQUEST => 1 ], [ NOT_CACHED => 1 ], [ UPSTREAM_AUTH => 1 ],
    [ UPSTREAM_BALANCE => 1 ], [ OUTCOME_UNKNOWN => 1 ];
is($m->sum('phota_budget_refusals_total', scope => 'tenant', period => 'day'),
    2, 'by the budget of a tenant for the day');
is($m->sum('phota_budget_refusals_total'), 2, 'and by no other');

is($m->sum('phota_upstream_responses_total', result => $_->[0]), $_->[1],
    "upstream: $_->[0]") for [ 401 => 1 ], [ 402 => 1 ], [ 429 => 1 ],
    [ '4xx' => 1 ], [ '5xx' => 1 ], [ truncated => 1 ];
is($m->sum('phota_upstream_responses_total'), $t->calls,
    'as many as the upstream has seen');

cmp_ok($m->sum("phota_${_}_duration_seconds_count"), '>=', 14,
    "each ${_} was timed") for qw/ hold settle /;
cmp_ok($m->sum('phota_request_duration_seconds_count', cache => 'hit'), '>=',
    5, 'hits were timed');
cmp_ok($m->sum('phota_write_group_size_sum', store => 'books'), '>=', 28,
    'the writers did all of it');
cmp_ok($m->sum('phota_cache_results'), '>', 0, 'results are cached');
is($m->sum('phota_cache_results'),
    JSON::PP::decode_json($t->ctl_ok(qw/ cache stats --json /))->{results},
    'as many as photactl counts');


# --- tenants, only where they are asked for

is(join(' ', $m->labels('phota_tenant_cost_usd', 'tenant')), '',
    'no tenant unless asked for');
unlike($m->answer->body, qr/acme|globex/, 'not even a name');

my $by = scrape(tenants => 1);

is_sound($by, 'the format is right with tenants, too');

my $page = Phota::Gateway::slurp("$Phota::Gateway::top/docs/metrics.md");
my @unsaid = grep { my $name = $_;
    $name =~ s/^phota_tenant_(?!budget)/phota_books_/;
    $page !~ /`$name`/ } sort keys %{$by->{types}};

is("@unsaid", '', 'all of it is documented');

for my $row (@{$usage->{rows}}) {
    my @of = (tenant => $row->{tenant}, operation => $row->{operation});

    is($by->sum('phota_tenant_calls', @of), $row->{calls},
        "$row->{tenant}, $row->{operation}: calls");
    is($by->micro("phota_tenant_${_}_usd", @of), micro($row->{$_}),
        "$row->{tenant}, $row->{operation}: $_") for qw/ cost price saved /;
}

is($by->micro('phota_tenant_budget_usd', tenant => 'poor', period => 'day'),
    200000, 'a budget');
is($by->micro('phota_tenant_budget_used_usd', tenant => 'poor',
    period => 'day'), 120000, 'what of it is gone');
is($by->sum('phota_tenant_budget_usd', tenant => 'acme'), undef,
    'none of who has none');


# --- a reload, a restart

$g->reload;

my $after = scrape();

is_sound($after, 'after a reload');
is($after->sum($_), $m->sum($_), "$_ goes on")
    for qw/ phota_calls_total phota_cost_usd_total phota_books_cost_usd
        phota_upstream_responses_total phota_hold_duration_seconds_count
        phota_start_time_seconds /;
ok(wait_for(sub { scrape()->sum('phota_workers') == 2 }, 10 * $slow),
    'two workers again');

ask($acme, 'one more');
ok(wait_for(sub { scrape()->sum('phota_calls_total')
    == $m->sum('phota_calls_total') + 1 }, 5 * $slow), 'and it counts on');

$t->restart;
$after = scrape();

is($after->sum('phota_calls_total'), 0, 'a restart counts anew');
is($after->micro('phota_books_cost_usd'), micro($g->usage->{total}{cost}),
    'the books have all of it');

# what is taken back is taken from what the books have

my ($charge) = map { $_->{charge_id} } grep { $_->{state} eq 'unknown' }
    $g->ledger;

$t->ctl_ok(qw/ holds void --reason seen /, $charge);
is(scrape()->sum('phota_holds', state => 'unknown'), 1,
    "an operator's word is seen at once");

$t->finish(unknown => 1);

done_testing();
