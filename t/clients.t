# A client of Phota's changes its base URL and its key, and that is all: what
# the clients in the wild send and read is played once to Phota itself and twice
# through the gateway, bought and then cached.  The answers are the same but for
# ids, times and hosts; Phota sees the same requests; the first time costs what
# it costs there, the second time nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use MIME::Base64 qw/ encode_base64 /;
use Phota::Client;
use Phota::Test;
use Test::More;

my %clients = (ai => 'AI', comfy => 'Comfy', inference => 'Inference',
    fitmangas => 'FitMangas', curl => 'Curl');
my @names = sort keys %clients;

my $t = Phota::Test->new(tenants => \@names, callbacks => 0,
    door => 'phota_cache remix enhance edit generate;',
    profiles => { map { $_ => [ "prof_$_" ] } @names });

$t->ctl_ok('price', 'add', '--operation', $_, '--usd', '0.1',
    '--identity-usd', '0.13') for qw/ edit generate /;
$t->sim->config(size => 'tiny', picture => '0123456789abcdef',
    keys => { map { ("direct_$_" => "dk-$_") } @names },
    rates => { map { $_ => { base => '0.1', identity => '0.13' } }
        qw/ edit generate / });

everywhere(sub { $t->post('edit', $t->token('ai'), '{}', headers =>
    [ 'Phota-Dry-Run' => 1 ])->status == 200 }, 5) or die "no prices\n";

# --- how they are played

# a client and what it did, step by step: what it made of it, the answers, its
# pauses, and what Phota saw last

my ($client, @steps);

sub step {
    my ($name, $code, %o) = @_;

    my $sim = $t->sim;
    my $calls = $sim->calls;

    for my $fault (@{$o{faults} || []}) {
        my ($text, $count) = @$fault;

        $sim->fault("$text", count => $count // 1);
    }

    my $read = $code->();

    $sim->fault(undef) if $o{faults};

    push @steps, { %o, name => $name, read => $read,
        said => [ $client->said ], waits => [ $client->waits ],
        calls => $sim->calls - $calls, seen => $sim->last };

    return $read;
}

sub play {
    my ($name, $where, $sequence) = @_;

    my $direct = $where eq 'direct';
    my $port = $direct ? $t->sim->port : $t->port;
    my $class = "Phota::Client::$clients{$name}";

    $client = $class->new(base => "http://127.0.0.1:$port/v1/phota",
        key => $direct ? "dk-$name" : $t->token($name),
        dir => $t->dir . '/client');
    @steps = ();
    $sequence->();

    return @steps;
}

# ids, hosts, and how far a training is

sub plain {
    my ($value) = @_;

    return { map { $_ => plain($value->{$_}) } keys %$value }
        if ref $value eq 'HASH';
    return [ map { plain($_) } @$value ] if ref $value eq 'ARRAY';
    return $value if !defined $value || ref $value;

    $value =~ s/\b(req|prof|job)_[0-9a-f]{32}\b/$1_ID/g;
    $value =~ s{http://127\.0\.0\.1:\d+[^"\s]*}{URL}g;
    $value =~ s/\b(?:VALIDATING|QUEUING|IN_PROGRESS|READY)\b/TRAINING/g;

    return $value;
}

my %ours = map { lc $_ => 1 } qw/ Date Server Connection Content-Length
    Transfer-Encoding Cache-Status Age /;

sub headers {
    my ($answer) = @_;

    my $headers = $answer->{headers};

    return { map { $_ => $_ eq 'x-request-id' ? 'some' : $headers->{$_} }
        grep { !$ours{$_} && !/^phota-/ } keys %$headers };
}

sub heard {
    my ($answer) = @_;

    return [ $answer->status, plain($answer->body), headers($answer) ];
}

# what Phota saw; aliases of tags and request ids are the gateway's business,
# that it asks for the bytes of what it is to keep, and for all profiles to
# choose from

my %between = map { $_ => 1 } qw/ host x-api-key connection accept-encoding
    content-length /;

sub seen {
    my ($step) = @_;

    my $seen = $step->{seen};
    my $body = $seen->{body} // '';

    $body =~ s/("(?:tag|client_request_id|response_mode)": ?")[^"]*"/$1"/g;
    (my $uri = plain($seen->{uri})) =~ s/\?tag=[^&]*$//;

    return [ $seen->{method}, $uri, $body, { map { $_ => $seen->{headers}{$_} }
        grep { !$between{$_} } keys %{$seen->{headers}} } ];
}

sub same {
    my ($direct, $bought, $cached) = @_;

    my $name = $direct->{name};

    is($direct->{said}[-1]->status, 200, "$name: is sold")
        if $direct->{bought};
    cmp_ok($direct->{said}[-1]->status, '>=', 400, "$name: is refused")
        if $direct->{faults} && !$direct->{bought};
    is(scalar @{$direct->{said}}, $direct->{tries}, "$name: tries")
        if $direct->{tries};

    is_deeply(plain($bought->{read}), plain($direct->{read}),
        "$name: read alike");
    is_deeply(plain($cached->{read}), plain($direct->{read}),
        "$name: read alike again");

    # the gateway says it itself, in its own words

    return if $direct->{own};

    if (!$direct->{polls}) {
        is_deeply([ map { heard($_) } @{$bought->{said}} ],
            [ map { heard($_) } @{$direct->{said}} ], "$name: heard alike");
        is("@{$bought->{waits}}", "@{$direct->{waits}}",
            "$name: as patient");
        is_deeply(seen($bought), seen($direct), "$name: Phota sees the same");
        is($bought->{calls}, $direct->{calls}, "$name: as often");
    }

    return if $direct->{job};

    is_deeply(heard($cached->{said}[-1]), heard($direct->{said}[-1]),
        "$name: heard alike again");
    is($cached->{calls}, 0, "$name: Phota isn't asked again")
        if $direct->{bought};
}

# what a tenant has bought, by operation

sub spent {
    my ($name) = @_;

    my %spent = map { $_->{operation} => "$_->{outputs} "
        . "$_->{identity_outputs} $_->{cost}" }
        grep { $_->{tenant} eq $name && $_->{outputs} }
        @{$t->gateway->usage->{rows}};

    return \%spent;
}

sub sum {
    my ($name) = @_;

    my $sum = 0;

    $sum += micro($_->{cost}) for grep { $_->{tenant} eq $name }
        @{$t->gateway->usage->{rows}};

    return $sum;
}

sub three_times {
    my ($name, $sequence) = @_;

    my @direct = play($name, direct => $sequence);
    my @bought = play($name, bought => $sequence);
    my $spent = spent($name);

    is(sum($name), $t->sim->bill("direct_$name")->{amount},
        'it costs what it costs at Phota');

    my @cached = play($name, cached => $sequence);
    my $again = spent($name);

    same($direct[$_], $bought[$_], $cached[$_]) for 0 .. $#direct;

    delete $_->{training} for $spent, $again;
    is_deeply($again, $spent, 'the second time costs nothing');
}

# --- what they do

my @photos = map { 'https://storage.googleapis.com/album/' . "$_.jpg" }
    1 .. 10;
my $photo = encode_base64(photo('jpg', 48, 32, 5), '');
my $other = encode_base64(photo('png', 24, 24, 6), '');
my @bought = (bought => 1);

sub ai {
    my @one = (num_output_images => 1);

    step('a picture', sub { $client->image('generate',
        prompt => "a boat, \"caf\x{e9}\"/\x{4e2d}", @one) }, @bought);
    step('all its options', sub { $client->image('generate',
        prompt => 'a boat', @one, aspect_ratio => '16:9', resolution => '4K',
        pro_mode => JSON::PP::true()) }, @bought);
    step('an edit', sub { $client->image('edit', prompt => 'more rain', @one,
        images => [ @photos[0, 1] ], profile_ids => [ 'prof_ai' ]) },
        @bought);
    step('an edit by content', sub { $client->image('edit',
        prompt => 'with [[prof_ai]]', @one, images => [ $photo, $other ],
        pro_mode => JSON::PP::false()) }, @bought);
    step('an enhancement', sub { $client->image('enhance', image => $photo,
        profile_ids => [ 'prof_ai' ], @one, pro_mode => JSON::PP::true()) },
        @bought);
    step('remix isn\'t known to it', sub { $client->image('remix',
        prompt => 'x', @one, images => [ $photo ])->{status} }, own => 1);

    step('too fast', sub { $client->image('generate', prompt => 'fast', @one)
        }, tries => 2,
        faults => [ [ 429 ] ], @bought);
    step('twice not now', sub { $client->image('generate', prompt => 'now',
        @one) }, tries => 3,
        faults => [ [ 503, 2 ] ], @bought);
    step('broken once', sub { $client->image('generate', prompt => '500',
        @one) }, tries => 2,
        faults => [ [ 500 ] ], @bought);
    step('it gives up', sub { $client->image('generate', prompt => '504',
        @one) }, tries => 3,
        faults => [ [ 504, 3 ] ]);
    step('a page of a proxy', sub { $client->image('generate',
        prompt => '502', @one) }, tries => 3,
        faults => [ [ '502;html', 3 ] ]);
    step('moderation', sub { $client->image('edit', prompt => '400', @one,
        images => []) }, faults => [ [ 400 ] ]);
    step('wrong words', sub { $client->image('generate', prompt => '422',
        @one, aspect_ratio => '2:1') });

    my $id = step('a profile', sub { $client->add_profile(@photos) });

    step('its status', sub { $client->profile_status($id) });
    step('no such profile', sub { $client->profile_status('nobody')->{status}
        }, own => 1);
}

sub comfy {
    my @size = (num_output_images => 1, aspect_ratio => 'auto',
        resolution => '1K');

    step('a picture', sub { $client->node('generate',
        prompt => "K\x{f6}ln \x{1f600}", @size) }, @bought);
    step('an edit', sub { $client->node('edit', prompt => 'x', @size,
        images => [ @photos[0, 1] ], profile_ids => [ 'prof_comfy' ]) },
        @bought);
    step('an enhancement', sub { $client->node('enhance', image => $photo,
        num_output_images => 1) }, @bought);
    step('too fast for long', sub { $client->node('generate',
        prompt => 'fast', @size) }, tries => 6,
        faults => [ [ 429, 5 ] ], @bought);
    step('all that can happen', sub { $client->node('generate',
        prompt => 'all', @size) }, tries => 5,
        faults => [ [ 503 ], [ 429 ], [ 504 ],
        [ '502;html' ] ], @bought);
    step('it gives up', sub { $client->node('generate', prompt => 'never',
        @size) }, tries => 4,
        faults => [ [ 503, 4 ] ]);
    step('moderation', sub { $client->node('generate', prompt => '400',
        @size) }, faults => [ [ 400 ] ]);

    step('training', sub { $client->train(@photos) }, polls => 1);
    $t->sim->config(training_end => 'ERROR');
    step('training in vain', sub { $client->train(@photos) }, polls => 1);
    $t->sim->config(training_end => 'READY');
}

# inputs are uploaded once more: another signature, the same picture

sub uploads {
    my @size = (num_output_images => 1, aspect_ratio => 'auto',
        resolution => '1K');

    step('uploaded for an edit', sub { $client->node('edit', prompt => 'x',
        @size, images => [ map { $client->upload($_) } qw/ a b / ],
        profile_ids => []) });
    step('uploaded for an enhancement', sub { $client->node('enhance',
        image => $client->upload('c'), num_output_images => 1) });
}

sub inference {
    my @size = (num_output_images => 1, aspect_ratio => '1:1',
        resolution => '1K');

    step('a picture', sub { $client->run('generate', prompt => 'a boat',
        @size) }, @bought);
    step('an edit', sub { $client->run('edit', prompt => 'a boat', @size,
        images => [ $photos[3], $photo ], profile_ids => [ 'prof_inference' ])
        }, @bought);
    step('two enhancements', sub { $client->run('enhance', image => $photo,
        num_output_images => 2, profile_ids => [ 'prof_inference' ]) },
        @bought);

    for my $status (400, 404, 500, 503, 504) {
        step("a $status", sub { $client->run('generate', prompt => "no $status",
            @size) }, faults => [ [ $status ] ]);
    }

    {
        local $client->{key} = 'nobody';
        step('a wrong key', sub { $client->run('generate', prompt => 'x',
            @size) }, own => 1);
    }

    my $trained = step('training', sub { $client->train(@photos) },
        polls => 1);

    step('one that is deleted', sub { $client->remove($trained->{id}) });
    step('and again', sub { $client->remove($trained->{id})->{status} },
        own => 1);
}

sub fitmangas {
    step("a picture of $_", sub { $client->generate('a page', $_) },
        @bought) for qw/ 1K 2K 4K /;
    step('moderation', sub { $client->generate('400', '1K') },
        faults => [ [ 400 ] ]);
    step('too fast', sub { $client->generate('429', '1K') },
        faults => [ [ 429 ] ]);

    my $id = step('a profile', sub { $client->add_profile('fast', 'hero-1',
        @photos[0 .. 4]) });

    step('its status', sub { $client->profile_status($id) });
    step('too few photographs', sub { $client->add_profile('fast', 'hero-2',
        @photos[0 .. 2]) });
}

# a job by its handle, as far as the pictures

sub job {
    my ($body) = @_;

    my $handle = $client->post('remix', $body);
    my ($id, $url) = @{$handle->json}{qw/ job_id poll_url /};
    my $poll;

    wait_for(sub {
        $poll = $client->send('GET', "jobs/$id");
        ($poll->json->{status} // '') !~ /^(?:queued|in_progress)$/;
    }, 10);

    my $json = $poll->json;

    return { status => $handle->status, kind => $poll->header('Content-Type'),
        end => $json->{status},
        told => [ grep { $_ ne 'client_request_id' } sort keys %$json ],
        url => $url =~ m{/v1/phota/jobs/\Q$id\E$} ? 1 : 0,
        subjects => $json->{result}{known_subjects},
        pictures => [ map { $client->download($_) }
            @{$json->{result}{download_urls}} ] };
}

sub curl {
    my $post = sub { $client->post(@_)->json };
    my $get = sub { $client->send('GET', @_)->json };

    step('an edit', sub { $post->('edit', "{\n  \"prompt\": \"[[prof_curl]] "
        . "at the beach\",\n  \"images\": [\n    \"$photos[0]\"\n  ]\n}") },
        @bought);
    step('a picture', sub { $post->('generate', '{ "prompt" : "a boat" }') },
        @bought);
    step('of another model', sub { $post->('generate', '{"prompt":"a boat",'
        . '"base_model":"flux-2","resolution":"2K","output_format":"png"}')
        }, @bought);
    step('an enhancement', sub { $post->('enhance', "{\"image\":\"$photo\","
        . "\r\n\t\"profile_ids\": [\"prof_curl\"]}") }, @bought);
    step('a remix', sub { $post->('remix', "{\"input_image\": \"$photos[1]\","
        . " \"reference_image\": \"$other\", \"prompt\": \"in oil\","
        . ' "num_output_images": 2, "output_format": "jpg",'
        . ' "response_mode": "bytes"}') }, @bought);
    step('a remix by links', sub {
        my $urls = $post->('remix', "{\"input_image\": \"$photos[2]\","
            . " \"reference_image\": \"$other\", \"response_mode\":\"urls\"}"
            )->{download_urls};
        [ map { $client->download($_) } @$urls ] }, @bought);
    step('a remix without a picture', sub { $client->post('remix',
        "{\"prompt\":\"x\"}")->status }, own => 1);
    step('moderation', sub { $post->('remix', "{\"input_image\": \"$photo\","
        . " \"reference_image\": \"$other\", \"prompt\": \"400\"}") },
        faults => [ [ 400 ] ]);
    step('a job', sub { job("{\"input_image\": \"$photos[4]\","
        . " \"reference_image\": \"$other\", \"async\": true,"
        . ' "response_mode": "urls", "client_request_id": "order-1"}') },
        polls => 1, job => 1);

    my $urls = join("\",\n  \"", @photos);
    my $id = step('a profile', sub { $post->('profiles/add',
        "{\"image_urls\": [\"$urls\"],\n \"tag\": \"family\"}") }
        )->{profile_id};

    step('all profiles', sub { $get->('profiles/ids') });
    step('those of a tag', sub { $get->('profiles/ids?tag=family') });
    step('those of another', sub { $get->('profiles/ids?tag=friends') });
    step('its status', sub { $get->("profiles/$id/status") });
    step('its picture', sub { $client->send('GET',
        "profiles/$id/profile_picture")->body });
    step('it is deleted', sub { $client->send('DELETE', "profiles/$id")->json
        });
    step('and gone', sub { $get->('profiles/ids') });
}

# stages of a training are seen by who asks often

$t->sim->config(training_delay => 300);

my %sequences = (ai => \&ai, comfy => \&comfy, inference => \&inference,
    fitmangas => \&fitmangas, curl => \&curl);

for my $name (@names) {
    subtest $name => sub { three_times($name, $sequences{$name}) };
}

subtest 'inputs that are uploaded anew' => sub {
    my @bought = play('comfy', bought => \&uploads);
    my @again = play('comfy', cached => \&uploads);

    for my $i (0 .. $#bought) {
        my ($first, $second) = ($bought[$i], $again[$i]);

        isnt($second->{said}[0], undef, $first->{name});
        is_deeply($second->{read}, $first->{read}, 'the same picture');
        like($second->{said}[0]->header('Cache-Status'), qr/^phota; hit/,
            'though its link is signed anew');
        is($second->{calls}, 0, 'and Phota is not asked');
    }
};

# what was broken on its way is on no bill

for my $hold ($t->gateway->holds) {
    $t->ctl_ok('holds', 'void', $hold->{charge_id}, '--reason',
        'not billed');
}

$t->finish;

# --- four pictures are four calls that are the same to the letter

my $four = Phota::Test->new(callbacks => 0,
    door => 'phota_cache generate; phota_cache_variations 4;');

$four->ctl_ok(qw/ price add --operation generate --usd 0.10 /);
$four->sim->config(size => 'tiny', keys => { direct => 'dk-four' },
    latency => 300, rates => { generate => { base => '0.10' } });
everywhere(sub { $four->post('generate', $four->token('acme'), '{}', headers =>
    [ 'Phota-Dry-Run' => 1 ])->status == 200 }, 5) or die "no price\n";

sub four {
    my ($port, $key) = @_;

    my $client = Phota::Client::AI->new(key => $key,
        base => "http://127.0.0.1:$port/v1/phota");
    my @read = $client->at_once(4, sub { $client->image('generate',
        prompt => 'four', num_output_images => 1) });
    my %pictures = map { ($_->{images}[0] // 'none') => 1 } @read;

    is(scalar keys %pictures, 4, 'four pictures')
        or diag(explain(\@read));

    return join(' ', sort keys %pictures);
}

four($four->sim->port, 'dk-four');

my $first = four($four->port, $four->token('acme'));
my $calls = $four->calls;

is($four->sim->bill('shared')->{amount}, $four->sim->bill('direct')->{amount},
    'cost what they cost at Phota');
is(four($four->port, $four->token('acme')), $first, 'the same four again');
is($four->calls, $calls, 'from the cache');

$four->finish;

done_testing();
