#!/usr/bin/env bash
# progress.sh - the line that programs draw on a terminal: what it says, its width, what it leaves; and what Ctrl-C does
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1
LEAVES=$ROOT/data/leaves

terminal() { python3 "$ROOT/tests/pipes/progress.py" "$@"; }

# exits CODE NAME ARGUMENT...: the command on a terminal exits with CODE.
exits() {
    local want=$1 name=$2 rc=0
    shift 2
    terminal "$@" > .log 2>&1 || rc=$?
    if [ $rc = "$want" ]; then pass "$name"; else fail "$name: exits $rc, want $want: $(cat .log screen)"; fi
}

# Text comes in two parts, the second after the first second of work: then the line is drawn.
slowly() { # slowly FILE BYTES
    head -c "$2" "$1"
    sleep 1.3
    tail -c +$(($2 + 1)) "$1"
}
export -f slowly

drawn() { grep -Eq "$1" frames || { cat frames screen; false; }; }     # drawn REGEX: the line once said this
undrawn() { ! grep -q . frames || { cat frames; false; }; }            # undrawn: no line was ever replaced
stays() { diff <(printf '%s\n' "$@") screen; }                         # stays LINE...: these lines stay, and no others
left() { grep -Exq "$1" screen || { cat screen; false; }; }            # left REGEX: one of the lines that stay is this
left_only() { ! grep -Evx "$1|$START_LINE.*" screen && left "$1"; }    # left_only REGEX: beside the one at the start

# -- what the line says ----------------------------------------------------------------------------------------------
exits 130 "Ctrl-C ends wf-sample" --press '100000 pictures, ETA' -- wf-sample -m "$LEAVES" -n 100000 -o big.wf
ok "done, total, ETA, per cent, rate and level are drawn" \
    drawn '^wf-sample: [0-9]+ / 100000 pictures, ETA [0-9dhms]+, [0-9]+%, [0-9.]+/(s|min|h), level [0-9]'
ok "the answer is one line" \
    left_only 'wf-sample: interrupted after [0-9]+ of 100000 pictures; big.wf is not written'
ok "nothing of the output is left" bash -c '! ls | grep -F big.wf'
exits 130 "the same in a narrow window" --columns 40 --press '[0-9] / 100000 pictures' -- \
    wf-sample -m "$LEAVES" -n 100000 -o big.wf
ok "whole parts are left out" bash -c 'grep -q " pictures" frames && ! grep -Ev "pictures(, ETA [0-9dhms]+)?(, [0-9]+%)?(\^C)?$" frames'
exits 130 "a window of ten columns" --columns 10 --press '\[Kwf-sampl' -- wf-sample -m "$LEAVES" -n 100000 -o big.wf

# small.ppm: 16 pictures of 32x32, of which the first 8 have half of the bytes
"$DEADLEAVES" -q -n 16 -s 32 > small.ppm
wf-dwt -q --batch 1 small.ppm > small.wf
half=$(($(wc -c < small.wf) / 2))
export half
exits 0 "a stream that is slow" -- bash -c 'slowly small.wf $half | wf-idwt -o out'
ok "without a total, done and rate are drawn" drawn '^wf-idwt: [0-9]+ pictures, [0-9.]+/(s|min)$'
ok "the message at the end has a line of its own" stays 'wf-idwt: 16 pictures of 32x32'
exits 0 "results on the terminal" -- bash -c 'slowly small.wf $half | wf-bpd -q -m "$0"' "$LEAVES"
ok "--quiet draws nothing" undrawn
cp screen table
exits 0 "the same with the line" -- bash -c 'slowly small.wf $half | wf-bpd -m "$0"' "$LEAVES"
ok "wf-bpd draws a line" drawn '^wf-bpd: [0-9]+ pictures, .*level [0-9]'
ok "the table begins a line" cmp table <(grep -Ev "$START_LINE" screen)
for i in 1 2; do cat small.ppm; done | wf-dwt -q -o ref.store
exits 0 "scores on the terminal" -- bash -c 'slowly small.wf $half | wf-score -m "$0" --ref ref.store | cut -f 1-3' "$LEAVES"
ok "wf-score draws a line" drawn '^wf-score: [0-9]+ pictures, .*level [0-9]'
ok "each picture has a line" bash -c '[ "$(grep -Ec "	(in|out)	[01].[0-9]+\$" screen)" = 16 ]'
exits 0 "distances on the terminal" -- bash -c 'wf-view -q small.wf -o small.store && slowly small.wf $half |
    wf-nearest -s small.store --distances -'
ok "each row has a line" bash -c '[ "$(grep -Ec "^[0-9]+	0	[0-9]+	0(	|\$)" screen)" = 16 ] && [ "$(wc -l < screen)" = 18 ]'
for command in 'wf-info -' 'wf-view - -o view.wf' "wf-encode -m '$LEAVES' -o latents.wf" "wf-sample -m '$LEAVES' -l 5 -o larger.wf" \
    'wf-nearest -s small.store -o near.wf'; do
    [[ $command = wf-sample* ]] && { wf-dwt -q -l 4 --levels 5 --batch 1 small.ppm > in.wf; true; } || cp small.wf in.wf
    size=$(($(wc -c < in.wf) / 2))
    export size
    exits 0 "$command" -- bash -c "slowly in.wf \$size | $command"
    ok "${command%% *} draws" drawn "^${command%% *}: [0-9]+ (pictures|values), "
done
size=$(($(wc -c < latents.wf) / 2))
exits 0 "wf-decode" -- bash -c "slowly latents.wf $size | wf-decode -m '$LEAVES' -o back.wf"
ok "wf-decode draws" drawn '^wf-decode: [0-9]+ pictures'
"$DEADLEAVES" -q -n 80 -s 32 > more.ppm
exits 0 "wf-dwt of a pipe" -- bash -c 'slowly more.ppm 140000 | wf-dwt --batch 1 -o slow.store'
ok "wf-dwt draws" drawn '^wf-dwt: [0-9]+ pictures, [0-9.]+/(s|min)$'

# -- where it is not drawn -------------------------------------------------------------------------------------------
exits 0 "a dumb terminal" --term dumb -- bash -c 'slowly small.wf $half | wf-idwt -o out3'
ok "draws nothing" undrawn
exits 0 "a program in the background" -- bash -c 'set -m; slowly small.wf $half | wf-idwt -o out4 & wait'
ok "draws nothing" undrawn
slowly small.wf "$half" | wf-idwt -o out5 2> said
ok "without a terminal there is the message alone" cmp said <(echo 'wf-idwt: 16 pictures of 32x32')
exits 0 "a file for messages" -- bash -c 'slowly small.wf $half | wf-idwt -o out6 2> said'
ok "has the message alone" cmp said <(echo 'wf-idwt: 16 pictures of 32x32')

# -- messages in between ---------------------------------------------------------------------------------------------
mkdir list && for i in 1 2 3 4 5 6; do cp small.ppm list/$i.ppm; done
echo rubbish > list/4.ppm
# The list comes in blocks of 64 KB: work begins with the first, and is over a second old when the rest comes.
exits 0 "bad pictures" -- bash -c '(printf "list/3.ppm\n%.0s" $(seq 6000); sleep 1.3; printf "list/3.ppm\n%.0s" $(seq 200)
    printf "%s\n" list/4.ppm list/5.ppm) | wf-dwt --skip-bad 1 --batch 1 --threads 1 -l 0 --files-from - -o bad.store'
ok "the line was there" drawn '^wf-dwt: [0-9]+ pictures'
ok "each message has a line of its own" left_only 'wf-dwt: (skipped: list/4.ppm: .*|skipped 1 bad picture|99216 pictures of .*)'

# -- several programs ------------------------------------------------------------------------------------------------
exits 130 "two programs" --press '[0-9] / 100000 pictures' -- \
    bash -c 'wf-sample -m "$0" -n 100000 | wf-idwt --grid two.png' "$LEAVES"
ok "have one line" bash -c 'grep -q "^wf-sample: .* level" frames && ! grep -E "wf-.*wf-" frames'
ok "both answer, each on a line" bash -c 'grep -Exq "wf-sample: interrupted after [0-9]+ of 100000 pictures; the stream is incomplete" screen &&
    grep -Exq "wf-idwt: interrupted( after [0-9]+ pictures; two.png is not written)?" screen && [ "$(wc -l < screen)" = 3 ]'
for i in 1 2 3 4 5 6 7 8; do cat small.ppm; done | wf-dwt -q -o many.store
for i in 1 2 3 4 5 6 7 8; do cat small.ppm; done | wf-dwt -q --batch 1 | wf-view -q -l 0-3 > low.wf
exits 130 "a first program that waits leaves the line to the second" --press 'wf-bpd: [0-9]+' -- \
    bash -c 'slowly low.wf 20000 | wf-view - | (sleep 2; exec wf-bpd -m "$0" --iw 100000)' "$LEAVES"
ok "the first had drawn it" drawn '^wf-view: [0-9]+ pictures'
exits 0 "one after the other" -- bash -c 'slowly small.wf $half | wf-view - | (wf-idwt -o out7; sleep 0.1)'
ok "leave their messages" left_only 'wf-(view|idwt): 16 pictures.*'

# -- Ctrl-C and SIGTERM ----------------------------------------------------------------------------------------------
begun() { until grep -q "$1" "$2"; do sleep 0.05; done; } # begun TEXT FILE: waits until the file has the text
ends() { # ends CODE: the process $pid does
    wait $pid
    local code=$?
    [ $code = "$1" ] || { echo "exits $code, want $1"; cat said; false; }
}

wf-sample -m "$LEAVES" -n 100000 -o term.wf 2> said &
pid=$!
begun model said && sleep 0.5 && kill -TERM $pid
ok "SIGTERM ends wf-sample" ends 143
ok "with one line" bash -c '[ "$(wc -l < said)" = 2 ] &&
    tail -n 1 said | grep -Exq "wf-sample: interrupted after [0-9]+ of 100000 pictures; term.wf is not written"'
ok "and without what it wrote" bash -c '! ls | grep -F term.wf'
wf-sample -q -m "$LEAVES" -n 100000 2> said > piped.wf &
pid=$!
sleep 0.7 && kill -TERM $pid
ok "SIGTERM with --quiet" ends 143
ok "has no line" bash -c '! [ -s said ]'
(trap '' INT && exec wf-sample -m "$LEAVES" -n 100000 > ignored.wf 2> said) &
pid=$!
begun model said && kill -INT $pid && sleep 0.3 && kill -TERM $pid
ok "a signal that the parent ignores stays ignored" ends 143
ok "and is not answered" bash -c '[ "$(grep -c interrupted said)" = 1 ]'

wf-bpd -m "$LEAVES" -s small.store --iw 1000000 2> said > bpd.tsv &
pid=$!
begun model said && sleep 0.5 && kill -INT $pid 2> /dev/null
kill -TERM $pid
ok "wf-bpd" ends 143
ok "says that nothing is printed" bash -c 'grep -Exq "wf-bpd: interrupted after [0-9]+ of 16 pictures; nothing is printed" said && ! [ -s bpd.tsv ]'

nuts=(wf-nuts -m "$LEAVES" -n 4 --draws 100000 -o drawn.wf)
exits 130 "Ctrl-C ends chains without --state" --press ' draws, ' -- "${nuts[@]}"
ok "the line says so" \
    left_only 'wf-nuts: interrupted after [0-9]+ of [0-9]+ draws; drawn.wf is not written; --state DIR keeps the chains'
exits 75 "chains with --state are saved" --press ' draws, ' -- "${nuts[@]}" --state run
ok "the answer comes first" left 'wf-nuts: interrupted: saving the chains in run; once more ends at once'
ok "then what was saved" left 'wf-nuts: interrupted; saved in run/.*'
ok "draws, ETA and level are drawn" drawn '^wf-nuts: [0-9]+ / 2400240 draws, .*level 0'

exits 130 "Ctrl-C ends simulated posteriors" --press ' draws, ' -- wf-coverage -m "$LEAVES" --noise 12 -n 50
ok "in one line" left_only 'wf-coverage: interrupted after [0-9]+ of 20000 draws; nothing is printed; --state DIR keeps the chains'
ok "draws and level are drawn there, too" drawn '^wf-coverage: [0-9]+ / 20000 draws, .*level 5'

exits 75 "training saves" --press ' steps, ' -- wf-train-level -m trained -l 1 -s many.store -f actnorm --minutes 0.5
ok "the line has steps, ETA and bits" drawn '^wf-train-level: [0-9]+ steps, ETA .* bits/dim, level 1'
ok "the answer names the step" left 'wf-train-level: interrupted: finishing step [0-9]+, then saving; once more ends at once'
ok "the step is the one that is saved, or the next" bash -c '
    now=$(sed -n "s/.*finishing step \([0-9]*\),.*/\1/p" screen) saved=$(sed -n "s/.*interrupted at step \([0-9]*\);.*/\1/p" screen)
    [ "$saved" -ge "$now" ] && [ "$saved" -le $((now + 1)) ]'
exits 75 "several levels" --columns 60 --press 'level 1: [0-9]' -- \
    wf-train-level -m trained2 -l 0-1 -s many.store -f actnorm --minutes 0.5
ok "have one line" drawn '^wf-train-level: ETA [0-9msh]+, [0-9]+%, level 1: [0-9.]+, level 0: [0-9.]+'
ok "and one answer" left 'wf-train-level: interrupted: finishing a step of each level, then saving; once more ends at once'
exits 130 "a second Ctrl-C ends at once" --press 'level 5 on' --press 'finishing step' -- \
    wf-train-level -m slow -l 5 -s many.store -f official --batch 128 --minutes 0.5

exits 130 "Ctrl-C ends wf-dwt -o" --press 'wf-dwt: [0-9]+ pictures' -- \
    bash -c '(slowly more.ppm 140000; sleep 20) | wf-dwt -o part.store --batch 1 --threads 1'
ok "the line says what to do" \
    left_only 'wf-dwt: interrupted after [0-9]+ pictures; part.store is incomplete: the same command goes on with it'
ok "the same command goes on" bash -c 'wf-dwt -o part.store --batch 1 --threads 1 < more.ppm 2> said &&
    wf-dwt -q -o whole.store < more.ppm && grep -q "80 pictures of 32x32" said'
ok "and the store is whole" cmp <(wf-idwt -q part.store) <(wf-idwt -q whole.store)
exits 130 "a copy of a stream for wf-view" --press 'wf-view: [0-9]+ pictures' -- bash -c 'mkdir tmp; export TMPDIR=$PWD/tmp
    (slowly small.wf $half; sleep 20) | wf-view - --shuffle -o shuffled.wf'
ok "leaves nothing" bash -c '! ls tmp | grep . && ! ls | grep shuffled'

if command -v parallel > log && command -v gnuplot > log; then
    exits 75 "wf-train in a window of unknown width" --columns 0 --press 'ETA' -- \
        wf-train small.ppm -o whole --size 8 -f actnorm --minutes 5
    ok "has one line" drawn '^[0-9]+%   ETA [0-9hms]+   level 3: [0-9.]+'
    exits 0 "wf-train on a terminal that cannot clear a line" --term dumb -- wf-train -o whole --minutes 0.1
    ok "redraws nothing" undrawn
    exits 0 "wf-train in the background" -- bash -c 'set -m; wf-train -o whole --minutes 0.2 & wait'
    ok "draws nothing" undrawn
else
    skip "wf-train: parallel or gnuplot is not installed"
fi
