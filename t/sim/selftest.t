#!/usr/bin/perl

# The simulator holds its own contract: what it refuses, what it delivers, what
# it bills, and that each fault is the fault it says.

use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/../lib";

use Digest::SHA qw/ sha256_hex /;
use File::Temp ();
use IO::Socket::INET ();
use JSON::PP qw/ decode_json encode_json /;
use MIME::Base64 qw/ decode_base64 encode_base64 /;
use Phota::Sim;
use Test::More;
use Time::HiRes qw/ time sleep /;

my $dir = File::Temp->newdir(TMPDIR => 1);
my $sim = Phota::Sim->new(dir => "$dir/sim", workers => 2, tls => 1,
    keys => { 'key-one' => 'one', 'key-two' => 'two' });

$sim->start;
$sim->config(size => 'tiny');

my $url = 'https://example.com/a.jpg';
my $picture = encode_base64("\xff\xd8\xff\xe0" . 'x' x 100, '');
my %remix = (input_image => $url, reference_image => $picture);

sub call {
    my ($operation, $body, %o) = @_;

    my %headers = ('X-API-Key' => $o{key} // 'key-one');

    $headers{'X-Sim-Fault'} = $o{fault} if $o{fault};
    $headers{'X-Sim-Size'} = $o{size} if $o{size};

    return $sim->request($o{method} // 'POST', "/v1/phota/$operation",
        \%headers, ref $body ? encode_json($body) : $body, %o);
}

sub json { return eval { decode_json($_[0]{body}) } || {} }

sub micro { return $sim->bill($_[0] // 'one')->{amount} }

# runs a call and tells what it added to the bill

sub billed {
    my (@args) = @_;

    my $before = micro();
    my $answer = call(@args);

    return ($answer, micro() - $before);
}

sub subjects { return json($_[0])->{known_subjects}{counts} }


subtest 'keys' => sub {
    my $none = $sim->request('POST', '/v1/phota/remix', {}, '{}');

    is($none->{status}, 403, 'no key');
    is(json($none)->{detail}, 'Not authenticated', 'says so');
    is(call('remix', \%remix, key => 'nope')->{status}, 401, 'a wrong one');
    is(call('remix', \%remix, key => 'key-two')->{status}, 200, 'a good one');
    is(micro('two'), 120000, 'billed to its name');
    is(micro('key-two'), 120000, 'which the value tells too');
    is(micro('one'), 0, 'and to no other');

    $sim->config(keys => { third => 'key-three' });
    is(call('remix', \%remix, key => 'key-three')->{status}, 200, 'a new one');
};


subtest 'validation' => sub {
    my $r = call('remix', { reference_image => $url });

    is($r->{status}, 422, 'a field is missing');
    is_deeply(json($r), { detail => [ { loc => [ 'body', 'input_image' ],
        msg => 'Field required', type => 'missing' } ] }, 'as FastAPI says');
    like($r->{headers}{'x-request-id'}, qr/^req_\w+$/, 'has a request id');

    my %bad = (
        'count 0' => { %remix, num_output_images => 0 },
        'count 5' => { %remix, num_output_images => 5 },
        'count 1.5' => { %remix, num_output_images => 1.5 },
        'format' => { %remix, output_format => 'gif' },
        'mode' => { %remix, response_mode => 'both' },
        'image null' => { %remix, input_image => undef },
        'profiles' => { %remix, profile_ids => 'prof_a' },
        'not an object' => [ 1 ],
    );

    is(call('remix', $bad{$_})->{status}, 422, $_) for sort keys %bad;
    is(call('remix', '{"a"')->{status}, 422, 'cut JSON');
    is(call('remix', '')->{status}, 422, 'no body');
    is(call('edit', { images => [ ($url) x 11 ] })->{status}, 422, '11 images');

    $r = call('remix', { %remix, input_image => encode_base64('GIF89a') });
    is($r->{status}, 400, 'not an image');
    is(json($r)->{code}, 'INVALID_IMAGE', 'a PhotaError');
    is(json($r)->{request_id}, $r->{headers}{'x-request-id'}, 'with its id');
    is(call('remix', { %remix, input_image => '!' })->{status}, 400, 'junk');
    is(call('edit', { quality => 'low' })->{status}, 400, 'quality of nb2');
    is(call('edit', { base_model => 'reve', resolution => '2K' })->{status},
        400, 'resolution of reve');
    is(call('remix', { %remix, pro_mode => \1, prompt => undef })->{status},
        200, 'unknown fields and null pass');
    is(micro(), 120000, 'only that one is billed');
};


subtest 'pictures' => sub {
    my %seen;

    for my $size (qw/ tiny small medium large /) {
        for my $format (qw/ jpg png /) {
            my $r = call('enhance', { image => $picture,
                output_format => $format, num_output_images => 2 },
                size => $size);

            # JSON::PP is slow on megabytes
            my @images = $r->{body} =~ m{"([A-Za-z0-9+/=]{200,})"}g;

            is(scalar @images, 2, "two of $size $format");

            for my $text (@images) {
                my $bytes = decode_base64($text);

                ok(!$seen{$bytes}++, "$size $format is new");
                ok(is_valid($bytes, $format), 'and valid');
                is(encode_base64($bytes, ''), $text, 'canonical base64');
            }
        }
    }
};

sub is_valid {
    my ($bytes, $format) = @_;

    my $file = "$dir/picture.$format";

    open my $fh, '>:raw', $file or die "$file: $!";
    print $fh $bytes;
    close $fh;

    return system("identify -regard-warnings $file >/dev/null 2>&1") == 0;
}


subtest 'urls' => sub {
    my $r = json(call('generate', { response_mode => 'urls',
        num_output_images => 2, output_format => 'png' }));

    is_deeply($r->{images}, [], 'no images');
    is(scalar @{$r->{download_urls}}, 2, 'two links');

    my ($path) = $r->{download_urls}[0] =~ m{^http://[^/]+(/.*)};
    my $one = $sim->request('GET', $path);

    is($one->{headers}{'content-type'}, 'image/png', 'a picture');
    ok(is_valid($one->{body}, 'png'), 'a valid one');
    is($sim->request('GET', $path)->{body}, $one->{body}, 'always the same');

    (my $forged = $path) =~ s/Expires=\d/Expires=9/;
    is($sim->request('GET', $forged)->{status}, 403, 'forged');

    $sim->config(url_ttl => 0);
    $r = json(call('generate', { response_mode => 'urls' }));
    ($path) = $r->{download_urls}[0] =~ m{^http://[^/]+(/.*)};
    is($sim->request('GET', $path)->{status}, 403, 'expired');
    $sim->config(url_ttl => 86400);
};


subtest 'identity' => sub {
    my @cases = (
        [ {}, 1, {}, 120000 ],
        [ { prompt => '[[prof_a]]' }, 2, { prof_a => 2 }, 300000 ],
        [ { profile_ids => [ 'prof_none' ] }, 1, {}, 120000 ],
        [ { profile_ids => [ 'other' ] }, 1, {}, 120000 ],
        [ { profile_ids => [ 'prof_once' ], prompt => '[[prof_once]]' }, 3,
            { prof_once => 1 }, 390000 ],
        [ { profile_ids => [ 'prof_once_a', 'prof_once_b' ] }, 2,
            { prof_once_a => 1, prof_once_b => 1 }, 270000 ],
        [ { profile_ids => [ 'prof_once1', 'prof_once2' ] }, 2,
            { prof_once1 => 1, prof_once2 => 1 }, 300000 ],
        [ { profile_ids => [ 'prof_a', 'prof_b' ] }, 4,
            { prof_a => 4, prof_b => 4 }, 600000 ],
    );

    for my $case (@cases) {
        my ($fields, $n, $counts, $micro) = @$case;
        my ($r, $bill) = billed('remix', { %remix, %$fields,
            num_output_images => $n });

        is_deeply(subjects($r), $counts, 'counts ' . encode_json($counts));
        is($bill, $micro, "bill of $n");
    }

    my ($r, $bill) = billed('generate', { prompt => '[[prof_a]]',
        profile_ids => [ 'prof_b' ] });

    is_deeply(subjects($r), { prof_a => 1 }, 'generate takes no profile_ids');
    is($bill, 130000, 'its default rate');

    $sim->config(rates => { edit => { base => '0.2', identity => '0.300001' },
        'edit/nb2/4K' => { base => 1 } });
    is((billed('edit', {}))[1], 200000, 'a rate that was set');
    is((billed('edit', { prompt => '[[prof_a]]' }))[1], 300001, 'identity');
    is((billed('edit', { resolution => '4K' }))[1], 1000000, 'by resolution');
};


subtest 'credit' => sub {
    $sim->config(credit => { one => '0.35' });
    is((billed('remix', \%remix))[1], 120000, 'paid');
    is((billed('remix', \%remix, fault => '500'))[1], 0, 'given back');
    is((billed('remix', \%remix))[1], 120000, 'paid again');

    my ($r, $bill) = billed('remix', \%remix);

    is("$r->{status} $bill", '402 0', 'exhausted');
    like(json($r)->{request_id}, qr/^req_/, 'as a PhotaError');
    $sim->config(credit => { one => undef });
    is(call('remix', \%remix)->{status}, 200, 'no limit');
};


subtest 'other paths' => sub {
    my $get = sub { return call($_[0], undef, method => 'GET') };
    my ($r, $bill) = billed('profiles/add',
        { image_urls => [ ($url) x 5 ], training_tier => 'fast' });
    my $id = json($r)->{profile_id};

    is($bill, 1490000, 'fast training');
    is((billed('profiles/add', { image_urls => [ ($url) x 10 ] }))[1],
        2900000, 'standard training');
    is(call('profiles/add', {})->{status}, 422, 'no photos');
    ok((grep { $_->{profile_id} eq $id }
        @{json($get->('profiles/ids'))->{profiles}}), 'it is listed');
    is(json($get->("profiles/$id/status"))->{status}, 'READY', 'and ready');
    is($get->('profiles/x/status')->{status}, 404, 'a foreign one');
    ok(is_valid($get->("profiles/$id/profile_picture")->{body}, 'jpg'),
        'its picture');
    is(json(call("profiles/$id", undef, method => 'DELETE'))->{status}, 'ok',
        'deleted');
    is(scalar @{json($get->('models'))->{models}}, 5, 'models');
    like(json($get->('webhook-secret'))->{secret}, qr/^whsec_/, 'a secret');
    is($get->('nowhere')->{status}, 404, 'no such path');
    is($get->('jobs/job_x')->{status}, 404, 'no such job');
    is(call('remix', undef, method => 'PUT')->{status}, 405, 'PUT');

    my %async = (%remix, async => \1, response_mode => 'urls',
        client_request_id => 'c1');

    ($r, $bill) = billed('remix', \%async);
    is("$r->{status} $bill", '202 120000', 'a job is billed');

    my $job = json($r)->{job_id};

    ($r, $bill) = billed('remix', \%async);
    is(json($r)->{job_id} . $bill, "${job}0", 'once');
    is(scalar @{json($get->("jobs/$job"))->{result}{download_urls}}, 1,
        'its result');
    is(call('remix', { %remix, async => \1 })->{status}, 400, 'needs urls');
};


subtest 'faults' => sub {
    my %two = (%remix, num_output_images => 2);
    my @cases = (
        # fault, status, error, micro-USD
        [ 'status=500', 500, '', 0 ],
        [ 'status=500;bill=1', 500, '', 240000 ],
        [ '502 html', 502, '', 0 ],
        [ '503;bill=1', 503, '', 0 ],
        [ '504', 504, '', 0 ],
        [ '400', 400, '', 0 ],
        [ '402', 402, '', 0 ],
        [ '429', 429, '', 0 ],
        [ '201', 201, '', 240000 ],
        [ 'redirect', 302, '', 0 ],
        [ 'garbage', 200, '', 0 ],
        [ 'emptyimages', 200, '', 0 ],
        [ 'nosubjects', 200, '', 240000 ],
        [ 'imagesurls', 200, '', 240000 ],
        [ 'extra', 200, '', 240000 ],
        [ 'partial=1', 200, '', 120000 ],
        [ 'bigheader', 200, '', 240000 ],
        [ 'chunked', 200, '', 240000 ],
        [ 'chunkedcut', 200, 'cut', 240000 ],
        [ 'chunkedcut=10', 200, 'cut', 240000 ],
        [ 'truncate=100', 200, 'cut', 240000 ],
        [ 'truncate;bill=0', 200, 'cut', 0 ],
        [ 'slow=50', 200, '', 240000 ],
        [ 'reset', 0, 'reset', 0 ],
        [ 'reset;bill=1', 0, 'reset', 240000 ],
        [ 'resetlate=50', 200, 'reset', 240000 ],
        [ 'close', 0, 'closed', 0 ],
        [ 'nonsense', 400, '', 0 ],
    );

    for my $case (@cases) {
        my ($fault, $status, $error, $micro) = @$case;
        my ($r, $bill) = billed('remix', \%two, fault => $fault);

        is("$r->{status} $r->{error} $bill", "$status $error $micro",
            "fault $fault");
        ok($r->{headers}{'x-request-id'}, 'request id') if $r->{status};
    }

    my $r = call('remix', \%two, fault => 'truncate=100');
    is(length $r->{body}, 100, 'truncate keeps so many bytes');
    cmp_ok($r->{headers}{'content-length'}, '>', 500, 'of the whole length');

    $r = call('remix', \%two, fault => 'chunkedcut');
    is(scalar @{json($r)->{images}}, 2, 'chunkedcut lacks the end alone');
    $r = json(call('remix', \%two, fault => 'partial=1'));
    is(scalar @{$r->{images}}, 1, 'partial');
    $r = json(call('remix', \%two, fault => 'imagesurls'));
    like($r->{images}[1], qr/^http/, 'links in images');
    $r = call('remix', \%two, fault => 'extra');
    like($r->{body}, qr/^\{"safety":.*"seed":\d+\}$/s, 'extra members');
    is(scalar @{json($r)->{images}}, 2, 'around the others');
    $r = json(call('remix', \%two, fault => 'nosubjects'));
    ok(exists $r->{known_subjects} && !$r->{known_subjects}, 'subjects null');
    like(call('remix', \%two, fault => 'html')->{body}, qr/<html>/, 'html');
    $r = json(call('remix', \%two, fault => '400;long=9000'));
    is(length $r->{detail}, 9000, 'long');
};


subtest 'what was delivered' => sub {
    my $r = json(call('enhance', { image => $picture, output_format => 'png',
        num_output_images => 3 }));

    is_deeply([ $sim->delivered ], [ map { decode_base64($_) }
        @{$r->{images}} ], 'the pictures of the last call');

    $r = json(call('enhance', { image => $picture,
        response_mode => 'urls' }));

    my ($path) = $r->{download_urls}[0] =~ m{^http://[^/]+(/.*)};

    is_deeply([ $sim->delivered ], [ $sim->request('GET', $path)->{body} ],
        'and told links');
};


subtest 'time' => sub {
    my $start = time;

    call('remix', \%remix, fault => 'latency=200');
    cmp_ok(time - $start, '>=', 0.19, 'latency');

    $sim->config(latency => '50-60');
    $start = time;
    call('remix', \%remix);
    cmp_ok(time - $start, '>=', 0.045, 'a range of it');
    $sim->config(latency => 0);

    my $before = micro();
    my $r = call('remix', \%remix, fault => 'hang', timeout => 0.3);

    is("$r->{error} $r->{status}", 'timeout 0', 'hang');
    is(micro(), $before, 'not billed');
    ok($sim->wait_in_flight(0), 'ends with its client');

    $r = call('remix', \%remix, fault => 'latency=300', timeout => 0.1);
    is($r->{error}, 'timeout', 'a client that leaves');
    ok($sim->wait_in_flight(0), 'does not end the work');
    is(micro(), $before + 120000, 'which is billed');
};


# a client that has sent the head alone already has the answer

subtest 'early' => sub {
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
        PeerPort => $sim->port) or die;

    print $s "POST /v1/phota/remix HTTP/1.1\r\nHost: x\r\n",
        "X-API-Key: key-one\r\nX-Sim-Fault: early=402\r\n",
        "Content-Length: 20000000\r\n\r\n";

    my $start = time;
    my $text = do { local $/; <$s> };

    like($text, qr{^HTTP/1.1 402 }, 'answered');
    like($text, qr/"request_id"/, 'whole');
    cmp_ok(time - $start, '<', 1, 'and closed');

    my $r = call('enhance', 'x' x 20_000_000, fault => 'early=402');

    like("$r->{status} $r->{error}", qr/^(?:402 |0 reset|0 write)/,
        'closed upon a sender');
};


subtest 'queued faults' => sub {
    $sim->fault('503', count => 2, operation => 'edit');
    $sim->fault('early=502');

    is(call('edit', {})->{status}, 503, 'for edit');
    is(call('remix', \%remix)->{status}, 502, 'for any');
    is(call('remix', \%remix)->{status}, 200, 'used up');
    is(call('edit', {})->{status}, 503, 'the second');
    is(call('edit', {})->{status}, 200, 'used up');
    is($sim->counters->{faults_left}, 0, 'none left');
    ok(!eval { $sim->fault('nonsense'); 1 }, 'nonsense is refused');

    $sim->fault('500', count => 'always');
    is(call('edit', {})->{status}, 500, 'always');
    $sim->fault(undef);
    is(call('edit', {})->{status}, 200, 'cleared');
};


subtest 'what was received' => sub {
    my $body = encode_json(\%remix);
    my $before = $sim->calls;

    call('remix', $body);

    my $last = $sim->last;

    is($sim->calls, $before + 1, 'counted');
    is($last->{method} . $last->{uri}, 'POST/v1/phota/remix', 'request line');
    is($last->{headers}{'x-api-key'}, 'key-one', 'headers');
    like($last->{raw_header}, qr/^X-API-Key: key-one\r$/m, 'raw');
    is($last->{body}, $body, 'body');

    my $big = encode_json({ image => encode_base64("\xff\xd8\xff"
        . 'x' x 14_000_000, '') });

    is(call('enhance', $big)->{status}, 200, 'a large body');

    (my $other = $big) =~ s/"image"/"prompt":"\\"[[prof_a]]\\\\","image"/;
    is_deeply(subjects(call('enhance', $other)), { prof_a => 1 },
        'with escapes beside');
    substr($other, -100, 1) = '!';
    is(call('enhance', $other)->{status}, 400, 'a large bad one');
    substr($other, -100, 1) = "\x01";
    cmp_ok(call('enhance', $other)->{status}, '>=', 400, 'with a control');

    call('enhance', $big);
    $last = $sim->last;
    is($last->{body_length}, length $big, 'its length');
    is($last->{body_sha256}, sha256_hex($big), 'its digest');
};


subtest 'TLS' => sub {
    my $head = "GET /v1/phota/models HTTP/1.0\r\nX-API-Key: key-one\r\n\r\n";
    my $run = sub {
        my ($name) = @_;
        my $peer = '127.0.0.1:' . $sim->tls_port;

        open my $fh, '>', "$dir/request" or die;
        print $fh $head;
        close $fh;

        return scalar qx{openssl s_client -connect $peer $name -quiet \\
            -CAfile @{[ $sim->ca ]} -verify_return_error -ign_eof \\
            -verify_hostname api.photalabs.com <$dir/request 2>&1};
    };

    like($run->('-servername api.photalabs.com'), qr/gpt-image-2/, 'with SNI');
    is($sim->last->{tls}{server_name}, 'api.photalabs.com', 'which is told');
    unlike($run->('-noservername'), qr/gpt-image-2/, 'not without');
};


subtest 'restart' => sub {
    my $bill = $sim->bill;
    my $rows = () = $sim->bill_csv =~ /\n/g;
    my $calls = 0;

    $calls += $_->{calls} for values %$bill;
    is($rows, $calls + 1, 'a CSV line for each call');
    like($sim->bill_csv, qr/^[\dT:.-]+Z,req_\w+,one,remix,2,0,0\.240000$/m,
        'of this form');

    $sim->restart;
    is_deeply({ %{$sim->bill}, third => $bill->{third} }, $bill,
        'the bill stays');
    $sim->reset;
    is(micro(), 0, 'until it is reset');
    is($sim->bill_csv =~ tr/\n//, 1, 'with its log');
};


$sim->stop;
ok(!IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $sim->port),
    'stopped');

my $log = do { local (@ARGV, $/) = "$dir/sim/error.log"; <> } // '';

unlike($log, qr/\[(?:error|alert|crit|emerg)\](?!.*SSL_do_handshake)/,
    'nothing bad in the log');

done_testing();
