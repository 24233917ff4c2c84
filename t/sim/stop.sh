#!/bin/sh
#
# Stops the simulator that was started in DIR; fine when there is none.

set -eu

[ $# -eq 1 ] || { echo "usage: stop.sh DIR" >&2; exit 2; }

file=$1/sim.pid
[ -s "$file" ] || exit 0

pid=$(cat "$file")
kill -TERM "$pid" 2>/dev/null || { rm -f "$file"; exit 0; }

for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 \
         21 22 23 24 25 26 27 28 29 30; do
    [ -e "$file" ] || exit 0
    sleep 0.1
done

echo "sim: pid $pid doesn't end" >&2
exit 1
