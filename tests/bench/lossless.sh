#!/usr/bin/env bash
# lossless.sh OUT DATA [MINUTES [SET]] - trains a model of exact probabilities on pictures that were never lossy, and packs others
# with it: the tables of pipelines/LOSSLESS.md. DATA is the folder of the optional test data. It needs the programs in bin, and
# GNU parallel.
#
#   cifar10   of 3,000 originals the first 2,300 train, of which 5 % validate, and the last 700 are packed; the default
#   kodak     of ten photographs of 768x512 every other one trains, by twelve random squares of 256x256 and half its size, and the
#             other five are packed; none validates
#
# CORES levels train at once, one thread each, 10 minutes in all unless given. What is done stays; the same command with more
# minutes goes on.
set -eu -o pipefail
export LC_ALL=C OMP_WAIT_POLICY=passive
self=$(realpath "$0")
PATH=${BIN:-$(dirname "$self")/../../bin}:$PATH
[ $# -ge 2 ] || { sed -n '2,/^# minutes/s/^# \{0,1\}//p' "$self" >&2; exit 64; }
out=$1 data=$2 minutes=${3:-10} set=${4:-cifar10}
CORES=${CORES:-2} SEED=${SEED:-1}
model=$out/model.seed$SEED
mkdir -p "$out"

# Each set makes $out/train.store and the PNG files of $out/held, and says how levels train, and what part of the core time in
# per cent each has, the finest first.
cifar10() {
    local file=$data/cifar10_lossless_b1_0000-2999.bin picture=3073
    [ -e "$out/train.store" ] || head -c $((2300 * picture)) "$file" | wf-dwt -q -o "$out/train.store"
    [ -e "$out/held" ] || tail -c $((700 * picture)) "$file" | wf-dwt -q | wf-idwt -q -o "$out/held"
    options=(--val 5%) shares=(50 30 12 4 2 2)
}

kodak() {
    local seed i=0
    if [ ! -e "$out/held" ]; then
        rm -rf "$out/all" "$out/trains" "$out/train.store"
        mkdir "$out/all" "$out/trains"
        tar xf "$data/kodak_dev10.tar" -C "$out/all" --strip-components 1 --wildcards '*.png'
        for picture in "$out"/all/*.png; do
            [ $((i++ % 2)) = 1 ] || mv "$picture" "$out/trains"
        done
        for seed in {1..12}; do
            wf-dwt -q --levels 6 --random-crop 256x256 --seed "$seed" "$out/trains" -a -o "$out/train.store"
        done
        wf-dwt -q --levels 6 --fit 256x256 "$out/trains" -a -o "$out/train.store"
        mv "$out/all" "$out/held"
    fi
    options=(--val none --flip) shares=(40 25 15 8 5 4 3)
}

case $set in
cifar10 | kodak) "$set" ;;
*)
    echo "lossless.sh: set '$set': expected cifar10 or kodak" >&2
    exit 64
    ;;
esac

for ((i = 0; i < ${#shares[@]}; i++)); do
    echo "$((${#shares[@]} - 1 - i)) $(awk "BEGIN { print $minutes * $CORES * ${shares[i]} / 100 }")"
done | parallel --will-cite -j "$CORES" --colsep ' ' wf-train-level -q -l '{1}' -m "$model" -s "$out/train.store" \
    "${options[@]}" -f exact --seed "$SEED" --threads 1 --minutes '{2}'
[ "$set" != cifar10 ] || wf-dwt -q "$out/held" | wf-bpd -q -m "$model"
model=$(realpath "$model")
cd "$out/held"
held=(*.png)
MODEL=$model "$(dirname "$self")/codecs.sh" "${held[@]}"
