# Who may see what: each operation and route of the table, each field of it that
# carries an id, asked by its owner, another tenant, a suspended one, with a
# revoked token and with none.  Only the owner gets anything of the owner's; to
# all others a foreign id is one that doesn't exist, and nothing of what is
# refused goes to the vendor.  What the table lacks is refused; what it has and
# this test has no rule for is a failure.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Phota::Test;
use Test::More;

my $program = $ENV{PHOTA_TABLE} || "$FindBin::Bin/../build/table";

plan skip_all => "make $program first" unless -x $program;

my @table = map { JSON::PP::decode_json($_) } split /\n/, `$program`;
my %doors = (phota => '/v1/phota/', photio => '/v1/inference/');


# --- the rules

my @small = (photo('jpg', 16, 16, 1), photo('png', 16, 16, 2));
my $link = 'https://example.com/1.jpg';

# what a call sends to buy something, by its label

my %sends = (
    remix => sub { remix(input => $small[0], reference => $small[1], @_) },
    enhance => sub { enhance(image => $small[0], @_) },
    edit => sub { fields(images => [ $link ], prompt => 'less rain', @_) },
    generate => sub { fields(prompt => 'a boat', @_) },
    training => sub { fields(training_tier => 'fast', image_urls =>
        [ map { "https://example.com/$_.jpg" } 1 .. 5 ], @_) },
    'photio-remix' => sub { fields(product_image => $link,
        ref_image => $link, prompt => 'a boat', seed => 1, @_) },
);

# What a kind of field carries: the value with which the owner's is named, by
# what he has and the label.  foreign: how it is refused to others, or a
# function that looks at what the vendor was told instead

my %carries = (
    profiles => { value => sub { [ $_[0]{profile} ] }, foreign => 422 },
    prompt => { value => sub { "with [[$_[0]{profile}]]" },
        foreign => 422 },
    tag => { value => sub { $_[0]{tag} }, foreign => \&is_other_tag },
    request_id => { value => sub { "$_[0]{request_id} $_[1]" }, job => 1,
        foreign => \&is_other_request },
    callback => { value => sub { $_[0]{callback} }, job => 1,
        foreign => \&is_other_callback },
);

my %carries_nothing = map { $_ => 1 } qw/ image images count mode async plain
    model resolution seed /;

# what another gets of a route by the owner's id, or a function that looks at
# an answer that has no id in its question

my %routes = (
    job => 404,
    secret => \&is_other_secret,
    profiles => \&is_other_list,
    'profile-status' => 404,
    'profile-picture' => 404,
    'profile-delete' => 404,
);

sub fields {
    my (%fields) = @_;

    return object([ sort keys %fields ], \%fields);
}


# --- who asks

# what goes up is counted: nothing shall go there by itself

my $quiet = 'callback=lost';
my $t = Phota::Test->new(tenants => [ qw/ acme globex halted / ], photio => 1,
    profiles => {}, job_poll => '600s', workers => 1);
my %token = map { $_ => $t->token($_) } qw/ acme globex halted /;

$t->sim->config(size => 'tiny');

$t->ctl_ok(qw/ price add --operation /, $_, qw/ --usd 0.10
    --identity-usd 0.13 /) for qw/ edit generate /;
$t->ctl_ok(qw/ price add --provider photio --operation remix --usd 0.05 /);

$token{revoked} = $t->issue('acme', '--label', 'old');

my ($old) = grep { ($_->{label} // '') eq 'old' } map {
    JSON::PP::decode_json($_) } split /\n/,
    $t->ctl_ok('--json', 'token', 'list', 'acme');

$t->ctl_ok('token', 'revoke', $old->{token_id});
$t->ctl_ok('tenant', 'suspend', 'halted');

everywhere(sub {
    $t->get('x', $token{revoked})->status == 401
        && ($t->get('x', $token{halted})->json->{code} // '')
            eq 'TENANT_SUSPENDED';
}, 5);

my @strangers = (
    [ 'a suspended tenant', $token{halted}, 403, 'TENANT_SUSPENDED' ],
    [ 'a revoked token', $token{revoked}, 401, 'UNAUTHORIZED' ],
    [ 'no token', undef, 401, 'UNAUTHORIZED' ],
);


# --- what the owner has

my $made = $t->train($token{acme}, { tag => 'staff' });
my $job = $t->submit('remix', $token{acme}, { client_request_id => 'first' },
    job => $quiet);
my $done = $t->poll_until($token{acme}, $job);

my %own = (
    profile => $made->json->{profile_id},
    job => $job->json->{job_id},
    tag => 'staff',
    request_id => 'order 1',
    callback => 'http://127.0.0.1:' . $t->port . '/nobody/acme',
);

# as long as the owner's, for an answer may tell where it stands

my %unknown = map { my $id = $own{$_}; (my $other = $id) =~
    s/(.{8})\z/reverse $1/e; $_ => $other eq $id ? "x$id" : $other } keys %own;

is($done->json->{status}, 'completed', 'the owner has a job');
like($own{profile}, qr/^prof_/, 'and a profile');
isnt($unknown{$_}, $own{$_}, "another $_") for qw/ job profile /;

# whatever shows up of these in an answer to others is a leak

my @secrets = ($own{profile}, $own{job}, (map { $_->{job_id} } $t->sim->jobs),
    $t->get('webhook-secret', $token{acme})->json->{secret},
    map { $_->{tag} } $t->sim->profiles);

push @secrets, $done->body =~ m{(https?://[^"]+/(?:results|pictures)/[^"]+)}g;

is(scalar(grep { !defined || length() < 6 } @secrets), 0,
    'there are secrets to look for');

sub is_clean {
    my ($answer, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $text = $answer->bytes;
    my @found = grep { index($text, $_) >= 0 } @secrets;

    is("@found", '', "$name: nothing of the owner's");
}


# --- what is asked

# Of a row: each way to name something of the owner's, and the same with an
# unknown id.  name, method, path, body; twin; foreign

sub questions {
    my ($row) = @_;

    return $row->{kind} eq 'operation' ? calls_of($row) : route_of($row);
}

sub calls_of {
    my ($row) = @_;

    my $label = $row->{label};
    my $send = $sends{$label} or return;
    my @calls = ({ name => $label, body => $send->() });

    for my $field (@{$row->{fields}}) {
        my $rule = $carries{$field->{kind}} or next;
        my @job = $rule->{job} ? (async => JSON::PP::true(),
            response_mode => 'urls') : ();
        my ($mine, $none) = map { $send->(prompt => "$label $field->{name}",
            @job, $field->{name} => $rule->{value}->($_, $label)) }
            \%own, \%unknown;

        push @calls, { name => "$label with $field->{name}", body => $mine,
            field => $field->{name}, foreign => $rule->{foreign},
            value => $rule->{value}->(\%own, $label),
            twin => { body => $none } };
    }

    for my $call (@calls) {
        @$call{qw/ row method path /} = ($row, @$row{qw/ method path /});
        $call->{twin} = { %$call, %{$call->{twin}} } if $call->{twin};
    }

    return @calls;
}

sub route_of {
    my ($row) = @_;

    defined $routes{$row->{name}} or return;

    my $id = $row->{name} eq 'job' ? 'job' : 'profile';
    my ($mine, $none) = map { $row->{path} =~ s/\{id\}/$_->{$id}/r }
        \%own, \%unknown;
    my %route = (row => $row, name => $row->{name}, method => $row->{method},
        path => $mine, foreign => $routes{$row->{name}});

    $route{twin} = { %route, path => $none } if $row->{named};

    return \%route;
}

sub ask {
    my ($question, $token, %o) = @_;

    return $t->request($question->{method}, $question->{path}, $token,
        $question->{body}, photio => $question->{row}{key_header} eq
            'X-Photio-Key', job => $quiet, %o);
}

# an answer but for what differs each time, and the digest of the question

sub text_of {
    my ($answer) = @_;

    my $text = "$answer->{status}\n" . $answer->bytes;
    my $id = $answer->header('Phota-Request-Id') // 'none';

    $text =~ s/\Q$id/ID/g;
    $text =~ s/^(?:date|phota-fingerprint): .*//gmi;
    $text =~ s/key="[0-9a-f]{64}"/KEY/g;

    return $text;
}


# --- the table has no row that this test doesn't know

for my $row (@table) {
    my $name = $row->{label} // $row->{name};

    ok($doors{$row->{provider}}
        && index($row->{path}, $doors{$row->{provider}}) == 0,
        "$name stands behind a door");
    ok($row->{kind} eq 'operation' ? $sends{$name} : $routes{$name},
        "$row->{kind} $name has a rule");

    for my $field (@{$row->{fields} || []}) {
        ok($carries{$field->{kind}} || $carries_nothing{$field->{kind}},
            "$name: field $field->{name} has a rule");
    }
}

is(scalar(grep { $_->{kind} eq 'operation' } @table), keys %sends,
    'each rule has its operation');
is(scalar(grep { $_->{kind} eq 'route' } @table), keys %routes,
    'each rule has its route');

my @questions = map { questions($_) } @table;

# the owner's answers last of all, for they delete what he has

my @last = grep { $_->{name} eq 'profile-delete' } @questions;


# --- the owner

for my $question (grep { $_->{name} ne 'profile-delete' } @questions) {
    my $answer = ask($question, $token{acme});

    like($answer->status, qr/^20[02]$/, "the owner: $question->{name}")
        or diag($answer->summary);

    $t->poll_until($token{acme}, $answer) if $answer->status == 202;
}

my @jobs = $t->sim->jobs;
my @profiles = $t->sim->profiles;

push @secrets, map { $_->{job_id} } @jobs;
push @secrets, map { @$_{qw/ profile_id tag /} } @profiles;
@secrets = grep { defined } @secrets;


# --- those who may do nothing

my $calls = $t->calls;

for my $stranger (@strangers) {
    my ($who, $token, $status, $code) = @$stranger;

    for my $question (@questions) {
        my $answer = ask($question, $token);

        $t->is_error($answer, $status, $code, "$who: $question->{name}");
        is_clean($answer, "$who: $question->{name}");
    }

    for my $question (grep { $_->{name} =~ /^(?:job|remix with prompt)$/ }
        @questions)
    {
        my $answer = ask($question, $token, http2 => 1);

        $t->is_error($answer, $status, $code,
            "$who: $question->{name} over HTTP/2");
        is_clean($answer, "$who: $question->{name} over HTTP/2");
    }
}

is($t->calls, $calls, 'nothing of it went up');


# --- another tenant: what is refused

my %codes = (404 => 'NOT_FOUND', 422 => 'INVALID_REQUEST');

for my $question (grep { $_->{foreign} && !ref $_->{foreign} } @questions) {
    my ($name, $status) = @$question{qw/ name foreign /};

    for my $http2 (0, $name =~ /^(?:job|profile-status|enhance with)/ ? 1 : ())
    {
        my $with = $http2 ? "$name over HTTP/2" : $name;
        my ($answer, $twin) = map { ask($_, $token{globex}, http2 => $http2) }
            $question, $question->{twin};

        $t->is_error($answer, $status, $codes{$status}, "another: $with",
            $question->{field} ? (field => $question->{field}) : ());
        is_clean($answer, "another: $with");
        is(text_of($answer), text_of($twin), 'as of an id that nobody has');
    }

    # a question that is refused whatever it is for

    if ($question->{body}) {
        for my $header ([ 'Cache-Control' => 'only-if-cached' ],
            [ 'Phota-Dry-Run' => 1 ], [ 'Cache-Control' => 'no-cache' ])
        {
            my ($answer, $twin) = map { ask($_, $token{globex},
                headers => $header) } $question, $question->{twin};

            is($answer->status, $status, "another: $name, @$header");
            is(text_of($answer), text_of($twin), 'as of nobody\'s');
        }
    }
}

is($t->calls, $calls, 'nothing of it went up');


# --- another tenant: what is answered, with nothing of the owner's

sub is_other_tag {
    my ($answer, $question) = @_;

    my ($mine) = grep { $_->{profile_id} eq $own{profile} } $t->sim->profiles;
    my ($other) = grep { $_->{profile_id}
        eq ($answer->json->{profile_id} // '') } $t->sim->profiles;

    isnt($other->{tag}, $mine->{tag}, 'the same tag is another one');
    unlike($other->{tag}, qr/acme/, 'and no word of the owner');
}

# what the vendor has heard of since the last one

sub new_job {
    my ($name) = @_;

    my @all = $t->sim->jobs;
    my $before = @jobs;

    is(scalar @all, $before + 1, "$name is another job");
    @jobs = @all;

    return $all[-1];
}

sub is_other_request {
    my ($answer, $question) = @_;

    my $new = new_job('the same client_request_id');

    isnt($new->{client_request_id}, $question->{value}, 'by another name');
    is($t->poll_until($token{globex}, $answer)->json->{client_request_id},
        $question->{value}, 'and told by its own');
}

sub is_other_callback {
    my ($answer, $question) = @_;

    my $new = new_job('the same callback_url');

    isnt($new->{callback_url}, $question->{value}, 'the gateway is called back');
    is(scalar(grep { ($_->{callback_url} // '') eq $new->{callback_url} }
        @jobs), 1, 'at a place that no other job has');
    $t->poll_until($token{globex}, $answer);
}

sub is_other_secret {
    my ($answer) = @_;

    like($answer->json->{secret}, qr/^whsec_/, 'has a secret of its own');
}

sub is_other_list {
    my ($answer) = @_;

    is_deeply($answer->json, { profiles => [] }, 'has none');
}

for my $question (sort { $a->{method} cmp $b->{method} }
    grep { ref $_->{foreign} } @questions)
{
    my $answer = ask($question, $token{globex});

    like($answer->status, qr/^20[02]$/, "another: $question->{name}")
        or diag($answer->summary);
    is_clean($answer, "another: $question->{name}");
    $question->{foreign}->($answer, $question);
}

# by headers: what was bought before is the owner's

my ($bought) = grep { $_->{name} eq 'remix with profile_ids' } @questions;
my $hit = ask($bought, $token{acme}, headers =>
    [ 'Idempotency-Key' => '"key-1"' ]);
my $print = $hit->header('Phota-Fingerprint');
my ($plain) = grep { $_->{name} eq 'enhance' } @questions;

$calls = $t->calls;
$t->is_error($t->post('remix', $token{globex}, '',
    headers => [ 'Phota-Fingerprint' => $print ]), 412, 'NOT_CACHED',
    "another: the owner's fingerprint");
is($t->calls, $calls, 'buys nothing');
$t->is_miss(ask($plain, $token{globex}, headers =>
    [ 'Idempotency-Key' => '"key-1"' ]), '0.120000',
    "another: the owner's Idempotency-Key is no key of his");


# --- what isn't in the table

# how the table takes a method and path that mean nothing of the owner's

sub expected {
    my ($provider, $method, $path) = @_;

    $method = 'GET' if $method eq 'HEAD';

    for my $row (grep { $_->{provider} eq $provider
        && $_->{method} eq $method } @table)
    {
        my $pattern = join('[^/]+', map { quotemeta }
            split /\{id\}/, $row->{path}, -1);

        return $row->{named} ? 404 : 0 if $path =~ /^$pattern\z/;
    }

    return 403;
}

my %asked;
my @others;

for my $row (@table) {
    my ($provider, $door) = ($row->{provider}, $doors{$row->{provider}});

    for my $id (@unknown{qw/ profile job /}) {
        my $path = $row->{path} =~ s/\{id\}/$id/r;
        my $rest = substr($path, length $door);

        push @others, map { [ $provider, "$door$_" ] } $rest, "$rest/",
            "$rest/x", "${rest}x", uc $rest, "x/$rest", "$rest%00",
            "$rest%2Fx", '', 'models', $rest =~ s{/[^/]*\z}{}r;

        # of the other vendor's, behind this door

        push @others, map { [ $_, $doors{$_} . $rest ] }
            grep { $_ ne $provider } sort keys %doors;
    }
}

$calls = $t->calls;

for my $other (@others) {
    my ($provider, $path) = @$other;

    for my $method (qw/ GET HEAD POST PUT PATCH DELETE OPTIONS /) {
        my $plain = $path =~ s/%2F/\//r;
        my $status = expected($provider, $method, $plain);

        next if !$status || $asked{"$method $path"}++;

        my $body = $method =~ /^P/ ? '{}' : undef;
        my $answer = $t->request($method, $path, $token{acme}, $body);

        # nginx itself takes no NUL

        $status = 400 if $path =~ /%00/;
        is($answer->status, $status, "the owner: $method $path");
    }
}

is($t->calls, $calls, 'nothing of it went up');


# --- and the owner still has it all

for my $question ((grep { $_->{method} eq 'GET' } @questions), @last) {
    my $answer = ask($question, $token{acme});

    is($answer->status, 200, "the owner at the end: $question->{name}");
}

$t->finish;

done_testing();
