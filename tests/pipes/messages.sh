#!/usr/bin/env bash
# messages.sh - the wrong file or pipe: every program names what came, and what to do with it, in one line
. "$(dirname "$0")/lib.sh"
corpus=$ROOT/tests/fuzz/corpus

# says CODE NAME TEXT COMMAND...: the command exits with CODE, and its one line has TEXT
says() {
    local text=$3
    status "$1" "$2" "${@:4}"
    cp "$WORK/.log" said
    grep -qF -- "$text" said || fail "$2: said $(head -c 600 said), want '$text'"
}
# from FILE COMMAND...: the command with a pipe from FILE
# shellcheck disable=SC2002 # not FILE itself
from() { cat "$1" | "${@:2}"; }

"$DEADLEAVES" -q -n 4 -s 8 > a.ppm
"$DEADLEAVES" -q -n 4 -s 16 > b.ppm
wf-dwt -q a.ppm > a.wf && wf-dwt -q -o a.store a.ppm && wf-dwt -q b.ppm > b.wf && wf-dwt -q -o b.store b.ppm
wf-train-level -q -m model -s a.store -f actnorm --steps 2 --batch 2 --val none
wf-encode -q -m model a.wf > a.latents 2> /dev/null
wf-idwt -q -o pictures a.wf && cp pictures/00000000.png x.png
printf 'a text\n' > text && printf 'h\303\266 \360\237\214\277\342\202' > letters && printf '\376\377\300\220' > high && : > empty && mkdir folder
cp model/level-02.safetensors level && cp model/level-02.state.safetensors state
gzip -c a.wf > a.wf.gz && gzip -c a.ppm > a.ppm.gz && cp a.store/data.mdb data.mdb

# -- kinds that are not read -----------------------------------------------------------------------------------------
# kind | what its advice has | first bytes, of printf | "picture" if it is refused in a folder too
while IFS='|' read -r kind advice bytes picture; do
    printf %b "$bytes" > odd
    head -c 600 /dev/zero >> odd
    says 65 "$kind" "odd: $kind, which this version does not read: " wf-dwt odd
    grep -qF -- "$advice" said && pass "$kind: advice" || fail "$kind: said $(cat said), want $advice"
    says 65 "$kind in a pipe" "stdin: $kind, which" from odd wf-dwt
    says 65 "$kind for coefficients" "odd: $kind, expected coefficients: " wf-bpd -m model odd
    grep -qF -- "$advice" said && grep -q 'wf-dwt$\|wf-dwt before$\|wf-dwt, a sound to WAV$' said ||
        fail "$kind for coefficients: said $(cat said), want $advice and wf-dwt"
    says 65 "$kind for coefficients in a pipe" "standard input: $kind, expected coefficients: " from odd wf-bpd -m model
    rm -rf among && mkdir among && cp odd among/b.txt && cp x.png among/a.png
    if [ "$picture" ]; then
        says 65 "$kind in a folder" "among/b.txt: $kind, which" wf-dwt among
    else
        wf-dwt among 2> said > out
        ok "$kind in a folder is passed over" grep -q 'left out 1 file without a picture' said
    fi
done << 'END'
a GIF|giftopnm|GIF89a|picture
a TIFF or a camera's raw picture|tifftopnm|II*\0|picture
a TIFF or a camera's raw picture|dcraw -c|MM\0*|picture
a TIFF of over 4 GB|vips copy|II+\0|picture
a JPEG XL|djxl|\0377\012|picture
a JPEG XL|djxl|\0\0\0\014JXL \r\n|picture
a JPEG 2000|opj_decompress|\0\0\0\014jP  \r\n|picture
an AVIF|heif-convert|\0\0\0\030ftypavif|picture
a HEIC or HEIF|heif-convert|\0\0\0\030ftypheic|picture
a HEIC or HEIF|heif-convert|\0\0\0\030ftypmif1|picture
a camera's raw picture (CR3)|darktable-cli|\0\0\0\030ftypcrx |picture
a BMP|bmptopnm|BM\0\01\0\0\0\0\0\0|picture
a Photoshop file|convert FILE -flatten file.png|8BPS|picture
a QOI|ffmpeg -i FILE file.png|qoif|picture
an OpenEXR|ffmpeg -i FILE file.png|v/1\01|picture
a Radiance HDR|convert FILE file.png|#?RADIANCE|picture
farbfeld|ff2png|farbfeld|picture
PFM|pfmtopam|PF\n|picture
an icon|convert FILE|\0\0\01\0|picture
FITS|astropy|SIMPLE  =|picture
IDX of other samples than bytes|numpy.save|\0\0\015\03\0\0\0\01|picture
a film (MP4 or MOV)|ffmpeg -i FILE -f image2pipe -c:v ppm -|\0\0\0\030ftypmp42
a film (MP4 or MOV)|ffmpeg|\0\0\0\024ftypqt\0040\0040
a film (Matroska or WebM)|ffmpeg|\032\0105\0337\0243
a film (AVI)|ffmpeg|RIFF\0\01\0\0AVI LIST
a film (MPEG)|ffmpeg|\0\0\01\0272
a film (FLV)|ffmpeg|FLV\01
a film (Y4M)|ffmpeg|YUV4MPEG2 W8 H8
a film or sound (ASF)|ffmpeg|0\046\0262u
a sound (Ogg)|pcm_s16le|OggS
a sound (MP3)|pcm_s16le|\0377\0373\0220\0144
a sound (M4A)|pcm_s16le|\0\0\0\030ftypM4A\0040
a sound (Wave64)|pcm_s16le|riff\056\0221\0317\021
a sound (CAF)|pcm_s16le|caff
a sound (AU)|pcm_s16le|.snd
a MIDI file|timidity|MThd
a Python pickle|pickle.load|\0200\02}q\0001(X
a Python pickle|pickle.load|\0200\03cnumpy.core.multiarray\n
a Python pickle|pickle.load|\0200\04\0225\01
a Python pickle|pickle.load|(dp0\nS'data'
a Python pickle|pickle.load|(lp1\nI1
a Python pickle|pickle.load|cnumpy.core.multiarray\n_reconstruct\np0\n
a Python pickle|pickle.load|ccollections\nOrderedDict\nq\0
a Python pickle|pickle.load|}q\0(X
a PyTorch file|torch.load|PK\03\04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\014\0\0\0set/data.pkl
a PyTorch file|torch.load|\0200\02\0212\012l\0374\0234F\0371
a MATLAB file (v5)|scipy.io.loadmat|MATLAB 5.0 MAT-file
a MATLAB file (v7.3, which is HDF5)|h5py|MATLAB 7.3 MAT-file
HDF5|h5py|\0211HDF\r\n\032\n
Parquet|pyarrow|PAR1
Arrow|pyarrow|ARROW1
an SQLite database|writefile|SQLite format 3\0
NRRD|nrrd.read|NRRD0004
an SVG|rsvg-convert|<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>
an HTML page|picture itself|<!DOCTYPE html><html>
a PDF|pdfimages|%PDF-1.7
PostScript|gs -q|%!PS-Adobe
a pointer of Git LFS|git lfs pull|version https://git-lfs.github.com/spec/v1\n
7-Zip|bsdtar -cf - @FILE|7z\0274\0257\047\034
RAR|bsdtar|Rar!\032\07
an archive of wf-pack|wf-unpack -m MODEL|\0211WFP\r\n\032\n
END
printf '\066\0\0\0\0\0\0\0{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}abcd' > odd
says 65 safetensors "odd: safetensors, which this version does not read: save its pictures in Python" wf-dwt odd
says 65 "safetensors for coefficients" "odd: safetensors, expected coefficients: save its pictures" wf-bpd -m model odd
says 65 "safetensors in a pipe" 'standard input: safetensors without "format", expected a stream' from odd wf-bpd -m model
(head -c 128 /dev/zero && printf DICM) > odd
says 65 DICOM 'odd: DICOM, which this version does not read: convert it, as by dcm2pnm' wf-dwt odd
(head -c 344 /dev/zero && printf 'n+1\0') > odd
says 65 NIfTI "odd: NIfTI, which this version does not read: save its volume" wf-dwt odd
ok "one sync byte is not a film" bash -c '! { (printf G && head -c 600 /dev/zero) | wf-dwt 2>&1 | grep film; }'
(for _ in 1 2 3 4; do printf G && head -c 187 /dev/zero; done) > odd
says 65 "three are" "odd: a film (MPEG), which" wf-dwt odd
mkdir cifar && printf '\200\2}q\1(U' > cifar/data_batch_1 && tar czf cifar.tar.gz cifar
says 65 "CIFAR-10 for Python" "no picture in the input (1 other file, among them cifar.tar.gz:cifar/data_batch_1: a Python pickle: save" \
    wf-dwt cifar.tar.gz
says 65 "CIFAR-10 for Python for coefficients" "cifar.tar.gz: a tar archive, expected coefficients: put wf-dwt before" \
    wf-bpd -m model cifar.tar.gz

# -- pictures in place of coefficients -------------------------------------------------------------------------------
"$ROOT/${BIN:-bin}/wf-idwt" -q a.wf > a.pam
printf '\0\0\10\3\0\0\0\1\0\0\0\2\0\0\0\2abcd' > a.idx
printf '\3' > a.cifar && head -c 3072 /dev/zero >> a.cifar
printf '\3\5' > a.cifar100 && head -c 3072 /dev/zero >> a.cifar100
printf 'PK\5\6' > a.zip && head -c 18 /dev/zero >> a.zip
tar cf a.tar x.png
cp "$corpus"/codecs/jpeg a.jpeg && cp "$corpus"/codecs/webp-exif a.webp && cp "$corpus"/sounds/wav a.wav
cp "$corpus"/sounds/flac a.flac
printf "\x93NUMPY\1\0\166\0{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2), }%58s\n....." '' > a.npy
while IFS='|' read -r kind file; do
    says 65 "$kind" "$file: $kind, expected coefficients: put wf-dwt before, as in wf-dwt $file | wf-idwt, or wf-dwt -o STORE $file" \
        wf-idwt -o out "$file"
    says 65 "$kind in a pipe" "standard input: $kind, expected coefficients: put wf-dwt before" from "$file" wf-idwt -o out
    says 65 "$kind for a model" "$file: $kind, expected a model: a folder that wf-train-level wrote" wf-bpd -m "$file" a.wf
done << 'END'
a PNG picture|x.png
a JPEG picture|a.jpeg
a WebP picture|a.webp
a PNM picture|a.ppm
a PNM picture|a.ppm.gz
a PAM picture|a.pam
an IDX array|a.idx
a NumPy array|a.npy
a zip archive|a.zip
a tar archive|a.tar
a sound|a.wav
a sound|a.flac
a CIFAR-10 batch|a.cifar
a CIFAR-100 batch|a.cifar100
an LMDB environment|data.mdb
END

# -- every program that reads coefficients ---------------------------------------------------------------------------
# kind of input | text | exit code
while IFS='|' read -r file text code; do
    while read -r -a program; do
        says "${code:-65}" "${program[0]} $file" "$text" "${program[@]}" "$file"
        case ${program[-1]} in -s | --val | --ref | a.wf) continue ;; esac
        [ ! -f "$file" ] || says 65 "${program[0]} < $file" "standard input: " from "$file" "${program[@]}"
    done << END
wf-idwt -o out
wf-bpd -m model
wf-bpd -m model -s
wf-score -m model --ref a.store
wf-score -m model a.wf --ref
wf-encode -m model
wf-sample -m model
wf-nuts -m model
wf-nearest -s a.store
wf-nearest a.wf -s
wf-view
wf-view a.wf
wf-train-level -l 0 --steps 1 -m new
wf-train-level -l 0 --steps 1 -m new -s
wf-train-level -l 0 --steps 1 -m new -s a.store --val
END
done << 'END'
x.png|x.png: a PNG picture, expected coefficients: put wf-dwt before
level|level: a level of a model, expected coefficients: -m takes the folder of the model
state|state: the state of a training or of Markov chains, expected coefficients: -m
text|text: text, expected coefficients, which wf-dwt makes
letters|letters: text, expected coefficients, which wf-dwt makes
high|high: of an unknown kind, expected coefficients
empty|empty: empty, expected coefficients
a.wf.gz|a.wf.gz: a stream of coefficients, compressed: unpack it, as by bsdcat a.wf.gz |
model|model: a model, expected coefficients: -m takes models
folder|folder: a folder without data.mdb, expected coefficients: wf-dwt -o STORE folder makes a store|66
missing|missing: cannot open: No such file or directory|66
END
ok "nothing is left of them" test ! -e new -a ! -e out/00000000.png
says 65 "wf-info x.png" "x.png: a PNG picture, expected a stream, store or model: put wf-dwt before" wf-info x.png
says 65 "wf-info folder" "folder: a folder without data.mdb, expected a stream, store or model" wf-info folder
says 65 "wf-info < level" "standard input: a level of a model, expected a stream" from level wf-info -
says 65 "wf-decode x.png" "x.png: a PNG picture, expected latents: put wf-dwt and wf-encode before" wf-decode -m model x.png
says 65 "wf-decode a.wf" "a.wf: found coefficients, expected latents as wf-encode writes them" wf-decode -m model a.wf
says 65 "wf-idwt a.latents" "a.latents: latents of a model, want coefficients: wf-decode makes them" wf-idwt -o out a.latents
mkdir lsun && cp "$corpus"/lmdb/pictures lsun/data.mdb
says 65 "an environment that is not a store" "lsun: an LMDB environment, but not a store of coefficients: wf-dwt -o STORE lsun makes one" \
    wf-idwt -o out lsun

# -- coefficients and models in place of pictures --------------------------------------------------------------------
already="already coefficients: wf-idwt makes pictures of them"
says 65 "a stream" "a.wf: $already" wf-dwt a.wf
says 65 "a stream in a pipe" "stdin: $already" from a.wf wf-dwt
says 65 "a compressed stream" "a.wf.gz: $already" wf-dwt a.wf.gz
says 65 "a store" "among them a.store/data.mdb: $already" wf-dwt a.store
says 65 "its file" "a.store/data.mdb: $already" wf-dwt a.store/data.mdb
says 65 "latents" "a.latents: a stream of latents: wf-decode -m MODEL makes coefficients" wf-dwt a.latents
says 65 "a level" "level: a level of a model: wf-sample -m FOLDER draws pictures" wf-dwt level
says 65 "a model" "among them model/level-00.safetensors: a level of a model: wf-sample -m FOLDER" wf-dwt model
mkdir mixed && cp -r a.store model x.png mixed
wf-dwt mixed 2> said > out.wf
ok "a store and a model among pictures" test "$(grep -c 'left out [0-9]* files without a picture\|: 1 picture of' said)" = 2

for program in wf-sample wf-nuts; do
    for of in a.wf a.store; do
        says 65 "$program --from $of" "--from $of: already coefficients, expected pictures: leave out --from" \
            $program -m model --from $of
    done
done

from_a_pipe() { wf-sample -q -m model --from <(printf 'P6 4 4 255\n%48s' '') > out.wf; }
ok "a picture in a named pipe is read once" from_a_pipe
mkfifo fifo
(cat x.png > fifo) &
says 65 "and a wrong one" "fifo: at byte 0: not safetensors" timeout 20 wf-bpd -m model fifo

# -- models ----------------------------------------------------------------------------------------------------------
for program in wf-bpd "wf-score --ref a.store" wf-encode wf-decode wf-sample wf-nuts "wf-coverage --noise 12" wf-pack "wf-export -o new" wf-info "wf-train-level -m new -s a.store --init"; do
    read -r -a words <<< "$program"
    [[ $program = *--init ]] || words+=(-m)
    says 65 "$program: a picture" "x.png: a PNG picture, expected a model: a folder" "${words[@]}" x.png
    says 65 "$program: a stream" "a.wf: a stream of coefficients, expected a model, which is a folder: give the stream as FILE" \
        "${words[@]}" a.wf
    says 65 "$program: a level" "level: a level of a model, expected the folder that it is in" "${words[@]}" level
    says 65 "$program: a store" "a.store: a store, expected a model: wf-train-level -s a.store -m MODEL trains one" \
        "${words[@]}" a.store
    says 66 "$program: a folder" "folder: a folder without wf.json, expected a model" "${words[@]}" folder
done
says 65 "--like a stream" "a.wf: a stream of coefficients, expected a model" wf-dwt --like a.wf a.ppm
says 64 "a model into a file" "x.png: a PNG picture, expected a folder for the model or a new name" \
    wf-train-level -m x.png -s a.store --steps 1
says 64 "a model into a store" "b.store: a store, expected a folder for the model or a new name" \
    wf-train-level -m b.store -s a.store --steps 1

# -- nothing, and terminals ------------------------------------------------------------------------------------------
nothing="nothing came: the program before it may have failed"
for program in "wf-idwt -o out" "wf-bpd -m model" "wf-score -m model --ref a.store" "wf-encode -m model" "wf-decode -m model" "wf-sample -m model" "wf-nuts -m model" \
    "wf-nearest -s a.store" wf-view "wf-info -" "wf-train-level -l 0 --steps 1 -m new" wf-dwt; do
    read -r -a words <<< "$program"
    says 65 "$program: an empty pipe" "$nothing" from empty "${words[@]}"
done
on_terminal() { script -qec "$*" /dev/null < /dev/null > .terminal 2>&1; rc=$?; tr -d '\r' < .terminal >&2; return $rc; }
if command -v script > /dev/null; then
    for program in "wf-idwt -o out" "wf-bpd -m model" "wf-score -m model --ref a.store" "wf-encode -m model -o out.wf" "wf-nearest -s a.store -o out.wf" \
        "wf-view -o out.wf" "wf-info -" "wf-train-level -l 0 --steps 1 -m new"; do
        says 64 "$program: a terminal" "waiting for " on_terminal "$program"
        ok "$program: nothing is piped in" grep -q 'nothing is piped in: put wf-dwt before, or name a file or store' said
    done
    says 64 "wf-decode: a terminal" "waiting for latents: nothing is piped in: put wf-dwt and wf-encode before" \
        on_terminal wf-decode -m model -o out.wf
    says 64 "wf-dwt: a terminal" "waiting for pictures: nothing is piped in: name files or folders" on_terminal wf-dwt -o out.store
else
    skip "script(1)"
fi

# -- other pictures than those of the model or store -----------------------------------------------------------------
wf-dwt -q --levels 2 a.ppm > levels.wf
wf-dwt -q --bits 5 -w db2 b.ppm > all.wf
"$DEADLEAVES" -q -n 4 -s 8 | wf-dwt -q --bits 5 > bits.wf
printf 'P5 8 8 255\n%64s' '' | wf-dwt -q > grey.wf
printf 'P5 4 4 255\n%16s' '' | wf-dwt -q > small.wf
while IFS='|' read -r file text; do
    while read -r -a program; do
        says 65 "${program[0]} $file" "$file: ${text//WHOM/${program[2]}}" "${program[@]}" "$file"
    done << 'PROGRAMS'
wf-bpd -m model
wf-score -m model --ref a.store
wf-score -m model a.wf --ref
wf-encode -m model
wf-nearest -s a.store
wf-view -q a.wf
wf-train-level -m model -l 0 --steps 9
PROGRAMS
done << 'END'
b.wf|pictures are 16x16, but 8x8 in WHOM: wf-dwt --fit 8x8
small.wf|pictures are 4x4, but 8x8 in WHOM; channels is 1, but 3: wf-dwt --resize 8x8 -c 3
levels.wf|levels is 2, but 3 in WHOM: wf-dwt --levels 3
bits.wf|bits is 5, but 8 in WHOM: wf-dwt --bits 8
grey.wf|channels is 1, but 3 in WHOM: wf-dwt -c 3
all.wf|wavelet is db2, but haar in WHOM; pictures are 16x16, but 8x8; bits is 5, but 8: wf-dwt --fit 8x8 --bits 8 -w haar
END
ok "the corrected stream is taken" wf-train-level -q -m model -l 0 --steps 9 --batch 2 -s a.store -f actnorm --val none
ok "the advice works" bash -c 'wf-dwt -q --fit 8x8 b.ppm | wf-bpd -q -m model'
says 65 "a store" "b.store: pictures are 16x16, but 8x8 in model: wf-dwt --fit 8x8" wf-train-level -m model -s b.store --steps 1
says 65 "held-out pictures" "b.store: pictures are 16x16, but 8x8 in a.store: wf-dwt --fit 8x8" \
    wf-train-level -m other -s a.store --val b.store --steps 1
for program in wf-sample wf-nuts; do
    says 65 "$program enlarges" "b.wf: pictures are 16x16, but 8x8 or halves of that in model: wf-dwt --fit 4x4, or --scale" \
        $program -m model b.wf
    says 65 "$program enlarges files" "b.ppm: pictures are 16x16, but 8x8 or halves of that in model" $program -m model --from b.ppm
    says 64 "$program has nothing to draw" "pictures that come in are 8x8 already, so nothing is left to draw up to level 3: give 4x4" \
        $program -m model a.wf
    says 65 "$program: other channels" "grey.wf: channels is 1, but 3 in model: wf-dwt -c 3" $program -m model grey.wf
done
ok "the advice works, too" bash -c 'wf-dwt -q --fit 4x4 b.ppm | wf-sample -q -m model | wf-idwt -q -o enlarged'

# -- changed settings ------------------------------------------------------------------------------------------------
says 65 "a training" "--batch was 2, now 4; --lr was 0.001, now 0.002; use another model folder, with --init model" \
    wf-train-level -m model -l 0 -s a.store -f actnorm --val none --steps 9 --batch 4 --lr 0.002
says 65 "a store with other pictures" "new pictures: pictures are 16x16, but 8x8 in a.store: wf-dwt --fit 8x8" \
    wf-dwt --append -o a.store b.ppm
says 64 "a complete store" "a.store: a complete store is there already: name another; wf-dwt --append adds pictures to it" \
    wf-dwt -o a.store a.ppm
says 64 "which wf-view cannot add to" \
    "a.store: a complete store is there already: name another; wf-dwt --append adds pictures to it" wf-view -o a.store a.wf
says 64 "an export over something" "pictures: not empty; a model is exported to a new folder" wf-export -m model -o pictures
says 64 "an export over a file" "x.png: Not a directory, expected the name of a new folder" wf-export -m model -o x.png
chains=(wf-nuts -q -m model -n 2 --draws 3 --state run)
ok "chains" "${chains[@]}" -o out.wf
while IFS='|' read -r option text; do
    read -r -a words <<< "$option"
    says 65 "chains with $option" "the state of another run: $text; use another folder for --state" "${chains[@]}" "${words[@]}"
done << 'END'
--seed 2|--seed was 0, now 2
-T 0.9|-T was 0.97, now 0.9
--adapt 3 --max-depth 5|--adapt was 10, now 3; --max-depth was 10, now 5
--data|--data was no, now yes
--draws 5|--draws was 3, now 5
END

# -- films -----------------------------------------------------------------------------------------------------------
if command -v ffmpeg > /dev/null; then
    ffmpeg -v error -f lavfi -i testsrc=size=64x48:rate=5 -t 2 film.avi
    says 65 "a film" "film.avi: a film (AVI), which" wf-dwt film.avi
    command=$(sed -n 's/.*as by \(ffmpeg .*\)/\1/p' said)
    ok "its frames" bash -c "${command//FILE/film.avi} > film.wf"
    ok "are all there" grep -q '^pictures *10$' <(wf-info film.wf)
else
    skip "ffmpeg, for the frames of a film"
fi
