#!/usr/bin/env bash
# view.sh - wf-view, names of pictures from file to file, and that every program takes FILE, STORE and -
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1
values() { wf-idwt -q "$@"; } # all pixels of the highest level
equal() { # equal A B: the same pixels in the same order
    cmp <(values "$1") <(values "$2")
}
field() { wf-info --json "$1" | jq -r ".$2"; }
names() { # names FILE|STORE: of its pictures, one a line
    rm -rf named
    wf-idwt -q --names -o named "$1" && find named -type f -printf '%P\n' | sort
}
for tool in jq python3; do command -v $tool > log || { skip "$tool is not installed"; exit; }; done

# -- names -----------------------------------------------------------------------------------------------------------
"$DEADLEAVES" -q -n 6 -s 8 | wf-dwt -q | wf-idwt -q -o made
mkdir -p pictures/sub 'pictures/odd dir'
i=0
for to in a.png sub/b.jpg.png 'odd dir/c d.png' "sub/ü'\"x.png" z.v1.png; do
    mv "made/0000000$i.png" "pictures/$to"
    i=$((i + 1))
done
printf '%s\n' a.png 'odd dir/c d.png' sub/b.jpg.png "sub/ü'\"x.png" z.v1.png | sort > want
wf-dwt -q pictures > all.wf
wf-dwt -q -o all.store pictures
names all.wf > have
ok "names of a stream" same want have
names all.store > have
ok "names of a store" same want have
for f in a.png 'odd dir/c d.png' sub/b.jpg.png; do
    ok "$f has its pixels" equal <(wf-dwt -q "named/$f") <(wf-dwt -q "pictures/$f")
done
ok "the names of a store are checked" wf-info --verify all.store
json_names() { strings -n 8 "$1" | grep -o '"names":"[^}]*' | head -n 1; }
wf-dwt -q pictures/a.png ./pictures/z.v1.png > two.wf
ok "files have the names that were given" grep -q 'pictures/a.png.*pictures/z.v1.png' <(json_names two.wf)
wf-dwt -q pictures pictures/sub > two.wf
ok "of two operands, each is in the name" grep -q 'pictures/a.png.*pictures/sub/b.jpg.png' <(json_names two.wf)
tar cf a.tar pictures/a.png pictures/sub
names <(wf-dwt -q a.tar) > have
ok "an archive and its entries" grep -qx 'a.tar/pictures/sub/b.jpg.png' have
names <(wf-dwt -q < a.tar) > have
ok "an archive on stdin" grep -qx 'pictures/sub/b.jpg.png' have
cat pictures/a.png pictures/z.v1.png > both.png
names <(wf-dwt -q both.png) > have
ok "two pictures in one file" test "$(xargs < have)" = "both.png both.png#1.png"
names <(wf-dwt -q < both.png) > have
ok "pictures of a pipe have their numbers" test "$(xargs < have)" = "00000000.png 00000001.png"
if "${PYTHON:-python3}" -c 'import numpy' 2> log; then
    "${PYTHON:-python3}" -c "
import numpy as n
x = n.arange(3 * 8 * 8 * 3, dtype='u1').reshape(3, 8, 8, 3)
n.savez('f.npz', train=x); n.save('f.npy', x); n.save('one.npy', x[0])"
    names <(wf-dwt -q f.npz) > have
    ok "an array of an npz" test "$(xargs < have)" = "f.npz/train[0].png f.npz/train[1].png f.npz/train[2].png"
    names <(wf-dwt -q f.npy one.npy) > have
    ok "arrays" test "$(xargs < have)" = "f.npy[0].png f.npy[1].png f.npy[2].png one.png"
else
    skip "Python has no numpy"
fi
printf 'P6 2 2 255\n123456789abc' > $'byte\xff.ppm'
names <(wf-dwt -q $'byte\xff.ppm') > have
ok "a name that is not UTF-8" test "$(cat have)" = 'byte?.png'

# -- names cannot leave the folder, nor replace one another ------------------------------------------------------------
rename() { # rename NAME: a stream of two.wf's kind whose two pictures have this name
    python3 - "$1" << 'END'
import json, struct, sys
stream, out, records = open('pair.wf', 'rb'), sys.stdout.buffer, 0
head = stream.read(8)
header = json.loads(stream.read(struct.unpack('<Q', head)[0]))
data = stream.read(max(t['data_offsets'][1] for k, t in header.items() if k != '__metadata__'))
header['__metadata__']['names'] = json.dumps([sys.argv[1]] * 2)
text = json.dumps(header).encode()
out.write(struct.pack('<Q', len(text)) + text + data)
END
}
wf-dwt -q -l 0 --levels 0 pictures/a.png pictures/z.v1.png > pair.wf
while IFS='|' read -r name file; do
    rm -rf away && mkdir away
    rename "$name" > cut.wf
    status 65 "$name, of a stream that was cut off" bash -c 'cd away && wf-idwt -q --names -o in ../cut.wf'
    ok "$name becomes $file" test "$(cd away && find . -type f | sort | xargs)" = "./in/$file.png ./in/$file-2.png" -o \
        "$(cd away && find . -type f | sort -r | xargs)" = "./in/$file.png ./in/$file-2.png"
done << 'END'
../../x.png|_/_/x
/etc/passwd|etc/passwd
a//./b.JPEG|a/b
..|_
x.png/..|x.png/_
END
wf-dwt -q pictures/a.png > a.wf
wf-view -q a.wf a.wf | wf-idwt --names -o twice 2> said
ok "two pictures of one name" test "$(find twice -type f | sort | xargs)" = "twice/pictures/a-2.png twice/pictures/a.png"
ok "that is told" grep -q '1 picture had the name of another.*a-2.png' said
status 64 "--names without a folder" wf-idwt --names all.wf

# -- older files are told ----------------------------------------------------------------------------------------------
wf-idwt -q -o older all.wf
wf-view -q -n 3 all.wf | wf-idwt -o older 2> said
ok "files of a larger run are told" grep -q 'older: 2 older files stay, such as older/00000003.png' said
touch older/note.png
wf-idwt -o older all.wf 2> said
ok "others are not" test "$(grep -c older said)" = 0

# -- provenance --------------------------------------------------------------------------------------------------------
mkdir many && for i in {1..600}; do cp pictures/a.png "many/a-rather-long-name-of-a-picture-$i.png"; done
wf-dwt -q --batch 64 many/*.png > many.wf
argv=$(wf-info --json many.wf | jq -r '.provenance[0].argv[-1]')
ok "a long command line is cut: $argv" grep -Eq '^\.\.\. and [0-9]+ more arguments$' <<< "$argv"
ok "provenance stands in the first record only" test "$(grep -ac provenance many.wf)" = 1 -a \
    "$(grep -ao '"provenance"' many.wf | wc -l)" = 1
long=pictures/$(printf './%.0s' {1..1500})a.png
wf-dwt -q "$long" > long.wf
ok "a long argument is cut" test "$(wf-info --json long.wf | jq -r '.provenance[0].argv[-1]')" = \
    "${long:0:2048}... and $((${#long} - 2048)) more bytes"

# -- the same coefficients, however they are kept --------------------------------------------------------------------
wf-view -q all.store > back.wf
ok "a store as a stream" equal all.wf back.wf
wf-view -q all.wf -o back.store
ok "a stream as a store" test "$(field back.store hash)" = "$(field all.store hash)"
names back.store > have
ok "with its names" same want have
wf-view -q -o copy.wf < all.wf
ok "standard input to a file" equal all.wf copy.wf
ok "the file is a stream" test "$(field copy.wf kind)" = stream
wf-view -q -o made.dir/ all.wf
ok "a name that ends in / is a store" test "$(field made.dir kind)" = store
head -c 3000 all.wf > short.wf
status 65 "a stream that was cut off" wf-view -o none.wf short.wf
ok "leaves no file" test -z "$(find . -name '*none.wf*')"
status 64 "a store that is there" wf-view -o all.store all.wf
status 66 "nothing there" wf-view -o none.wf nothing.wf
sed 's/pictures/picturez/' all.wf > flipped.wf
status 65 "one changed letter" wf-view -o none.wf flipped.wf

# -- ranges ------------------------------------------------------------------------------------------------------------
for input in all.wf all.store; do
    wf-view -q -r 1:3 $input -o cut.wf
    ok "$input: two of five" test "$(field cut.wf pictures)" = 2
    wf-idwt -q -o cut cut.wf
    ok "$input: they keep their numbers" test "$(cd cut && echo *)" = "00000001.png 00000002.png"
    rm -r cut
    wf-view -q -r 1: -n 2 $input > cut2.wf
    ok "$input: the same by a count" equal cut.wf cut2.wf
    wf-view -q --range :3 $input | wf-view -q -r 1: - > cut2.wf
    ok "$input: the same in two steps" equal cut.wf cut2.wf
    wf-view -q -l 1-2 $input > cut.wf
    ok "$input: levels" test "$(wf-info --json cut.wf | jq -c '[.held[].level, .top]')" = '[1,2,2]'
    ok "$input: are those of all" cmp <(wf-idwt -q -l 2 all.wf) <(wf-idwt -q cut.wf)
    status 65 "$input: past its end" wf-view -r 5: -o none.wf $input
    status 65 "$input: no such level" wf-view -l 4 -o none.wf $input
done
for range in 3:3 3:2 x : 1:2:3 -1:2 1; do status 64 "a range of $range" wf-view -o none.wf -r "$range" all.wf; done
wf-dwt -q --batch 2 pictures > batches.wf
wf-view -q -r 1:4 batches.wf > cut.wf
wf-view -q -r 1:4 all.store > cut2.wf
ok "a range across batches" equal cut.wf cut2.wf

# -- joining, shuffling, splitting ---------------------------------------------------------------------------------------
wf-view -q -r :2 all.wf > first.wf
wf-view -q -r 2: all.store -o last.store
wf-view -q first.wf last.store > joined.wf
ok "both parts are the whole" equal all.wf joined.wf
wf-view -q first.wf last.store -o joined.store
ok "in a store, too" test "$(field joined.store hash)" = "$(field all.store hash)"
wf-dwt -q --bits 5 pictures > bits.wf
wf-dwt -q --crop 4x4 pictures > small.wf
status 65 "other bits" wf-view all.wf bits.wf -o none.wf
cp .log said && ok "both values are named" grep -q 'bits.wf: bits is 5, but 8 in all.wf' said
status 65 "another size" wf-view all.store small.wf -o none.wf
wf-view -q -l 1-3 all.store -o part.store
status 65 "another set of levels" wf-view all.store part.store -o none.wf
cp .log said && ok "the level is named" grep -q 'part.store: lacks level 0, but all.store has it' said
wf-dwt -q -o 600.store many
wf-view -q --shuffle --seed 7 --split 95,5 -o train.store,val.wf 600.store
ok "95 and 5 of 100" test "$(field train.store pictures) $(field val.wf pictures)" = "570 30"
wf-view -q train.store val.wf | wf-view -q --shuffle -o again.store
names again.store > have
names 600.store > want
ok "each picture is in one part" same want have
ok "not in their order" bash -c 'wf-idwt -q --names -o v val.wf && ! { ls v | grep -q "e-60[0-9]" && test $(ls v | grep -c "e-5[789]") -gt 25; }'
wf-view -q --shuffle --seed 7 --split 95,5 -o train2.store,val2.wf < many.wf
ok "the split of a stream is that of the store" test "$(field train2.store hash)" != null
wf-view -q --shuffle --seed 7 -n 30 600.store > one.wf
wf-view -q --shuffle --seed 7 -n 30 600.store > two.wf
wf-view -q --shuffle --seed 8 -n 30 600.store > three.wf
ok "one seed, one order" equal one.wf two.wf
ok "another seed, another" bash -c '! cmp <(strings one.wf | grep -o names.*) <(strings three.wf | grep -o names.*)'
status 64 "more parts than outputs" wf-view --split 1,1 -o a.wf 600.store
status 64 "one name for two parts" wf-view --split 1,1 -o c.wf,c.wf 600.store
ok "nothing is written" test ! -e c.wf
status 64 "a part of nothing" wf-view --split 1,1000 -o a.wf,b.wf all.store
ok "nothing is left in TMPDIR" bash -c 'mkdir t && TMPDIR=$PWD/t wf-view -q --shuffle -o u.wf all.wf && test -z "$(ls t)"'

# -- FILE, STORE and - everywhere ----------------------------------------------------------------------------------------
"$DEADLEAVES" -q -n 24 -s 8 | wf-dwt -q -o t.store
wf-view -q t.store > t.wf
for from in t.store t.wf; do
    wf-train-level -q -l 0-3 -m "m-$from" -s $from --val $from -f actnorm --steps 3
    ok "wf-train-level -s $from" test -e "m-$from/level-03.safetensors"
done
ok "the same weights" test "$(wf-info --json m-t.wf/level-03.safetensors | jq -c .metadata.bpd)" = \
    "$(wf-info --json m-t.store/level-03.safetensors | jq -c .metadata.bpd)"
ok "no copy of the stream stays" test -z "$(find m-t.wf -name '*.spool')"
wf-train-level -q -l 0 -m m-operand t.wf -f actnorm --steps 3
ok "wf-train-level FILE" test -e m-operand/level-00.safetensors
status 66 "wf-train-level of nothing" wf-train-level -l 0 -m m-none -s nothing.wf
ok "makes no folder" test ! -e m-none
M=m-t.store
wf-bpd -q -m $M < t.wf > want
for args in t.wf t.store "-s t.wf" "-s t.store" "-s -" -; do
    # shellcheck disable=SC2086 # words
    wf-bpd -q -m $M $args < t.wf > have
    ok "wf-bpd $args" same want have
done
status 64 "wf-bpd of two inputs" wf-bpd -m $M -s t.wf t.store
wf-view -q -l 0 t.store -o low.store
wf-view -q low.store > low.wf
wf-sample -q -m $M < low.wf > want
for args in low.wf low.store -; do
    wf-sample -q -m $M -o have.wf $args < low.wf
    ok "wf-sample $args -o" equal want have.wf
done
wf-sample -q -m $M -n 3 -o drawn.store
ok "wf-sample -o STORE" test "$(field drawn.store pictures)" = 3
wf-nuts -q -m $M -l 1 --draws 2 --adapt 1 -o have.wf low.store
ok "wf-nuts STORE -o" test "$(field have.wf pictures)" = 24
wf-encode -q -m $M < t.wf > want
for args in t.wf t.store; do
    wf-encode -q -m $M -o latents.wf $args
    ok "wf-encode $args -o" cmp <(wf-decode -q -m $M want | wf-idwt -q) <(wf-decode -q -m $M latents.wf | wf-idwt -q)
done
ok "latents are cut" test "$(wf-view -q -r 2:4 latents.wf | wf-info --json - | jq -c '[.kind, .pictures]')" = '["latents",2]'
status 64 "latents in a store" wf-view latents.wf -o none.store
wf-nearest -q -s t.store --distances - t.wf > want
wf-nearest -q -s t.wf --distances - t.store > have
ok "wf-nearest, both ways round" same want have

# -- names go on -----------------------------------------------------------------------------------------------------------
wf-dwt -q pictures > n.wf
ok "wf-bpd names pictures" test "$(wf-bpd -q -m $M --per-image n.wf | cut -f 7 | xargs -d '\n')" = \
    "name a.png odd dir/c d.png sub/b.jpg.png sub/ü'\"x.png z.v1.png"
ok "as JSON lines" test "$(wf-bpd -q -m $M --per-image --json n.wf | jq -r 'select(.index == 3).name')" = "sub/ü'\"x.png"
ok "with the same figures" cmp <(wf-bpd -q -m $M --per-image n.wf | tail -n +2 | cut -f 2) \
    <(wf-bpd -q -m $M --per-image --json n.wf | jq -r .bpd | awk '{ printf "%.6f\n", $1 }')
ok "without a name, the number" test "$(wf-bpd -q -m $M --per-image -n 2 t.wf | cut -f 7 | xargs)" = "name 0 1"
names n.wf > want
for through in "wf-view -l 0 | wf-sample -q -m $M" "wf-encode -q -m $M | wf-decode -q -m $M" \
    "wf-view -l 0 | wf-nuts -q -m $M -l 1 --draws 1 --adapt 1" "wf-view | wf-view -o -"; do
    bash -c "${through//wf-view/wf-view -q}" < n.wf > through.wf
    names through.wf > have
    ok "names through $through" same want have
done
names <(wf-sample -q -m $M --from pictures --scale 2) > have
ok "names of pictures that are enlarged" same want have
wf-decode -q -m $M --between 1 <(wf-encode -q -m $M n.wf) > through.wf
names through.wf > have
ok "pictures between others have none" test "$(head -n 1 have)" = 00000000.png
