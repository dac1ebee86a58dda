#!/usr/bin/env bash
# dwt.sh - wf-dwt and wf-idwt: every pixel of every kind of picture comes back, and every loss is reported
. "$(dirname "$0")/lib.sh"

# picture HEADER BYTES: a picture of random samples; the samples alone go to the file `body`
picture() {
    head -c "$2" /dev/urandom > body
    printf '%b' "$1"
    cat body
}
# back FILE...: `wf-dwt FILE | wf-idwt` ends in the bytes of `body`
back() { wf-dwt -q "$@" | wf-idwt -q | tail -c "$(stat -c %s body)" | cmp - body; }

# -- every pixel comes back ------------------------------------------------------------------------------------------
for size in 1x1 2x2 3x5 1x64 96x160 160x96 33x47 768x512 1024x1024; do
    H=${size%x*} W=${size#*x}
    picture "P6\n$W $H\n255\n" $((H * W * 3)) > x.ppm
    ok "$size comes back" back x.ppm
done
picture 'P5\n96 64\n255\n' $((96 * 64)) > x.pgm
ok "grey comes back" back x.pgm
picture 'P6\n96 64\n65535\n' $((96 * 64 * 6)) > x16.ppm
ok "16 bits come back" back x16.ppm
picture 'P7\nWIDTH 32\nHEIGHT 64\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n' $((32 * 64 * 4)) > x.pam
ok "RGB and alpha come back" back x.pam
wf-dwt -q x.pam | wf-idwt -q -o png
ok "through PNG files, too" back png
gzip -k x.pam && tar cf x.tar x.pam.gz
ok "gzipped in a tar, too" back x.tar
ok "with the reference backend, too" back --backend ref x.pam
wf-dwt -q x16.ppm | wf-idwt -q -o png16
tail -c $((96 * 64 * 6)) x16.ppm > body
ok "16 bits come back through PNG" back png16

"$DEADLEAVES" -q -n 3 -s 16 --seed 5 > a.ppm
"$DEADLEAVES" -q -n 5 -s 16 --seed 5 | head -c "$(stat -c %s a.ppm)" > b.ppm
ok "generated pictures do not depend on their number" same a.ppm b.ppm

# -- streams, levels, names ------------------------------------------------------------------------------------------
"$DEADLEAVES" -q -n 50 -s 32 > many.ppm
wf-dwt -q many.ppm > many.wf
wf-idwt -q many.wf > many.pam
wf-dwt -q --batch 7 - < many.ppm | wf-idwt -q > batch.pam
ok "the batch changes nothing" same many.pam batch.pam
wf-idwt -q many.wf -o out
ok "one file for each picture" test "$(find out -name '*.png' | wc -l) $(find out | sort | sed -n '2p;$p' | xargs)" \
    = "50 out/00000000.png out/00000049.png"
wf-dwt -q out | wf-idwt -q > out.pam
ok "PNG files hold the same pixels" same many.pam out.pam
for L in 0 1 4 5; do
    wf-idwt -q -l $L many.wf > a.pam
    wf-dwt -q -l $L many.ppm | wf-idwt -q > b.pam
    ok "level $L alone is level $L of all" same a.pam b.pam
    ok "level $L has its size" test "$(grep -a -m 1 WIDTH a.pam)" = "WIDTH $((1 << L))"
done
wf-dwt -q --base 4 many.ppm | wf-idwt -q -l 0 > a.pam
wf-dwt -q --levels 3 many.ppm | wf-idwt -q -l 0 > b.pam
ok "--base 4 of 32 is three levels" same a.pam b.pam
ok "and its base is 4 pixels wide" grep -aq 'WIDTH 4$' a.pam
wf-dwt -q --resize 4x4 --levels 0 many.ppm | wf-idwt -q > b.pam
ok "the base is the box average" same a.pam b.pam
wf-dwt -q many.ppm | wf-idwt -q --grid grid.png
ok "a grid of 50 is 8 by 7" test "$(wf-dwt grid.png 2>&1 > /dev/null)" \
    = "wf-dwt: 1 picture of 230x263, 3 channels, 8 bits; 0 levels"
wf-dwt -q -o - many.ppm | wf-idwt -q --grid - - > dash.png
ok "the same grid on standard output" same grid.png dash.png
wf-idwt -q -o - many.wf > dash.pam
ok "- as a folder is the PAM stream" same many.pam dash.pam
ok "no file is called -" test ! -e ./-
wf-dwt -q many.ppm | wf-idwt -q --grid grid.png --columns 50
ok "a grid of 50 columns has one row" test "$(wf-dwt grid.png 2>&1 > /dev/null)" \
    = "wf-dwt: 1 picture of 32x1649, 3 channels, 8 bits; 0 levels"
cat x.ppm x.pam > mixed
status 65 "pictures of two sizes" wf-dwt mixed
ok "cropping and --channels make them one set" wf-dwt --crop 32x32 --channels 3 mixed
picture 'P5\n64 64\n255\n' 4096 > grey.pgm
wf-dwt -q --channels 4 grey.pgm | wf-idwt -q -o grey
ok "grey to RGB and alpha and back" back --channels 1 grey

# -- memory ----------------------------------------------------------------------------------------------------------
peak() { sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$1/status"; }
if [[ ${B:-build} == *san* ]]; then
    skip "memory is not measured with sanitizers"
else
    mkfifo pipe
    wf-dwt -q pipe > /dev/null &
    exec 3> pipe
    "$DEADLEAVES" -q -n 2000 -s 8 >&3
    sleep 0.5 && first=$(peak $!)
    "$DEADLEAVES" -q -n 18000 -s 8 >&3
    sleep 0.5 && second=$(peak $!)
    exec 3>&-
    wait $!
    ok "20,000 pictures need no more memory than 2,000: $first, $second kB" test $((second - first)) -lt 2048
fi

mkfifo crew
OMP_NUM_THREADS=8 wf-dwt -q --threads 2 crew > /dev/null &
exec 3> crew
"$DEADLEAVES" -q -n 600 -s 32 >&3
sleep 0.5 && threads=$(find "/proc/$!/task" -mindepth 1 -maxdepth 1 | wc -l)
exec 3>&-
wait $!
ok "two workers are two threads, not teams: $threads" test "$threads" = 2

# -- stores ----------------------------------------------------------------------------------------------------------
head -c $((20 * 3085)) many.ppm > some.ppm
wf-dwt -q -o whole.store many.ppm
ok "a store is verified" wf-info --verify whole.store
status 64 "a store is not written over" wf-dwt -o whole.store many.ppm
head -c $((30 * 3085 + 100)) many.ppm > cut.ppm
status 65 "a cut-off input leaves the store open" wf-dwt --batch 10 -o part.store cut.ppm
status 65 "an open store is no input" wf-info --verify part.store
contents() { wf-info --verify "$1" | grep -o 'hash.*'; }
ok "the same command continues with all pictures" wf-dwt --batch 10 -o part.store many.ppm
ok "the store equals an uninterrupted one" test "$(contents part.store)" = "$(contents whole.store)"
tail -c +$((20 * 3085 + 1)) many.ppm > rest.ppm
for flags in "-l 5" "-l 0" "--levels 0"; do
    # shellcheck disable=SC2086 # words
    wf-dwt -q $flags -o "all$flags" many.ppm
    # shellcheck disable=SC2086
    wf-dwt -q $flags -o "one$flags" some.ppm
    # shellcheck disable=SC2086
    ok "--append adds pictures with $flags" wf-dwt $flags --append -o "one$flags" rest.ppm
    ok "the store equals one filled at once, with $flags" test "$(contents "one$flags")" = "$(contents "all$flags")"
done
# rounds NAME COMMAND...: runs COMMAND, which makes the store NAME, and kills it a little later each time, until the
# store is complete
rounds() {
    local rc=137 store=$1
    shift
    kills=0
    while [ $rc = 137 ]; do
        "$@" -o "$store" 2> said &
        sleep "$(printf '%d.%03d' $((kills / 50)) $((kills % 50 * 20 + RANDOM % 20)))"
        kill -9 $! 2> /dev/null
        wait $! 2> /dev/null
        rc=$?
        kills=$((kills + (rc == 137)))
    done
    return $rc
}
"$DEADLEAVES" -q -n 20000 -s 16 > crowd.ppm
for threads in 1 2 3; do
    (mkdir "t$threads" && cd "t$threads" && OMP_NUM_THREADS=$threads wf-dwt -q -o crowd.store ../crowd.ppm)
done
ok "the store is the same bytes with 1 and 2 threads" same t1/crowd.store/data.mdb t2/crowd.store/data.mdb
ok "and with 3" same t1/crowd.store/data.mdb t3/crowd.store/data.mdb
rounds killed.store wf-dwt -q --threads 2 crowd.ppm
ok "the same command finishes after repeated kills" wf-info --verify killed.store
ok "the command was killed more than twice" test "$kills" -gt 2
ok "with the same contents" test "$(contents killed.store)" = "$(contents t1/crowd.store)"
mkdir folder && cp some.ppm folder
status 64 "a store in a folder of pictures" wf-dwt -o folder some.ppm
ok "the folder of pictures is unchanged" test "$(ls folder)" = some.ppm
cp some.ppm killed.store/note
status 65 "what lies beside a store is no matter" wf-dwt --append --levels 2 -o killed.store some.ppm
rm killed.store/note
status 64 "a complete store is not begun again" wf-dwt -o killed.store crowd.ppm
status 65 "--append wants the same kind" wf-dwt --append --levels 2 -o part.store many.ppm
head -c $((700 * 781)) crowd.ppm > early.ppm # a picture of 16x16 is 781 bytes
tail -c +$((700 * 781 + 1)) crowd.ppm > late.ppm
head -c $((5000 * 781)) crowd.ppm > part.ppm
mkfifo slow
wf-dwt -q -o half.store slow &
exec 3> slow && cat part.ppm >&3
for _ in {1..100}; do [ "$(stat -c %s half.store/data.mdb 2> log || echo 0)" -lt 1000000 ] && sleep 0.05; done
kill -9 $! && wait $! 2> log
exec 3>&-
status 65 "a store that goes on wants all pictures again" wf-dwt -o half.store early.ppm
status 65 "and the same" wf-dwt -o half.store late.ppm
ok "given the stream training ends" wf-dwt -q -o half.store crowd.ppm
ok "the result equals that of one run" test "$(contents half.store)" = "$(contents t1/crowd.store)"

wf-dwt -q -o grown.store early.ppm
before=$(contents grown.store) after=$(contents t1/crowd.store)

# A command that is refused leaves pictures that the same command continues with, and that no other is held up by.
head -c $((5000 * 781 + 100)) crowd.ppm > cut.ppm
refuse() { rm -rf refused.store && status 65 "cut off behind pictures that were kept" wf-dwt -q -o refused.store cut.ppm; }
continued() { # continued CONTENTS ARGUMENT...: how many pictures the store held, after a command that succeeds
    wf-dwt -o refused.store "${@:2}" 2> said && [ "$(contents refused.store)" = "$1" ] &&
        sed -n 's/.*the store held \([0-9]*\) pictures already/\1/p' said
}
refuse
ok "the same command continues after it was refused" test "$(continued "$after" crowd.ppm)" = 5000
refuse
wf-dwt -q -o bits.store --bits 5 crowd.ppm
ok "another depth begins anew" test -z "$(continued "$(contents bits.store)" --bits 5 crowd.ppm || echo failed)"
wf-dwt -q -o late.store late.ppm
refuse
ok "another first picture begins anew" test -z "$(continued "$(contents late.store)" late.ppm || echo failed)"
from_pipe() { wf-dwt -q -o refused.store - < late.ppm && [ "$(contents refused.store)" = "$(contents late.store)" ]; }
refuse
ok "also in a pipe" from_pipe
{ head -c 781 crowd.ppm && cat late.ppm; } > mixed.ppm
wf-dwt -q -o mixed.store mixed.ppm
refuse
ok "another last picture begins anew" test -z "$(continued "$(contents mixed.store)" mixed.ppm || echo failed)"
refuse
ok "as do fewer pictures" test -z "$(continued "$(contents grown.store)" early.ppm || echo failed)"
shorter() { head -c $((700 * 781)) crowd.ppm | wf-dwt -q -o refused.store -; }
refuse
status 65 "a pipe cannot be read twice" shorter
ok "but once more" shorter

true > changed; true > seen
add() { # looks at the store, then goes on with it, unless it was killed when all but its exit was done
    local now
    now=$(contents grown.store)
    [ "$now" != "$after" ] || exit 0
    [ "$now" = "$before" ] || echo "after $kills kills" >> changed
    wf-info grown.store | grep unsealed >> seen
    exec wf-dwt -q --append "$@" late.ppm
}
rounds grown.store add
ok "--append finishes after repeated kills" test -s seen
ok "readers saw the sealed contents" test ! -s changed
ok "the pictures equal those of one run" test "$(contents grown.store)" = "$after"

# -- faults ----------------------------------------------------------------------------------------------------------
for n in 1 100 5000 $(($(stat -c %s many.wf) - 1)); do
    head -c "$n" many.wf > cut.wf
    status 65 "a stream cut off at $n" wf-idwt cut.wf
    status 65 "no grid of a stream cut off at $n" wf-idwt cut.wf --grid never.png
done
ok "nothing under the grid's name" test ! -e never.png
# Makes a stream whose two pictures have one index: overwrites the second index, then replaces the hash by the one in
# the error message.
head -c $((2 * 3085)) many.ppm | wf-dwt -q -l 5 > twice.wf
header=$(od -A n -t u8 -N 8 twice.wf)
head -c 8 /dev/zero | dd of=twice.wf bs=1 seek=$((8 + header + 8)) conv=notrunc status=none
LC_ALL=C sed -i "$(wf-info twice.wf 2>&1 |
    sed 's/.*hash of the stream is \(.*\), but \(.*\) in its end record$/s,\2,\1,/')" twice.wf
ok "two pictures of one number in a PAM stream" sh -c 'wf-idwt -q twice.wf > twice.pam'
status 65 "but not as files of one name" wf-idwt twice.wf -o twice
head -c 2000 out/00000007.png > out/00000050.png
status 65 "a damaged PNG among good ones" wf-dwt out
wf-dwt out > dwt.out 2> said
ok "is named" grep -q out/00000050.png said
status 65 "no picture at all" wf-dwt /dev/null
mkdir empty && status 65 "an empty folder" wf-dwt empty
status 66 "a missing file" wf-dwt missing.png
status 66 "a missing stream" wf-idwt missing.wf
status 65 "no stream" wf-idwt many.ppm
status 65 "a level that is not there" wf-idwt -l 6 many.wf
status 65 "too many levels" wf-dwt --levels 6 many.ppm
status 65 "a base that cannot be" wf-dwt --base 3 many.ppm
status 65 "a crop larger than the picture" wf-dwt --crop 33x32 many.ppm
status 65 "colour does not become grey" wf-dwt --channels 1 many.ppm
for flags in --nonsense "--levels x" "--levels 17" "-l -1" "--crop 3" "--crop 0x3" "--crop 3x3x" "--resize 70000x1" \
    "--wavelet none" "--levels 1 --base 2" --append "--channels 5" "--backend none" "--batch 0"; do
    # shellcheck disable=SC2086 # words
    status 64 "wf-dwt $flags" wf-dwt $flags many.ppm
done
for flags in --nonsense "-o a --grid b" "--columns 3" "many.wf many.wf" "-l x"; do
    # shellcheck disable=SC2086
    status 64 "wf-idwt $flags" wf-idwt $flags many.wf
done
if command -v script > terminal; then
    script -qec "wf-dwt x.ppm" /dev/null > terminal < /dev/null
    ok "no coefficients on a terminal" grep -q 'wf-dwt: .*terminal' terminal
else
    skip "script is not installed"
fi
full() { "$@" > /dev/full; }
status 75 "wf-dwt on a full disk" full wf-dwt many.ppm
status 75 "wf-idwt on a full disk" full wf-idwt many.wf
status 75 "a grid on a full disk" full wf-idwt --grid - many.wf
limited() { (ulimit -f 1 && "$@"); } # KiB
limited_to() { limited "$@" > limited.out; }
status 75 "a PAM stream over the limit on file sizes" limited_to wf-idwt many.wf
status 75 "a PNG file over it" limited wf-idwt --grid limited.png many.wf
status 74 "a grid where there is no folder" wf-idwt --grid nodir/x.png many.wf
# shellcheck disable=SC2016 # for the inner shell
ok "a reader that leaves early ends it quietly" \
    bash -c 'wf-dwt -q many.ppm many.ppm many.ppm 2> said | head -c 10 > start
        test ${PIPESTATUS[0]} = 141 -a ! -s said'

# -- pictures of other people ----------------------------------------------------------------------------------------
for file in celebahq1024_png_dev3.tar bsds500_box64_png_dev300.tar cifar10_lossless_b1_0000-2999.bin; do
    if from=$(data $file); then
        wf-dwt -q "$from" | wf-idwt -q > a.pam
        wf-dwt -q "$from" | wf-idwt -q -o "png.$file"
        wf-dwt -q "png.$file" | wf-idwt -q > b.pam
        ok "$file through coefficients, PNG and again" cmp a.pam b.pam
    else
        skip "$file is not here"
    fi
done
if from=$(data cifar10_lossless_b1_0000-2999.bin) && png=$(data cifar10_lossless_png_dev1000.tar); then
    head -c $((1000 * 3073)) "$from" | wf-dwt -q | wf-idwt -q > a.pam
    wf-dwt -q "$png" | wf-idwt -q > b.pam
    ok "CIFAR-10 as binary and as PNG are the same pictures" same a.pam b.pam
else
    skip "CIFAR-10 is not here"
fi

# -- fewer pictures, and random crops of them ------------------------------------------------------------------------
"$DEADLEAVES" -q -n 5 -s 24 > five.ppm
"$DEADLEAVES" -q -n 3 -s 24 > three.ppm
ok "the first three" same <(wf-dwt -q -n 3 five.ppm | wf-idwt -q) <(wf-dwt -q three.ppm | wf-idwt -q)
ok "-n beyond the end reads all pictures" \
    same <(wf-dwt -q -n 9 five.ppm | wf-idwt -q) <(wf-dwt -q five.ppm | wf-idwt -q)
anywhere() { wf-dwt -q --random-crop 16x16 --seed "$1" five.ppm | wf-idwt -q; }
ok "a random crop is the same again" same <(anywhere 1) <(anywhere 1)
ok "and another with another seed" bash -c '! cmp -s "$0" "$1"' <(anywhere 1) <(anywhere 2)
ok "the size is the one given" bash -c 'head -n 3 "$0" | grep -q "WIDTH 16"' <(anywhere 1)
ok "a random crop of full size is the whole picture" \
    same <(wf-dwt -q --random-crop 24x24 five.ppm | wf-idwt -q) <(wf-dwt -q five.ppm | wf-idwt -q)
status 65 "a crop larger than the picture" wf-dwt --random-crop 32x32 five.ppm
status 64 "a crop without a size" wf-dwt --random-crop 32 five.ppm
