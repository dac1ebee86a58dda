#!/usr/bin/env bash
# score.sh - wf-score: strangers are out, the false positive rate holds, figures are those of wf-bpd and of PNG, and rejected input
. "$(dirname "$0")/lib.sh"

score() { wf-score -q -m model --ref ref.store "$@"; }
column() { awk -F '\t' -v head="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == head) c = i; next } { print $c }' "$2"; }
share_out() { column verdict "$1" | awk '{ n += $1 == "out" } END { print n / NR }'; }
between() { awk -v x="$1" -v low="$2" -v high="$3" 'BEGIN { exit !(x >= low && x <= high) }'; }

train_small model || exit 1
"$DEADLEAVES" -q -n 199 -s 8 --seed 5 | wf-dwt -q -o ref.store
"$DEADLEAVES" -q -n 400 -s 8 --seed 9 > in.ppm
wf-dwt -q -o in.store < in.ppm
# noise N: N pictures of independent bytes
noise() {
    local i
    for ((i = 1; i <= $1; i++)); do
        printf 'P6 8 8 255\n'
        # shellcheck disable=SC2059 # the format is 192 bytes
        printf "$(awk -v s=$((i * 7919)) 'BEGIN { for (i = 0; i < 192; i++) { s = (s * 69069 + 1) % 4294967296; printf "\\%03o", s / 16777216 } }')"
    done
}
noise 40 | wf-dwt -q -o noise.store
for i in {1..40}; do
    # shellcheck disable=SC2059 # bytes
    printf 'P6 8 8 255\n' && for _ in {1..64}; do printf "\\$(printf %03o $((6 * i)))\\$(printf %03o $((250 - 5 * i)))\\$(printf %03o $((3 * i)))"; done
done | wf-dwt -q -o constant.store

# -- verdicts --------------------------------------------------------------------------------------------------------
score in.store > in.tsv
score noise.store > noise.tsv
score constant.store > constant.tsv
# Four standard deviations of a share of 400 pictures, about a rate that 199 reference pictures give.
ok "false positives at 0.05: $(share_out in.tsv)" between "$(share_out in.tsv)" 0 0.12
score in.store --fpr 0.3 > wide.tsv
ok "false positives at 0.3: $(share_out wide.tsv)" between "$(share_out wide.tsv)" 0.14 0.46
ok "all noise is out" test "$(share_out noise.tsv)" = 1
ok "all constants are out: $(share_out constant.tsv)" test "$(share_out constant.tsv)" = 1
mean_total() { column total "$1" | awk '{ s += $1 } END { print s / NR }'; }
ok "though constants are more probable" between "$(mean_total constant.tsv)" 0 "$(mean_total in.tsv)"
ok "p at another rate is the same" cmp <(column p in.tsv) <(column p wide.tsv)
ok "p lies between 1/200 and 1" bash -c '[ "$(sort -g "$0" | head -n 1)" = 0.005000 ] && awk "\$1 > 1 { exit 1 }" "$0"' <(column p noise.tsv)
ok "out is p at most the rate" awk -F '\t' 'NR > 1 && ($3 <= 0.05) != ($2 == "out") { exit 1 }' in.tsv

# -- figures ---------------------------------------------------------------------------------------------------------
wf-bpd -q -m model --per-image -s in.store > bpd.tsv
for head in total level0 level1 level2 level3; do
    ok "$head is that of wf-bpd" cmp <(column $head bpd.tsv) <(column $head in.tsv)
done
ok "level 0 is one pixel, without neighbours" test "$(column across0 in.tsv | sort -u) $(column down1 in.tsv | sort -u)" = "- -"
ok "latents of level 3 are about noise" between "$(column variance3 in.tsv | awk '{ s += $1 } END { print s / NR }')" 0.5 2
ok "those of noise are not" between "$(column variance3 noise.tsv | awk '{ s += $1 } END { print s / NR }')" 3 1e9
score ref.store > ref.tsv
wf-bpd -q -m model -s ref.store > ref-bpd.tsv
mean=$(awk '$1 == "total" { print $2 }' ref-bpd.tsv)
ok "typicality is the distance from the mean" bash -c 'paste <(cut -f 1 "$1") <(cut -f 1 "$2") | awk -v m="$3" \
    "{ d = \$1 - m; d = d < 0 ? -d : d; if (d > 1) { r = d / \$2; if (!a || r < a) a = r; if (r > b) b = r; n++ } }
     END { exit !(n > 5 && b / a < 1.05) }"' - <(column total noise.tsv) <(column typicality noise.tsv) "$mean"
ok "the reference beside itself: $(share_out ref.tsv)" between "$(share_out ref.tsv)" 0 0.07
if command -v python3 > /dev/null; then
    wf-idwt -q -o files constant.store
    ok "corrected is total less PNG, which is small here" python3 -c '
import sys
for total, corrected in zip(*(map(float, open(f)) for f in sys.argv[1:])):
    assert 57 * 8 / 192 < total - corrected < 100 * 8 / 192, (total, corrected)' <(column total constant.tsv) <(column corrected constant.tsv)
else
    skip "python3"
fi

# -- results depend on pictures alone --------------------------------------------------------------------------------
ok "threads change nothing" cmp in.tsv <(score --threads 1 in.store)
ok "nor does a stream" cmp in.tsv <(wf-dwt -q --batch 7 < in.ppm | score)
ok "nor a stream for reference" cmp in.tsv <(wf-score -q -m model --ref <(wf-view -q ref.store) in.store)
ok "nor other pictures beside" cmp <(head -n 11 in.tsv) <(head -c 2030 in.ppm | wf-dwt -q | score)
ok "-s is the operand" cmp in.tsv <(score -s in.store)
ok "the seed is that of the noise" bash -c '! cmp -s in.tsv <(wf-score -q -m model --ref ref.store --seed 1 in.store)'
ok "in double precision nearly the same" bash -c 'paste <(cut -f 4 in.tsv) <(wf-score -q -m model --ref ref.store --backend ref in.store | cut -f 4) |
    awk "NR > 1 { d = \$1 - \$2; if (d > 1e-3 || d < -1e-3) exit 1 }"'

# -- names and JSON --------------------------------------------------------------------------------------------------
mkdir some && wf-idwt -q -o some noise.store && mv some/00000003.png some/'an "odd" name.png'
wf-dwt -q some 2> /dev/null | score > named.tsv
wf-dwt -q some 2> /dev/null | score --json > named.json
ok "names" grep -q $'^an "odd" name.png\tout\t' named.tsv
ok "a number in place of a name" grep -q $'^39\tout\t' noise.tsv
ok "one object a picture" test "$(wc -l < named.json)" = 40
ok "JSON" bash -c 'grep -Eq "^\{\"index\": 39, \"name\": \"an .\"odd.\" name.png\", \"verdict\": \"out\", \"p\": 0.005000, \"bpd\": [0-9.]+, \"corrected\": [-0-9.]+, \"typicality\": [0-9.]+, \"levels\": \[\{\"level\": 0, \"bpd\": [-0-9.]+, \"mean\": [-0-9.]+, \"variance\": [0-9.]+, \"across\": null, \"down\": null\}, .*\]\}$" named.json'
ok "JSON without names" grep -q '^{"index": 0, "verdict"' <(score --json noise.store)
ok "no figure is nan" bash -c '! grep -Eiq "nan|inf[^o]" named.json noise.tsv constant.tsv in.tsv'

# -- maps ------------------------------------------------------------------------------------------------------------
map_means() { local f; for f in "$1"/*.map.npy; do od -A n -v -t f4 -w4 -j 128 "$f" | awk '{ s += $1; n++ } END { printf "%.6f\n", s / n }'; done; }
near() { paste "$1" "$2" | awk '{ d = $1 - $2; if (d > 3e-6 || d < -3e-6) bad++; n++ } END { exit bad || !n }'; }
score --map maps --json in.store > mapped.json
ok "a map changes no figure" cmp mapped.json <(score --json in.store)
ok "two files a picture" test "$(find maps -type f | wc -l)" = 800
ok "the mean of a map is the total" near <(map_means maps) <(column total in.tsv)
ok "a map varies" test "$(od -A n -v -t f4 -w4 -j 128 maps/00000000.map.npy | sort -u | wc -l)" -ge 16
ok "it has the picture's size" grep -aq "'<f4', 'fortran_order': False, 'shape': (8, 8), }" maps/00000000.map.npy
ok "as a picture too" test "$(wf-dwt -q maps/00000000.map.png | wf-info - | grep -c 8x8x3)" = 1
ok "names" test -s "$(wf-dwt -q some 2> /dev/null | score --map named.maps > /dev/null && echo 'named.maps/an "odd" name.map.png')"
echo mine > 'named.maps/an "odd" name.png'
ok "older maps are replaced, pictures are not" sh -c 'wf-dwt -q some 2> /dev/null | wf-score -q -m model --ref ref.store --map named.maps > /dev/null && test "$(cat named.maps/an*name.png)" = mine'

# -- levels of exact probabilities -----------------------------------------------------------------------------------
"$DEADLEAVES" -q -n 64 -s 8 | wf-dwt -q -o train.store
ok "a model of whole numbers" wf-train-level -q -m exact -s train.store -f lattice:width=4:blocks=1 --steps 20 --batch 8 --val none
wf-score -q -m exact --ref ref.store noise.store > exact.tsv
ok "has no latents" test "$(column mean3 exact.tsv | sort -u)$(column down3 exact.tsv | sort -u)" = "--"
ok "and finds noise: $(share_out exact.tsv)" test "$(share_out exact.tsv)" = 1
wf-score -q -m exact --ref ref.store noise.store --map exact.maps > /dev/null
ok "its maps have the totals" near <(map_means exact.maps) <(column total exact.tsv)
ok "null in JSON" grep -q '"level": 3, "bpd": [0-9.]*, "mean": null, "variance": null' <(wf-score -q -m exact --ref ref.store --json noise.store)

# -- the store of the training ---------------------------------------------------------------------------------------
"$DEADLEAVES" -q -n 400 -s 8 --seed 3 | wf-dwt -q -o whole.store
ok "a model that held out some" wf-train-level -q -m part -s whole.store -f actnorm --steps 9 --batch 8 --val 10%
wf-score -m part --ref whole.store noise.store 2> said > part.tsv
ok "those are the reference" grep -q '40 pictures of 8x8x3 beside 40$' said
ok "a picture of 41 is the strangest" test "$(column p part.tsv | sort -g | head -n 1)" = 0.024390
wf-score -m exact --ref train.store noise.store 2> said > none
ok "one that was trained on is told" grep -q '^wf-score: train.store: level [0-9]* was trained on all of it' said

# -- rejected input --------------------------------------------------------------------------------------------------
says() { # says CODE TEXT COMMAND...
    status "$1" "$2" "${@:3}"
    cp .log said && ok "the message says: $2" grep -qF -- "$2" said
}
says 64 "-m MODEL is needed" wf-score --ref ref.store in.store
says 64 "--ref STORE is needed" wf-score -m model in.store
cp -r model moved && rm moved/level-03.*
ok "a chain that reshapes" wf-train-level -q -l 3 -m moved -s train.store -f 'haar, actnorm' --steps 2 --batch 8 --val none
for rate in 0 1 -0.1 1.5; do says 64 "--fpr $rate: expected a number between 0 and 1" wf-score -m model --ref ref.store --fpr $rate in.store; done
says 64 "which a map needs" wf-score -m moved --ref ref.store in.store --map nowhere
says 64 "found no name" wf-score -m model --ref ref.store in.store --map ''
says 64 "in.ppm: " wf-score -m model --ref ref.store in.store --map in.ppm
status 64 "a rate that is not a number" wf-score -m model --ref ref.store --fpr x in.store
status 64 "two inputs" wf-score -m model --ref ref.store in.store noise.store
says 64 "standard input cannot be both" wf-score -m model --ref - < /dev/null
says 65 "ref.store: 199 reference pictures, and a false positive rate of 0.001 needs at least 999" wf-score -m model --ref ref.store --fpr 0.001 in.store
says 65 "whole.store: 40 reference pictures that training held out, and a false positive rate of 0.01 needs at least 99" \
    wf-score -m part --ref whole.store --fpr 0.01 noise.store
"$DEADLEAVES" -q -n 18 -s 8 --seed 4 | wf-dwt -q -o few.store
says 65 "few.store: 18 reference pictures, and a false positive rate of 0.05 needs at least 19" wf-score -m model --ref few.store in.store
"$DEADLEAVES" -q -n 19 -s 8 --seed 4 | wf-dwt -q -o enough.store
ok "one more is enough" test "$(share_out <(wf-score -q -m model --ref enough.store noise.store))" = 1
"$DEADLEAVES" -q -n 20 -s 16 | wf-dwt -q -o large.store
printf 'P5 8 8 255\n%64s' '' | wf-dwt -q -o grey.store
wf-dwt -q --bits 5 < in.ppm | wf-view -q -o bits.store
wf-dwt -q -w db2 < in.ppm | wf-view -q -o other.store
while IFS='|' read -r store text; do
    says 65 "$store.store: $text" wf-score -m model --ref "$store.store" in.store
    says 65 "$store.store: $text" wf-score -m model --ref ref.store "$store.store"
done << 'END'
large|pictures are 16x16, but 8x8
grey|channels is 1, but 3
bits|bits is 5, but 8
other|wavelet is db2, but haar
END
wf-view -q -l 1-3 in.store -o upper.store
says 65 "upper.store: holds no level 0" wf-score -m model --ref upper.store in.store
says 65 "upper.store: holds no level 0" wf-score -m model --ref ref.store upper.store
wf-view -q -l 0-2 in.store > lower.wf
status 65 "pictures without their highest level" wf-score -m model --ref ref.store lower.wf
status 66 "a reference that is not there" wf-score -m model --ref none.store in.store
status 66 "pictures that are not there" wf-score -m model --ref ref.store none.store
wf-dwt -q < in.ppm | head -c 90000 > cut.wf
status 65 "a stream that was cut off" wf-score -q -m model --ref ref.store cut.wf
status 75 "a full disk" bash -c 'wf-score -m model --ref ref.store in.store > /dev/full'

# -- Ctrl-C ----------------------------------------------------------------------------------------------------------
wf-dwt -q --batch 7 < in.ppm > batches.wf
mkfifo slow
(head -c $(($(wc -c < batches.wf) * 9 / 10)) batches.wf; exec sleep 5) > slow & # enough for batches of the highest level
feeder=$!
wf-score -m model --ref ref.store slow > none.tsv 2> said &
pid=$!
within 10 grep -q beside said && sleep 1 && kill -TERM $pid
wait $pid
ok "SIGTERM" test $? = 143
kill $feeder
ok "the reference is not counted: $(tail -n 1 said)" bash -c 'tail -n 1 said | grep -Exq "wf-score: interrupted after [123][0-9][0-9] pictures; nothing is printed" && ! [ -s none.tsv ]'
