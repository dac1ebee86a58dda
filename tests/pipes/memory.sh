#!/usr/bin/env bash
# memory.sh - programs without memory: one call for memory fails, or it and all later ones. The program ends with 75 and
# one line, and leaves no output under a final name; or it did without, exits 0 and has written what it should.
#
# TRIALS calls of each program fail, spread over all of its calls; TRIALS=0: every one. COUNTS=FILE gets a line for each
# program. tests/faults/memory.c makes calls fail.
. "$(dirname "$0")/lib.sh"
[[ ${B:-build} != *san* ]] || { skip "a sanitizer has an allocator of its own"; exit 0; }
export OMP_NUM_THREADS=1
TRIALS=${TRIALS:-12}
FAULTS=$ROOT/${B:-build}/faults-memory.so
[ -z "${COUNTS:-}" ] || printf 'program\tcalls\ttrials\tsignals\tcodes\tlines\tlost\n' > "$COUNTS"

"$DEADLEAVES" -q -n 20 -s 8 > pictures.pam
mkdir pictures
wf-dwt -q -w haar pictures.pam > a.wf && wf-dwt -q -w haar -o a.store pictures.pam && wf-idwt -q -o pictures a.wf
# tiny is for likelihoods, lattice for archives.
train() { wf-train-level -q -l "$1" -m "$2" -s - -f "$3" --steps 3 --batch 4 --val none < a.wf; }
tiny='actnorm, conv1x1, affine:width=4:blocks=1'
train 0-3 tiny "$tiny" && train 0-3 lattice lattice:components=2:width=4:blocks=1:net=res || fail "models"
wf-encode -q -m tiny -o latents.wf a.wf && wf-pack -q -m lattice pictures > a.wfp || fail "latents and an archive"

# run NAME COMMAND...: runs a program, whose outputs go into the folder out. Sets rc.
run() {
    rm -rf out && mkdir out
    { timeout 60 "$@"; } > out/printed 2> said < /dev/null
    rc=$?
    sed -i '/^$/d; s/^libgomp: Out of memory/'"$name"': &/' said
}
# fails_at N: as run, and call N fails. $mode is "" or WF_FAIL_EVER=1.
fails_at() { run env LD_PRELOAD="$FAULTS" WF_FAIL_AT="$1" $mode "${@:2}"; }
bad() { # bad KIND WORDS: counts and keeps a trial that went wrong
    count[$1]=$((count[$1] + 1))
    echo "$name: call $n of $calls${mode:+ and all later ones}: $2: $(head -c 300 said)" >> wrong
}
# comparable FOLDER: stores become what they hold, and logs of training, which have times, go
comparable() {
    local s
    for s in "$1"/*.store; do
        [ ! -d "$s" ] || { wf-idwt -q "$s" > "$s.pam" 2>&1; wf-info -q --verify "$s" > /dev/null 2>> "$s.pam"; rm -r "$s"; }
    done
    rm -rf "$1"/*/*.jsonl "$1"/*/*.state.safetensors
}
judge() {
    local lines
    lines=$(grep -Evc "$START_LINE" said)
    if [ "$rc" = 0 ]; then
        comparable out
        diff -r good out > /dev/null || bad lost "exits 0 with other output"
    elif [ "$rc" -gt 128 ] || [ "$rc" = 124 ]; then
        foreign "$@" || bad signals "exits $rc"
    elif [ "$rc" != 75 ]; then
        bad codes "exits $rc"
    elif [ "$lines" != 1 ] || ! grep -q "^$name: " said; then
        bad lines "$lines lines"
    else
        judge_left "$@"
    fi
}
# foreign COMMAND...: the call came from what ends the program by itself: glibc 2.36 uses NULL in fts_open and frees twice
# in glob, and libomp aborts
foreign() {
    local -i was=$rc
    cp said said.before
    run env LD_PRELOAD="$FAULTS" WF_FAIL_AT="$n" WF_FAIL_TRACE=1 "$@"
    mv said trace && mv said.before said
    rc=$was
    grep -Eq 'fts64_open|glob64|/libomp\.' trace
}
# judge_left COMMAND...: files are those of a run without a failure, or absent. A store goes on when the command is repeated.
judge_left() {
    local f
    if compgen -G 'out/*.store' > /dev/null; then
        { timeout 60 "$@"; } > out/printed 2> again < /dev/null || cp again said
        comparable out
        diff -r good out > /dev/null || bad lost "not what it should be when repeated"
        return
    fi
    for f in out/*.wf out/*.png; do
        [ ! -e "$f" ] || cmp -s "$f" "good/${f#out/}" || bad lost "left ${f#out/}"
    done
}
# loop PROGRAM ARGUMENT...: makes calls of the program fail, one a trial. ALL=N: every one of the first N, each alone
loop() {
    local name=$1 calls n rc mode stride trials=0
    local -A count=([signals]=0 [codes]=0 [lines]=0 [lost]=0)
    : > wrong && : > calls
    run env LD_PRELOAD="$FAULTS" WF_FAIL_COUNT=calls "$@"
    calls=$(< calls)
    [ "$rc" = 0 ] && [ "${calls:-0}" -gt 100 ] || { fail "$*: exits $rc after ${calls:-no} calls: $(< said)"; return; }
    comparable out
    rm -rf good && mv out good
    stride=$((TRIALS == 0 || calls <= TRIALS ? 1 : calls / TRIALS))
    for ((n = 1; n <= calls; n += n < ${ALL:-0} ? 1 : stride)); do
        for mode in "" WF_FAIL_EVER=1; do
            [ -z "$mode" ] || [ "$n" -ge "${ALL:-0}" ] || continue
            fails_at $n "$@"
            judge "$@"
            trials=$((trials + 1))
        done
    done
    [ -z "${COUNTS:-}" ] || printf '%s\t%d\t%d\t%d\t%d\t%d\t%d\n' "$*" "$calls" $trials \
        "${count[signals]}" "${count[codes]}" "${count[lines]}" "${count[lost]}" >> "$COUNTS"
    [ -z "${WRONG:-}" ] || cat wrong >> "$WRONG"
    ok "$name: $trials trials: $(head -n 1 wrong)" test ! -s wrong
}

loop wf-dwt -q pictures
loop wf-dwt -q -w haar -o out/a.store pictures
loop wf-idwt -q -o out a.wf
loop wf-idwt -q --grid out/grid.png a.store
ALL=300 loop wf-train-level -q -l 1 -m out/tiny -s a.store -f "$tiny" --steps 3 --batch 4 --val none
loop wf-bpd -q -m tiny a.store
loop wf-sample -q -m tiny -n 4 -o out/drawn.wf
loop wf-nuts -q -m tiny -n 2 -l 1 --draws 3 --adapt 3 -o out/drawn.wf
loop wf-encode -q -m tiny -o out/latents.wf a.wf
loop wf-decode -q -m tiny -o out/decoded.wf latents.wf
loop wf-pack -q -m lattice pictures
loop wf-unpack -q -m lattice -o out a.wfp
loop wf-score -q -m tiny --ref a.store --map out/maps a.wf
loop wf-nuts -q -m tiny --from pictures --noise 9 --adapt 3 --draws 3 --out mean,std -o out/posterior.wf
loop wf-coverage -q -m tiny --noise 30 -n 2 --adapt 3 --draws 22 --json
loop wf-nearest -q -s a.store -o out/near.wf a.wf
loop wf-view -q -r 0:4 -o out/some.store a.wf
loop wf-info --json a.store
loop wf-info -m tiny
loop wf-export -q -m tiny -o out/export
