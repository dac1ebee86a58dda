#!/usr/bin/env bash
# heldout.sh - pictures that are held out, weights to begin with, chains by budget, and figures that are not known
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1
CHAIN='actnorm, conv1x1, affine:width=4:blocks=1, actnorm'

"$DEADLEAVES" -q -n 60 -s 8 --seed 1 > sixty.ppm
ok "sixty pictures" wf-dwt -q -o sixty.wf sixty.ppm
train() { wf-train-level -s sixty.wf -f "$CHAIN" --batch 8 --threads 1 "$@"; }

# -- held out ---------------------------------------------------------------------------------------------------------
ok "all levels without --level" bash -c "wf-train-level -s sixty.wf -m m -f '$CHAIN' --batch 8 --steps 40 2> said"
ok "all four are there" ls m/level-0{0,1,2,3}.safetensors
ok "one line says how many are held out" test "$(grep -c '^wf-train-level: 3 of 60 pictures are held out (--val 5%)$' said)" = 1
ok "held-out pictures are evaluated" sh -c 'wf-bpd -q -m m -s sixty.wf --split val --json > val.json'
ok "and the others" sh -c 'wf-bpd -q -m m -s sixty.wf --split train --json > train.json'
ok "three and fifty-seven" test "$(jq .pictures val.json) $(jq .pictures train.json)" = "3 57"
ok "the figures are those of validation" bash -c '
    cmp <(jq ".levels[].bpd" val.json) <(wf-info --json m | jq ".trained[].metadata.bpd | tonumber")'
ok "each picture is in one part" bash -c '
    for part in val train; do wf-bpd -q -m m -s sixty.wf --split $part --per-image | tail -n +2 | cut -f 1; done |
        sort -n | cmp - <(seq 0 59)'
# Training and validation never share a picture: other values of held-out pictures change validation alone.
held=$(wf-bpd -q -m m -s sixty.wf --split val --per-image | tail -n +2 | cut -f 1 | xargs)
ok "three indices: $held" test "$(wc -w <<< "$held")" = 3
head -c 192 /dev/zero > black
cp sixty.ppm other.ppm
each=$(($(stat -c %s sixty.ppm) / 60))
for i in $held; do dd if=black of=other.ppm bs=1 seek=$(((i + 1) * each - 192)) conv=notrunc status=none; done
ok "a store with other held-out pictures" wf-dwt -q -o other.wf other.ppm
ok "is trained on" wf-train-level -q -s other.wf -m other -f "$CHAIN" --batch 8 --steps 40 -l 2 --patience 0
ok "and so is the first" wf-train-level -q -s sixty.wf -m again -f "$CHAIN" --batch 8 --steps 40 -l 2 --patience 0
ok "bits/dim of training are the same" bash -c '
    cmp <(grep -v val other/level-02.jsonl) <(grep -v val again/level-02.jsonl) && ls other/*.state.safetensors'
ok "the weights too" bash -c 'cmp <(tail -c 6000 other/level-02.state.safetensors) <(tail -c 6000 again/level-02.state.safetensors)'
ok "validation is not" bash -c '! cmp -s <(grep val other/level-02.jsonl) <(grep val again/level-02.jsonl)'
status 65 "--split of another store" wf-bpd -q -m m -s other.wf --split val
status 64 "--split of a stream" sh -c 'wf-dwt -q sixty.ppm | wf-bpd -q -m m --split val'
ok "more than one in twenty" bash -c "wf-train-level -s sixty.wf -m m10 -f actnorm -l 0 --steps 2 --val 10% 2> said && grep -q '6 of 60' said"
ok "none" bash -c "wf-train-level -s sixty.wf -m none -f actnorm -l 0 --steps 2 --val none 2> said && ! grep 'held' said"
status 64 "--split of a model that held out none" wf-bpd -q -m none -s sixty.wf --split val
status 64 "--val 0%" train -q -l 0 -m x --val 0%
status 64 "--val 51%" train -q -l 0 -m x --val 51%
status 66 "--val with a store that is not there" train -q -l 0 -m x --val 5
head -c $((19 * each)) sixty.ppm > nineteen.ppm
ok "too few pictures" bash -c "wf-dwt -q nineteen.ppm | wf-train-level -m few -f actnorm -l 0 --steps 2 2> said"
ok "are told" grep -qx 'wf-train-level: no picture is held out: 5% of 19 are less than one; --val STORE takes others' said
ok "the model does not claim it" bash -c "wf-dwt -q -o nineteen.wf nineteen.ppm && wf-train-level -q -s nineteen.wf -m few2 -f actnorm --steps 2"
status 64 "none of them is evaluated as held out" wf-bpd -q -m few2 -s nineteen.wf --split val
ok "which is told" sh -c 'wf-bpd -q -m few2 -s nineteen.wf --split val 2>&1 | grep -q "trained with none of its pictures held out"'
ok "appended pictures move none" bash -c "
    wf-dwt -q -o more.wf <(cat sixty.ppm sixty.ppm) && wf-train-level -q -s more.wf -m more -l 0 -f actnorm --steps 2 &&
        wf-bpd -q -m more -s more.wf --split val --per-image 2>&1 | head -n 1 > x"

# -- figures that are not known ---------------------------------------------------------------------------------------
for form in '' --json; do
    ok "wf-info $form has no nan" bash -c "wf-info $form none > x && ! grep -iw nan x"
    ok "nor of the state" bash -c "wf-info $form none/level-00.state.safetensors > x && ! grep -iw nan x"
    ok "the error of one picture, $form" bash -c "wf-bpd -q -m m -s sixty.wf -n 1 $form > x && ! grep -e '0.0000*\$' -e nan x"
done
ok "bits/dim are null" test "$(wf-info --json none | jq .trained[0].metadata.bpd)" = null
ok "and a dash" bash -c 'wf-info none | awk "\$1 == 0 && \$2 == \"-\" && \$3 == \"-\" { found = 1 } END { exit !found }"'
ok "the error is null" test "$(wf-bpd -q -m m -s sixty.wf -n 1 --json | jq -c '[.error, .levels[0].error]')" = '[null,null]'
ok "and a dash there" bash -c 'wf-bpd -q -m m -s sixty.wf -n 1 | awk "\$1 == \"total\" { exit \$3 != \"-\" }"'
ok "logs of one held-out picture have no nan" bash -c "
    head -c $((20 * each)) sixty.ppm | wf-dwt -q | wf-train-level -q -m one -f actnorm -l 0 --steps 4 &&
        ! grep nan one/level-00.jsonl && grep -q '\"error\": null' one/level-00.jsonl"

# -- weights to begin with, other settings -------------------------------------------------------------------------------
ok "a run of a level" train -q -l 2 -m a --steps 60
status 65 "at another rate and batch" train -q -l 2 -m a --steps 140 --lr 2e-3 --batch 4
ok "each change is named" bash -c "wf-train-level -q -s sixty.wf -l 2 -m a -f '$CHAIN' --lr 2e-3 --batch 4 --val none 2>&1 |
    grep -qF -- '--batch was 8, now 4; --lr was 0.001, now 0.002; --val was 5%, now none; use another model folder, with --init a'"
cat > pad.py <<'END'
import json, struct, sys
with open(sys.argv[1], "rb+") as file:
    data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    head = json.loads(data[8 : 8 + size])
    head["__metadata__"]["config"] += " " * 20000
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    file.seek(0)
    file.write(struct.pack("<Q", len(text)) + text + data[8 + size :])
END
ok "a state is damaged" bash -c 'cp -r a padded && python3 pad.py padded/level-02.state.safetensors'
status 65 "settings that are too long" train -q -l 2 -m padded --steps 70
status 65 "with no chain given" wf-train-level -q -s sixty.wf -l 2 -m padded --steps 70
ok "goes on with --init" train -q -l 2 -m b --init a --lr 2e-3 --steps 30
first() { grep -m 1 -o '"val": [0-9.]*' "$1" | cut -c 8-; }
ok "better than from random weights at once" awk -v a="$(first a/level-02.jsonl)" -v b="$(first b/level-02.jsonl)" 'BEGIN { exit !(b < a) }'
ok "resumes with the same command" train -q -l 2 -m b --init a --lr 2e-3 --steps 50
ok "and without --init" train -q -l 2 -m b --lr 2e-3 --steps 60
ok "and with it again" train -q -l 2 -m b --init a --lr 2e-3 --steps 65
status 65 "other weights to begin with" train -q -l 2 -m b --init m --lr 2e-3 --steps 70
# So that a training cannot lose the weights that it begins with, few pictures hold out one or two.
for n in 2 4 9 19; do
    head -c $((n * each)) sixty.ppm | wf-dwt -q -o "of$n.store"
    ok "of $n pictures one or two are held out" bash -c "wf-train-level -s of$n.store -m of$n --init m -l 2 --steps 2 2> said &&
        grep -q '^wf-train-level: [12] of $n pictures are held out (--val ' said"
done
ok "none if none is said" bash -c "wf-train-level -s of19.store -m of0 --init m -l 2 --steps 2 --val none 2> said && ! grep 'held' said"
# A rate that spoils the weights leaves those of the start, which were validated before the first step.
validated() { grep '"val"' "$1" | grep -o '"step": [0-9]*' | cut -c 9-; }
ok "a rate of 10" train -q -l 2 -m spoilt --init b --lr 10 --warmup 0 --steps 20
ok "spoils no weights" test "$(validated spoilt/level-02.jsonl | head -n 1)" = 0
ok "the first are kept" bash -c '
    cmp <(wf-info --json b | jq ".trained[].metadata.bpd") <(wf-info --json spoilt | jq ".trained[].metadata.bpd") &&
        [ "$(wf-info --json spoilt | jq -r ".trained[].metadata.step")" = 0 ]'
ok "the file has the hash of the weights that it began with" bash -c '
    cmp <(wf-info --json a | jq .trained[0].metadata.hash) <(wf-info --json b | jq .trained[0].metadata.init)'
status 64 "another chain" wf-train-level -q -s sixty.wf -l 2 -m c -f actnorm --init a
ok "both are named" bash -c "wf-train-level -q -s sixty.wf -l 2 -m c -f 'actnorm' --init a 2>&1 | grep -qF \"has the chain '$CHAIN', this one 'actnorm'\""
ok "an exported model" wf-export -q -m m -o f16 --precision f16
ok "begins one, with its chains" wf-train-level -q -s sixty.wf -m d --init f16 --steps 3
ok "which are these" test "$(wf-info --json d | jq -r .trained[3].metadata.chain)" = "$CHAIN"
status 66 "a model that is not there" train -q -l 2 -m e --init nowhere
ok "larger pictures" sh -c "'$DEADLEAVES' -q -n 20 -s 16 | wf-dwt -q -o larger.wf"
status 64 "a level that the model lacks" wf-train-level -q -s larger.wf -l 4 -m e -f "$CHAIN" --init m
ok "one that it has" wf-train-level -q -s larger.wf -l 3 -m e --init m --steps 1

# -- another level to begin with --------------------------------------------------------------------------------------
of_level() { wf-info --json "$1" | jq -er ".trained[].metadata | select(.level == \"$2\").$3"; } # of_level MODEL LEVEL KEY
from() { wf-train-level -q -s sixty.wf --threads 1 --batch 8 "$@"; }
ok "a rate that spoils level 3" from -l 3 -m up --init m --init-level 2 --lr 10 --warmup 0 --steps 20
ok "there is a hash" of_level m 2 hash
ok "leaves the weights of level 2" test "$(of_level up 3 hash)" = "$(of_level m 2 hash)"
ok "the file has their hash" test "$(of_level up 3 init)" = "$(of_level m 2 hash)"
ok "and their chain" test "$(of_level up 3 chain)" = "$CHAIN"
ok "level 2 from 3" from -l 2 -m down --init m --init-level 3 --steps 3
ok "of an exported model" from -l 3 -m exported --init f16 --init-level 2 --steps 3
ok "a model without level 3" sh -c 'cp -r m own && rm own/level-03*'
ok "begins it with its own level 2" from -l 3 -m own --init own --init-level 2 --steps 12
ok "in one run" from -l 3 -m once-up --init own --init-level 2 --steps 24 --warmup 2 --decay 0 --checkpoint-every 5
ok "and in two" bash -c "wf-train-level -q -s sixty.wf --threads 1 --batch 8 -l 3 -m twice-up --init own --init-level 2 --steps 11 --warmup 2 --decay 0 &&
    wf-train-level -q -s sixty.wf --threads 1 --batch 8 -l 3 -m twice-up --steps 24 --warmup 2 --decay 0"
ok "to the same bits" bash -c 'cmp <(tail -c 6000 once-up/level-03.state.safetensors) <(tail -c 6000 twice-up/level-03.state.safetensors)'
status 64 "--init-level without --init" from -l 3 -m no --init-level 2
status 64 "several levels" from -l 2-3 -m no --init m --init-level 2
status 64 "a level that the pictures lack" from -l 3 -m no --init m --init-level 4
status 66 "one that is not trained" from -l 2 -m no --init a --init-level 3
status 64 "the base" from -l 3 -m no --init m --init-level 0
status 64 "to the base" from -l 0 -m no --init m --init-level 2
status 64 "a single pixel" from -l 3 -m no --init m --init-level 1
ok "is named" bash -c "wf-train-level -q -s sixty.wf -l 3 -m no --init m --init-level 1 2>&1 |
    grep -qx 'wf-train-level: --init .*m: level 1 has details of a single pixel, level 3 details of several pixels: these do not fit'"
status 64 "another chain" from -l 3 -m no -f actnorm --init m --init-level 2
ok "level 2 goes on" from -l 2 -m own --steps 45
status 65 "and a level from its old weights does not begin anew" from -l 3 -m own --init own --init-level 2 --steps 20
ok "but goes on without --init" from -l 3 -m own --steps 20
status 75 "a training without an end" timeout --preserve-status -s INT 2 wf-train-level -q -s sixty.wf -l 2 -m endless -f "$CHAIN" --steps 0 --val none
status 75 "is not finished" from -l 3 -m no --init endless --init-level 2
ok "as one line says" bash -c "wf-train-level -q -s sixty.wf -l 3 -m no --init endless --init-level 2 2>&1 |
    grep -qx 'wf-train-level: .*--init-level 2: .*endless: its training is not finished: run it to its end first'"
ok "but begins its own level elsewhere" from -l 2 -m elsewhere --init endless --steps 2

# -- few pictures -----------------------------------------------------------------------------------------------------
# Nineteen pictures are trained on, so that ten epochs are 23 steps of 8. Patience counts every twentieth of a run.
"$DEADLEAVES" -q -n 20 -s 8 --seed 2 | wf-dwt -q -o twenty.wf
few() { wf-train-level -q -s twenty.wf -f "$CHAIN" --batch 8 --threads 1 -l 2 "$@"; }
ok "few pictures, with an interval" few -m interval --steps 60 --validate-every 30
ok "are validated at its steps alone" test "$(validated interval/level-02.jsonl | xargs)" = "30 60"
ok "without one, and a rate that spoils" few -m few --init interval --steps 2000 --patience 1 --lr 10 --warmup 0
ok "every ten epochs, and at a twentieth" test "$(validated few/level-02.jsonl | xargs)" = "0 23 46 69 92 100"
epochs() { jq -c 'select(.val and .step % 23 == 0) | [.step, .val]' "$1/level-02.jsonl"; }
ok "once" few -m once --steps 120 --warmup 9
ok "in two parts" bash -c '
    for steps in 50 120; do
        wf-train-level -q -s twenty.wf -f "$0" --batch 8 --threads 1 -l 2 -m parts --steps $steps --warmup 9 || exit
    done' "$CHAIN"
ok "the same validations" test "$(epochs once | wc -l) $(epochs once)" = "5 $(epochs parts)"

# -- by budget --------------------------------------------------------------------------------------------------------
ok "a chain is chosen" wf-train-level -q -s sixty.wf -l 3 -m budget --minutes 0.02
ok "and stays with more minutes" wf-train-level -q -s sixty.wf -l 3 -m budget --minutes 0.05
ok "the published one by name" wf-train-level -q -s sixty.wf -l 3 -m named -f official --steps 1
ok "goes on without its name" wf-train-level -q -s sixty.wf -l 3 -m named --steps 2

# -- one channel ----------------------------------------------------------------------------------------------------------
head -c 3840 sixty.ppm > noise
for size in 8x8 12x12 3x5; do
    h=${size%x*} w=${size#*x}
    for i in 1 2 3 4 5 6 7 8; do
        printf 'P5\n%d %d\n255\n' "$w" "$h"
        tail -c +$((i * 97)) noise | head -c $((h * w))
    done > grey.pgm
    ok "grey pictures of $size" sh -c 'rm -rf grey.wf && wf-dwt -q -o grey.wf grey.pgm'
    for flow in '' official best; do
        ok "train with ${flow:-the default}" \
            wf-train-level -q -s grey.wf -m "grey-$size-$flow" ${flow:+-f $flow} --batch 4 --steps 2
        ok "are drawn" sh -c "wf-sample -q -m grey-$size-$flow -n 2 | wf-idwt -q > x"
    done
done
