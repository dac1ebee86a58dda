#!/usr/bin/env bash
# lossless.sh OUT DATA [MINUTES] - trains a model of exact probabilities on CIFAR-10 originals, and packs others with it: the table of
# pipelines/LOSSLESS.md. DATA is the folder of the optional test data. It needs the programs in bin, and GNU parallel.
#
# The first 2,300 pictures train, of which 5 % validate, and the last 700 are packed. CORES levels train at once, one thread each,
# 10 minutes in all unless given. What is done stays; the same command with more minutes goes on.
set -eu -o pipefail
export LC_ALL=C OMP_WAIT_POLICY=passive
self=$(realpath "$0")
PATH=${BIN:-$(dirname "$self")/../../bin}:$PATH
[ $# -ge 2 ] || { sed -n '2,/^# 10/s/^# \{0,1\}//p' "$self" >&2; exit 64; }
out=$1 file=$2/cifar10_lossless_b1_0000-2999.bin minutes=${3:-10} picture=3073
CORES=${CORES:-2} SEED=${SEED:-1}
model=$out/model.seed$SEED
mkdir -p "$out"
[ -e "$out/train.store" ] || head -c $((2300 * picture)) "$file" | wf-dwt -q -o "$out/train.store"
[ -e "$out/held" ] || tail -c $((700 * picture)) "$file" | wf-dwt -q | wf-idwt -q -o "$out/held"

# Levels and their share of the core time in per cent; the longest begin first.
level() { # level NUMBER SHARE
    wf-train-level -q -l "$1" -m "$model" -s "$out/train.store" --val 5% -f exact --seed "$SEED" --threads 1 \
        --minutes "$(awk "BEGIN { print $minutes * $CORES * $2 / 100 }")"
}
export -f level
export out model minutes CORES SEED
parallel --will-cite -j "$CORES" --colsep ' ' level :::: << 'END'
5 50
4 30
3 12
2 4
1 2
0 2
END
wf-dwt -q "$out/held" | wf-bpd -q -m "$model"
model=$(realpath "$model")
cd "$out/held"
held=(*.png)
MODEL=$model "$(dirname "$self")/codecs.sh" "${held[@]}"
