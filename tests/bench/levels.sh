#!/usr/bin/env bash
# levels.sh STORE [LEVEL...] - two levels at once with half of the cores each, against one after the other with all: the table of
# pipelines/README.md that plan.awk rests on. Each level of the list, the finest first, meets the next one. Figures mean something on
# quiet cores only.
#
#   CHAINS="default official"   the chain that MINUTES=10 and all cores choose, and the published one with batches of BATCH=16
#   TIME=4                      seconds of a run;   ROUNDS=1   runs of each kind, of which the fastest counts
#
# Columns: pictures a second of both levels alone with all threads, and beside one another with half of them. Sum: what of its speed
# alone each keeps, added up; over 1, two at once do more. Finish: time until both levels have made as many steps as the finer makes in
# a minute alone and the other in a minute alone; one after the other takes 2 minutes.
set -eu -o pipefail
export LC_ALL=C
root=$(cd "$(dirname "$0")/../.." && pwd)
PATH=${BIN:-$root/bin}:$PATH
[ $# -ge 1 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 64; }
store=$1 CHAINS=${CHAINS:-default official} MINUTES=${MINUTES:-10} TIME=${TIME:-4} ROUNDS=${ROUNDS:-1} BATCH=${BATCH:-16} cores=$(nproc)
shift
[ $# != 0 ] || set -- 5 4 3 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# train CHAIN LEVEL THREADS PLACE OPTION...
train() {
    local options=()
    [ "$1" != official ] || options=(-f official --batch "$BATCH" --patch 0)
    wf-train-level -m "$4" -s "$store" -l "$2" --val none --warmup 0 --threads "$3" --precision fp32 "${options[@]}" "${@:5}" 2> "$4.said"
}

# run CHAIN LEVEL THREADS PLACE: trains for TIME seconds, and writes pictures a second to PLACE.rate if they are more. All runs go on
# from one first step, so that the same chain is compared, whatever the threads.
run() {
    local batch first=$work/first-$1-$2
    [ -e "$first" ] || train "$1" "$2" "$cores" "$first" --minutes "$MINUTES" --steps 1
    rm -rf "$4"
    cp -r "$first" "$4"
    train "$1" "$2" "$3" "$4" --minutes "$(awk "BEGIN { print $TIME / 60 }")" --steps 1000000
    batch=$(sed -n 's/.*, batch \([0-9]*\),.*/\1/p' "$4.said")
    wf-info --json "$4/$(printf level-%02d.state.safetensors "$2")" |
        jq -r ".metadata | (.step | tonumber) * $batch / (.seconds | tonumber)" |
        awk -v before="$(cat "$4.rate" 2> /dev/null || echo 0)" '{ printf "%.5g\n", ($1 > before ? $1 : before) }' > "$4.rate.part"
    mv "$4.rate.part" "$4.rate"
}

echo '| chain | levels | alone, all threads | beside, half of them | sum | finish, minutes | better |'
echo '|---|---|---|---|---|---|---|'
for chain in $CHAINS; do
    for level; do
        for ((i = 0; i < ROUNDS; i++)); do run "$chain" "$level" "$cores" "$work/$chain-$level"; done
    done
    for ((k = 1; k < $#; k++)); do
        a=${!k} next=$((k + 1)) b=${!next}
        for ((i = 0; i < ROUNDS; i++)); do
            run "$chain" "$a" $(((cores + 1) / 2)) "$work/$chain-$a-$b-a" &
            run "$chain" "$b" $((cores / 2 > 0 ? cores / 2 : 1)) "$work/$chain-$a-$b-b"
            wait
        done
        # while the slower goes on alone it keeps its half of the threads
        awk -v chain="$chain" -v a="$a" -v b="$b" -v ra="$(cat "$work/$chain-$a.rate")" -v rb="$(cat "$work/$chain-$b.rate")" \
            -v sa="$(cat "$work/$chain-$a-$b-a.rate")" -v sb="$(cat "$work/$chain-$a-$b-b.rate")" 'BEGIN {
            sum = sa / ra + sb / rb; fa = ra / sa; fb = rb / sb; finish = fa > fb ? fa : fb
            printf "| %s | %s, %s | %.4g, %.4g | %.4g, %.4g | %.2f | %.2f | %s |\n", chain, a, b, ra, rb, sa, sb, sum, finish,
                (sum >= 1 ? "two at once" : "one after the other") }'
    done
done
