#!/bin/sh
#
# Stops the simulator that was started in DIR; fine when there is none.

set -eu

[ $# -eq 1 ] || { echo "usage: stop.sh DIR" >&2; exit 2; }

[ -s "$1/sim.pid" ] || exit 0

dir=$(cd "$1" && pwd -P)
pid=$(cat "$dir/sim.pid")

# a pid alone may be anybody's by now
if ! grep -qF "$dir/nginx.conf" "/proc/$pid/cmdline" 2>/dev/null; then
    rm -f "$dir/sim.pid"
    exit 0
fi

kill -TERM "$pid"

tries=0
while [ -e "$dir/sim.pid" ]; do
    tries=$((tries + 1))

    if [ $tries -gt 50 ]; then
        echo "sim: pid $pid doesn't end" >&2
        exit 1
    fi

    sleep 0.1
done
