# shellcheck shell=bash
# lib.sh - functions of the pipe tests. A test is a script that first sources this file:
#
#     #!/usr/bin/env bash
#     . "$(dirname "$0")/lib.sh"
#     wf-dwt a.png > a.wf
#     ok     "dwt and idwt give back the picture" same a.pam b.pam
#     status 65 "a stream that was cut off"       wf-idwt < cut.wf
#
# A test starts in an empty folder, which is removed at its end, with the programs in PATH. $ROOT is the repository,
# $DEADLEAVES the picture generator and $COHERENCE its measure. The output is one line per failure or skip, and the totals.
set -u -o pipefail
export LC_ALL=C
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PATH=$ROOT/${BIN:-bin}:$PATH
# shellcheck disable=SC2034 # used by the tests
DEADLEAVES=$ROOT/${B:-build}/deadleaves
# shellcheck disable=SC2034
COHERENCE=$ROOT/${B:-build}/coherence
WORK=$(mktemp -d)
export XDG_CACHE_HOME=$WORK.cache
NAME=$(basename "$0" .sh)
passed=0 failed=0 skipped=0
cd "$WORK" || exit 1

pass() { passed=$((passed + 1)); [ -z "${V:-}" ] || echo "pass: $NAME: $1"; }
fail() { failed=$((failed + 1)); echo "FAIL: $NAME: $1"; }
skip() { # skip "what is missing"
    skipped=$((skipped + 1))
    echo "skip: $NAME: $1$([[ $1 != *'is not here' ]] || echo '; WF_TEST_DATA names another folder')"
}

# ok NAME COMMAND...: passes if the command succeeds; otherwise shows its output.
ok() {
    local name=$1 rc=0
    shift
    "$@" > "$WORK/.log" 2>&1 || rc=$?
    if [ $rc = 0 ]; then pass "$name"; else fail "$name: '$*' exits $rc: $(head -c 1000 "$WORK/.log")"; fi
}

# The line that says what a program runs on, printed when it begins to compute; an error may follow.
START_LINE='^wf-[a-z-]*: (model|levels?) .* on .*, (fp32|bf16|tf32|double precision)'

# status CODE NAME COMMAND...: passes if the command exits with CODE and, unless CODE is 0, writes one line to stderr
# that begins with the program's name, beside the line above.
status() {
    local want=$1 name=$2 rc=0 lines
    shift 2
    "$@" > /dev/null 2> "$WORK/.log" || rc=$?
    lines=$(grep -Evc "$START_LINE" "$WORK/.log")
    if [ $rc != "$want" ]; then
        fail "$name: '$*' exits $rc, want $want: $(head -c 1000 "$WORK/.log")"
    elif [ "$want" != 0 ] && { [ "$lines" != 1 ] || ! grep -q '^wf-[a-z-]*: ' "$WORK/.log"; }; then
        fail "$name: '$*' says $lines lines, want one that begins with the program's name: $(head -c 1000 "$WORK/.log")"
    else
        pass "$name"
    fi
}

# same A B: the same bytes. Pipes must give some: a command that failed gives none.
same() {
    [ -p "$1" ] || { cmp "$1" "$2"; return; }
    cat "$1" > "$WORK/.same" && cmp "$WORK/.same" "$2" && [ -s "$WORK/.same" ]
}

# within SECONDS COMMAND...: waits until the command succeeds, but not longer.
within() {
    local i
    for ((i = 0; i < $1 * 20; i++)); do
        "${@:2}" && return
        sleep 0.05
    done
    return 1
}

# limited PROGRAM...: runs within what a hostile file may take, 5 seconds, of processors too, and 512 MB; under a
# sanitizer, whose address space is huge, without the limit on memory.
limited() {
    ([[ ${B:-build} == *san* ]] || ulimit -v $((512 * 1024)); ulimit -t 5; timeout -k 1 5 "$@")
}

# data FILE: prints the path of a file of the optional test data, or fails: d=$(data x.tar) || skip "x.tar is not here"
data() {
    local folder=${WF_TEST_DATA:-$ROOT/../shared/data}
    [ -e "$folder/$1" ] && echo "$folder/$1"
}

# make_here TARGET...: make in the repository, where one script makes at a time. The version is that of the programs,
# whatever was committed or edited since: make does not link them anew under the scripts that run beside.
make_here() {
    local built=$ROOT/${B:-build}
    flock -o "$built" env -u MAKEFLAGS make -s -C "$ROOT" VERSION="$(cat "$built/version")" "$@"
}

# train_small MODEL [OPTION...]: trains all levels of a small model on generated 8x8 pictures, with the wavelet $WAVELET
# (default haar) and options of wf-train-level.
train_small() {
    local model=$1 level
    shift
    "$DEADLEAVES" -q -n 64 -s 8 | wf-dwt -q -w "${WAVELET:-haar}" > train.wf
    for level in 0 1 2 3; do
        wf-train-level -q -l $level -m "$model" -s - -f '2*(actnorm, conv1x1, affine:width=4:blocks=1), actnorm' \
            --steps 60 --batch 16 --val none "$@" < train.wf || return
    done
}

finish() {
    cd / && rm -rf "$WORK" "$WORK.cache"
    echo "$NAME: $passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ] && [ $((passed + skipped)) != 0 ]
}
trap 'finish; exit $?' EXIT

# find_python: sets `python` to one with the modules that streams and stores need, or ends the script as skipped. WF_PYTHON
# names another than python3 and the system's.
find_python() {
    for python in ${WF_PYTHON:-python3 /usr/bin/python3}; do
        "$python" -c 'import numpy, lmdb, xxhash' 2> /dev/null && return
    done
    skip "${WF_PYTHON:-python3} with numpy, lmdb and xxhash (WF_PYTHON names another)"
    exit 0
}
