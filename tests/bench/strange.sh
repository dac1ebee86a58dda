#!/usr/bin/env bash
# strange.sh OUT DATA [MINUTES] - trains a model on CIFAR-10 originals, and has wf-score find other pictures: the table of
# pipelines/SCORE.md. DATA is the folder of the optional test data. It needs the programs in bin, build/deadleaves and python3.
#
# Originals 1 to 2,000 train, 2,001 to 2,500 are the reference, 2,501 to 3,000 are the pictures that belong. One core trains all
# levels, 5 minutes in all unless given. What is done stays in OUT; the same command with more minutes goes on.
set -eu -o pipefail
export LC_ALL=C OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
self=$(realpath "$0")
here=$(dirname "$self")
PATH=$(realpath "${BIN:-$here/../../bin}"):$PATH
deadleaves=$(realpath "${B:-$here/../../build}/deadleaves")
[ $# -ge 2 ] || { sed -n '2,/^# levels/s/^# \{0,1\}//p' "$self" >&2; exit 64; }
out=$1 data=$(realpath "$2") minutes=${3:-5} picture=3073 SEED=${SEED:-1}
originals=$data/cifar10_lossless_b1_0000-2999.bin
mkdir -p "$out"
cd "$out"

missing() { [ ! -e "$1.store" ]; }
store() { wf-dwt -q -o "$1.store" "${@:2}"; } # store NAME [OPTION...] [FILE]: a store of 32x32x3
some() { # some FIRST COUNT < CIFAR: those pictures, counted from 0
    tail -c +$(($1 * picture + 1)) | { head -c $(($2 * picture)) && cat > /dev/null; }
}
# padded FILE.gz: the first 500 pictures of 28x28 with a black margin
padded() {
    gzip -dc "$1" | python3 -c '
import sys
pictures = sys.stdin.buffer.read()[16:16 + 500 * 784]
for i in range(0, len(pictures), 784):
    rows = [bytes(32)] * 2 + [bytes(2) + pictures[r:r + 28] + bytes(2) for r in range(i, i + 784, 28)] + [bytes(32)] * 2
    sys.stdout.buffer.write(b"P5 32 32 255\n" + b"".join(rows))'
}
drawn() { # drawn EXPRESSION: 500 pictures whose samples are the expression of r, random numbers
    python3 -c "
import random, sys
r = random.Random(1)
for i in range(500):
    sys.stdout.buffer.write(b'P6 32 32 255\n' + $1)"
}

missing train && some 0 2000 < "$originals" | store train
missing reference && some 2000 500 < "$originals" | store reference
missing originals && some 2500 500 < "$originals" | store originals
missing jpeg && gzip -dc "$data/cifar10_jpegsrc_test3000.bin.gz" | some 0 500 | store jpeg
missing mnist && padded "$data/mnist/t10k-images-idx3-ubyte.gz" | store mnist -c 3
missing fashion && padded "$data/fashion_mnist/sprite600-images-idx3-ubyte.gz" | store fashion -c 3
missing imagenet && store imagenet "$data/imagenet1k_center32_dev800.tar"
missing horses && store horses "$data/imagenet32_official_horse_dev1000.tar"
missing bsds && store bsds --crop 32x32 "$data/bsds500_box64_png_dev300.tar"
missing leaves && "$deadleaves" -q -n 500 -s 32 --seed 7 | store leaves
missing constant && drawn 'r.randbytes(3) * 1024' | store constant
missing noise && drawn 'r.randbytes(3072)' | store noise

# Levels and their share of the time in per cent.
while read -r level share; do
    wf-train-level -q -l "$level" -m "model.seed$SEED" -s train.store --seed "$SEED" --threads 1 \
        --minutes "$(awk "BEGIN { print $minutes * $share / 100 }")"
done << 'END'
5 50
4 30
3 12
2 4
1 2
0 2
END
wf-bpd -q -m "model.seed$SEED" reference.store
for name in originals jpeg mnist fashion imagenet horses bsds leaves constant noise; do
    wf-score -q -m "model.seed$SEED" --ref reference.store "$name.store" --json > "$name.jsonl"
done
python3 "$here/strange.py" originals.jsonl {jpeg,mnist,fashion,imagenet,horses,bsds,leaves,constant,noise}.jsonl
