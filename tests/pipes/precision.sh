#!/usr/bin/env bash
# precision.sh - wf-train-level --precision auto: what is chosen is kept, recorded and gone on with; wf-bpd --precision
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1 XDG_CACHE_HOME=$WORK/cache
file=cache/wavelet-flow.precisions
CHAIN='2*(actnorm, conv1x1, affine:width=16:blocks=1), actnorm'
"$DEADLEAVES" -q -n 40 -s 16 | wf-dwt -q -o s.store
train() { wf-train-level -q -s s.store --batch 8 --seed 1 --threads 1 --val none -f "$CHAIN" -m "$@"; }
of() { wf-info --json "$1" | jq -r ".trained[0].metadata.$2"; } # of MODEL KEY
hash() { of "$1" hash; }
alike() { [ "$(hash "$1")" = "$(hash "$2")" ]; }

ok "auto is the default" train first -l 4 --steps 4
ok "a precision and a reason are recorded" bash -c '[[ $0 = fp32 || $0 = bf16 ]] && [ -n "$1" ] && [ "$1" != null ]' \
    "$(of first precision)" "$(of first chosen)"
ok "one that is asked for has no reason" train fp32 -l 4 --steps 4 --precision fp32
ok "it is $(of fp32 precision), $(of fp32 chosen)" test "$(of fp32 precision) $(of fp32 chosen)" = "fp32 null"
ok "small maps are not measured" train small -l 2 --steps 2
ok "$(of small chosen)" test "$(of small chosen)" = "$([ -e $file ] && echo 'fp32: maps of at most four pixels' || of first chosen)"

# -- on processors with bf16 -------------------------------------------------------------------------------------------
if [ -e $file ]; then
    ok "one line is kept" test "$(wc -l < $file)" = 1
    ok "wf-info lists it" bash -c 'wf-info --json | jq -e ".precisions | length == 1"'
    sed -i 's/\t[a-z0-9]*\t[0-9.e+]*\t[0-9.e+]*$/\tbf16\t10\t20/' $file
    ok "the file chooses" train second -l 4 --steps 4
    ok "bf16 to train, fp32 to use" test "$(of second precision) $(of second chosen)" = "fp32 bf16: fp32 10, bf16 20 pictures/s in one round of the chain"
    ok "as if it was asked for" train asked -l 4 --steps 4 --precision bf16
    ok "with the same weights" alike second asked
    ok "for use in bf16" test "$(of asked precision) $(of asked chosen)" = "bf16 null"
    ok "which are not those of fp32" bash -c '! [ "$0" = "$1" ]' "$(hash second)" "$(hash fp32)"
    sed -i 's/\tbf16\t10\t20$/\tfp32\t20\t10/' $file
    ok "a resumed training goes on in bf16" train second -l 4 --steps 8
    ok "for the same bits" train asked -l 4 --steps 8 --precision bf16
    ok "now" alike second asked
    ok "bf16 stays" test "$(of second precision) $(of second chosen)" = "fp32 bf16: fp32 10, bf16 20 pictures/s in one round of the chain"
    rm -r cache
    ok "without the file, too" train second -l 4 --steps 9
    status 65 "another precision is refused" train second -l 4 --steps 10 --precision fp32
    cp .log said
    ok "and named" grep -q -- '--precision was bf16, now fp32' said
    wf-train-level -s s.store --batch 8 -f "$CHAIN" -m all --steps 1 2> said
    ok "several levels name theirs: $(cat said)" bash -c 'grep -q "fp32 or bf16" said && [ "$(grep -Ec "level [0-4]: (fp32|bf16), chain" said)" = 5 ]'
    homeless() { (unset XDG_CACHE_HOME && HOME=$WORK/nowhere train "$@"); }
    ok "a choice without a home" homeless homeless -l 4 --steps 1
    ok "makes none" test ! -e nowhere
    ok "a copy to pass on" wf-export -q -m all -o out --precision f16
    chosen() { wf-info --json "$1" | jq -c '[.trained[].metadata | .precision, .chosen]'; }
    ok "has them, too" test "$(chosen out)" = "$(chosen all)"
else
    ok "no instructions for bf16: $(of first chosen)" test "$(of first precision) $(of first chosen)" = "fp32 fp32: no instructions for bf16"
    skip "a processor with bf16 is not here"
fi

# -- evaluation --------------------------------------------------------------------------------------------------------
bpd() { wf-view -q -l 4 s.store | wf-bpd -m fp32 --json "$@"; }
bpd > trained 2> said
bpd --precision fp32 > fp32.json 2>> said
bpd --precision bf16 > bf16.json 2>> said
ok "the default is the precision of training" same trained fp32.json
ok "the first line names it: $(cat said)" bash -c '[ "$(grep -c ", fp32, chain" said)" = 2 ] && grep -q ", bf16" said'
[ ! -e $file ] || ok "bf16 is near" awk -v a="$(jq '.levels[0].bpd' fp32.json)" -v b="$(jq '.levels[0].bpd' bf16.json)" \
    'BEGIN { d = a - b; exit !(d != 0 && d * d < 4e-6) }'
