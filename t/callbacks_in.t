# The upstream's word that a job has ended.  Without a secret it is only a hint:
# the gateway asks itself.  With one a body that is signed settles the job, in
# whichever way the upstream signs; what isn't, is late, or speaks of another
# job changes nothing.  Twice, in the wrong order, at once, late or never: the
# charge is settled once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ hmac_sha256 hmac_sha256_hex hmac_sha512 hmac_sha512_hex /;
use JSON::PP ();
use MIME::Base64 qw/ encode_base64 /;
use Phota::Crowd;
use Phota::Fail;
use Phota::Receiver;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep /;

my $slow = $Phota::Test::slow;
my $t = Phota::Test->new(start => 0, job_poll => '1h',
    tenants => [ qw/ acme globex solo / ],
    own => { solo => 'phk-solo-' . Phota::Test::random() },
    server => $Phota::Crowd::server . ' client_max_body_size 64m;');
my $g = $t->gateway;
my $fail = Phota::Fail->new($t->dir . '/fail', books => $g->data . '/books');

$g->{env} = $fail->env;
$t->start;

my %secret = map { $_ => 'whsec_' . Phota::Test::random() } qw/ shared solo /;

$t->sim->config(size => 'tiny', secrets => \%secret);

my $crowd = Phota::Crowd->new($t);
my $receiver = Phota::Receiver->new;
my $serial = 0;

# An asynchronous call that stays open, and of which the simulator says nothing
# by itself unless it is told to: its answer, with {upstream} and {called}, where
# it is called back

sub begin {
    my (%o) = @_;

    my $job = Phota::Sim::HELD . ';' . ($o{job} // 'callback=lost');
    my $answer = $t->submit('remix', $t->token($o{tenant} // 'acme'),
        { prompt => 'called back ' . ++$serial,
            callback_url => $receiver->url("/$serial") }, job => $job);

    $answer->status == 202 or die 'no job: ' . $answer->summary . "\n";

    my $upstream = ($t->sim->jobs)[-1];

    $answer->{upstream} = $upstream->{job_id};
    ($answer->{called}) = $upstream->{callback_url} =~ m{^http://[^/]+(/.*)};

    return $answer;
}

sub completed {
    my ($job, %o) = @_;

    return JSON::PP->new->canonical->encode({ job_id => $job->{upstream},
        status => 'completed', result => { images => [],
            known_subjects => { counts => {} }, download_urls =>
                [ 'http://127.0.0.1:9/nothing.jpg' ] }, %o });
}

sub failed {
    my ($job) = @_;

    return qq({"job_id":"$job->{upstream}","status":"failed"});
}

sub signed {
    my ($body, $key) = @_;

    return ('X-Phota-Signature' => hmac_sha256_hex($body,
        $secret{$key // 'shared'}));
}

sub call {
    my ($job, $body, @headers) = @_;

    return $t->request('POST', $job->{called}, undef, $body,
        headers => \@headers);
}

# how the books say that it stands

sub row {
    my ($job) = @_;

    my ($row) = map { JSON::PP::decode_json($_) }
        grep { /"\Q$job->{upstream}\E"/ }
        split /\n/, $t->ctl_ok('job', 'list', '--json');

    return $row || {};
}

sub state { row(@_)->{state} // 'nothing' }

sub is_settled {
    my ($job, $state, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    wait_for(sub { my $c = $t->charge($job); $c && $c->{state} eq $state }, 10);

    my $charge = $t->charge($job);

    $t->check($name, $job,
        Phota::Test::differ('state', $charge->{state}, $state),
        Phota::Test::differ('cost', $charge->{cost},
            $state eq 'settled' ? '0.120000' : '0.000000'));
}

# what changes when anything is settled, twice or otherwise

sub entries {
    my ($n) = $t->ctl_ok('ledger', 'verify') =~ /ok: (\d+) entries/;

    return $n;
}

# every worker knows that the job's account has a secret

sub is_known {
    my ($job) = @_;

    for my $worker ($g->workers) {
        wait_for(sub {
            my $client = $crowd->on($worker)->ask($job->{called}, undef, '{}');

            $client->answer->status == 401;
        }, 10) or die "the secret isn't known\n";
    }
}

# the upstream ends them all, and has said so where it was to

sub all_over {
    $t->sim->end_jobs;
    $t->sim->wait_jobs(10);
}

sub is_refused {
    my ($job, $answer, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $t->is_error($answer, 401, 'UNAUTHORIZED', $name);
    is(state($job), 'open', "$name: the job is open");
}


subtest 'without a secret it is a hint' => sub {
    my $job = begin();
    my $url = $receiver->url;

    unlike(($t->sim->jobs)[-1]{callback_url}, qr/\Q$url/,
        'the upstream is told of the gateway, not of the tenant');

    for my $forged (completed($job), failed($job), 'nonsense') {
        my $calls = $t->sim->calls('jobs');
        my $answer = call($job, $forged, signed($forged));

        is($answer->status, 200, 'taken: ' . substr($forged, 0, 24));
        ok(wait_for(sub { $t->sim->calls('jobs') > $calls }, 5),
            'the upstream is asked');
        is(state($job), 'open', 'and says that it is not so');
    }

    my $fails = begin(job => 'callback=lost;end=failed');
    my $late = begin();

    all_over();
    is(state($late), 'open', 'the gateway by itself asks in an hour');

    call($job, failed($job));
    call($late, 'nonsense');
    call($fails, completed($fails));

    is_settled($job, 'settled', 'told that it failed, it was completed');
    is_settled($late, 'settled', 'told nothing, it was completed');
    is_settled($fails, 'void', 'told that it was completed, it failed');
};


# from here on the shared account has a secret, and no other

$t->ctl_ok(\$secret{shared}, 'key', 'set', '--default', '--callback-secret');

{
    my $job = begin();

    is_known($job);
    call($job, completed($job), signed(completed($job)));
}


subtest 'a body that is signed settles' => sub {
    my $job = begin();
    my $body = completed($job);

    is(call($job, $body, signed($body))->status, 200, 'completed');
    is(state($job), 'done', 'the job is done at once');
    is($t->charge($job)->{cost}, '0.120000', 'and charged');
    ok(!($t->sim->jobs)[-1]{ended}, 'though no poll would have said so');

    my $fails = begin(job => 'callback=lost;end=failed');

    is(call($fails, failed($fails), signed(failed($fails)))->status, 200,
        'failed');
    is(state($fails), 'failed', 'the job has failed at once');
    is($t->charge($fails)->{state}, 'void', 'and is not charged');

    $body = completed($fails);

    is(call($fails, $body, signed($body))->status, 200, 'said otherwise');
    is($t->charge($fails)->{state}, 'void', 'it stays what it was');

    my $large = begin();

    $body = completed($large, more => 'x' x 3_000_000);

    is(call($large, $body, signed($body))->status, 200, 'of megabytes');
    is(state($large), 'done', 'is read as well');

    my $early = begin();

    $body = qq({"job_id":"$early->{upstream}","status":"in_progress"});

    is(call($early, $body, signed($body))->status, 200, 'in progress');
    is(state($early), 'open', 'is no end');

    $body = completed($early);

    call($early, $body, signed($body));
    is(state($early), 'done', 'which comes later');
};


subtest 'what is not the upstream\'s word is refused' => sub {
    my $job = begin();
    my $other = begin();
    my $body = completed($job);
    my $entries = entries();
    my $mac = hmac_sha256_hex($body, $secret{shared});

    my %bad = (
        'none' => [],
        'an empty one' => [ '' ],
        'another account\'s' => [ hmac_sha256_hex($body, $secret{solo}) ],
        'of an empty secret' => [ hmac_sha256_hex($body, '') ],
        'of another body' => [ hmac_sha256_hex(failed($job),
            $secret{shared}) ],
        'half of it' => [ substr($mac, 0, 32) ],
        'with a tail' => [ "${mac}0" ],
        'with another hash' => [ hmac_sha512_hex($body, $secret{shared}) ],
        'in base64' => [ encode_base64(hmac_sha256($body, $secret{shared}),
            '') ],
        'a long one' => [ 'a' x 6000 ],
        'the secret' => [ $secret{shared} . 'x' ],
    );

    is_refused($job, call($job, $body,
        map { ('X-Phota-Signature' => $_) } @{$bad{$_}}), $_)
        for sort keys %bad;

    is_refused($job, call($job, "$body ", 'X-Phota-Signature' => $mac),
        'a body that was changed');
    is_refused($job, call($job, $body, 'X-Signature' => $mac),
        'another header');

    is(entries(), $entries, 'nothing is written');
    is(row($job)->{polls}, 0, 'and nobody is asked');

    # a word that is true, but of another job

    call($other, $body, signed($body));
    is(state($other), 'open', 'another job\'s word is none');

    call($_, completed($_), signed(completed($_))) for $job, $other;
    is(state($_), 'done', 'their own does') for $job, $other;
};


subtest 'each account has its own secret' => sub {
    my $job = begin(tenant => 'solo');
    my $body = completed($job);

    is(call($job, $body, signed($body))->status, 200, 'without one: a hint');
    is(state($job), 'open', 'the shared account\'s counts for nothing');

    $t->ctl_ok(\$secret{solo}, 'key', 'set', 'solo', '--callback-secret');
    is_known($job);

    is_refused($job, call($job, $body, signed($body)), 'the shared one\'s');
    is(call($job, $body, signed($body, 'solo'))->status, 200, 'its own');
    is(state($job), 'done', 'settles');

    my $globex = begin(tenant => 'globex');

    $body = completed($globex);

    is_refused($globex, call($globex, $body, signed($body, 'solo')),
        'of the shared account, by another\'s');
    is(call($globex, $body, signed($body))->status, 200, 'by its own');
    is(state($globex), 'done', 'settled');
};


subtest 'whatever happens on the way, it is settled once' => sub {
    my @ways = qw/ twice reordered late /;
    my %job = map { $_ => begin(job => $_ eq 'late'
        ? 'late=' . 1200 * $slow : "callback=$_") } @ways;

    $t->sim->end_jobs;
    $t->poll($t->token('acme'), $job{late});
    is_settled($job{late}, 'settled', 'a poll was first');
    is_settled($job{$_}, 'settled', "called back: $_") for qw/ twice
        reordered /;

    all_over();

    my @answered = map { $_->{answered} } $t->sim->callbacks;

    is_deeply(\@answered, [ (200) x 5 ], 'five were sent, all are thanked');

    for my $thin (qw/ thin event /) {
        $t->sim->config(callback_body => $thin);

        my $job = begin(job => 'callback=twice');

        $t->sim->end_jobs;
        is_settled($job, 'settled',
            "a body that is written otherwise: $thin");
    }

    $t->sim->config(callback_body => 'job');

    my $entries = entries();

    for my $job (values %job) {
        my $done = completed($job);
        my $word = qq({"job_id":"$job->{upstream}","status":"queued"});

        is(call($job, $_, signed($_))->status, 200, 'once more')
            for $done, failed($job), $word, '{}', '';
        is($t->charge($job)->{state}, 'settled', 'it stays');
    }

    is(entries(), $entries, 'nothing is written for it');
};


# how an asynchronous call ends: its status, or that it was given up

sub submitted {
    my ($fault) = @_;

    my $n = () = $t->sim->jobs;

    $t->sim->fault($fault, operation => 'remix', count => 1);

    my $pid = $t->background(sub {
        my $job = eval { begin() };

        $t->report(join(' ', "submit $serial", $job ? $job->status : 'none'));
    });

    $serial++;
    wait_for(sub { $t->sim->jobs > $n }, 10) or die "no job: $fault\n";

    my $sent = ($t->sim->jobs)[-1];
    my ($called) = $sent->{callback_url} =~ m{^http://[^/]+(/.*)};

    return ($pid, { upstream => $sent->{job_id}, called => $called });
}

sub is_early {
    my ($job, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $body = completed($job);

    for my $headers ([ signed($body) ], []) {
        my $answer = call($job, $body, @$headers);

        $t->is_error($answer, 503, 'BOOKS_UNAVAILABLE', $name);
        like($answer->header('Retry-After'), qr/^\d+$/, 'once more, soon');
    }
}


subtest 'sooner than its 202' => sub {
    my ($pid, $job) = submitted('latency=' . 3000 * $slow);
    my $entries = entries();

    is_early($job, 'the upstream has not answered');

    SKIP: {
        my $held = $g->hold_books or skip('no mdb_load', 1);

        $t->sim->wait_in_flight(0, 10);
        is_early($job, 'its answer is not in the books');
        $g->release_books($held);
    }

    $t->reap($pid);
    is(($t->reports)[-1], "submit $serial 202", 'then it is');
    is(entries(), $entries + 1, 'and nothing else');

    my $body = completed($job);

    is(call($job, $body, signed($body))->status, 200, 'told again');
    is(state($job), 'done', 'it counts');
};


subtest 'of what has never become a job' => sub {
    my ($pid, $job) = submitted('truncate=9');

    $t->reap($pid);
    is(($t->reports)[-1], "submit $serial none", 'nothing was heard of it');

    my ($hold) = $g->holds;
    my $body = completed($job);

    is($hold->{state}, 'unknown', 'its charge is unknown');
    is(call($job, $body, signed($body))->status, 200, 'thanked');
    $t->ctl_ok('holds', 'settle', $hold->{charge_id}, '--outputs', 1,
        '--reason', 'it is on the bill');
    is(call($job, $body, signed($body))->status, 200, 'settled: thanked');
};


subtest 'at once, by both workers' => sub {
    my @clients = map { $crowd->on($_, 4) } $g->workers;

    for my $round (1 .. 3) {
        my $job = begin();
        my $body = completed($job);
        my $entries = entries();

        $_->ask($job->{called}, undef, $body, headers => [ signed($body) ])
            for @clients;

        my @answers = $crowd->answers(@clients);

        is_deeply([ map { $_->status } @answers ], [ (200) x 8 ],
            'all are thanked');
        is_settled($job, 'settled', 'settled');
        is(entries() - $entries, 1, 'by one of them');
    }
};


subtest 'who comes otherwise' => sub {
    my $job = begin();
    my $body = completed($job);
    my @signed = signed($body);
    my ($dir) = $job->{called} =~ m{^(.*/)};
    my $changed = $job->{called};

    $changed =~ s{(.)$}{$1 eq 'A' ? 'B' : 'A'}e;

    $t->is_error($t->request('POST', $_, undef, $body, headers => \@signed),
        404, 'NOT_FOUND', "no such name: $_") for $dir, "${dir}nothing",
            $changed, "$job->{called}x", "$job->{called}/",
            $dir . $job->json->{job_id}, $dir . $job->{upstream},
            $dir . ('A' x 3000);

    $t->is_error($t->request($_, $job->{called}, undef, undef), 404,
        'NOT_FOUND', "by $_") for qw/ GET DELETE OPTIONS /;
    is($t->request('HEAD', $job->{called}, undef, undef)->status, 404,
        'by HEAD');
    is($t->request('PUT', $job->{called}, undef, $body, headers => \@signed)
        ->status, 404, 'by PUT');

    # 33 MB: by what is said, and by what comes

    $t->is_error($t->request('POST', $job->{called}, undef, $body,
        headers => \@signed, length => 33 << 20), 413, 'BODY_TOO_LARGE',
        'a huge one');
    $t->is_error($t->request('POST', $job->{called}, undef,
        ' ' x (33 << 20), headers => \@signed, chunked => 1 << 20), 413,
        'BODY_TOO_LARGE', 'a huge one, chunk by chunk');

    is(state($job), 'open', 'the job is open');

    my $client = $t->connect;

    $client->exchange('POST', $job->{called}, \@signed, $body,
        pieces => 20, leave => 'rst', at => 40);
    is(state($job), 'open', 'who leaves within the body has said nothing');

    $t->connect->exchange('POST', $job->{called}, \@signed, $body,
        leave => 'fin', at => 'sent');
    is_settled($job, 'settled', 'who leaves behind it has said all');
};


subtest 'books that can not be written' => sub {
    my $job = begin();
    my $body = completed($job);

    $fail->arm(in => [ 'books' ], at => 1, to => 'always');

    my $answer = call($job, $body, signed($body));

    $t->is_error($answer, 503, 'BOOKS_UNAVAILABLE', 'come again');
    like($answer->header('Retry-After'), qr/^\d+$/, 'soon');

    $fail->clear;

    ok(wait_for(sub { call($job, $body, signed($body))->status == 200 }, 20),
        'it works later');
    is_settled($job, 'settled', 'settled');
};


# in each way that the upstream may sign: the simulator does

my @schemes = (
    [ { over => 'body', encoding => 'hex', form => 'plain' }, '' ],
    [ { over => 'body', encoding => 'hex', form => 'prefix' }, '' ],
    [ { over => 'body', encoding => 'base64', form => 'plain' },
        'encoding=base64' ],
    [ { over => 'body', hash => 'SHA512', form => 'prefix' }, 'hash=sha512' ],
    [ { over => 'timed', form => 'parts' }, 'over=timed' ],
    [ { over => 'timed', form => 'plain' },
        'over=timed timestamp=X-Phota-Timestamp tolerance=1m' ],
    [ { over => 'timed', form => 'plain', hash => 'SHA512',
        encoding => 'base64' }, 'over=timed timestamp=X-Phota-Timestamp'
            . ' hash=sha512 encoding=base64' ],
);

subtest 'every way of signing' => sub {
    for my $scheme (@schemes) {
        my ($way, $text) = @$scheme;

        $g->reload(http => $text && "phota_callback_signature $text;");
        $t->sim->config(signature => { hash => 'SHA256', encoding => 'hex',
            %$way });

        my $n = () = $t->sim->callbacks;
        my $job = begin(job => 'callback=twice');

        all_over();
        is_settled($job, 'settled',
            $text || join(' ', map { $way->{$_} } sort keys %$way));

        my @answered = map { $_->{answered} } $t->sim->callbacks;

        is_deeply([ splice(@answered, $n) ], [ 200, 200 ], 'both are thanked');
    }
};


subtest 'another way than was agreed' => sub {
    my @ways = ({ over => 'timed', form => 'parts' },
        { over => 'body', form => 'plain' },
        { over => 'timed', form => 'plain', encoding => 'base64' },
        { over => 'timed', form => 'none' });

    $g->reload(http => 'phota_callback_signature over=timed;');
    $t->sim->config(callback_tries => 1);

    my @jobs;

    for my $way (@ways) {
        $t->sim->config(signature => { hash => 'SHA256', encoding => 'hex',
            %$way });
        push @jobs, begin(job => '');
        all_over();
    }

    my @answered = map { $_->{answered} } $t->sim->callbacks;

    is_deeply([ splice(@answered, -@ways) ], [ 200, 401, 401, 401 ],
        'counts as forged');

    shift @jobs;
    is(state($_), 'open', 'and changes nothing') for @jobs;
    is($t->poll($t->token('acme'), $_)->json->{status}, 'completed',
        'a poll does') for @jobs;
};


subtest 'times, and names of headers' => sub {
    $g->reload(http => 'phota_callback_signature header=X-Hub timestamp=X-At'
        . ' over=timed tolerance=30s;');

    my $job = begin();
    my $body = completed($job);
    my $sign = sub {
        my ($time) = @_;

        return hmac_sha256_hex("$time.$body", $secret{shared});
    };
    my $now = time;
    my $mac = $sign->($now);

    my %bad = (
        'no time' => [ 'X-Hub' => $mac ],
        'another time' => [ 'X-Hub' => $mac, 'X-At' => $now + 1 ],
        'two times' => [ 'X-Hub' => "t=$now,t=" . ($now - 1) . ",v1=$mac" ],
        'the old header' => [ 'X-Phota-Signature' => $mac, 'X-At' => $now ],
        'no number' => [ 'X-Hub' => $sign->('now'), 'X-At' => 'now' ],
        'negative' => [ 'X-Hub' => $sign->("-$now"), 'X-At' => "-$now" ],
        'the body alone' => [ 'X-Hub' => hmac_sha256_hex($body,
            $secret{shared}), 'X-At' => $now ],
        map { my $at = $now + $_; ("at $_ s" => [ 'X-Hub' => $sign->($at),
            'X-At' => $at ]) } -3600, -45, 60, 3600,
    );

    is_refused($job, call($job, $body, @{$bad{$_}}), $_) for sort keys %bad;

    my @good = ('X-Hub' => "v1=$mac", 'X-At' => $now);

    is(call($job, $body, @good)->status, 200, 'the true one');
    is(state($job), 'done', 'settles');

    my $entries = entries();

    is(call($job, $body, @good)->status, 200, 'replayed in time');
    is(entries(), $entries, 'it changes nothing');

    $fail->clock(120);
    is_refused_late($job, call($job, $body, @good));
    is(entries(), $entries, 'nor does a late one');
};

sub is_refused_late {
    my ($job, $answer) = @_;

    $t->is_error($answer, 401, 'UNAUTHORIZED', 'replayed later');
}


subtest 'one that is lost' => sub {
    $g->reload(http => '', job_poll => '1s');

    my $job = begin();

    $t->sim->end_jobs;
    is_settled($job, 'settled', 'the gateway asks by itself');
};

$t->finish(log => qr{books});

done_testing();
