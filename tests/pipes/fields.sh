#!/usr/bin/env bash
# fields.sh - floats come back, models of them give nats per dimension in their own unit, and what is for pictures is
# refused
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1

# npy FILE DTYPE SHAPE FACTOR: an array of normal numbers around 20, times FACTOR
npy() {
    python3 - "$@" << 'PY'
import random, struct, sys
path, dtype, shape, factor = sys.argv[1], sys.argv[2], tuple(map(int, sys.argv[3].split("x"))), float(sys.argv[4])
n = 1
for side in shape:
    n *= side
random.seed(7)
header = repr({"descr": dtype, "fortran_order": False, "shape": shape})[:-1] + ", }"
header += " " * (-(len(header) + 11) % 64) + "\n"
body = struct.pack(dtype[0] + str(n) + {"2": "e", "4": "f", "8": "d"}[dtype[2]],
                   *(factor * (20 + 3 * random.gauss(0, 1)) for i in range(n)))
open(path, "wb").write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + body)
PY
}

# near A B SHAPE: the values of two .npy differ by less than 1e-6 of the largest, and B is <f4 of that shape
near() {
    python3 - "$@" << 'PY'
import ast, struct, sys
def read(path):
    b = open(path, "rb").read()
    end = 10 + int.from_bytes(b[8:10], "little")
    h = ast.literal_eval(b[10:end].decode())
    t = {"2": "e", "4": "f", "8": "d"}[h["descr"][2]]
    return h, struct.unpack(h["descr"][0] + str((len(b) - end) // struct.calcsize(t)) + t, b[end:])
(_, a), (h, b) = read(sys.argv[1]), read(sys.argv[2])
assert h["descr"] == "<f4" and h["shape"] == tuple(map(int, sys.argv[3].split("x"))), h
assert len(a) == len(b) and max(abs(x - y) for x, y in zip(a, b)) < 1e-6 * max(map(abs, a))
PY
}

# -- there and back --------------------------------------------------------------------------------------------------
while read -r dtype shape out wavelet; do
    npy f.npy "$dtype" "$shape" 1
    ok "$dtype $shape by $wavelet" bash -c "wf-dwt -q --float -w $wavelet f.npy | wf-idwt -q -o back.npy"
    ok "comes back" near f.npy back.npy "$out"
done << 'END'
<f4 5x8x8 5x8x8 haar
>f4 5x8x8 5x8x8 db4
<f8 8x16 1x8x16 coif1
>f2 3x8x8 3x8x8 haar
<f4 4x8x8x5 4x8x8x5 sym4
<f4 2x4x4x64 2x4x4x64 haar
END
npy f.npy '<f4' 2x4x4x65 1 && status 65 "65 channels are too many" wf-dwt --float -o no.store f.npy

# -- models ----------------------------------------------------------------------------------------------------------
# model FACTOR: trains one, and prints its nats/dim
model() {
    rm -rf f.store m
    npy f.npy '<f4' 300x8x8 "$1"
    wf-dwt -q --float -o f.store f.npy
    wf-train-level -q -s f.store -l 0-3 -m m -f actnorm --steps 40 --backend cpu
    wf-bpd -q -m m -s f.store | awk '/^total/ { print $2 }'
}

for factor in 4 1e-9 1; do
    model "$factor" > "nats.$factor"
done
# white noise of deviation 3: log(3 sqrt(2 pi e)) = 2.5176, and 300 fields know it to 0.01
ok "nats/dim are the entropy" awk '{ exit !($1 - 2.5176 < 0.02 && 2.5176 - $1 < 0.02) }' nats.1
ok "a factor of 4 adds log 4" \
    awk 'NR == 1 { a = $1; next } { d = $1 - a - log(4); exit !(d < 1e-4 && d > -1e-4) }' nats.1 nats.4
ok "a factor of 1e-9 adds its logarithm" \
    awk 'NR == 1 { a = $1; next } { d = $1 - a - log(1e-9); exit !(d < 0.01 && d > -0.01) }' nats.1 nats.1e-9
ok "the table is in nats" bash -c "wf-bpd -q -m m -s f.store | head -n 1 | grep -q 'nats/dim'"
ok "so is the object" bash -c "wf-bpd -q -m m -s f.store --json | grep -q '\"nats\": 2.5'"
ok "--like reads floats" bash -c "wf-dwt -q --like m f.npy | wf-bpd -q -m m"
ok "samples are fields" bash -c "wf-sample -q -m m -n 3 | wf-idwt -q -o drawn.npy"
ok "of their shape" near drawn.npy drawn.npy 3x8x8
ok "latents lead back" bash -c "wf-encode -q -m m f.store | wf-decode -q -m m - | wf-idwt -q -o decoded.npy"
ok "to the fields" python3 - << 'PY'
import struct
a, b = (struct.unpack("<19200f", open(p, "rb").read()[128:]) for p in ("f.npy", "decoded.npy"))
assert max(abs(x - y) for x, y in zip(a, b)) < 1e-3
PY

# -- given a label ---------------------------------------------------------------------------------------------------
{
    printf '\x93NUMPY\x01\x00\x76\x00%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': (300,), }"
    for _ in {1..150}; do printf '\0\1'; done
} > labels.npy
ok "fields train with labels" wf-train-level -q -s f.store -l 0-3 -m given --given labels.npy -f 'actnorm, affine:width=4:blocks=1' --steps 5 --backend cpu
wf-bpd -q -m given -s f.store --given labels.npy --per-image > each.tsv
wf-bpd -q -m given -s f.store --given labels.npy --given-grid labels > grid.tsv
ok "log likelihoods are in nats, too" bash -c 'paste grid.tsv each.tsv | awk -F "\t" "NR > 1 { have = \$4 == 1 ? \$6 : \$5; d = have + \$8 * 64
    if (d * d > 1e-4) exit 1; n++ } END { exit n != 300 }"'

# -- refused ---------------------------------------------------------------------------------------------------------
python3 -c "
b = bytearray(open('f.npy', 'rb').read())
b[-4:] = b'\0\0\xc0\x7f'
open('nan.npy', 'wb').write(b)"
status 65 "NaN" wf-dwt --float -o no.store nan.npy
status 65 "floats without --float" wf-dwt -o no.store f.npy
printf 'P5 2 2 255\n1234' > p.pgm
status 65 "pictures with --float" wf-dwt --float -o no.store p.pgm
status 64 "--crop" wf-dwt --float --crop 4x4 -o no.store f.npy
status 64 "--dims 3" wf-dwt --float --dims 3 -o no.store f.npy
status 64 "a grid" wf-idwt --grid g.png f.store
status 64 "a folder of pictures" wf-idwt -o out f.store
status 64 "--iw" wf-bpd -m m -s f.store --iw 2
status 64 "--shard" wf-bpd -m m -s f.store --shard 1/2
status 64 "lattice" wf-train-level -q -s f.store -l 1 -m n -f lattice --steps 1
status 64 "learnt noise" wf-train-level -q -s f.store -l 1 -m n --dequantize actnorm --steps 1
status 65 "chains in a model of fields" wf-nuts -m m
status 65 "an export" wf-export -o out -m m
status 65 "neighbours" wf-nearest -s f.store f.store
sed 's/"exponent": [0-9-]*, //; s/, "checksum": "[0-9a-f]*"//' m/wf.json > t && cp t m/wf.json
status 65 "a model without its unit" wf-bpd -m m -s f.store
