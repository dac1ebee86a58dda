#!/usr/bin/env bash
# pack.sh - pictures to an archive and back by a model of whole numbers: sizes, depths, names, damage, the same bytes
. "$(dirname "$0")/lib.sh"

# train MODEL CHAIN < STREAM: trains all four levels of a model of 8x8 pictures
train() {
    cat > "train.$1"
    wf-train-level -q -l 0-3 -m "$1" -s - -f "$2" --steps 30 --batch 16 --val none < "train.$1"
}
# pam H W C MAXVAL SEED: a picture of smooth noise
pam() {
    printf 'P7\nWIDTH %d\nHEIGHT %d\nDEPTH %d\nMAXVAL %d\nENDHDR\n' "$2" "$1" "$3" "$4"
    awk -v n=$(($1 * $2 * $3)) -v most="$4" -v seed="$5" 'BEGIN {
        x = seed + 1
        for (i = 0; i < n; i++) {
            x = (x * 16807) % 2147483647
            v = int(most * (0.3 + 0.3 * i / n) + x % int(most / 8))
            if (most > 255) printf "%02x", int(v / 256)
            printf "%02x", v % 256
        }
    }' | xxd -r -p
}
# pictures N C MAXVAL: N pictures of 8x8 with C channels
pictures() { for ((i = 0; i < $1; i++)); do pam 8 8 "$2" "$3" "$i"; done; }
# pixels FOLDER: prints a hash of the pixels of each file, with its name
pixels() { (cd "$1" && for f in $(find . -name '*.p?[gm]' | sort); do echo "${f%.p??} $(wf-dwt -q --levels 0 "$f" | wf-idwt -q | cksum)"; done); }
mentions() { ! "${@:2}" 2> err > /dev/null && grep -qF -- "$1" err || { cat err; return 1; }; }

lattice='lattice:components=3:width=8:blocks=1:net=res'
"$DEADLEAVES" -q -n 64 -s 8 > train.ppm
ok "a model" train model "cond:channels=4:width=8:blocks=1:net=res, $lattice" < <(wf-dwt -q train.ppm)
ok "one with gates, in two phases" train gated 'lattice:width=8:blocks=1:net=gated:phases=2' < <(wf-dwt -q train.ppm)

# -- sizes, channels, depths ------------------------------------------------------------------------------------------
mkdir -p rgb/sub
for size in '1 1' '1 2' '2 1' '3 5' '7 8' '8 8' '8 9' '31 17' '40 64'; do
    read -r h w <<< "$size"
    pam "$h" "$w" 3 255 "$h" > "rgb/sub/$h.$w.ppm"
done
cp train.ppm rgb/many.ppm
"$DEADLEAVES" -q -n 1 -s 64 > rgb/leaves.ppm
for model in model gated; do
    ok "pictures of any size, $model" sh -c "wf-pack -q -m $model rgb > $model.wfp"
    ok "come back" wf-unpack -q -m $model $model.wfp -o "$model.out"
    ok "under their names" test -s "$model.out/sub/31.17.png" -a -s "$model.out/many.ppm#63.png"
    rm "$model.out"/many*
    ok "with their pixels" diff <(pixels rgb | grep -v many) <(pixels "$model.out")
    ok "and in memory" wf-pack -q -m $model --test rgb
done
for kind in '1 255' '2 255' '4 255' '1 65535' '3 65535' '3 1023'; do
    read -r c most <<< "$kind"
    name=$c.$most
    ok "a model of $c channels up to $most" train "$name" 'lattice:components=2:width=4:net=pair' < <(pictures 8 "$c" "$most" | wf-dwt -q)
    mkdir "in.$name"
    pam 5 13 "$c" "$most" 3 > "in.$name/x.pam"
    ok "a picture" sh -c "wf-pack -q -m $name in.$name | wf-unpack -q -m $name - -o out.$name"
    ok "is the same again" diff <(pixels "in.$name") <(pixels "out.$name")
done
ok "grey pictures are not those of a colour model" mentions 'x.pam: 1 channel, and the model has 3' wf-pack -q -m model in.1.255
status 64 "which is a usage error" wf-pack -q -m model in.1.255
status 64 "nor are 16 bits 8" wf-pack -q -m model in.3.65535

# -- the size is that of the model's bits/dim -------------------------------------------------------------------------
"$DEADLEAVES" -q -n 64 -s 8 --seed 9 > test.ppm
bpd=$(wf-dwt -q test.ppm | wf-bpd -q -m model - | awk '$1 == "total" { print $2 }')
packed=$(wf-pack -m model --test test.ppm 2>&1 | awk '{ for (i = 2; i <= NF; i++) if ($i ~ /^bits\/dim/) print $(i - 1) }')
# A code has 4 bytes for its state and rounds up to words: 8 bytes of 192 samples are a third of a bit.
ok "bits/dim are the model's" awk -v a="$bpd" -v b="$packed" 'BEGIN { print a, b; exit !(a > 1 && b > a - 0.01 && b < a + 0.35) }'

# -- the same bytes ---------------------------------------------------------------------------------------------------
for jobs in 1 2 5; do
    ok "the same bytes by $jobs at a time" cmp model.wfp <(wf-pack -q -m model -j $jobs rgb)
    ok "unpacked likewise" wf-unpack -q -m model -j $jobs model.wfp -o "jobs.$jobs"
    rm "jobs.$jobs"/many*
    ok "to the same pixels" diff <(pixels model.out) <(pixels "jobs.$jobs")
done
ok "through a pipe" sh -c 'cat model.wfp | wf-unpack -q -m model - -o piped'
ok "an exported model has the same weights" wf-export -q -m model -o exported
ok "and unpacks" wf-unpack -q -m exported model.wfp -o by-export

# -- the same on every machine, as tests/golden/make_packed.sh made it on x86-64 ----------------------------------------
golden=$ROOT/tests/golden/packed
ok "an archive of another machine" wf-unpack -q -m "$golden/model" "$golden/pictures.wfp" -o golden
ok "gives the pixels that were packed" diff "$golden/pixels" <(pixels golden)
ok "which are packed to the same bytes" cmp "$golden/pictures.wfp" <(wf-pack -q -m "$golden/model" golden)
ok "and one by name" wf-unpack -q -m "$golden/model" "$golden/pictures.wfp" -o golden.one leaves/again.png
ok "is the same" cmp golden.one/leaves/again.png golden/leaves/again.png

# -- names ------------------------------------------------------------------------------------------------------------
ok "one by name" wf-unpack -q -m model model.wfp -o one sub/3.5.ppm
ok "alone" test "$(find one -type f)" = one/sub/3.5.png
ok "from a pipe" sh -c 'cat model.wfp | wf-unpack -q -m model - -o other sub/3.5.ppm && cmp one/sub/3.5.png other/sub/3.5.png'
cat model.wfp model.wfp > twice.wfp
status 65 "two archives in one file" wf-unpack -q -m model twice.wfp -o other sub/3.5.ppm
ok "say why" sh -c 'wf-unpack -q -m model twice.wfp -o other sub/3.5.ppm 2>&1 | grep -q "twice.wfp: the index at its end is not that"'
mkdir dangling dangling/sub && ln -s nowhere dangling/sub/3.5.png
status 64 "a link to nothing is there, too" wf-unpack -q -m model model.wfp -o dangling sub/3.5.ppm
{ head -c 100 /dev/zero && cat model.wfp; } > behind
from_100() { { head -c 100 > /dev/null && wf-unpack -q -m model - -o behind.out "$@"; } < behind; }
ok "from the middle of a file" from_100 sub/3.5.ppm
ok "it is the same" cmp one/sub/3.5.png behind.out/sub/3.5.png
truncate -s -1 behind
status 65 "a cut of that" from_100 sub/7.8.ppm
status 64 "a name that is not there" wf-unpack -q -m model model.wfp -o none sub/3.6.ppm
ok "makes no folder" test ! -e none
ok "nor has an output no name" mentions 'found no name' wf-unpack -q -m model model.wfp -o '' sub/3.5.ppm
status 64 "files are not replaced" wf-unpack -q -m model model.wfp -o one sub/3.5.ppm
ok "unless asked for" wf-unpack -q -m model --force model.wfp -o one sub/3.5.ppm
for jobs in 1 8; do
    mkdir taken.$jobs blocked.$jobs
    echo mine | tee "taken.$jobs/31.17.png" > "blocked.$jobs/sub"
    ok "the pictures of a folder" sh -c 'wf-pack -q -m model rgb/sub > sub.wfp'
    status 64 "a file that is there, $jobs at a time" wf-unpack -q -m model -j $jobs sub.wfp -o "taken.$jobs"
    ok "those before it are written" test "$(cd "taken.$jobs" && echo *)" = '1.1.png 1.2.png 2.1.png 3.5.png 31.17.png'
    ok "it is not" test "$(cat "taken.$jobs/31.17.png")" = mine
    status 64 "a file where a folder is needed" wf-unpack -q -m model -j $((10 * jobs)) model.wfp -o "blocked.$jobs"
    ok "pictures before it are written" test "$(cd "blocked.$jobs" && echo * | tr ' ' '\n' | grep -c 'png$')" = 65
done
mkdir -p deep/er
pam 3 3 3 255 1 > deep/out.ppm
ok "a name that leads out" sh -c 'cd deep/er && wf-pack -q -m ../../model ../out.ppm > ../../leads.wfp'
ok "stays inside" wf-unpack -q -m model leads.wfp -o inside
ok "as any other" test "$(find inside -type f)" = inside/_/out.png
ok "pictures without names" sh -c 'wf-pack -q -m model < train.ppm | wf-unpack -q -m model - -o numbers && test -s numbers/00000063.png'

cp rgb/sub/3.5.ppm 00000001.ppm
ok "a name may be the number of another" sh -c 'wf-pack -q -m model 00000001.ppm - < rgb/sub/7.8.ppm | wf-unpack -q -m model - -o both'
ok "which then gets one more" test "$(cd both && echo *)" = '00000001-2.png 00000001.png'

mkdir -p clash/x.png
cp rgb/sub/3.5.ppm clash/x.ppm
cp rgb/sub/7.8.ppm rgb/sub/8.8.ppm clash/x.png
ok "a picture may have the name of a folder" sh -c 'wf-pack -q -m model clash | wf-unpack -m model - -o apart 2> err'
ok "both come back" test "$(find apart -type f | wc -l)" = 3
ok "which is told" grep -q 'had the name of another' err
ok "with the picture first" sh -c 'cd clash; wf-pack -q -m ../model x.ppm x.png/7.8.ppm x.png/8.8.ppm | wf-unpack -m ../model - -o ../turned 2> ../err'
ok "which is told too" grep -q '^wf-unpack: 2 pictures had the name of another.*x.png-2/7.8.png' err
ok "the folder is the other" test "$(cd turned && find . -type f | sort | tr '\n' ' ')" = './x.png ./x.png-2/7.8.png ./x.png-2/8.8.png '

# -- lists ------------------------------------------------------------------------------------------------------------
list() { wf-unpack -q --list "$@"; }
ok "a list" sh -c 'wf-unpack -q --list model.wfp > list'
ok "it has names and sizes" grep -qx '[0-9]*	31	17	3	8	[0-9]*	sub/31.17.ppm' list
ok "and its columns" test "$(head -n 1 list)" = 'picture	height	width	channels	bits	bytes	name'
ok "a row for each picture, by number" cmp <(seq 0 73) <(tail -n +2 list | cut -f 1)
ok "bytes are those of the archive, beside header and index" awk -v all="$(stat -c %s model.wfp)" '
    { sum += $6 } END { print sum, all; exit !(sum < all && sum > all - 1000) }' list
ok "the same from a pipe" cmp list <(list - < <(cat model.wfp))
ok "and with the model" cmp list <(list -m model model.wfp)
ok "of some names" cmp <(grep -e '/8.9' -e 'many.ppm#7$' -e '^pict' list) <(list model.wfp many.ppm#7 sub/8.9.ppm)
ok "from a pipe too" cmp <(grep -e '/8.9' -e '^pict' list) <(list - sub/8.9.ppm < <(cat model.wfp))
ok "without names, numbers" test "$(wf-pack -q -m model < rgb/sub/8.9.ppm | list - | tail -n 1 | cut -f 1,7)" = '0	0'
status 64 "a name that is not there" wf-unpack --list model.wfp nothing
status 64 "a list and files" wf-unpack --list model.wfp -o x
status 64 "a list of nothing" wf-unpack --list
status 65 "the list of another model" wf-unpack --list -m gated model.wfp
status 65 "the list of something else" wf-unpack --list train.ppm
n=$(stat -c %s leads.wfp)
for ((i = 0; i < n; i++)); do
    { head -c $i leads.wfp; tail -c +$((i + 1)) leads.wfp | head -c 1 | tr '\0-\377' '\1-\377\0'; tail -c +$((i + 2)) leads.wfp; } > flip
    list flip > /dev/null 2>&1
    [ $? = 65 ] || echo "changed at $i"
    head -c $i leads.wfp | list - > /dev/null 2>&1
    [ $? = 65 ] || echo "cut at $i"
done > wrong
ok "every change and cut" test ! -s wrong
head -c $(($(stat -c %s model.wfp) - 1000)) model.wfp > cut.wfp
wf-unpack --list cut.wfp > cut.list 2> err
ok "rows before a cut" test $? = 65 -a "$(wc -l < err)" = 1 -a "$(wc -l < cut.list)" -gt 60
ok "are right" cmp cut.list <(head -n "$(wc -l < cut.list)" list)

# -- refused ----------------------------------------------------------------------------------------------------------
status 65 "another model" wf-unpack -q -m gated model.wfp -o x
ok "which the message says" mentions 'packed by another model' wf-unpack -q -m gated model.wfp -o x
n=$(stat -c %s leads.wfp)
for ((i = 0; i < n; i++)); do
    head -c $i leads.wfp > cut.wfp
    wf-unpack -q --force -m model cut.wfp -o cut.out 2> /dev/null
    [ $? = 65 ] || echo "cut at $i"
done > wrong
ok "every cut" test ! -s wrong
for ((i = 0; i < n; i += 3)); do
    { head -c $i leads.wfp; tail -c +$((i + 1)) leads.wfp | head -c 1 | tr '\0-\377' '\1-\377\0'; tail -c +$((i + 2)) leads.wfp; } > flip
    wf-unpack -q --force -m model flip -o flip.out 2> /dev/null
    [ $? = 65 ] || echo "changed at $i"
done > wrong
ok "every changed byte" test ! -s wrong
ok "a picture of these is the right one" diff <(pixels inside) <(pixels cut.out)
ok "of the others too" diff <(pixels inside) <(pixels flip.out)
status 65 "something else" wf-unpack -q -m model train.ppm -o x
status 66 "no file" wf-unpack -q -m model nowhere.wfp -o x
status 64 "no model" wf-pack rgb
status 64 "no folder" wf-unpack -m model model.wfp
status 64 "no archive" wf-unpack -m model -o x
status 65 "no pictures" wf-pack -q -m model /dev/null
status 65 "a damaged picture" wf-pack -q -m model train.model
head -c 100 rgb/sub/8.8.ppm > cut.ppm
for jobs in 1 8; do
    wf-pack -q -m model -j $jobs rgb/sub cut.ppm rgb/leaves.ppm > begun.wfp 2> err
    ok "one behind others, $jobs at a time" test $? = 65 -a "$(wc -l < err)" = 1
    status 65 "an archive without an end" wf-unpack -q -m model begun.wfp -o "begun.$jobs"
    ok "which has the pictures before" diff <(pixels rgb/sub) <(pixels "begun.$jobs/rgb/sub")
done
train_small plain > /dev/null 2>&1
status 64 "a model of densities" wf-pack -q -m plain rgb
ok "which the message says" mentions "only 'lattice', after any 'cond', gives whole numbers" wf-pack -q -m plain rgb
wf-dwt -q train.ppm | wf-train-level -q -l 3 -m seen -s - --val none --batch 8 --steps 1 -f 'lattice:net=attention:width=4:blocks=1'
ok "a network with attention" mentions 'seen: level 3: net=attention has attention' wf-pack -q -m seen rgb
ok "a full disk" test "$(wf-pack -q -m model rgb 2> /dev/null > /dev/full; echo $?)" = 75
status 75 "one line about it, before which nothing is called done" sh -c 'wf-pack -m model rgb/sub/8.8.ppm > /dev/full'
