#!/usr/bin/env bash
# scenes.sh - what a newcomer does first, as the README says it: a folder to samples, the strangest pictures by name, a
# photograph enlarged, a model trained on with few pictures, a model in Python, MNIST from its files. WF_PYTHON names a
# Python with PyTorch for the fifth.
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1
has() { grep -qF -- "$1" said || { cat said && return 1; }; } # has TEXT: the last messages have it
pipe() { bash -o pipefail -c "$@"; }

# photographs FOLDER N SEED HxW: N pictures of overlapping discs as PNG files, cut out of squares of 128
photographs() {
    "$DEADLEAVES" -q -n "$2" -s 128 --seed "$3" | wf-dwt -q --levels 0 --crop "$4" | wf-idwt -q -o made &&
        for f in made/*; do mv "$f" "$1/holiday $3 $(basename "$f")"; done
}

# -- 1: thirty photographs to samples ---------------------------------------------------------------------------------
mkdir -p 'my photos/day 1' 'my photos/.thumbnails'
photographs 'my photos/day 1' 10 1 90x120
photographs 'my photos/day 1' 10 2 128x80
photographs 'my photos' 9 3 99x101
printf 'P5 100 70 255\n' > 'my photos/grey.pgm' && head -c 7000 /dev/urandom >> 'my photos/grey.pgm'
head -c 3000 "my photos/day 1/holiday 1 00000000.png" > 'my photos/cut.png'
touch 'my photos/.thumbnails/x.png' 'my photos/notes.txt'
ok "one command" pipe 'wf-train "my photos" -o "my model" --minutes 0.25 --size 32 > said 2>&1'
ok "names what it skips" has 'my photos/cut.png: cut off'
ok "takes all others" has '30 pictures of 32x32, 3 channels'
ok "samples are there to look at" pipe 'wf-dwt -q --levels 0 "my model/samples.png" | wf-info - > log'
ok "so is the page" test -s 'my model/report.html'
printf '3\t1\t1\n2\t1\t1\n' > plan
ok "progress shows the weights that are kept" test "$(printf '%s\n' '3 {"step": 21, "seconds": 0.7, "val": 0.2, "best": 0.1}' \
    '3 {"step": 50, "seconds": 1.9, "bpd": 0.3}' '2 {"step": 9, "seconds": 1, "bpd": 0.4}' |
    awk -v plan=plan -v ended=/dev/null -v seconds=90 -f "$ROOT/pipelines/progress.awk")" = \
    "01:30   level 3: 0.100 (step 50)   level 2: 0.400 (step 9)"
ok "its folder is a model" pipe 'wf-sample -q -m "my model" -n 2 | wf-idwt -q -o two && ls two/00000001.png'
ok "the same command finds it done" pipe 'wf-train "my photos" -o "my model" --minutes 0.25 --size 32 > said 2>&1'

# -- 2: the strangest pictures of a folder, by name ---------------------------------------------------------------------
mkdir others
photographs others 12 4 64x64
noise() { printf 'P6 64 64 255\n' && head -c 12288 /dev/urandom; }
noise > 'others/Störung.ppm' && noise > 'others/a "b".ppm' && noise > "others/it's.ppm"
wf-dwt -q --like leaves others | wf-bpd -q -m leaves --top 3 > top.tsv
ok "three in one line, the noise" cmp <(tail -n +2 top.tsv | cut -f 2 | sort) <(printf '%s\n' 'Störung.ppm' 'a "b".ppm' "it's.ppm" | sort)
ok "below heads" test "$(head -n 1 top.tsv)" = 'bits/dim	name'
ok "the highest first" pipe 'test "$(wc -l < top.tsv)" = 4 && tail -n +2 top.tsv | sort -c -rn'
wf-dwt -q --like leaves -o others.store others
ok "a store gives the same" pipe 'wf-bpd -q -m leaves -s others.store --top 3 | cmp top.tsv'
ok "more than there are" test "$(wf-bpd -q -m leaves -s others.store --top 99 | wc -l)" = 16
wf-bpd -q -m leaves -s others.store --per-image > all.tsv
ok "with the columns of each" pipe 'wf-bpd -q -m leaves -s others.store --top 4 --per-image |
    cmp - <(head -n 1 all.tsv && tail -n +2 all.tsv | sort -t "	" -k 2,2 -rn -s | head -n 4)'
ok "as objects" pipe 'wf-bpd -q -m leaves -s others.store --top 3 --json | jq -r .name | cmp <(tail -n +2 top.tsv | cut -f 2)'
ok "by the weighted figure, if there is one" pipe 'wf-bpd -q -m leaves -s others.store -n 4 --iw 3 --per-image > iw.tsv &&
    wf-bpd -q -m leaves -s others.store -n 4 --iw 3 --top 4 | tail -n +2 | cut -f 1 | cmp <(tail -n +2 iw.tsv | cut -f 3 | sort -rn)'
status 64 "none is not a number of pictures" wf-bpd -q -m leaves -s others.store --top 0
# Small copies under the names of the pictures, written into the folder of the pictures.
(cd others && find . -name '* *.png' -exec cksum {} + | sort > ../before)
status 64 "pictures under their names" wf-idwt --names -o others others.store
ok "do not replace others" pipe 'cd others && find . -name "holiday*" -exec cksum {} + | sort | cmp - ../before'
wf-idwt -q --names -o small others.store
ok "another folder takes them" test "$(find small -type f | wc -l)" = 15
status 64 "once" wf-idwt -q --names -o small others.store
ok "--force replaces them" wf-idwt -q --names --force -o small others.store
status 64 "--force without names" wf-idwt -q --force -o small others.store

# -- 3: a photograph enlarged twofold -----------------------------------------------------------------------------------
# The photograph is an average, so the picture that it averages is known.
rm -rf wide && mkdir wide && photographs wide 1 9 100x74 && mv wide/*.png wide.png
wf-dwt -q --levels 1 -l 0 wide.png | wf-idwt -q -o 'my holiday.png'
ok "a file of that name" test -f 'my holiday.png'
ok "half as wide and high" test "$(wf-dwt -q --levels 0 'my holiday.png' | wf-info - | awk '$1 == "shape" { print $2 }')" = 50x37x3
wf-sample -q -m leaves --from 'my holiday.png' --scale 2 | wf-idwt -q --exact 0 -o large.png
pixels() { wf-dwt -q --levels 0 "$1" | wf-idwt -q; }
pixels large.png > large.pam
ok "twice as wide and high" grep -aqz 'WIDTH 74.HEIGHT 100' large.pam
ok "its averages are the photograph" cmp <(wf-dwt -q --levels 1 -l 0 large.png | wf-idwt -q) <(pixels 'my holiday.png')
wf-sample -q -m leaves --from 'my holiday.png' --scale 2 -T 0 | wf-idwt -q > likely.pam
"${WF_PYTHON:-python3}" - > errors <<'END'
import subprocess
def pixels(data):
    return data[data.index(b"ENDHDR\n") + 7:]
def picture(name):
    coefficients = subprocess.run(["wf-dwt", "-q", "--levels", "0", name], stdout=subprocess.PIPE).stdout
    return pixels(subprocess.run(["wf-idwt", "-q"], input=coefficients, stdout=subprocess.PIPE).stdout)
small, wide = picture("my holiday.png"), picture("wide.png")
doubled = b"".join(small[(y // 2 * 37 + x // 2) * 3:][:3] for y in range(100) for x in range(74))
for other in open("likely.pam", "rb").read(), None:
    other = pixels(other) if other else doubled
    print(sum((a - b) ** 2 for a, b in zip(wide, other)) / len(wide))
END
ok "nearer to the wide picture than doubled pixels: $(xargs < errors)" awk 'NR == 1 { a = $1 } END { exit !(NR == 2 && a < 0.8 * $1) }' errors
wf-sample -m leaves --from 'my holiday.png' 2> said > log
ok "without --scale it is named" grep -q '^wf-sample: my holiday.png: pictures are 50x37, but 32x32 .* or --scale$' said
status 64 "one file for two pictures" pipe 'wf-sample -q -m leaves -n 2 | wf-idwt -q -o two.png'
ok "is not begun" test ! -e two.png
status 64 "one file, and names" pipe 'wf-sample -q -m leaves -n 1 | wf-idwt -q --names -o two.png'
status 64 "a picture of another kind" pipe 'wf-sample -q -m leaves -n 1 | wf-idwt -q -o one.jpg'
cp "$WORK/.log" said
ok "names the kind that is written" grep -q '^wf-idwt: -o one.jpg: pictures are written as .png, expected' said
ok "is not made, as a folder either" test ! -e one.jpg
mkdir folder.png
ok "a folder of such a name is a folder" pipe 'wf-sample -q -m leaves -n 2 | wf-idwt -q -o folder.png && ls folder.png/00000001.png'

# -- 4: training on with twenty pictures --------------------------------------------------------------------------------
mkdir mine mine-later && photographs mine 20 5 96x64 && photographs mine-later 12 6 96x64
wf-dwt -q --like leaves -o mine.store mine && wf-dwt -q --like leaves -o later.store mine-later
ok "with the model's weights" wf-train-level -q -s mine.store -m finer --init leaves --steps 12 --batch 8 --val none
ok "and with none" wf-train-level -q -s mine.store -m new --steps 12 --batch 8 --val none
bits() { wf-bpd -q -m "$1" -s later.store --json | jq .bpd; }
ok "the former are better: $(bits finer) and $(bits new)" jq -en "$(bits finer) < $(bits new) - 0.3"
wf-dwt -q --fit 64x64 -o wide.store mine
wf-train-level -m wrong -s wide.store --init leaves --steps 1 2> said
ok "pictures of another size name the way out" has 'pictures of 32x32, and those to train on are of 64x64; wf-dwt --like leaves'
ok "which nothing blocks" wf-train-level -q -m wrong -s mine.store -l 1 --init leaves --steps 1

# -- 5: the model in Python ---------------------------------------------------------------------------------------------
for model in finer 'my model'; do
    wf-bpd -q -m "$model" -s later.store --per-image | tail -n +2 | cut -f 2 > "bits of $model"
done
for python in ${WF_PYTHON:-python3 /usr/bin/python3}; do
    "$python" -c 'import torch, numpy, lmdb, xxhash' 2> said && break
done
if "$python" -c 'import torch, numpy, lmdb, xxhash' 2> said; then
    for model in finer 'my model'; do
        ok "bits/dim of $model are those of wf-bpd" env PYTHONPATH="$ROOT/tools" PYTHONDONTWRITEBYTECODE=1 "$python" -W ignore -c '
import sys, wavelet_flow as wf
bits, theirs = wf.load(sys.argv[1]).bits_per_dim(wf.read_images("later.store")).sum(1), open("bits of " + sys.argv[1]).readlines()
assert len(bits) == len(theirs) == 12 and max(abs(float(a) - float(b)) for a, b in zip(bits, theirs)) < 1e-4' "$model"
    done
else
    skip "$python with torch, numpy, lmdb and xxhash (WF_PYTHON names another)"
fi

# -- 6: MNIST from its files ----------------------------------------------------------------------------------------------
# idx N: N pictures of 28x28 in one IDX file
idx() {
    printf '\0\0\10\3\0\0%b\0\0\0\34\0\0\0\34' "$(printf '\\x%02x\\x%02x' $(($1 >> 8)) $(($1 & 255)))"
    "$DEADLEAVES" -q -n "$1" -s 32 | head -c $(($1 * 784))
}
idx 300 | gzip > train-images-idx3-ubyte.gz
idx 40 > t10k-images-idx3-ubyte
ok "with the defaults" pipe 'wf-train train-images-idx3-ubyte.gz -o digits --minutes 0.1 > said 2>&1'
ok "as they are" has '300 pictures of 28x28, 1 channel'
ok "samples of that size" pipe 'wf-sample -q -m digits -n 1 | wf-idwt -q -o digit.png && wf-dwt -q --levels 0 digit.png | wf-info - | grep -q "28x28x1"'
ok "the test pictures" pipe 'wf-dwt -q t10k-images-idx3-ubyte | wf-bpd -q -m digits --json | jq -e ".bpd > 0 and .bpd < 9"'
if from=$(data mnist/train10000-images-idx3-ubyte.gz) && test=$(data mnist/t10k-images-idx3-ubyte.gz); then
    ok "MNIST" pipe 'wf-train "$0" -o mnist --minutes 0.2 > said 2>&1' "$from"
    ok "ten thousand" has '10000 pictures of 28x28, 1 channel'
    ok "bits/dim of its test" pipe 'wf-dwt -q -n 200 "$0" | wf-bpd -q -m mnist --json | jq -e ".bpd < 5"' "$test"
else
    skip "mnist/train10000-images-idx3-ubyte.gz is not here"
fi
