#!/usr/bin/env bash
# coverage.sh - wf-coverage: right posteriors pass, wrong ones do not; outputs; interruption; refusals
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1
train_small model || fail "training"

coverage() { wf-coverage -q -m model --noise 60 -n 16 --adapt 40 --draws 24 --max-depth 4 "$@"; }
value() { awk -F '\t' -v q="$2" -v f="$3" '$1 == q && $2 == f { print $3 }' "$1"; }
holds() { awk "BEGIN { exit !($1) }" || { echo "not so: $1"; return 1; }; }
differ() { ! cmp -s "$1" "$2"; }

coverage --picture ranks.png > right.tsv
ok "29 lines" test "$(wc -l < right.tsv)" = 29
for quantity in pixel1 mean likelihood; do
    ok "$quantity is covered" holds "$(value right.tsv $quantity inside95) >= 0.75 && $(value right.tsv $quantity inside50) < 0.9"
    ok "ranks of $quantity are uniform" holds "$(value right.tsv $quantity uniform_p) > 0.002"
done
ok "histograms" bash -c 'head -c 8 ranks.png | od -An -c | grep -q "P *N *G"'
coverage --assume-noise 20 > wrong.tsv
ok "too small a noise is noticed" holds "$(value wrong.tsv likelihood inside95) < 0.3"
ok "by ranks, too" holds "$(value wrong.tsv likelihood uniform_p) < 0.01"
ok "and makes pictures worse" holds "$(value wrong.tsv all psnr) < $(value right.tsv all psnr)"
ok "the same command gives the same figures" cmp <(coverage) right.tsv
coverage --json > right.json
ok "--json has the same figures" grep -q "\"rhat_below_1.05\":{\"value\":$(value right.tsv all rhat_below_1.05 | cut -c 1-5)" right.json
ok "and all ranks" test "$(grep -o '"mean":\[[0-9,]*\]' right.json | tr ',' '\n' | wc -l)" = 16
coverage --data > data.tsv
ok "--data gives other draws" differ data.tsv right.tsv
coverage --unit-mass > unit.tsv
ok "--unit-mass gives other draws" differ unit.tsv right.tsv
coverage --scale 2 > scale.tsv
ok "averages say less" holds "$(value scale.tsv all psnr) < $(value right.tsv all psnr)"

for try in $(seq 40); do
    timeout -s KILL "$(awk "BEGIN { print 0.3 * 1.2 ^ $try }")" wf-coverage -q -m model --noise 60 -n 16 --adapt 40 --draws 24 \
        --max-depth 4 --state run --save-every 0.02 > have.tsv 2> log && break
done 2> /dev/null
ok "it was interrupted" test "$try" -gt 1
ok "whose gradients are not known" test "$(value have.tsv all gradients_per_ess)" = -
ok "an interrupted run gives the same" cmp <(grep -v gradients have.tsv) <(grep -v gradients right.tsv)

status 74 "a picture that cannot be written" wf-coverage -m model --noise 9 --picture none/x.png
status 64 "no noise" wf-coverage -m model
status 64 "an operand" wf-coverage -m model --noise 9 x.png
status 64 "too few draws" wf-coverage -m model --noise 9 --draws 8
status 64 "a scale that does not divide" wf-coverage -m model --noise 9 --scale 3
status 66 "no model" wf-coverage -m none --noise 9
status 66 "no mask" wf-coverage -m model --noise 9 --mask none.pgm
