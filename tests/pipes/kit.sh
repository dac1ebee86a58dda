#!/usr/bin/env bash
# kit.sh - make device-kit: its programs on a machine that has nothing but glibc and libstdc++, tests/gpu/on-device.sh on the stand-in
# of tests/emulated, and the report of what it writes. Nothing here needs nvcc; with the plugin of nvcc, that one is tried too.
. "$(dirname "$0")/lib.sh"
[ "${B:-build}" = build ] || { skip "a kit is made of the plain build only"; exit; }
for needed in build-dist/libwf.a build/emulated/libwf-cuda.so; do
    [ -e "$ROOT/$needed" ] || { skip "$needed: make emulated portable"; exit; }
done
export OMP_NUM_THREADS=1

# A peer that answers at once, except where it was compiled: there it hangs.
cat > peer.py << 'END'
import json, sys, time
def main():
    if '--compile' in sys.argv:
        time.sleep(60)
    print('a line that is not JSON')
    print(json.dumps({'img_per_s': 50.0 if '--graph' in sys.argv else 25.0, 'torch': '9.9'}), flush=True)
END
kit() { PEER=$WORK/peer.py make -s -C "$ROOT" device-kit KIT="$WORK/kit" KIT_PLUGIN=build/emulated/libwf-cuda.so; }
ok "make device-kit" kit
ok "at most 25 MB" test "$(du -sb kit | cut -f 1)" -le 25000000
ok "with the CPU's figures" awk '$1 == "bpd_model" && $2 > 0 { n++ } $1 == "nuts_acceptance" && $2 > 0 { n++ } END { exit n != 2 }' kit/kit.txt
mkdir tree && tar xJf kit/programs.tar.xz -C tree && tar xJf kit/libraries.tar.xz -C tree/lib

# bare FOLDER: a root that has glibc, libstdc++, /proc and the tree
bare() {
    local name
    mkdir -p "$1/lib" "$1/lib64" "$1/kit" "$1/proc"
    for name in libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1 libgcc_s.so.1 libstdc++.so.6; do
        cp -L "$(gcc -print-file-name=$name)" "$1/lib"
    done
    cp -L /lib64/ld-linux-x86-64.so.2 "$1/lib64"
    cp -r tree/. "$1/kit"
}
inside() { # inside FOLDER COMMAND...: with that folder as the root, and no environment
    local own=-rm # names of its own for the user, or for root
    [ "$(id -u)" != 0 ] || own=-m
    # shellcheck disable=SC2016 # expanded there
    unshare $own sh -c 'mount --rbind /proc "$1/proc" && exec env -i HOME=/nonexistent "$(command -v chroot)" "$@"' - "$@"
}
if [ "$(uname -m)" != x86_64 ]; then
    skip "a bare root is made of x86-64's loader"
elif bare root && ! inside root /kit/bin/wf-info --version > none 2> said; then
    if grep -qi 'not permitted\|permission denied' said; then skip "another root: this system allows no namespaces"; else fail "in a bare root: $(cat said)"; fi
else
    inside root /kit/bin/wf-info > said
    ok "the backend opens in a bare root: $(grep cuda said)" grep -q '^  cuda  emulated (8 GiB\|^  cuda  emulated, 8 GiB' said
    ok "operators run there" inside root /kit/build/check-ops --backend cuda moments copy
    if [ -e "$ROOT/build/libwf-cuda.so" ]; then
        cp "$ROOT/build/libwf-cuda.so" root/kit/lib
        inside root /kit/bin/wf-info > said
        ok "nvcc's plugin names the library that is missing: $(grep cuda said)" \
            grep -qE '^  cuda  lib(cudnn|cublasLt)\.so\.[0-9]+ is not installed: looked where the loader does' said
    fi
fi
if [ ! -e "$ROOT/build/libwf-cuda.so" ] || ldd "$ROOT/build/libwf-cuda.so" | grep -q 'not found'; then
    skip "nvcc's plugin, with cuDNN"
elif [ -e /dev/nvidia0 ]; then
    skip "a machine without a card"
else
    ok "with our kernels' names" test "$(nm "$ROOT/build/libwf-cuda.so" | grep -c __device_stub_)" -gt 50
    mkdir real && cp -r tree/. real && cp "$ROOT/build/libwf-cuda.so" real/lib
    env -i HOME=/nonexistent real/bin/wf-info > said
    ok "nvcc's plugin loads, up to the driver: $(grep cuda said)" grep -qE "^  cuda  (NVIDIA's driver .* is not installed|the driver )" said
fi

# -- on-device.sh -----------------------------------------------------------------------------------------------------
exits() { local rc=0; kit/on-device.sh "${@:2}" > none 2> said || rc=$?; [ $rc = "$1" ]; }
ok "an unknown part" exits 64 nonsense
ok "is named: $(cat said)" grep -qx "on-device: unknown part 'nonsense'" said
mv kit/kit.txt aside
ok "a kit that is not whole" exits 66 env
ok "is told: $(cat said)" grep -qx 'on-device: no kit.txt beside this script: make device-kit packs it' said
mv aside kit/kit.txt
mkdir kit/out && touch kit/out/table.txt
ok "another kit" kit
ok "keeps what came back" test -e kit/out/table.txt
ok "a folder that is not a kit" bash -c 'cd "$0" && ! tests/gpu/kit.sh "$1" build-dist/kit build/emulated/libwf-cuda.so 2> "$2"' "$ROOT" "$WORK/tree" "$WORK/said"
ok "is named: $(cat said)" grep -q "^device-kit: .*/tree is there and is not a kit" said
ok "and stays" test -e tree/bin/wf-info

# Python without PyTorch answers for one that has it.
mkdir -p torch/torch tools
printf '#!/bin/sh\necho NVIDIA Emulated, 580.0\n' > tools/nvidia-smi
chmod +x tools/nvidia-smi
PATH=$WORK/tools:$PATH
printf 'class _dynamo:\n    reset = staticmethod(lambda: None)\nclass cuda:\n    is_available = staticmethod(lambda: False)\n' > torch/torch/__init__.py
on_device() { # on_device OUT PART...
    OUT=$WORK/$1 TREE=$WORK/run ROWS=imagenet64:0 BRIEF=0.01 MATRIX=32 BATCH=1 PYTHONPATH=$WORK/torch LIMIT=${LIMIT:-300} \
        HOME=/nonexistent kit/on-device.sh "${@:2}"
}
if command -v python3 > none; then
    ok "the parts env, train, bench and peer" on_device out env train bench peer
    cat out/table.txt > said
    ok "all comparisons are made" \
        test "$(grep -cE '  (bits/dim trained in|resumed: |bits/dim of the|chains: acceptance|samples: [0-9]+ of)' said)" = 7
    ok "every one holds" bash -c '! grep WRONG said'
    ok "choices come back" test -s out/plans.txt
    ok "files that come back are eight at most" test "$(find out -type f | wc -l)" -le 8
    sed -i 's/peer 100 100/peer 100 4/' kit/on-device.sh
    ok "a peer that hangs fails the run" bash -c '! "$@"' - bash -c "$(declare -f on_device); WORK=$WORK on_device out compile"
    ok "which goes on to its end" grep -q 'end: a step failed' out/table.txt
    ok "and is told" grep -q '"error": "no answer in 4 s"' out/peer.jsonl

    # The report, into a copy of the files that it changes.
    mkdir -p copy/tests/gpu copy/tests/bench copy/kernels/cuda
    cp "$ROOT/tests/bench/README.md" copy/tests/bench && cp "$ROOT/kernels/cuda/README.md" copy/kernels/cuda
    ok "the report" "$ROOT/tests/gpu/report.py" out --root copy
    ok "has the steps" grep -q 'resumed: the bits' copy/tests/gpu/results.txt
    ok "has the row, with the peer's best" \
        grep -qE '^\| imagenet64 \| 0 \| train \| 1 \|( [0-9.e+-]+ \|){3} [0-9]+% \| [0-9.e+]+x \| 25 \| [0-9.]+x \| 50 \| [0-9.]+x \|$' copy/tests/bench/README.md
    ok "and an outcome" grep -q '^| the whole step as one CUDA graph.*measured: level 0 .* ms a step ([0-9.e+]* eager) |$' copy/kernels/cuda/README.md
    ok "a second report changes nothing more" bash -c 'cp -r copy again && "$1" out --root again && diff -r copy again' - "$ROOT/tests/gpu/report.py"
    refused() { ! "$ROOT/tests/gpu/report.py" nowhere --root copy 2> said && [ "$(wc -l < said)" = 1 ] && grep -q 'no nowhere/table.txt' said; }
    ok "a folder without results" refused
else
    skip "python3"
fi
LIMIT=4 on_device late ops > none
ok "a step that has no time is told: $(cat late/table.txt)" grep -q 'operators: not run, the time is up' late/table.txt
ok "a failed step fails the run" bash -c '! WF_EMULATED_LOST=1 "$@"' - bash -c "$(declare -f on_device); WORK=$WORK on_device lost train"
ok "and is in the table" grep -q 'train, fp32: exits 74' lost/table.txt
rc=0
WF_EMULATED_DEVICES=0 on_device none.d env ops > none || rc=$?
ok "without a card the run ends: $(tail -n 1 none.d/table.txt)" test "$rc $(grep -c operators none.d/table.txt)" = "66 0"
for target in check-gpu bench-gpu; do
    refused() { ! make -s -C "$ROOT" "$target" KIT="$WORK/nowhere" > said 2> none && grep -q "^$target: no .*nowhere/on-device.sh: run make device-kit" said; }
    ok "make $target without a kit says so" refused
done
