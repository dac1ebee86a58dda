#!/usr/bin/env bash
# nearest.sh - wf-nearest against distances that awk computes from pixels; its numbers, tables and errors
. "$(dirname "$0")/lib.sh"

# pictures N SEED: 8x8 pictures with multiples of 64 as samples, so that averages at every level are integers
pictures() {
    "$DEADLEAVES" -q -n "$1" -s 8 --seed "$2" | wf-dwt -q | wf-idwt -q | bytes 192 64 | while read -r line; do
        printf 'P6 8 8 255\n'
        # shellcheck disable=SC2059,SC2086 # the format is 192 bytes
        printf "$(printf '\\%03o' $line)"
    done | wf-dwt -q
}

# bytes N [UNIT] < PAM: a line per picture of N samples, rounded down to multiples of UNIT
bytes() {
    local header
    cat > stream.pam
    header=$(sed '/^ENDHDR$/q' stream.pam | wc -c)
    od -An -v -tu1 -w$((header + $1)) stream.pam |
        awk -v h="$header" -v unit="${2:-1}" '
            { for (i = h + 1; i <= NF; i++) printf "%d ", int($i / unit) * unit; print "" }'
}

# by_pixels K QUERIES STORE: the table, from files of bytes
by_pixels() {
    printf "picture\trank\tneighbour\tdistance\tname\tneighbour_name\n"
    awk 'FNR == NR { given[n++] = $0; next } { for (q = 0; q < n; q++) { split(given[q], v, " "); sum = 0
        for (i = 1; i <= NF; i++) sum += (v[i] - $i) ^ 2
        printf "%d %d %d\n", q, FNR - 1, sum } }' "$2" "$3" | sort -n -k 1,1 -k 3,3 -k 2,2 |
        awk -v k="$1" '{ rank = NR > 1 && $1 == last ? rank + 1 : 0; last = $1
            if (rank < k) printf "%d\t%d\t%d\t%.6g\t%d\t%d\n", $1, rank, $2, sqrt($3), $1, $2 }'
}

near() { wf-nearest -q -s store "$@"; }
pictures 600 1 > train.wf
pictures 12 2 > given.wf
ok "a store" bash -c 'wf-idwt -q < train.wf | wf-dwt -q -o store'

# -- distances -------------------------------------------------------------------------------------------------------
for level in 0 1 2 3; do
    for stream in train given; do
        wf-idwt -q -l $level < $stream.wf | tee $stream.pam | bytes "$((3 << (2 * level)))" > $stream.bytes
    done
    by_pixels 7 given.bytes train.bytes > want.tsv
    near -k 7 -l $level --distances - < given.wf > have.tsv
    ok "the nearest at level $level are those by pixels" cmp want.tsv have.tsv
done
near -k 7 --distances - --threads 1 < given.wf > one.tsv
ok "the highest level is the default, and threads change nothing" cmp want.tsv one.tsv
near --distances - train.wf > self.tsv
ok "a stored picture is its own nearest neighbour" test "$(awk 'NR > 1 && $1 == $3 && $4 == 0' self.tsv | wc -l)" = 600
"$DEADLEAVES" -q -n 1100 -s 8 --seed 3 | wf-dwt -q > many.wf
near --distances - many.wf > many.tsv
near --distances - < <("$DEADLEAVES" -q -n 20 -s 8 --seed 3 | wf-dwt -q) > few.tsv
ok "a picture's neighbours do not depend on how many pictures come" cmp few.tsv <(head -n 21 many.tsv)
ok "every picture has neighbours" test "$(cut -f 1 many.tsv | tail -n +2 | sort -un | wc -l)" = 1100

# -- pictures --------------------------------------------------------------------------------------------------------
wf-idwt -q -o all train.wf
wf-idwt -q -o queries given.wf
near -k 3 --distances table.tsv given.wf | wf-idwt -q -o near
ok "three files for each picture" test "$(cd near && echo [0-9]*.png | tr ' ' '\n' | tail -n 1)" = 00000035.png
ok "--distances does not change the table" cmp <(awk '$2 != "rank" && $2 < 3' have.tsv) <(tail -n +2 table.tsv)
they_are() { # they_are FOLDER EACH FIRST: rank r of picture i is file i * EACH + FIRST + r
    local picture rank neighbour
    while read -r picture rank neighbour _; do
        cmp "$1/$(printf %08d $((picture * $2 + $3 + rank))).png" "all/$(printf %08d "$neighbour").png" || return
    done < <(tail -n +2 table.tsv)
}
ok "the files are the pictures of the table" they_are near 3 0
near -k 3 --beside given.wf | wf-idwt -q -o beside
ok "--beside puts the neighbours one file later" they_are beside 4 1
ok "the picture itself comes first" \
    bash -c 'for i in $(seq 0 11); do
        cmp queries/$(printf %08d $i).png beside/$(printf %08d $((4 * i))).png || exit
    done'
ok "neighbours at level 1" bash -c 'wf-nearest -q -s store -l 1 given.wf | wf-idwt -q | grep -aq "^WIDTH 2"'
ok "neighbours of the base" bash -c 'wf-nearest -q -s store -l 0 given.wf | wf-idwt -q | grep -aq "^WIDTH 1"'
ok "provenance" bash -c 'wf-nearest -q -s store given.wf | wf-info - | grep -q "wf-nearest.* -s store given.wf"'

# -- names -----------------------------------------------------------------------------------------------------------
mkdir stored looked
for i in $(seq 0 5); do cp "all/0000000$i.png" "stored/s $i.png"; done
for i in 4 1; do cp "all/0000000$i.png" "looked/l $i.png"; done
wf-dwt -q -o named stored
wf-dwt -q looked > looked.wf
names() { wf-nearest -q -s "$1" --distances - "$2" | tail -n +2 | cut -f 5,6 | tr '\t\n' '|;'; }
ok "names of both" test "$(names named looked.wf)" = "l 1.png|s 1.png;l 4.png|s 4.png;"
wf-idwt -q looked.wf | wf-dwt -q > nameless.wf
ok "numbers of pictures without names" test "$(names named nameless.wf)" = "0|s 1.png;1|s 4.png;"
ok "numbers of neighbours without names" test "$(names store looked.wf)" = "l 1.png|1;l 4.png|4;"
wf-nearest -q -s named -k 2 --beside --distances two.tsv looked.wf | wf-idwt -q --names -o near-names
ok "pictures keep their names" bash -c 'cd near-names && cmp "l 4.png" ../all/00000004.png && cmp "s 4.png" ../all/00000004.png'
ok "both neighbours of one" test "$(find near-names -type f | wc -l)" = 6
cp all/00000002.png $'looked/x\ty.png' && wf-dwt -q looked > looked.wf
ok "a name with a tab" test "$(names named looked.wf | cut -d ';' -f 3)" = "x?y.png|s 2.png"

# -- what is refused -------------------------------------------------------------------------------------------------
wf-dwt -q -l 2 -o two < <(wf-idwt -q train.wf)
"$DEADLEAVES" -q -n 2 -s 16 | wf-dwt -q > large.wf
head -c -9 given.wf > cut.wf
status 64 "no store" wf-nearest given.wf
status 64 "two streams" wf-nearest -s store given.wf given.wf
status 64 "no neighbours" wf-nearest -s store -k 0 given.wf
status 66 "a store that is not there" wf-nearest -s none given.wf
status 66 "a stream that is not there" wf-nearest -s store none.wf
status 65 "pictures of another size" wf-nearest -q -s store large.wf
status 65 "a level that the store lacks" wf-nearest -q -s two given.wf
status 65 "a level above the stream's" wf-nearest -q -s store -l 4 given.wf
status 65 "more neighbours than there are pictures" wf-nearest -q -s store -k 601 given.wf
status 65 "a stream that was cut off" wf-nearest -q -s store --distances cut.tsv cut.wf
ok "it leaves no table" bash -c '[ -z "$(ls | grep ^cut.tsv)" ]'
status 74 "a table in no folder" wf-nearest -q -s store --distances none/table.tsv given.wf
