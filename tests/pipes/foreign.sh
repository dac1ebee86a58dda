#!/usr/bin/env bash
# foreign.sh - a stranger writes and reads streams and stores by wf-stream(5) alone, and archives by wf-archive(5). WF_PYTHON names
# a Python with numpy, lmdb and xxhash; the default is python3, then the system's.
. "$(dirname "$0")/lib.sh"
foreign() { "$python" "$ROOT/tests/pipes/foreign.py" "$@"; }
find_python

# Samples of a PAM stream without its headers.
raw() {
    "$python" -c '
import sys
b = sys.stdin.buffer.read()
while b:
    head, b = b.split(b"ENDHDR\n", 1)
    f = dict(l.split()[:2] for l in head.splitlines()[1:] if l)
    n = int(f[b"WIDTH"]) * int(f[b"HEIGHT"]) * int(f[b"DEPTH"])
    sys.stdout.buffer.write(b[:n])
    b = b[n:]'
}

ok "a stream is written" foreign write-stream theirs.wf
foreign pixels-of stream > theirs.raw
ok "wf-info reads it" wf-info theirs.wf
wf-idwt theirs.wf | raw > read.raw
ok "its pixels come back" same theirs.raw read.raw
head -c -1 theirs.wf > cut.wf
status 65 "its end record is looked at" wf-idwt cut.wf
tail -c +400 theirs.wf | tr '\000' '\001' > tail.bin
{ head -c 399 theirs.wf; cat tail.bin; } > damaged.wf
status 65 "its bytes are checked" wf-idwt damaged.wf

ok "a store is written" foreign write-store theirs.store
foreign pixels-of store > store.raw
ok "wf-info verifies it" wf-info --verify theirs.store
ok "levels train on it" wf-train-level -l 1 -m model -s theirs.store -f actnorm --steps 1 --batch 2 -q --backend cpu

# Their store has indices with gaps; ours counts from 0.
"$python" -c '
import sys
pixels, n = sys.stdin.buffer.read(), 136 * 72 * 3
for i in range(0, len(pixels), n):
    sys.stdout.buffer.write(b"P6\n72 136\n255\n" + pixels[i:i + n])' < store.raw > store.ppm
ok "wf-dwt makes a store" wf-dwt -q --levels 3 -o ours.store store.ppm
ok "it is read" foreign read-store ours.store store.raw
wf-dwt -q --levels 3 --batch 5 store.ppm > ours.wf
ok "a stream is read" foreign read-stream ours.wf store.raw
cp store.raw other.raw
printf '\377' | dd of=other.raw bs=1 seek=999 conv=notrunc status=none
refused() { ! foreign "$@"; }
ok "other pixels are noticed" refused read-stream ours.wf other.raw
ok "and in a store" refused read-store ours.store other.raw

# -- archives ---------------------------------------------------------------------------------------------------------
read_archive() { "$python" "$ROOT/tests/pipes/read_archive.py" "$@"; }
# pixels DIR SUFFIX: a hash of the pixels of each file, by its name
pixels() { (cd "$1" && for f in $(find . -name "*.$2" | sort); do echo "${f%."$2"} $(wf-dwt -q --levels 0 "$f" | wf-idwt -q | cksum)"; done); }
golden=$ROOT/tests/golden/packed
ok "the golden archive is read" read_archive "$golden/model" "$golden/pictures.wfp" golden.theirs
wf-unpack -q -m "$golden/model" "$golden/pictures.wfp" -o golden.ours
ok "with wf-unpack's pixels" same <(pixels golden.ours png | sed 's/[^ ]* //' | sort) <(pixels golden.theirs pam | sed 's/[^ ]* //' | sort)
head -c 700 "$golden/pictures.wfp" > cut.wfp
cut_is_refused() { ! read_archive "$golden/model" cut.wfp cut.theirs 2> said && grep -q "^read_archive.py: cut.wfp: " said; }
ok "a cut is noticed" cut_is_refused
"$DEADLEAVES" -q -n 32 -s 8 | wf-dwt -q > leaves.wf
for chain in 'cond:channels=4:width=8:blocks=1, lattice:components=3:width=8:blocks=1:phases=2' '2*cond:channels=3:width=4, lattice:net=gated:width=4:blocks=2'; do
    rm -rf packer in theirs ours
    ok "a model of $chain" wf-train-level -q -m packer -s leaves.wf -f "$chain" --steps 30 --batch 8 --val none
    mkdir in && wf-idwt -q -o in leaves.wf && rm in/0000000[3-9].png in/000000[1-9]?.png
    "$DEADLEAVES" -q -n 1 -s 16 | wf-dwt -q --levels 0 --crop 13x7 | wf-idwt -q -o in/odd.png
    wf-pack -q -m packer in > in.wfp
    ok "its archive is read" read_archive packer in.wfp theirs
    wf-unpack -q -m packer in.wfp -o ours
    ok "with the same pixels" same <(pixels ours png) <(pixels theirs pam | sed 's/\.png / /')
done
