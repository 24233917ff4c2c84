#!/bin/bash

# What "make demo" shows: two tenants buy pictures through the gateway, from a
# simulator of Phota; and at the end our books are compared with its bill.
# Everything happens on loopback and in one temporary directory.

set -eu -o pipefail
cd "$(dirname "$0")/.."

build=${BUILD:-$PWD/build}
keep=${KEEP:-}
dir=$(mktemp -d /tmp/phota-demo.XXXXXX)
chmod 711 "$dir"

export LC_ALL=C PATH=$PATH:/usr/sbin
export PHOTA_DATA=$dir/data
export PHOTA_MASTER_KEY=$dir/master.key
ctl=$build/photactl

owner=$(id -un)
if [ "$(id -u)" = 0 ]; then
    owner=www-data
fi

bold= dim= off=
if [ -t 1 ]; then
    bold=$'\e[1m' dim=$'\e[2m' off=$'\e[0m'
fi

say()   { printf '%s\n' "$*"; }
title() { printf '\n%s%s%s\n\n' "$bold" "$*" "$off"; }
fail()  { printf '\ndemo: %s\n' "$*" >&2; exit 1; }


# the end, whichever way it comes; with KEEP=1 the same lines are left as a
# script

cat > "$dir/stop" << END
#!/bin/sh
pid=\$(cat $dir/nginx.pid 2>/dev/null) && kill -QUIT "\$pid"
for i in \$(seq 50); do
    test -e $dir/nginx.pid || break
    sleep 0.1
done
test ! -e $dir/nginx.pid || kill -TERM "\$pid"
sh $PWD/t/sim/stop.sh $dir/sim
rm -rf $dir
END
chmod +x "$dir/stop"

finish() {
    rc=$?
    trap - EXIT
    if [ $rc != 0 ] && [ -s "$dir/error.log" ]; then
        tail -n 20 "$dir/error.log" >&2
    fi
    if [ -z "$keep" ] || [ $rc != 0 ]; then
        sh "$dir/stop" || :
    fi
    exit $rc
}

trap finish EXIT
trap 'exit 130' HUP INT TERM

read -r sim_port tls_port port < <(perl -MIO::Socket::INET -e '
    my @s = map { IO::Socket::INET->new(Listen => 1,
        LocalAddr => "127.0.0.1") or die } 1 .. 3;
    print join(" ", map { $_->sockport } @s), "\n"')

sim=http://127.0.0.1:$sim_port
gateway=http://127.0.0.1:$port


# The simulator: two of Phota's customers, one of them us.

start_sim() {
    sh t/sim/start.sh --port "$sim_port" --tls-port "$tls_port" \
        --dir "$dir/sim" --key acme="$acme_key" --key house="$house_key" \
        > "$dir/sim.log" 2>&1 || { cat "$dir/sim.log" >&2; return 1; }
    curl -sSf -o /dev/null -d '{"latency":"700-1500","size":"medium"}' \
        "$sim/_sim/config"
}


# The gateway: conf/, but for names of files, ports and the upstream.

configure() {
    cp conf/phota_params conf/phota_outbound_params \
        conf/phota_log_formats conf/nginx.conf "$dir/"
    sed -i "s,/etc/ssl/certs/ca-certificates.crt,$dir/sim/ca.pem," \
        "$dir/phota_params" "$dir/phota_outbound_params"
    sed -i \
        -e "s,modules/\(ngx_http_phota_module.so\),$build/\1," \
        -e "s,^user .*,user $owner;," \
        -e "s,^worker_processes .*,worker_processes 2;," \
        -e "s,/run/nginx.pid,$dir/nginx.pid," \
        -e "s,/var/log/nginx,$dir," \
        -e "s,/var/lib/phota,$dir/data," \
        -e "s,/etc/phota/master.key,$dir/master.key," \
        -e "s,server  api.photalabs.com:443,server 127.0.0.1:$tls_port," \
        -e "s,listen  8080,listen 127.0.0.1:$port," \
        "$dir/nginx.conf"
    if [ "$owner" != www-data ]; then
        sed -i '/^user /d' "$dir/nginx.conf"
    fi
    mkdir "$dir/temp"
    chmod 711 "$dir/temp"
    for kind in client_body proxy fastcgi uwsgi scgi; do
        sed -i "/^http {/a\    ${kind}_temp_path $dir/temp/$kind;" \
            "$dir/nginx.conf"
    done
}

start_gateway() {
    nginx -p "$dir" -e "$dir/error.log" -c "$dir/nginx.conf"
    for _ in $(seq 50); do
        if curl -s -o /dev/null "$gateway/"; then
            return
        fi
        sleep 0.1
    done
    fail "the gateway doesn't answer"
}

stop_gateway() {
    nginx -p "$dir" -e "$dir/error.log" -c "$dir/nginx.conf" -s quit
    for _ in $(seq 100); do
        test -e "$dir/nginx.pid" || return 0
        sleep 0.1
    done
    fail "the gateway doesn't end"
}


# Bodies.  A photograph's base64 goes into JSON as it is, or as it may come
# from other software: in lines of 76, or as a data: URL.

plain()   { base64 -w0 "$1"; }
lines()   { base64 -w76 "$1" | awk '{ printf "%s\\r\\n", $0 }'; }
dataurl() { printf 'data:image/%s;base64,' "${1##*.}"; base64 -w0 "$1"; }

remix() {
    printf '{"input_image":"%s","reference_image":"%s",' \
        "$("$1" "$dir/portrait.jpeg")" "$("$1" "$dir/style.png")"
    printf '"num_output_images":1,"output_format":"jpg"}'
}

remix_reordered() {
    printf '{ "output_format": "jpg",\n  "num_output_images": 1,\n'
    printf '  "reference_image": "%s",\n  "input_image": "%s" }\n' \
        "$("$1" "$dir/style.png")" "$("$1" "$dir/portrait.jpeg")"
}

enhance() {
    printf '{"image":"%s","num_output_images":2,"output_format":"png",' \
        "$(plain "$dir/portrait.jpeg")"
    printf '"profile_ids":["prof_anna"]}'
}


# One call, as a tenant makes it, and what came back.

call() {
    local name=$1 operation=$2 token=$3 body=$4 want=$5
    local verdict=MISS code time

    read -r code time < <(curl -sS -o "$dir/$name.json" -D "$dir/$name.head" \
        -w '%{http_code} %{time_total}\n' -H "X-API-Key: $token" \
        -H 'Content-Type: application/json' --data-binary @"$dir/$body" \
        "$gateway/v1/phota/$operation")

    [ "$code" = 200 ] || { cat "$dir/$name.json" >&2 || :; \
        fail "$operation was answered $code"; }

    if grep -qi '^Cache-Status: phota; hit' "$dir/$name.head"; then
        verdict=HIT
    fi

    tr -d '\r' < "$dir/$name.head" > "$dir/$name.headers"
    picture "$name" > "$dir/$name.image"

    printf '   %s%s%s  %s  %.2f s  %s\n' "$bold" "$verdict" "$off" \
        "$code" "$time" \
        "$(identify -format '%m %wx%h, %B bytes' "$dir/$name.image" \
            2>/dev/null || :)"
    grep -iE '^(Cache-Status|Phota-(Cost|Charge-Id)|Age):' \
        "$dir/$name.headers" | sed "s/^/   $dim/; s/\$/$off/" || :
    grep -iE '^Phota-Saved: 0\.[0-9]*[1-9]' "$dir/$name.headers" \
        | sed "s/^/   $dim/; s/\$/$off/" || :

    grep -qi "^Cache-Status: phota; $want" "$dir/$name.headers" \
        || fail "this should have been: $want"
}

picture() {
    perl -0777 -MMIME::Base64 -ne '
        if (/"images"\s*:\s*\[\s*"([^"]+)"/) {
            (my $text = $1) =~ s,\\/,/,g;
            print decode_base64($text);
        }' "$dir/$1.json"
}

same() {
    if cmp -s "$dir/$1.image" "$dir/$2.image"; then
        say "   the picture is the same, byte by byte"
    else
        fail "the pictures of $1 and $2 differ"
    fi
}

size() { stat -c %s "$1" | numfmt --to=iec --format %.1f; }


# ---------------------------------------------------------------------------

acme_key=pk_acme_$(openssl rand -hex 12)
house_key=pk_house_$(openssl rand -hex 12)

start_sim
configure

"$ctl" init --owner "$owner" > "$dir/init.log"
"$ctl" tenant add acme > "$dir/init.log"
"$ctl" tenant add globex > "$dir/init.log"
printf %s "$acme_key" | "$ctl" key set acme > "$dir/init.log"
printf %s "$house_key" | "$ctl" key set --default > "$dir/init.log"
acme=$("$ctl" token issue acme --label demo)
globex=$("$ctl" token issue globex --label demo)

start_gateway

convert -size 2400x1800 plasma:fractal -attenuate 0.35 +noise Gaussian \
    -strip -quality 90 "$dir/portrait.jpeg"
convert -size 900x700 plasma:fractal -attenuate 0.2 +noise Gaussian \
    -depth 8 -strip "$dir/style.png"

remix plain > "$dir/remix"
remix_reordered lines > "$dir/remix-2"
remix_reordered dataurl > "$dir/remix-3"
enhance > "$dir/enhance"

title "nginx-phota, in front of a simulated Phota"
say "   gateway    $gateway"
say "   simulator  https://127.0.0.1:$tls_port (its certificate is checked)"
say "   tenants    acme, which has a Phota key of its own, and globex, on the"
say "              house's key; each knows a token of the gateway, no key"

title "1. acme sends a remix: a JPEG of $(size "$dir/portrait.jpeg") and a PNG \
of $(size "$dir/style.png"), $(size "$dir/remix") of JSON"
say "   $dim\$ curl -H 'X-API-Key: ${acme:0:8}...' --data-binary @remix \\"
say "         $gateway/v1/phota/remix$off"
call first remix "$acme" remix 'fwd=uri-miss; stored'

title "2. The same remix from other software: fields in another order, base64 \
in lines"
call second remix "$acme" remix-2 hit
same first second

title "3. globex sends what acme sent: no tenant sees what another bought"
call third remix "$globex" remix 'fwd=uri-miss; stored'
cmp -s "$dir/first.image" "$dir/third.image" \
    && fail "globex got the picture of acme"
say "   a picture of its own"

title "4. acme enhances a photograph twice, somebody with a trained profile is \
in it"
call fourth enhance "$acme" enhance 'fwd=uri-miss; stored'

title "5. The gateway is stopped and started; acme asks for its remix again"
stop_gateway
start_gateway
call fifth remix "$acme" remix-3 hit
same first fifth


# Free hits are counted within a second; stopping tells the books at once.

if [ -n "$keep" ]; then
    sleep 1.5
else
    stop_gateway
fi

title "6. What the books say: photactl usage"
"$ctl" usage | sed 's/^/   /'

title "7. What Phota bills"
curl -sSf "$sim/_sim/bill" > "$dir/bill.json"
"$ctl" usage --json > "$dir/usage.json"

perl -MJSON::PP -e '
    sub load { local (@ARGV, $/) = @_; decode_json(<>) }
    sub micro { my ($usd) = @_; sprintf "%.0f", $usd * 1e6 }

    my ($bill, $usage) = map { load($_) } @ARGV;
    my (%cost, $total);
    my %key = (acme => "acme", globex => "house");

    $cost{$key{$_->{tenant}}} += micro($_->{cost}) for @{$usage->{rows}};

    printf "   %-8s %8s %9s %12s %12s\n", qw(key outputs identity billed books);

    for my $name (sort keys %$bill) {
        my $b = $bill->{$name};
        my $ours = $cost{$name} || 0;

        printf "   %-8s %8d %9d %12.6f %12.6f\n", $name, $b->{outputs},
            $b->{identity_outputs}, $b->{amount_micro} / 1e6, $ours / 1e6;
        $wrong++ if $ours != $b->{amount_micro};
        $total += $b->{amount_micro};
    }

    $wrong++ if !$total || $total != micro($usage->{total}{cost});
    exit($wrong ? 1 : 0)' "$dir/bill.json" "$dir/usage.json" \
    || fail "the bill and the books differ"

say
say "   ${bold}equal, to the micro-dollar$off"

if [ -n "$keep" ]; then
    title "It goes on running (KEEP=1)"
    say "   gateway    $gateway/v1/phota/remix"
    say "   tokens     acme    $acme"
    say "              globex  $globex"
    say "   bodies     $dir/remix, $dir/enhance"
    say "   bill       $sim/_sim/bill"
    say "   photactl   export PHOTA_DATA=$PHOTA_DATA"
    say "              export PHOTA_MASTER_KEY=$PHOTA_MASTER_KEY"
    say "              $ctl ledger list"
    say "   logs       $dir/phota.log, $dir/error.log"
    say
    say "   to stop    $dir/stop"
fi

say
