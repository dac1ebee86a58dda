#!/usr/bin/env bash
# sample.sh - wf-sample and wf-idwt: every flag, given pictures, and averages that come back
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1
train_small model || fail "training"

sample() { wf-sample -q -m model "$@" < /dev/null; }
pixels() { wf-idwt -q; } # stdin to stdout
pictures() { grep -ac '^TUPLTYPE' "$1"; }
count() { [ "$(pictures "$1")" = "$2" ] || { echo "$(pictures "$1") pictures, want $2"; return 1; }; }
begins() { cmp -n "$(stat -c %s "$1")" "$1" "$2"; } # begins A B: B begins with all of A
differ() { ! cmp -s "$1" "$2"; }

"$DEADLEAVES" -q -n 8 -s 8 --seed 3 > val.pam

# -- pictures --------------------------------------------------------------------------------------------------------
sample | pixels > default.pam
ok "sixteen pictures" count default.pam 16
sample -n 300 | pixels > many.pam
ok "a picture does not depend on how many are drawn" begins default.pam many.pam
sample --threads 1 | pixels > same.pam
ok "the result does not depend on threads" cmp default.pam same.pam
sample -n 0 > none.wf
ok "no pictures" bash -c 'wf-idwt -q < none.wf | cmp - /dev/null'
sample -n 16 -l 1 > one.wf
wf-sample -q -m model -l 2 < one.wf | wf-sample -q -m model - | pixels > same.pam
ok "levels in a pipe are levels in one program" cmp default.pam same.pam
sample --seed 2 | pixels > other.pam
ok "another seed, other pictures" differ default.pam other.pam

# -- a level with a large round trip error ----------------------------------------------------------------------------
# bent RATE: a model with level 2 after three steps at RATE, the other levels unchanged
bent() {
    rm -rf bent
    wf-train-level -q -l 2 -m bent -s val.store --val val.store -f '8*(conv1x1, affine:width=4:scale=exp)' --steps 3 \
        --warmup 0 --ema 0 --lr "$1" && cp model/level-0[013].safetensors bent/
}
ok "a store" sh -c 'wf-dwt -q -o val.store < val.pam'
ok "a gentle training" bent 1e-3
measured='"round_trip": [0-9.]+e-0[5-9], "round_trip_mean": [0-9.]+e-0[6-9], '
measured+='"condition": [0-9.]+, "worst": "0...conv1x1"'
ok "the log has the error of a round trip" grep -Eq "$measured" bent/level-02.jsonl
ok "wf-info shows it" bash -c 'wf-info bent | grep -Eq "^  2 .* [0-9.]+e-0[5-9] "'
ok "a level slightly off still samples" sh -c 'wf-sample -q -m bent -n 1 > x'
ok "a training that diverges" bent 10
ok "wf-info shows its round trip error" bash -c 'wf-info bent | grep -Eq "^  2 .* [0-9.]+e[+][0-9]+ "'
status 70 "samples of it" wf-sample -q -m bent -n 1
status 70 "annealed samples of it" sh -c 'wf-nuts -q -m bent -n 1 > x'
status 70 "its latents" sh -c 'wf-dwt -q < val.pam | wf-encode -q -m bent > x'
ok "the others' samples" sh -c 'wf-sample -q -m bent -n 1 -l 1 > x'
ok "its density" sh -c 'wf-bpd -q -m bent -s val.store > x'

# -- temperatures, truncation ----------------------------------------------------------------------------------------
sample -T 1 | pixels > same.pam
ok "T 1 is the default" cmp default.pam same.pam
sample -T 0.9,0.5 | pixels > list.pam
sample -n 16 -T 0.9 -l 0 | wf-sample -q -m model -T 0.5 | pixels > same.pam
ok "temperatures of levels" cmp list.pam same.pam
sample -T 0 | pixels > zero.pam
sample -T 0 --seed 5 | pixels > same.pam
ok "at T 0 there is one picture" cmp zero.pam same.pam
sample --truncate 8 | pixels > same.pam
ok "--truncate 8 cuts nothing off" cmp default.pam same.pam
sample --truncate 0.5 | pixels > other.pam
ok "--truncate 0.5 cuts off the tails" differ default.pam other.pam
sample --truncate 1e-6 | pixels > same.pam
ok "--truncate keeps the middle" cmp zero.pam same.pam

# -- given pictures --------------------------------------------------------------------------------------------------
"$DEADLEAVES" -q -n 3 -s 4 > small.pam
wf-sample -q -m model --from small.pam > from.wf
wf-dwt -q < small.pam | wf-sample -q -m model > stream.wf
ok "--from a file, or a stream of its coefficients" cmp <(pixels < from.wf) <(pixels < stream.wf)
mkdir folder && tail -c "$(($(stat -c %s small.pam) / 3))" small.pam > folder/last.pam
ok "--from a folder" \
    bash -c 'wf-sample -q -m model --from folder | wf-idwt -q > last.big && grep -aq "^WIDTH 8" last.big'

# Averaged down, the enlarged picture equals its input bit for bit.
back() { wf-dwt -q --levels "$1" | wf-idwt -q -l 0; }
# shellcheck disable=SC2059 # the format is 45 bytes
{ printf 'P6 5 3 255\n' && printf "$(for i in $(seq 45); do printf '\\%03o' $((i * i * 37 % 256)); done)"; } > odd.ppm
status 64 "--scale, and nothing to enlarge" sh -c 'wf-sample -m model --scale 4 < /dev/null > x'
for scale in 2 4 8; do
    halvings=$(awk "BEGIN { print log($scale) / log(2) }")
    wf-sample -q -m model --from odd.ppm --scale $scale > big.wf
    ok "--scale $scale takes any size" bash -c "wf-idwt -q < big.wf | grep -aq '^WIDTH $((5 * scale))'"
    ok "--scale $scale, averaged, gives the picture back" cmp <(wf-idwt -q --exact 0 < big.wf | back "$halvings") \
        <(wf-dwt -q --levels 0 odd.ppm | wf-idwt -q)
done
ok "a stream at its own level gives the same" cmp <(wf-idwt -q --exact 2 < from.wf | back 1) \
    <(wf-dwt -q --levels 0 small.pam | pixels)
sample -n 3 > drawn.wf
status 65 "averages that are no whole numbers" wf-idwt -q --exact 0 drawn.wf
status 64 "--exact above the level" wf-idwt -q --exact 4 drawn.wf

# -- grids -----------------------------------------------------------------------------------------------------------
wf-idwt -q --grid grid.png --columns 3 --zoom 4 --titles 'a,b,c' --rows 'T=1' drawn.wf
wf-dwt -q --levels 0 grid.png | pixels > grid.pam
ok "a labelled grid" grep -aqz 'WIDTH 138.HEIGHT 52' grid.pam
wf-idwt -q --ladder drawn.wf > ladder.pam
ok "a ladder has a picture for each level" count ladder.pam 12
wf-idwt -q -l 3 drawn.wf > top.pam
each=$(($(stat -c %s top.pam) / 3))
ok "the last step of the ladder is the picture" \
    cmp <(head -c $((4 * each)) ladder.pam | tail -c $each) <(head -c $each top.pam)
sample -n 3 -l 1 | pixels > low.pam
ok "the steps of the ladder are the levels" cmp <(head -c $((2 * each)) ladder.pam | tail -c $each | back 2) \
    <(head -c "$(($(stat -c %s low.pam) / 3))" low.pam)
status 64 "more titles than columns" wf-idwt -q --grid x.png --columns 3 --titles a,b,c,d drawn.wf
status 64 "titles without a grid" wf-idwt -q --titles a drawn.wf
flat() { printf 'P6\n8 8\n255\n' && head -c 192 /dev/zero | tr '\0' "$1"; }
{ flat '\100'; flat '\001'; flat '\020'; } | wf-dwt -q > flat.wf
wf-idwt -q -l 1 flat.wf > flat.pam
each=$(($(stat -c %s flat.pam) / 3))
ok "flat pictures of a lower level are flat at every step of the ladder" cmp <(wf-idwt -q --ladder -l 1 flat.wf) \
    <(for i in 1 1 2 2 3 3; do head -c $((i * each)) flat.pam | tail -c $each; done)
status 64 "a ladder of files" wf-idwt -q --ladder -o x drawn.wf

# The flow of 800x500 pixels would take 1.7 GB as a whole.
"$DEADLEAVES" -q -n 16 -s 8 | wf-dwt -q > few.wf
wf-train-level -q -l 3 -m wide -s few.wf -f 'actnorm, affine:net=dense:width=512:blocks=1' --steps 1 --batch 16 --val none
{ printf 'P6 800 500 255\n' && head -c 1200000 /dev/zero; } > large.ppm
limited() { ([[ ${B:-build} == *san* ]] || ulimit -v $((1200 * 1024)); "$@"); }
ok "a large picture in little memory" limited wf-sample -q -m wide --from large.ppm --scale 2 -o large.wf
ok "is whole" test "$(wf-idwt -q large.wf | wc -c)" -gt $((1600 * 1000 * 3))

# -- bad usage, bad data ---------------------------------------------------------------------------------------------
status 64 "no model" wf-sample -n 1
status 66 "a model that is not there" wf-sample -m none -n 1
status 64 "a level that the model has not" wf-sample -m model -l 9 -n 1
status 64 "a temperature below 0" wf-sample -m model -T -1 -n 1
status 64 "a temperature that is none" wf-sample -m model -T 1,x -n 1
status 64 "--truncate 0" wf-sample -m model --truncate 0 -n 1
status 64 "--from and -n" wf-sample -m model --from small.pam -n 3
status 64 "--scale and -n" wf-sample -m model --scale 2 -n 3
status 64 "--scale 3" wf-sample -m model --from small.pam --scale 3
status 64 "--scale 16 by a model of three doublings" wf-sample -m model --from small.pam --scale 16
status 66 "--from nothing" wf-sample -m model --from none.pam
status 65 "pictures of the size of no level" wf-sample -m model --from odd.ppm
printf 'P5 4 4 255\n%016d' 0 > grey.pgm
printf 'P6 4 4 65535\n%096d' 0 > deep.ppm
status 0 "grey pictures for a model of colours" wf-sample -q -m model --from grey.pgm
status 65 "pictures of other bits" wf-sample -q -m model --from deep.ppm
status 65 "coefficients of other channels" bash -c 'wf-dwt -q grey.pgm | wf-sample -q -m model -'
status 65 "a stream that was cut off" bash -c 'head -c 700 one.wf | wf-sample -q -m model -'
status 64 "a stream that is at the level already" wf-sample -q -m model -l 1 - < one.wf
status 75 "a full disk" bash -c 'wf-sample -q -m model -n 1 > /dev/full'
