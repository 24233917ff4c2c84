# Whatever the doctor finds is provoked here, found, and gone when it is mended
# as he says.  He changes nothing, shows no key, and his exit status is that of
# the worst he found.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Phota::Fail;
use Phota::Gateway;
use Phota::Test;
use Test::More;

my $t = Phota::Test->new(own => { own => 'phk-own-key-of-a-tenant' },
    tenants => [ 'acme', 'own' ]);
my $g = $t->gateway;
my $acme = $t->token('acme');
my $dir = $t->dir;
my $data = $g->data;
my $empty = "$dir/empty.conf";

write_file($empty, "events { }\n");

sub write_file {
    my ($file, $text) = @_;

    open(my $fh, '>', $file) or die "$file: $!\n";
    print $fh $text;
    close($fh) or die "$file: $!\n";
}

# findings, as objects, but for what he found nothing wrong with; exit code

sub doctor {
    my (@args) = @_;

    push @args, '--conf', $empty if !grep { $_ eq '--conf' } @args;

    my ($code, $out, $err) = $t->ctl('doctor', '--json', @args);

    die "doctor: $err\n" if $code > 3 || $code == 2;

    my @found = map { JSON::PP::decode_json($_) } split /\n/, $out;
    my %worst = map { $_->{severity} => 1 } @found;

    is($code, $worst{error} ? 1 : $worst{warning} ? 3 : 0,
        'exit status of the worst')
        if $code != ($worst{error} ? 1 : $worst{warning} ? 3 : 0);

    return grep { $_->{severity} ne 'ok' } @found;
}

sub finds {
    my ($check, $severity, $what, $name, @args) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($found) = grep { $_->{check} eq $check && $_->{what} =~ $what }
        doctor(@args);

    ok($found, "$name is found");
    is($found && $found->{severity}, $severity, "$name: $severity");

    return $found || {};
}

sub is_gone {
    my ($check, $name, @args) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my @found = grep { $_->{check} eq $check } doctor(@args);

    is(join("\n", map { $_->{what} } @found), '', "$name: gone when mended");
}

# a healthy gateway has no warnings

$t->is_miss($t->post('remix', $acme, remix(prompt => 'first')), '0.120000',
    'a gateway that works');

my @found = doctor();

is(join("\n", map { "$_->{check}: $_->{what}" }
    grep { $_->{severity} ne 'note' } @found), '', 'nothing is wrong');

my ($code, $out) = $t->ctl('doctor', '--conf', $empty);

is($code, 0, 'exit status 0 with notes alone');
like($out, qr/^0 errors, 0 warnings, \d+ notes, \d+ checks without a finding$/m,
    'a summary for people');
unlike($out, qr/^ok /m, 'which shows what is found');
like($t->ctl_ok('doctor', '--all', '--conf', $empty), qr/^ok +owner: /m,
    'and, asked to, all that was looked at');

# files

chmod 0755, $data or die "chmod: $!\n";
my $found = finds('modes', 'error', qr/mode 0755 lets others in/,
    'an open data directory');
is($found->{mend}, "chmod 700 $data", 'its command');
system($found->{mend});
is_gone('modes', 'an open data directory');

chmod 0644, "$data/books/data.mdb" or die "chmod: $!\n";
$found = finds('modes', 'warning', qr/open to others/, 'an open file');
like($found->{where}, qr{books/data\.mdb$}, 'by its name');
system($found->{mend});
is_gone('modes', 'an open file');

SKIP: {
    skip 'only root gives files away', 4 if $>;

    chown 0, 0, "$data/books/data.mdb" or die "chown: $!\n";
    $found = finds('owner', 'error', qr/don't belong to www-data/,
        'a file of another');
    is($found->{mend}, "chown -R www-data: $data", 'its command');
    system($found->{mend});
    is_gone('owner', 'a file of another');
}

my $key = "$dir/gateway/master.key";

chmod 0644, $key or die "chmod: $!\n";
$found = finds('master-key', 'error', qr/mode 0644 lets others read/,
    'a master key that others can read');
is($found->{mend}, "chmod 600 $key", 'its command');
system($found->{mend});
is_gone('master-key', 'a master key that others can read');

write_file("$dir/other.key", '0123456789abcdef' x 4 . "\n");
chmod 0600, "$dir/other.key";
finds('keys', 'error', qr/opens 0 of 2 sealed keys/,
    'a master key that opens nothing', '--master-key', "$dir/other.key");
is_gone('keys', 'a master key that opens nothing');

# money that waits

my $unknown = $t->post('remix', $acme, remix(prompt => 'unknown'),
    fault => 'status=500');

is($unknown->status, 500, 'a call of unknown outcome');
finds('unknown', 'warning', qr/1 charges are unknown, 0\.120000 USD/,
    'an unknown charge');

my ($hold) = $g->holds;

# mended with a clock that is an hour ahead: an entry of the future

my $fail = Phota::Fail->new("$dir/orders");

$fail->clock(3600);

{
    local $g->{ctl_env} = $fail->env;

    $t->ctl_ok('holds', 'void', $hold->{charge_id}, '--reason', 'asked them');
}

is_gone('unknown', 'an unknown charge');
finds('clock', 'error', qr/the last entry is of the future/,
    'a clock that was ahead');

$fail->clock(7200);

{
    local $g->{ctl_env} = $fail->env;

    is_gone('clock', 'a clock that was ahead');
}

# holds and jobs past their age: a doctor who comes a day later

my $long = $t->background(sub {
    $t->post('remix', $acme, remix(prompt => 'long'), fault => 'latency=10000');
});
my $job = $t->submit('remix', $acme, { prompt => 'a job' },
    fault => Phota::Sim::HELD);

my $id = $job->json->{job_id};

is($job->status, 202, 'a job that stays open');
ok($t->sim->wait_in_flight(1, 5), 'a call in flight');

$fail->clock(90000);

{
    local $g->{ctl_env} = $fail->env;

    my $old = finds('holds', 'warning', qr/1 charges have been held for longer/,
        'a hold past its age');

    like($old->{mend}, qr/photactl holds list/, 'the command that shows it');

    $old = finds('jobs', 'warning', qr/1 jobs have been open for more than a/,
        'a job past its age');

    my (undef, @command) = split / /, $old->{mend};

    like($t->ctl_ok(@command), qr/\Q$id\E/,
        'the command that shows that');
}

$t->reap($long);
$t->sim->end_jobs;
ok(wait_for(sub { !$g->holds }, 30), 'both come to their end');

{
    local $g->{ctl_env} = $fail->env;

    is_gone('holds', 'a hold past its age');
    is_gone('jobs', 'a job past its age');
}

$found = finds('prices', 'note', qr/no general price/,
    'an operation without a price');
like($found->{mend}, qr/^photactl price add --operation (\w+) --usd AMOUNT$/,
    'the command that gives it one');

for my $operation (qw/ edit generate /) {
    $t->ctl_ok('price', 'add', '--operation', $operation, '--usd', '0.10');
}

is_gone('prices', 'an operation without a price');

# a reader that doesn't end

SKIP: {
    skip 'no mdb_dump', 3
        if !grep { -x "$_/mdb_dump" } split /:/, $ENV{PATH};

    my $bought = sub {
        for my $n (1 .. 70) {
            my $answer = $t->post('remix', $acme, remix(prompt => "@_ $n"));
            die "remix: " . $answer->status . "\n" if $answer->status != 200;
        }
    };

    $bought->('before');

    pipe(my $in, my $to) or die "pipe: $!\n";

    my $pid = fork() // die "fork: $!\n";

    if (!$pid) {
        open(STDOUT, '>&', $to);
        close($in);
        exec('mdb_dump', '-a', "$data/books") or POSIX::_exit(127);
    }

    close($to);
    sysread($in, my $some, 1);

    $bought->('after');

    $found = finds('readers', 'warning', qr/transactions ago/,
        'a reader that doesn\'t end');
    is($found->{where}, "process $pid", 'by its number');

    kill('KILL', $pid);
    waitpid($pid, 0);

    is_gone('readers', 'a reader that doesn\'t end');
}

# the upstream's word

my $url = $t->sim->url;

is(join('', map { "$_->{where}: $_->{what}\n" } grep { $_->{check} eq 'online' }
    doctor('--online', '--upstream', $url)), '', 'keys that are taken');

my $bad = $t->secret('phk-that-nobody-knows-' . Phota::Test::random());

$t->ctl_ok(\$bad, 'key', 'set', 'own');

$found = finds('online', 'error', qr/refuses the key \(401\)/,
    'a key that is refused', '--online', '--upstream', $url);
is($found->{where}, 'own', 'whose it is');
is($found->{mend}, 'photactl key set own', 'its command');

$t->ctl_ok(\'phk-own-key-of-a-tenant', 'key', 'set', 'own');
is_gone('online', 'a key that is refused', '--online', '--upstream', $url);

finds('online', 'warning', qr/can't be asked/, 'nobody there', '--online',
    '--upstream', 'http://127.0.0.1:' . Phota::Gateway::free_port());

# nginx's configuration: the shipped one, and what can be wrong with it

my $top = $Phota::Gateway::top;
my %files = map { $_ => Phota::Gateway::slurp("$top/conf/$_") }
    qw/ nginx.conf phota_params phota_outbound_params /;

$files{'nginx.conf'} =~ s{/var/lib/phota;}{$data;};
$files{'nginx.conf'} =~ s{/etc/phota/master\.key;}{$key;};
$files{'nginx.conf'} =~ s{^user .*}{}m if $>;

sub conf {
    my ($file, $change) = @_;

    my %changed = %files;

    for ($file ? $changed{$file} : ()) {
        my $before = $_;

        $change->();
        die "nothing to change\n" if $_ eq $before;
    }

    write_file("$dir/nginx-T", join('', map {
        "# configuration file /etc/nginx/phota/$_:\n$changed{$_}\n" }
        qw/ nginx.conf phota_params phota_outbound_params /));

    return ('--conf', "$dir/nginx-T");
}

is(join("\n", map { "$_->{where}: $_->{what}" }
    grep { $_->{check} eq 'conf' && $_->{severity} ne 'note' }
    doctor(conf())), '', 'the shipped configuration loses no money');

my @wrong = (
    [ 'phota_params', sub { s/^proxy_ignore_client_abort .*//m }, 'error',
        qr/proxy_ignore_client_abort is not on/ ],
    [ 'phota_params', sub { s/^(proxy_next_upstream) .*/$1 error timeout;/m },
        'error', qr/proxy_next_upstream is not off/ ],
    [ 'phota_params', sub {
        s/^(proxy_next_upstream) .*/$1 error non_idempotent;/m },
        'error', qr/with non_idempotent/ ],
    [ 'phota_params', sub { s/^proxy_read_timeout .*/proxy_read_timeout 5m;/m },
        'error', qr/proxy_read_timeout is 300 s/ ],
    [ 'phota_params', sub { s/^proxy_send_timeout .*//m }, 'error',
        qr/proxy_send_timeout is 60 s/ ],
    [ 'phota_params', sub { s/^(proxy_buffering) .*/$1 off;/m }, 'warning',
        qr/proxy_buffering is not on/ ],
    [ 'phota_params', sub { s/^(proxy_ssl_verify) .*/$1 off;/m }, 'error',
        qr/proxy_ssl_verify is not on/ ],
    [ 'phota_params', sub { s/^.*\$phota_upstream_key;//m }, 'error',
        qr/hands on \$phota_upstream_key/ ],
    [ 'phota_params', sub { s/^proxy_set_header +Range .*//m }, 'warning',
        qr/headers of clients go up/ ],
    [ 'nginx.conf', sub { s/include +phota_params;// }, 'error',
        qr/proxy_ignore_client_abort is not on/ ],
    [ 'nginx.conf', sub { s/(include +phota_params;)/$1 proxy_store on;/ },
        'error', qr/proxy_store is not off/ ],
    [ 'nginx.conf', sub { s/(phota_max_body +)32m/${1}8m/ }, 'warning',
        qr/phota_max_body is less than 32m/ ],
    [ 'nginx.conf', sub { s/(zone    phota_api 64k;)/$1 keepalive 8;/ },
        'warning', qr/keepalive in the upstream/ ],
    [ 'nginx.conf', sub { s/^events/worker_shutdown_timeout 30s;\nevents/m },
        'error', qr/worker_shutdown_timeout is shorter/ ],
    [ 'nginx.conf', sub {
        s/^http \{/http {\n    log_format own '\$http_x_api_key';/m },
        'warning', qr/\$http_x_api_key: outside a door/ ],
    [ 'nginx.conf', sub { s{https://phota_api/}{http://phota_api/} }, 'error',
        qr/proxy_pass without TLS/ ],
    [ 'nginx.conf', sub { s{location /upstream/}{location /other/} }, 'error',
        qr/there is no proxy_pass/ ],
    [ 'nginx.conf', sub { s/\Q$data\E;/\/elsewhere;/ }, 'warning',
        qr/phota_data: nginx has another one/ ],
);

for my $case (@wrong) {
    my ($file, $change, $severity, $what) = @$case;

    $found = finds('conf', $severity, $what, "$what", conf($file, $change));
    like($found->{where}, qr{^/etc/nginx/phota/\w+(?:\.conf)?:\d+$},
        'and where');
}

($code, $out) = $t->ctl(\Phota::Gateway::slurp("$dir/nginx-T"), 'doctor',
    '--conf', '-');
like($out, qr/phota_data: nginx has another one/, 'by standard input');

# books and cache that don't open

ok($t->stop, 'nginx stops');

mkdir "$dir/broken" or die "mkdir: $!\n";
mkdir "$dir/broken/books" or die "mkdir: $!\n";
write_file("$dir/broken/books/data.mdb", 'no books ' x 2000);
chmod 0700, "$dir/broken", "$dir/broken/books";
chmod 0600, "$dir/broken/books/data.mdb";
finds('books', 'error', qr/not a file of phota, or damaged/, 'no books',
    '--data', "$dir/broken");

rename "$data/cache/data.mdb", "$dir/cache.mdb" or die "rename: $!\n";
write_file("$data/cache/data.mdb", 'no cache ' x 2000);
system("chown --reference=$data $data/cache/data.mdb;"
    . " chmod 600 $data/cache/data.mdb");
$found = finds('cache', 'error', qr/not a file of phota, or damaged/,
    'a cache that is none');
like($found->{mend}, qr{rm \Q$data\E/cache/data\.mdb}, 'its command');
unlink "$data/cache/data.mdb";
is_gone('cache', 'a cache that is none');

finds('data', 'error', qr/can't be opened/, 'no data directory', '--data',
    "$dir/nothing");

# usage

is(($t->ctl('doctor', '--upstream', $url))[0], 2, 'a wrong command line');

$t->finish(stopped => 1, unknown => 1);

done_testing();
