#!/bin/sh
#
# Starts the Phota simulator in the background: writes nginx.conf and settings
# into DIR, makes the base pictures and the certificates that are missing, and
# returns when the port listens.  The bill in DIR/bill.log outlives a restart.
# --foreground, for containers: stays, and logs to stderr.

set -eu

usage()
{
    cat >&2 <<USAGE
usage: start.sh --port P --dir DIR [--tls-port P] [--listen ADDRESS]
                [--workers N] [--seed S] [--key NAME=VALUE]...
                [--photio-key NAME=VALUE]... [--url-base URL] [--foreground]
USAGE
    exit 2
}

fail()
{
    echo "sim: $*" >&2
    exit 1
}

is_number()
{
    case $1 in
    ''|*[!0-9]*) return 1 ;;
    esac
}

# NAME=VALUE

is_named()
{
    case ${1%%=*} in
    ''|"$1"|*[!A-Za-z0-9._-]*) return 1 ;;
    esac
}

port= tls_port= dir= listen=127.0.0.1 workers=1 seed= url_base= keys=
photio_keys=
daemon=on log=error.log

while [ $# -gt 0 ]; do
    if [ "$1" = --foreground ]; then
        daemon=off log=stderr
        shift
        continue
    fi

    [ $# -ge 2 ] || usage

    case $1 in
    --port)     port=$2 ;;
    --tls-port) tls_port=$2 ;;
    --dir)      dir=$2 ;;
    --listen)   listen=$2 ;;
    --workers)  workers=$2 ;;
    --seed)     seed=$2 ;;
    --url-base) url_base=$2 ;;
    --key)
        is_named "$2" || fail "--key wants NAME=VALUE"
        keys="$keys$2
" ;;
    --photio-key)
        is_named "$2" || fail "--photio-key wants NAME=VALUE"
        photio_keys="$photio_keys$2
" ;;
    *) usage ;;
    esac

    shift 2
done

[ -n "$dir" ] || usage
is_number "$port" || usage
is_number "$workers" || usage
[ -z "$tls_port" ] || is_number "$tls_port" || usage

here=$(cd "$(dirname "$0")" && pwd -P)
nginx=${NGINX:-$(command -v nginx || echo /usr/sbin/nginx)}
modules=${NGINX_MODULES:-/usr/lib/nginx/modules}

[ -x "$nginx" ] || fail "no nginx: apt-get install nginx"
[ -e "$modules/ngx_http_lua_module.so" ] \
    || fail "no Lua for nginx: apt-get install libnginx-mod-http-lua lua-cjson"

mkdir -p "$dir/tmp"
dir=$(cd "$dir" && pwd -P)

# a pid alone may be anybody's by now
if [ -s "$dir/sim.pid" ] \
   && grep -qF "$dir/nginx.conf" "/proc/$(cat "$dir/sim.pid")/cmdline" \
      2>/dev/null
then
    fail "already running in $dir, pid $(cat "$dir/sim.pid")"
fi


# base pictures: made once for a user, because noise compresses slowly

images=${PHOTA_SIM_IMAGES:-${TMPDIR:-/tmp}/phota-sim-images-$(id -u)}

jpeg()    # name side noise quality
{
    convert -size "$2x$2" plasma:fractal -attenuate "$3" +noise Gaussian \
        -strip -quality "$4" "$new/$1.jpg"
}

png()     # name side
{
    convert -size "$2x$2" plasma:fractal -depth 8 -strip -quality 15 \
        "$new/$1.png"
}

make_images()
{
    command -v convert >/dev/null \
        || fail "no ImageMagick: apt-get install imagemagick"

    new=$(mktemp -d "$images.XXXXXX")

    convert -size 16x16 plasma:fractal -strip -quality 40 "$new/tiny.jpg"
    convert -size 16x16 plasma:fractal -depth 8 -strip -colors 16 \
        "$new/tiny.png"

    jpeg small 1024 0.3 88;     png small 420
    jpeg medium 1536 0.8 88;    png medium 768
    jpeg large 2048 1.8 89;     png large 1340

    # somebody else may have been faster; both are good
    mv -T "$new" "$images" 2>/dev/null || rm -rf "$new"
}

[ -s "$images/large.png" ] || make_images
[ -s "$images/large.png" ] || fail "$images is incomplete, remove it"
[ -O "$images" ] || fail "$images belongs to another user"


# certificates

make_certificates()
{
    cat >"$dir/openssl.cnf" <<CNF
[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = DNS:api.photalabs.com
CNF

    (
        umask 077
        cd "$dir"
        ec="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"

        openssl req -config openssl.cnf -x509 -extensions ca -days 3650 $ec \
            -subj "/CN=Phota simulator CA" -keyout ca.key -out ca.pem
        openssl req -config openssl.cnf -new $ec \
            -subj "/CN=api.photalabs.com" -keyout server.key -out server.csr
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key \
            -set_serial "0x$(openssl rand -hex 8)" -days 3650 \
            -extfile openssl.cnf -extensions leaf -out server.pem
    ) >"$dir/openssl.log" 2>&1 || fail "openssl failed, see $dir/openssl.log"

    chmod 644 "$dir/ca.pem"
}

tls=
if [ -n "$tls_port" ]; then
    [ -s "$dir/server.pem" ] || make_certificates

    # no SNI, or a wrong one: no handshake; the Host may be any
    tls="
    server {
        listen $listen:$tls_port ssl default_server;
        ssl_reject_handshake on;
        include api.conf;
    }

    server {
        listen $listen:$tls_port ssl;
        server_name api.photalabs.com;
        ssl_certificate server.pem;
        ssl_certificate_key server.key;
        include api.conf;
    }"
fi


# settings

starts=$(($(cat "$dir/starts" 2>/dev/null || echo 0) + 1))
echo "$starts" >"$dir/starts"

random()
{
    od -An -N "$1" -tx1 /dev/urandom | tr -d ' \n'
}

if [ -n "$seed" ]; then
    boot=$(printf '%08x' "$(printf %s "$seed-$starts" | cksum | cut -d' ' -f1)")
    secret=$(printf %s "$seed" | cksum | cut -d' ' -f1)
else
    boot=$(random 4)
    [ -s "$dir/secret" ] || (umask 077; random 16 >"$dir/secret")
    secret=$(cat "$dir/secret")
fi

case $listen in
0.0.0.0) host=127.0.0.1 ;;
*)       host=$listen ;;
esac

{
    echo "boot=$boot"
    echo "secret=$secret"
    echo "images=$images"
    echo "url_base=${url_base:-http://$host:$port}"

    printf %s "${keys:-pk_test=pk_test
}" | sed 's/^/key:/'
    printf %s "${photio_keys:-pt_test=pt-test
}" | sed 's/^/photio:/'
} >"$dir/settings"

# for callbacks to names; numbers need none
resolver=$(awk '$1 == "nameserver" && $2 ~ /^[0-9.]+$/ { print $2; exit }' \
    /etc/resolv.conf 2>/dev/null) || resolver=
[ -z "$resolver" ] || resolver="resolver $resolver ipv6=off;"

user=
[ "$(id -u)" -ne 0 ] || user="user root;"

cp "$here/api.conf" "$dir/api.conf"

cat >"$dir/nginx.conf" <<CONF
load_module $modules/ndk_http_module.so;
load_module $modules/ngx_http_lua_module.so;

$user
daemon $daemon;
pid sim.pid;
error_log $log warn;
worker_processes $workers;

events {
    worker_connections 4096;
}

http {
    access_log off;
    client_body_temp_path tmp/body;
    proxy_temp_path tmp/proxy;
    fastcgi_temp_path tmp/fastcgi;
    uwsgi_temp_path tmp/uwsgi;
    scgi_temp_path tmp/scgi;

    lua_package_path "$here/lua/?.lua;;";
    lua_shared_dict sim 32m;
    lua_shared_dict sim_bill 2m;
    lua_max_pending_timers 65536;
    lua_max_running_timers 4096;
    lua_socket_log_errors off;
    $resolver
    init_by_lua_block { require("sim.state").start() }
    init_worker_by_lua_block { require("sim.state").start_worker() }

    server {
        listen $listen:$port backlog=4096;
        include api.conf;
    }
$tls
}
CONF

exec "$nginx" -p "$dir/" -c "$dir/nginx.conf" -e "$log"
