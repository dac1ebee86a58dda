#!/usr/bin/env bash
# signals.sh - sounds and volumes: every sample comes back; models train, are evaluated and sampled; options for
# pictures only are rejected
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1

# sweep FILE FRAMES CHANNELS: a WAV of 16 bits at 11025 a second, and its samples alone in FILE.raw
sweep() {
    python3 - "$@" << 'PY'
import array, math, sys, wave
path, frames, channels = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
samples = array.array("h", (int(20000 * math.sin(i * (0.02 + i * 3e-6) + c))
                            for i in range(frames) for c in range(channels)))
with wave.open(path, "wb") as out:
    out.setparams((channels, 2, 11025, 0, "NONE", ""))
    out.writeframes(samples.tobytes())
open(path + ".raw", "wb").write(samples.tobytes())
PY
}

# raw FOLDER: the samples of all its WAV files, in order
raw() {
    python3 - "$1" << 'PY'
import glob, sys, wave
for path in sorted(glob.glob(sys.argv[1] + "/*.wav")):
    with wave.open(path) as file:
        assert file.getframerate() == 11025
        sys.stdout.buffer.write(file.readframes(file.getnframes()))
PY
}

# npy FILE DTYPE SHAPE: an array of random numbers
npy() {
    python3 - "$@" << 'PY'
import os, sys
path, dtype, shape = sys.argv[1], sys.argv[2], tuple(map(int, sys.argv[3].split("x")))
n = int(dtype[-1])
for side in shape:
    n *= side
header = repr({"descr": dtype, "fortran_order": False, "shape": shape})[:-1] + ", }"
header += " " * (-(len(header) + 11) % 64) + "\n"
body = os.urandom(n)
open(path, "wb").write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + body)
open(path + ".raw", "wb").write(body)
PY
}

# -- sounds ----------------------------------------------------------------------------------------------------------
sweep mono.wav 4100 1 && sweep stereo.wav 1024 2
for wavelet in haar db2 coif3; do
    rm -rf out
    ok "a sound in one piece, by $wavelet" bash -c "wf-dwt -q -w $wavelet stereo.wav | wf-idwt -q -o out"
    raw out > back && ok "has every sample" same back stereo.wav.raw
done
wf-dwt --length 1024 -o s.store mono.wav 2> said
ok "a remainder shorter than a piece is reported" grep -q "last samples of 1 sound, 4 in all" said
rm -rf out && wf-dwt -q --length 1024 mono.wav | wf-idwt -q -o out
raw out > back && ok "pieces have all samples except the remainder" same back <(head -c 8192 mono.wav.raw)
ok "the rate is kept" bash -c 'wf-info s.store | grep -Eq "^rate +11025$"'
ok "a store of sounds is whole" wf-info --verify s.store
rm -rf out && wf-dwt -q -l 9 --length 1024 mono.wav > half.wf && wf-idwt -q -o out half.wf
ok "half of the samples at half of the rate" python3 -c 'import wave; f = wave.open("out/00000000.wav")
assert (f.getframerate(), f.getnframes()) == (5512, 512)'
head -c 4000 mono.wav > cut.wav
status 65 "a sound that was cut off" wf-dwt --length 1024 cut.wav
status 65 "sounds that are too short" wf-dwt --length 8192 mono.wav
status 65 "sounds of other channels" wf-dwt --length 1024 mono.wav stereo.wav
status 64 "--crop of a sound" wf-dwt --crop 2x2 mono.wav
status 64 "sounds on standard output" wf-idwt half.wf
status 64 "a grid of sounds" wf-idwt --grid x.png half.wf
"$DEADLEAVES" -q -n 1 -s 8 > x.ppm
status 65 "--length of pictures" wf-dwt --length 8 x.ppm
status 65 "a picture among sounds" wf-dwt --length 1024 mono.wav x.ppm
status 65 "a sound among pictures, asked for by name" wf-dwt x.ppm mono.wav
mkdir mixed && cp x.ppm mixed/a.ppm && cp mono.wav mixed/b.wav && cp x.ppm mixed/c.ppm
wf-dwt mixed > mixed.wf 2> said
ok "sounds in a folder of pictures are skipped" bash -c "wf-info mixed.wf | grep -Eq '^pictures +2$'"
ok "the message counts the skipped files" grep -q 'left out 1 file without a picture' said
tar cf mixed.tar mixed
ok "the same in an archive" bash -c 'wf-dwt -q mixed.tar | wf-info - | grep -Eq "^pictures +2$"'
cp mono.wav mixed/0.wav
status 65 "a folder that begins with a sound is no folder of pictures" wf-dwt mixed
cp .log said && ok "the message names the first picture" grep -q 'mixed/a.ppm: a picture, want a sound' said

# models MODEL STORE LEVELS: trains all levels; level 0 has a chain of its own
models() {
    wf-train-level -q -l 0 -m "$1" -s "$2" -f actnorm --steps 30 --batch 16 || return
    for ((level = 1; level <= $3; level++)); do
        wf-train-level -q -l $level -m "$1" -s "$2" -f '2*(actnorm, conv1x1, affine:width=4:blocks=1), actnorm' \
            --steps 30 --batch 16 || return
    done
}
total() { tail -n 1 "$1" | cut -f 3; }

rm -rf s.store && wf-dwt -q --length 32 -w db2 -o s.store mono.wav
ok "a model of sounds" models m s.store 5
ok "bits per sample, fewer than 16" \
    bash -c 'wf-bpd -m m -s s.store > b.tsv && awk "END { exit !(\$NF > 0 && \$2 < 16) }" b.tsv'
wf-dwt -q --length 32 -w db2 mono.wav > s.wf
ok "and of a stream" bash -c 'wf-bpd -m m - < s.wf | cmp - b.tsv'
ok "bits per dimension with importance weights" \
    bash -c 'wf-bpd -m m -s s.store --iw 2 | awk "/^iw 2/ { found = \$3 > 0 && \$3 < 16 } END { exit !found }"'
ok "the weights have one axis" grep -Eaq '"ema/[^"]*[.]w":[{]"dtype":"F32","shape":[[]4,3,4[]]' m/level-05.safetensors
rm -rf out && wf-sample -q -m m -n 3 | wf-idwt -q -o out
ok "samples are sounds" bash -c 'ls out | cmp - <(printf "%08d.wav\n" 0 1 2)'
rm -rf out && wf-encode -q -m m < s.wf | wf-decode -q -m m | wf-idwt -q -o out
raw out > back && ok "latents and back" same back <(head -c 8192 mono.wav.raw)
rm -rf out && wf-dwt -q -l 3 --length 32 -w db2 mono.wav | wf-sample -q -m m | wf-idwt -q -o out
ok "super-resolution of every sound" bash -c '[ "$(ls out | wc -l)" = 128 ]'
ok "sounds have the model's rate" raw out
rm -rf out && wf-dwt -q -l 3 --length 32 -w db2 mono.wav | wf-idwt -q -o out
ok "files of a lower level give the model's rate" \
    bash -c 'wf-sample -q -m m --from out | wf-info - | grep -Eq "^rate +11025$"'
sweep out/other.wav 8 1
status 65 "files of several rates" wf-sample -m m --from out
ok "the nearest" bash -c 'wf-sample -q -m m -n 2 | wf-nearest -q -s s.store -k 1 | wf-idwt -q -o near'
ok "chains" bash -c 'wf-nuts -q -m m -n 2 --joint --adapt 2 --draws 2 | wf-idwt -q -o nuts'
rm -rf w.store && wf-dwt -q --levels 0 --length 32 -o w.store stereo.wav
wf-train-level -q -l 0 -m w -s w.store -f 'actnorm, affine:mask=checker:width=4:blocks=1' \
    --dequantize 'affine:mask=checker:width=4:blocks=1' --steps 2 --batch 16
ok "learnt noise of sounds" bash -c 'wf-bpd -m w -s w.store --iw 2 | grep -q "^iw 2"'
status 64 "flips of sounds" wf-train-level -l 5 -m new -s s.store --flip --steps 1
status 64 "squeezed sounds" wf-train-level -l 5 -m new -s s.store -f 'squeeze, actnorm' --steps 1

# -- volumes ---------------------------------------------------------------------------------------------------------
npy one.npy '|u1' 4x8x16 && npy deep.npy '<u2' 8x4x4x2 && npy many.npy '|u1' 16x4x4x8 && npy five.npy '|u1' 2x4x8x4x3
for file in one deep many five; do
    for wavelet in haar sym4; do
        rm -rf out && wf-dwt -q --dims 3 -w $wavelet $file.npy | wf-idwt -q -o out
        for f in out/*.npy; do tail -c +129 "$f"; done > back
        ok "volumes of $file by $wavelet" same back $file.npy.raw
    done
done
ok "a volume comes back unchanged" same <(wf-dwt -q --dims 3 one.npy | wf-idwt -q) one.npy
status 65 "volumes of two dimensions" wf-dwt --dims 3 x.ppm
status 65 "volumes of pictures" bash -c 'wf-dwt -q --dims 3 one.npy > v.wf && wf-train-level -l 2 -m m -s - < v.wf'

# film.npy: 48 films of 4 frames of 4x4; in each a picture moves by one pixel per frame
"$DEADLEAVES" -q -n 48 -s 8 | tail -c +1 > leaves.ppm
python3 - << 'PY'
import re
data, frames = open("leaves.ppm", "rb").read(), b""
while data:
    head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", data)
    W, H = int(head[1]), int(head[2])
    body = data[head.end():head.end() + 3 * W * H]
    data = data[head.end() + 3 * W * H:]
    for t in range(4):
        for y in range(4):
            frames += body[3 * ((y + t) * W + t):3 * ((y + t) * W + t + 4)]
header = repr({"descr": "|u1", "fortran_order": False, "shape": (48, 4, 4, 4, 3)})
header += " " * (-(len(header) + 11) % 64) + "\n"
open("film.npy", "wb").write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + frames)
PY
wf-dwt -q --dims 3 -o v.store film.npy
ok "a model of films" models f v.store 2
ok "bits per dimension of films" \
    bash -c 'wf-bpd -m f -s v.store > b.tsv && awk "END { exit !(\$2 > 0 && \$2 < 8) }" b.tsv'
ok "bits per dimension with importance weights" \
    bash -c 'wf-bpd -m f -s v.store --iw 2 | awk "/^iw 2/ { found = \$3 > 0 && \$3 < 8 } END { exit !found }"'
rm -rf out && wf-sample -q -m f -n 3 | wf-idwt -q -o out
ok "samples are films" bash -c 'head -c 128 out/00000002.npy | grep -aq "(4, 4, 4, 3)"'
ok "a model of films has the size it has" \
    bash -c '! wf-sample -q -m f --from one.npy --scale 2 > none 2> said && grep -q wf-sample said'
ok "chains of films" bash -c 'wf-nuts -q -m f -n 2 --joint --adapt 2 --draws 2 | wf-idwt -q -o nutsf'
rm -rf out && wf-dwt -q --dims 3 film.npy | wf-encode -q -m f | wf-decode -q -m f | wf-idwt -q -o out
for f in out/*.npy; do tail -c +129 "$f"; done > back
ok "latents of films and back" same back <(tail -c +129 film.npy)
status 65 "sounds to a model of films" bash -c 'wf-bpd -m f - < s.wf'
status 64 "checkers in volumes" wf-train-level -l 2 -m newer -s v.store -f 'affine:mask=checker' --steps 1
