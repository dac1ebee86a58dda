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
kit() { KIT_SMALL=1 PEER=$WORK/peer.py make_here device-kit KIT="$WORK/kit" KIT_PLUGIN=build/emulated/libwf-cuda.so; }
mkdir -p kit/out && touch kit/kit.txt kit/out/came.txt # an earlier kit, with what came back
ok "make device-kit" kit
ok "keeps what came back" test -e kit/out/came.txt
ok "at most 25 MB" test "$(du -sb kit | cut -f 1)" -le 25000000
ok "with the CPU's figures" awk '$1 == "bpd_model" && $2 > 0 { n++ } $1 == "nuts_acceptance" && $2 > 0 { n++ } END { exit n != 2 }' kit/kit.txt
mkdir tree && tar xJf kit/programs.tar.xz -C tree && tar xJf kit/libraries.tar.xz -C tree/lib
# On the stand-in emulated.sh takes minutes as on a card, so only its programs are looked for.
while read -r program; do
    [ ! -e "$ROOT/bin/$program" ] || ok "emulated.sh has its program $program" test -x "tree/bin/$program"
done < <(grep -oE '\bwf-[a-z]+(-[a-z]+)*' tree/tests/pipes/emulated.sh | sort -u)

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
ok "a folder that is not a kit" bash -c 'cd "$0" && ! tests/gpu/kit.sh "$1" build-dist/kit build/emulated/libwf-cuda.so 2> "$2"' "$ROOT" "$WORK/tree" "$WORK/said"
ok "is named: $(cat said)" grep -q "^device-kit: .*/tree is there and is not a kit" said
ok "and stays" test -e tree/bin/wf-info

# Python without PyTorch answers for one that has it, and a script for compute-sanitizer: as the real one, it ends at options, tools
# and keys that it does not know. It prints which of the kernels in $NAMES the real one would check, and then runs the program.
mkdir -p torch/torch tools
printf '#!/bin/sh\necho NVIDIA Emulated, 580.0\n' > tools/nvidia-smi
cat > tools/compute-sanitizer << 'END'
#!/usr/bin/env bash
bad() { echo "$*" && exit 255; }
tool=memcheck filter=
while [[ $1 == -* ]]; do
    case $1 in
    --tool) [[ $2 =~ ^(memcheck|racecheck|synccheck|initcheck)$ ]] && tool=$2 ;;
    --launch-timeout | --error-exitcode) [[ $2 =~ ^[0-9]+$ ]] ;;
    --target-processes) [[ $2 =~ ^(all|application-only)$ ]] ;;
    --report-api-errors) [[ $2 =~ ^(all|explicit|no)$ ]] ;;
    --kernel-name) [[ $2 == regex=* ]] && filter=${2#regex=} ;;
    *) bad "unrecognised option '$1'" ;;
    esac || bad "the argument for option '$1' is invalid"
    shift 2
done
[[ $1 == */planted ]] || grep -E -e "$filter" "$NAMES" | sed "s/^/$tool: /"
[ "${PIPESTATUS[0]}" -lt 2 ] || bad 'Invalid regex'
[[ " ${FINDS:-} " != *" $tool "* && ($1 != */planted || -n ${BLIND:-}) ]] || { echo '========= Uninitialized __global__ memory read of size 4 bytes' && exit 9; }
[[ $1 == */planted ]] || "$@" && echo '========= ERROR SUMMARY: 0 errors'
END
chmod +x tools/*
printf 'class _dynamo:\n    reset = staticmethod(lambda: None)\nclass cuda:\n    is_available = staticmethod(lambda: False)\n' > torch/torch/__init__.py
# on_device [NAME=VALUE ...] OUT PART...: with an environment as bare as a machine with a card may have it, and those variables
on_device() {
    local -a set=()
    while [[ $1 == *=* ]]; do set+=("$1") && shift; done
    env -i PATH="$WORK/tools:$(dirname "$(command -v python3)"):/usr/bin:/bin" HOME=/nonexistent OUT="$WORK/$1" TREE="$WORK/run" \
        ROWS=imagenet64:0 BRIEF=0.01 MATRIX=32 BATCH=1 SLOTS="copy dwt" PYTHONPATH="$WORK/torch" OMP_NUM_THREADS=1 WF_EMULATED_CLOCK=1 LIMIT=900 \
        NAMES="$WORK/names" "${set[@]}" kit/on-device.sh "${@:2}"
}
fails() { ! "$@"; }
if command -v python3 > none; then
    ok "the parts env, ops, train, bench and peer" on_device out env ops train bench peer
    cat out/table.txt > said
    ok "all comparisons are made" \
        test "$(grep -cE '  (bits/dim trained in|resumed: |bits/dim of the|chains: acceptance|samples: [0-9]+ of)' said)" = 7
    ok "every one holds" fails grep WRONG said
    ok "all steps pass: $(tail -n 1 said)" grep -q 'end: every step that ran passed, 0 not run$' said
    ok "choices come back" test -s out/plans.txt
    ok "a peer that hangs fails the run" fails on_device LIMIT=8 out compile
    ok "which goes on to its end" grep -q 'end: a step failed, 0 not run$' out/table.txt
    ok "and is told" grep -qE '"error": "no answer in [34] s"' out/peer.jsonl

    # Kernels' names: those that ptxas compiled, if nvcc is here, beside such as libraries may have.
    logs=$(find "$ROOT/build/kernels/cuda" -name '*.cu.o.log' 2> none)
    if [ -n "$logs" ] && [ -e "$ROOT/build/libwf-cuda.so" ]; then
        xargs sed -n "s/.*Compiling entry function '\([^']*\)'.*/\1/p" <<< "$logs" | sort -u > ours
        ok "with all of our kernels' names" same ours <("$ROOT/tests/gpu/kernels.sh" "$ROOT/build/libwf-cuda.so")
    else
        printf '%s\n' _Z4foldv _ZN12_GLOBAL__N_14fillEmbPv > ours
    fi
    sed 'p; s/.*/&X/; p; s/.*/X&/' ours > names
    echo _ZN7cutlass6KernelINS_4gemmEEEvNT_6ParamsE >> names
    ok "without kernels' names no sanitizer runs" fails on_device out sanitize
    ok "which is told" grep -q 'sanitize: not run, the kit has no names of kernels' out/table.txt
    sed -i "s/^kernels .*/kernels $(xargs < ours)/" kit/kit.txt
    ok "sanitizers" on_device out sanitize
    for tool in memcheck racecheck; do
        ok "$tool sees our kernels, and no other" same ours <(sed -n "s/^$tool: //p" out/sanitize.txt)
    done
    ok "initcheck sees all" same names <(sed -n 's/^initcheck: //p' out/sanitize.txt)
    ok "a sanitizer that misses planted faults fails the run" fails on_device BLIND=1 out sanitize
    ok "which is told" grep -qE 'racecheck finds a planted fault: exits 1,' out/table.txt
    ok "a sanitizer that finds something fails the run" fails on_device FINDS=initcheck out sanitize
    ok "files that come back are eight at most" test "$(find out -type f | wc -l)" -le 8

    # The report, into a copy of the files that it changes.
    mkdir -p copy/tests/gpu copy/tests/bench copy/kernels/cuda
    cp "$ROOT/tests/bench/README.md" copy/tests/bench && cp "$ROOT/kernels/cuda/README.md" copy/kernels/cuda
    ok "the report" "$ROOT/tests/gpu/report.py" out --root copy
    ok "has the steps" grep -q 'resumed: the bits' copy/tests/gpu/results.txt
    ok "and what failed" grep -q '^initcheck: ========= Uninitialized __global__ memory read' copy/tests/gpu/results.txt
    ok "the peer's failures, too" grep -q '^peer: imagenet64 0 bf16 .* --compile no answer in' copy/tests/gpu/results.txt
    ok "has the row, with the peer's best" \
        grep -qE '^\| imagenet64 \| 0 \| train \| 1 \|( [0-9.e+-]+ \|){3} [0-9]+% \| [0-9.e+]+x \| 25 \| [0-9.]+x \| 50 \| [0-9.]+x \|$' copy/tests/bench/README.md
    ok "and an outcome" grep -q '^| the whole step as one CUDA graph.*measured: level 0 .* ms a step ([0-9.e+]* eager) |$' copy/kernels/cuda/README.md
    ok "a second report changes nothing more" bash -c 'cp -r copy again && "$1" out --root again && diff -r copy again' - "$ROOT/tests/gpu/report.py"
    refused() { ! "$ROOT/tests/gpu/report.py" nowhere --root copy 2> said && [ "$(wc -l < said)" = 1 ] && grep -q 'no nowhere/table.txt' said; }
    ok "a folder without results" refused
else
    skip "python3"
fi
# The tree is there: a part that hangs ends with its share.
printf '#!/bin/sh\nexec sleep 60\n' > hangs
mv run/build/check-ops check-ops && install hangs run/build/check-ops
ok "a part that is late fails the run" fails on_device LIMIT=12 late ops train
mv check-ops run/build/check-ops
ok "leaves time for the next: $(cat late/table.txt)" grep -q 'train, fp32: exits' late/table.txt
ok "what has no time is told" grep -q 'train, tf32: not run, the time is up' late/table.txt
ok "and counted" grep -qE 'end: a step failed, [1-9] not run' late/table.txt
ok "a failed step fails the run" fails on_device WF_EMULATED_LOST=1 lost train
ok "and is in the table" grep -q 'train, fp32: exits 74' lost/table.txt
rc=0
on_device WF_EMULATED_DEVICES=0 none.d env ops > none || rc=$?
ok "without a card the run ends: $(tail -n 1 none.d/table.txt)" test "$rc $(grep -c operators none.d/table.txt)" = "66 0"
for target in check-gpu bench-gpu; do
    refused() { ! make -s -C "$ROOT" "$target" KIT="$WORK/nowhere" > said 2> none && grep -q "^$target: no .*nowhere/on-device.sh: run make device-kit" said; }
    ok "make $target without a kit says so" refused
done
