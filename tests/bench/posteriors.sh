#!/usr/bin/env bash
# posteriors.sh OUT [SIDE [N]] - whether posteriors of wf-nuts --noise are right: the table of pipelines/POSTERIORS.md. It needs the
# programs in bin and build/deadleaves.
#
# A small model of dead leaves of SIDE x SIDE (8 unless given, a power of 2) is trained, then wf-coverage simulates N pictures (45
# unless given) for each way of measuring. What is done stays in OUT; the same command goes on.
set -eu -o pipefail
export LC_ALL=C OMP_WAIT_POLICY=passive
self=$(realpath "$0")
here=$(dirname "$self")
PATH=$(realpath "${BIN:-$here/../../bin}"):$PATH
deadleaves=$(realpath "${B:-$here/../../build}/deadleaves")
[ $# -ge 1 ] || { sed -n '2,/^# unless/s/^# \{0,1\}//p' "$self" >&2; exit 64; }
out=$1 side=${2:-8} n=${3:-45}
mkdir -p "$out"
cd "$out"

levels=$(awk -v side="$side" 'BEGIN { while (2 ^ l < side) l++; print l }')
[ -e train.store ] || "$deadleaves" -q -n 512 -s "$side" | wf-dwt -q -o train.store
for level in $(seq 0 "$levels"); do
    wf-train-level -q -l "$level" -m model -s train.store -f '2*(actnorm, conv1x1, affine:width=8:blocks=1), actnorm' \
        --steps 300 --batch 16 --val none
done
# Every second pixel is missing, at random; the blur is binomial, 5x5.
awk -v side="$side" 'BEGIN { srand(1); printf "P2\n%d %d\n255\n", side, side
    for (i = 0; i < side * side; i++) print rand() < 0.5 ? 255 : 0 }' > half.pgm
printf 'P2\n5 5\n255\n1 4 6 4 1\n4 16 24 16 4\n6 24 36 24 6\n4 16 24 16 4\n1 4 6 4 1\n' > psf.pgm

measure() { # measure NAME N OPTION...
    [ -e "$1.tsv" ] && return
    wf-coverage -q -m model -n "$2" --state "$1.state" --picture "$1.png" "${@:3}" > "$1.part"
    mv "$1.part" "$1.tsv"
}
measure sigma12 "$n" --noise 12
measure sigma25 "$n" --noise 25
measure sigma25-half "$n" --noise 25 --mask half.pgm
measure sigma12-blur "$n" --noise 12 --blur psf.pgm
measure sigma25-wrong "$n" --noise 25 --assume-noise 18
measure sigma25-unit 16 --noise 25 --unit-mass

echo "| measured | 50 % | 80 % | 95 % | least p of 6 | R-hat < 1.05 | PSNR | gradients a draw |"
echo "|---|---|---|---|---|---|---|---|"
for name in sigma12 sigma25 sigma25-half sigma12-blur sigma25-wrong sigma25-unit; do
    awk -F '\t' -v name="$name" '
        $2 ~ /^inside/ { sum[$2] += $3 / 6 }
        $2 == "uniform_p" && (least == "" || $3 < least) { least = $3 }
        $1 == "all" { all[$2] = $3 }
        END { printf "| %s | %.2f | %.2f | %.2f | %s | %.2f | %.1f | %.0f |\n", name, sum["inside50"], sum["inside80"], sum["inside95"],
            least, all["rhat_below_1.05"], all["psnr"], all["gradients_per_ess"] }' "$name.tsv"
done
