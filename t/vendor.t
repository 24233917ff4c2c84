# A vendor more is rows in tables.  t/vendor/lumen.patch adds one that doesn't
# exist, with a call and the path of its jobs, and touches nothing but the
# tables of operations; by that alone its call is bought, priced, cached,
# followed and told from Phota's.  What is made of the tables is looked at
# always, the whole with PHOTA_VENDOR=1: it takes a build.

use strict;
use warnings;

use Cwd ();
use File::Temp ();
use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Phota::Test;
use Test::More;

my $top = Cwd::abs_path("$FindBin::Bin/..");
my $patch = "$top/t/vendor/lumen.patch";

grep { -x "$_/patch" } split /:/, $ENV{PATH}
    or plan(skip_all => 'no patch');

my $temp = File::Temp->newdir('phota-vendor-XXXXXX', TMPDIR => 1);
my $copy = "$temp/source";

chmod 0711, $temp;
mkdir $copy;
run('cp', '-r', map({ "$top/$_" } qw/ src t config conf Makefile /), $copy);
run('patch', '-s', '-p1', '-d', $copy, '-i', $patch);

# what it said, when it failed

sub run {
    my (@command) = @_;

    my ($code, $out, $err) = Phota::Gateway::execute(\@command);

    die "@command: exit $code\n$out$err\n" if $code;

    return $out;
}


# --- tables

my @touched = Phota::Gateway::slurp($patch) =~ m{^\+\+\+ b/(\S+)}mg;

is_deeply(\@touched, [ map { "src/core/phota_operation$_" } qw/ .h _table.c / ],
    'the tables are all that is touched');
unlike(Phota::Gateway::slurp($patch), qr/^-(?!--|      \.\w+ = .* \}$)/m,
    'and nothing is taken out of them');

sub rows {
    my ($root) = @_;

    my $program = "$temp/table";

    run('cc', '-std=gnu11', '-D_GNU_SOURCE', '-Wall', '-Werror',
        "-I$root/src/core", '-o', $program, "$root/t/table/table.c",
        "$root/src/core/phota_operation_table.c");

    return split /\n/, run($program);
}

my %before = map { $_ => 1 } rows($top);
my @after = rows($copy);
my @new = map { JSON::PP::decode_json($_) } grep { !$before{$_} } @after;

is(@after - @new, keys %before, 'all that was there is as it was');
is(scalar @new, 2, 'a call and a path more') or diag(explain \@new);
is_deeply([ map { $_->{provider} } @new ], [ qw/ lumen lumen / ],
    'of another vendor');


# --- a call

if (!$ENV{PHOTA_VENDOR}) {
    done_testing();
    exit;
}

# as fast as it can be had

delete @ENV{qw/ MAKEFLAGS MFLAGS MAKELEVEL /};
run('make', '-s', '-C', $copy, "BUILD=$temp/build", 'CFLAGS=-O0', 'NGX_CC_OPT='
    . '-O0 -fPIC', 'all');

$ENV{PHOTA_MODULE} = "$temp/build/ngx_http_phota_module.so";
$ENV{PHOTA_CTL} = "$temp/build/photactl";

# The vendor is the simulator under another name: it goes on the bill, and its
# key is the account's.

my $port = Phota::Gateway::free_port();
my $vendor = sub {
    my ($sim, $path, $to) = @_;

    return <<"EOF_LOCATION";
    location $path {
        proxy_set_header X-API-Key \$http_x_lumen_key;
        proxy_set_header X-Lumen-Key "";
        proxy_pass http://127.0.0.1:$sim/v1/phota/$to;
    }
EOF_LOCATION
};

my $t = Phota::Test->new(tenants => [ qw/ acme globex / ], start => 0,
    profiles => {}, photio => 1);
my $g = $t->gateway;
my $params = $g->dir . '/lumen_params';

$g->{http} = "server {\n    listen 127.0.0.1:$port;\n"
    . "    client_max_body_size 0;\n"
    . $vendor->($t->sim->port, '= /v1/lumen/relight', 'enhance')
    . $vendor->($t->sim->port, '/v1/lumen/jobs/', 'jobs/') . "}\n";

# the doors: Photio's once more, with other names

my $text = Phota::Gateway::slurp("$top/conf/phota_params_photio");

$text =~ s/X-Photio-Key \$phota_upstream_key/X-Lumen-Key \$phota_upstream_key/;
write_file($params, $text);

$g->{config} = sub {
    my ($config) = @_;

    my ($doors) = $config =~ m<(^ +location /v1/inference/ .*)^    \}\n>ms
        or die "no door\n";

    $doors =~ s{/v1/inference/}{/v1/lumen/};
    $doors =~ s{/photio/}{/lumen/}g;
    $doors =~ s{phota_provider photio}{phota_provider lumen};
    $doors =~ s{include \S+}{include $params;};
    $doors =~ s{proxy_pass \S+}{proxy_pass http://127.0.0.1:$port/;};
    $config =~ s{(?=^ +location /v1/inference/)}{$doors}m;

    return $config;
};

sub write_file {
    my ($file, $text) = @_;

    open(my $fh, '>', $file) or die "$file: $!\n";
    print $fh $text;
    close($fh);
}

$t->ctl_ok(\$t->{key}, 'key', 'set', '--provider', 'lumen', '--default');
$t->start;
$t->sim->config(size => 'tiny');

my ($acme, $globex) = map { $t->token($_) } qw/ acme globex /;

sub relight {
    my ($token, $fields, %o) = @_;

    my %fields = (image => \photo('jpg', 64, 48, 1), prompt => 'dusk',
        %$fields);

    return $t->request('POST', '/v1/lumen/relight', $token,
        object([ sort keys %fields ], \%fields), %o);
}

$t->is_error(relight($acme, {}), 422, 'PRICE_UNKNOWN', 'it has no price yet');
$t->ctl_ok('price', 'add', '--provider', 'lumen', '--operation', 'relight',
    '--usd', '0.12');
ok(Phota::Test::everywhere(sub { relight($acme, {},
    headers => [ 'Phota-Dry-Run' => 1 ])->status == 200 }, 10),
    'photactl knows what to price');

my $bought = relight($acme, {});

$t->is_miss($bought, '0.120000', 'its call is bought');
is($t->sim->last->{headers}{'x-api-key'}, $t->{key}, 'with its key');
unlike($t->sim->last->{raw_header}, qr/\Q$t->{photio}{shared}\E|\Q$acme\E/,
    'and nobody else\'s');

my $token = relight(undef, {}, headers => [ 'X-Lumen-Key' => $acme ]);

$t->is_hit($token, '0.120000', 'a token comes as its clients send keys');
is_deeply($token->json, $bought->json, 'the repeat is a hit');
$t->is_miss(relight($globex, {}), '0.120000', 'its tenants are apart');
is(relight($acme, { num_output_images => 2 })->json->{images}[0],
    $bought->json->{images}[0], 'more of it is bought to what there is');
$t->is_error(relight($acme, { image => undef }), 422, 'INVALID_REQUEST',
    'its fields are known', field => 'image');

# a job, by its own path

my $job = relight($acme, { prompt => 'dawn', async => JSON::PP::true(),
    response_mode => 'urls' }, job => 'delay=300');

is($job->status, 202, 'a job is taken on');

my $id = $job->json->{job_id};

like($job->json->{poll_url} // '', qr{/v1/lumen/jobs/\Q$id\E$},
    'to be asked for at its own path');

my $poll;

ok(wait_for(sub {
    $poll = $t->get("/v1/lumen/jobs/$id", $acme);
    ($poll->json->{status} // '') eq 'completed' }, 20), 'it ends')
    or diag($poll->summary);
is($t->get("/v1/lumen/jobs/$id", $globex)->status, 404, 'for its tenant');

my %usage = map { ("$_->{tenant} $_->{operation}" => $_->{cost}) }
    @{$g->usage->{rows}};

is($usage{'acme lumen-relight'}, '0.360000', 'books call it by its name');
is($t->post('enhance', $acme, enhance())->status, 200, 'Phota is as it was');

$t->finish;

done_testing();
