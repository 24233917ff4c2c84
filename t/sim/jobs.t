#!/usr/bin/perl

# The simulator's account holds its contract too: jobs and how they end, what is
# called back and how it is signed, profiles from their training to their end,
# accounts that see nothing of each other; and Photio beside it.

use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/../lib";

use Digest::SHA qw/ hmac_sha256_base64 hmac_sha256_hex hmac_sha512_hex /;
use File::Temp ();
use JSON::PP qw/ decode_json encode_json /;
use MIME::Base64 qw/ decode_base64 encode_base64 /;
use Phota::Receiver;
use Phota::Sim;
use Test::More;
use Time::HiRes qw/ time sleep /;

my $dir = File::Temp->newdir(TMPDIR => 1);
my $sim = Phota::Sim->new(dir => "$dir/sim", workers => 2,
    keys => { 'key-one' => 'one', 'key-two' => 'two' },
    photio_keys => { 'pt-one' => 'one' });

$sim->start;
$sim->config(size => 'tiny');

my $url = 'https://example.com/a.jpg';
my %async = (input_image => $url, reference_image => $url, async => \1,
    response_mode => 'urls');
my $serial = 0;

sub call {
    my ($method, $path, $body, %o) = @_;

    my %headers = ('X-API-Key' => $o{key} // 'key-one');

    $headers{'X-Sim-Fault'} = $o{fault} if $o{fault};
    $headers{'X-Sim-Job'} = $o{job} if $o{job};

    return $sim->request($method, "/v1/phota/$path", \%headers,
        $body && encode_json($body), %o);
}

sub json { return eval { decode_json($_[0]{body}) } || {} }

sub micro { return $sim->bill($_[0] // 'one')->{amount} }

# a job: its id, and the answer to its submit

sub submit {
    my ($fields, %o) = @_;

    my $r = call('POST', 'remix', { %async, %{$fields || {}} }, %o);

    return ($r->{status} == 202 ? json($r)->{job_id} : "status $r->{status}",
        $r);
}

sub poll {
    my ($id, %o) = @_;

    return call('GET', "jobs/$id", undef, %o);
}

# true within some seconds

sub comes {
    my ($function, $seconds) = @_;

    my $end = time() + ($seconds // 5);

    while (time() < $end) {
        return 1 if $function->();
        sleep 0.01;
    }

    return 0;
}


subtest 'a job and its time' => sub {
    my $before = micro();
    my ($id, $r) = submit(undef, job => 'delay=400');

    is($r->{status}, 202, 'taken on');
    is(json($r)->{status}, 'queued', 'queued');
    is(json($r)->{poll_url}, $sim->url . "/v1/phota/jobs/$id", 'poll_url');
    is(json(poll($id))->{status}, 'queued', 'still');
    ok(comes(sub { json(poll($id))->{status} eq 'in_progress' }), 'begun');
    is(micro(), $before, 'not billed yet');
    is($sim->counters->{jobs_open}, 1, 'one is open');
    ok(comes(sub { json(poll($id))->{status} eq 'completed' }), 'completed');
    is(micro(), $before + 120000, 'and billed');

    my $done = json(poll($id));

    is(scalar @{$done->{result}{download_urls}}, 1, 'with its picture');
    is_deeply(json(poll($id)), $done, 'polls repeat');
    is(micro(), $before + 120000, 'and cost nothing');
    is(poll($id, key => 'key-two')->{status}, 404, 'unknown to another');
    like($sim->bill_csv, qr/,one,remix,1,0,0\.120000$/m, 'a line');

    $sim->config(job_delay => 100);
    submit();
    sleep 0.15;
    is(micro(), $before + 240000, 'billed though nobody polls');
    $sim->config(job_delay => 0);
};


subtest 'how a job ends' => sub {
    my @cases = (
        # options, status of the poll, word, error, micro-USD
        [ 'end=completed', 200, 'completed', '', 120000 ],
        [ 'end=completed;charge=0', 200, 'completed', '', 0 ],
        [ 'end=failed', 200, 'failed', 'GENERATION_FAILED', 0 ],
        [ 'end=expired', 200, 'expired', 'JOB_EXPIRED', 0 ],
        [ 'end=expired;charge=1', 200, 'expired', 'JOB_EXPIRED', 120000 ],
        [ 'end=gone', 404, '', '', 0 ],
        [ 'end=gone;charge=1', 404, '', '', 120000 ],
        [ 'end=empty', 200, 'completed', '', 0 ],
        [ 'end=never', 200, 'in_progress', '', 0 ],
    );

    for my $case (@cases) {
        my ($options, $status, $word, $error, $micro) = @$case;
        my $before = micro();
        my ($id) = submit(undef, job => $options);
        my $r = poll($id);

        sleep 0.01;
        is("$r->{status} " . (json($r)->{status} // ''), "$status $word",
            $options);
        is(json($r)->{error}{code} // '', $error, 'its error');
        is(micro() - $before, $micro, 'its bill');
    }

    my ($id) = submit(undef, job => 'end=empty');

    is_deeply(json(poll($id))->{result}{download_urls}, [], 'no picture');
    is((submit(undef, job => 'end=nonsense'))[0], 'status 400', 'nonsense');

    $sim->fault('end=failed', operation => 'remix');
    ($id) = submit();
    is(json(poll($id))->{status}, 'failed', 'by the queue');

    $sim->fault('end=failed');
    is(call('GET', 'models')->{status}, 200, 'which others leave alone');
    ($id) = submit();
    is(json(poll($id))->{status}, 'failed', 'for those who make something');

    my $before = micro();

    ($id) = submit({ num_output_images => 3, prompt => '[[prof_a]]' },
        fault => 'partial=2');
    is_deeply(json(poll($id))->{result}{known_subjects}{counts},
        { prof_a => 2 }, 'a part, of somebody');
    is(micro() - $before, 300000, 'billed so');
};


subtest 'a submit that goes wrong' => sub {
    my $jobs = scalar $sim->jobs;
    my $before = micro();

    submit(undef, fault => $_) for qw/ status=500 reset 503 /;
    is(scalar $sim->jobs, $jobs, 'leaves no job');

    for my $fault ('reset;bill=1', 'truncate', 'status=500;bill=1') {
        submit({ client_request_id => $fault }, fault => $fault);
    }

    is(scalar $sim->jobs, $jobs + 3, 'or one that nobody knows');
    is(micro() - $before, 360000, 'which is billed');

    my ($id, $r) = submit({ client_request_id => 'truncate' });

    is(poll($id)->{status}, 200, 'until it is asked for again');
    is(json($r)->{client_request_id}, 'truncate', 'by its name');
    is(micro() - $before, 360000, 'for nothing');
    isnt((submit({ client_request_id => 'truncate' }, key => 'key-two'))[0],
        $id, 'names are of an account');

    $sim->config(credit => { one => '0.16' });
    is((submit(undef, job => 'delay=100'))[1]{status}, 202, 'reserved');
    is((submit())[1]{status}, 402, 'so there is no more');
    sleep 0.15;
    micro();
    is((submit())[1]{status}, 402, 'nor when it is spent');
    $sim->config(credit => { one => '0.16' });
    submit(undef, job => 'end=failed');
    is((submit())[1]{status}, 202, 'but when it failed');
    $sim->config(credit => { one => undef });
};


subtest 'readings' => sub {
    my $read = sub {
        my ($fields, $job, %config) = @_;

        my $old = $sim->config;

        $sim->config(%config);

        my ($id, $r) = submit({ client_request_id => 'c' . ++$serial,
            %{$fields || {}} }, job => $job || 'end=completed');
        my $said = json(poll($id));

        $sim->config(map { $_ => $old->{$_} } keys %config);

        return ($said, json($r), $id);
    };

    my ($said) = $read->(undef, undef, job_shape => 'flat');
    is(scalar @{$said->{download_urls}}, 1, 'flat');

    for my $shape (qw/ data job /) {
        ($said) = $read->(undef, undef, job_shape => $shape);
        is(scalar @{$said->{$shape}{result}{download_urls}}, 1, $shape);
    }

    ($said) = $read->(undef, undef, job_words => { completed => 'succeeded' },
        job_names => { job_id => 'id', status => 'state', result => 'output' });
    is($said->{state}, 'succeeded', 'another word');
    ok($said->{output} && $said->{id}, 'other names');
    $sim->config(job_words => { completed => undef }, job_names =>
        { job_id => undef, status => undef, result => undef });

    my ($x, $handle, $id) = $read->(undef, undef, poll_url => 'path');
    is($handle->{poll_url}, "/v1/phota/jobs/$id", 'a path');
    ok($handle->{client_request_id}, 'echo');
    (undef, $handle) = $read->(undef, undef, poll_url => 'none',
        job_echo => JSON::PP::false);
    is_deeply([ sort keys %$handle ], [ qw/ job_id status / ], 'nothing');

    my $before = micro();

    ($said) = $read->({ prompt => '[[prof_a]]' }, undef,
        job_subjects => JSON::PP::false);
    ok(!exists $said->{result}{known_subjects}, 'nobody is told');
    is(micro() - $before, 120000, 'or charged for');

    ($said) = $read->(undef, undef, job_result => 'bytes');
    like($said->{result}{images}[0], qr{^/9j/}, 'bytes');
    ($said) = $read->(undef, undef, job_result => 'images');
    like($said->{result}{images}[0], qr{^http}, 'links in images');
    ($said) = $read->(undef, 'end=failed', job_error => 'string');
    like($said->{error}, qr/\w/, 'an error in words');
    ($said) = $read->(undef, 'end=failed', job_error => 'flat');
    is($said->{code}, 'GENERATION_FAILED', 'a flat one');

    $sim->config(job_pending => 202);
    is(poll((submit(undef, job => 'end=never'))[0])->{status}, 202, 'pending');
    $sim->config(job_pending => 200);

    ok(!eval { $sim->config(job_shape => 'round'); 1 }, 'no such reading');
};


subtest 'callbacks' => sub {
    my $receiver = Phota::Receiver->new(dir => "$dir/receiver");
    my $secret = json(call('GET', 'webhook-secret'))->{secret};
    my $called = sub {
        my ($job, $n, %config) = @_;

        $receiver->forget;
        $sim->config(%config) if %config;

        my ($id) = submit({ callback_url => $receiver->url('/cb?x=1') },
            job => $job || 'end=completed');
        my @got = $receiver->wait_for($n // 1);

        $sim->wait_jobs;

        return ($id, @got);
    };

    isnt($secret, json(call('GET', 'webhook-secret', undef,
        key => 'key-two'))->{secret}, 'an account has its secret');

    my ($id, $got) = $called->();

    is("$got->{method} $got->{path}", 'POST /cb?x=1', 'called back');
    is_deeply($got->{json}, json(poll($id)), 'told what a poll tells');
    is($got->{headers}{'x-phota-signature'},
        hmac_sha256_hex($got->{body}, $secret), 'signed');

    my %sign = (
        'sha256=' => [ { form => 'prefix' }, sub { 'sha256='
            . hmac_sha256_hex($_[0], $secret) } ],
        'base64' => [ { encoding => 'base64', form => 'plain' }, sub {
            hmac_sha256_base64($_[0], $secret) . '=' } ],
        'sha512' => [ { encoding => 'hex', hash => 'SHA512', form => 'plain' },
            sub { hmac_sha512_hex($_[0], $secret) } ],
    );

    for my $name (sort keys %sign) {
        my ($how, $expected) = @{$sign{$name}};

        ($id, $got) = $called->(undef, 1, signature => { hash => 'SHA256',
            encoding => 'hex', over => 'body', %$how });
        is($got->{headers}{'x-phota-signature'}, $expected->($got->{body}),
            "signed: $name");
    }

    ($id, $got) = $called->(undef, 1, signature => { hash => 'SHA256',
        encoding => 'hex', over => 'timed', form => 'parts' });

    my ($time, $mac) = $got->{headers}{'x-phota-signature'}
        =~ /^t=(\d+),v1=([0-9a-f]+)$/;

    is($mac, hmac_sha256_hex("$time.$got->{body}", $secret), 'with its time');
    cmp_ok(abs($time - time), '<', 5, 'which is now');

    ($id, $got) = $called->(undef, 1, signature => { form => 'plain' });
    $time = $got->{headers}{'x-phota-timestamp'};
    is($got->{headers}{'x-phota-signature'},
        hmac_sha256_hex("$time.$got->{body}", $secret), 'in another header');

    $sim->config(secrets => { one => 'mine' });
    ($id, $got) = $called->(undef, 1, signature => { over => 'body' });
    is($got->{headers}{'x-phota-signature'}, hmac_sha256_hex($got->{body},
        'mine'), 'a secret that was set');

    my @got;

    ($id, @got) = $called->('callback=twice', 2);
    is(scalar @got, 2, 'twice');
    ($id, @got) = $called->('callback=reordered', 2);
    is(join(' ', map { $_->{json}{status} } @got), 'completed in_progress',
        'in the wrong order');
    ($id, @got) = $called->('end=failed', 1);
    is($got[0]{json}{status}, 'failed', 'of a failure');

    my $start = time();

    ($id, @got) = $called->('late=200', 1);
    cmp_ok(time() - $start, '>=', 0.19, 'late');

    $receiver->forget;
    ($id) = submit({ callback_url => $receiver->url }, job => 'callback=lost');
    $sim->wait_jobs;
    sleep 0.05;
    is(scalar $receiver->got, 0, 'lost');
    $sim->call_back('one', $id, status => 'in_progress');
    is(($receiver->wait_for(1))[0]{json}{status}, 'in_progress', 'by order');

    ($id, $got) = $called->(undef, 1, callback_body => 'thin');
    is_deeply($got->{json}, { job_id => $id, status => 'completed' }, 'thin');
    ($id, $got) = $called->(undef, 1, callback_body => 'event');
    is("$got->{json}{type} $got->{json}{data}{job_id}",
        "job.completed $id", 'an event');

    # tried again until it is taken

    my $sent = scalar $sim->callbacks;

    $receiver->answer(500, { status => 302, location => $receiver->url('/no')
        }, 204);
    ($id, @got) = $called->(undef, 3, callback_pause => 20);
    is(scalar @got, 3, 'three times');
    is(join(' ', map { $_->{answered} } ($sim->callbacks)[$sent .. $sent + 2]),
        '500 302 204', 'which are noted');

    $receiver->answer({ hang => 1 });
    ($id, @got) = $called->(undef, 1, callback_tries => 1,
        callback_timeout => 100);
    is(($sim->callbacks)[-1]{error}, 'timeout', 'a receiver that hangs');
    $receiver->answer({ close => 1 });
    $called->();
    is(($sim->callbacks)[-1]{error}, 'closed', 'that closes');
    $receiver->stop;
    submit({ callback_url => $receiver->url });
    $sim->wait_jobs;
    is(($sim->callbacks)[-1]{error}, 'connection refused', 'that is gone');

    is((submit({ callback_url => 'http://example.com/' }))[0], 'status 400',
        'plain HTTP goes nowhere else');
    is(call('POST', 'remix', { input_image => $url, reference_image => $url,
        callback_url => $receiver->url })->{status}, 400, 'and needs async');
};


subtest 'profiles' => sub {
    my $add = sub {
        my ($fields, %o) = @_;

        return call('POST', 'profiles/add', { training_tier => 'fast',
            image_urls => [ ($url) x 5 ], %$fields }, %o);
    };
    my $status = sub { json(call('GET', "profiles/$_[0]/status"))->{status} };
    my $ids = sub { map { $_->{profile_id} // '' }
        @{json(call('GET', $_[0], undef, key => $_[1]))->{profiles}} };

    $sim->config(strict_profiles => JSON::PP::true);

    for my $case ([ standard => 9, 400 ], [ standard => 10, 200 ],
        [ standard => 50, 200 ], [ standard => 51, 422 ], [ fast => 4, 422 ],
        [ fast => 5, 200 ], [ fast => 10, 200 ], [ fast => 11, 400 ])
    {
        my ($tier, $n, $expected) = @$case;

        is($add->({ training_tier => $tier, image_urls => [ ($url) x $n ] }
            )->{status}, $expected, "$tier with $n");
    }

    is($add->({ image_urls => [ ('no link') x 5 ] })->{status}, 400, 'links');
    is($add->({ tag => '' })->{status}, 422, 'an empty tag');
    is($add->({ tag => "\x{e4}" x 128 })->{status}, 200, '128 characters');
    is($add->({ tag => 'x' x 129 })->{status}, 422, '129 are too many');

    my $before = micro();
    my $anna = json($add->({ tag => 'a b' }, job => 'delay=500'))->{profile_id};

    is(micro() - $before, 1490000, 'billed');
    is($sim->bill('one')->{calls}, () = $sim->bill_csv =~ /,one,/g, 'a line');
    is($status->($anna), 'VALIDATING', 'it begins');

    my %seen;

    ok(comes(sub { my $s = $status->($anna); $seen{$s} = 1; $s eq 'READY' }),
        'it ends');
    ok($seen{$_}, $_) for qw/ QUEUING IN_PROGRESS /;
    is(join(' ', $ids->('profiles/ids?tag=a%20b')), $anna, 'by its tag');
    is(join(' ', $ids->('profiles/ids?tag=x')), '', 'by none');
    is(call('GET', 'profiles/ids?tag=')->{status}, 422, 'an empty one');
    ok((grep { $_ eq $anna } $ids->('profiles/ids')), 'among all');
    is(join(' ', $ids->('profiles/ids', 'key-two')), '', 'not among others');

    $sim->config(profile_elements => 'strings');
    is(json(call('GET', 'profiles/ids?tag=a%20b'))->{profiles}[0], $anna,
        'as a string');
    $sim->config(profile_elements => 'objects');

    # who may name it

    my %image = (input_image => $url, reference_image => $url);

    for my $field ([ profile_ids => [ $anna ] ], [ prompt => "[[$anna]]" ]) {
        my %body = (%image, @$field);

        is(call('POST', 'remix', \%body)->{status}, 200, "its own: @$field");
        is(call('POST', 'remix', \%body, key => 'key-two')->{status}, 404,
            'a foreign one');
    }

    $sim->config(strict_profiles => 422);
    is(call('POST', 'remix', { %image, prompt => '[[prof_no]]' })->{status},
        422, 'none');
    $sim->config(strict_profiles => JSON::PP::true);

    for my $path ("profiles/$anna/status", "profiles/$anna/profile_picture") {
        is(call('GET', $path)->{status}, 200, $path);
        is(call('GET', $path, undef, key => 'key-two')->{status}, 404,
            'of another');
    }

    is(call('DELETE', "profiles/$anna", undef, key => 'key-two')->{status},
        404, 'another deletes nothing');
    is(call('DELETE', "profiles/$anna", undef, fault => '500')->{status}, 500,
        'a delete that fails');
    is($status->($anna), 'READY', 'does nothing');
    is(call('DELETE', "profiles/$anna")->{status}, 200, 'deleted');
    is(call('DELETE', "profiles/$anna")->{status}, 404, 'once');
    is(call('GET', "profiles/$anna/status")->{status}, 404, 'and gone');
    is(call('POST', 'remix', { %image, prompt => "[[$anna]]" })->{status}, 404,
        'for all calls');

    # trainings that fail

    my $rows = () = $sim->bill_csv =~ /,one,/g;

    for my $case ([ '', 1490000, 1 ], [ 'refund=negative', 0, 2 ],
        [ 'refund=removed', 0, 0 ])
    {
        my ($refund, $micro, $lines) = @$case;

        $before = micro();

        my $id = json($add->({}, job => "delay=50;end=error;$refund")
            )->{profile_id};

        is(micro() - $before, 1490000, 'paid at first');
        ok(comes(sub { $status->($id) eq 'ERROR' }), 'a training that fails');
        is(micro() - $before, $micro, "bill: $refund");

        my $now = () = $sim->bill_csv =~ /,one,/g;

        is($now - $rows, $lines, 'its lines');
        $rows = $now;
    }

    like($sim->bill_csv, qr/,one,training,0,0,-1\.490000$/m, 'one with minus');

    my $bill = $sim->bill;

    $sim->restart;
    is_deeply($sim->bill, $bill, 'a restart reads it so');
    $sim->config(size => 'tiny', training_end => 'INACTIVE');
    is($status->(json($add->({}))->{profile_id}), 'INACTIVE', 'by default');
    $sim->config(training_end => 'READY', strict_profiles => JSON::PP::true);

    my $profiles = scalar $sim->profiles;

    $before = micro();
    $add->({}, fault => '500');
    is(micro(), $before, 'one that was refused costs nothing');
    is(scalar $sim->profiles, $profiles, 'and is none');

    $sim->add_profile('two', 'prof_old', tag => 'was', delay => 10_000);
    is(join(' ', $ids->('profiles/ids?tag=was', 'key-two')), 'prof_old',
        'one that was there before');
    $sim->config(strict_profiles => JSON::PP::false);
};


subtest 'links' => sub {
    my $link = sub {
        my $r = json(call('POST', 'generate', { response_mode => 'urls' }));

        return ($r->{download_urls}[0] =~ m{^http://[^/]+(/.*)})[0];
    };
    my $path = $link->();
    my $get = sub { $sim->request('GET', $path) };

    $sim->fault('503', operation => 'picture', count => 2);
    is($get->()->{status} . ' ' . $get->()->{status}, '503 503', 'fails');
    is($get->()->{status}, 200, 'and comes');
    $sim->fault('truncate=10', operation => 'picture');
    is($get->()->{error}, 'cut', 'cut');
    $sim->fault('redirect', operation => 'picture');
    is($get->()->{status}, 302, 'leads elsewhere');

    my $start = time();

    $sim->fault('latency=150', operation => 'picture');
    $get->();
    cmp_ok(time() - $start, '>=', 0.14, 'slow');
    $sim->fault('503');
    is($get->()->{status}, 200, 'other faults leave them alone');
    is(call('GET', 'models')->{status}, 503, 'for others');
    cmp_ok($sim->calls('picture'), '>=', 6, 'counted');

    $sim->config(url_base => 'https://cdn.example.com');
    like(json(call('POST', 'generate', { response_mode => 'urls' })
        )->{download_urls}[0], qr{^https://cdn\.example\.com/}, 'elsewhere');
    $sim->config(url_base => $sim->url);
};


subtest 'faults of what is read' => sub {
    my ($id) = submit();

    is(poll($id, fault => $_)->{status}, $_, "a poll: $_") for 429, 500, 503;
    is(poll($id, fault => 'truncate')->{error}, 'cut', 'cut');
    $sim->fault('502', operation => 'jobs');
    is(call('GET', 'profiles/ids')->{status}, 200, 'for polls alone');
    is(poll($id)->{status}, 502, 'by the queue');
    $sim->fault('garbage', operation => 'profiles');
    ok(!%{json(call('GET', 'profiles/ids'))}, 'half a list');
};


subtest 'Photio' => sub {
    my %body = (prompt => 'a table', product_image => $url, ref_image => $url);
    my $remix = sub {
        my ($fields, %o) = @_;

        my %headers = ('X-Photio-Key' => $o{key} // 'pt-one');

        $headers{'X-Sim-Fault'} = $o{fault} if $o{fault};

        return $sim->request('POST', $o{path} // '/v1/inference/remix',
            \%headers, encode_json({ %body, %{$fields || {}} }));
    };
    my $before = micro();
    my $r = $remix->();

    is("$r->{status} " . json($r)->{status_code}, '200 200', 'a picture');
    like(decode_base64(json($r)->{body}), qr/^\x89PNG/, 'as PNG');
    is(micro() - $before, 50000, 'billed');
    like($sim->bill_csv, qr/,one,photio-remix,1,0,0\.050000$/m, 'a line');
    isnt($remix->()->{body}, $r->{body}, 'no seed, a new one');
    isnt($remix->({ seed => -1 })->{body}, $remix->({ seed => -1 })->{body},
        'nor with -1');

    $r = $remix->({ seed => 7 });
    is($remix->({ seed => 7 })->{body}, $r->{body}, 'a seed: the same');
    isnt($remix->({ seed => 8 })->{body}, $r->{body}, 'another: another');
    isnt($remix->({ seed => 7, prompt => 'b' })->{body}, $r->{body},
        'or another prompt');

    $before = micro();

    for my $bad ({ prompt => undef }, { seed => 0 }, { seed => 4294967297 },
        { cfg_scale => 'x' }, { ref_image => '!' })
    {
        is($remix->($bad)->{status}, 400, 'refused ' . encode_json($bad));
    }

    is($remix->(undef, key => 'key-one')->{status}, 401, 'its own keys');
    is($remix->(undef, path => '/v1/inference/x')->{status}, 404, 'no path');
    is(call('POST', 'remix', {}, key => 'pt-one')->{status}, 401,
        'which are no others');

    $r = $remix->(undef, fault => 'photio_in_body=500');
    is("$r->{status} " . json($r)->{status_code}, '200 500', 'inside a 200');
    is($remix->(undef, fault => '500')->{status}, 500, 'outside');
    $sim->config(photio_errors => 'body');
    $r = $remix->(undef, key => 'no');
    is("$r->{status} " . json($r)->{status_code}, '200 401', '401 inside');
    is(json($remix->(undef, fault => 'emptyimages'))->{body}, '', 'nothing');
    is(micro(), $before, 'none of them is billed');

    $sim->config(photio_format => 'jpg', photio_prefix => JSON::PP::true);
    like(json($remix->())->{body}, qr{^data:image/jpeg;base64,/9j/}, 'JPEG');
    is($sim->calls('photio-remix') > 10, 1, 'counted');
};


subtest 'reset' => sub {
    submit(undef, job => 'delay=50');
    $sim->reset;
    sleep 0.1;
    is(scalar $sim->jobs, 0, 'no job');
    is(scalar $sim->callbacks, 0, 'no callback');
    is(scalar $sim->profiles, 0, 'no profile');
    is(micro(), 0, 'and no bill, later either');
};


$sim->stop;

my $log = do { local (@ARGV, $/) = "$dir/sim/error.log"; <> } // '';

unlike($log, qr/\[(?:error|alert|crit|emerg)\]/, 'nothing bad in the log');

done_testing();
