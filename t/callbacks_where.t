# Tenants are called back where they may be.  An address that isn't public,
# however it is written and whatever name leads there, and who isn't who its
# certificate says, get nothing; a name is looked at when it is called, each
# time.  Whoever keeps the gateway waiting keeps nobody else.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::Callbacks;
use Phota::Names;
use Phota::Receiver;
use Phota::Test;
use Test::More;
use Time::HiRes qw/ sleep /;

my $t = Phota::Test->new(start => 0, tenants => [ qw/ acme globex / ]);
my $g = $t->gateway;
my $dir = $t->dir;
my $names = Phota::Names->new("$dir/names");
my $hook = Phota::Receiver->new(dir => "$dir/client/hook");
my $tls = Phota::Gateway::free_port();

certificates($dir, 'good.example');

$g->{http} = <<"EOF_HTTP";
    resolver 127.0.0.1:@{[ $names->port ]};
    resolver_timeout 2s;

    server {
        listen 127.0.0.1:$tls ssl;
        ssl_certificate $dir/leaf.pem;
        ssl_certificate_key $dir/leaf.key;
        access_log off;

        location / {
            proxy_pass http://127.0.0.1:@{[ $hook->port ]};
            proxy_set_header Host \$http_host;
            proxy_set_header X-Sni \$ssl_server_name;
        }
    }
EOF_HTTP

# the shipped lines, with a test's authority

my $authority = "$dir/ca.pem";

$g->{config} = sub {
    my ($text) = @_;

    my $lines = Phota::Gateway::slurp(
        "$Phota::Gateway::top/conf/phota_outbound_params");

    $lines =~ s{/etc/ssl/certs/ca-certificates.crt}{$authority};
    $text =~ s{include \S+/phota_outbound_params;}{$lines};

    return $text;
};

use_test($t);
$t->start;
$t->sim->config(size => 'tiny');

# an authority, and a certificate for a name

sub certificates {
    my ($dir, $name) = @_;

    my $key = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes';

    for ("openssl req -x509 $key -days 2 -subj /CN=authority"
        . " -keyout ca.key -out ca.pem",
        "openssl req $key -subj /CN=$name -keyout leaf.key -out leaf.csr",
        "printf 'subjectAltName=DNS:$name' >leaf.cnf",
        'openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -days 2'
            . ' -set_serial 7 -extfile leaf.cnf -out leaf.pem')
    {
        system("cd $dir && { $_; } 2>/dev/null") == 0 or die "failed: $_\n";
    }
}


subtest 'names are looked at when they are called' => sub {
    my $port = $hook->port;

    $hook->forget;
    $hook->answer(200);

    $names->know(
        'fine.example' => [ '127.0.0.1' ],
        'inside.example' => [ '10.1.2.3' ],
        'mapped.example' => [ '::ffff:10.1.2.3' ],
        'local.example' => [ 'fe80::1' ],
        'both.example' => [ '127.0.0.1', '169.254.169.254' ],
        'six.example' => [ '127.0.0.1', 'fd00::1' ],
        'public.example' => [ '8.8.8.8' ],
        'turns.example' => [ [ '127.0.0.1' ], [ '192.168.7.7' ] ],
    );

    my %bad = map { $_ => begin("http://$_.example:$port/$_") }
        qw/ inside mapped local both six public absent /;
    my $fine = begin("http://fine.example:$port/fine");
    my $turns = begin("http://turns.example:$port/turns");

    is_delivered($fine, 'a name of an address that is allowed');
    is((came($hook, '/fine'))[0]{headers}{host}, "fine.example:$port",
        'by its name');
    is($names->asked('fine.example'), 1, 'asked for once');

    for (sort keys %bad) {
        my $row = tried($bad{$_}, 1);

        is($row->{delivery}, 'waiting', "$_: refused");
        is($row->{status}, 0, "$_: nobody was called");
        like($row->{trouble}, $_ eq 'absent' ? qr/no address/
            : qr/not public|https/, "$_: why");
    }

    is_delivered($turns, 'it leads to an allowed address once');
    sleep 1.2;
    $t->ctl_ok('callback', 'retry', id($turns));
    wait_for(sub { row($turns)->{trouble} }, 10);
    like(row($turns)->{trouble}, qr/https|not public/, 'and then elsewhere');
    is(scalar came($hook, '/turns'), 1, 'where nobody goes');
};


subtest 'a receiver shows who it is' => sub {
    $hook->forget;
    $names->know(map { $_ => [ '127.0.0.1' ] } qw/ good.example
        wrong.example /);

    my $good = begin("https://good.example:$tls/good");
    my $wrong = begin("https://wrong.example:$tls/wrong");

    is_delivered($good, 'over TLS');

    my ($got) = came($hook, '/good');

    is($got->{headers}{'x-sni'}, 'good.example', 'with SNI');
    is_signed($got, secret('acme'), 'signed');
    is(tried($wrong, 1)->{status}, 0, 'another\'s certificate');

    $authority = '/etc/ssl/certs/ca-certificates.crt';
    $g->reload;

    my $unknown = begin("https://good.example:$tls/unknown");

    is(tried($unknown, 1)->{status}, 0, 'an authority that nobody knows');
    is_deeply([ map { $_->{path} } $hook->got ], [ '/good' ],
        'they got nothing');
};


subtest 'who is slow holds up himself' => sub {
    my $go = "$dir/client/go";
    my ($hung, $url) = raw(sub {
        $t->report('hung');
        select(undef, undef, undef, 0.05) until -e $go;
    });

    $hook->forget;

    # more than are followed at once

    my @slow = map { begin("$url/$_", tenant => 'globex') } 1 .. 12;
    my $asked = sub { scalar grep { /^hung/ } $t->reports };

    wait_for(sub { $asked->() >= 4 }, 10);

    my @jobs = map { begin($hook->url("/quick$_")) } 1 .. 3;

    is_delivered($_, 'another tenant\'s') for @jobs;

    is(scalar(grep { !row($_)->{tries} } @slow), 12,
        'while the slow ones wait');
    is($asked->(), 4, 'they are few at once');

    open(my $fh, '>', $go) or die "$go: $!\n";
    close($fh);

    ok(wait_for(sub { !grep { !row($_)->{tries} } @slow }, 20),
        'and all have their turn');
    kill('TERM', $hung);
    $t->reap($hung);
};


subtest 'where nobody is allowed' => sub {
    my @public = ('https://hooks.example.com/x', 'https://8.8.8.8/x',
        'https://[2606:4700:4700::1111]/x', 'https://name.example:8443/');

    my @bad = map { "https://$_/x" } qw/ 127.0.0.1 10.0.0.1 172.16.5.5
        192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1
        255.255.255.255 198.18.0.1 [::1] [::] [fe80::1] [fd00::1] [ff02::1]
        [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:10.0.0.1] [64:ff9b::a00:1]
        [2002:7f00:1::] [2001:db8::1] 2130706433 0x7f000001 0177.0.0.1 127.1
        0 127.0.0.1. 10.1 user@8.8.8.8 8.8.8.8:0 8.8.8.8:99999 /;

    push @bad, 'http://hooks.example.com/x', 'http://8.8.8.8/x', 'ftp://x/y',
        'file:///etc/passwd', 'https://', '//hooks.example.com/x', 'hook',
        "https://hooks.example.com/a b", "https://x.example/\r\nX: y",
        'https://x.example/#part', 'https://x.example\\@10.0.0.1/',
        'https://' . 'a' x 64 . '.example/', 'https://x.example/' . 'a' x 4000;

    $g->reload(allow => '');

    my $calls = $t->calls;

    for my $url (@bad) {
        my $answer = $t->submit('remix', $t->token('acme'),
            { callback_url => $url, prompt => 'nowhere' });

        $t->is_error($answer, 422, 'INVALID_REQUEST',
            'refused: ' . substr($url, 0, 40) =~ s/[\r\n]/ /gr,
            field => 'callback_url');
    }

    is($t->calls, $calls, 'nothing was bought');

    # what is taken is not called: these jobs never end

    for my $url (@public) {
        is($t->submit('remix', $t->token('acme'), { prompt => "to $url",
            callback_url => $url }, fault => 'status=400')->status, 400,
            "taken: $url");
    }

    $names->know('private.example' => [ '10.9.8.7' ],
        'loop.example' => [ '127.0.0.1' ], 'loop6.example' => [ '::1' ]);

    my %job = map { $_ => begin("https://$_.example:$tls/$_",
        job => 'delay=0;end=failed') } qw/ private loop loop6 /;

    for my $name (sort keys %job) {
        my $row = tried($job{$name}, 1);

        like($row->{trouble}, qr/not public/, "$name: refused when called");
        is($row->{status}, 0, "$name: nobody was");
    }

    is((grep { $_->{path} =~ /private|loop/ } $hook->got), 0,
        'nothing has come');
};

$t->finish;

done_testing();
