#!/usr/bin/env bash
# shards.sh - --shard: what the shards of a run give, joined, is what the run gives, byte for byte
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1
train_small model || fail "training"
"$DEADLEAVES" -q -n 23 -s 4 --seed 5 > small.pam
wf-dwt -q --batch 5 small.pam > odd.wf # in batches of 5, 5, 5, 5 and 3
wf-sample -q -m model -n 1500 -l 0 > many.wf
wf-dwt -q small.pam -o small.store
mkdir small && wf-idwt -q -o small odd.wf

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

# refused TEXT NAME COMMAND...: passes if the command exits with 65 and one line that has the text.
refused() {
    local text=$1
    shift
    status 65 "$@"
    grep -q -- "$text" "$WORK/.log" || fail "$1: not '$text', but: $(cat "$WORK/.log")"
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
3|wf-sample -q -m model -n 3000 -l 0
3|wf-sample -q -m model many.wf
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
field() { wf-info --json "$1" | jq -r ".$2"; }
records() { grep -ao '"batch":"[^"]*"' "$1" | wc -l; }
ok "shards are cut at the batches of the run" test "$(records joined.3.3) $(field joined.3.3 pictures) $(field joined.3.3 shard)" = \
    "3 75 3/8"
ok "a joined run says nothing of shards" test "$(field joined.3 shard) $(field joined.3 'provenance | length')" = "null 1"
ok "as the run with -o" bash -c "wf-sample -q -m model -n 5 -o out.wf && cmp out.wf run.1"
wf-sample -qm model -n 5 --shard=2/3 -qo group.wf
ok "flags before -o in one word" test "$(field group.wf 'provenance[0].argv | join(" ")')" = "wf-sample -qm model -n 5 -q"
status 0 "the recipe of a Slurm array" env SLURM_ARRAY_TASK_ID=2 SLURM_ARRAY_TASK_COUNT=3 \
    sh -c 'wf-sample -q -m model -n 5 --shard $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT -o array.wf && cmp array.wf joined.2.2'
if command -v parallel > log; then
    ok "the recipe of GNU parallel" bash -c 'parallel wf-sample -q -m model -n 5 --shard {}/3 -o p{}.wf ::: 1 2 3 &&
        wf-view -q p?.wf | cmp - run.2'
else
    skip "GNU parallel is not installed"
fi

# -- pictures in files, grids, stores ----------------------------------------------------------------------------------
wf-idwt -q --grid run.png run.6
wf-idwt -q --grid joined.png joined.6
ok "a grid of the shards is that of the run" same run.png joined.png
wf-idwt -q -o one run.6
for i in 7 1 2 3 4 5 6; do wf-idwt -o many joined.6.$i 2>> said; done
ok "shards write pictures into one folder" diff -r one many
ok "those of other shards are not called older" test "$(grep -c older said)" = 0
stores() { # stores NAME COMMAND...: three shards as stores, joined to NAME.store, and the run
    local name=$1 i
    shift
    "$@" -o run/"$name".store || return
    for i in 1 2 3; do "$@" --shard $i/3 -o "$name.$i.store" || return; done
    wf-view -q "$name.2.store" "$name.1.store" "$name.3.store" -o joined/"$name".store
}
mkdir run joined
same_store() { # same_store NAME: the same pictures, names and provenance
    cmp <(cd run && wf-view -q "$1.store") <(cd joined && wf-view -q "$1.store")
}
while IFS='|' read -r name command; do
    # shellcheck disable=SC2086 # words
    stores "$name" $command 2> log || fail "$command: $(cat log)"
    ok "stores of $command" same_store "$name"
    ok "have one hash" test "$(field run/"$name".store hash)" = "$(field joined/"$name".store hash)"
done << END
drawn|wf-sample -q -m model -n 300
named|wf-sample -q -m model --from small
chains|$nuts -n 7 --chains 2 --thin 2
END
for i in 1 2 3; do wf-view -q joined.2.$i -o copy.$i.store; done
ok "a copy of a shard is a shard" same run.2 <(wf-view -q copy.1.store copy.2.store copy.3.store)
status 65 "stores beside streams" wf-view copy.1.store joined.2.2 copy.3.store

# -- further programs --------------------------------------------------------------------------------------------------
wf-sample -q -m model -n 300 -l 1 | wf-sample -q -m model -T 0.9 -l 2 | $nuts > run.wf
for i in 1 2 3 4; do wf-sample -q -m model -n 300 -l 1 --shard $i/4 | wf-sample -q -m model -T 0.9 -l 2 - | $nuts > run.$i.wf; done
ok "shards go on in pipes" cmp <(wf-idwt -q run.wf) <(wf-view -q run.[1-4].wf | wf-idwt -q)
wf-sample -q -m model -n 300 -l 1 | wf-sample -q -m model -T 0.9 -l 2 - | $nuts > run.wf
ok "with the bytes of the run" same run.wf <(wf-view -q run.[1-4].wf)
$nuts -n 300 -l 0 --chains 2 --thin 2 | wf-sample -q -m model - > run.wf
for i in 1 2 3; do $nuts -n 300 -l 0 --chains 2 --thin 2 --shard $i/3 | wf-sample -q -m model - > run.$i.wf; done
ok "draws of chains, too" same run.wf <(wf-view -q run.[1-3].wf)
wf-sample -q -m model run.1.wf > cut.wf 2> said
ok "a shard that is at the level already is refused" test $? = 64
status 64 "a shard of a shard" wf-sample -q -m model --shard 1/2 -l 3 <(wf-sample -q -m model -n 9 -l 1 --shard 1/3)
"$DEADLEAVES" -q -n 40 -s 8 --seed 9 | wf-dwt -q --batch 7 > test.wf
wf-view -q test.wf -o test.store
for i in 1 2; do
    wf-sample -q -m model -n 9 -l 1 --shard $i/2 -o low.$i.store
    wf-sample -q -m model low.$i.store -o high.$i.wf
    wf-sample -q -m model low.$i.store -o high.$i.store
done
refused 'make a store of each shard' "streams of shards that were stores" wf-view high.1.wf high.2.wf
wf-sample -q -m model -n 9 > run.wf
ok "as stores they are joined" cmp <(wf-idwt -q run.wf) <(wf-view -q high.[12].store | wf-idwt -q)

# -- bits per dimension ------------------------------------------------------------------------------------------------
while IFS='|' read -r n command; do
    $command > run.tsv
    $command --json > run.json
    # shellcheck disable=SC2086 # words
    for i in $(seq "$n"); do $command --shard "$i/$n" > "shard.$i.tsv" || fail "$command: shard $i"; done
    mapfile -t parts < <(seq -f shard.%g.tsv "$n" -1 1)
    ok "$command, $n tables" same run.tsv <(wf-bpd --join "${parts[@]}")
    ok "as JSON" same run.json <(wf-bpd --join --json "${parts[@]}")
    $command --per-image > run.tsv
    for i in $(seq "$n"); do $command --per-image --shard "$i/$n" > "shard.$i.tsv" || fail "$command: shard $i"; done
    ok "lists of pictures, sorted" same run.tsv <(head -n 1 shard.1.tsv; tail -qn +2 "${parts[@]}" | sort -n)
    $command --per-image --json > run.json
    for i in $(seq "$n"); do $command --per-image --json --shard "$i/$n" > "shard.$i.tsv" || fail "$command: shard $i"; done
    ok "as JSON lines" same run.json <(sort -n -k 2 "${parts[@]}")
done << 'END'
3|wf-bpd -q -m model test.wf
4|wf-bpd -q -m model test.store
7|wf-bpd -q -m model test.store -n 5
3|wf-bpd -q -m model test.wf -n 2
5|wf-bpd -q -m model --iw 3 --seed 2 test.store
2|wf-bpd -q -m model --iw 4 test.wf
END
wf-train-level -q -l 0-3 -m held -s test.store --val 20% -f actnorm --steps 3
wf-bpd -q -m held -s test.store --split val > run.tsv
for i in 1 2 3; do wf-bpd -q -m held -s test.store --split val --shard $i/3 > shard.$i.tsv; done
ok "tables of held-out pictures" same run.tsv <(wf-bpd --join shard.[123].tsv)
ok "their pictures are shared out" test "$(awk '$1 == "total" { n += $4 } END { print n }' shard.[123].tsv)" = 8
wf-bpd -q -m model test.store --top 4 > run.tsv
for i in 1 2 3; do wf-bpd -q -m model test.store --top 4 --shard $i/3 > shard.$i.tsv; done
ok "the strangest of all" same run.tsv <(head -n 1 shard.1.tsv; tail -qn +2 shard.[123].tsv | sort -grs | head -n 4)

# -- diagnostics of chains ---------------------------------------------------------------------------------------------
$nuts -n 5 --chains 2 --stats run.csv > x.wf
for i in 1 2; do $nuts -n 5 --chains 2 --stats shard.$i.csv --shard $i/2 > x.wf; done
ok "lines of draws, sorted" same run.csv <(head -n 1 shard.1.csv; tail -qn +2 shard.[12].csv | sort -t, -n -k8,8 -k9,9 -k10,10)
wf-nuts -m model --adapt 2 --draws 4 -n 5 --shard 2/2 2>&1 > x.wf | grep -v on > said
ok "diagnostics are said to be of the shard's chains" grep -q 'shard 2 of 2: R-hat and ESS are of its own chains' said
mkdir state
$nuts -n 4 --shard 1/2 --state state > x.wf
# shellcheck disable=SC2086 # words
status 65 "the state of another shard" $nuts -n 4 --shard 2/2 --state state

# -- more shards than pictures -----------------------------------------------------------------------------------------
for i in 1 2 3 4 5; do wf-sample -q -m model -n 3 --shard $i/5 > few.$i || fail "shard $i of 3 pictures"; done
ok "a shard without pictures" test "$(field few.5 pictures) $(field few.5 shard)" = "0 5/5"
wf-sample -q -m model -n 3 > run.wf
ok "is joined" same run.wf <(wf-view -q few.[1-5])
status 65 "alone it is refused" wf-idwt few.5
status 65 "one of two without pictures is missing" wf-view few.[1-4]
wf-sample -q -m model -n 3 --shard 5/5 -o few.5.store
wf-sample -q -m model -n 3 --shard 4/5 -o few.4.store
for i in 1 2 3; do wf-view -q few.$i -o few.$i.store; done
ok "stores without pictures" same run.wf <(wf-view -q few.[1-5].store)
cp few.5 damaged && printf 'x' >> damaged
status 65 "bytes after it" wf-view few.[1-4] damaged

# -- shards that are not all of one run --------------------------------------------------------------------------------
refused 'shard 3 of 7 is missing' "a missing shard" wf-view joined.6.1 joined.6.2 joined.6.4 joined.6.5 joined.6.6 joined.6.7
refused 'shards 3, 4, 5, 6, 7 of 7 are missing' "several" wf-view joined.6.1 joined.6.2
status 65 "a shard twice" wf-view joined.2.1 joined.2.2 joined.2.2
status 65 "shards of other numbers" wf-view joined.2.1 joined.6.2 joined.2.3
status 65 "a run beside shards" wf-view joined.2.1 joined.2.2 run.2
while IFS='|' read -r what options; do
    # shellcheck disable=SC2086 # words
    wf-sample -q -m model --shard 2/3 $options > other
    refused "of another run than .*$what\\|of another run than .*command" "a shard of another $what" wf-view joined.2.1 other joined.2.3
done << 'END'
seed|-n 5 --seed 1
command|-n 5 -T 0.9
command|-n 6
END
cp -r model other-model
wf-train-level -q -l 2 -m other-model train.wf --val none -f '2*(actnorm, conv1x1, affine:width=4:blocks=1), actnorm' --steps 61 \
    --batch 16 2> log
wf-sample -q -m other-model -n 5 --shard 2/3 > other
status 65 "a shard of another model" wf-view joined.2.1 other joined.2.3
cp -r model copied
wf-sample -q -m copied -n 5 --shard 2/3 --threads 1 > other
ok "a copy of the model, and threads, are no other run" same run.2 <(wf-view -q joined.2.1 other joined.2.3)
head -c 900 joined.2.2 > short
status 65 "a shard that was cut off" wf-view joined.2.1 short joined.2.3
wf-view -q -r :1 joined.2.2 > part.wf
status 65 "a part of a shard" wf-view joined.2.1 part.wf joined.2.3
for i in 1 2 3; do wf-bpd -q -m model test.wf --shard $i/3 > shard.$i.tsv; done
refused 'shard 2 of 3 is missing' "a missing table" wf-bpd --join shard.1.tsv shard.3.tsv
status 65 "a table twice" wf-bpd --join shard.1.tsv shard.2.tsv shard.2.tsv
wf-bpd -q -m model test.wf --shard 2/3 --seed 1 > other.tsv
status 65 "a table of another seed" wf-bpd --join shard.1.tsv other.tsv shard.3.tsv
wf-bpd -q -m model <(wf-view -q -n 30 test.wf) --shard 2/3 > other.tsv
status 65 "a table of fewer pictures" wf-bpd --join shard.1.tsv other.tsv shard.3.tsv
head -n 3 shard.2.tsv > other.tsv
status 65 "a table that was cut off" wf-bpd --join shard.1.tsv other.tsv shard.3.tsv
status 65 "the table of a run" wf-bpd --join run.tsv
status 66 "no table there" wf-bpd --join nothing.tsv
status 64 "--join without tables" wf-bpd --join
status 64 "--join beside -m" wf-bpd --join -m model shard.1.tsv
status 64 "--join beside -n" wf-bpd --join -n 3 shard.1.tsv

for shard in 0/4 5/4 0/0 1/0 / 1/ /4 1 x -1/2 1/2/3 ' 1/2' 1.5/2 99999999999/99999999999; do
    status 64 "--shard '$shard'" wf-sample -m model -n 3 --shard "$shard"
done
