#!/usr/bin/env bash
# check.sh [RESULTS] - `make check-gpu` on a machine with a card: runs the operators and the programs on the device,
# then compute-sanitizer over the operators. Takes at most 10 minutes. Writes its findings to tests/gpu/results.txt,
# which is committed. `make check-gpu` builds the programs that it needs; OUT names a folder for the full logs.
set -u -o pipefail
export LC_ALL=C
cd "$(dirname "$0")/../.." || exit 1
export BIN=${BIN:-bin} B=${B:-build}
results=${1:-tests/gpu/results.txt} logs=${OUT:-$B/gpu-logs}
failed=0
mkdir -p "$logs"

device=$("$BIN/wf-info" | sed -n 's/^ *cuda *//p')
nvidia-smi -L > /dev/null 2>&1 || { echo "check-gpu: no device: $device" && exit 66; }

# part NAME COMMAND...: runs the command within the rest of the 10 minutes and prints its last line
part() {
    local name=$1 rc=0
    shift
    timeout $((SECONDS < 570 ? 580 - SECONDS : 10)) "$@" > "$logs/$name.log" 2>&1 || rc=$?
    [ $rc = 0 ] || failed=$((failed + 1))
    printf '%-12s %s%s\n' "$name" "$(grep -v '^ *$' "$logs/$name.log" | tail -n 1)" \
        "$([ $rc = 0 ] || echo " (exits $rc)")"
}

{
    echo "device   $device"
    echo "driver   $(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -n 1)"
    echo "commit   $(git rev-parse --short HEAD 2> /dev/null || echo unknown)"
    echo "date     $(date -u +%F)"
    echo
    part operators "$B/check-ops" --backend cuda
    part programs env DEVICE=cuda bash tests/pipes/emulated.sh
    for tool in memcheck racecheck initcheck; do
        part "$tool" compute-sanitizer --tool "$tool" --error-exitcode 9 "$B/check-ops" --backend cuda \
            linear_fold linear_backward matvec matvec_backward transform_forward transform_inverse transform_backward \
            transform_inverse_backward mask pack pack_backward unpack relu_backward gate gate_backward norm \
            norm_backward attend attend_backward conv_forward conv_backward conv_fold conv_unfold gaussian sigmoid \
            sigmoid_backward normal dequantize scale adamax guard dwt idwt copy_runs replay readback_begin
    done
} | tee "$results"
grep -q 'exits\|[1-9][0-9]* failed' "$results" && failed=1
[ "$failed" = 0 ]
