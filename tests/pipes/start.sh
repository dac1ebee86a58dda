#!/usr/bin/env bash
# start.sh - the line that programs print when they begin to compute: device, precision, chain, parameters, pictures
. "$(dirname "$0")/lib.sh"

export OMP_NUM_THREADS=1
cpu='.* \(.*, oneDNN [0-9.]+, loops for [^,]+, 1 thread\)'
chain="chain '2\*\(actnorm, conv1x1, affine:width=4:blocks=1\), actnorm'"
# one NAME LINE: the file `said` is this one line, an extended pattern
one() { ok "$1: $(cat said)" bash -c '[ "$(wc -l < said)" = 1 ] && grep -Exq -- "$0" said' "$2"; }
parameters() { wf-info "model/level-0$1.safetensors" | awk '$1 == "parameters" { print $2 }'; }

train_small model --steps 2 || exit 1
"$DEADLEAVES" -q -n 8 -s 8 | wf-dwt -q -o s.store
"$DEADLEAVES" -q -n 8 -s 8 | wf-dwt -q > s.wf
p0=$(parameters 0) p1=$(parameters 1) p2=$(parameters 2) p3=$(parameters 3)
ok "parameters of every level: $p0 $p1 $p2 $p3" test $((p0 * p1 * p2 * p3)) -gt 0
all="$((p0 + p1 + p2 + p3)) parameters in levels 0 to 3"

wf-bpd -m model -s s.store > none 2> said
one wf-bpd "wf-bpd: model model on $cpu, fp32, $chain, $all, 8 pictures of 8x8x3"
wf-bpd -m model -s s.store -n 1 --iw 2 > none 2> said
one "wf-bpd of one" "wf-bpd: .*, 1 picture of 8x8x3, 2 draws each"
wf-bpd -m model --threads 2 < s.wf > none 2> said
one "wf-bpd of a stream" "wf-bpd: model model on .*, 2 threads\), .*, pictures of 8x8x3"
wf-bpd -m model --backend ref < s.wf > none 2> said
one "the reference" "wf-bpd: model model on naive double precision \(one thread\), double precision, $chain, .*"
"$DEADLEAVES" -q -n 19 -s 8 --seed 2 | wf-dwt -q -o ref.store
wf-score -m model --ref ref.store < s.wf > none 2> said
one wf-score "wf-score: model model on $cpu, fp32, $chain, $all, pictures of 8x8x3 beside 19"
wf-sample -m model -n 2 -l 1 2> said > low.wf
one wf-sample "wf-sample: model model on $cpu, fp32, $chain, $((p0 + p1)) parameters in levels 0 to 1, 2 pictures of 2x2x3"
wf-sample -m model -l 2 < low.wf > none 2> said
one "wf-sample goes on" "wf-sample: .*, $p2 parameters in level 2, pictures of 4x4x3"
wf-sample -m model < /dev/null > none 2> said
one "wf-sample without input" "wf-sample: .*, $all, 16 pictures of 8x8x3"
wf-nuts -m model -n 1 -l 1 --adapt 1 --draws 2 2> all > none
head -n 1 all > said
one wf-nuts "wf-nuts: .*, $((p0 + p1)) parameters in levels 0 to 1, 1 picture of 2x2x3, 1 chain of 1 \+ 2 draws for each"
wf-nuts -m model -n 1 -l 1 --adapt 1 --draws 2 --chains 2 --joint 2> all > none
head -n 1 all > said
one "wf-nuts, jointly" "wf-nuts: .*, 2 chains of 1 \+ 2 draws for each, all levels jointly"
wf-coverage -m model --noise 40 -n 2 --adapt 2 --draws 22 2> said > none
one wf-coverage "wf-coverage: model model on $cpu, fp32, $chain, $all, 2 pictures of 8x8x3, 2 chains of 2 \+ 22 draws for each"
wf-encode -m model < s.wf 2> said > latents.wf
one wf-encode "wf-encode: model model on $cpu, fp32, $chain, $all, pictures of 8x8x3"
wf-decode -m model < latents.wf > none 2> said
one wf-decode "wf-decode: model model on $cpu, fp32, $chain, $all, pictures of 8x8x3"
for quiet in "wf-bpd -q -m model -s s.store" "wf-sample -q -m model -n 1" "wf-nuts -q -m model -n 1 -l 0 --draws 1" \
    "wf-coverage -q -m model --noise 40 -n 2 --adapt 2 --draws 22"; do
    # shellcheck disable=SC2086 # words
    $quiet > none 2> said
    ok "$quiet" test ! -s said
done

# -- training --------------------------------------------------------------------------------------------------------
train() { wf-train-level -s s.store --batch 4 "$@" 2> all && grep -Ev 'finished|held.out' all > said; }
train -l 3 -m official -f official --steps 1
one "the published chain" "wf-train-level: level 3 on $cpu, (fp32|bf16), chain official: '16\*\(.*:blocks=3\), actnorm', [0-9.]+ M parameters, batch 4, 8 pictures of 8x8x3, 1 step"
train -l 0 -m best -f best --minutes 0.001
one "another preset, cut off" "wf-train-level: level 0 on .*, chain best: 'cond:.{67} \.\.', .*, 0.001 minutes"
train -l 1 -m own -f $'2*(actnorm,\n  conv1x1),  actnorm' --steps 2 --minutes 1 --precision tf32
one "a chain of lines" "wf-train-level: level 1 on $cpu, tf32 \(computed as fp32\), chain '2\*\(actnorm, conv1x1\), actnorm', [0-9]+ parameters, batch 4, 8 pictures of 8x8x3, 2 steps or 1 minute"
train -l 1 -m own -f $'2*(actnorm,\n  conv1x1),  actnorm' --steps 2 --minutes 1 --precision tf32
ok "a level that was finished before has no such line" bash -c '! grep parameters all'
train -l 2 -m reduced -f 'actnorm, affine:width=8:blocks=1, actnorm' --steps 1 --precision bf16 --backend ref
one "bf16 in double precision" "wf-train-level: level 2 on .*, double precision, .*"
train -l 0-2 -m several -f actnorm --steps 1
sort said > sorted
ok "several levels: a line for all, and one each: $(cat said)" test "$(head -n 1 said | grep -Ec \
    "^wf-train-level: levels 0 to 2 on $cpu, fp32( or bf16)?, 8 pictures of 8x8x3, 1 step\$") $(wc -l < said) $(grep -Ec \
    "^wf-train-level: level [012]: (fp32, )?chain 'actnorm', [0-9]+ parameters, batch 4\$" said)" = "1 4 3"

# -- errors ----------------------------------------------------------------------------------------------------------
head -c -200 s.wf > cut.wf
wf-bpd -m model < cut.wf > none 2> said
ok "an error is the last line: $(cat said)" bash -c '[ "$(wc -l < said)" = 2 ] && tail -n 1 said | grep -q "cut off"'
wf-bpd -m nowhere -s s.store > none 2> said
ok "an error in the options comes alone" test "$(wc -l < said)" = 1
