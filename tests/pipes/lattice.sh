#!/usr/bin/env bash
# lattice.sh - levels with exact probabilities of whole numbers: training, figures, samples, levels of both kinds, refusals
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1
chain='cond:channels=4:width=4:blocks=1, lattice:components=2:width=4:blocks=1'
train_small exact -f "$chain" || fail "training"
train_small phases -f "${chain}:phases=2" || fail "training by phases"
"$DEADLEAVES" -q -n 20 -s 8 --seed 3 | wf-dwt -q > in.wf

# -- figures -----------------------------------------------------------------------------------------------------------
bpd() { wf-bpd -q -m "$@" < in.wf; }
bpd exact > table
ok "every level is exact, and the total" test "$(cut -f 5 table | uniq -c | xargs)" = "1 kind 5 exact"
ok "the seed of the noise makes no difference" cmp table <(bpd exact --seed 9)
weighted() { bpd exact --iw 3 | awk '$1 == "total" { a = $2 } $1 == "iw" { b = $3 } END { exit !(a > 0 && a == b) }'; }
ok "draws of the noise make no difference" weighted
ok "JSON says so" bash -c 'wf-bpd -q -m exact --json < in.wf | grep -q "\"exact\": true}\], \"bpd\": .*, \"exact\": true}$"'
bpd exact --shard 1/2 > first && bpd exact --shard 2/2 > second
ok "shards keep the kind" cmp table <(wf-bpd -q --join first second)
ok "the reference gives the same figures" bash -c 'paste <(cut -f 3 table) <(wf-bpd -q -m exact --backend ref < in.wf | cut -f 3) |
    awk "NR > 1 && (\$1 - \$2) ^ 2 > 1e-8 { bad = 1 } END { exit bad || NR != 6 }"'

# -- samples and latents -----------------------------------------------------------------------------------------------
for model in exact phases; do
    wf-sample -q -m "$model" -n 8 < /dev/null > drawn.wf
    wf-idwt -q < drawn.wf | wf-dwt -q > rounded.wf
    ok "$model: samples are whole numbers" cmp <(wf-bpd -q -m "$model" < drawn.wf | grep ^3) <(wf-bpd -q -m "$model" < rounded.wf | grep ^3)
    ok "$model: every pixel comes back from latents" \
        cmp <(wf-idwt -q < in.wf) <(wf-encode -q -m "$model" < in.wf | wf-decode -q -m "$model" | wf-idwt -q)
done

# -- both kinds in one model -------------------------------------------------------------------------------------------
cp -r exact mixed && rm mixed/level-02*
wf-train-level -q -l 2 -m mixed -s train.wf -f '2*(actnorm, conv1x1, affine:width=4:blocks=1), actnorm' --steps 60 \
    --batch 16 --val none
ok "a flow's figure is a bound, and the total above exact levels an estimate" \
    test "$(bpd mixed | cut -f 5 | xargs)" = "kind exact exact bound exact estimate"
bpd mixed --shard 1/2 > first && bpd mixed --shard 2/2 > second
ok "shards keep that" cmp <(bpd mixed) <(wf-bpd -q --join first second)
cp -r exact coarse && rm coarse/level-00*
wf-train-level -q -l 0 -m coarse -s train.wf -f 'actnorm, affine:width=4:blocks=1' --steps 60 --batch 16 --val none
ok "below exact levels a flow leaves the total a bound" \
    test "$(bpd coarse | cut -f 5 | xargs)" = "kind bound exact exact exact bound"
ok "the other levels' figures stay" cmp <(bpd exact | grep -v '^2\|^total') <(bpd mixed | grep -v '^2\|^total')
ok "the model draws pictures" bash -c 'wf-sample -q -m mixed -n 4 < /dev/null | wf-idwt -q -o out && test -s out/00000003.png'

# Pictures that are all the same take no bits. The flow's noise has a density above 1 given the noise of its low-pass,
# which no exact level balances, so the total is below zero.
for ((i = 0; i < 64; i++)); do printf 'P5\n8 8\n255\n'; head -c 64 /dev/zero | tr '\0' '\200'; done | wf-dwt -q > grey.wf
learn() { wf-train-level -q -m grey -s grey.wf --val none --batch 64 --lr 0.01 "$@"; }
learn -l 0-2 -f 'lattice:width=4:net=pair' --steps 300
learn -l 3 -f 'actnorm, affine:width=8:blocks=1, conv1x1, affine:width=8:blocks=1, actnorm' --steps 600
ok "an estimate may be below zero" bash -c 'wf-bpd -q -m grey < grey.wf | grep "^total.*-0.0.*estimate$"'

# -- training ----------------------------------------------------------------------------------------------------------
train() { wf-train-level -q -l 2 -m "$1" -s train.wf --val none -f "$chain" --batch 16 --seed 4 --warmup 2 "${@:2}"; }
weights() { wf-info -m "$1" --json | tr , '\n' | grep '"hash"'; }
train whole --steps 40 && train parts --steps 20 && train parts --steps 40
ok "an interrupted training gives the same bits" cmp <(weights whole) <(weights parts)
train reversible --steps 40 --memory reversible
ok "maps that are rebuilt give the same level" bash -c 'wf-bpd -q -m whole < in.wf > a; wf-bpd -q -m reversible < in.wf > b;
    paste <(grep ^2 a) <(grep ^2 b) | awk "{ exit (\$3 - \$8) ^ 2 > 1e-8 }"'

# -- refusals ----------------------------------------------------------------------------------------------------------
status 64 "nuts: needs a flow" bash -c 'wf-nuts -q -m exact -n 1 < /dev/null'
ok "nuts says so" bash -c 'wf-nuts -q -m mixed -n 1 < /dev/null 2>&1 | grep -q "level 0 gives probabilities of whole numbers"'
status 64 "words after it" train none --steps 1 -f "$chain, actnorm"
status 64 "words before it" train none --steps 1 -f "actnorm, $chain"
"$DEADLEAVES" -q -n 16 -s 8 | wf-dwt -q --levels 0 > flat.wf
whole() { wf-train-level -q -l 0 -m "$1" -s flat.wf --val none -f lattice --steps 1 --batch 8 "${@:2}"; }
noisy() { ! whole noise --dequantize 'affine:mask=checker:width=4:blocks=1' 2> said && grep -q 'lattice: .*without learnt noise' said; }
ok "whole pictures train" whole flat
ok "but not with learnt noise" noisy
"$DEADLEAVES" -q -n 16 -s 8 | wf-dwt -q -w db2 > db2.wf
status 64 "another wavelet" wf-train-level -q -l 2 -m db2 -s db2.wf --val none -f "$chain" --steps 1 --batch 8
