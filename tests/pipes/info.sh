#!/usr/bin/env bash
. "$(dirname "$0")/lib.sh"

# Three pictures of 8x16x3 as one PPM stream.
picture() { printf 'P6\n16 8\n255\n' && head -c 384 /dev/zero | tr '\0' "$1"; }
{ picture a; picture q; picture z; } > pictures.ppm
says() { grep -qE -- "$1" "$2" || { echo "no line '$1' in:"; cat "$2"; return 1; }; }

ok "a stream is written" sh -c 'wf-dwt --levels 3 < pictures.ppm > s.wf'
ok "a store is written" wf-dwt --levels 3 -o store pictures.ppm

wf-info s.wf > file.txt
wf-info - < s.wf > pipe.txt
ok "a stream in a file" says '^kind +stream$' file.txt
ok "its shape" says '^shape +8x16x3$' file.txt
ok "its pictures" says '^pictures +3$' file.txt
ok "an overview of the levels" says '^  level  shape  pictures$' file.txt
ok "each level" says '^  3      4x8x9  3$' file.txt
ok "its provenance" says '^  wf-dwt [0-9][^ ]*: .*wf-dwt --levels 3 \(seed 0\)$' file.txt
ok "a pipe says the same" diff <(grep -v ^path file.txt) <(grep -v ^path pipe.txt)
wf-info - < <(cat s.wf) > cat.txt
ok "a pipe gives the same as a file" diff cat.txt pipe.txt

wf-info --verify store > store.txt
ok "a store" says '^kind +store$' store.txt
ok "its hash" says '^hash +[0-9a-f]{16}$' store.txt
ok "its number type" says '^  3 .* F16    [0-9]+$' store.txt
command -v python3 > /dev/null && python=1 || python=
[ "$python" ] || skip "JSON and flipped bits: no python3"
[ ! "$python" ] || ok "JSON of a store" sh -c '
    wf-info --json store | python3 -c "import json, sys; assert json.load(sys.stdin)[\"pictures\"] == 3"'

wf-info > build.txt
ok "the version" says '^version ' build.txt
ok "the processor as a backend" says '^  cpu ' build.txt
ok "the reference" says '^  ref ' build.txt

# safetensors HEADER: a file with this header and 32 zero bytes
safetensors() {
    local n
    n=$(printf '%s' "$1" | wc -c)
    printf '%b' "$(printf '\\x%02x\\x%02x\\0\\0\\0\\0\\0\\0' $((n % 256)) $((n / 256)))"
    printf '%s' "$1"
    head -c 32 /dev/zero
}
mkdir model
printf '{"format": "wavelet-flow/1", "wavelet": "haar", "levels": 1, "shape": [8, 16, 3], "bits": 8}\n' > model/wf.json
header='{"__metadata__":{"format":"other","level":"0","bpd":"1.5",'
header+='"provenance":"[{\"tool\":\"t\",\"argv\":[\"a\",\"b c\"]}]"},'
header+='"w/x":{"dtype":"F32","shape":[1,4],"data_offsets":[0,16]},'
header+='"ema/x":{"dtype":"F32","shape":[1,4],"data_offsets":[16,32]}}'
safetensors "$header" > model/level-00.safetensors
wf-info model > model.txt
ok "a model" says '^kind +model$' model.txt
ok "untrained levels are listed" says '^missing +1$' model.txt
ok "each level's metadata" says '^  0      1.5  4$' model.txt
ok "and provenance" says '^  t \?: a b c \(seed \?\)$' model.txt
wf-info --verify model/level-00.safetensors > checkpoint.txt
ok "a checkpoint" says '^kind +checkpoint$' checkpoint.txt
ok "its tensors" says '^  ema/x  F32    1x4$' checkpoint.txt
safetensors '{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},
"m":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},
"sum":{"dtype":"F64","shape":[2],"data_offsets":[16,32]}}' > state
wf-info --verify state > state.txt
ok "parameters of a training state are its weights" says '^parameters +2$' state.txt
printf '\360\177' | dd of=state bs=1 seek=$(($(stat -c %s state) - 2)) conv=notrunc status=none
ok "without --verify infinite values go unnoticed" wf-info state
status 65 "--verify finds one among doubles" wf-info --verify state
cp model/level-00.safetensors model/level-01.safetensors
ok "values common to all levels appear once" test "$(wf-info model | grep -c 't ?: a b c')" = 1
rm model/level-01.safetensors

head -c -1 s.wf > cut.wf
head -c 1000 s.wf > cut2.wf
status 65 "a stream that was cut off" wf-info cut.wf
status 65 "inside a record" wf-info - < cut2.wf
status 65 "nothing" wf-info - < /dev/null
: > empty
status 65 "an empty file" wf-info empty
status 65 "text" wf-info pictures.ppm
head -c -1 model/level-00.safetensors > cut.safetensors
status 65 "a checkpoint that was cut off" wf-info cut.safetensors
mkdir hollow && status 65 "an empty folder" wf-info hollow
ok "a folder with a model in model/" wf-info .
cp -r store cut
truncate -s 20000 cut/data.mdb
status 65 "a store that was cut off" wf-info cut
status 66 "no such file" wf-info none
wf-info -m leaves > named.txt
ok "an installed model by its name" same <(wf-info leaves) named.txt
status 64 "two paths" wf-info store store
status 64 "a wrong flag" wf-info --wrong
[ ! "$python" ] || ok "flipped bits in a store" python3 - << 'END'
import os, subprocess
good = open("store/data.mdb", "rb").read()
os.makedirs("bad")
seen = set()
for at in range(1, len(good), 499):
    bad = bytearray(good)
    bad[at] ^= 1 << at % 8
    open("bad/data.mdb", "wb").write(bad)
    seen.add(subprocess.run(["wf-info", "--verify", "bad"], capture_output=True).returncode)
assert seen == {0, 65}, seen
END
