#!/usr/bin/env bash
# photos.sh - wf-dwt on folders as people have them: sizes, grey and colour mixed, hidden files, clips that are too short
. "$(dirname "$0")/lib.sh"

# picture KIND WIDTH HEIGHT: a PNM (P5, P6) or, KIND being a number of channels, PAM of random samples
picture() {
    case $1 in
    P5) printf 'P5 %d %d 255\n' "$2" "$3" && head -c $(($2 * $3)) /dev/urandom ;;
    P6) printf 'P6 %d %d 255\n' "$2" "$3" && head -c $(($2 * $3 * 3)) /dev/urandom ;;
    *) printf 'P7\nWIDTH %d\nHEIGHT %d\nDEPTH %d\nMAXVAL 255\nENDHDR\n' "$2" "$3" "$1" && cat ;;
    esac
}
contents() { wf-info --verify "$1" | grep -o 'hash.*'; }
has() { grep -qF -- "$1" said || { cat said && return 1; }; } # has TEXT: the last messages have it

# -- a folder of photographs -----------------------------------------------------------------------------------------
mkdir photos
picture P6 96 64 > photos/a.ppm
picture P5 48 80 > photos/b.pgm
picture P6 32 33 > photos/c.ppm
wf-dwt --fit 32x32 -o fit.store photos 2> said
ok "one command takes them" has "3 pictures of 32x32, 3 channels, 8 bits; 5 levels"
ok "and counts those that became RGB" has "made RGB of 1 grey picture"
tar --sort=name -cf photos.tar photos && wf-dwt -q --fit 32x32 -o tar.store photos.tar
ok "an archive is the same" test "$(contents fit.store)" = "$(contents tar.store)"
cat photos/* | wf-dwt -q --fit 32x32 -o pipe.store -
ok "a pipe is the same" test "$(contents fit.store)" = "$(contents pipe.store)"
wf-dwt -q --fit 32x32 --skip-bad 9 --threads 2 -o skip.store photos
ok "with --skip-bad, too" test "$(contents fit.store)" = "$(contents skip.store)"
wf-dwt -q --fit 32x32 photos | wf-idwt -q > fit.pam
wf-dwt -q --backend ref --fit 32x32 photos | wf-idwt -q > ref.pam
ok "and with the reference backend" same fit.pam ref.pam
wf-dwt -q --fit 16x48 photos/a.ppm | wf-idwt -q > wide.pam
wf-dwt -q --crop 32x96 --resize 16x48 photos/a.ppm | wf-idwt -q > boxes.pam
ok "at a whole factor it is a crop and boxes" same wide.pam boxes.pam
wf-dwt -q --fit 32x32 --random-crop 16x16 --seed 3 photos | wf-idwt -q > random.pam
ok "a random crop comes after it" test "$(grep -ac 'WIDTH 16' random.pam)" = 3
status 65 "a picture is not enlarged" wf-dwt --fit 64x64 photos
wf-dwt --fit 64x64 photos 2> said > log
ok "the message names it, both sizes and the way out" has "photos/b.pgm: 80x48 is smaller than --fit 64x64; --skip-bad N"
wf-dwt --fit 64x64 --skip-bad 2 -o some.store photos 2> said
ok "but may be skipped" has "1 picture of 64x64, 3 channels"
ok "without advice that was taken" grep -qx 'wf-dwt: skipped: photos/b.pgm: 80x48 is smaller than --fit 64x64' said
status 64 "--fit and --resize" wf-dwt --fit 8x8 --resize 8x8 photos
status 64 "--fit without a size" wf-dwt --fit 8 photos

# -- channels --------------------------------------------------------------------------------------------------------
mkdir channels && picture P5 8 8 > channels/a.pgm && picture P6 8 8 > channels/b.ppm
wf-dwt channels 2> said > log
ok "colour after grey names -c 3" has "channels/b.ppm: 3 channels, want 1 as the pictures before; -c 3"
ok "which takes them" wf-dwt -q -c 3 channels
head -c 192 /dev/urandom > body
"${WF_PYTHON:-python3}" -c 'import sys; b = open("body", "rb").read()
sys.stdout.buffer.write(b"".join(b[i:i + 3] + b"\xff" for i in range(0, 192, 3)))' > rgba
picture 4 8 8 < rgba > opaque.pam
wf-dwt opaque.pam 2> said | wf-idwt -q | tail -c 192 > log
ok "opaque alpha is dropped" same body log
ok "and counted" has "dropped the alpha of 1 picture, which was opaque"
picture P6 8 8 > b.ppm
ok "so it goes with pictures without" wf-dwt -q opaque.pam b.ppm
wf-dwt -q -c 4 opaque.pam | wf-idwt -q | tail -c 256 > log
ok "unless -c asks for it" same rgba log
printf '\376' | dd of=rgba bs=1 seek=255 conv=notrunc status=none
picture 4 8 8 < rgba > clear.pam
wf-dwt -q clear.pam | wf-idwt -q | tail -c 256 > log
ok "any other alpha stays" same rgba log
wf-dwt b.ppm clear.pam 2> said > log
ok "and is not dropped silently" has "clear.pam: 4 channels, want 3 as the pictures before; -c 3 drops alpha"

# -- what other programs leave ---------------------------------------------------------------------------------------
mkdir -p kept/.ipynb_checkpoints kept/.git/objects kept/__MACOSX kept/sub.dir kept/...
for f in .ipynb_checkpoints/a-checkpoint .git/objects/x __MACOSX/y ._a sub.dir/b a .../z; do
    cp channels/b.ppm kept/$f.ppm
done
touch kept/.DS_Store kept/Thumbs.db kept/notes.txt
ln -s nowhere kept/.link
cp -r kept .kept
wf-dwt kept 2> said > log
ok "two pictures are left" has "2 pictures of 8x8"
ok "hidden names are counted" has "left out 8 hidden files or folders"
ok "beside other files" has "left out 1 file without a picture"
ok "a hidden folder that is named is read" bash -c 'wf-dwt .kept 2>&1 > log | grep -q "2 pictures"'
tar cf kept.tar kept
wf-dwt kept.tar 2> said > log
ok "the same pictures of an archive" has "2 pictures of 8x8"
ok "each file counts there" has "left out 8 hidden files or folders"
(cd kept && tar cf ../dot.tar .)
wf-dwt dot.tar 2> said > log
ok "a dot at the beginning of a path is none" has "2 pictures of 8x8"

# -- clips -----------------------------------------------------------------------------------------------------------
wav() { # wav SAMPLES: mono, 8 bits
    local n=$1
    le32() { printf '%b' "$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) 0)"; }
    printf RIFF && le32 $((n + 36)) && printf 'WAVEfmt ' && le32 16
    printf '\1\0\1\0' && le32 8000 && le32 8000 && printf '\1\0\10\0data' && le32 "$n" && head -c "$n" /dev/urandom
}
mkdir clips && wav 1024 > clips/b.wav && wav 100 > clips/a.wav && wav 300 > clips/c.wav
wf-dwt --length 256 clips 2> said > log
ok "pieces of all" has "5 sounds of 256"
ok "the rest is counted" has "left out the last samples of 2 sounds, 144 in all"
ok "in an archive, too" bash -c 'tar cf clips.tar clips && wf-dwt --length 256 clips.tar 2>&1 > log | grep -q "5 sounds of 256"'
ok "and one after the other" bash -c 'cat clips/* | wf-dwt --length 256 2>&1 > log | grep -q "5 sounds of 256"'
status 65 "only sounds that are shorter" wf-dwt --length 256 clips/a.wav
wf-dwt --length 256 clips/a.wav 2> said > log
ok "which the message says" has "1 sound shorter than --length 256"

# -- as a model wants them -------------------------------------------------------------------------------------------
printf 'P5 40 24 255\n' > deep.pgm && head -c 960 /dev/zero >> deep.pgm
"$DEADLEAVES" -q -n 32 -s 8 | wf-dwt -q --bits 5 -w db2 --levels 1 > train.wf
ok "a model" wf-train-level -q -l 0-1 -m model -s - -f actnorm --steps 2 --batch 8 < train.wf
like() { wf-dwt -q --like model "$@" | wf-info - | grep -E '^(wavelet|levels|shape|bits)' | tr -s ' ' | tr '\n' ' '; }
ok "--like takes all of it" test "$(like photos deep.pgm)" = "$(wf-info train.wf | grep -E '^(wavelet|levels|shape|bits)' | tr -s ' ' | tr '\n' ' ')"
wf-dwt -q --like model photos deep.pgm > like.wf
ok "the model reads it" bash -c 'wf-bpd -m model < like.wf | grep -q "^1"'
wf-dwt -q --fit 8x8 -c 3 --bits 5 -w db2 --levels 1 photos deep.pgm | wf-idwt -q > a.pam
wf-idwt -q like.wf > b.pam
ok "it is --fit, -c, --bits, -w and --levels" same a.pam b.pam
ok "another edit may set the size" wf-dwt -q --like model --resize 8x8 photos
status 65 "though it must be the model's" wf-dwt --like model --resize 16x16 photos
for flags in "--levels 1" "-c 3" "--bits 8" "-w haar" "--base 1"; do
    # shellcheck disable=SC2086 # words
    status 64 "--like and $flags" wf-dwt --like model $flags photos
done
status 66 "no such model" wf-dwt --like nowhere photos
wf-dwt -q --length 16 clips | wf-train-level -q -l 0 -m sounds -s - -f actnorm --steps 2 --batch 8
ok "a model of sounds sets their length" bash -c 'wf-dwt --like sounds clips 2>&1 > log | grep -q "88 sounds of 16,"'

# -- a look before ---------------------------------------------------------------------------------------------------
mkdir all && cp photos/* all && cp kept/a.ppm all/small.ppm && printf x > all/bad.png && cp -r kept/.git all && ln -s nowhere all/link.png
head -c 500 /dev/urandom > "all/it's text"
wf-dwt --dry-run all > looked 2> said
ok "all kinds are counted" test "$(grep -c '^1	picture	' looked)" = 4
ok "with their size, channels and bits" grep -qx '1	picture	80x48	1	8' looked
ok "what is bad" grep -qx 'bad: 2' looked
ok "by name" grep -q '    all/link.png: .*No such file' looked
ok "what differs from the first" grep -qx 'refused: 3' looked
ok "what is left out" has "left out 1 hidden file or folder"
ok "nothing is written" test ! -e pictures.store
grep '^use: ' looked | cut -c 6- > script
ok "the command is runnable" bash script
ok "it leaves out only what is bad" bash -c 'wf-info pictures.store | grep -q "pictures *4$"' || cat looked
ok "with it nothing is refused" bash -c "$(cat script) --dry-run | grep -qx 'refused: 0'"
wf-dwt --fit 32x32 --dry-run all > looked 2> said
ok "edits are made before they are judged" grep -q 'all/small.ppm: 8x8 is smaller' looked || cat looked
ok "and the command goes by them" grep -q '^use: wf-dwt -c 3 --skip-bad 3 -o pictures.store --fit 32x32 all$' looked
status 65 "nothing to look at" wf-dwt --dry-run /dev/null

# -- a failure, then the corrected command ---------------------------------------------------------------------------
status 65 "sizes differ" wf-dwt -q -o again.store photos
wf-dwt photos 2> said > log
ok "the message says how to see all" has "photos/b.pgm: 80x48, want 64x96 as the pictures before; --fit HxW makes pictures one size (--dry-run lists all"
ok "the corrected command" wf-dwt -q --fit 32x32 -o again.store photos
ok "its store is whole" test "$(contents again.store)" = "$(contents fit.store)"
status 64 "which no further one replaces" wf-dwt -q --fit 16x16 -o again.store photos

# -- photographs of other people -------------------------------------------------------------------------------------
if from=$(data imagenet1k_original_jpeg_dev.tar); then
    wf-dwt --fit 64x64 -o imagenet.store "$from" 2> said
    ok "photographs to a store in one command" has "77 pictures of 64x64, 3 channels, 8 bits; 6 levels"
else
    skip "imagenet1k_original_jpeg_dev.tar is not here"
fi
