#!/usr/bin/env bash
# export.sh - models to pass on: the same model in fp32, nearly the same in half the size, a card; models by name
. "$(dirname "$0")/lib.sh"

ok "a small model" train_small model
"$DEADLEAVES" -q -n 64 -s 8 --seed 2 | wf-dwt -q > held-out.wf
printf 'Made for a test.\n\nNot for *use*.\n' > note.md
bpd() { wf-bpd -q -m "$1" < held-out.wf; }
samples() { wf-sample -q -m "$1" -n 8 --seed 3 | wf-idwt -q; }
total() { bpd "$1" | awk '$1 == "total" { print $(NF - 1) }'; }
says() { grep -qE -- "$1" "$2" || { echo "no line '$1' in:"; cat "$2"; return 1; }; }

ok "export" wf-export -q -m model -o fp32
ok "in half the bits" wf-export -q -m model -o f16 --precision f16 --licence 'CC BY 4.0' --card-note note.md
ok "and in bf16" wf-export -q -m model -o bf16 --precision bf16
bpd model > bpd.model
ok "bits/dim of the copy are equal" diff bpd.model <(bpd fp32)
samples model > samples.model
ok "and its samples" cmp samples.model <(samples fp32)

# The figures of f16 and bf16 differ from those of fp32, but little.
near() { # near MODEL MOST: bits/dim differ, by less than MOST
    awk -v a="$(total model)" -v b="$(total "$1")" -v most="$2" \
        'BEGIN { d = a < b ? b - a : a - b; print a, b; exit !(a > 1 && b > 1 && d < most) }'
}
ok "f16 costs less than a thousandth" near f16 0.001
ok "bf16 less than a fiftieth" near bf16 0.02
other_samples() { samples "$1" > samples.other && ! cmp -s samples.model samples.other; }
ok "f16 is another model" other_samples f16
ok "bf16 too" other_samples bf16

tensors() { find "$1" -name '*.safetensors' -printf '%s\n' | awk '{ s += $1 } END { print s }'; }
parameters() { wf-info -m "$1" | awk '$1 == "parameters" { print $2; exit }'; }
p=$(parameters model)
ok "parameters" test "$p" -gt 1000
ok "a copy counts the same" test "$(parameters f16)" = "$p"
ok "weights, moments and averages are four vectors" test $(($(tensors model) - 24 * p)) -ge 0
ok "the copy holds one" test $(($(tensors fp32) - 4 * p)) -lt $(($(tensors model) - 24 * p))
ok "f16 takes two bytes less each" test $(($(tensors fp32) - $(tensors f16))) -ge $((2 * p - 400))
files() { (cd "$1" && echo *); }
ok "nothing else is copied" test "$(files f16)" = \
    "README.md level-00.safetensors level-01.safetensors level-02.safetensors level-03.safetensors wf.json"
ok "no temporary folder is left" test "$(echo ./*.part*)" = './*.part*'

wf-info --verify f16 > info
ok "its number type" says '^dtype +F16$' info
ok "its licence" says '^licence +CC BY 4.0$' info
ok "its provenance" says '^  wf-export [0-9.]+: wf-export -q -m model -o f16 .*model [0-9a-f]{16}' info
ok "in one line for all levels" test "$(grep -c '^  wf-export' info)" = 1
ok "a model without held-out figures has no total" test -z "$(grep '^bpd' info)"
card=f16/README.md
ok "a card" says '^# f16$' $card
ok "with the size" says '^\| size and channels \| 8x8x3 \|$' $card
ok "the licence" says '^\| licence \| CC BY 4.0 \|$' $card
ok "the parameters" says "^\| parameters \| $p \|$" $card
ok "the note" says '^Not for \*use\*\.$' $card
ok "the levels" says '^\| 3 \| - \| [0-9]+ \| 60 \| fp32 \| `2\*\(actnorm, conv1x1, affine' $card
ok "the programs" says '^    wf-train-level [0-9.]+: wf-train-level -q -l 3 -m model' $card
ok "a licence that nobody stated" says '^\| licence \| not stated \|$' fp32/README.md
ok "a copy of a copy" wf-export -q -m f16 -o again --precision f16
ok "has the same bits" diff <(bpd f16) <(bpd again)
ok "and the licence" says '^\| licence \| CC BY 4.0 \|$' again/README.md
"$DEADLEAVES" -q -n 64 -s 8 | wf-dwt -q -o train.store
"$DEADLEAVES" -q -n 32 -s 8 --seed 2 | wf-dwt -q -o val.store
ok "a training with held-out pictures" wf-train-level -q -l 0-3 -m valued -s train.store --val val.store --steps 10 \
    --batch 8 -f actnorm
ok "and its copy" wf-export -q -m valued -o valued-copy
sum=$(for l in 0 1 2 3; do wf-info valued/level-0$l.safetensors; done |
    awk '$1 == "bpd" { s += $2 } END { printf "%.4f", s }')
ok "the held-out figures of the levels add up" says "^bpd +$sum" <(wf-info -m valued-copy)
ok "on the card too" says "^\| held-out bits/dim \| $sum" valued-copy/README.md
ok "and stand in its rows" says '^\| 0 \| [0-9.]+ \| 6 \| 10 \| fp32 \| `actnorm` \|$' valued-copy/README.md

# Latents belong to the weights that made them.
wf-encode -m model < held-out.wf > latents.wf
ok "latents of the model go through its copy" sh -c 'wf-decode -m fp32 < latents.wf > decoded.wf'
status 65 "not through rounded weights" wf-decode -m f16 < latents.wf

# -- refused ----------------------------------------------------------------------------------------------------------
mentions() { ! "${@:2}" 2> err > /dev/null && grep -qF -- "$1" err || { cat err; return 1; }; }
status 64 "a folder that holds something" wf-export -m model -o f16
status 64 "a file in its place" wf-export -m model -o note.md
status 64 "no output" wf-export -m model
status 64 "operands" wf-export -m model -o x y
status 66 "a note that is not there" wf-export -m model -o x --card-note nowhere.md
status 65 "a note that is not text" wf-export -m model -o x --card-note held-out.wf
cp -r model half
rm half/level-02.safetensors
status 66 "a level that is not trained" wf-export -m half -o x
cp -r model damaged
printf '\377' | dd of=damaged/level-01.safetensors bs=1 seek=$(($(stat -c %s model/level-01.safetensors) - 3)) conv=notrunc status=none
status 65 "a damaged level" wf-export -m damaged -o x
ok "none of these leaves anything" test "$(echo x*)" = 'x*'
mkdir empty
ok "an empty folder is taken" wf-export -q -m model -o empty

# resume MODEL: trains level 3 as train_small does
resume() { wf-train-level -q -l 3 -m "$1" -s - -f '2*(actnorm, conv1x1, affine:width=4:blocks=1), actnorm' --steps 90 --batch 16 < train.wf; }
cp f16/level-03.safetensors before
status 65 "training does not go on from a copy" resume f16
ok "and says why" mentions 'level 3 is exported: it has no optimizer state' resume f16
ok "the copy stays as it was" cmp before f16/level-03.safetensors
ok "training goes on from the model" resume model

# -- by name ----------------------------------------------------------------------------------------------------------
mkdir -p here models/first second
mv f16 second/mine
mv bf16 models/first/other
cd here || exit 1
export WF_MODELS=$WORK/models/first:$WORK/second
ok "a model of WF_MODELS" sh -c 'wf-sample -q -m mine -n 2 > s.wf && wf-info -m other | grep -q BF16'
ok "for bits/dim" sh -c 'wf-bpd -q -m mine < ../held-out.wf > bpd'
ok "for latents" sh -c 'wf-encode -m mine < ../held-out.wf | wf-decode -m mine > decoded.wf'
ok "for an export" wf-export -q -m mine -o own
status 66 "a model that is nowhere" wf-sample -m nowhere -n 1
ok "names the places" mentions "nowhere: not a folder here, and there is no model of that name in $WORK/models/first, $WORK/second, " \
    wf-sample -m nowhere -n 1
status 66 "a path is not looked up" wf-sample -m ./mine -n 1
mkdir mine
status 66 "nor is a name that is here" wf-sample -m mine -n 1
rmdir mine
status 64 "wf-info takes one model" wf-info -m mine own
ok "training makes a folder of its own" sh -c 'wf-train-level -q -l 0 -m mine -s - --steps 2 --batch 4 -f actnorm < ../train.wf'
ok "here" test -s mine/level-00.safetensors
ok "and not there" cmp ../before ../second/mine/level-03.safetensors

# -- the model that comes with the programs ---------------------------------------------------------------------------
WF_MODELS=
[ "${BIN:-bin}" = bin ] || WF_MODELS=$ROOT/data
"$DEADLEAVES" -q -n 24 -s 32 --seed 4 | wf-dwt -q > leaves.wf
wf-info -m leaves > leaves.info
ok "leaves has a licence" says '^licence +MIT$' leaves.info
ok "the figure of its card" says "^\| held-out bits/dim \| $(awk '$1 == "bpd" { print $2 }' leaves.info) \|$" "$ROOT/data/leaves/README.md"
ok "which holds for other leaves" sh -c 'wf-bpd -q -m leaves < leaves.wf > bpd.leaves'
# between LOW HIGH: bits/dim of bpd.leaves
between() { awk -v low="$1" -v high="$2" '$1 == "total" { print; good = $(NF - 1) > low && $(NF - 1) < high } END { exit !good }' bpd.leaves; }
ok "within their spread" between 4.0 4.6
ok "its samples go through the flows" sh -c 'wf-sample -q -m leaves -n 24 | wf-idwt -q | wf-dwt -q | wf-bpd -q -m leaves > bpd.leaves'
ok "and are no noise, though busier than the pictures" between 4.0 5.8
size=$(cat "$ROOT"/data/leaves/* | wc -c)
ok "it takes at most 2 MB" test "$size" -gt 500000 -a "$size" -le 2000000
