#!/usr/bin/env bash
# nuts.sh - wf-nuts: chains level by level, in pipes and jointly; every flag; interruption; diagnostics
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1
train_small model || fail "training"

nuts() { wf-nuts -q -m model --adapt 6 --draws 8 "$@"; }
pixels() { wf-idwt -q; } # stdin to stdout
pictures() { grep -ac '^TUPLTYPE' "$1"; }
count() { [ "$(pictures "$1")" = "$2" ] || { echo "$(pictures "$1") pictures, want $2"; return 1; }; }
differ() { ! cmp -s "$1" "$2"; }
begins() { cmp -n "$(stat -c %s "$1")" "$1" "$2"; } # begins A B: B begins with all of A
value() { sed -n "$2s/.*\"$1\":\([-0-9.e+]*\|null\).*/\1/p" report.json; } # value KEY LINE
holds() { awk "BEGIN { exit !($1) }" || { echo "not so: $1"; return 1; }; }

# -- pictures --------------------------------------------------------------------------------------------------------
nuts -n 5 | pixels > five.pam
ok "five pictures" count five.pam 5
nuts -n 3 --threads 1 | pixels > three.pam
ok "a picture does not depend on how many are drawn" begins three.pam five.pam
nuts -n 3 -l 0 | nuts -l 1 | nuts -l 3 - | pixels > piped.pam
ok "levels in a pipe are levels in one program" cmp three.pam piped.pam
nuts -n 3 --seed 2 | pixels > other.pam
ok "another seed, other pictures" differ three.pam other.pam
nuts -n 3 --data | pixels > other.pam
ok "chains in the coefficients" count other.pam 3
nuts -n 3 --joint | pixels > other.pam
ok "all levels jointly" count other.pam 3
wf-sample -q -m model -n 3 -l 1 | nuts --joint | pixels > other.pam
ok "two levels jointly, on drawn pictures" count other.pam 3
for T in 1 0.5; do
    nuts -n 32 -T $T --joint --draws 20 | wf-idwt -q | wf-dwt -q | wf-bpd -q -m model |
        awk '$1 == "total" { print $2 + 0 }' > bits.$T
done
ok "colder pictures are likelier" holds "$(cat bits.0.5) < $(cat bits.1) - 0.1"
nuts -n 2 -T 0.9,0.5 | pixels > list.pam
nuts -n 2 -T 0.9 -l 0 | nuts -T 0.5 | pixels > same.pam
ok "temperatures of levels" cmp list.pam same.pam

# -- draws -----------------------------------------------------------------------------------------------------------
nuts -n 2 --thin 4 | pixels > thin.pam
ok "--thin writes more than the last draw" count thin.pam 4
nuts -n 2 | pixels > last.pam
nuts -n 1 --thin 4 | pixels > both.pam
ok "--thin counts back from the last draw" cmp <(tail -c "$(($(stat -c %s both.pam) / 2))" both.pam) \
    <(head -c "$(($(stat -c %s last.pam) / 2))" last.pam)
nuts -n 2 --chains 3 | pixels > chains.pam
ok "--chains" count chains.pam 6
nuts -n 0 > none.wf
ok "no pictures" bash -c 'wf-idwt -q < none.wf | cmp - /dev/null'

# -- given pictures --------------------------------------------------------------------------------------------------
printf 'P6 4 4 255\n%048d' 0 > four.ppm
printf 'P6 5 3 255\n%045d' 0 > odd.ppm
nuts --from four.ppm | wf-idwt -q -o big > log
ok "--from enters at the level of its size" test -s big/00000000.png
nuts --from odd.ppm --scale 4 | pixels > big.pam
ok "--scale takes any size" grep -aq '^WIDTH 20' big.pam
status 64 "--from and -n" wf-nuts -q -m model --from four.ppm -n 3
status 66 "--from nothing" wf-nuts -q -m model --from none.ppm

# -- pictures with missing pixels --------------------------------------------------------------------------------------
"$DEADLEAVES" -q -n 3 -s 8 --seed 4 > whole.pam
{ printf 'P5 8 8 255\n' && printf '\377%.0s' $(seq 32) && printf '0%.0s' $(seq 32); } > upper.pgm
printf 'P5 4 4 255\n%016d' 0 > small.pgm
printf 'P5 8 8 255\n%064d' 0 > none.pgm
wf-dwt -q whole.pam | pixels > whole.want
each=$(($(stat -c %s whole.want) / 3)) head=$(($(stat -c %s whole.want) / 3 - 192))
lower() { for i in 0 1 2; do tail -c "+$((i * each + head + 97))" "$1" | head -c 96; done; }
nuts --from whole.pam --mask upper.pgm | pixels > filled.pam
ok "--mask keeps observed pixels" cmp <(lower filled.pam) <(lower whole.want)
ok "--mask draws missing pixels" differ filled.pam whole.want
wf-dwt -q whole.pam | nuts --mask upper.pgm - | pixels > same.pam
ok "--mask: pictures from a stream" cmp filled.pam same.pam
head -c "$(($(stat -c %s whole.pam) / 3))" whole.pam > one.pam
nuts --from one.pam --mask upper.pgm --chains 2 | pixels > chains.pam
ok "--mask: --chains" count chains.pam 2
nuts --from one.pam --mask upper.pgm | pixels > alone.pam
ok "--mask: a picture does not depend on the number drawn" begins alone.pam filled.pam
# greys FILE: the luma 0.299 R + 0.587 G + 0.114 B of P6 or PAM pixels after a header of $head bytes
greys() { tail -c "+$((head + 1))" "$1" | od -An -v -tu1 -w3 | awk '{ print 0.299 * $1 + 0.587 * $2 + 0.114 * $3 }'; }
nuts --from one.pam --grey > grey.wf
head -c "$each" whole.want > one.want
wf-idwt -q grey.wf > grey.pam
paste <(greys grey.pam) <(greys one.want) |
    awk '{ d = $1 - $2; if (d * d > worst) worst = d * d } END { print sqrt(worst) }' > worst
ok "--grey keeps greys, except for rounding and clipped pixels" holds "$(cat worst) < 25"
ok "--grey draws colours" differ grey.pam one.want
nuts --from one.pam --grey --mask upper.pgm | pixels > both.pam
ok "--grey --mask keeps observed greys" cmp <(tail -c 96 both.pam) <(tail -c 96 one.want)
status 64 "--mask without pictures" wf-nuts -q -m model -n 2 --mask upper.pgm
status 64 "--grey with a scale" wf-nuts -q -m model --from one.pam --grey --scale 2
status 64 "a mask of nothing" wf-nuts -q -m model --from one.pam --mask none.pgm
status 65 "a mask of another size" wf-nuts -q -m model --from one.pam --mask small.pgm
status 66 "a mask that is not there" wf-nuts -q -m model --from one.pam --mask nowhere.pgm
status 64 "--mask and small pictures" wf-nuts -q -m model --from four.ppm --mask upper.pgm

# -- diagnostics -----------------------------------------------------------------------------------------------------
nuts -n 4 --report report.json > out.wf
ok "the report has a line for each level" test "$(wc -l < report.json)" = 4
for key in acceptance step_low depth divergences rhat ess_bulk ess_tail ebfmi gradients computed; do
    for level in 1 2 3 4; do ok "report: $key of line $level" test -n "$(value $key $level)"; done
done
nuts -n 64 --joint --adapt 100 --draws 50 --target-accept 0.5 --report report.json > out.wf
low=$(value acceptance 1)
nuts -n 64 --joint --adapt 100 --draws 50 --target-accept 0.9 --report report.json > out.wf
ok "--target-accept" holds "$low > 0.4 && $low < 0.7 && $(value acceptance 1) > 0.82 && $(value acceptance 1) < 0.97"
ok "a joint chain covers all levels" holds "$(value first 1) == 0 && $(value last 1) == 3"
nuts -n 4 --max-depth 1 --report report.json > out.wf
ok "--max-depth" holds "$(value depth 4) <= 1"
nuts -n 4 --adapt 40 --mass diagonal > mass.wf
nuts -n 4 --adapt 40 > out.wf
ok "--mass diagonal gives other draws" differ <(pixels < mass.wf) <(pixels < out.wf)
nuts -n 4 --strict > strict.wf 2> log
ok "--strict exits with 70 after too few draws" test $? = 70
ok "the message says so" grep -q 'not shown to have converged' log
status 74 "a report that cannot be written" wf-nuts -q -m model -n 4 --report none/report.json
status 65 "a pipe without a byte" bash -c 'true | wf-nuts -q -m model'
ok "--strict loses nothing" \
    bash -c 'wf-idwt -q < strict.wf > strict.pam && cmp -n $(stat -c %s three.pam) strict.pam three.pam'
ok "--strict passes with enough" \
    nuts -n 1 -l 0 -T 1 --adapt 200 --draws 1000 --chains 4 --max-rhat 1.02 --min-ess 400 --strict

nuts -n 300 -l 1 --report report.json | pixels > batches.pam # of 256 chains
ok "in batches" count batches.pam 300
nuts -n 256 -l 1 --report first.json | pixels > first.pam
ok "a picture does not depend on the next one" begins first.pam batches.pam
ok "the report covers all draws" \
    holds "$(value chains 2) == 300 && $(value gradients 2) > $(sed -n '2s/.*"gradients":\([0-9]*\).*/\1/p' first.json)"

# -- interruption ----------------------------------------------------------------------------------------------------
long=(wf-nuts -q -m model --adapt 6 -n 4 --chains 2 --thin 50 --draws 300)
"${long[@]}" > want.wf
"${long[@]}" --state run > whole.wf
ok "--state changes nothing" cmp <(pixels < want.wf) <(pixels < whole.wf)
for signal in TERM KILL; do
    rm -rf run && mkdir run && touch run/level-00.batch-000000.safetensors.0123.tmp
    interrupted=0 rc=1
    for try in $(seq 60); do
        { timeout -s $signal "$(awk "BEGIN { print 0.3 * 1.06 ^ $try }")" "${long[@]}" --state run --save-every 0.05 \
            > have.wf; } 2> log
        rc=$?
        [ $rc = 0 ] && break
        interrupted=$((interrupted + 1))
    done
    ok "chains interrupted by $signal finish when run again" test $rc = 0
    ok "they were interrupted" test $interrupted -gt 0
    ok "nothing is left half-written" bash -c '! ls run/*.tmp'
    ok "the bytes are the same" cmp <(pixels < want.wf) <(pixels < have.wf)
done
wf-nuts -q -m model -n 64 --adapt 100 --draws 100000 --state twice > twice.wf 2> log &
pid=$!
until [ -e twice/lock ]; do sleep 0.05; done
sleep 0.3
kill -TERM $pid; sleep 0.005; kill -TERM $pid # as timeout does, which signals the program and its group
wait $pid
ok "a second SIGTERM does not keep the chains from being saved" test $? = 75
status 65 "a state of another run" "${long[@]}" --state run --seed 2
exec 9> run/lock && flock 9
status 75 "a state that another run holds" "${long[@]}" --state run
exec 9>&-
printf 'rubbish' > run/level-00.batch-000000.safetensors
status 65 "a state that is none" "${long[@]}" --state run

# -- bad usage -------------------------------------------------------------------------------------------------------
status 64 "no model" wf-nuts -n 1
status 66 "a model that is not there" wf-nuts -m none -n 1
status 64 "--latent and --data" wf-nuts -m model --latent --data -n 1
status 64 "--mass without adaptation" wf-nuts -m model --mass diagonal -n 1
status 64 "a mass that is none" wf-nuts -m model --mass heavy -n 1
status 64 "a temperature of nothing" wf-nuts -m model -T 0 -n 1
status 64 "a level that the model has not" wf-nuts -m model -l 9 -n 1
nuts -n 1 -l 2 > two.wf
status 64 "a level that is there already" wf-nuts -m model -l 1 two.wf
status 64 "a level below the input" bash -c 'wf-nuts -m model -l 1 - < two.wf'
status 65 "a stream that was cut off" bash -c 'head -c 700 two.wf | wf-nuts -q -m model -'
status 75 "a full disk" bash -c 'wf-nuts -q -m model -n 1 > /dev/full'
