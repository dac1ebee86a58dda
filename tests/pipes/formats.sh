#!/usr/bin/env bash
# formats.sh - wf-dwt on lists of files, on bad pictures among good ones, and on other depths
. "$(dirname "$0")/lib.sh"

# pixel VALUE: a picture of one grey pixel
pixel() { printf 'P5 1 1 255\n%b' "\\x$1"; }
# values ARGUMENT...: the values of the pictures that wf-dwt reads, one pixel each
values() {
    wf-dwt -q --levels 0 "$@" | wf-idwt -q |
        LC_ALL=C sed -z 's/P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL [0-9]*\nTUPLTYPE GRAYSCALE\nENDHDR\n//g' |
        od -A n -v -t x1 | xargs
}
values_are() { test "$(values "${@:2}")" = "$1"; }

for v in 11 22 33 44; do pixel $v > $v.pgm; done
mkdir -p 'a folder' && pixel 55 > $'a folder/new\nline.pgm'

# -- lists -----------------------------------------------------------------------------------------------------------
printf '44.pgm\n\n11.pgm\na folder' > list
ok "a list after the operands, a folder in it, no newline at its end" values_are "22 44 11 55" --files-from list 22.pgm
from_stdin() { printf '33.pgm\n11.pgm\n' | values_are "33 11" --files-from -; }
ok "a list on standard input" from_stdin
from_find() { find . -name '[n1]*.pgm' -print0 | sort -z | values_are "11 55" --files-from - --null; }
ok "names with zero bytes behind them" from_find
status 65 "an empty list" wf-dwt --files-from /dev/null
status 66 "no list" wf-dwt --files-from missing
printf 'missing.pgm\n' > list
status 66 "a missing file in a list" wf-dwt --files-from list
printf '11.pgm\0' > list
status 65 "zero bytes where lines are wanted" wf-dwt --files-from list
head -c 5000 /dev/zero | tr '\0' x > list
status 65 "a path that cannot be" wf-dwt --files-from list
status 64 "--null alone" wf-dwt --null 11.pgm
status 64 "standard input for two things" wf-dwt --files-from - -

# -- bad pictures ----------------------------------------------------------------------------------------------------
mkdir bad && cp ./*.pgm bad
head -c 11 11.pgm > bad/25.pgm
echo nonsense > bad/35.png
status 65 "a bad picture" wf-dwt bad
status 65 "two, where one may be skipped" wf-dwt -q --skip-bad 1 bad
wf-dwt --levels 0 --skip-bad 2 bad > out.wf 2> said
ok "one line per bad picture, and a count" \
    test "$(grep -c 'skipped: bad/[23]5' said) $(grep -c 'skipped 2 bad' said)" = "2 1"
ok "the others are there" values_are "11 22 33 44" --skip-bad 2 bad
ok "at most the bad pictures are skipped" values_are "11 22 33 44" --skip-bad 9 bad
(cd bad && tar cf ../bad.tar -- * && gzip -k 25.pgm && tar cf ../twice.tar -- *.gz 44.pgm && rm -- *.gz)
ok "in an archive" values_are "11 22 33 44" --skip-bad 2 bad.tar
ok "compressed in an archive" values_are "44" --skip-bad 1 twice.tar
printf '11.pgm\nbad/25.pgm\n44.pgm\n' > list
ok "in a list" values_are "11 44" --skip-bad 1 --files-from list
status 65 "not in a stream, where the next cannot be found" sh -c 'cat 11.pgm bad/25.pgm | wf-dwt -q --skip-bad 9'
cat 11.pgm bad/25.pgm > two.pgm
ok "behind a good one, with the rest of its file" values_are "11 44" --skip-bad 1 two.pgm 44.pgm
{ cat 11.pgm && echo odd tail; } > tail.pgm
tar cf tail.tar tail.pgm 44.pgm
ok "an odd tail" values_are "11 44" --skip-bad 1 tail.pgm 44.pgm
ok "an odd tail in an archive" values_are "11 44" --skip-bad 1 tail.tar
mkdir links && cp 11.pgm 44.pgm links && ln -s nowhere links/25.pgm
status 66 "a link to nothing" wf-dwt links
ok "which is skipped" values_are "11 44" --skip-bad 1 links
printf '11.pgm\nmissing.pgm\n44.pgm\n' > list
status 66 "a missing file in a list of some" wf-dwt --files-from list
ok "which is skipped, too" values_are "11 44" --skip-bad 1 --files-from list
mkdir sizes && cp 11.pgm 44.pgm sizes && printf 'P5 2 1 255\nab' > sizes/25.pgm && printf 'P6 1 1 255\nabc' > sizes/26.ppm
status 65 "pictures of another size and other channels" wf-dwt -q --skip-bad 1 --levels 0 sizes
ok "which are skipped" values_are "11 44" --skip-bad 2 sizes
ok "they do not count among those to read" values_are "11 44" --skip-bad 2 -n 2 sizes
for threads in 1 3; do
    ok "into a store, with $threads threads" wf-dwt -q --levels 0 --skip-bad 2 --threads $threads -o sizes$threads.store sizes
done
contents() { wf-info --verify "$1" | grep -o 'hash.*'; }
ok "which is the same" test "$(contents sizes1.store)" = "$(contents sizes3.store)"
mv sizes/25.pgm sizes/00.pgm
status 65 "the first decides, though it is unlike the others" wf-dwt -q --skip-bad 2 sizes
head -c 3000 bad.tar > cut.tar
status 65 "nor where the archive itself is cut off" wf-dwt -q --skip-bad 9 cut.tar
status 66 "a missing file is none of them" wf-dwt -q --skip-bad 9 missing.pgm
wf-dwt -q --levels 0 --skip-bad 2 -o store bad
ok "a store takes more" wf-dwt -q --append --levels 0 --skip-bad 2 -o store bad bad/44.pgm
ok "the same pictures are skipped" grep -q 'pictures *9$' <(wf-info store)

# -- depth -----------------------------------------------------------------------------------------------------------
for v in 00 07 08 80 ff; do pixel $v; done > depth.pgm
ok "5 bits are the highest bits of 8" values_are "00 00 01 10 1f" --bits 5 depth.pgm
ok "1 bit is the highest bit of 8" values_are "00 00 00 01 01" --bits 1 depth.pgm
ok "16 bits are 257 times 8" values_are "00 00 07 07 08 08 80 80 ff ff" --bits 16 depth.pgm
wf-dwt -q --levels 0 --bits 5 depth.pgm | wf-idwt -q > five.pam
ok "5 bits come back" values_are "00 00 01 10 1f" --bits 5 five.pam
printf 'P5 1 1 65535\n\x12\x34' > deep.pgm
status 65 "two depths" wf-dwt 11.pgm deep.pgm
ok "resizing makes them one size" values_are "11 12" --bits 8 11.pgm deep.pgm
for flags in "--bits 0" "--bits 17" "--skip-bad -1" "--skip-bad x"; do
    # shellcheck disable=SC2086 # words
    status 64 "wf-dwt $flags" wf-dwt $flags 11.pgm
done

# -- what phones, cameras and recorders write -----------------------------------------------------------------------
corpus=$ROOT/tests/fuzz/corpus
cp "$corpus"/codecs/* "$corpus"/sounds/* .
read_one() { # read_one PATTERN ARGUMENT...: wf-dwt reads one picture or sound, and says PATTERN
    wf-dwt --levels 0 "${@:2}" 2> said > out.wf && grep -q ': 1 \(picture\|sound\) of ' said && grep -qF -- "$1" said
}
behind="left out bytes after the picture or sound in 1 file"
for from in jpeg-film jpeg-listed png-ends wav-tag; do
    ok "$from" read_one "$behind" $from
    ok "$from on standard input" read_one "$behind" - < $from
    tar cf one.tar $from
    ok "$from in an archive" read_one "$behind" one.tar
    gzip -c $from > one.gz
    ok "$from, compressed" read_one "$behind" one.gz
done
for from in jpeg-exif png-exif webp-exif; do
    ok "$from is turned, and counted" read_one "turned 1 picture upright" $from
    ok "to a picture that is higher" grep -q '16x8,' said
    ok "$from as it is stored" read_one "of 8x16," --no-rotate $from
    ok "which is not counted" test -z "$(grep turned said)"
done
mkdir turned && for name in a b c; do cp jpeg-exif turned/$name.jpg; done
wf-dwt -q turned | wf-idwt -q --names -o upright
ok "turned pictures keep their names" test "$(cd upright && echo *)" = "a.png b.png c.png"
# The first frame of the animations, and what libvips reads of one that covers a part of its canvas.
first_frame() { # first_frame CONDITION: samples of pixels x, y of 16x8, transparent unless the condition holds; "": opaque
    awk -v part="$1" 'BEGIN { for (y = 0; y < 8; y++) for (x = 0; x < 16; x++)
        if (!part || (x >= 4 && x < 12 && y >= 2 && y < 6)) {
            printf "%02x%02x%02x%s", x * 16, y * 32, (x + y) * 8, part ? "ff" : "" } else printf "00000000" }'
}
samples() { wf-dwt -q --levels 0 "$1" | wf-idwt -q | LC_ALL=C sed -z 's/^P7.*ENDHDR\n//' | od -An -v -tx1 | tr -d ' \n'; }
for from in png-animation webp-animation webp-animation-part; do
    took="took the first picture of 1 animation" part=${from#webp-animation} part=${part#png-animation}
    ok "$from" read_one "$took" $from
    ok "$from has the pixels of its first frame" test "$(samples $from)" = "$(first_frame "$part")"
    ok "$from on standard input" read_one "$took" - < $from
    tar cf one.tar $from
    ok "$from in an archive" read_one "$took" one.tar
    ok "$from, decoded in place" read_one "$took" --skip-bad 1 one.tar
    ok "$from in a survey" bash -c "wf-dwt --dry-run $from 2>&1 > log | grep -q '$took'"
done
ok "a still picture is not an animation" test -z "$(wf-dwt webp-lossless 2>&1 > log | grep animation)"
for from in wav rf64 aiff flac; do ok "$from" read_one "of 100," $from; done
mkdir mixed && cp jpeg mixed/a.jpg && cp jpeg-film mixed/b.jpg && cp png-ends mixed/c.png && cp jpeg-film mixed/film.mp4
printf '\0\0\0\x14ftypmp42\0\0\0\0isom' > mixed/d.mp4
wf-dwt --levels 0 --crop 8x8 mixed > out.wf 2> said
ok "a folder of a phone" test "$(grep -c 'bytes after the picture or sound in 3 files\|left out 1 file without\|4 pictures of' said)" = 3

# Rare kinds, by their headers: a JPEG of 12 bits and a JPEG-LS, and a PNG of Xcode.
for frame in '\0301\0\013\014' '\0367\0\013\010'; do
    printf '\377\330\377%b\0\010\0\010\1\1\021\0\377\332\0\010\1\1\0\0\77\0\377\331' "$frame" > rare.jpg
    status 65 "a rare kind of JPEG" wf-dwt rare.jpg
    cp .log said && ok "is named" grep -q 'rare.jpg: a rare kind of JPEG, which .* convert it' said
done
{ head -c 8 png && printf '\0\0\0\004CgBI\120\0\040\2\053\325\263\177' && tail -c +9 png; } > xcode.png
status 65 "a PNG of Xcode" wf-dwt xcode.png
cp .log said && ok "is named" grep -q 'xcode.png: a PNG as Xcode .* pngcrush' said

# -- kinds that are not read; messages.sh has all -------------------------------------------------------------------------------------------
mkdir others && printf '\200\4\225\1' > others/labels.pkl && printf %%PDF > others/paper.pdf && cp 11.pgm others
wf-dwt --levels 0 others > out.wf 2> said
ok "other kinds in a folder of pictures" test "$(grep -c 'left out 2 files without\|: 1 picture of' said)" = 2
printf '\0\0\0\030ftypheic' > others/b.heic
status 65 "but a picture that is not read is not lost" wf-dwt others
ok "and can be skipped" values_are 11 --skip-bad 1 others
rm others/11.pgm others/b.heic
status 65 "others alone" wf-dwt others
cp .log said && ok "the first is named" grep -q 'no picture in the input (2 other files, among them others/labels.pkl: a Python pickle: save' said

# -- arrays ----------------------------------------------------------------------------------------------------------
# npy SHAPE BYTES: an array of u1
npy() {
    local head="{'descr': '|u1', 'fortran_order': False, 'shape': ($1), }"
    printf '\x93NUMPY\1\0%b%s' "\\0$(printf %o ${#head})\\0" "$head"
    head -c "$2" /dev/zero
}
npy "100, 784" 78400 > flat.npy
ok "rows that may be pictures" read_one "is taken for one grey picture; if its rows are pictures of 28x28, save a.reshape(100,28,28)" flat.npy
wf-dwt --dry-run flat.npy > out 2> said
ok "also in a survey" grep -q "is taken for one grey picture" said
npy "5, 1" 5 > column.npy
status 65 "a column" wf-dwt column.npy
mkdir arrays && cp column.npy arrays && npy "5, 8, 8" 320 > arrays/pictures.npy
wf-dwt arrays 2> said > out.wf
ok "labels beside pictures" test "$(grep -c 'left out 1 array of labels\|5 pictures of 8x8' said)" = 2

# -- pictures of other people ----------------------------------------------------------------------------------------
# counts COUNT FILE...: wf-dwt reads COUNT pictures
counts() { wf-dwt --levels 0 "${@:2}" 2>&1 > /dev/null | grep -q ": $1 pictures"; }
# alike FILE...: the result is the same with --skip-bad, which decodes in place, and without, where workers decode
alike() {
    local options=(-q --resize 64x64 --channels 3 --batch 7)
    wf-dwt "${options[@]}" --skip-bad 1 "$@" | wf-idwt -q > in-place.pam
    for threads in 1 3; do
        wf-dwt "${options[@]}" --threads $threads "$@" | wf-idwt -q | cmp - in-place.pam || return
    done
}
if from=$(data mnist/t10k-images-idx3-ubyte.gz); then
    ok "MNIST's folder, labels beside the pictures" counts 20000 "$(dirname "$from")"
    last() { wf-dwt -q --levels 0 "$1" | wf-idwt -q | tail -c 784 | cmp - <(zcat "$1" | tail -c 784); }
    ok "the last digit too" last "$from"
else
    skip "mnist is not here"
fi
if from=$(data imagenet1k_original_jpeg_dev.tar); then
    ok "JPEG in a tar" counts 77 --resize 64x64 --channels 3 "$from"
    ok "the result is the same when workers decode" alike "$from"
    mkdir many && tar xf "$from" -C many
    ok "the same in a folder" alike many
    find many -name '*.JPEG' -print0 | sort -z | xargs -0 cat > jpegs
    ok "one after the other" alike jpegs
else
    skip "imagenet1k_original_jpeg_dev.tar is not here"
fi
if from=$(data lmdb_dev.tar.gz); then
    mkdir stores && tar xzf "$from" -C stores
    ok "WebP in LMDB, decoded by workers" alike stores/lmdb/scene_train_lmdb
    ok "JPEG in LMDB" alike stores/lmdb/scene_jpeg_lmdb
else
    skip "lmdb_dev.tar.gz is not here"
fi
