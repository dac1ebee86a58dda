#!/usr/bin/env bash
# given.sh - levels that are given a label or a number of each picture: training, Bayes' rule, drawing, and rejected input
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1
says() { # says CODE TEXT COMMAND...
    status "$1" "$2" "${@:3}"
    cp .log said && ok "the message says: $2" grep -qF -- "$2" said
}
# npy DESCR SHAPE < BYTES: an array as numpy.save writes it
npy() {
    local header="{'descr': '$1', 'fortran_order': False, 'shape': $2, }"
    printf '\x93NUMPY\x01\x00\x76\x00%-117s\n' "$header"
    cat
}
# noise N SEED: N pictures of 4x4 pixels of noise, alternately dark and bright
noise() {
    local i
    for ((i = 0; i < $1; i++)); do
        printf 'P6 4 4 255\n'
        # shellcheck disable=SC2059 # the format is 48 bytes
        printf "$(awk -v s=$(($2 + i * 7919)) -v up=$((40 + i % 2 * 80)) 'BEGIN { for (i = 0; i < 48; i++) { s = (s * 69069 + 1) % 4294967296; printf "\\%03o", up + s / 16777216 / 4 } }')"
    done
}
noise 64 1 | wf-dwt -q -o train.store
noise 40 77 | wf-dwt -q -o test.store
for _ in {1..32}; do printf '\0\1'; done | npy '|u1' '(64,)' > train.npy
for _ in {1..20}; do printf '\0\1'; done | npy '|u1' '(40,)' > test.npy
train() { wf-train-level -q "$@" -s train.store -f "3*(actnorm, conv1x1, affine:width=8:blocks=1), actnorm" --batch 16 --steps 500 --lr 1e-2 --ema 0.9 --warmup 5; }
train_levels() { for level in 0 1 2; do train -l $level "$@" || return; done; }

# -- labels ----------------------------------------------------------------------------------------------------------
ok "trains with labels" train_levels -m model --given train.npy
ok "the level's file says so" grep -qx 'given *labels 2' <(wf-info model/level-00.safetensors | sed 's/^ *//')
ok "and without" train_levels -m plain
bits() { wf-bpd -q -m "$@" -s test.store | awk '$1 == "total" { print $2 }'; }
ok "labels make pictures more probable: $(bits model --given test.npy), not $(bits plain)" \
    awk -v a="$(bits model --given test.npy)" -v b="$(bits plain)" 'BEGIN { exit !(a > 0 && a < b - 0.003) }'
wf-bpd -m model -s test.store --given test.npy --given-grid labels > grid.tsv 2> said
ok "Bayes' rule finds most: $(tail -n 1 said)" awk '/most|best row/ && $11 >= 38 { found = 1 } END { exit !found }' said
ok "40 lines, and heads" test "$(wc -l < grid.tsv) $(head -n 1 grid.tsv | tr '\t' ' ')" = "41 name best p given 0 1"
ok "the probability follows from both likelihoods" awk -F '\t' 'NR > 1 { d = $5 > $6 ? $6 - $5 : $5 - $6; p = 1 / (1 + exp(d)); e = p - $3
    if (e * e > 1e-8 || ($6 > $5) != ($2 == 1)) exit 1 }' grid.tsv
wf-bpd -q -m model -s test.store --given test.npy --per-image > each.tsv
ok "likelihoods are those of the label alone" bash -c 'paste <(tail -n +2 "$1") <(tail -n +2 "$2") |
    awk -F "\t" "{ want = -\$8 * 48 * log(2); have = \$4 == 1 ? \$6 : \$5; d = have - want; if (d * d > 1e-4) exit 1 }"' - grid.tsv each.tsv
npy '|u1' '(2,)' < <(printf '\1\0') > swapped.npy
wf-bpd -q -m model -s test.store --given-grid swapped.npy > swapped.tsv
ok "a file of labels is a grid" cmp <(cut -f 5,6 grid.tsv | tail -n +2) <(awk -F '\t' 'NR > 1 { print $5 "\t" $4 }' swapped.tsv)
wf-bpd -q -m model -s test.store --given-grid labels --json > grid.json
ok "as JSON" grep -qE '^\{"index": 0, "best": \[[01]\], "p": [01]\.[0-9]{6}, "log_likelihoods": \[-[0-9.]+, -[0-9.]+\]\}$' grid.json
# mean SAMPLES...: of all samples
mean() {
    wf-sample -q -m model -n 32 "$@" | wf-idwt -q > drawn.pam
    local head
    head=$(sed '/^ENDHDR$/q' drawn.pam | wc -c)
    od -An -v -tu1 "-w$((head + 48))" drawn.pam | awk -v head="$head" '{ for (i = head + 1; i <= NF; i++) { s += $i; n++ } } END { print s / n }'
}
dark=$(mean --given 0) bright=$(mean --given 1)
ok "pictures drawn dark are dark, $dark, and bright ones bright, $bright" awk -v a="$dark" -v b="$bright" 'BEGIN { exit !(a > 50 && a < 95 && b > 130 && b < 175) }'
wf-sample -q -m model -n 40 --given test.npy -o mixed.wf
wf-sample -q -m model -n 40 --given 1 -o bright.wf
picture() { wf-view -q "$1" --range "$2" | wf-idwt -q; } # picture STREAM RANGE
ok "a row for each picture" cmp <(picture mixed.wf 3:4) <(picture bright.wf 3:4)
ok "which differ" bash -c '! cmp -s "$0" "$1"' <(picture mixed.wf 2:3) <(picture bright.wf 2:3)
ok "exported" wf-export -q -m model -o exported
ok "gives the same figures" cmp <(wf-bpd -q -m model --given test.npy -s test.store) <(wf-bpd -q -m exported --given test.npy -s test.store)
ok "held-out pictures keep their rows" train -l 0 -m held --given train.npy --val 10%
ok "begins with other weights" train -l 0 -m begun --init model --given train.npy

# -- numbers ---------------------------------------------------------------------------------------------------------
for _ in {1..32}; do printf '\0\0\0\0\0\0\200\077'; done | npy '<f4' '(64, 1)' > train-f.npy
ok "trains with numbers" train_levels -m real --given train-f.npy
printf '\0\0\0\0\0\0\0\077\0\0\200\077' | npy '<f4' '(3,)' > three.npy
wf-bpd -q -m real -s test.store --given-grid three.npy > three.tsv
ok "0 and 1 are found, 0.5 lies between" awk -F '\t' 'NR > 1 { n += (NR % 2 ? $2 == 1 : $2 == 0) } END { exit !(n >= 36) }' three.tsv
ok "heads are the numbers" test "$(head -n 1 three.tsv | cut -f 4-6 | tr '\t' ' ')" = "0 0.5 1"
middle=$(wf-sample -q -m real -n 32 --given 0.5 | wf-idwt -q | wc -c)
ok "draws by a number" test "$middle" -gt 512

# -- rejected input --------------------------------------------------------------------------------------------------
says 64 "level 0 was trained with a label of each picture: give it labels" wf-bpd -m model -s test.store
says 64 "level 0 was trained with numbers of each picture: give it numbers" wf-bpd -m real -s test.store
says 64 "level 0 was trained without --given" wf-bpd -m plain -s test.store --given test.npy
says 64 "plain was trained without --given" wf-bpd -m plain -s test.store --given-grid labels
says 64 "real was trained with numbers: give a .npy of rows to compare" wf-bpd -m real -s test.store --given-grid labels
says 65 "test.npy: 40 rows, but there are 64 pictures in train.store" wf-bpd -m model -s train.store --given test.npy
says 65 "three.npy: row 1 is label 0.5, and model was trained with 0 to 1" wf-bpd -m model -s test.store --given-grid three.npy
printf '\0\1' | npy '|u1' '(1, 2)' > wide.npy
for _ in {1..40}; do printf '\0\1'; done | npy '|u1' '(40, 2)' > pairs.npy
says 65 "wide.npy: 2 numbers a row, and model was trained with a label" wf-bpd -m model -s test.store --given-grid wide.npy
says 65 "pairs.npy: 2 numbers a row, and model was trained with a label" wf-bpd -m model -s test.store --given pairs.npy --given-grid labels
head -c 168 test.npy | sed 's/(40,)/(20,)/' > short.npy
wf-view -q test.store --range 15:35 -o late.store
says 65 "short.npy: 20 rows, and none for picture 20" wf-bpd -m model -s late.store --given short.npy --given-grid labels
for option in --per-image "--top 3" "--iw 2"; do
    # shellcheck disable=SC2086 # words
    says 64 "--given-grid excludes --per-image, --top and --iw" wf-bpd -m model -s test.store --given-grid labels $option
done
{ for _ in {1..32}; do printf '\0\0\0\0\0\0\200\077'; done; } | npy '<f4' '(64,)' > floats.npy
says 65 "the hash of --given was" train -l 0 -m model --given floats.npy --steps 600
says 64 "needs a store" wf-bpd -m model --given-grid labels < <(noise 4 1 | wf-dwt -q)
says 65 "test.npy: 40 rows, but there are 64 pictures in train.store" train -l 0 -m new --given test.npy
printf '\200' | npy '|u1' '(1,)' > far.npy
says 65 "far.npy: row 0 is label 128, expected 0 to 63" train -l 0 -m new --given far.npy
ok "no folder is left" test ! -e new
says 64 "so --val must be a part of these" train -l 0 -m new --given train.npy --val test.store
says 65 "expected a .npy, as numpy.save writes it" train -l 0 -m new --given grid.tsv
says 66 "nowhere.npy" train -l 0 -m new --given nowhere.npy
says 64 "was trained with another --given" train -l 0 -m new --init plain --given train.npy
says 64 "chains of lattice take no --given" wf-train-level -q -l 1 -m new -s train.store --given train.npy -f exact --steps 1
says 64 "level 0 was trained with a label of each picture" wf-sample -m model -n 1 -o x.wf
says 65 "row 0 is label 2, and level 0 was trained with 0 to 1" wf-sample -m model -n 1 --given 2 -o x.wf
says 65 "2 numbers a row, and level 0 was trained with a label" wf-sample -m model -n 1 --given 1,0 -o x.wf
says 65 "40 rows, and none for picture 40" wf-sample -m model -n 41 --given test.npy -o x.wf
says 64 "level 0 was trained without --given" wf-sample -m plain -n 1 --given 1 -o x.wf
says 64 "level 0 was trained with --given: chains take none" wf-nuts -m model -n 1 --draws 2 -o x.wf
says 64 "was trained with a label" wf-encode -m model -o x.wf test.store
says 64 "was trained with a label" wf-score -m model --ref test.store test.store
