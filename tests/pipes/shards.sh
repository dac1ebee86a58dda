#!/usr/bin/env bash
# shards.sh - --shard: what the shards of a run give, joined, is what the run gives, byte for byte
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1
train_small model || fail "training"
"$DEADLEAVES" -q -n 23 -s 4 --seed 5 > small.pam
wf-dwt -q --batch 5 small.pam > odd.wf # in batches of 5, 5, 5, 5 and 3
wf-dwt -q small.pam -o small.store
mkdir small && wf-idwt -q -o small odd.wf
head -c 700 small.pam > few.pam

# joined N OUTPUT COMMAND...: runs the command as shards 1/N to N/N with outputs OUTPUT.1 .. OUTPUT.N, and joins these.
joined() {
    local n=$1 out=$2 i parts=()
    shift 2
    for i in $(seq "$n" -1 1); do
        "$@" --shard "$i/$n" > "$out.$i" || return
        parts+=("$out.$i")
    done
    wf-view -q "${parts[@]}" > "$out"
}

# -- every kind of run -------------------------------------------------------------------------------------------------
nuts="wf-nuts -q -m model --adapt 2 --draws 4"
i=0
while IFS='|' read -r n command; do
    i=$((i + 1))
    # shellcheck disable=SC2086 # words
    { $command > run.$i && joined "$n" joined.$i $command; } 2> log || fail "$command: $(cat log)"
    ok "$command, $n shards" same run.$i joined.$i
done << END
1|wf-sample -q -m model -n 5
3|wf-sample -q -m model -n 5
8|wf-sample -q -m model -n 600 -l 1
7|wf-sample -q -m model -n 23 -T 0.9,0.5 --seed 3 --truncate 2
4|wf-sample -q -m model odd.wf
4|wf-sample -q -m model small.store
30|wf-sample -q -m model odd.wf
3|wf-sample -q -m model --from small
3|wf-sample -q -m model --from small.pam --scale 4
2|$nuts -n 5
4|$nuts -n 300 -l 1
3|$nuts -n 300 -l 0 --thin 2
3|$nuts -n 5 --chains 2
3|$nuts -n 200 -l 0 --chains 3 --thin 1
3|$nuts odd.wf --joint --data --seed 4
3|$nuts --from small -T 0.8
END
ok "shards of 600 pictures are in full batches" test "$(wf-info --json joined.3.1 | grep -o '"pictures":[0-9]*' | head -n 1)" = '"pictures":75'
