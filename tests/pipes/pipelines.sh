#!/usr/bin/env bash
# pipelines.sh - the quick demo: every stage runs, all outputs exist, and a second run does nothing
. "$(dirname "$0")/lib.sh"
for tool in parallel gnuplot; do
    command -v $tool > log || { skip "$tool is not installed"; exit; }
done
demo() {
    env -u MAKEFLAGS make -C "$ROOT" -f pipelines/demo.mk QUICK=1 OUT="$WORK/demo" \
        BIN="${BIN:-bin}" B="${B:-build}" "$@"
}
held_out_again() { cp demo/bpd-val.tsv before && demo HELD=32 && ! cmp -s before demo/bpd-val.tsv; }
refuses() { ! demo "$1" > again 2>&1 && grep -q "$2" again; }
nothing_trained() { demo > again && ! grep -q training again; }
png() { [ "$(head -c 4 "$1" | tail -c 3)" = PNG ]; }

ok "the demo runs" demo
for picture in real samples curves curve; do
    ok "$picture.png is a PNG" png demo/$picture.png
done
ok "curves with other systems' figures" "$ROOT/pipelines/curves.sh" demo "$ROOT/pipelines/cifar10-jpegsrc.tsv"
ok "bits/dim of all four levels" test "$(grep -Ec '^[0-3]' demo/bpd-val.tsv)" = 4
ok "the second run trains nothing" nothing_trained
ok "other held-out pictures give other figures" held_out_again
ok "another seed does not continue the old training" refuses SEED=2 'seed was 1, now 2'
ok "other training pictures do not continue it" refuses COUNT=128 "the store's hash was"
