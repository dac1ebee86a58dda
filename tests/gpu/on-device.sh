#!/usr/bin/env bash
# on-device.sh [PART ...] - what a machine with a card does with the kit that this script lies in (make device-kit). It needs bash,
# tar, xz or Python, the driver, and cuDNN and cuBLASLt where the loader or the python3 on PATH has them; Python with PyTorch for the peer.
#
#   env       the card, the processor, and what wf-info says of the backend; without a card the run ends here, with 66
#   ops       every operator against the reference
#   train     bits per dimension and chains against the CPU's figures, in three precisions; a resumed training; samples
#   bench     images per second of the ROWS, the rates of a matrix product and a copy
#   peer      the same by PyTorch: eager, then as a CUDA graph
#   compile   the same by torch.compile, the first row first
#   sanitize  compute-sanitizer over our own kernels
#   programs  tests/pipes/emulated.sh on the card
#
# LIMIT seconds (530) are shared out among the parts. A part ends with its share; what it leaves goes to the parts after it. OUT, a
# folder: table.txt has a line for each step as it ends, and log.txt, ops.txt, programs.txt, bench.jsonl, peer.jsonl, sanitize.txt and
# plans.txt the rest; make device-report reads them. A second run adds to them. SLOTS: these operators only. Exits 1 if a step failed
# or did not run.
set -u
export LC_ALL=C PATH
OUT=${OUT:+$(realpath -m "$OUT")} # before the folder changes
cd "$(dirname "$0")" || exit 70
kit=$PWD
OUT=${OUT:-$kit/out} LIMIT=${LIMIT:-530} tree=${TREE:-$kit/unpacked}
rows=${ROWS:-imagenet64:5 faces1024:7 imagenet64:6 imagenet64:0 imagenet64:3} brief=${BRIEF:-0.3}
read -ra slots <<< "${SLOTS:-}"
parts=${*:-env ops train bench peer compile sanitize programs}
# Shares of the parts, in seconds of 530.
declare -A share=([env]=40 [ops]=90 [train]=60 [bench]=90 [peer]=60 [compile]=80 [sanitize]=60 [programs]=50)
failed=0 absent=0 all=0 given=0 until=$LIMIT

for part in $parts; do
    [ -n "${share[$part]:-}" ] || { echo "on-device: unknown part '$part'" >&2 && exit 64; }
    all=$((all + share[$part]))
done
for file in programs.tar.xz libraries.tar.xz leaves.store kit.txt model; do
    [ -e "$file" ] || { echo "on-device: no $file beside this script: make device-kit packs it" >&2 && exit 66; }
done
mkdir -p "$OUT" "$tree/cache" "$tree/tmp" && OUT=$(cd "$OUT" && pwd) || exit 73
unpack() { # unpack FILE FOLDER
    if command -v xz > /dev/null; then tar xJf "$1" -C "$2"; else
        python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$1" "$2"
    fi || { echo "on-device: $1 does not unpack: it needs xz or Python" >&2 && exit 74; }
}
packed=$(cksum programs.tar.xz libraries.tar.xz)
if [ "$packed" != "$(cat "$tree/packed" 2> /dev/null)" ]; then
    unpack programs.tar.xz "$tree"
    unpack libraries.tar.xz "$tree/lib"
    echo "$packed" > "$tree/packed"
fi
export OUT XDG_CACHE_HOME=$tree/cache TMPDIR=$tree/tmp TORCHINDUCTOR_CACHE_DIR=$tree/cache/inductor PEER=$kit/peer_torch.py
bin=$tree/bin
kit_has() { sed -n "s/^$1 //p" "$kit/kit.txt"; }
chain=$(kit_has chain) steps=$(kit_has steps)

say() { printf '%4d s  %s\n' $SECONDS "$*" | tee -a "$OUT/table.txt"; }
verdict() { # verdict FINE TEXT...: a line of a comparison; FINE: 0 or not
    [ "$1" = 0 ] || failed=1
    say "${*:2}$([ "$1" = 0 ] || echo ': WRONG')"
}
near() { awk -v a="$1" -v b="$2" -v most="$3" 'BEGIN { exit !(a != "" && b != "" && (a - b) ^ 2 <= most ^ 2) }'; }
missing() { absent=$((absent + 1)) && say "$1: not run, $2"; }
# within N: seconds for the first of N steps that this part still has
within() { echo $(((until - SECONDS) / $1)); }
# step SECONDS FILE NAME COMMAND...: runs a command, its output to FILE and its last line to the table
step() {
    local most=$1 file=$OUT/$2 name=$3 left=$((until - SECONDS)) began=$SECONDS rc=0
    shift 3
    most=$((most < left ? most : left))
    [ $most -ge 4 ] || { missing "$name" "the time is up"; return 1; }
    echo "== $name" >> "$file"
    timeout -k 5 $most "$@" >> "$file" 2>&1 || rc=$?
    [ $rc = 0 ] || failed=1
    say "$name: exits $rc, $((SECONDS - began)) s: $(grep -v '^ *$' "$file" | tail -n 1 | cut -c 1-150)"
    return $rc
}

env_part() {
    say "kit $(kit_has version), commit $(kit_has commit), $(date -u +%F)"
    step 20 log.txt card nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader
    step 10 log.txt processor sh -c 'grep -m 1 "model name" /proc/cpuinfo; nproc'
    step 30 log.txt python python3 -c 'import importlib.metadata as m, sys
found = {d.metadata["Name"]: d.version for d in m.distributions()}
print(sys.executable, *(f"{n} {v}" for n, v in found.items() if n and n.startswith(("torch", "triton", "nvidia-cu"))))'
    device=
    step 60 log.txt wf-info "$bin/wf-info" && device=$(sed -n 's/^ *cuda *//p' "$OUT/log.txt" | tail -n 1)
    say "device: $device"
    [[ $device == *cuDNN* ]] || exit 66
}

# exec: a program that is late, and would save first, is the one that is stopped.
# shellcheck disable=SC2317 # called by bash -c
train() { exec "$bin/wf-train-level" -q -l 3 -s leaves.store -f "$chain" --batch 8 --warmup 5 --val none --backend cuda "$@"; }
export -f train
export bin chain
train_part() {
    local precision bits want have
    rm -rf "$tree"/{fp32,tf32,bf16,halves}
    for precision in fp32 tf32 bf16; do
        step 60 log.txt "train, $precision" bash -c "train -m $tree/$precision --steps $steps --precision $precision" || continue
        bits=$(sed -n 's/.*"bpd": \([0-9.]*\).*/\1/p' "$tree/$precision/level-03.jsonl" | tail -n 1)
        near "$bits" "$(kit_has bpd_trained)" "$([ $precision = fp32 ] && echo 0.002 || echo 0.05)"
        verdict $? "bits/dim trained in $precision: $bits, by the CPU $(kit_has bpd_trained)"
    done
    step 60 log.txt "train, interrupted" bash -c "train -m $tree/halves --steps $(kit_has half) --precision fp32" &&
        step 60 log.txt "train, resumed" bash -c "train -m $tree/halves --steps $steps --precision fp32" && {
        cmp -s <(tail -c 20000 "$tree/halves/level-03.state.safetensors") <(tail -c 20000 "$tree/fp32/level-03.state.safetensors")
        verdict $? "resumed: the bits of an uninterrupted training"
    }
    step 60 log.txt "bits/dim" bash -c "exec $bin/wf-bpd -q -m model -s leaves.store --backend cuda > $tree/bpd" && {
        have=$(awk -F '\t' '$1 == "total" { print $3 }' "$tree/bpd") want=$(kit_has bpd_model)
        near "$have" "$want" 1e-4
        verdict $? "bits/dim of the CPU's model: $have, by the CPU $want"
    }
    # Rounding decides which way a chain turns, so chains are compared by their means.
    step 60 log.txt chains bash -c \
        "exec $bin/wf-nuts -q -m model $(kit_has chains) --stats $tree/stats.csv --backend cuda > $tree/draws.wf" && {
        read -r have want < <(awk -F , 'NR > 1 { a += $2; l += $1 } END { print a / (NR - 1), l / (NR - 1) }' "$tree/stats.csv")
        near "$have" "$(kit_has nuts_acceptance)" 0.05 && near "$want" "$(kit_has nuts_density)" 2
        verdict $? "chains: acceptance $have, log density $want; by the CPU $(kit_has nuts_acceptance), $(kit_has nuts_density)"
    }
    step 30 log.txt samples bash -c \
        "$bin/wf-sample -q -m model -n 16 --seed 1 --backend cuda | $bin/wf-idwt -q > $tree/cuda.pam &&
        $bin/wf-sample -q -m model -n 16 --seed 1 --backend cpu | $bin/wf-idwt -q > $tree/cpu.pam" && {
        have=$(cmp -l "$tree/cuda.pam" "$tree/cpu.pam" | wc -l) want=$(wc -c < "$tree/cpu.pam")
        [ "$have" -lt $((want / 50)) ]
        verdict $? "samples: $have of $want bytes differ from the CPU's"
    }
}

bench_part() {
    local row
    local -a rest
    read -ra rest <<< "$rows"
    step "$(within 2)" bench.jsonl peaks "$tree/build/bench-level" --backend cuda --time "$brief" \
        matrix:{fp32,tf32,bf16}:"${MATRIX:-8192}" copy
    while [ ${#rest[@]} != 0 ]; do
        row=${rest[0]}
        echo "{\"model\": \"${row%:*}\"}" >> "$OUT/bench.jsonl"
        step $((2 * $(within $((1 + ${#rest[@]}))))) bench.jsonl "ours, $row" "$tree/build/bench-level" --backend cuda --model "${row%:*}" \
            -l "${row#*:}" --time "$brief" train:{bf16,tf32,fp32}:"${BATCH:-64}":store
        rest=("${rest[@]:1}")
    done
}
# peer STEPS EACH SETTINGS: the peer at all rows, EACH or fewer seconds at each; STEPS: as for within
peer() {
    local most each=$2
    most=$(within "$1")
    each=$((each < most - 4 ? each : most - 4)) # it ends by itself, and tells how
    [ -e "$PEER" ] || { missing "peer, $3" "$PEER is not in the kit"; return; }
    step "$most" log.txt "peer, $3" python3 bench_gpu.py peer --rows "${rows// /,}" --settings "$3" --until $((most - 4)) --each $each \
        --device "${PEER_DEVICE:-cuda}" "$OUT/peer.jsonl"
}
# Prints where compute-sanitizer is: on PATH, in CUDA's folders, or where pip puts it.
sanitizer() {
    local found
    for found in "$(command -v compute-sanitizer)" /usr/local/cuda*/{bin,compute-sanitizer}/compute-sanitizer "$(timeout 10 python3 -c '
import glob, importlib.util as u
places = u.find_spec("nvidia")
print(*(f for p in places.submodule_search_locations for f in glob.glob(p + "/*/bin/compute-sanitizer"))) if places else None')"; do
        [ ! -x "$found" ] || { echo "$found" && return; }
    done
    return 1
}
# sanitize STEPS TOOL OPTION... SLOT...: the tool must find the fault that is planted for it, and none in the operators
sanitize() {
    local -a tool=("$program" --launch-timeout 60 --error-exitcode 9 --target-processes application-only --tool "$2")
    step 10 sanitize.txt "$2 finds a planted fault" bash -c '"$@"; [ $? = 9 ]' - "${tool[@]}" "$tree/build/planted" "$2"
    step "$(within "$1")" sanitize.txt "$2" "${tool[@]}" "${@:3}"
}
# Library kernels are left out by name: to instrument them would take all of the time, and their calls that fail are not ours.
# initcheck must see all kernels, or it misses what they write: it has the operators without library calls.
sanitize_part() {
    local ours program
    local -a run=("$tree/build/check-ops" --backend cuda) plain library
    mapfile -t plain < <([ ${#slots[@]} = 0 ] && "${run[0]}" --list || printf '%s\n' "${slots[@]}")
    mapfile -t library < <(printf '%s\n' "${plain[@]}" | grep -E '^conv_(fold|unfold|forward|backward)$')
    mapfile -t plain < <(printf '%s\n' "${plain[@]}" | grep -v '^conv_')
    program=$(sanitizer 2>> "$OUT/log.txt") || { missing sanitize "no compute-sanitizer on PATH, in /usr/local/cuda*, or from pip"; return; }
    [ "$(kit_has kernels)" != unknown ] || { missing sanitize "the kit has no names of kernels"; return; }
    ours=regex="^($(kit_has kernels | tr ' ' '|'))\$"
    sanitize 3 memcheck --report-api-errors no --kernel-name "$ours" "${run[@]}" "${plain[@]}" "${library[@]}"
    sanitize 2 racecheck --kernel-name "$ours" "${run[@]}" "${plain[@]}" "${library[@]}"
    sanitize 1 initcheck "${run[@]}" "${plain[@]}"
}

for part in $parts; do
    given=$((given + share[$part])) until=$((LIMIT * given / all))
    case $part in
    env) env_part ;;
    ops) step "$LIMIT" ops.txt operators "$tree/build/check-ops" --backend cuda "${slots[@]}" ;;
    train) train_part ;;
    bench) bench_part ;;
    peer) peer 2 30 tuned; peer 1 15 plain ;;
    compile) peer 1 "$LIMIT" compiled ;;
    sanitize) sanitize_part ;;
    programs) step "$LIMIT" programs.txt programs env DEVICE=cuda bash "$tree/tests/pipes/emulated.sh" ;;
    esac
done
[ ! -e "$tree/cache/wavelet-flow.plans" ] || cp "$tree/cache/wavelet-flow.plans" "$OUT/plans.txt"
say "end: $([ $failed = 0 ] && echo 'every step that ran passed' || echo 'a step failed'), $absent not run"
exit $((failed | (absent != 0)))
