#!/usr/bin/env bash
# run.sh PART... - runs parts of the test suite and ends with the one line "N passed, N failed, N skipped". BIN and B name the
# folders of the programs and of the build. Exits 1 if anything failed.
#
# Parts: criterion, ops, direct (the convolutions of processors other than x86-64), tiles (those of processors with AMX), emulated,
# engines, pipes, long; fast: what takes under a minute; or one test:
#     SUITE/TEST   Criterion tests; both may be patterns: train/*
#     ops/SLOT     one operator of every backend against the reference
#     pipes/NAME   tests/pipes/NAME.sh
#
# Every part prints lines that end in such totals; a part that dies without them, or has no tests, counts as one failure.
set -u -o pipefail
export LC_ALL=C
# nohup, and a script that starts the tests in the background, ignore signals that no shell below could trap then.
[ -n "${WF_SIGNALS:-}" ] || WF_SIGNALS=default exec env --default-signal=HUP,INT,QUIT "$0" "$@"
unset WF_SIGNALS
cd "$(dirname "$0")/.." || exit 1
export BIN=${BIN:-bin} B=${B:-build}
# Threads that wait by spinning slow down every test beside them.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
export UBSAN_OPTIONS=print_stacktrace=1
export LSAN_OPTIONS="suppressions='$PWD/tests/lsan.supp':print_suppressions=0"
passed=0 failed=0 skipped=0
logs=$(mktemp -d)
log=$logs/last
trap 'rm -rf "$logs"' EXIT

# Runs a command whose last line ends in totals, and adds them up.
add_totals() {
    local rc=0 p f s
    "$@" 2>&1 | tee "$log"
    rc=${PIPESTATUS[0]}
    if read -r p f s < <(tail -n 1 "$log" |
        sed -n 's/^.*\b\([0-9]\+\) passed, \([0-9]\+\) failed, \([0-9]\+\) skipped$/\1 \2 \3/p'); then
        passed=$((passed + p)) skipped=$((skipped + s))
        { [ "$rc" = 0 ] && [ $((p + f + s)) != 0 ]; } || [ "$f" != 0 ] || f=1
        failed=$((failed + f))
    else
        echo "FAIL: $* exits $rc without totals"
        failed=$((failed + 1))
    fi
}

# Criterion's own summary does not count skips, but its TAP output does. Leaks are counted here: Criterion ignores them.
criterion() { # criterion [FILTER]
    local tap out rc=0 leaks
    tap=$(mktemp) out=$(mktemp)
    "$B/check" --filter="${1:-*/*}" --tap="$tap" 2>&1 | tee "$out" || rc=$?
    leaks=$(grep -c 'ERROR: LeakSanitizer' "$out")
    sed -i '/# SKIP test was skipped$/d' "$tap" # what the filter leaves out
    grep -i '^ok .*# skip' "$tap" | sed 's/^ok - /skip: /'
    grep '^not ok' "$tap" | sed 's/^not ok - /FAIL: /'
    echo "criterion: $(grep '^ok' "$tap" | grep -vci '# skip') passed," \
        "$(($(grep -c '^not ok' "$tap") + leaks)) failed, $(grep -ci '^ok .*# skip' "$tap") skipped"
    rm -f "$tap" "$out"
    return $rc
}

# check-direct takes blocks of eight channels, which oneDNN has without AVX-512.
direct() {
    ONEDNN_MAX_CPU_ISA=AVX2 "$B/check-direct" --backend cpu conv_create conv_forward conv_backward
}

# Convolutions on tiles: the processor's, if it has AMX, and emulated ones.
tiles() {
    add_totals "$B/check-tiles"
    add_totals "$B/check-tiles-emulated"
    WF_CPU_BF16_LAYOUT=nhwc add_totals "$B/check-ops-tiles" --backend cpu conv_create conv_forward conv_backward
    WF_CPU_BF16_LAYOUT=nhwc WF_CPU_AMX=weights add_totals "$B/check-ops-tiles" --backend cpu conv_create conv_forward conv_backward
}

# Scripts, one after the other.
in_turn() {
    local script
    for script; do add_totals bash "$script"; done
}

# side_by_side COMMAND...: command lines with totals, as many at once as there are cores, each in a group of its own. The
# output of one comes when it and those before it have ended. A signal ends parallel; commands have ten seconds to stop
# servers and remove folders.
side_by_side() {
    local code number ended=0
    # shellcheck disable=SC2016 # expanded there; -q: the shell of a user may be another
    exec 3< <(exec parallel --will-cite -q -k -j "$(nproc)" --termseq TERM,10000,KILL,25 \
        env --default-signal=HUP,INT,QUIT bash -c 'bash -c "$0" > "$1" 2>&1; echo "$? $2"' \
        {} "$logs/{#}" '{#}' ::: "$@" < /dev/null)
    # shellcheck disable=SC2064 # expanded here
    trap "stop $!" HUP INT TERM
    while read -r code number <&3; do
        add_totals ran "${!number}" "$code" "$logs/$number"
        ended=$((ended + 1))
    done
    trap - HUP INT TERM
    exec 3<&-
    [ $ended = $# ] || { echo "FAIL: $ended of $# commands ended" && failed=$((failed + 1)); }
}
ran() { cat "$3" && return "$2"; } # ran COMMAND CODE LOG
stop() {                           # stop PARALLEL
    trap '' HUP INT TERM
    kill -INT "$1"
    cat <&3 > "$log" # until it has ended
    exit 130
}

# These scripts take longest, and begin first.
longest='kit emulated datasets progress ssh deb nuts slurm bench python ranks hostile install scenes'
# These look at how busy the cores are, or keep all of them busy.
alone='busy'
pipes() {
    local script first=() others=()
    for script in $longest; do first+=("bash tests/pipes/$script.sh"); done
    for script in tests/pipes/*.sh; do
        [[ " lib $longest $alone " == *" $(basename "$script" .sh) "* ]] || others+=("bash $script")
    done
    side_by_side "${first[@]}" "${others[@]}"
    for script in $alone; do add_totals bash "tests/pipes/$script.sh"; done
}

# Processors without AVX-512 keep channels in blocks of eight: there the other convolutions, and other loads and stores. bf16 maps
# have two layouts, and their 3x3 kernels two ways, of which a processor chooses one. All slots run in two halves.
ops() {
    local maps='pack pack_backward unpack relu_backward gate gate_backward norm norm_backward conv_forward conv_backward'
    maps="$B/check-ops --backend cpu $maps"
    side_by_side "$B/check-ops --list | awk 'NR % 2 == "{0,1}"' | xargs $B/check-ops" "ONEDNN_MAX_CPU_ISA=AVX2 $maps" \
        "WF_CPU_BF16_LAYOUT="{blocked,nhwc}" WF_CPU_CONVOLUTION="{winograd,onednn}" $maps"
}

# The CUDA backend on its stand-in, in two halves. Work of streams runs as late as a device may; then at the call, then
# at random.
emulated() {
    local cache half order commands=() ordered='upload readback_begin replay copy_runs linear_fold dwt'
    cache=$(mktemp -d)
    for half in 0 1; do
        commands+=("$B/emulated/check-ops --list | awk 'NR % 2 == $half' | xargs $B/emulated/check-ops --backend cuda")
    done
    for order in eager mixed; do
        commands+=("WF_EMULATED_STREAMS=$order $B/emulated/check-ops --backend cuda $ordered")
    done
    side_by_side "${commands[@]/#/export XDG_CACHE_HOME=$cache WF_EMULATED_STRICT=1; }"
    rm -r "$cache"
}

# cuDNN has no Debian package, and unloads libraries without freeing their memory.
engines() {
    if [ ! -x "$B/check-engines" ] || ldd "$B/check-engines" | grep -q 'not found'; then
        echo "skip: engines: no nvcc or no cuDNN"
        echo "0 passed, 0 failed, 1 skipped"
    else
        ASAN_OPTIONS=detect_leaks=0 "$B/check-engines"
    fi
}

# Tests that take seconds each: every word on every shape, long chains of draws, every byte of a file flipped.
slow='@(bijector/word_*|annealed_draws/*|annealed_joint/*|nuts/@(correlated|independent)_*|anneal/gradients_*|*/flipped_*)'
fast() {
    add_totals criterion "!($slow)"
    side_by_side "bash tests/pipes/"{cli,info,encode,nearest,formats}.sh
    add_totals "$B/check-ops" --backend cpu conv_forward transform_forward transform_backward linear_forward dwt idwt dequantize adamax
    add_totals direct
    tiles
}

usage() {
    echo "run.sh: $*" >&2
    exit 64
}

# Criterion tests, SUITE/TEST a line. Criterion lists all of them, whatever its filter says.
tests() {
    "$B/check" --list | awk '/: [0-9]+ tests?$/ { sub(/:.*/, ""); suite = $0; next } { sub(/^.* /, ""); print suite "/" $0 }'
}
matches() { # matches PATTERN < NAMES: does any?
    local name found=1
    while read -r name; do
        # shellcheck disable=SC2053 # a pattern
        [[ $name == $1 ]] && found=0
    done
    return $found
}

# One operator, script or Criterion test.
one() {
    case $1 in
    ops/*)
        "$B/check-ops" --list | grep -qx "${1#ops/}" || usage "no operator '${1#ops/}': one of $("$B/check-ops" --list | xargs)"
        add_totals "$B/check-ops" "${1#ops/}"
        ;;
    pipes/* | long/*)
        [ -f "tests/$1.sh" ] || usage "no script tests/$1.sh"
        add_totals bash "tests/$1.sh"
        ;;
    */*)
        tests | matches "$1" || usage "no test '$1': SUITE/TEST, ops/SLOT or pipes/NAME"
        add_totals criterion "$1"
        ;;
    *) usage "no part '$1'" ;;
    esac
}

for part; do
    case $part in
    criterion) add_totals criterion ;;
    ops) ops ;;
    direct) add_totals direct ;;
    tiles) tiles ;;
    emulated) emulated ;;
    engines) add_totals engines ;;
    pipes) pipes ;;
    long) in_turn tests/long/*.sh ;; # each keeps all cores busy
    fast) fast ;;
    *) one "$part" ;;
    esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
