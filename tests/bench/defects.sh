#!/usr/bin/env bash
# defects.sh OUT - spoils a square of 6x6 in each of 200 dead leaves pictures of 32x32, and counts how often the map of wf-score --map
# has most bits there: the table of pipelines/SCORE.md. The model is the installed one, leaves. It needs the programs in bin,
# build/deadleaves and python3.
set -eu -o pipefail
export LC_ALL=C OMP_WAIT_POLICY=passive
self=$(realpath "$0")
here=$(dirname "$self")
PATH=$(realpath "${BIN:-$here/../../bin}"):$PATH
deadleaves=$(realpath "${B:-$here/../../build}/deadleaves")
[ $# = 1 ] || { sed -n '2,/^# build/s/^# \{0,1\}//p' "$self" >&2; exit 64; }
mkdir -p "$1"
cd "$1"
[ -e ref.store ] || "$deadleaves" -q -n 400 -s 32 --seed 77 | wf-dwt -q -o ref.store
echo '| spoiled by | found by the map | called out |'
echo '|---|---|---|'
for kind in noise shuffled foreign flat; do
    [ -e $kind ] || "$deadleaves" -q -n 200 -s 32 --seed 78 | "$here/defects.py" plant $kind 1 $kind
    wf-dwt -q $kind | wf-score -q -m leaves --ref ref.store --map $kind.maps > $kind.tsv
    out=$(awk -F '\t' '$2 == "out" { n++ } END { printf "%.2f", n / (NR - 1) }' $kind.tsv)
    echo "| $kind | $("$here/defects.py" find $kind $kind.maps) | $out |"
done
