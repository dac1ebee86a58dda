#!/usr/bin/env bash
# busy.sh BENCH-LEVEL [LEVEL...] - training beside other busy processes: the table of kernels/cpu/README.md. It needs quiet cores.
#
# Columns: pictures a second alone; beside an endless loop; beside one in a session of its own, to which Linux gives a share of its own;
# and twice the same at once, summed. In brackets: what remains of the speed alone.
#
#   THREADS=2   threads of a program;   TIME=2   seconds of a run;   ROUNDS=3   runs of each kind, of which the fastest counts
#   PRECISION=fp32   of the nets
#   GOMP_SPINCOUNT=300000   libgomp's own setting: threads always spin
set -eu -o pipefail
export LC_ALL=C OMP_NUM_THREADS=${THREADS:-2}
[ $# -ge 1 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 64; }
bench=$1 rounds=${ROUNDS:-3}
shift
[ $# != 0 ] || set -- 0 1 2 3 4

# rate LEVEL: 0 if no step ends in half a minute
rate() {
    timeout 30 "$bench" -q -l "$1" --time "${TIME:-2}" "train:${PRECISION:-fp32}:64" | sed -n 's/.*"img_per_s": *\([0-9.e+]*\).*/\1/p' | grep . || echo 0
}
beside() { # beside LEVEL COMMAND...: the rate while the command runs
    local level=$1 pid
    shift
    "$@" &
    pid=$!
    rate "$level"
    kill "$pid"
    wait "$pid" 2> /dev/null || true
}
twice() { # twice LEVEL: the sum of both
    { rate "$1" & rate "$1"; wait; } | awk '{ sum += $1 } END { print sum }'
}
fastest() { sort -g | tail -n 1; }

loop=(timeout 60 sh -c 'while :; do :; done') # it ends even if this script is killed
echo '| level | alone | a loop | a loop in another session | two at once, in sum |'
echo '|---|---|---|---|---|'
for level; do
    kinds=(alone loop session two) rates=()
    declare -A runs=()
    for ((i = 0; i < rounds; i++)); do
        runs[alone]+=$(rate "$level")$'\n'
        runs[loop]+=$(beside "$level" "${loop[@]}")$'\n'
        runs[session]+=$(beside "$level" setsid "${loop[@]}")$'\n'
        runs[two]+=$(twice "$level")$'\n'
    done
    for kind in "${kinds[@]}"; do rates+=("$(printf %s "${runs[$kind]}" | fastest)"); done
    awk -v level="$level" -v rates="${rates[*]}" 'BEGIN {
        split(rates, r, " ")
        printf "| %d | %.3g |", level, r[1]
        for (i = 2; i <= 4; i++) printf " %.3g (%.2f) |", r[i], r[i] / r[1]
        print ""
    }'
done
