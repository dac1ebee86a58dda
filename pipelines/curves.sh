#!/usr/bin/env bash
# curves.sh OUT [REFERENCES] - draws the training logs of OUT/model with gnuplot:
#
#   OUT/curves.png  training and held-out bits/dim of each level over its steps
#   OUT/curve.png   held-out bits/dim of the whole model over the minutes of training: at a fraction f of the time every
#                   level counts with its best value up to f of its own minutes (OUT/plan.tsv)
#   OUT/curve.tsv   the data of curve.png: minutes, bits/dim
#
# REFERENCES is a tab-separated table of other systems' figures: "line NAME BPD", a horizontal line, or "point NAME
# MINUTES BPD". It has at least one row of each.
set -eu -o pipefail
export LC_ALL=C
out=$1 references=${2:-}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# log LEVEL KEY: "step seconds value" of each log line with that key.
log() {
    sed -n 's/.*"step": *\([0-9]*\).*"seconds": *\([-0-9.e+]*\).*"'"$2"'": *\([-0-9.e+]*\)[,}].*/\1 \2 \3/p' \
        "$(printf '%s/model/level-%02d.jsonl' "$out" "$1")"
}

levels=$(cut -f 1 "$out/plan.tsv" | sort -n)
for level in $levels; do
    log "$level" bpd | awk '$1 > 0' > "$work/train-$level" # step 0 has no logarithm
    log "$level" val | awk '$1 > 0' > "$work/val-$level"
    log "$level" val | awk -v l="$level" '{ print l, $2, $3 }'
done | awk -f "$here/total.awk" "$out/plan.tsv" - > "$out/curve.tsv"

# gnuplot runs among plain names: those of the caller may have quotes and blanks.
cp "$out/curve.tsv" "$work"
for kind in line point; do awk -F '\t' -v kind=$kind '$1 == kind' "${references:-/dev/null}" > "$work/${kind}s"; done
(cd "$work" && LC_ALL=C.UTF-8 gnuplot -e "levels='$levels'" "$here/levels.gp") > "$out/curves.part"
(cd "$work" && LC_ALL=C.UTF-8 gnuplot "$here/total.gp") > "$out/curve.part"
mv "$out/curves.part" "$out/curves.png"
mv "$out/curve.part" "$out/curve.png"
