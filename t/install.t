# What "make install" puts into place is whole: with the steps of the README
# and the shipped configuration, but for ports and paths, a picture is bought
# and answered again at no cost.  Installing once more keeps what was changed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Phota::HTTP;
use Phota::Sim;
use Phota::Test;
use Test::More;

my $top = $Phota::Gateway::top;
my ($build) = Phota::Gateway::program('module')
    =~ m{^(.*)/ngx_http_phota_module\.so$}
    or plan(skip_all => 'another build of the module');

my $dir = File::Temp->newdir('phota-install-XXXXXX', TMPDIR => 1,
    CLEANUP => 1);
my $root = "$dir/root";
my $etc = "$root/etc/nginx/phota";
my $owner = getpwuid($>);

$owner = 'www-data' if $> == 0;

mkdir "$dir/$_" for qw/ sim temp /;
chmod 0711, "$dir", "$dir/sim", "$dir/temp";

install();

my %modes = (
    '/usr/lib/nginx/modules/ngx_http_phota_module.so' => '0644',
    '/usr/local/sbin/photactl' => '0755',
    '/usr/local/share/man/man8/photactl.8' => '0644',
    map({ ("/etc/nginx/phota/$_" => '0644') } qw/ nginx.conf phota_params
        phota_params_photio phota_outbound_params phota_log_formats
        prices.csv /),
);

for my $file (sort keys %modes) {
    my @stat = stat "$root$file";

    is(@stat ? sprintf('%04o', $stat[2] & 07777) : 'missing', $modes{$file},
        $file);
}

# somebody's own changes outlive the next installation

append("$etc/prices.csv", "# mine\n");

like(install(), qr/kept .*prices\.csv, the new one is .*prices\.csv\.new/,
    'what was changed is kept, and that is said');
like(Phota::Gateway::slurp("$etc/prices.csv"), qr/# mine/, 'it is there');
ok(-f "$etc/prices.csv.new", 'and the new one beside it');


# the steps of the README

my $key = 'phk-install-' . Phota::Test::random();
my $sim = Phota::Sim->new(dir => "$dir/sim", keys => { $key => 'shared' },
    tls => 1);

$sim->start;

ctl('init', '--owner', $owner);
ctl(\$key, 'key', 'set', '--default');
ctl('tenant', 'add', 'acme');

my $token = ctl('token', 'issue', 'acme');
my $port = Phota::Gateway::free_port();

chomp $token;
configure();

my ($code, $out, $err) = nginx();

is($code, 0, 'nginx starts with the shipped configuration') or diag($err);
ok(Phota::Test::wait_for(sub { Phota::Gateway::listening($port) }, 10),
    'and listens');

my $body = remix(input => photo('jpg', 64, 48, 5),
    reference => photo('png', 32, 32, 6));
my @headers = ('X-API-Key' => $token, 'Content-Type' => 'application/json');
my @answers = map { Phota::HTTP::request($port, 'POST', '/v1/phota/remix',
    [ @headers ], $body) } 1 .. 2;

is($answers[0]->status, 200, 'a picture is bought')
    or diag($answers[0]->body, Phota::Gateway::slurp("$dir/error.log"));
is($answers[0]->header('Phota-Cost'), '0.120000', 'for its price');
like($answers[1]->header('Cache-Status'), qr/^phota; hit; ttl=\d+; key=/,
    'the same again is a hit');
is($answers[1]->header('Phota-Saved'), '0.120000', 'which saved that');
is($answers[1]->body, $answers[0]->body, 'with the same picture');
is($sim->bill('shared')->{usd}, '0.120000', 'there was one call on the bill');
like(ctl('ledger', 'verify'), qr/^ok: /, 'the ledger is sound');

my ($pid) = Phota::Gateway::slurp("$dir/nginx.pid") =~ /(\d+)/;

kill('QUIT', $pid);
ok(Phota::Test::wait_for(sub { !Phota::Gateway::alive($pid) }, 30),
    'nginx stops');
is(Phota::Gateway::slurp("$dir/error.log"), '', 'and had nothing to say');

$sim->stop;


sub install {
    my ($code, $out, $err) = Phota::Gateway::execute([ 'make', '-s', '-C',
        $top, 'install', "BUILD=$build", "DESTDIR=$root" ]);

    is($code, 0, 'make install') or diag($err);

    return $out;
}

sub ctl {
    my (@args) = @_;

    my $in = ref $args[0] ? ${shift @args} : '';
    my ($code, $out, $err) = Phota::Gateway::execute([
        "$root/usr/local/sbin/photactl", '--data', "$dir/data",
        '--master-key', "$dir/master.key", @args ], $in);

    is($code, 0, "photactl $args[0] " . ($args[1] // '')) or diag($err);

    return $out;
}

# the shipped one, but for paths, ports and the upstream

sub configure {
    my $text = Phota::Gateway::slurp("$etc/nginx.conf");
    my $tls = $sim->tls_port;
    my $temp = join('', map { "${_}_temp_path $dir/temp/$_;\n" }
        qw/ client_body proxy fastcgi uwsgi scgi /);

    for ($text) {
        s{modules/(ngx_http_phota_module)}{$root/usr/lib/nginx/modules/$1};
        s{^user .*}{$> == 0 ? 'user www-data;' : ''}me;
        s{^worker_processes .*}{worker_processes 2;}m;
        s{/run/nginx\.pid}{$dir/nginx.pid};
        s{/var/log/nginx}{$dir}g;
        s{/var/lib/phota}{$dir/data};
        s{/etc/phota/master\.key}{$dir/master.key};
        s{server  api\.photalabs\.com:443}{server 127.0.0.1:$tls};
        s{listen  8080}{listen 127.0.0.1:$port};
        s{^http \{}{http \{\n$temp}m;
    }

    write_file("$etc/nginx.conf", $text);

    for my $file (map { "$etc/$_" } qw/ phota_params phota_outbound_params /) {
        my $params = Phota::Gateway::slurp($file);

        $params =~ s{/etc/ssl/certs/ca-certificates\.crt}{$sim->ca}ge;
        write_file($file, $params);
    }
}

sub nginx {
    return Phota::Gateway::execute([ Phota::Gateway::program('nginx'), '-e',
        "$dir/error.log", '-c', "$etc/nginx.conf" ]);
}

sub write_file {
    my ($name, $text) = @_;

    open(my $fh, '>', $name) or die "$name: $!\n";
    print $fh $text;
    close($fh);
}

sub append {
    my ($name, $text) = @_;

    open(my $fh, '>>', $name) or die "$name: $!\n";
    print $fh $text;
    close($fh);
}

done_testing();
