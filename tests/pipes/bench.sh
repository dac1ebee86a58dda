#!/usr/bin/env bash
# bench.sh - tests/bench: what is counted of a run, the arithmetic, and a whole run of each table beside a stand-in for PyTorch.
# Nothing here depends on how long a run took.
. "$(dirname "$0")/lib.sh"
bench=$ROOT/tests/bench level=$ROOT/${B:-build}/bench-level
export OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1
ok "arithmetic and tables" python3 "$ROOT/tests/pipes/bench.py" "$bench"

# field NAME JOB...: that number of the last line; NAME is a key of bench-level's lines
field() { "$level" -q --time 0.01 "${@:2}" | sed -n "\$s/.*\"$1\": *\([0-9.e+]*\).*/\1/p"; }
near() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a > b * 0.999 && a < b * 1.001) }'; }
# The published level 1 is a net of 1x1 convolutions at one pixel: 9x9 once, and 7 to 128, six of 128 to 128 and 128 to 10, which
# eight steps have. Backward is twice the forward, but for the first convolutions by their inputs; these are counted as they are.
forward=$((2 * 3 * 8 * (81 + 7 * 128 + 6 * 128 * 128 + 128 * 10)))
ok "FLOP of an evaluation" near "$(field GFLOP -l 1 bpd:fp32:3)" "${forward}e-9"
# A 3x3 kernel on 2x2 pixels has four taps inside at each; 16 steps.
forward=$((2 * 5 * 16 * (4 * (81 + 7 * 128 + 3 * 128 * 128) + 16 * (3 * 128 * 128 + 128 * 10))))
ok "FLOP leave out taps on the padding" near "$(field GFLOP -l 2 bpd:fp32:5)" "${forward}e-9"
ok "training is three times that" near "$(field GFLOP -l 2 train:fp32:5:store)" "$((3 * forward))e-9"
ok "rebuilt activations are counted" near "$(field GFLOP -l 2 train:fp32:5:reversible)" "$((4 * forward))e-9"
ok "a gradient by the latents is twice that" near "$(field GFLOP -l 2 gradient:fp32:5:auto)" "$((2 * forward))e-9"
parameters=$((16 * (18 + 81 + (7 + 2) * 128 + 3 * (9 * 128 + 2) * 128 + 3 * (128 + 2) * 128 + 9 * 128 * 10 + 2 * 10) + 18))
ok "bytes of an evaluation" near "$(field MB_moved -l 2 bpd:fp32:5)" "$((4 * (parameters + 5 * 4 * (2 * 9 + 3))))e-6"
ok "bytes of the optimizer" near "$(field MB_moved -l 2 train:fp32:5:store)" "$((4 * (11 * parameters + 5 * 4 * (2 * 9 + 3))))e-6"
turns() { printf 'again\nagain\nkernels\n' | "$level" -q --time 0.01 -l 3 --turns bpd:fp32:2 > turns && [ "$(grep -c '^{' turns)" = 3 ]; }
ok "a turn for each line" turns
ok "kernels of oneDNN are listed in the last turn alone" awk '/^{/ { n++ } /^onednn_verbose/ { listed[n]++ } END { exit !(listed[2] && !listed[0] && !listed[1]) }' turns
unknown() { ! echo other | "$level" -q -l 0 --turns bpd:fp32:2 2> said && [ "$(wc -l < said)" = 1 ] && grep -q again said; }
ok "another line is refused" unknown

# The published level 1 has eight steps of three stages, of which two go together, and a last one.
"$level" -q --time 0.01 -l 1 --groups train:fp32:1 train:fp32:2 > groups
ok "groups of gradients are all parameters, one after the other" jq -es --argjson n $((8 * (18 + 81 + (7 + 2) * 128 + 6 * (128 + 2) * 128 + 128 * 10 + 2 * 10) + 18)) \
    'length == 2 and all(.[]; (.groups | map(.[0]) | add) == $n and (.groups | map(.[1]) | . == sort) and .forward_s < .groups[0][1] and .groups[-1][1] < .step_s)' groups
predict() { "$bench/predict.py" "$@" 2> said; }
ok "they are what predict.py reads" predict groups 8:1
# Two buckets of 1 MiB are ready after 2 and 3 seconds. A link of 2 MiB/s takes a quarter of a second for each of their two exchanges.
echo '{"batch": 1, "forward_s": 1, "step_s": 3, "groups": [[262144, 2], [262144, 3]]}' > two
ideal=(--payload 1 --latency 0 --overhead 0 --look 1)
seconds() { predict two "$1" "${ideal[@]}" --net "0.016777216:${copy:-1e9}:${calls:-0}" "${@:2}" | tail -n 1 | cut -d '|' -f 6 | tr -d ' '; }
ok "one rank exchanges nothing" test "$(seconds 1:1)" = 3
ok "a bucket is exchanged during the pass, the last one after it" test "$(seconds 2:1)" = 3.5
ok "four ranks exchange three quarters of each bucket twice" test "$(seconds 4:1)" = 3.75
ok "without overlap all exchanges are after the pass" test "$(seconds 2:1 --no-overlap)" = 4
ok "buckets that are not full wait for the end" test "$(seconds 2:1 --bucket 4)" = 4
ok "large parts wait for calls" test "$(calls=2 seconds 2:1 --eager 0 --look 300000)" = 3.75
ok "latency and overhead of messages" test "$(seconds 4:1 --latency 100000 --overhead 10000)" = 4.14
ok "copies take the processor's time" test "$(copy=0.01048576 seconds 2:1 --look 1000)" = 3.7
ok "a rank that is twice as fast" test "$(seconds 1:1 --speed 2)" = 1.5
ok "lines without groups are refused" bash -c 'echo "{\"batch\": 1}" > groupless; "$0" groupless 2:1 2> said; [ $? = 65 ] && [ "$(wc -l < said)" = 1 ] && grep -q "groupless: expected lines" said' "$bench/predict.py"

# Words that need no level. A way that the processor does not take is left out, not measured under a wrong name.
word() { "$level" -q --time 0.01 "$@"; }
ways() { word "$1" | jq -r .way | paste -sd ';'; }
ok "a convolution of four pixels" test "$(ways conv:16:16:2:3)" = "matrix products, fp32"
if [ "$(uname -m)" = x86_64 ]; then
    ok "a 3x3 convolution: $(ways conv:16:16:8:2)" grep -qE '^Winograd, fp32;oneDNN, fp32($|;Winograd, bf16;oneDNN, bf16;oneDNN, bf16, NHWC)' <(ways conv:16:16:8:2)
    ok "a 1x1 convolution: $(ways conv:16:16:8:2:1)" grep -qE '^oneDNN, fp32($|;oneDNN, bf16;oneDNN, bf16, NHWC)' <(ways conv:16:16:8:2:1)
fi
word conv:16:24:8:2 > said
ok "times are those of its FLOP" jq -es --argjson gflop "$((2 * 2 * 64 * 9 * 16 * 24))e-9" \
    'length > 0 and all(.[]; [.ms, .GFLOP_per_s] | transpose | length == 3 and all(.[]; .[0] * .[1] * 1e-3 / $gflop | . > 0.99 and . < 1.01))' said
word conv:16:16:8:2 maps:16:8:2 | grep '"maps"' > said
ok "loops over maps" jq -es '.[0].precision == "fp32" and all(.[]; [.[] | numbers] | length == 10 and all(.[]; . > 0))' said
ok "after a convolution in every way, as without one" bash -c '! grep -E "convolutions by|in (NHWC|blocks)" said'
refused() { word "$1" > /dev/null 2> said || [ $? = 64 ] && [ "$(wc -l < said)" = 1 ] && grep -q "^bench-level: $1: expected" said; }
for text in conv:16:16:8 conv:16:16:8:2:2 conv:16:16:8:2:3x maps:16:8 maps:0:8:2 maps:16:8:2:2 peak:none; do
    ok "$text is refused" refused "$text"
done

# A whole run, into pages and a folder of the test's own.
mkdir build && cp "$level" build/
: > peer
export PYTHON=$ROOT/tests/pipes/bench_peer.py PEER=peer
page() { for c in AMX AVX512 AVX2; do printf '<!-- %s-%s -->\n<!-- /%s-%s -->\n' "$1" $c "$1" $c; done; }
page bench > short.md
{ page bench; page bench-gradient; } > page.md
run() { "$bench/bench.py" build/bench-level --readme page.md --short short.md --threads 1 --time 0.01 "$@"; }
ok "a table" run --rows 'train:0 bpd:1'
ok "both rows are in it" grep -Eq '^\| 0 \| train \| 64 \| 0.0047 \| [0-9.]+( ~)? \| [0-9.]+( ~)? \| 200 \| 300 \| ' page.md
ok "kernels of both sides" grep -q '^| 0 | train | .*: own 100% | bf16 folded: PyTorch.s own 75%, jit:fake 25% |' page.md
ok "a setting that ends is not one" grep -q '"bf16 plain": null' build/bench.json
kept() { cp build/bench.json before && run --rows train:1 && python3 -c '
import json
a, b = (json.load(open(n)) for n in ("before", "build/bench.json"))
assert a.items() < b.items() and list(b.keys() - a.keys()) == ["train:1"]'; }
ok "rows that are not asked for are kept" kept
ok "the short table" grep -q '| 300 (bf16) | ' short.md
rc=0
run --minutes 0 > said 2>&1 || rc=$?
ok "without time it says that rows are left" test $rc = 75
ok "and how many" grep -q '; 25 rows are left' said
ok "and still writes the table" grep -q '^| 1 | train' said
ok "gradients" run --gradient --rows gradient:0
ok "gradients have a table of their own" grep -q '^| 0 | gradient | 64 ' page.md
rc=0
run --rows 'train:4 train:faces9' > said 2>&1 || rc=$?
ok "an unknown row is refused" test $rc = 1
ok "it is named" grep -q "train:faces9.*expected MODE:LEVEL" said
alone() { PEER=none run --rows bpd:0 2> said > /dev/null && grep -q 'left out' said && grep -q '^| 0 | bpd .* | - | - | - | - |' page.md; }
ok "without PyTorch our own figures" alone
compile() { export TORCHINDUCTOR_CACHE_DIR=$PWD/cache; mkdir -p cache && run --compile --rows sample:0 && [ -e cache/sample:0:fp32 ] && run --rows sample:0 && grep -q '"fp32 compiled": 200' build/bench.json; }
ok "what was compiled is tried" compile

# Whole jobs, on few pictures and without a Python that has the packages.
printf '<!-- bench-jobs -->\n<!-- /bench-jobs -->\n' > jobs.md
folder=$(dirname "$(command -v wf-info)")
ok "whole jobs" env PYTHON=false "$bench/bench_jobs.py" "$folder" "$(dirname "$level")" --scale 0.001 --threads 1 --readme jobs.md --out jobs.json
ok "their table" grep -Eq '^\| samples to a grid \| 8 \| [0-9.]+ \| [0-9-]+ \| [0-9.]+x \| [0-9.]+x \| - \| - \| - \|' jobs.md
ok "every program is started" test "$(grep -c '^| 10 starts of wf-' jobs.md)" = "$(find "$folder" -name 'wf-*' -perm -100 | wc -l)"
