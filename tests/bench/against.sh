#!/usr/bin/env bash
# against.sh BENCH-LEVEL OTHER-BENCH-LEVEL [LEVEL...] - training steps of two builds, run in turn: pictures per second of each pair of
# runs and, last, the median ratio of the first build to the other. PAIRS=7 is the number of pairs, TIME=3 the seconds of a run. Levels:
# 3 and 5 unless named. The figures mean something on quiet cores only.
set -eu
export LC_ALL=C
ours=$1 other=$2
shift 2
[ $# != 0 ] || set -- 3 5
rate() { # rate BENCH-LEVEL LEVEL
    "$1" -q -l "$2" --time "${TIME:-3}" train:fp32:64:auto | sed -n 's/.*"img_per_s": *\([0-9.]*\).*/\1/p'
}
ratios=$(mktemp)
trap 'rm -f "$ratios"' EXIT
for level; do
    for ((i = 0; i < ${PAIRS:-7}; i++)); do
        a=$(rate "$ours" "$level") b=$(rate "$other" "$level")
        awk -v a="$a" -v b="$b" -v l="$level" 'BEGIN { printf "level %s: %s and %s images/s, ratio %.4f\n", l, a, b, a / b }'
    done | tee "$ratios"
    sort -k 8n "$ratios" | awk '{ r[NR] = $NF } END { print "level '"$level"': median ratio " r[int((NR + 1) / 2)] ", " r[1] " to " r[NR] }'
done
