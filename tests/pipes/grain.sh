#!/usr/bin/env bash
# grain.sh - textured leaves of the generator, and the program coherence, which measures how far their grain agrees
. "$(dirname "$0")/lib.sh"

sum_of() { cksum | cut -d ' ' -f 1; }

# refused NAME PATTERN COMMAND...: exit code 64 or 65 with one line that fits
refused() {
    local rc=0
    "${@:3}" > /dev/null 2> err < /dev/null || rc=$?
    ok "$1" test "$rc $(wc -l < err) $(grep -cE "$2" err)" = "${code:-64} 1 1"
}

# -- the generator ---------------------------------------------------------------------------------------------------
# Sums of the bytes before there was a grain.
ok "pictures without options are those of every version" test "$("$DEADLEAVES" -q -n 3 -s 32 --seed 1 | sum_of)" = 1503954704
ok "also of odd size" test "$("$DEADLEAVES" -q -n 2 -s 33 | sum_of)" = 3899752425

leaves() { "$DEADLEAVES" -q -n 100 -s 64 --radius 10 --seed 5 "$@"; }
leaves --grain 10 > grain.ppm
ok "textured pictures are the same on every machine" test "$(sum_of < grain.ppm)" = 4130895739
ok "a picture does not depend on how many there are" same <("$DEADLEAVES" -q -n 3 -s 64 --radius 10 --seed 5 --grain 10) <(head -c $((3 * (64 * 64 * 3 + 13))) grain.ppm)
wf-dwt -q grain.ppm > grain.wf
leaves --grain 10 --shuffled | wf-dwt -q > shuffled.wf
leaves --labels | wf-dwt -q > labels.wf

# apart A B LEVEL: the largest difference of two streams at a level, in grey values
apart() {
    paste <(wf-idwt -q -l "$3" < "$1" | od -An -v -tu1 -w1) <(wf-idwt -q -l "$3" < "$2" | od -An -v -tu1 -w1) |
        awk '{ d = $1 > $2 ? $1 - $2 : $2 - $1; if (d > most) most = d } END { print most + 0 }'
}
# Four pixels, each rounded by at most a half: their means differ by at most 1.
ok "low-pass pictures have nothing of the grain" test "$(apart grain.wf shuffled.wf 5)" -le 1
ok "whole pictures do" test "$(apart grain.wf shuffled.wf 6)" -ge 40
refused "a grain needs whole blocks" '^deadleaves: -s 33: --grain .* even' "$DEADLEAVES" -s 33 --grain 10
refused "labels too" '^deadleaves: -s 33: .*--labels .* even' "$DEADLEAVES" -s 33 --labels
refused "no grain, nothing to shuffle" '^deadleaves: --shuffled: needs --grain' "$DEADLEAVES" -s 32 --shuffled

# -- the measure -----------------------------------------------------------------------------------------------------
# check FILE EXPRESSION: true for all rows up to 32 pixels, in columns d, pairs, same, error, pairs2, different, error2
check() {
    awk -F '\t' 'NR > 1 && $1 <= 32 {
        d = $1; pairs = $2; same = $3; error = $4; pairs2 = $5; different = $6; error2 = $7
        n++; if (!('"$2"')) { print; bad = 1 } } END { exit bad || n != 16 }' "$1"
}
"$COHERENCE" grain.wf > grain.tsv
"$COHERENCE" --segments labels.wf grain.wf > labels.tsv
"$COHERENCE" shuffled.wf > shuffled.tsv
ok "the grain of one disc agrees at every distance" check grain.tsv 'pairs > 5000 && same > 0.97 && same < 0.99 && error < 0.008'
ok "that of two discs does not" check grain.tsv 'd < 10 || (pairs2 > 5000 && different ^ 2 < 16 * error2 ^ 2)'
ok "discs by labels say the same" check labels.tsv 'same > 0.97 && same < 0.99 && (d < 10 || different ^ 2 < 16 * error2 ^ 2)'
ok "a shuffled grain agrees nowhere" check shuffled.tsv 'same ^ 2 < 16 * error ^ 2 && error < 0.01 && (d < 10 || different ^ 2 < 16 * error2 ^ 2)'

# Two pictures of 4x4 grey pixels, whose four blocks have one mean: four pairs each at a distance of two pixels, by awk.
printf 'P2 4 4 255 %s\n' '110 90 100 104 90 110 96 100 130 130 99 101 70 70 99 101' '95 105 80 120 95 105 80 120 100 100 100 100 100 100 104 96' > few.pgm
awk '{
    for (b = 0; b < 4; b++) {
        at = 5 + 8 * int(b / 2) + 2 * (b % 2)
        h[b] = $at + $(at + 1) - $(at + 4) - $(at + 5)
        v[b] = $at - $(at + 1) + $(at + 4) - $(at + 5)
        d[b] = $at - $(at + 1) - $(at + 4) + $(at + 5)
    }
    split("0 0 1 2", from, " "); split("1 2 3 3", to, " ")
    for (i = 1; i <= 4; i++) {
        p = from[i]; q = to[i]
        A[NR] += 2 * (h[p] * h[q] + v[p] * v[q] + d[p] * d[q])
        B[NR] += h[p] ^ 2 + v[p] ^ 2 + d[p] ^ 2 + h[q] ^ 2 + v[q] ^ 2 + d[q] ^ 2
    }
} END {
    b = B[1] + B[2]; r = (A[1] + A[2]) / b
    printf "2\t8\t%.4f\t%.4f\t0\t-\t-\n", r, sqrt(2 * ((A[1] - r * B[1]) ^ 2 + (A[2] - r * B[2]) ^ 2)) / b
}' few.pgm > want.tsv
ok "correlation and error are those by awk" cmp want.tsv <(wf-dwt -q few.pgm | "$COHERENCE" | tail -n 1)

# pairs COLOUR [OPTION...]: pairs at six pixels, of one disc and of two, where blocks of 100 and COLOUR touch. Only the first and
# the last column of 4x2 blocks have neighbours of their own colour alone. turned_pairs: the first and the last row of 2x4 blocks.
pairs() {
    { echo 'P2 8 4 255'; for _ in 1 2 3 4; do echo "90 110 90 110 $1 $1 $1 $1"; done; } | count "${@:2}"
}
turned_pairs() {
    { echo 'P2 4 8 255'; for _ in 1 2; do echo '90 110 90 110 110 90 110 90'; done; for _ in 1 2 3 4; do echo "$1 $1 $1 $1"; done; } | count "${@:2}"
}
count() { wf-dwt -q | "$COHERENCE" "$@" | awk '$1 == 6 { print $2, $5 } $1 < 6 && $5 != 0 { print "at", $1, $5 }'; }
ok "colours within the tolerance are one disc" test "$(pairs 104)" = '2 0'
ok "beyond it pairs do not count" test "$(pairs 105) $(pairs 108)" = '0 0 0 0'
ok "beyond twice the tolerance there are two" test "$(pairs 109)" = '0 2'
ok "in columns as in rows" test "$(turned_pairs 104) $(turned_pairs 108) $(turned_pairs 109)" = '2 0 0 0 0 2'
{ echo 'P2 8 4 255'; for _ in {1..32}; do echo 7; done; } | wf-dwt -q > flat.wf
ok "segments decide, if there are some" test "$(pairs 109 --segments flat.wf)" = '2 0'
ok "another tolerance" test "$(pairs 106 --tolerance 6) $(pairs 106 --tolerance 2)" = '2 0 0 2'

code=65
refused "fewer segments than pictures" 'found 99 pictures, expected as many' \
    "$COHERENCE" --segments <(wf-view -q -n 99 labels.wf) grain.wf
refused "segments of another size" '16x16' "$COHERENCE" --segments <("$DEADLEAVES" -q -n 1 -s 16 | wf-dwt -q) grain.wf
refused "a stream without details" 'level 0 alone' "$COHERENCE" <(wf-view -q -l 0 grain.wf)
header="{'descr': '|u1', 'fortran_order': False, 'shape': (1, 4, 4, 4, 1), }"
{ printf '\x93NUMPY\1\0%b%s' "\\0$(printf %o ${#header})\\0" "$header" && head -c 64 /dev/zero; } > volume.npy
refused "a volume" 'sounds or volumes' "$COHERENCE" <(wf-dwt -q --dims 3 volume.npy)
code=64
refused "one stream at a time" 'one stream' "$COHERENCE" grain.wf grain.wf

# -- the pipeline ----------------------------------------------------------------------------------------------------
# compare [VARIABLE...]: trains two small chains
compare() {
    env -u MAKEFLAGS make -C "$ROOT" -f pipelines/grain.mk compare BIN="${BIN:-bin}" B="${B:-build}" OUT="$WORK/out" JOBS=2 COUNT=64 \
        HELD=12 DRAWN=4 SHOWN=2 CHAINS='one two' steps-one=3 steps-two=4 flow-one='actnorm' flow-two='haar, actnorm' "$@"
}
ok "the pipeline compares chains" compare SEEDS=1
ok "another seed is added" compare SEEDS='1 2'
ok "and the table has both" grep -q '^| two | 2 | [1-9].[0-9]* +- 0.[0-9]* | [0-9.-]* +- [0-9.]* |' out/compare.md
ok "the data are there, and all of the gap" grep -qE '^\| data \| - \| - \| 0\.9[0-9]+ .* \| 1\.00 \|$' out/compare.md
ok "from the first chain" grep -qE '^\| one .* \| 0\.00 \|$' out/compare.md
ok "steps are those of the chain" grep -qaE '"step": ?"4"' out/two-2/level-06.safetensors
ok "three rows of two pictures" test "$(od -An -tu1 -j16 -N8 out/compare.png | tr -s ' ')" = ' 0 0 0 129 0 0 0 194'
