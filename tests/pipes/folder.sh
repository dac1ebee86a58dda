#!/usr/bin/env bash
# folder.sh - wf-train: a folder of mixed pictures to a model, samples and a report in one command; what it tells, resumes,
# refuses, and leaves behind when it is interrupted
. "$(dirname "$0")/lib.sh"
for tool in parallel gnuplot; do
    command -v $tool > log || { skip "$tool is not installed"; exit; }
done
export OMP_NUM_THREADS=2

png() { [ "$(head -c 4 "$1" | tail -c 3)" = PNG ]; }
has() { grep -qE -- "$1" "$2" || { cat "$2" && return 1; }; } # has PATTERN FILE
lacks() { ! grep -E -- "$1" "$2"; }
sums() { (cd "$1" && find . -type f ! -name settings ! -name pictures | sort | xargs -d '\n' cksum); }
# refuses CODE PATTERN ARGUMENT..: wf-train says one line with the pattern, exits with the code, and changes nothing in $dir
refuses() {
    local code=$1 pattern=$2 rc=0
    sums "$dir" > before
    wf-train "${@:3}" > out 2> said || rc=$?
    [ $rc = "$code" ] && [ "$(wc -l < said)" = 1 ] && has "^wf-train: .*$pattern" said && sums "$dir" | cmp - before ||
        { echo "exit code $rc" && cat said && return 1; }
}

# -- pictures of many sizes, with a name that make and the shell would take apart -------------------------------------
photos="my \$photos' (2)"
dir="a model: \"é\" 100%"
mkdir "$photos"
"$DEADLEAVES" -q -n 20 -s 24 --seed 1 > "$photos/a & b.ppm"
"$DEADLEAVES" -q -n 8 -s 16 --seed 2 > "$photos/c.ppm"
{ printf 'P5 20 12 255\n' && head -c 240 /dev/urandom; } > "$photos/grey.pgm"
cp "$ROOT/tests/fuzz/corpus/codecs/jpeg-exif" "$photos/turned.jpg"
head -c 60 "$photos/turned.jpg" > "$photos/broken.jpg"
mkdir "$photos/.thumbnails" && cp "$photos/c.ppm" "$photos/.thumbnails"

ok "one command" bash -c 'wf-train "$@" > out 2> said || { cat out said; exit 1; }' - "$photos" -o "$dir" --minutes 0.05 --size 8
for file in model/wf.json model/level-03.safetensors train.store/data.mdb bpd-held-out.tsv report.html; do
    ok "it leaves $file" test -s "$dir/$file"
done
for file in samples real curves curve report/samples report/super report/nearest; do
    ok "$file.png is a PNG" png "$dir/$file.png"
done
ok "it says what was turned" has '^wf-dwt: turned 1 picture upright' said
ok "hidden" has '^wf-dwt: left out 1 hidden file or folder' said
ok "damaged" has '^wf-dwt: skipped: .*broken.jpg' said
ok "read" has '^wf-dwt: 30 pictures of 8x8, 3 channels' said
ok "held out" has '^wf-train: [12] of 30 pictures held out' said
ok "bits/dim of all levels are on standard output" test "$(grep -c '^[0-3] ' out)" = 4
ok "they are those of the pictures held out" \
    cmp <(wf-bpd -q -m "$dir" -s "$dir/train.store" --split val) "$dir/bpd-held-out.tsv"
ok "make says nothing" lacks '^make|\*\*\*' said
ok "the page to open" has 'report.html$' out
ok "the next command is for a shell" bash -c "$(grep -o 'wf-sample.*' out)"
ok "and draws" png grid.png
ok "the report draws no annealed chains" test ! -e "$dir/report/temperatures.png"
ok "and has a picture for each figure" test "$(grep -o '<img' "$dir/report.html" | wc -l)" = 8

# -- the folder is the model ------------------------------------------------------------------------------------------
ok "wf-info -m" has '^path +.*/model$' <(wf-info -m "$dir")
ok "wf-info" has '^kind +model$' <(wf-info "$dir")
ok "--like" has '^wf-dwt: .* of 8x8' <(wf-dwt --like "$dir" -o like.store "$photos/c.ppm" 2>&1)
wf-sample -q -m "$dir" -n 2 > samples.wf
ok "wf-bpd" wf-bpd -q -m "$dir" samples.wf
ok "wf-encode and wf-decode" bash -c 'wf-encode -q -m "$1" like.store | wf-decode -q -m "$1" > back.wf' - "$dir"
ok "wf-nuts" bash -c 'wf-nuts -q -m "$1" -n 1 --adapt 2 --draws 2 > nuts.wf' - "$dir"
ok "wf-export" wf-export -q -m "$dir" -o exported
ok "by name" bash -c 'WF_MODELS=$PWD wf-info -m "$1" > log' - "${dir##*/}"
ok "wf-train-level does not begin another in it" wf-train-level -q -l 0 -m "$dir" -s "$dir/train.store" --minutes 0.0001 --seed 1
ok "so there is one" test ! -e "$dir/wf.json"

# -- the same command, and others ------------------------------------------------------------------------------------
wf-train "$photos" -o "$dir" > out 2> said
ok "the same command does nothing again" lacks '^(training|report:|samples)' out
ok "and says where the page is" has 'report.html$' out
status 0 "more minutes, the rest left out" wf-train -q -o "$dir" --minutes 0.06
ok "trains on" test "$(cut -f 2 "$dir/plan.tsv" | head -n 1)" = 0.060
ok "other pictures" refuses 65 'PICTURES was .* now .*/c.ppm; use another -o, with --init' "$photos/c.ppm" -o "$dir"
ok "another size" refuses 65 '--size was 8, now 16' -o "$dir" --size 16
ok "several others" refuses 65 '--val was 5%, now none; .*--seed was 1, now 2' -o "$dir" --val none --seed 2
ok "another program's folder" refuses 64 'expected a new folder' "$photos" -o exported
ok "the folder of the pictures" refuses 64 'expected a new folder' "$photos" -o "$photos"
ok "no pictures" refuses 64 'no pictures' -o new
ok "no folder" refuses 64 '-o DIR' "$photos"
ok "standard input" refuses 64 'standard input' - -o new
ok "pictures that are missing" refuses 66 'nowhere' nowhere -o new
ok "held-out pictures that are missing" refuses 66 'nowhere' "$photos" -o new --val nowhere
touch file
ok "a file in place of the folder" refuses 64 '-o file: a file, expected a folder' "$photos" -o file
for bad in '--size 0' '--size 100000' '--size 8x' '--size 8y8' '--minutes x' '--minutes 0' '--seed -1' '--val 60%' '--wavelet none' '--skip-bad 1.5' '-f @nowhere'; do
    # shellcheck disable=SC2086 # two words
    ok "$bad" refuses "$([ "${bad#-f}" = "$bad" ] && echo 64 || echo 66)" '.' "$photos" -o new $bad
done
ok "nothing was made of these" test ! -e new
mkdir empty
status 65 "a folder without pictures, in one line without a size" wf-train empty -o nothing
mkdir locked && touch locked/lock
ok "a folder with nothing but a lock, as a full disk leaves it" \
    wf-train -q "$photos/c.ppm" -o locked --minutes 0.005 --size 4 -f actnorm

# -- a command that failed, then others; fewer than twenty pictures ---------------------------------------------------
status 65 "no picture is large enough" wf-train -q "$photos/c.ppm" -o few --size 32 --skip-bad 0
wf-dwt -q --fit 16x16 -o other.store "$photos/c.ppm"
status 65 "a store of another size to measure with" wf-train -q "$photos/c.ppm" -o few --size 8 --val other.store
status 64 "a store to train on" wf-train -q other.store -o few
status 64 "an unknown word, in one line for all levels" wf-train -q "$photos/c.ppm" -o few -f 'actnorm, nothing'
wf-train "$photos/c.ppm" -o few --minutes 0.02 --size 8 -f actnorm > out 2> said
ok "the corrected command" test -s few/report.html
ok "it says that none is held out" has 'no picture is held out, .*8' said
ok "and evaluates the pictures that it has" test "$(sed -n 's/^total.*//p' few/bpd-training.tsv | wc -l)" = 1
ok "with the chain" test "$(wf-info few | grep -c ' actnorm$')" = 4
ok "quiet is quiet" test -z "$(wf-train -q -o few 2>&1 | grep -v '^ \|open\|more')"
status 0 "with weights of a model, and pictures to measure with" \
    wf-train -q "$photos" -o mine --init "$dir" --minutes 0.01 --val "$photos/c.ppm"
ok "its size" has '^shape +8x8x3' <(wf-info mine)
ok "its weights" test "$(wf-info --json mine | grep -o '"init":"[0-9a-f]\{16\}"' | wc -l)" = 4
ok "measured with those" test "$(wf-info mine/val.store | sed -n 's/^pictures *//p')" = 8
dir=mine
ok "a size that the model has not" refuses 64 '--size 12x12.*of 8x8' "$photos" -o new --init mine --size 12
ok "a wavelet that it has not" refuses 64 'has haar' "$photos" -o new --init mine -w db2

# -- what is gone -----------------------------------------------------------------------------------------------------
wf-dwt -q --fit 8x8 -o val.store "$photos/c.ppm"
wf-train -q "$photos/c.ppm" -o first --size 8 --minutes 0.005 -f actnorm > out
wf-train -q "$photos/c.ppm" -o second --init first --minutes 0.005 --val val.store > out
dir=second
mv val.store val && mv first third
ok "a store to measure with" refuses 66 '--val .*/val.store: No such file' -o second
mv val val.store
status 0 "a model that every level has begun with" wf-train -q -o second --minutes 0.01
rm second/model/level-02.state.safetensors
ok "and one that a level has not" refuses 66 '--init .*/first/model: .* level 2 has not begun' -o second --minutes 0.02
rm second/model/level-*.state.safetensors
ok "states: weights alone are no reason to begin another model" refuses 65 '--size' "$photos/c.ppm" -o second --size 4 --minutes 0.005

# -- interrupted -----------------------------------------------------------------------------------------------------
# logged: lines of that of the two large levels that has fewer
logged() { for level in 2 3; do cat cut/model/level-0$level.jsonl 2> log | grep -c step; done | sort -n | head -n 1; }
running() { find /proc/[0-9]*/cwd -prune -lname "$WORK/cut" 2> /dev/null; } # processes in the folder
begin() { # begin: trains in the background until both make more steps; its group has its number
    local before
    before=$(logged)
    set -m
    wf-train "$photos" -o cut --size 8 --minutes 5 > out 2> said &
    pid=$!
    set +m
    for ((i = 0; i < 600; i++)); do
        [ "$(logged)" -le $((before + 1)) ] || return 0
        sleep 0.1
    done
    return 1
}
ends() { # ends CODE: with one line that says how to go on
    local rc=0
    wait "$pid" || rc=$?
    [ $rc = "$1" ] && has '^wf-train: interrupted; the same command goes on$' said && [ "$(grep -c interrupted said)" = 1 ]
}
step() { sed -n 's/.*"step": \([0-9]*\).*/\1/p' cut/model/level-03.jsonl | tail -n 1; }
ok "a training begins" begin
status 75 "a second command waits its turn" wf-train -q "$photos" -o cut --size 8 --minutes 5
trainers() { # trainers STATE: every trainer here is in that state, T for stopped, within a second
    local i p some
    for ((i = 0; i < 20; i++)); do
        some=$(for p in $(running); do grep -qs '^wf-train-level' "${p%cwd}comm" && cut -d ' ' -f 3 "${p%cwd}stat"; done)
        [[ -z $some || ${some//[$1$'\n']/} ]] || return 0
        sleep 0.05
    done
    return 1
}
kill -TSTP "$pid"
ok "Ctrl-Z stops the trainers" trainers T
kill -CONT "$pid"
ok "fg continues them" trainers RSD
kill -INT "$pid"
ok "SIGINT to wf-train alone" ends 75
ok "leaves no process" test -z "$(running)"
ok "and two levels" test -s cut/model/level-03.state.safetensors -a -s cut/model/level-02.state.safetensors
before=$(step)
ok "goes on" begin
kill -INT -- "-$pid"
ok "SIGINT to the group" ends 75
ok "leaves no process either" test -z "$(running)"
status 0 "the end" wf-train -q -o cut --minutes 0.01
ok "the first steps counted" test "$(step)" -ge "$before"

mkdir fake
cat > fake/make << END
#!/usr/bin/env bash
trap 'echo "make: *** wait: No child processes.  Stop." >&2; exit 2' INT
: > "$WORK/waits"
while sleep 0.1; do :; done
END
chmod +x fake/make
PATH=$WORK/fake:$PATH wf-train "$photos/c.ppm" -o waiting --size 8 > out 2> said &
pid=$!
for ((i = 0; i < 100; i++)); do [ ! -e waits ] || break; sleep 0.1; done
kill -INT "$pid"
ok "SIGINT while pictures are read" ends 75
ok "make says nothing of it" lacks 'No child' said

# -- what is not installed -------------------------------------------------------------------------------------------
mkdir path
for tool in bash make gnuplot; do ln -s "$(command -v $tool)" path; done
dir=mine
train=$(command -v wf-train)
missing() { PATH=$WORK/path "$train" "$photos" -o new > out 2> said; } # with few programs
for tool in parallel gnuplot make; do
    rm -f path/$tool
    rc=0
    missing || rc=$?
    ok "without $tool: the code" test $rc = 69
    ok "and the package" has "^wf-train: $tool is not installed: apt-get install $tool" said
    ln -s "$(command -v $tool)" path/$tool
done
ok "nothing was made" test ! -e new
printf '#!/bin/sh\nexit 1\n' > path/parallel.sh && chmod +x path/parallel.sh && ln -sf parallel.sh path/parallel
rc=0
PATH=$WORK/path:$PATH "$ROOT/pipelines/train.sh" mine 1 > out 2> said || rc=$?
ok "the parallel of moreutils: the code" test $rc = 69
ok "and the package" has '^train.sh: GNU parallel .* apt-get install parallel' said

# -- the plan --------------------------------------------------------------------------------------------------------
plan() { # plan MINUTES JOBS < LEVELS AND SHARES: minutes and threads
    awk -F '\t' -v minutes="$1" -v jobs="$2" -f "$ROOT/pipelines/plan.awk" | cut -f 1-3 | tr '\t\n' ' ;'
}
ok "time by the usual shares" test "$(seq 6 -1 0 | plan 10 2)" = \
    '6 9.852 1;5 5.911 1;4 2.759 1;3 0.591 1;2 0.296 1;1 0.296 1;0 0.296 1;'
ok "many cores are threads of the large levels" test "$(seq 3 -1 0 | plan 10 16)" = '3 10.000 8;2 9.897 5;1 10.000 2;0 4.948 1;'
ok "a short time is not none" test "$(seq 2 -1 0 | plan 0.001 1)" = '2 0.001 1;1 0.001 1;0 0.001 1;'
ok "no limit stays so" test "$(printf '1\t1\n0\t1\n' | plan 0 1)" = '1 0.000 1;0 0.000 1;'

# -- by make alone ---------------------------------------------------------------------------------------------------
pipeline() { env -u MAKEFLAGS make -s -C "$ROOT" -f pipelines/folder.mk BIN="${BIN:-bin}" B="${B:-build}" "$@"; }
cp "$photos/c.ppm" .
ok "make" pipeline PICTURES="$WORK/c.ppm" OUT="$WORK/made" SIZE=8 store
ok "makes the store" test "$(wf-info made/train.store | sed -n 's/^pictures *//p')" = 8
ok "or says what is missing" bash -c '! "$@" 2> said' - env -u MAKEFLAGS make -s -C "$ROOT" -f pipelines/folder.mk OUT="$WORK/none"
ok "in one line" has 'no pictures: give PICTURES=folder' said
