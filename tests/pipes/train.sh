#!/usr/bin/env bash
# train.sh - training that can be left alone: kill -9, locks, full disks, wrong input; then evaluation and sampling
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1
CHAIN='2*(actnorm, conv1x1, affine:width=16:blocks=1), actnorm'
KILLS=${KILLS:-50}

ok "pictures into a store" sh -c "'$DEADLEAVES' -n 96 -s 8 --seed 1 | wf-dwt -q -o train.wf"
ok "held-out pictures" sh -c "'$DEADLEAVES' -n 32 -s 8 --seed 2 | wf-dwt -q -o val.wf"

mkdir whole killed full

# train LEVEL FOLDER [OPTION ...]: trains a level of FOLDER/m from inside FOLDER: files record the command line, which
# must not depend on FOLDER
OPTIONS=(-q -m m -s ../train.wf --val ../val.wf --threads 1 --batch 8 --warmup 20 --checkpoint-every 5
    --validate-every 100 --seed 3 -f "$CHAIN" --steps 400)
train() { (cd "$2" && wf-train-level -l "$1" "${OPTIONS[@]}" "${@:3}"); }
LEVEL=m/level-02

# -- killed at any moment -------------------------------------------------------------------------------------------
start=$(date +%s%N)
ok "an uninterrupted training" train 2 whole
whole=$((($(date +%s%N) - start) / 1000000))
kills=0 finished=0 differ=0
while [ "$kills" -lt "$KILLS" ] && [ $((kills + finished)) -lt 1000 ]; do
    (cd killed && exec wf-train-level -l 2 "${OPTIONS[@]}") 2> kill.log &
    sleep "$(awk -v r="$RANDOM" -v w="$whole" 'BEGIN { printf "%.4f", (0.02 + 0.25 * r / 32768) * w / 1000 }')"
    if kill -9 $! 2> kill.log; then
        kills=$((kills + 1))
        wait $! 2> kill.log
    else # it got to its end: is begun anew, so that kills fall everywhere
        finished=$((finished + 1))
        cmp -s whole/$LEVEL.safetensors killed/$LEVEL.safetensors || differ=$((differ + 1))
        rm -rf killed/m
    fi
done
ok "resumes after kill -9 at $kills random moments" train 2 killed
ok "the model equals the one without it" same whole/$LEVEL.safetensors killed/$LEVEL.safetensors
ok "the $finished runs that finished gave the same" test $differ = 0
ok "a finished level has nothing to do" train 2 killed
seconds='s/"seconds": [0-9.]*//'
ok "the log has every line once" \
    sh -c "sed '$seconds' whole/$LEVEL.jsonl > a; sed '$seconds' killed/$LEVEL.jsonl > b; cmp a b"

# -- several levels in one process ------------------------------------------------------------------------------------
# weights FILE: the file without its header, which holds the command line
weights() { tail -c 4000 "$1"; }
mkdir alone together
for level in 0 1 3; do ok "level $level alone" train $level alone; done
ok "level 2 is saved at 100 steps" train 2 together --steps 100
ok "levels 0 to 3 side by side, one of them resumed" train 0-3 together --threads 4
for level in 0 1 3; do
    ok "level $level equals the level trained alone" \
        same <(weights alone/m/level-0$level.safetensors) <(weights together/m/level-0$level.safetensors)
done
ok "level 2 is the same" same <(weights whole/$LEVEL.safetensors) <(weights together/$LEVEL.safetensors)
ok "all finished levels have nothing to do" train 0-3 together --threads 4
ok "a stream for several levels" \
    bash -c "'$DEADLEAVES' -n 8 -s 8 | wf-dwt -q | wf-train-level -q -l 1-3 -m several --steps 3 -f '$CHAIN'"
ok "all models exist" ls several/level-0{1,2,3}.safetensors
ok "its spool is gone" bash -c '! ls several | grep spool | grep -v lock'
mkdir locked
status 75 "one of several that another process trains" \
    flock locked/level-02.lock wf-train-level -q -l 1-3 -m locked -s train.wf -f "$CHAIN" --steps 5
ok "the other levels are trained" bash -c 'ls locked/level-0{1,3}.safetensors && ! ls locked/level-02.safetensors'
status 64 "levels the wrong way round" wf-train-level -q -l 3-1 -m m -s train.wf
# Eight pixels of nine channels vary in seven directions at most.
ok "no principal components of eight pixels" wf-train-level -q -l 1 -m few -s train.wf --batch 8 --steps 50 --seed 1 -f "${CHAIN/conv1x1/conv1x1:pca}"
ok "bits per dimension of other pictures are few" \
    bash -c "wf-view -q -l 1 val.wf | wf-bpd -q -m few | awk -F '\t' '\$1 == 1 && \$3 < 1 { ok = 1 } END { exit !ok }'"
status 64 "no levels at all" wf-train-level -q -l 1-x -m m -s train.wf

# -- one trainer per level, signals, other settings --------------------------------------------------------------------
wf-train-level -q -l 3 -m busy -s train.wf --threads 1 --minutes 1 -f "$CHAIN" 2> busy.log &
pid=$!
for _ in $(seq 100); do [ -e busy/level-03.jsonl ] && break || sleep 0.1; done
status 75 "a second trainer of the same level" wf-train-level -q -l 3 -m busy -s train.wf --threads 1 -f "$CHAIN"
kill -TERM $pid
wait $pid
[ $? = 75 ] && pass "SIGTERM saves and exits 75" || fail "SIGTERM: $(cat busy.log)"
ok "the saved file is a training state" wf-info busy/level-03.state.safetensors
status 65 "a resumed training with another seed" train 2 killed --seed 4
status 65 "a resumed training with another chain" wf-train-level -q -l 2 -m killed/m -s train.wf -f actnorm

# -- learnt noise ------------------------------------------------------------------------------------------
NOISE='affine:mask=checker:width=4:blocks=1, affine:mask=checker:swap=1:width=4:blocks=1'
ok "whole pictures into a store" sh -c "'$DEADLEAVES' -n 96 -s 8 --seed 1 | wf-dwt -q --levels 0 -o flat.wf"
learnt() {
    wf-train-level -q -l 0 -m learnt -s flat.wf --val flat.wf --threads 1 --batch 8 -f "squeeze, $CHAIN" --steps 20 "$@"
}
ok "noise for whole pictures" learnt --dequantize "$NOISE"
ok "is in the checkpoint" bash -c 'wf-info --json learnt/level-00.safetensors | grep -q "\"w/dequantize.000.affine"'
ok "wf-info shows the noise's chain" bash -c "wf-info learnt/level-00.safetensors | grep -qF 'dequantize   $NOISE'"
status 65 "a resumed training without it" learnt
status 65 "or with other noise" learnt --dequantize actnorm
echo "$NOISE" > noise.chain
ok "training finishes with the same noise from a file" learnt --dequantize @noise.chain
ok "held-out bits are those in the training log" bash -c '
    cmp <(wf-bpd -q -m learnt -s flat.wf | awk "\$1 == \"total\" { print \$2 }") \
        <(sed -n "s/.*\"val\": \([0-9.]*\),.*/\1/p" learnt/level-00.jsonl | tail -n 1)'
ok "more draws of it lower the bound" bash -c \
    'wf-bpd -q -m learnt -s flat.wf --iw 16 | awk "\$1 == \"total\" { t = \$2 } \$1 == \"iw\" { exit !(\$3 < t) }"'
ok "one draw gives the total" \
    bash -c 'cmp <(wf-bpd -q -m learnt -s flat.wf --iw 1 | grep ^total) <(wf-bpd -q -m learnt -s flat.wf | grep ^total)'
ok "latents hold no noise: every pixel comes back" bash -c '
    "$0" -q -n 5 -s 8 --seed 2 | wf-dwt -q --levels 0 > few.wf
    wf-encode -m learnt < few.wf | wf-decode -m learnt | wf-idwt -q | cmp <(wf-idwt -q < few.wf) -' "$DEADLEAVES"
ok "samples need none" sh -c 'wf-sample -q -m learnt -n 2 | wf-idwt -q > x'
status 64 "noise at a level of a pyramid" \
    wf-train-level -q -l 2 -m refused -s train.wf -f "$CHAIN" --dequantize "$NOISE"
status 64 "noise that changes shape" \
    wf-train-level -q -l 0 -m refused0 -s flat.wf -f "squeeze, $CHAIN" --dequantize "squeeze, $NOISE"
status 64 "noise around a patch" \
    wf-train-level -q -l 0 -m refused0 -s flat.wf -f "$CHAIN" --patch 4 --margin 1 --dequantize "$NOISE"

# -- bad usage ------------------------------------------------------------------------------------------------------
status 64 "no model" wf-train-level -l 1 -s train.wf
status 64 "a chain with an unknown word" wf-train-level -q -l 1 -m m -s train.wf -f "actnorm, actnrm"
ok "the message points at the character" \
    sh -c 'wf-train-level -q -l 1 -m m -s train.wf -f "actnorm, actnrm" 2>&1 | grep -q "character 10,"'
status 64 "a patch larger than the level" wf-train-level -q -l 1 -m m -s train.wf --patch 9
status 66 "no such store" wf-train-level -q -l 1 -m m -s nothing.wf
status 64 "a backend that is not built" wf-train-level -q -l 1 -m m -s train.wf --backend cuda:99
ok "other pictures" sh -c "'$DEADLEAVES' -n 8 -s 16 | wf-dwt -q -o other.wf"
status 65 "a model of other pictures" wf-train-level -q -l 1 -m whole/m -s other.wf
status 65 "validation pictures of another size" wf-train-level -q -l 1 -m m2 -s train.wf --val other.wf -f actnorm

# -- full disk: the old checkpoint stays ------------------------------------------------------------------------------
ok "a training to go on with" train 1 full --steps 20
cp full/m/level-01.state.safetensors before
(
    ulimit -f 4 # KiB: smaller than a checkpoint
    train 1 full --steps 60 2> full.log
)
[ $? = 75 ] && pass "a full disk exits 75" || fail "a full disk: $(cat full.log)"
ok "the checkpoint before it is intact" same before full/m/level-01.state.safetensors
ok "training continues from there" train 1 full --steps 60

# -- spooled stream, evaluation, sampling -----------------------------------------------------------------------------
ok "training from a stream" \
    sh -c "'$DEADLEAVES' -n 16 -s 8 | wf-dwt -q | wf-train-level -q -l 0 -m W2 --steps 5 --threads 1 -f '$CHAIN'"
for l in 0 1 3; do ok "level $l" train $l whole --steps 20; done
ok "bits per dimension from a store" sh -c 'wf-bpd -q -m whole/m -s val.wf --json > store.json'
ok "bits per dimension from a stream" \
    sh -c "'$DEADLEAVES' -n 32 -s 8 --seed 2 | wf-dwt -q --batch 7 | wf-bpd -q -m whole/m --json > stream.json"
ok "both outputs are the same" same store.json stream.json
# weighted K: total and importance-weighted bits/dim from K draws
weighted() { wf-bpd -q -m whole/m -s val.wf --iw "$1" | awk '$1 == "total" { t = $2 } $1 == "iw" { print t, $3 }'; }
ok "importance weights with one draw change nothing" bash -c '
    wf-bpd -q -m whole/m -s val.wf --iw 1 > iw1 &&
        cmp <(grep -v "^iw" iw1) <(wf-bpd -q -m whole/m -s val.wf) &&
        cmp <(grep ^total iw1 | cut -f 2-) <(grep "^iw 1" iw1 | cut -f 2-)'
for k in 2 8 32; do weighted $k; done > bounds.tsv
ok "more draws lower the bound" \
    awk '$2 >= $1 || (NR > 1 && $2 >= last) { exit 1 } { last = $2 } END { exit NR != 3 }' bounds.tsv
ok "a stream gets the same draws" bash -c "cmp <('$DEADLEAVES' -n 32 -s 8 --seed 2 | wf-dwt -q --batch 7 |
    wf-bpd -q -m whole/m --iw 8) <(wf-bpd -q -m whole/m -s val.wf --iw 8)"
ok "each picture has its bound" sh -c "wf-bpd -q -m whole/m -s val.wf --iw 8 --per-image |
    awk 'NR > 1 { total += \$2; iw += \$3; bad += \$3 > \$2 + 1e-6 } END { exit !(NR == 33 && iw < total && !bad) }'"
ok "and JSON has both" \
    sh -c 'wf-bpd -q -m whole/m -s val.wf --iw 8 --json | grep -q "\"iw\": {\"samples\": 8, \"bpd\": "'
status 64 "no draws at all" wf-bpd -q -m whole/m -s val.wf --iw 0
ok "per picture" sh -c 'wf-bpd -q -m whole/m -s val.wf --per-image > rows && test $(wc -l < rows) = 33'
total=$(sed -n 's/.*], "bpd": \([0-9.]*\).*/\1/p' store.json)
ok "the mean of the rows is the total" \
    awk -v total="$total" 'NR > 1 { s += $2 } END { d = s / (NR - 1) - total; exit !(total > 0 && d * d < 1e-10) }' rows
"$DEADLEAVES" -n 8 -s 8 | wf-dwt -q > eight.wf
head -c $(($(stat -c %s eight.wf) - 40)) eight.wf > cut.wf
status 65 "a truncated stream into wf-bpd" sh -c 'wf-bpd -q -m whole/m < cut.wf'
"$DEADLEAVES" -n 8 -s 4 | wf-dwt -q > small.wf
head -c $(($(stat -c %s small.wf) - 40)) small.wf > small-cut.wf
status 65 "a truncated stream into wf-sample" sh -c 'wf-sample -q -m whole/m < small-cut.wf > x'
status 65 "a truncated stream into wf-train-level" sh -c 'wf-train-level -q -l 1 -m m3 < cut.wf'
status 65 "pictures that the model is not for" sh -c 'wf-bpd -q -m whole/m -s other.wf'
status 66 "a level that is not trained" sh -c 'wf-bpd -q -m W2 -s val.wf'

ok "samples" sh -c 'wf-sample -q -m whole/m -n 70 --seed 5 > seventy.wf'
ok "all of them are pictures" sh -c 'wf-idwt -q -o pictures seventy.wf && test $(ls pictures | wc -l) = 70'
ok "the first three" sh -c 'wf-sample -q -m whole/m -n 3 --seed 5 --threads 2 | wf-idwt -q -o three'
ok "sample 2 does not depend on the number of samples" same three/00000002.png pictures/00000002.png
ok "in two steps" \
    sh -c 'wf-sample -q -m whole/m -n 3 -l 1 --seed 5 | wf-sample -q -m whole/m --seed 5 | wf-idwt -q -o steps'
ok "gives the same picture" same three/00000001.png steps/00000001.png
ok "super-resolution of small pictures" sh -c "'$DEADLEAVES' -n 2 -s 4 | wf-dwt -q | wf-sample -q -m whole/m |
    wf-idwt -q -o super && test \$(ls super | wc -l) = 2"
cmp -s three/00000000.png three/00000001.png && fail "samples 0 and 1 are alike" || pass "samples differ"
status 64 "-l at or below the input" sh -c 'wf-sample -q -m whole/m -n 1 -l 2 | wf-sample -q -m whole/m -l 2 > x'

# -- streams, and files of another model -----------------------------------------------------------------------------
stream() { "$DEADLEAVES" -n 16 -s 8 --seed "$1" | wf-dwt -q; }
stream 1 > one.wf
stream 2 > two.wf
head -c 5000 one.wf > half.wf
from() {
    wf-train-level -q -l 1 -m streamed --threads 1 --minutes 5 --checkpoint-every 5 -f "$CHAIN" "${@:2}" - < "$1"
}
status 65 "a stream that ends early" from half.wf
timeout -s TERM 2 wf-train-level -q -l 1 -m streamed --threads 1 --minutes 5 --checkpoint-every 5 -f "$CHAIN" \
    < one.wf 2> out.log
[ $? = 124 ] && pass "the whole stream then trains" || fail "a stream after a cut one: $(cat out.log)"
status 65 "another stream for the same level" from two.wf --steps 10
ok "the same stream again" from one.wf --steps 10
ok "the spooled stream is gone when the level is finished" sh -c '! ls streamed | grep spool | grep -v lock'
ok "a training to be finished without its stream" sh -c "
    timeout -s TERM 2 wf-train-level -q -l 2 -m streamed --threads 1 --minutes 5 -f '$CHAIN' < one.wf 2> out.log
    test \$? = 124"
ok "training continues from the spooled stream" wf-train-level -q -l 2 -m streamed --threads 1 --steps 10 -f "$CHAIN"
mkdir -p mixed
cp whole/m/wf.json whole/m/level-0[0-3].safetensors mixed
ok "level files of one model" sh -c 'wf-sample -q -m mixed -n 1 > x'
sed 's/"shape": \[8, 8, 3\]/"shape": [16, 16, 3]/; s/"levels": 3/"levels": 4/; s/, "checksum": "[0-9a-f]*"//' whole/m/wf.json > mixed/wf.json
status 65 "level files of another model" sh -c 'wf-sample -q -m mixed -n 1 -l 1 > x'

# -- the average of constants, a lone actnorm, an interrupt before validation ----------------------------------------
ok "LU permutations survive any average" wf-train-level -q -l 2 -m lu -s train.wf --threads 1 --steps 50 --ema 0.96 \
    -f '2*(actnorm, conv1x1:lu, affine:width=16:blocks=1), actnorm'
for l in 0 1 3; do cp whole/m/level-0$l.safetensors lu; done
ok "and the level can be evaluated" sh -c 'wf-bpd -q -m lu -s val.wf > x'
ok "independent normals" wf-train-level -q -l 3 -m normal -s train.wf --threads 1 --steps 5 -f actnorm
ok "a chain is given by its name" wf-train-level -q -l 1 -m named -s train.wf --threads 1 --steps 2 --batch 8 -f best
ok "the checkpoint holds the chain in full" sh -c "wf-info named | grep -q 'cond:channels=16:width=128'"
mkdir odd even
ok "a run whose end is not a multiple of an interval" train 1 odd --steps 37 --checkpoint-every 37
ok "leaves a level file" test -e odd/m/level-01.safetensors

# -- finished trainings, and options that continue them --------------------------------------------------------------
# A tiny learning rate changes no weight, so no validation is better than the first.
patient() { wf-train-level -q -l 2 -m patient -s train.wf --val val.wf --threads 1 -f "$CHAIN" --batch 8 --lr 1e-12 \
    --validate-every 5 "$@"; }
validations() { grep -c '"val"' patient/level-02.jsonl; }
judged() { grep '"val"' patient/level-02.jsonl | tail -n 1 | awk -F'[:,]' '{ exit !($6 == $10) }'; } # val and best
ok "patience ends a training" patient --steps 100 --patience 2
ok "at the third validation" test "$(validations)" = 3
ok "the same patience leaves nothing to do" patient --steps 100 --patience 2
ok "and nothing was done" test "$(validations)" = 3
truncate -s -1 patient/level-02.jsonl
ok "with more steps training continues, after a truncated log line" patient --steps 100 --patience 4
ok "five validations have run" test "$(validations)" = 5
ok "a line an object" sh -c "! grep '}{' patient/level-02.jsonl"
ok "validation on fewer pictures" patient --steps 30 --patience 9 --validate-on 1
ok "earlier validations on other pictures do not count" judged
ok "validation on all pictures again" patient --steps 35 --patience 9
ok "earlier validations do not count again" judged
rm patient/level-02.safetensors
status 70 "a finished level without its file" patient --steps 35 --patience 9
status 70 "and one that goes on and finds nothing better" patient --steps 40 --patience 9
status 64 "--margin of whole pictures" wf-train-level -q -l 2 -m refused1 -s train.wf -f "$CHAIN" --margin 1
