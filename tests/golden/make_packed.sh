#!/usr/bin/env bash
# make_packed.sh - makes tests/golden/packed: a model of `lattice` levels, an archive of three pictures by it, and hashes of their
# pixels. Another processor or compiler trains other weights, so that all files change together.
set -eu -o pipefail
export LC_ALL=C
root=$(cd "$(dirname "$0")/../.." && pwd)
out=$root/tests/golden/packed work=$(mktemp -d)
PATH=$root/bin:$PATH
trap 'rm -rf "$work"' EXIT
cd "$work"
"$root/build/deadleaves" -q -n 64 -s 8 | wf-dwt -q --levels 2 > train.wf
OMP_NUM_THREADS=1 wf-train-level -q -l 0-2 -m trained -s - --steps 60 --batch 16 --val none --seed 1 \
    -f 'cond:channels=2:width=4:blocks=1, lattice:components=3:width=4:blocks=1:phases=2' < train.wf
wf-export -q -m trained --precision f16 -o model
rm -rf "$out" model/README.md
mkdir "$out"
mv model "$out"
mkdir -p in/leaves
"$root/build/deadleaves" -q -n 1 -s 8 --seed 2 | wf-dwt -q --levels 0 | wf-idwt -q -o in/8.png
"$root/build/deadleaves" -q -n 1 -s 40 --seed 3 | wf-dwt -q --levels 0 --crop 13x21 | wf-idwt -q -o in/leaves/13x21.png
"$root/build/deadleaves" -q -n 1 -s 40 --seed 4 | wf-dwt -q --levels 0 --crop 13x21 | wf-idwt -q -o in/leaves/again.png
wf-pack -q -m "$out/model" in > "$out/pictures.wfp"
for f in 8 leaves/13x21 leaves/again; do
    echo "./$f $(wf-dwt -q --levels 0 "in/$f.png" | wf-idwt -q | cksum)"
done > "$out/pixels"
