#!/usr/bin/env bash
# kit.sh FOLDER PROGRAMS PLUGIN [PLANTED] - packs what a machine with a card needs into FOLDER (make device-kit): stripped programs and the
# CUDA plugin, the libraries that they need beside glibc, libstdc++ and CUDA's, a store and a model of generated pictures with the
# CPU's figures of both, the peer, and on-device.sh. Fails above 25 MB.
#
# PROGRAMS holds bin/ and build/, linked to look for libraries in ../lib. PLANTED: the program of planted.cu. PEER: the peer's program; without one the kit has none.
# KIT_SMALL=1: less work, for tests.
set -eu -o pipefail
export LC_ALL=C
cd "$(dirname "$0")/../.."
kit=$1 programs=$2 plugin=$3 planted=${4:-} peer=${PEER:-../shared/peers/peer_torch.py}
most=25000000
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "device-kit: $*" >&2; exit 70; }

[ ! -e "$kit" ] || [ -e "$kit/kit.txt" ] || fail "$kit is there and is not a kit: KIT names another folder"
mkdir -p "$work/tree/lib" "$work/tree/tests/pipes" "$work/lib" "$work/kit"
cp -r "$programs/bin" "$programs/build" "$work/tree"
cp "$plugin" "$work/tree/lib/libwf-cuda.so"
[ -z "$planted" ] || cp "$planted" "$work/tree/build/planted"
find "$work/tree" -type f -exec strip {} +
# The plugin calls functions of the program, which has them only if the linker saw a use.
nm -D --undefined-only "$plugin" | grep -o 'wf_.*' > "$work/called"
for program in "$work"/tree/bin/* "$work"/tree/build/{check-ops,bench-level}; do
    lacks=$(nm -D --defined-only "$program" | grep -o 'wf_.*' | grep -vxFf - "$work/called" || true)
    [ -z "$lacks" ] || fail "${program##*/} lacks what the plugin calls: $lacks"
done
cp tests/pipes/lib.sh tests/pipes/emulated.sh "$work/tree/tests/pipes"
# pack FOLDER FILE: the programs share most of their code, which xz finds; ICU's 31 MB of data, behind libarchive's XML, become 7.
pack() { tar cf - -C "$1" . | xz -6 -T2 > "$2"; }
pack "$work/tree" "$work/kit/programs.tar.xz"

# Names, paths and dates of all libraries that a program of ours loads. The machine has these; CUDA's are looked for there.
theirs='linux-vdso|/ld-linux|^lib(c|m|dl|rt|pthread|resolv|util|stdc\+\+|gcc_s|cuda|cudart|cudnn|cublas|cublasLt)\.so'
ldd "$programs"/bin/* "$programs"/build/* "$plugin" | sed -n 's/^\t\([^ ]*\) => \(.*\) (0x.*/\1 \2/p; s/^\t\(.*\) => not found$/\1 -/p' |
    sort -u | grep -vE "$theirs" > "$work/libraries" || true
while read -r name path; do
    [ "$path" != - ] || fail "$name is not installed here"
    cp -Lp "$path" "$work/lib/$name"
done < "$work/libraries"
# They take most of a minute to pack, and change rarely.
ls -l --time-style=+%s "$work/lib" > "$work/packed"
if ! cmp -s "$work/packed" "$programs/packed"; then
    pack "$work/lib" "$programs/libraries.tar.xz"
    cp "$work/packed" "$programs/packed"
fi
cp "$programs/libraries.tar.xz" "$work/kit"
cp "$work"/lib/* "$work/tree/lib"

# The CPU's figures. One thread, so that they do not depend on the machine that packs.
export OMP_NUM_THREADS=1 XDG_CACHE_HOME=$work
width=64 pictures=256 chains='-n 8 --adapt 5 --draws 10 --max-depth 3'
[ -z "${KIT_SMALL:-}" ] || { width=40 pictures=64 chains='-n 4 --adapt 5 --draws 4 --max-depth 2'; }
chain="2*(actnorm, conv1x1, affine:width=$width:blocks=1), actnorm" steps=50 half=20
cpu() { local program=$1 && shift && "$work/tree/bin/$program" "$@" --backend cpu; }
"$work/tree/build/deadleaves" -q -n $pictures -s 16 | cpu wf-dwt -q -o "$work/kit/leaves.store"
for level in 0 1 2 3 4; do
    cpu wf-train-level -q -l $level -m "$work/kit/model" -s "$work/kit/leaves.store" -f "$chain" --batch 8 --warmup 5 --steps $steps --val none --precision fp32
done
rm -f "$work/kit/model"/*.state.safetensors # what a further training would need
cpu wf-train-level -q -l 3 -m "$work/fresh" -s "$work/kit/leaves.store" -f "$chain" --batch 8 --warmup 5 --steps $steps --val none --precision fp32
cpu wf-bpd -q -m "$work/kit/model" -s "$work/kit/leaves.store" > "$work/bpd"
# shellcheck disable=SC2086 # options
cpu wf-nuts -q -m "$work/kit/model" $chains --stats "$work/stats.csv" > /dev/null
# Our kernels' names, to which compute-sanitizer is limited.
kernels=$(for file in "$plugin" $planted; do tests/gpu/kernels.sh "$file"; done | xargs)
{
    printf '%s\n' "chain $chain" "steps $steps" "half $half" "chains $chains"
    echo "bpd_trained $(sed -n 's/.*"bpd": \([0-9.]*\).*/\1/p' "$work/fresh/level-03.jsonl" | tail -n 1)"
    echo "bpd_model $(awk -F '\t' '$1 == "total" { print $3 }' "$work/bpd")"
    awk -F , 'NR > 1 { a += $2; l += $1 } END { print "nuts_acceptance " a / (NR - 1) "\nnuts_density " l / (NR - 1) }' "$work/stats.csv"
    echo "version $("$work/tree/bin/wf-info" --version)"
    echo "commit $(git rev-parse --short HEAD 2> /dev/null || echo unknown)"
    echo "kernels ${kernels:-unknown}"
} > "$work/kit/kit.txt"
[ "$(grep -c '^[a-z_]* .' "$work/kit/kit.txt")" = 11 ] || fail "a figure of the CPU is missing: $(cat "$work/kit/kit.txt")"

cp tests/gpu/on-device.sh tests/bench/bench_gpu.py "$work/kit"
if [ -e "$peer" ]; then cp "$peer" "$work/kit/peer_torch.py"; else echo "device-kit: no peer: no $peer (PEER names it)"; fi
size=$(du -sb "$work/kit" | cut -f 1)
[ "$size" -le $most ] || fail "the kit has $size bytes, at most $most"
mkdir -p "$(dirname "$kit")"
[ ! -e "$kit/out" ] || mv "$kit/out" "$work/kit" # what came back from a card
rm -rf "$kit"
mv "$work/kit" "$kit"
echo "device-kit: $kit: $size bytes, $(wc -l < "$work/libraries") libraries, $(grep -o 'commit .*' "$kit/kit.txt")"
