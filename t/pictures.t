# What was bought is told in any way: as base64 or as links, over HTTP/1.1 and
# HTTP/2, however the request is written, in the very bytes that the upstream
# delivered, with all else that it said.  The upstream is asked for bytes, once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Digest::SHA qw/ sha256_hex /;
use Phota::Fail;
use Phota::Pictures;
use Phota::Test;
use Test::More;

my $all = $ENV{PHOTA_PICTURES_ALL};

my $t = Phota::Test->new(tenants => [ qw/ acme globex / ],
    door => 'phota_cache remix enhance edit generate;', start => 0);
my $acme = $t->token('acme');

$t->ctl_ok('price', 'add', '--operation', $_, '--usd', '0.12',
    '--identity-usd', '0.15', '--from', '2020-01-01T00:00:00Z')
    for qw/ edit generate /;
$t->sim->config(rates => { map { $_ => { base => '0.12',
    identity => '0.15' } } qw/ edit generate / });
$t->start;

# a spelling: how a photograph is written; those of one kind mean the same

my %spellings = (
    bytes => [ {}, { breaks => 76 }, { prefix => 'data:image/jpeg;base64,' },
        { urlsafe => 1, unpadded => 1 } ],
    url => [ { sign => 'Expires=1&Signature=a' },
        { sign => 'Signature=b&Expires=2' } ],
);

sub photograph {
    my ($file, $how) = @_;

    return $how->{sign}
        ? JSON::PP->new->allow_nonref->encode(
            "https://img.example/$file.jpg?$how->{sign}")
        : Phota::Body::image(\photo('jpg', 96, 64, $file), %$how);
}

# a body of any operation, written so

sub body {
    my ($operation, $how, %fields) = @_;

    my %images = (
        remix => sub { '"input_image":' . photograph(1, $how)
            . ',"reference_image":' . photograph(2, $how) },
        enhance => sub { '"image":' . photograph(3, $how) },
        edit => sub { '"images":[' . photograph(1, $how) . ','
            . photograph(4, $how) . ']' },
        generate => sub { '"base_model":"nb2"' },
    );

    my $rest = object([ sort keys %fields ], \%fields);

    return '{' . $images{$operation}->() . ',' . substr($rest, 1);
}

# both ways, both protocols, another spelling each time

sub is_told_alike {
    my ($operation, $kind, $fields, $bought, $delivered, $name) = @_;

    my $turn = 0;
    my $kinds = $spellings{$kind};
    my @ways = $all ? @$kinds : (undef);

    for my $mode (qw/ bytes urls /) {
        for my $http2 (0, 1) {
            for my $way (@ways) {
                my $how = $way || $kinds->[$turn++ % @$kinds];
                my $hit = $t->post($operation, $acme, body($operation, $how,
                    %$fields, response_mode => $mode), http2 => $http2);
                my $count = @$delivered;
                my $told = sprintf('%s, HTTP/%s', $mode, $http2 ? 2 : 1.1);

                $t->is_hit($hit, usd(120000 * $count), "$name: $told");
                is(told($hit), "$mode $count", "$name: $told: so many");
                is_deeply([ pictures($t, $hit) ], $delivered,
                    "$name: $told: the pictures");
                is(around($hit), around($bought), "$name: $told: all else");
            }
        }
    }
}

my $turn = 0;

for my $operation (qw/ remix enhance edit generate /) {
    for my $count (1, 2, 4) {
        for my $mode (qw/ bytes urls /) {
            my $kind = $turn % 3 == 2 ? 'url' : 'bytes';
            my $how = $spellings{$kind}[$turn % @{$spellings{$kind}}];
            my $name = "$operation, $count as $mode ($kind)";
            my %fields = (prompt => "p$turn", num_output_images => $count,
                output_format => $turn % 2 ? 'png' : 'jpg');
            my $calls = $t->calls;

            my $bought = $t->post($operation, $acme, body($operation, $how,
                %fields, response_mode => $mode), http2 => $turn % 4 > 1);

            $t->is_miss($bought, usd(120000 * $count), "$name: bought");
            is(told($bought), "$mode $count", "$name: as it was asked for");
            is($t->sim->last->{body_sha256}, sha256_hex(body($operation,
                $how, %fields, response_mode => 'bytes')),
                "$name: asked for bytes");

            my @delivered = $t->sim->delivered;

            is(scalar @delivered, $count, "$name: delivered");
            is_deeply([ pictures($t, $bought) ], \@delivered,
                "$name: the pictures that were delivered");
            is_told_alike($operation, $kind, \%fields, $bought, \@delivered,
                $name);
            is($t->calls, $calls + 1, "$name: by one call");
            $turn++;
        }
    }
}

# the field may stand anywhere and be written anyhow

for my $case (
    [ 'first, with white space', '{ "response_mode" : "urls" , %s}' ],
    [ 'escaped', '{%s, "response\u005fmode":"\u0075rls"}' ],
) {
    my ($what, $format) = @$case;
    my $fields = substr(remix(prompt => $what, input => noise(999),
        reference => noise(999, 1)), 1, -1);
    my $answer = $t->post('remix', $acme, sprintf($format, $fields),
        headers => [ 'X-Sim-Size' => 'tiny' ]);

    $t->is_miss($answer, '0.120000', "response_mode $what");
    is(told($answer), 'urls 1', "response_mode $what: links");
    is_deeply([ pictures($t, $answer) ], [ $t->sim->delivered ],
        "response_mode $what: to what was delivered");

    my $asked = JSON::PP::decode_json(asked($t));

    is(delete $asked->{response_mode}, 'bytes', "$what: asked as bytes");
    is_deeply($asked, JSON::PP::decode_json("{$fields}"),
        "$what: and all else as it came");
}

# names that are known: of all pictures, of some, of none

my @known = (profile_ids => [ qw/ prof_a prof_once / ],
    num_output_images => 4, prompt => '[[prof_once2]] and [[prof_none]]');
my $known = $t->post('remix', $acme, remix(@known));

is($known->header('Phota-Cost'), '0.600000', 'four pictures of somebody');
is(subjects($known), 'prof_a=4 prof_once=1 prof_once2=1', 'who is told');

my %seen = map { $_ => subjects($t->post('remix', $acme, remix(@known,
    num_output_images => $_, response_mode => 'urls'))) } 1 .. 4;

is_deeply(\%seen, {
    4 => 'prof_a=4 prof_once=1 prof_once2=1',
    3 => 'prof_a=3 prof_once=1 prof_once2=1',
    2 => 'prof_a=2 prof_once=1 prof_once2=1',
    1 => 'prof_a=1 prof_once=1 prof_once2=1',
}, 'of some of them nobody is told more often than there are pictures');

# answers unlike others

my %odd = (
    'nosubjects' => qr/^\{"known_subjects":null,/,
    'extra' => qr/^\{"safety":\{"score":0\.10,"notes":\["a\ \\"\]\}\\u00e9",
        null\]\},"known_subjects":.*,"seed":18446744073709551615\}$/x,
    'chunked' => qr/^\{"known_subjects":\{"counts":\{\}\},/,
);

for my $fault (sort keys %odd) {
    for my $mode (qw/ bytes urls /) {
        my @fields = (prompt => "$fault $mode", num_output_images => 2);
        my $first = $t->post('remix', $acme, remix(@fields,
            response_mode => $mode), fault => $fault);

        $t->is_miss($first, '0.240000', "$fault: bought as $mode");
        like(around($first), $odd{$fault}, "$fault: as it came");

        for my $other (qw/ bytes urls /) {
            my $hit = $t->post('remix', $acme, remix(@fields,
                response_mode => $other));

            $t->is_hit($hit, '0.240000', "$fault: a hit as $other");
            is(around($hit), around($first), "$fault: all of it");
            is_deeply([ pictures($t, $hit) ], [ $t->sim->delivered ],
                "$fault: the pictures");
        }
    }
}

my $part = $t->post('remix', $acme, remix(prompt => 'partial',
    num_output_images => 4, response_mode => 'urls'), fault => 'partial=2');

$t->is_miss($part, '0.240000', 'fewer than were asked for');
is(told($part), 'urls 2', 'are told as they are');
is_deeply([ pictures($t, $part) ], [ $t->sim->delivered ], 'and can be had');

# links in the wrong list can't be kept: they are told, paid, and no hit

for my $mode (qw/ bytes urls /) {
    my $body = remix(prompt => 'odd', response_mode => $mode);
    my $links = $t->post('remix', $acme, $body, fault => 'imagesurls');

    is($links->status, 200, "links among the images, asked as $mode");
    is($links->header('Phota-Cost'), '0.120000', 'are paid');
    like($links->body, qr/"images":\["http/, 'and told as they came');
    unlike($links->header('Cache-Status'), qr/stored/, 'and not stored');
}

my $empty = $t->post('remix', $acme, remix(prompt => 'empty',
    response_mode => 'urls'), fault => 'emptyimages');

$t->is_passed($empty, 200, 'no pictures at all, told as it came');
unlike($empty->header('Cache-Status'), qr/stored/, 'and not stored');

my ($hold) = $t->gateway->holds;

is($hold->{state}, 'unknown', 'whether it is paid is not known');

$t->ctl_ok('holds', 'void', $hold->{charge_id}, '--reason', 'not billed');

# big ones, over both protocols, and after a restart

my @big = (prompt => 'big', num_output_images => 4, output_format => 'png');
my $big = $t->post('enhance', $acme, enhance(@big, response_mode => 'urls'),
    headers => [ 'X-Sim-Size' => 'large' ], http2 => 1);

$t->is_miss($big, '0.480000', 'four big ones');

my @delivered = $t->sim->delivered;

cmp_ok(length join('', @delivered), '>', 10_000_000, 'of many megabytes');
is_deeply([ pictures($t, $big) ], \@delivered, 'as links');

ok($t->restart, 'a restart');
is_deeply([ pictures($t, $big) ], \@delivered, 'the links live');

for my $http2 (0, 1) {
    my $hit = $t->post('enhance', $acme, enhance(@big), http2 => $http2);

    $t->is_hit($hit, '0.480000', 'as base64');
    is($hit->header('Content-Length'), length $hit->body, 'of that length');
    is_deeply([ pictures($t, $hit) ], \@delivered, 'all their bytes');
}

$t->finish;


subtest 'a cache that keeps nothing' => sub {
    my $dir = File::Temp->newdir('phota-fail-XXXXXX', TMPDIR => 1);

    chmod 0711, $dir;

    my $b = Phota::Test->new(tenants => [ 'acme' ], start => 0);
    my $g = $b->gateway;
    my $fail = Phota::Fail->new("$dir/orders", cache => $g->data . '/cache');

    $g->{env} = $fail->env;
    $b->start;

    my $body = remix(prompt => 'kept', response_mode => 'urls');

    $fail->arm(in => [ 'cache' ], at => 1, to => 'always',
        error => 'ENOSPC');

    my $paid = $b->post('remix', $b->token('acme'), $body);

    $b->is_miss($paid, '0.120000', 'links are asked for and paid',
        cache => 'phota; fwd=uri-miss');
    is(told($paid), 'bytes 1', 'the pictures come all the same');
    is_deeply([ pictures($b, $paid) ], [ $b->sim->delivered ],
        'as they were delivered');
    is($b->charge($paid)->{state}, 'settled', 'the charge stands');

    $fail->clear;

    # a worker whose cache LMDB has given up opens it again within a second

    my $tries = 0;

    ok(everywhere(sub {
            $b->post('remix', $b->token('acme'), remix(prompt => 'heals '
                . $tries++))->header('Cache-Status') =~ /; stored/;
        }, 10), 'it heals');

    my $next = $b->post('remix', $b->token('acme'), $body);

    $b->is_miss($next, '0.120000', 'the next one is bought and stored');
    is(told($next), 'urls 1', 'and told as links');

    $b->finish(log => qr/phota:|No space left/);
};


# what can't be stored is left to the upstream's links

subtest 'a cache that is none' => sub {
    my $b = Phota::Test->new(tenants => [ 'acme' ], start => 0);
    my $file = $b->gateway->data . '/cache/data.mdb';

    mkdir($b->gateway->data . '/cache');
    open(my $fh, '>', $file) or die "$file: $!\n";
    print $fh "this is none of yours\n" x 500;
    close($fh);
    chmod 0755, $b->gateway->data . '/cache';
    chmod 0644, $file;

    $b->start;

    my $answer = $b->post('remix', $b->token('acme'),
        remix(prompt => 'links', response_mode => 'urls'));

    $b->is_miss($answer, '0.120000', 'links are asked for and paid',
        cache => 'phota; fwd=uri-miss');
    is(told($answer), 'urls 1', 'and come as links');
    unlike($answer->json->{download_urls}[0], qr{/phota/results/},
        'which are not ours');

    $b->finish(log => qr/phota:/);
};

subtest 'no location for links' => sub {
    my $b = Phota::Test->new(tenants => [ 'acme' ], config => sub {
        $_[0] =~ s{location /phota/results/ \{.*?\}}{}sr;
    });
    my $token = $b->token('acme');
    my $body = remix(prompt => 'links', response_mode => 'urls');

    for (1 .. 2) {
        my $bought = $b->post('remix', $token, $body);

        is($bought->header('Phota-Cost'), '0.120000', 'links are bought');
        is_deeply([ map { s/\?.*//r } @{lists($bought)->{download_urls}} ],
            [ map { s/\?.*//r } @{$b->sim->_control('GET', 'delivered')} ],
            "and are the upstream's");
        unlike($bought->header('Cache-Status'), qr/stored|hit/, 'not stored');
        is($b->sim->last->{body_sha256}, sha256_hex($body),
            'as they were asked for');
    }

    my $bytes = remix(prompt => 'links');

    $b->is_miss($b->post('remix', $token, $bytes), '0.120000', 'bytes');
    $b->is_hit($b->post('remix', $token, $bytes), '0.120000',
        'are served from the cache all the same');

    $b->finish;
};

done_testing();
