package Phota::Client;

# Clients of Phota as they are in the wild: what each sends, in which headers
# and bodies, when it tries again, and what it makes of an answer.  Pauses are
# taken a hundred times as fast.  A client knows a base URL and a key, nothing
# of gateways.

use strict;
use warnings;

use JSON::PP ();
use MIME::Base64 qw/ decode_base64 /;
use Phota::HTTP;
use POSIX ();
use Time::HiRes qw/ sleep time /;

our $slow = $ENV{PHOTA_SLOW} || 1;

# base: "http://127.0.0.1:8080/v1/phota"; key; dir: for files

sub new {
    my ($class, %o) = @_;

    return bless { said => [], waits => [], %o }, $class;
}

# one attempt

sub send {
    my ($self, $method, $path, $body, @headers) = @_;

    my ($port, $root) = $self->{base} =~ m{^http://[^/:]+:(\d+)(.*)$};

    my $answer = Phota::HTTP::request($port, $method, "$root/$path",
        [ $self->headers, @headers ], $body);

    push @{$self->{said}}, $answer;

    return $answer;
}

# answers and pauses since the last look

sub said {
    my ($self) = @_;

    return splice @{$self->{said}};
}

sub waits {
    my ($self) = @_;

    return splice @{$self->{waits}};
}

sub wait {
    my ($self, $seconds) = @_;

    push @{$self->{waits}}, $seconds;
    sleep $seconds / 100;
}

# tries again as it is told: on (a function of the status), tries, first pause

sub insist {
    my ($self, $ask, %o) = @_;

    my $pause = $o{pause};

    for my $try (0 .. $o{tries}) {
        my $answer = $ask->();

        return $answer if $try == $o{tries} || !$o{on}->($answer->status);

        my $told = $answer->header('Retry-After');
        my $heeds = defined $told && $told =~ /^\d+$/ && $told < $o{heeds};

        $self->wait($heeds ? $told : $pause);
        $pause *= 2;
    }
}

# a link, without a key

sub download {
    my ($self, $url) = @_;

    my ($port, $path) = $url =~ m{^http://127\.0\.0\.1:(\d+)(/.*)$}
        or die "no link: $url\n";
    my $answer = Phota::HTTP::request($port, 'GET', $path,
        [ $self->user_agent ], undef);

    $answer->status == 200 or die "$url: " . $answer->summary . "\n";

    return $answer->body;
}

# until it has a status, at most so often

sub until_status {
    my ($self, $id, $seconds, $pattern) = @_;

    my $end = time() + 10 * $slow;

    while (time() < $end) {
        my $answer = $self->send('GET', "profiles/$id/status");
        my $status = $answer->json->{status} // 'status '
            . $answer->status;

        return $answer if $status =~ $pattern || $answer->status != 200;

        $self->wait($seconds);
    }

    return $self->send('GET', "profiles/$id/status");
}

# the same by several at once: what each has read

sub at_once {
    my ($self, $n, $function) = @_;

    my @readers = map {
        pipe(my $read, my $write) or die "pipe: $!\n";
        my $pid = fork() // die "fork: $!\n";

        if (!$pid) {
            my $got = eval { $function->() } // { died => "$@" };
            print $write JSON::PP->new->latin1->encode($got);
            close($write);
            POSIX::_exit(0);
        }

        close($write);
        [ $pid, $read ];
    } 1 .. $n;

    return map {
        my ($pid, $read) = @$_;
        local $/;
        my $text = readline($read);
        waitpid($pid, 0);
        JSON::PP->new->latin1->decode($text);
    } @readers;
}

# what JSON.stringify and json.dumps make of fields in their order

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $ascii = JSON::PP->new->ascii->canonical->allow_nonref->space_after;

sub compact {
    my (@fields) = @_;

    my @members;

    while (my ($name, $value) = splice(@fields, 0, 2)) {
        push @members, "\"$name\":" . $json->encode($value) if defined $value;
    }

    return '{' . join(',', @members) . '}';
}

sub dumps {
    my (@fields) = @_;

    my @members;

    while (my ($name, $value) = splice(@fields, 0, 2)) {
        push @members, "\"$name\": " . $ascii->encode($value)
            if defined $value;
    }

    return '{' . join(', ', @members) . '}';
}


package Phota::Client::AI;

# The provider for the AI SDK: one picture a call; "images" must be there.

use strict;
use warnings;

our @ISA = 'Phota::Client';

sub user_agent {
    return 'User-Agent' => 'ai/6.0.138 ai-sdk/provider-utils/4.0.21'
        . ' runtime/node.js/v22.14.0';
}

sub headers {
    my ($self) = @_;

    return 'X-API-Key' => $self->{key}, $self->user_agent, Accept => '*/*',
        'Accept-Language' => '*', 'Sec-Fetch-Mode' => 'cors',
        'Accept-Encoding' => 'gzip, deflate', 'X-App-Trace' => 'shop-7';
}

sub _post {
    my ($self, $path, @fields) = @_;

    my $body = Phota::Client::compact(@fields);

    return $self->insist(sub { $self->send('POST', $path, $body,
        'Content-Type' => 'application/json') }, tries => 2, pause => 2,
        heeds => 60, on => sub { $_[0] == 408 || $_[0] == 409
            || $_[0] == 429 || $_[0] >= 500 });
}

sub _failed {
    my ($answer) = @_;

    my $json = $answer->json;

    return { status => $answer->status, error => $json->{detail}
        // $json->{message} // 'Unknown error' };
}

# generate, edit, enhance, or whatever the model is called

sub image {
    my ($self, $model, @fields) = @_;

    my $answer = $self->_post($model, @fields);

    return _failed($answer) if $answer->status >= 300;

    my $images = $answer->json->{images};

    return { error => 'Invalid JSON response' } if $answer->status == 202
        || ref $images ne 'ARRAY' || grep { !defined || ref } @$images;

    my $subjects = $answer->json->{known_subjects} || {};

    return { images => $images, subjects => $subjects->{counts} || {} };
}

sub add_profile {
    my ($self, @urls) = @_;

    my $answer = $self->_post('profiles/add', image_urls => \@urls);

    return $answer->status == 200 ? $answer->json->{profile_id}
        : _failed($answer);
}

sub profile_status {
    my ($self, $id) = @_;

    my $answer = $self->send('GET', "profiles/$id/status");

    return $answer->status == 200 ? { map { $_ => $answer->json->{$_} }
        qw/ status message / } : _failed($answer);
}


package Phota::Client::Comfy;

# Nodes of ComfyUI: the first picture; inputs are uploaded anew at each run.

use strict;
use warnings;

our @ISA = 'Phota::Client';

sub user_agent { return 'User-Agent' => 'Python/3.12 aiohttp/3.11.18' }

sub headers {
    my ($self) = @_;

    return 'X-API-Key' => $self->{key}, Accept => 'application/json',
        $self->user_agent, 'Accept-Encoding' => 'gzip, deflate, br';
}

sub upload {
    my ($self, $name) = @_;

    my $n = sprintf('%08x%08x', rand 2 ** 32, rand 2 ** 32);

    return "https://storage.googleapis.com/comfy/$name.png?X-Goog-Algorithm="
        . "GOOG4-RSA-SHA256&X-Goog-Date=20261121T10${\ substr($n, 0, 4)}Z"
        . "&X-Goog-Expires=86400&X-Goog-Signature=$n";
}

# 429 is a matter of patience

sub _post {
    my ($self, $path, @fields) = @_;

    my $body = Phota::Client::dumps(@fields);
    my $ask = sub { $self->send('POST', $path, $body,
        'Content-Type' => 'application/json') };

    return $self->insist(sub { $self->insist($ask, tries => 16, pause => 1,
        heeds => 150, on => sub { $_[0] == 429 }) }, tries => 3, pause => 1,
        heeds => 150, on => sub { $_[0] =~ /^(?:408|500|502|503|504)$/ });
}

sub node {
    my ($self, $path, @fields) = @_;

    my $answer = $self->_post($path, @fields);

    return { error => $answer->status . ': ' . $answer->body }
        if $answer->status != 200;

    my $json = $answer->json;

    return { error => 'validation' }
        if exists $json->{known_subjects}
        && ref $json->{known_subjects} ne 'HASH';

    return { picture => MIME::Base64::decode_base64($json->{images}[0]),
        subjects => $json->{known_subjects} };
}

sub train {
    my ($self, @urls) = @_;

    my $answer = $self->_post('profiles/add', image_urls => \@urls);

    return { error => $answer->status . ': ' . $answer->body }
        if $answer->status != 200;

    my $id = $answer->json->{profile_id};

    $answer = $self->until_status($id, 5,
        qr/^(?:QUEUING|IN_PROGRESS|READY|ERROR|INACTIVE)$/);

    my $failed = $answer->json->{status} !~ /^(?:QUEUING|IN_PROGRESS|READY)$/;

    return { id => $id, failed => $failed ? 1 : 0,
        message => $failed ? $answer->json->{message} : '' };
}


package Phota::Client::Inference;

# Apps of inference.sh: links, downloaded at once.

use strict;
use warnings;

our @ISA = 'Phota::Client';

sub user_agent { return 'User-Agent' => 'python-requests/2.32.3' }

sub headers {
    my ($self) = @_;

    return $self->user_agent, 'Accept-Encoding' => 'gzip, deflate',
        Accept => '*/*', 'X-API-Key' => $self->{key},
        'Content-Type' => 'application/json';
}

sub _failed {
    my ($answer) = @_;

    my $status = $answer->status;

    return { error => 'Invalid PHOTA_KEY' } if $status == 401;
    return { error => 'Insufficient Phota credits' } if $status == 402;

    my $json = $answer->json;

    return { status => $status, code => $json->{code},
        detail => $json->{detail}, request_id => $json->{request_id}
        // $answer->header('X-Request-Id') };
}

sub run {
    my ($self, $path, @fields) = @_;

    my $answer = $self->send('POST', $path, Phota::Client::dumps(@fields,
        output_format => 'png', response_mode => 'urls'));

    return _failed($answer) if $answer->status != 200;

    my $json = $answer->json;
    my @urls = @{$json->{download_urls} || []};
    my @pictures = @urls ? map { $self->download($_) } @urls
        : map { MIME::Base64::decode_base64($_) } @{$json->{images}};

    return { pictures => \@pictures,
        subjects => $json->{known_subjects}{counts} };
}

sub train {
    my ($self, @urls) = @_;

    my $answer = $self->send('POST', 'profiles/add',
        Phota::Client::dumps(image_urls => \@urls));

    return _failed($answer) if $answer->status != 200;

    my $id = $answer->json->{profile_id};

    $answer = $self->until_status($id, 10, qr/^(?:READY|ERROR|INACTIVE)$/);

    return { id => $id, map { $_ => $answer->json->{$_} }
        qw/ status message / };
}

sub remove {
    my ($self, $id) = @_;

    my $answer = $self->send('DELETE', "profiles/$id");

    return $answer->status == 200 ? $answer->json->{status}
        : _failed($answer);
}


package Phota::Client::FitMangas;

# An application's own few functions in TypeScript.

use strict;
use warnings;

our @ISA = 'Phota::Client';

sub user_agent { return 'User-Agent' => 'node' }

sub headers {
    my ($self) = @_;

    return 'X-API-Key' => $self->{key}, 'Content-Type' => 'application/json',
        $self->user_agent, Accept => '*/*';
}

sub _read {
    my ($answer, $what) = @_;

    return $answer->status < 300 ? $what->($answer->json)
        : { error => $answer->json->{detail} // $answer->status };
}

sub generate {
    my ($self, $prompt, $resolution) = @_;

    my $answer = $self->send('POST', 'generate', Phota::Client::compact(
        prompt => $prompt, num_output_images => 1, aspect_ratio => '3:4',
        resolution => $resolution, base_model => 'nb2',
        output_format => 'jpg', response_mode => 'bytes'));

    return _read($answer, sub { { picture => $_[0]{images}[0] } });
}

sub add_profile {
    my ($self, $tier, $tag, @urls) = @_;

    my $answer = $self->send('POST', 'profiles/add', Phota::Client::compact(
        image_urls => \@urls, training_tier => $tier, tag => $tag));

    return _read($answer, sub { $_[0]{profile_id} });
}

sub profile_status {
    my ($self, $id) = @_;

    return _read($self->send('GET', "profiles/$id/status"),
        sub { $_[0]{status} });
}


package Phota::Client::Curl;

# The examples of the documentation, by curl itself.

use strict;
use warnings;

our @ISA = 'Phota::Client';

sub user_agent { return () }

# arguments as in the examples, behind the URL of a path

sub run {
    my ($self, $path, @arguments) = @_;

    my $head = "$self->{dir}/head";

    open(my $curl, '-|', 'curl', '-sS', '--max-time', 20, '-D', $head,
        "$self->{base}/$path", '-H', "X-API-Key: $self->{key}", @arguments)
        or die "curl: $!\n";
    binmode($curl);

    my $body = do { local $/; <$curl> // '' };

    close($curl);

    open(my $fh, '<:raw', $head) or die "$head: $!\n";
    my @lines = map { s/\r?\n$//r } <$fh>;
    close($fh);
    unlink $head;

    my ($status) = shift(@lines) =~ / (\d{3})/;
    my $answer = Phota::HTTP::Answer->new(status => $status, body => $body,
        complete => $? == 0);

    $answer->add_headers(@lines);
    push @{$self->{said}}, $answer;

    return $answer;
}

sub post {
    my ($self, $path, $body) = @_;

    return $self->run($path, '-X', 'POST', '-H',
        'Content-Type: application/json', '-d', $body);
}

sub send {
    my ($self, $method, $path) = @_;

    return $self->run($path, $method eq 'GET' ? () : ('-X', $method));
}

1;
