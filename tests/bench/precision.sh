#!/usr/bin/env bash
# precision.sh OUT [train|table] - how far bf16 is from fp32, in bits/dim of pictures that were not trained on: the table of
# kernels/cpu/README.md that --precision auto rests on. It needs the programs in bin, and a processor that computes in bf16.
#
# train   trains two levels with three seeds in both precisions: LEVELS="4 5", SEEDS="1 2 3", STEPS=2000, FLOW=CHAIN. Steps
#         count, not minutes, so a busy machine gives the same figures later. Interrupted, it goes on.
# table   evaluates the same weights in both precisions, and prints the table. Without a command both are done.
#
# Pictures are those of CIFAR-10 in $WF_TEST_DATA or ../shared/data, otherwise generated ones.
set -eu -o pipefail
export LC_ALL=C OMP_WAIT_POLICY=passive
root=$(cd "$(dirname "$0")/../.." && pwd)
PATH=${BIN:-$root/bin}:$PATH
[ $# -ge 1 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 64; }
out=$1 command=${2:-both} data=${WF_TEST_DATA:-$root/../shared/data}
LEVELS=${LEVELS:-4 5} SEEDS=${SEEDS:-1 2 3} STEPS=${STEPS:-2000} TESTED=${TESTED:-2000}
FLOW=${FLOW:-'8*(actnorm, conv1x1, affine:width=32:blocks=2), actnorm'}
mkdir -p "$out"

# store NAME ARGUMENT...: of pictures on stdin, or of files
store() { [ -e "$out/$1" ] || wf-dwt -q -o "$out/$1" "${@:2}"; }
stores() {
    if [ -e "$data/cifar10_jpegsrc_train10000.bin.gz" ]; then
        store train.store "$data/cifar10_jpegsrc_train10000.bin.gz"
        store test.store "$data/cifar10_jpegsrc_test3000.bin.gz"
    else
        "$root/build/deadleaves" -q -n 10000 -s 32 --seed 1 | store train.store
        "$root/build/deadleaves" -q -n 3000 -s 32 --seed 2 | store test.store
    fi
}

train() { # train LEVEL SEED PRECISION
    wf-train-level -q -m "$out/$1-$2-$3" -l "$1" -s "$out/train.store" -f "$FLOW" --steps "$STEPS" --batch $((256 >> $1)) \
        --lr 4e-3 --ema 0.995 --decay 0.5 --seed "$2" --threads 1 --precision "$3"
}

# bits LEVEL SEED TRAINED COMPUTED: bits/dim of the level, trained in one precision, computed in another
bits() {
    wf-view -q -l "$1" "$out/test.store" | wf-bpd -q -m "$out/$1-$2-$3" -n "$TESTED" --threads 1 --precision "$4" --json |
        jq ".levels[] | select(.level == $1) | .bpd"
}

table() {
    echo '| level | seed | fp32, bits/dim | bf16 training - fp32 training | bf16 - fp32, weights of fp32 | bf16 - fp32, weights of bf16 | round trip, bf16 |'
    echo '|---|---|---|---|---|---|---|'
    local level seed trip
    for level in $LEVELS; do
        for seed in $SEEDS; do
            trip=$(wf-info --json "$out/$level-$seed-bf16" | jq -r '.trained[0].metadata.round_trip')
            echo "$level $seed $(bits "$level" "$seed" fp32 fp32) $(bits "$level" "$seed" fp32 bf16) \
$(bits "$level" "$seed" bf16 fp32) $(bits "$level" "$seed" bf16 bf16) $trip"
        done
    done | awk '{ printf "| %d | %d | %.5f | %+.5f | %+.5f | %+.5f | %s |\n", $1, $2, $3, $6 - $3, $4 - $3, $6 - $5, $7
            training += $6 - $3; weights += ($4 - $3 + $6 - $5) / 2; n++ }
        END { printf "| mean | | | %+.5f | %+.5f | | |\n", training / n, weights / n }'
}

stores
if [ "$command" != table ]; then
    for level in $LEVELS; do for seed in $SEEDS; do for precision in fp32 bf16; do train "$level" "$seed" $precision; done; done; done
fi
[ "$command" = train ] || table
