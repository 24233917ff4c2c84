# What an operator may put into a door or beside it opens nothing and loses
# nothing: try_files, conditions, limits of speed, redirects of the upstream,
# access rules of which one is enough, tokens in odd places.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Test;
use Test::More;
use Time::HiRes qw/ time /;

my $slow = $Phota::Test::slow;


subtest 'rules within the door' => sub {
    my $t = Phota::Test->new(tenants => [ qw/ acme / ],
        own => { acme => 'phk-own-acme' },
        http => 'limit_req_status 429;',
        server => <<'EOF_SERVER');
        location /v1/phota/remix {
            try_files /none =404;
            phota_pass /upstream/;
        }
        location /v1/phota/enhance {
            if ($http_x_odd) { set $odd 1; }
            satisfy any;
            allow all;
            phota_pass /upstream/;
        }
EOF_SERVER
    my $acme = $t->token('acme');
    my $body = remix(prompt => 'tried');

    $t->is_miss($t->post('remix', $acme, $body), '0.120000',
        'try_files has no say in what was bought');
    $t->is_hit($t->post('remix', $acme, $body), '0.120000', 'nor in a hit');

    my $image = enhance(prompt => 'if');

    is($t->post('enhance', undef, $image)->status, 401,
        'an address that is allowed needs a token all the same');
    $t->is_miss($t->post('enhance', $acme, $image,
        headers => [ 'X-Odd' => 1 ]), '0.120000', 'a condition');

    my $dry = $t->post('remix', $acme, remix(prompt => 'dry'),
        headers => [ 'Phota-Dry-Run' => 1 ]);

    is($dry->json->{cache}, 'miss', 'a trial');
    is($t->calls, 2, 'is not a purchase');

    is($t->request('GET', "/v1/phota/./x/$acme", $acme, '')->status, 404,
        'a token in a path that nginx rewrites');

    $t->finish;
};


subtest 'a limit of speed' => sub {
    my $t = Phota::Test->new(tenants => [ 'acme' ], workers => 1,
        door => 'limit_rate 200k; send_timeout 5s;');
    my $acme = $t->token('acme');
    my $body = remix(prompt => 'slowly');

    for my $way (qw/ is_miss is_hit /) {
        my $start = time();
        my $answer = $t->post('remix', $acme, $body, timeout => 60);

        $t->$way($answer, '0.120000', "$way: it comes whole");
        cmp_ok(time() - $start, '<', 15 * $slow, "$way: at that speed");
    }

    my $urls = remix(prompt => 'small', response_mode => 'urls');

    $t->is_miss($t->post('remix', $acme, $urls), '0.120000', 'links');
    $t->is_hit($t->post('remix', $acme, $urls), '0.120000', 'links again');

    $t->finish;
};


subtest 'an upstream that redirects' => sub {
    my $t = Phota::Test->new(tenants => [ 'acme' ], start => 0,
        params => { proxy_ignore_headers => undef });
    my $g = $t->gateway;
    my $hop = Phota::Gateway::free_port();
    my $sim = $t->sim->port;

    $g->{server} = 'location /inside/ { internal; return 200 "INSIDE"; }';
    $g->{http} = "server { listen 127.0.0.1:$hop; client_max_body_size 0;"
        . ' location / { add_header X-Accel-Redirect /inside/ always;'
        . " proxy_pass http://127.0.0.1:$sim; } }";
    $g->{upstream} = "127.0.0.1:$hop";

    $t->start;

    my $answer = $t->post('remix', $t->token('acme'), remix(prompt => 'x'));

    $t->is_error($answer, 502, 'OUTCOME_UNKNOWN', 'nothing of it is shown');
    unlike($answer->body, qr/INSIDE/, 'not a byte');

    my ($charge) = $g->ledger;

    is($charge->{state}, 'unknown', 'and only the bill can tell');

    $t->finish(unknown => 1);
};


subtest 'errors that the location would swallow' => sub {
    my $t = Phota::Test->new(tenants => [ 'acme' ],
        params => { proxy_intercept_errors => 'on' },
        http => 'error_page 400 503 504 /none;');

    my $answer = $t->post('remix', $t->token('acme'), remix(),
        headers => [ 'X-Sim-Fault' => 'status=503' ]);

    is($answer->status, 503, 'no call through it');
    like($t->gateway->log, qr/proxy_intercept_errors off/, 'the log says why');
    is($t->gateway->usage->{total}{cost}, '0.000000', 'nothing was bought');

    $t->finish;
};

done_testing();
