#!/usr/bin/env bash
# datasets.sh - the pipeline of every data set in its quick form, on a few pictures in the data set's own container
. "$(dirname "$0")/lib.sh"
for tool in parallel gnuplot; do
    command -v $tool > log || { skip "$tool is not installed"; exit; }
done

# pipeline NAME LEVELS [VARIABLE=VALUE...]: all outputs exist, with bits/dim of LEVELS levels
pipeline() {
    local name=$1 levels=$2
    shift 2
    ok "$name" \
        env -u MAKEFLAGS make -C "$ROOT" -f "pipelines/$name.mk" QUICK=1 OUT="$WORK/out/$name" DATA="$WORK/$name" \
        BIN="${BIN:-bin}" B="${B:-build}" "$@"
    ok "$name: samples, annealed ones, curves" ls out/"$name"/{real,samples,samples-0.97,curves,curve}.png
    ok "$name: bits/dim of $levels levels" test "$(grep -c '^[0-9]' out/"$name"/bpd-val.tsv)" = "$levels"
}
# refuses TEXT NAME [ARGUMENT...]: make fails, with TEXT in its messages
refuses() {
    local text=$1 name=$2
    shift 2
    ! env -u MAKEFLAGS make -C "$ROOT" -f "pipelines/$name.mk" OUT="$WORK/out/none" DATA="$WORK/none" "$@" \
        > said 2>&1 &&
        grep -q "$text" said
}
ok "the message says where to get ImageNet" refuses image-net.org imagenet64 fetch
ok "the message says where to get FFHQ" refuses ffhq-dataset ffhq fetch
ok "a stream without pictures does not train" refuses 'no pictures in' lsun_tower

# npz PICTURES FILE: CIFAR records as downsampled ImageNet is distributed, a zip of one array [N,3072]
npz() {
    python3 - "$1" "$2" << 'PY'
import sys, zipfile
records = open(sys.argv[1], 'rb').read()
n = len(records) // 3073
header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (%d, 3072), }" % n
header += b' ' * (-(11 + len(header)) % 64) + b'\n'
array = b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header
array += b''.join(records[3073 * i + 1:3073 * (i + 1)] for i in range(n))
with zipfile.ZipFile(sys.argv[2], 'w', zipfile.ZIP_DEFLATED) as z:
    z.writestr('data.npy', array)
PY
}

if from=$(data cifar10_lossless_b1_0000-2999.bin); then
    mkdir cifar10 imagenet32
    head -c $((3073 * 200)) "$from" > cifar10/data_batch_1.bin
    tail -c $((3073 * 50)) "$from" > cifar10/test_batch.bin
    npz cifar10/data_batch_1.bin imagenet32/train_data_batch_1.npz
    npz cifar10/test_batch.bin imagenet32/val_data.npz
    pipeline imagenet32 6
else
    skip "no CIFAR-10"
fi
if from=$(data imagenet1k_crops64_dev.tar); then
    mkdir imagenet64
    ln -s "$from" imagenet64/train_64x64.tar
    ln -s "$(data imagenet1k_center64_dev800.tar)" imagenet64/valid_64x64.tar
    pipeline imagenet64 7 SSHLOGIN=:
else
    skip "no ImageNet at 64x64"
fi
if from=$(data lmdb_dev.tar.gz); then
    tar xzf "$from"
    for scene in bedroom tower church_outdoor; do
        name=lsun_${scene%_outdoor}
        mkdir "$name"
        cp -r lmdb/scene_train_lmdb "$name/${scene}_train_lmdb"
        cp -r lmdb/scene_train_lmdb "$name/${scene}_val_lmdb"
    done
    pipeline lsun_bedroom 7
    pipeline lsun_tower 7
    pipeline lsun_church 7
else
    skip "no LMDB of scenes"
fi
if from=$(data celebahq1024_png_dev3.tar); then
    mkdir celeba_hq ffhq
    tar xf "$from" -C celeba_hq
    mkdir ffhq/00000
    tar xf "$from" -C ffhq/00000
    pipeline celeba_hq 11 HELD=1 SAMPLES=1
    pipeline ffhq 11 HELD=1 SAMPLES=1
else
    skip "no faces"
fi
if from=$(data mnist/t10k-images-idx3-ubyte.gz); then
    mkdir mnist
    cp "$from" "$(data mnist/train10000-images-idx3-ubyte.gz)" mnist
    pipeline mnist 3
else
    skip "no MNIST"
fi
