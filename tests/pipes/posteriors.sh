#!/usr/bin/env bash
# posteriors.sh - wf-nuts --noise: draws and summaries of measured pictures
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1
train_small model || fail "training"

nuts() { wf-nuts -q -m model --adapt 6 --draws 8 --max-depth 4 "$@"; }
pixels() { wf-idwt -q; }
pictures() { grep -ac '^TUPLTYPE' "$1"; }
count() { [ "$(pictures "$1")" = "$2" ] || { echo "$(pictures "$1") pictures, want $2"; return 1; }; }
differ() { ! cmp -s "$1" "$2"; }
body() { tail -c $((192 * ($2 + 1) + head * ($2 + 1))) "$1" | tail -c +$((head + 1)) | head -c 192; } # from the end, from 0
# root FILE FILE: the root of the mean square of differences between pixels
root() { cmp -l "$1" "$2" | awk '{ d = oct($2) - oct($3); s += d * d } END { printf "%.0f\n", sqrt(s / 192) }
    function oct(t,  i, v) { for (i = 1; i <= length(t); i++) v = 8 * v + substr(t, i, 1); return v }'; }
holds() { awk "BEGIN { exit !($1) }" || { echo "not so: $1"; return 1; }; }

"$DEADLEAVES" -q -n 2 -s 8 --seed 4 > two.pam
wf-dwt -q two.pam | pixels > two.want
head=$(($(stat -c %s two.want) / 2 - 192))
{ printf 'P5 8 8 255\n' && printf '\377%.0s' $(seq 32) && printf '0%.0s' $(seq 32); } > upper.pgm
printf 'P5 3 3 255\n000020000' > psf.pgm
printf 'P5 2 3 255\n000020' > even.pgm
printf 'P5 3 3 255\n\0\0\0\0\0\0\0\0\0' > black.pgm
printf 'P6 4 4 255\n%048d' 0 > four.ppm

# -- draws -----------------------------------------------------------------------------------------------------------
nuts --from two.pam --noise 9 | pixels > draws.pam
ok "a draw of each measured picture" count draws.pam 2
wf-dwt -q two.pam | nuts --noise 9 - | pixels > same.pam
ok "measured pictures from a stream" cmp draws.pam same.pam
nuts --from two.pam --noise 9 --chains 2 | pixels > chains.pam
ok "--chains" count chains.pam 4
nuts --from two.pam --noise 9 --data | pixels > data.pam
ok "chains in the coefficients" count data.pam 2
nuts --from two.pam --noise 9 --mass unit | pixels > unit.pam
ok "--mass unit gives other draws" differ draws.pam unit.pam
nuts --from two.pam --noise 9 -T 0.5 | pixels > cold.pam
ok "-T anneals the prior" differ draws.pam cold.pam
nuts --from two.pam --noise 9 --blur psf.pgm | pixels > blur.pam
ok "--blur gives other draws" differ draws.pam blur.pam
nuts --from four.ppm --noise 9 | pixels > large.pam
ok "smaller pictures are measurements of averages" count large.pam 1

# -- what the measurement says -----------------------------------------------------------------------------------------
long=(wf-nuts -q -m model --from two.pam --chains 2 --adapt 40 --draws 20 --max-depth 5 --out "mean,std")
"${long[@]}" --noise 4 > sharp.wf
pixels < sharp.wf > sharp.pam
"${long[@]}" --noise 4 --mask upper.pgm | pixels > masked.pam
"${long[@]}" --noise 60 | pixels > blunt.pam
ok "--out mean,std: a record for each" count sharp.pam 4
for i in 0 1; do
    body two.want $i > true.$i
    for kind in sharp masked blunt; do
        body $kind.pam $((i + 2)) > $kind.mean
        body $kind.pam $i | od -An -v -tu1 | awk '{ for (i = 1; i <= NF; i++) s += $i; n += NF } END { print s / n }' > $kind.std
    done
    ok "with little noise the mean of picture $i is what was measured" holds "$(root true.$i sharp.mean) <= 4"
    ok "and its std is that of the noise" holds "$(cat sharp.std) > 2 && $(cat sharp.std) < 4.5"
    ok "more noise leaves more doubt" holds "$(cat blunt.std) > 2 * $(cat sharp.std)"
    ok "so do missing pixels" holds "$(cat masked.std) > 1.5 * $(cat sharp.std)"
    tail -c 96 masked.mean > lower.have && tail -c 96 true.$i > lower.want
    ok "given pixels stay near what was measured" holds "$(root lower.have lower.want) <= 4"
done
wf-idwt -q -o numbered < sharp.wf > log
ok "numbers are those of the pictures times the words" test "$(echo numbered/*)" = \
    "$(printf "%s " numbered/0000000{0,1,2,3}.png | sed "s/ $//")"
nuts --from two.pam --noise 9 --chains 2 --thin 4 --out q0,draws,q100 > list.wf
ok "--out draws writes each kept draw" count <(pixels < list.wf) $((2 * (2 + 4)))
nuts --from two.pam --noise 9 --thin 4 --out draws | pixels > kept.pam
nuts --from two.pam --noise 9 --thin 4 | pixels > thin.pam
ok "they are those of --thin" same <(body kept.pam 0) <(body thin.pam 0)
nuts --from two.pam --mask upper.pgm --out mean | pixels > filled.pam
ok "--out of missing pixels without noise" count filled.pam 2
ok "leaves given pixels as they are" same <(body filled.pam 0 | tail -c 96) <(body two.want 0 | tail -c 96)

# -- interruption ------------------------------------------------------------------------------------------------------
run=(wf-nuts -q -m model --from two.pam --noise 9 --chains 2 --adapt 10 --draws 40 --max-depth 4 --out "mean,q05,q95")
"${run[@]}" > want.wf
tries=0
for try in $(seq 60); do
    timeout -s KILL "$(awk "BEGIN { print 0.4 * 1.1 ^ $try }")" "${run[@]}" --state run --save-every 0.02 > have.wf 2> log && break
    tries=$((tries + 1))
done 2> /dev/null
ok "it was interrupted" test $tries -gt 0
ok "interrupted chains finish with the same summaries" same <(pixels < want.wf) <(pixels < have.wf)
status 65 "a state of other noise" wf-nuts -q -m model --from two.pam --noise 8 --chains 2 --adapt 10 --draws 40 --max-depth 4 --state run

# -- refusals ----------------------------------------------------------------------------------------------------------
status 64 "--noise without pictures" wf-nuts -q -m model -n 2 --noise 9
status 64 "--noise and --grey" wf-nuts -q -m model --from two.pam --noise 9 --grey
status 64 "no noise" wf-nuts -q -m model --from two.pam --noise 0
status 64 "--blur without noise" wf-nuts -q -m model --from two.pam --blur psf.pgm
status 64 "--out of nothing given" wf-nuts -q -m model -n 2 --out mean
status 64 "--out and --shard" wf-nuts -q -m model --from two.pam --noise 9 --out mean --shard 1/2
status 64 "the deviation of one draw" wf-nuts -q -m model --from two.pam --noise 9 --out mean,std --draws 1
status 64 "expected masses without noise" wf-nuts -q -m model -n 2 --mass expected
status 64 "--out of another word" wf-nuts -q -m model --from two.pam --noise 9 --out mean,median
status 64 "--out of a quantile above 100" wf-nuts -q -m model --from two.pam --noise 9 --out q101
status 65 "a blur of even sides" wf-nuts -q -m model --from two.pam --noise 9 --blur even.pgm
status 65 "a blur of colours" wf-nuts -q -m model --from two.pam --noise 9 --blur four.ppm
status 65 "a black blur" wf-nuts -q -m model --from two.pam --noise 9 --blur black.pgm
status 66 "a blur that is not there" wf-nuts -q -m model --from two.pam --noise 9 --blur none.pgm
