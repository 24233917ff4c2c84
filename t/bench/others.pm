package others;

# The servers that a gateway is measured beside, each in a directory of its own
# with one process that works: a stock nginx that answers files, keeps answers
# by a key of the body or passes everything on, Varnish, and Portkey's gateway.
# Each is a hash of its name, port and processes.

use strict;
use warnings;

use Phota::Gateway;
use Phota::Test ();
use POSIX ();

my @started;


# an nginx of the given locations; its pids are the workers'

sub nginx {
    my ($dir, $name, $http, $locations) = @_;

    my $port = Phota::Gateway::free_port();
    my $user = $> == 0 ? 'user root;' : '';
    my $lua = '/usr/lib/nginx/modules';
    my $modules = $http !~ /lua/ ? '' : "load_module $lua/ndk_http_module.so;\n"
        . "load_module $lua/ngx_http_lua_module.so;";

    my $home = "$dir/" . $name =~ s/\W+/-/gr;

    mkdir $_ for $home, "$home/temp";

    open(my $fh, '>', "$home/nginx.conf") or die "nginx.conf: $!\n";
    print $fh <<"END";
$modules
$user
worker_processes 1;
pid $home/pid;
error_log $home/error.log warn;
events { worker_connections 4096; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_max_body_size 64m;
    client_body_temp_path $home/temp/body;
    proxy_temp_path $home/temp/proxy;
$http
    server {
        listen 127.0.0.1:$port;
$locations
    }
}
END
    close($fh);

    system(Phota::Gateway::program('nginx'), '-p', "$home", '-e',
        "$home/error.log", '-c', "$home/nginx.conf") == 0
        or die "$name doesn't start\n";

    Phota::Test::wait_for(sub { Phota::Gateway::listening($port) }, 10);

    my ($master) = Phota::Gateway::slurp("$home/pid") =~ /(\d+)/;

    push @started, $master;

    my @workers;

    Phota::Test::wait_for(sub { @workers = grep {
        Phota::Gateway::slurp("/proc/$_/cmdline") =~ /worker process/
    } children($master) }, 10) or die "$name has no worker\n";

    return { name => $name, port => $port, pids => \@workers };
}

sub children {
    my ($pid) = @_;

    return split ' ', Phota::Gateway::slurp("/proc/$pid/task/$pid/children");
}


# discards the body, and answers a file: { name => text }

sub floor {
    my ($dir, %answers) = @_;

    for my $size (keys %answers) {
        open(my $fh, '>:raw', "$dir/$size") or die "$size: $!\n";
        print $fh $answers{$size};
        close($fh);
    }

    return nginx($dir, 'floor', '', join('', map { "location = /$_ {"
        . " error_page 405 =200 /$_; root $dir;"
        . " default_type application/json; }\n" } keys %answers));
}


# passes everything on: as nginx does it by itself, or tuned (no files, large
# buffers, connections kept)

sub pass {
    my ($dir, $name, $sim, $key) = @_;

    my $tuned = $name eq 'proxy_pass, tuned' ? <<'END' : '';
        proxy_request_buffering off;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffer_size 64k;
        proxy_buffers 16 512k;
        proxy_busy_buffers_size 1m;
        proxy_max_temp_file_size 0;
END

    return nginx($dir, $name, "    upstream sim { server"
        . " 127.0.0.1:$sim; keepalive 64; }\n", <<"END");
        location / {
            proxy_pass http://sim;
            proxy_set_header X-API-Key $key;
$tuned
        }
END
}


# proxy_cache, keyed by the body and who asks

sub cache {
    my ($dir, $name, $sim, $key, $lua) = @_;

    my $by_name = $lua ? 'lua' : 'body';
    my $http = <<"END";
    client_body_buffer_size 16m;
    client_body_in_single_buffer on;
    proxy_cache_path $dir/cache-$by_name keys_zone=answers:16m max_size=4g
                     use_temp_path=off;
    upstream sim { server 127.0.0.1:$sim; keepalive 64; }
END

    # $request_body is empty until it was read: it can't go into a variable

    my ($by, $variable) = ('', '$request_body');

    if ($lua) {
        $http .= <<'END';
    init_by_lua_block {
        ffi = require "ffi"
        ffi.cdef[[unsigned char *SHA256(const unsigned char *d, size_t n,
                                        unsigned char *md);]]
        crypto = ffi.load("crypto.so.3")
        digest = ffi.new("unsigned char[32]")
    }
END
        $variable = '$by';
        $by = <<'END';
            set $by '';
            access_by_lua_block {
                ngx.req.read_body()
                local body = ngx.req.get_body_data()
                if not body then
                    return ngx.exit(500)
                end
                crypto.SHA256(body, #body, digest)
                ngx.var.by = ngx.encode_base64(ffi.string(digest, 32))
            }
END
    }

    return nginx($dir, $name, $http, <<"END");
        location / {
            $by
            proxy_pass http://sim;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-API-Key $key;
            proxy_cache answers;
            proxy_cache_methods POST;
            proxy_cache_key "\$http_x_api_key \$uri $variable";
            proxy_cache_valid 200 1h;
            proxy_ignore_headers Cache-Control Expires Vary Set-Cookie;
            proxy_buffer_size 64k;
            proxy_buffers 16 512k;
            proxy_busy_buffers_size 1m;
            add_header X-Cache \$upstream_cache_status;
        }
END
}


# Varnish, which has the body in memory and hashes it; undef without it

sub varnish {
    my ($dir, $sim, $key) = @_;

    my $port = Phota::Gateway::free_port();

    return if !-x '/usr/sbin/varnishd'
        || !glob('/usr/lib/*/varnish/vmods/libvmod_bodyaccess.so');

    mkdir "$dir/varnish";

    open(my $fh, '>', "$dir/varnish.vcl") or die "varnish.vcl: $!\n";
    print $fh <<"END";
vcl 4.1;
import std;
import bodyaccess;
backend sim { .host = "127.0.0.1"; .port = "$sim"; }
sub vcl_recv {
    std.cache_req_body(32MB);
    return (hash);
}
sub vcl_hash {
    hash_data(req.url);
    hash_data(req.http.X-API-Key);
    bodyaccess.hash_req_body();
    return (lookup);
}
sub vcl_backend_fetch {
    set bereq.method = "POST";
    set bereq.http.X-API-Key = "$key";
}
sub vcl_backend_response {
    set beresp.ttl = 1h;
    unset beresp.http.Cache-Control;
    unset beresp.http.Vary;
}
sub vcl_deliver {
    set resp.http.X-Cache = "MISS";
    if (obj.hits > 0) {
        set resp.http.X-Cache = "HIT";
    }
}
END
    close($fh);

    my $pid = fork() // die "fork: $!\n";

    if ($pid == 0) {
        open(STDOUT, '>', "$dir/varnish.log");
        open(STDERR, '>&', \*STDOUT);
        exec('taskset', '-c', 0, '/usr/sbin/varnishd', '-F', '-n',
            "$dir/varnish", '-a', "127.0.0.1:$port", '-f', "$dir/varnish.vcl",
            '-s', 'malloc,1g', '-s', 'Transient=malloc,2g', '-j', 'none')
            or POSIX::_exit(127);
    }

    push @started, $pid;
    Phota::Test::wait_for(sub { Phota::Gateway::listening($port) }, 20);

    return { name => 'Varnish', port => $port,
        pids => [ $pid, children($pid) ] };
}


sub stop {
    kill('QUIT', @started);
    sleep(1);
    kill('TERM', @started);
    @started = ();
}

# nothing is left running, whatever the measurement died of

my $owner = $$;

END {
    local $?;
    stop() if $$ == $owner && @started;
}

1;
