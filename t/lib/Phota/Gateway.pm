package Phota::Gateway;

# One gateway in a directory of its own: nginx with the module on free ports,
# its data and master key, photactl beside it.  It writes the configuration,
# starts, reloads, upgrades, kills and stops nginx, and reads the books.

use strict;
use warnings;

use Cwd qw/ abs_path /;
use File::Basename qw/ dirname /;
use IO::Socket::INET;
use IO::Socket::UNIX;
use IO::Handle;
use JSON::PP ();
use POSIX ();
use Socket qw/ SOCK_STREAM /;
use Time::HiRes qw/ time sleep /;

our $slow = $ENV{PHOTA_SLOW} || 1;
our $top = abs_path(dirname(__FILE__) . '/../../..');

my %programs = (
    nginx => [ 'PHOTA_NGINX', '/usr/sbin/nginx' ],
    module => [ 'PHOTA_MODULE', 'build/ngx_http_phota_module.so' ],
    photactl => [ 'PHOTA_CTL', 'build/photactl' ],
    fail => [ 'PHOTA_FAIL_SO', 'build/fail.so' ],
);

my @ports;

sub program {
    my ($name) = @_;

    my ($env, $default) = @{$programs{$name}};
    my $file = $ENV{$env} || $default;

    $file = "$top/$file" unless $file =~ m{^/};

    -e $file or die "$name is missing: $file (set $env, or run make)\n";

    return $file;
}

# A port that no other test takes: the abstract socket is a lock that goes with
# the process and leaves no file.  Above the simulator's range and below that
# of ephemeral ports.

sub free_port {
    for (1 .. 1000) {
        my $port = 30000 + int(rand(2700));

        my $lock = IO::Socket::UNIX->new(Type => SOCK_STREAM, Listen => 1,
            Local => "\0phota-test-port-$port") or next;

        IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port,
            Listen => 1, ReuseAddr => 1) or next;

        push @ports, $lock;

        return $port;
    }

    die "no free port\n";
}

# dir; upstream ("127.0.0.1:port" or several lines of an upstream block);
# workers; text for main, http, server, door, results; params: changes to phota_params,
# name => value or undef to leave it out; location: another text for the
# upstream location; scheme of proxy_pass; config: a function that may change
# the whole text; env: a hash of nginx's environment; ctl_env: of photactl's;
# allow: networks that calls to others may go to besides (default: the
# loopback, '' none); job_poll: when a job is first asked for (default 1s);
# callbacks => 0: the upstream isn't asked to call back; photio => 1: a door for
# Photio

sub new {
    my ($class, %o) = @_;

    my $self = bless { workers => 2, scheme => 'http', data => "$o{dir}/data",
        allow => '127.0.0.0/8', job_poll => '1s', callbacks => 1,
        photio_door => '',
        port => free_port(), port2 => free_port(), %o }, $class;

    mkdir $self->{dir};
    chmod 0711, $self->{dir};
    mkdir "$self->{dir}/temp";
    chmod 0711, "$self->{dir}/temp";

    return $self;
}

sub port { $_[0]{port} }
sub port2 { $_[0]{port2} }
sub dir { $_[0]{dir} }
sub data { $_[0]{data} }


# --- the configuration

sub write_config {
    my ($self, %o) = @_;

    @$self{keys %o} = values %o;

    my $text = $self->_config;
    $text = $self->{config}->($text) if $self->{config};

    open(my $fh, '>', "$self->{dir}/nginx.conf") or die "nginx.conf: $!\n";
    print $fh $text;
    close($fh);
}

sub _config {
    my ($self) = @_;

    my $dir = $self->{dir};
    my $module = program('module');
    my $user = $> == 0 ? 'user www-data;' : '';
    my %text = map { $_ => $self->{$_} // '' } qw/ main http server door
        results /;
    my $location = $self->{location} // $self->_location;
    my $server = $self->{upstream};

    my $allow = $self->{allow} ? "phota_outbound_allow $self->{allow};" : '';
    my $callbacks = !$self->{callbacks} ? ''
        : "phota_callbacks_url http://127.0.0.1:$self->{port}/called/;";
    my $photio = $self->{photio} ? $self->_photio : '';

    $server = "server $server;" unless $server =~ /;/;

    return <<"EOF_CONFIG";
$user
worker_processes $self->{workers};
pid $dir/nginx.pid;
error_log $dir/error.log info;
load_module $module;
$text{main}

events {
    worker_connections 1024;
}

http {
    log_format phota '\$status \$request_method \$uri \$request_id'
        ' worker=\$pid tenant=\$phota_tenant token=\$phota_token_id'
        ' op=\$phota_operation cache=\$phota_cache_status'
        ' fp=\$phota_fingerprint charge=\$phota_charge_id'
        ' outputs=\$phota_outputs cost=\$phota_cost price=\$phota_price'
        ' saved=\$phota_saved key=\$phota_upstream_key'
        ' [\$http_x_api_key] [\$http_authorization] [\$http_x_photio_key]';
    access_log $dir/access.log phota;

    sendfile on;
    client_body_temp_path $dir/temp/body;
    proxy_temp_path $dir/temp/proxy;
    fastcgi_temp_path $dir/temp/fastcgi;
    uwsgi_temp_path $dir/temp/uwsgi;
    scgi_temp_path $dir/temp/scgi;

    phota_data $self->{data};
    phota_master_key $dir/master.key;
    phota_job_poll $self->{job_poll};
    $allow
    $callbacks
$text{http}

    upstream phota_api {
        zone phota_api 64k;
        $server
    }

    server {
        listen 127.0.0.1:$self->{port};
        listen 127.0.0.1:$self->{port2} http2;
$text{server}

        location /v1/phota/ {
            phota_pass /upstream/;
            phota_outbound /outbound/;
$text{door}
        }

        location /outbound/ {
            internal;
            include $top/conf/phota_outbound_params;
            proxy_pass \$phota_outbound_url;
        }

        location /called/ {
            phota_callbacks;
        }

        location /phota/results/ {
            phota_results;
$text{results}
        }

$location
$photio
    }
}
EOF_CONFIG
}

sub _photio {
    my ($self) = @_;

    return <<"EOF_LOCATION";
        location /v1/inference/ {
            phota_pass /photio/;
            phota_provider photio;
$self->{photio_door}
        }

        location /photio/ {
            internal;
            include $top/conf/phota_params_photio;
            proxy_pass $self->{scheme}://phota_api/;
        }
EOF_LOCATION
}

sub _location {
    my ($self) = @_;

    my $file = "$top/conf/phota_params";

    if ($self->{params}) {
        $file = "$self->{dir}/phota_params";
        $self->_write_params($file, %{$self->{params}});
    }

    return <<"EOF_LOCATION";
        location /upstream/ {
            internal;
            include $file;
            proxy_pass $self->{scheme}://phota_api/;
        }
EOF_LOCATION
}

# the shipped file with some of its directives changed

sub _write_params {
    my ($self, $file, %change) = @_;

    open(my $in, '<', "$top/conf/phota_params") or die "phota_params: $!\n";
    my $text = do { local $/; <$in> };
    close($in);

    for my $name (sort keys %change) {
        my $words = join('\s+', map { quotemeta } split(/ /, $name));

        $text =~ s/^\s*$words\s[^;]*;//mg;
        $text .= "$name $change{$name};\n" if defined $change{$name};
    }

    open(my $out, '>', $file) or die "$file: $!\n";
    print $out $text;
    close($out);
}


# --- the process

sub command {
    my ($self, @args) = @_;

    return (program('nginx'), '-p', $self->{dir}, '-e',
        "$self->{dir}/error.log", '-c', "$self->{dir}/nginx.conf", @args);
}

# nginx's exit code and what it said: for -t, and for starts that must fail

sub run {
    my ($self, @args) = @_;

    local @ENV{keys %{$self->{env} || {}}} = values %{$self->{env} || {}};

    my ($code, $out, $err) = execute([ $self->command(@args) ]);

    return ($code, $out . $err);
}

sub start {
    my ($self) = @_;

    $self->write_config;

    my ($code, $said) = $self->run;

    die "nginx didn't start ($code): $said\n" . $self->tail if $code;

    wait_for(sub { $self->master
        && (my @all = $self->workers) >= $self->{workers} }, 10)
        or die "nginx has too few workers\n" . $self->tail;
    wait_for(sub { listening($self->{port}) }, 10)
        or die "nginx doesn't listen\n" . $self->tail;

    return $self;
}

sub master {
    my ($self) = @_;

    my ($pid) = slurp("$self->{dir}/nginx.pid") =~ /^(\d+)/;

    return unless $pid && alive($pid);

    return $self->{seen} = $pid;
}

# workers of the present master; also => 1 counts those that shut down, all => 1
# those too that have just been made and don't yet say what they are

sub workers {
    my ($self, %o) = @_;

    my $master = $o{master} || $self->master or return;
    my @pids;

    for my $dir (glob('/proc/[0-9]*')) {
        my ($pid) = $dir =~ /(\d+)$/;
        my ($state, $parent) = slurp("$dir/stat") =~ /\) (\S) (\d+)/ or next;

        next if $parent != $master || $state eq 'Z';

        my $line = slurp("$dir/cmdline");
        next unless $o{all} || $line =~ /worker process/;
        next if $line =~ /shutting down/ && !$o{also} && !$o{all};

        push @pids, $pid;
    }

    @pids = sort { $a <=> $b } @pids;

    return @pids;
}

# whether each worker has answered something since the access log was so long

sub heard_all {
    my ($self, $from) = @_;

    my %heard = map { $_ => 1 }
        substr($self->log('access.log'), $from) =~ / worker=(\d+) /g;

    return !grep { !$heard{$_} } $self->workers;
}

# graceful by default: calls in flight are finished.  False when it had to be
# killed

sub stop {
    my ($self, $signal, $seconds) = @_;

    my $pid = $self->master or return 1;
    my @pids = ($pid, $self->workers(also => 1));

    kill($signal || 'QUIT', $pid);

    if (wait_for(sub { !grep { alive($_) } @pids }, $seconds || 30)) {
        return 1;
    }

    kill('KILL', grep { alive($_) } @pids);

    return 0;
}

sub restart {
    my ($self) = @_;

    my $stopped = $self->stop;
    $self->start;

    return $stopped;
}

# returns when workers with the new configuration run

sub reload {
    my ($self, %o) = @_;

    my %old = map { $_ => 1 } $self->workers;

    $self->write_config(%o);
    kill('HUP', $self->master);

    return wait_for(sub {
        my @new = $self->workers;
        @new == $self->{workers} && !grep { $old{$_} } @new;
    }, 20);
}

# USR2: a new master takes over, the old one is told to quit gracefully

sub upgrade {
    my ($self) = @_;

    my $old = $self->master;
    my @pids = ($old, $self->workers(also => 1));

    kill('USR2', $old);

    wait_for(sub {
        my $new = $self->master;
        $new && $new != $old && $self->workers;
    }, 20) or return 0;

    kill('QUIT', $old);

    return wait_for(sub { !grep { alive($_) } @pids }, 30);
}

# kill -9 of one worker (default: of any), the master starts another; its pid

sub kill_worker {
    my ($self, $pid) = @_;

    my @pids = $self->workers or return;

    $pid //= $pids[rand @pids];

    kill('KILL', $pid);
    wait_for(sub { !alive($pid) }, 10);

    return $pid;
}

sub kill_all {
    my ($self) = @_;

    my $master = $self->master || $self->{seen};

    return unless $master && alive($master);

    # a stopped master makes no new worker while its own are counted

    kill('STOP', $master);
    wait_for(sub { slurp("/proc/$master/stat") !~ /\) [RSD] / }, 10);

    my @pids = ($master, $self->workers(all => 1, master => $master));

    kill('KILL', @pids);
    wait_for(sub { !grep { alive($_) } @pids }, 10);

    # its other threads may hold the sockets for a while yet

    wait_for(sub {
        !grep { listening($_) } $self->{port}, $self->{port2} }, 10);
}


# --- photactl

# ctl(@args) or ctl(\$stdin, @args): exit code, stdout, stderr

sub ctl {
    my ($self, @args) = @_;

    my $in = ref $args[0] ? ${shift @args} : '';
    my $env = $self->{ctl_env} || {};

    local @ENV{keys %$env} = values %$env;

    return execute([ program('photactl'), '--data', $self->{data},
        '--master-key', "$self->{dir}/master.key", @args ], $in);
}

# the same, and it must work: its stdout

sub ctl_ok {
    my ($self, @args) = @_;

    my ($code, $out, $err) = $self->ctl(@args);

    if ($code) {
        shift @args if ref $args[0];
        die "photactl @args: exit $code: $err\n";
    }

    return $out;
}

sub usage {
    my ($self, @args) = @_;

    return JSON::PP::decode_json($self->ctl_ok('usage', '--json', @args));
}

sub ledger {
    my ($self, @args) = @_;

    return map { JSON::PP::decode_json($_) }
        split /\n/, $self->ctl_ok('ledger', 'list', '--json', @args);
}

sub holds {
    my ($self) = @_;

    return map { JSON::PP::decode_json($_) }
        split /\n/, $self->ctl_ok('holds', 'list', '--json');
}

# by its id, or undef

sub charge {
    my ($self, $id) = @_;

    my ($charge) = grep { $_->{charge_id} eq ($id // '') } $self->ledger;

    return $charge;
}

# "0.120000" to 120000; a badly written amount is a failure of its own

sub micro {
    my ($text) = @_;

    my ($minus, $usd, $micro) = ($text // '') =~ /^(-?)(\d+)\.(\d{6})$/
        or die 'no amount: ' . ($text // 'undef') . "\n";

    return ($minus ? -1 : 1) * ($usd * 1_000_000 + $micro);
}


# Another process begins to write in the books and doesn't end: nothing that is
# to be held or settled is durable before release_books().  Undef where there is
# no mdb_load, which does it

sub hold_books {
    my ($self) = @_;

    grep { -x "$_/mdb_load" } split /:/, $ENV{PATH} or return;

    pipe(my $out, my $in) or die "pipe: $!\n";

    my $pid = fork() // die "fork: $!\n";

    if (!$pid) {
        open(STDIN, '<&', $out);
        open(STDERR, '>', '/dev/null');
        close($in);
        exec('mdb_load', '-s', 'owners', "$self->{data}/books")
            or POSIX::_exit(127);
    }

    close($out);
    syswrite($in, "VERSION=3\nformat=bytevalue\ntype=btree\n"
        . "database=owners\nHEADER=END\n");

    # it has the lock when it waits for what we don't write; where that can't
    # be seen, most likely soon

    wait_for(sub { slurp("/proc/$pid/maps") =~ m{/books/lock} }, 10);
    wait_for(sub { slurp("/proc/$pid/syscall") =~ /^\d+ 0x0 / }, 10)
        if slurp("/proc/$pid/syscall") ne '';
    sleep 0.05 * $slow;

    return { pid => $pid, in => $in };
}

sub release_books {
    my ($self, $held) = @_;

    kill('KILL', $held->{pid});
    close($held->{in});
    waitpid($held->{pid}, 0);
}


# --- files and processes

sub log {
    my ($self, $name) = @_;

    return slurp("$self->{dir}/" . ($name || 'error.log'));
}

sub tail {
    my ($self) = @_;

    my @lines = split /^/, $self->log;
    splice(@lines, 0, @lines - 30) if @lines > 30;

    return join('', @lines);
}

sub slurp {
    my ($file) = @_;

    open(my $fh, '<:raw', $file) or return '';
    local $/;

    return scalar(<$fh>) // '';
}

sub alive {
    my ($pid) = @_;

    return 0 unless kill(0, $pid) || $!{EPERM};

    # a process whose first thread is dead keeps its locks until the last is

    return 1 if slurp("/proc/$pid/stat") !~ /\) Z /;
    return scalar(my @threads = glob("/proc/$pid/task/*")) > 1 ? 1 : 0;
}

sub listening {
    my ($port) = @_;

    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port,
        Timeout => 2) ? 1 : 0;
}

# Until the function is true, at most so many seconds, longer on a slow build
# and where others keep the machine busy: who waits in vain has failed anyway.
# It is asked less and less often, for what it does may be some work.

sub wait_for {
    my ($function, $seconds) = @_;

    my $deadline = time() + 3 * $seconds * $slow;
    my $pause = 0.02;

    while (1) {
        my $value = $function->();
        return $value if $value;
        return if time() > $deadline;
        sleep $pause;
        $pause *= 1.2 if $pause < 0.1;
    }
}

# runs a command with some input: exit code, stdout, stderr

sub execute {
    my ($command, $in) = @_;

    my %file = map {
        open(my $fh, '+>', undef) or die "a temporary file: $!\n"; $_ => $fh
    } qw/ in out err /;

    print { $file{in} } $in // '';
    $file{in}->flush;
    seek($file{in}, 0, 0);
    sysseek($file{in}, 0, 0);

    my $pid = fork() // die "fork: $!\n";

    if (!$pid) {
        open(STDIN, '<&', $file{in});
        open(STDOUT, '>&', $file{out});
        open(STDERR, '>&', $file{err});
        exec(@$command) or POSIX::_exit(127);
    }

    waitpid($pid, 0);
    my $code = $? & 127 ? 128 + ($? & 127) : $? >> 8;

    my @said = map {
        seek($file{$_}, 0, 0); local $/; scalar(readline($file{$_})) // ''
    } qw/ out err /;

    return ($code, @said);
}

1;
