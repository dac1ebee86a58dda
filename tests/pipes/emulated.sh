#!/usr/bin/env bash
# emulated.sh - programs on the CUDA backend: the CPU's figures and exact resumption. DEVICE=cuda uses a real device.
# Otherwise the stand-in of tests/emulated also checks one replayed recording per step, and the messages for a device
# that is missing, too small or lost.
. "$(dirname "$0")/lib.sh"

[ -n "${DEVICE:-}" ] || PATH=$ROOT/${B:-build}/emulated:$PATH
export WF_EMULATED_STRICT=1
export XDG_CACHE_HOME=$WORK OMP_NUM_THREADS=1

train() { # train MODEL BACKEND [OPTION...]: level 1 of generated 8x8 pictures
    local model=$1 backend=$2
    shift 2
    wf-train-level -q -l 1 -m "$model" -s train.store -f '2*(actnorm, conv1x1, affine:width=40:blocks=1), actnorm' \
        --warmup 5 --batch 4 --val none --precision fp32 --backend "$backend" "$@"
}
bits() { sed -n 's/.*"bpd": \([0-9.]*\).*/\1/p' "$1" | tail -n 1; }
# alike A B: pictures of one size, of which at most 20 bytes differ
alike() {
    awk -v n="$(cmp -l "$1" "$2" | wc -l)" -v a="$(stat -c %s "$1")" -v b="$(stat -c %s "$2")" 'BEGIN { exit n > 20 || a != b || a < 500 }'
}
near() { awk -v a="$1" -v b="$2" -v most="$3" 'BEGIN { exit !(a != "" && b != "" && (a - b) ^ 2 <= most ^ 2) }'; }

"$DEADLEAVES" -q -n 32 -s 8 | wf-dwt -q -o train.store

[ -n "${DEVICE:-}" ] || ok "a device is found" bash -c 'wf-info | grep -q emulated'
ok "trains on the CPU" train cpu cpu --steps 50
ok "chooses engines on the device, which takes recordings of its own" train choices cuda --steps 1
WF_EMULATED_TRACE=trace ok "trains on the device" train cuda cuda --steps 50
ok "both losses are the same" near "$(bits cpu/level-01.jsonl)" "$(bits cuda/level-01.jsonl)" 1e-4
[ -n "${DEVICE:-}" ] || ok "one recording, replayed for every step except the first" grep -qx 'cudaGraphLaunch 49' trace
for launches in "fold 2" "unfold 2" "find_bad 1" "update 1"; do # of both convolutions and matrices; of all parameters
    [ -n "${DEVICE:-}" ] || ok "one launch per step: $launches" grep -qx "recorded $launches" trace
done

# The table in kernels/cuda/README.md counts the launches of a step of the official flows. They do not depend on the width above 32 channels,
# and a training draws noise besides. By this clock the choice of engines records nothing.
counted() { sed -n 's/^| \*\*all\*\* .*\*\*\([0-9]*\)\*\* |$/\1/p' "$ROOT/kernels/cuda/README.md"; }
for precision in fp32 tf32 bf16; do
    [ -z "${DEVICE:-}" ] || continue
    WF_EMULATED_CLOCK=1 WF_EMULATED_TRACE=counts ok "an official flow's steps, $precision" wf-train-level -q -l 2 -m counted-$precision \
        -s train.store -f '16*(actnorm, conv1x1, affine:width=40:blocks=3), actnorm' --warmup 5 --batch 1 --val none --memory store \
        --precision $precision --backend cuda --steps 2
    ok "launches as the table counts them: $(grep -x 'recorded [0-9]*' counts)" grep -qx "recorded $(($(counted) + 1))" counts
done

for order in eager mixed; do # of streams and of the nodes of recordings
    [ -n "${DEVICE:-}" ] || WF_EMULATED_STREAMS=$order WF_EMULATED_SEED=2 ok "trains, $order" train $order cuda --steps 50
    [ -n "${DEVICE:-}" ] || ok "$order streams give the same bytes" same <(tail -c 20000 cuda/level-01.state.safetensors) \
        <(tail -c 20000 $order/level-01.state.safetensors)
done
[ -n "${DEVICE:-}" ] || WF_EMULATED_DEVICES=2 ok "trains on a second card" train second cuda:1 --steps 3

ok "trains 20 steps" train halves cuda --steps 20
ok "and 30 more" train halves cuda --steps 50
ok "a resumed training gives the bytes of an uninterrupted one" same <(tail -c 20000 cuda/level-01.state.safetensors) \
    <(tail -c 20000 halves/level-01.state.safetensors)

printf '\x93NUMPY\x01\x00\x76\x00%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': (32,), }" > labels.npy
for _ in {1..16}; do printf '\0\1'; done >> labels.npy
for backend in cpu cuda; do
    ok "trains with labels on $backend" train given-$backend $backend --steps 50 --given labels.npy
done
ok "both losses with labels are the same" near "$(bits given-cpu/level-01.jsonl)" "$(bits given-cuda/level-01.jsonl)" 1e-4

for backend in cpu cuda; do
    ok "trains with Muon on $backend" train muon-$backend $backend --steps 50 --optimizer muon
done
ok "both losses with Muon are the same" near "$(bits muon-cpu/level-01.jsonl)" "$(bits muon-cuda/level-01.jsonl)" 1e-4
ok "another loss than with Adamax" bash -c '! cmp -s <(tail -c 20000 cuda/level-01.state.safetensors) \
    <(tail -c 20000 muon-cuda/level-01.state.safetensors)'
ok "trains 20 steps with Muon" train muon-halves cuda --steps 20 --optimizer muon
ok "and 30 more, still with Muon" train muon-halves cuda --steps 50
ok "a training with Muon resumes with the same bytes" same <(tail -c 20000 muon-cuda/level-01.state.safetensors) \
    <(tail -c 20000 muon-halves/level-01.state.safetensors)

# Each way of a product or convolution rounds differently. The first measurement decides, whatever is fastest later: the
# file keeps it, in a folder that is made, or the process does.
ways() { # ways CLOCK FOLDER COMMAND...: the first way is the fastest (1), or the last (-1)
    local clock=$1 folder=$2
    shift 2
    WF_EMULATED_CLOCK=$clock XDG_CACHE_HOME=$WORK/$folder "$@"
}
if [ -z "${DEVICE:-}" ]; then
    ok "with the first ways" ways 1 choice/first train first cuda --steps 30
    ok "their file is made, with its folder" test -s choice/first/wavelet-flow.plans
    ok "with the last ways" ways -1 choice/last train last cuda --steps 30
    state() { tail -c 20000 "$1/level-01.state.safetensors"; }
    ok "ways differ in bits" bash -c '! cmp -s <(tail -c 20000 first/level-01.state.safetensors) \
        <(tail -c 20000 last/level-01.state.safetensors)'
    ok "20 steps with the first ways" ways 1 choice/held train held cuda --steps 20
    ok "10 more when the last are faster" ways -1 choice/held train held cuda --steps 30
    ok "the file's ways count: the same bits" same <(state first) <(state held)
    measured() { grep '^cudaEventElapsedTime' "$1"; }
    at_home() { (unset XDG_CACHE_HOME && HOME=$1 && shift && "$@"); }
    mkdir home
    WF_EMULATED_CLOCK=1 WF_EMULATED_TRACE=filed.trace ok "a home without a cache" at_home "$WORK/home" train filed cuda --steps 2
    ok "gets one" test -s home/.cache/wavelet-flow.plans
    WF_EMULATED_CLOCK=1 WF_EMULATED_TRACE=unfiled.trace ok "no home" at_home "$WORK/nowhere" train unfiled cuda --steps 2
    ok "each way is measured once in a process" same <(measured filed.trace) <(measured unfiled.trace)
    ok "and no home is made" test ! -e nowhere
fi

for memory in store reversible; do
    ok "bf16, $memory" train bf16-$memory cuda --steps 3 --precision bf16 --memory $memory
done
ok "tf32" train tf32 cuda --steps 3 --precision tf32

wf-train-level -q -l 0-2 -m several -s train.store --warmup 5 --batch 4 --val none --backend cuda --steps 50 \
    -f '2*(actnorm, conv1x1, affine:width=40:blocks=1), actnorm' 2> said
ok "levels side by side: $(cat said)" same <(tail -c 20000 cuda/level-01.state.safetensors) \
    <(tail -c 20000 several/level-01.state.safetensors)

"$DEADLEAVES" -q -n 32 -s 8 > leaves.ppm
for backend in cpu cuda; do
    wf-dwt -q --backend $backend -o haar-$backend.store leaves.ppm
    wf-dwt -q -w db4 --backend $backend -o $backend.store leaves.ppm
    for level in 1 2 3; do
        ok "level $level of db4 trains on $backend" wf-train-level -q -l $level -m db4-$backend -s $backend.store \
            -f 'actnorm, conv1x1, affine:width=8:blocks=1, actnorm' --warmup 5 --batch 4 --steps 50 --backend $backend
    done
done
# Coefficients of db4 differ in rounding: the CPU transforms columns by rotations, in another order.
ok "coefficients of haar equal the CPU's bit for bit" \
    same <(wf-info haar-cpu.store | grep ^hash) <(wf-info haar-cuda.store | grep ^hash)
for level in 1 2 3; do
    ok "level $level has the same loss" \
        near "$(bits db4-cpu/level-0$level.jsonl)" "$(bits db4-cuda/level-0$level.jsonl)" 1e-4
done

# -- learnt noise, drawn anew by every replay ------------------------------------------------------------------------
wf-dwt -q --levels 0 -o flat.store leaves.ppm
for backend in cpu cuda; do
    ok "learnt noise trains on $backend" \
        wf-train-level -q -l 0 -m noise-$backend -s flat.store -f 'actnorm, affine:width=8:blocks=1, actnorm' \
        --dequantize 'affine:mask=checker:width=8:blocks=1, actnorm' --warmup 5 --batch 4 --steps 50 --backend $backend
    wf-bpd -q -m noise-cpu -s flat.store --iw 4 --backend $backend | tail -n 1 | cut -f 3 > noise-$backend.bits
done
ok "the loss is the same" near "$(bits noise-cpu/level-00.jsonl)" "$(bits noise-cuda/level-00.jsonl)" 1e-4
ok "learnt noise gives the CPU's bound" near "$(cat noise-cpu.bits)" "$(cat noise-cuda.bits)" 1e-4
# noise FILE SHAPE: a .npy of random bytes
noise() {
    python3 - "$@" << 'PY'
import os, sys
shape = tuple(map(int, sys.argv[2].split("x")))
header = repr({"descr": "|u1", "fortran_order": False, "shape": shape})
header += " " * (-(len(header) + 11) % 64) + "\n"
n = 1
for side in shape:
    n *= side
magic = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
open(sys.argv[1], "wb").write(magic + header.encode() + os.urandom(n))
PY
}
noise film.npy 8x4x4x4x3
for backend in cpu cuda; do
    wf-dwt -q --dims 3 -w db2 --backend $backend -o film-$backend.store film.npy
    ok "films train on $backend" wf-train-level -q -l 2 -m film-$backend -s film-$backend.store \
        -f 'actnorm, conv1x1, affine:width=40:blocks=1, actnorm' --warmup 5 --batch 4 --steps 50 --backend $backend
done
ok "the losses are the same" near "$(bits film-cpu/level-02.jsonl)" "$(bits film-cuda/level-02.jsonl)" 1e-4

train_small model --steps 5
wf-bpd -q -m model -s train.store --backend cpu > cpu.tsv
wf-bpd -q -m model -s train.store --backend cuda > cuda.tsv
total() { awk -F '\t' '$1 == "total" { print $3 }' "$1"; }
ok "bits per dimension are those of the CPU" near "$(total cpu.tsv)" "$(total cuda.tsv)" 1e-4
WF_EMULATED_PROCESSORS=132 wf-bpd -q -m model -s train.store --backend cuda > wide.tsv
ok "and in the batches of a large card" near "$(total cpu.tsv)" "$(total wide.tsv)" 1e-4
wf-sample -q -m model -n 4 --seed 1 --backend cuda | wf-idwt -q > a.pam
wf-sample -q -m model -n 4 --seed 1 --backend cpu | wf-idwt -q > b.pam
ok "samples equal the CPU's up to rounding" alike a.pam b.pam

# Forward and inverse are recorded for each level, or once for all levels; in the coefficients, the densities too. By that
# clock every run is long, so that the choice of engines records nothing.
while read -r recordings option; do
    rm -f trace
    for backend in cpu cuda; do
        # shellcheck disable=SC2086 # an option or none
        WF_EMULATED_CLOCK=1 WF_EMULATED_TRACE=trace wf-nuts -q -m model -n 4 --adapt 2 --draws 4 --max-depth 3 --backend $backend $option |
            wf-idwt -q > $backend.pam
    done
    [ -n "${DEVICE:-}" ] || ok "chains${option:+, $option}: equal to the CPU's up to rounding" alike cpu.pam cuda.pam
    [ -n "${DEVICE:-}" ] || ok "chains${option:+, $option}: recorded" grep -qx "cudaGraphInstantiate $recordings" trace
    [ -n "${DEVICE:-}" ] || ok "chains${option:+, $option}: replayed" awk -v n="$recordings" \
        '$1 == "cudaGraphLaunch" && $2 > 5 * n { found = 1 } END { exit !found }' trace
done << 'END'
8
12 --data
2 --joint
END
# Rounding decides which way a chain turns, and no two processors round alike: on a device, longer chains are compared by their
# mean acceptance and log density.
means() { awk -F , 'NR > 1 { a += $2; l += $1 } END { print a / (NR - 1), l / (NR - 1) }' "$1"; }
if [ -n "${DEVICE:-}" ]; then
    for backend in cpu cuda; do
        ok "long chains on $backend" wf-nuts -q -m model -n 16 --adapt 50 --draws 50 --stats $backend.csv --backend $backend -o out.wf
    done
    read -r accept density < <(means cpu.csv)
    read -r accept_there density_there < <(means cuda.csv)
    ok "their acceptance: $accept and $accept_there" near "$accept" "$accept_there" 0.05
    ok "their log density: $density and $density_there" near "$density" "$density_there" 1
fi

if [ -n "${DEVICE:-}" ]; then # what is too much for the stand-in: the official flows
    "$DEADLEAVES" -q -n 128 -s 32 | wf-dwt -q -o large.store
    for precision in fp32 tf32 bf16; do
        ok "official levels side by side, $precision" \
            wf-train-level -q -l 0-4 -m official-$precision -s large.store --steps 50 -f official \
            --backend cuda --precision $precision
    done
    exit 0
fi
# refused NAME REASON: --backend cuda ends with the reason, which wf-info and the line of auto have too
mkdir -p root/dev && : > root/dev/nvidia0
refused() {
    status 64 "$1" wf-sample -m model -n 1 --backend cuda
    cp .log said
    ok "the message" grep -Fxq "wf-sample: cuda: $2" said
    wf-info > said
    ok "wf-info on $1" grep -Fxq "  cuda  $2" said
    WF_FSROOT=root wf-sample -m model -n 1 2> said | wf-idwt -q > auto.pam
    ok "auto on $1: $(cat said)" grep -Fxq "wf-sample: a card is there (NVIDIA), but CUDA does not start: $2; \
computing on the CPU (--backend cuda fails instead)" said
    ok "the CPU draws on $1" same auto.pam one.pam
}
wf-sample -q -m model -n 1 --backend cpu | wf-idwt -q > one.pam
WF_EMULATED_DEVICES=0 refused "no device" "the driver shows no card"
WF_EMULATED_DEVICES=0 CUDA_VISIBLE_DEVICES=3 refused "no visible device" \
    "the driver shows no card, with CUDA_VISIBLE_DEVICES=3"
WF_EMULATED_DRIVER=12020 refused "an old driver" \
    "the driver is for CUDA 12.2, expected 13.0 or later: install a newer driver"
WF_EMULATED_DRIVER=0 refused "no driver" "NVIDIA's driver (libcuda.so.1) is not installed"
WF_EMULATED_CAPABILITY=7 refused "an old card" "emulated has compute capability 7.0, expected 8.0 or later"
status 64 "a number past the last" wf-sample -m model -n 1 --backend cuda:7
cp .log said
ok "the message counts the cards" grep -Fxq 'wf-sample: cuda:7: no such card: there is 1, counted from 0' said
WF_EMULATED_DEVICES=2 status 64 "past two" wf-sample -m model -n 1 --backend cuda:7
cp .log said
ok "which are two" grep -Fxq 'wf-sample: cuda:7: no such card: there are 2, counted from 0' said
WF_FSROOT=root wf-sample -m model -n 1 2> said > auto.wf
ok "auto takes the device, and names it: $(cat said)" \
    grep -q '^wf-sample: model model on emulated (8 GiB, driver 13.0, CUDA 13.0, cuDNN ' said
WF_FSROOT=root WF_EMULATED_MEMORY=100000 status 75 "auto stops where the device is full" \
    wf-train-level -l 1 -m full -s train.store --steps 2
WF_EMULATED_MEMORY=100000 status 75 "a device that is too small" train small cuda --steps 2
cp .log said
ok "the message says what to do" grep -q -e --batch said
ok "saves at 10 steps" train lost cuda --steps 10
cp lost/level-01.state.safetensors saved.state
WF_EMULATED_LOST=130 status 74 "a device that is lost" train lost cuda --steps 1000
ok "the saved state exists" same saved.state lost/level-01.state.safetensors
# A kernel, cuBLASLt (in both) or cuDNN (level 2) is the first to see the loss.
for level in 1 2; do
    for call in {62..110..4}; do
        WF_EMULATED_LOST=$call status 74 "level $level, lost at call $call" wf-train-level -q -l $level -m "lost-$level-$call" \
            -s train.store -f '2*(actnorm, conv1x1, affine:width=40:blocks=1), actnorm' --batch 4 --steps 30 --backend cuda
    done
done
