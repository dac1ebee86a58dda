#!/usr/bin/env bash
# slurm.sh - the levels of a model as a Slurm array, on two nodes of loopback: requeued, cancelled, killed and failing tasks,
# a lost node; the model has the bits of a local run
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/cluster.sh"
SLURM=$ROOT/${BIN:-bin}/../pipelines/slurm.sh # beside the programs
# With sanitizers: MPI leaves memory at its end.
export ASAN_OPTIONS=detect_leaks=0
export OMP_NUM_THREADS=1
unset "${!SBATCH_@}" "${!SLURM_@}"

# refused CODE TEXT NAME COMMAND...: one line with the text, and the code
refused() {
    local rc=0
    "${@:4}" > log 2>&1 || rc=$?
    if [ $rc = "$1" ] && [ "$(wc -l < log)" = 1 ] && grep -q "^slurm.sh: .*$2" log; then pass "$3"; else
        fail "$3: '${*:4}' exits $rc, want $1 and one line with '$2': $(head -c 1000 log)"
    fi
}

"$DEADLEAVES" -q -n 64 -s 32 | wf-dwt -q -o s.store
"$DEADLEAVES" -q -n 64 --seed 2 -s 32 | wf-dwt -q -o other.store
"$DEADLEAVES" -q -n 64 -s 16 | wf-dwt -q -o small.store
TINY=(-f 'actnorm, conv1x1, affine:width=4:blocks=1' --precision fp32 --batch 8)
wf-train-level -q -l 2 -m known -s s.store "${TINY[@]}" --steps 2 --threads 1

# -- without Slurm ----------------------------------------------------------------------------------------------------
refused 64 'expected MODEL STORE' "no names" "$SLURM"
refused 64 'no option' "an option that is not there" "$SLURM" m s.store --cpus 3
refused 64 'expected minutes' "minutes in words" "$SLURM" m s.store --minutes long
refused 64 'leave it out' "an option of its own for the trainer" "$SLURM" m s.store -- --threads 2
refused 66 'wf-dwt -o' "no store" "$SLURM" m none.store
refused 66 'no such store' "no store of held-out pictures" "$SLURM" m s.store --val none.store
refused 65 'expected a store' "a model in place of a store" "$SLURM" m known
refused 65 'levels is 5' "a model of other sizes" "$SLURM" known small.store
refused 65 'other pictures' "a model of other pictures" "$SLURM" known other.store
mkdir few && ln -s /usr/bin/* few
rm -f few/{sbatch,sinfo,squeue}
refused 69 'is not here' "no Slurm" env PATH="$ROOT/${BIN:-bin}:$WORK/few" "$SLURM" m s.store
ok "nothing is left" test ! -e m
"$SLURM" "it's a %j model" s.store --minutes 30 --cores 8 --ranks 4 --top 2 --dry-run -- --seed 3 > files
ok "--dry-run shows arrays of equal tasks" \
    bash -c "grep -q -e '--array=3,2,1,0$' files && grep -q -e '--array=5,4$' files"
ok "ranks share the cores of a level" bash -c "grep -q 'srun --mpi=pmix wf-train-level -q -l 5 .*--threads 1 --minutes 30.000 --ranks mpi --seed 3' files && grep -q -e '--ntasks=4' files"
ok "a level has its own minutes" grep -q -e '-l 2 .*--minutes 7.200' files
ok "and nothing else" test ! -e "it's a %j model"

missing=$(cluster_missing) && { skip "$missing"; exit; }
mkdir servers
# shellcheck disable=SC2154 # lib.sh
trap 'cluster_stop; finish; exit $?' EXIT
trap 'exit 143' TERM INT HUP
cluster_start servers KillWait=5 || { fail "the servers do not start"; exit; }

# -- an array of six levels -------------------------------------------------------------------------------------------
within() { cluster_within "$@"; }
tasks() { squeue -h -r -o '%F_%K'; }
# hurry: tasks that Slurm has requeued begin in two seconds, not after two minutes. A node refuses a task that begins in
# the second in which it was requeued: the node takes its credential for the revoked one, and Slurm ends the task.
hurry() {
    local task state reason eligible
    squeue -h -r -o '%F_%K %T %r' | while read -r task state reason; do
        [ "$state $reason" = 'PENDING BeginTime' ] || continue
        eligible=$(scontrol show job "$task" | sed -n 's/.*EligibleTime=\([^ ]*\).*/\1/p')
        [ $(($(date -d "$eligible" +%s) - $(date +%s))) -le 5 ] || scontrol update "JobId=$task" StartTime=now+2
    done
}
over() { hurry; [ -z "$(tasks)" ]; }
steps() { sed -n 's/.*"step": \([0-9]*\).*/\1/p' "$1" 2> .log | tail -n 1; }
makes_steps() { [ "$(steps "$1")" -gt "${2:-0}" ] 2> .log; }
code() { scontrol show job "$1" | sed -n 's/.*ExitCode=\([0-9]*\):.*/\1/p'; }

model="it's a 90% model"
six=(--cores 2 --minutes 0 -- "${TINY[@]}" --steps 2500 --validate-every 500 --checkpoint-every 100)
ok "submits" "$SLURM" "$model" s.store "${six[@]}"
cp .log said
array=$(sed -n 's/^array \([0-9]*\): levels 5 4 3 2 1 0, 1 cores each$/\1/p' said)
end=$(sed -n 's/^job \([0-9]*\):.*/\1/p' said)
ok "as one array and a last job" test -n "$array" -a -n "$end"
ok "level 4 runs" within 30 makes_steps "$model/level-04.jsonl"
scancel -s USR1 -b "${array}_4"
ok "level 5 runs" within 30 makes_steps "$model/level-05.jsonl"
scontrol requeue "${array}_5"
ok "nothing is submitted twice" bash -c "'$SLURM' \"$model\" s.store ${six[*]@Q} | grep -q 'wait or run'"
ok "the array ends" within 60 over
log=$model/slurm/level-05.log
ok "a requeued task goes on from where it was" grep -q 'interrupted at step' "$log"
ok "in the same log" grep -q 'restart 1' "$log"
ok "a task whose time is nearly over requeues itself" \
    bash -c "grep -q 'ended with 75' \"$model/slurm/level-04.log\" && grep -q 'restart 1' \"$model/slurm/level-04.log\""
[ $failed = 0 ] || tail -n 20 "$model"/slurm/*.log
ok "the other tasks stay as they are" test "$(grep -l restart "$model"/slurm/level-*.log | wc -l)" = 2
ok "the last job ends well" test "$(code "$end")" = 0
ok "with a line a level" test "$(wc -l < "$model/slurm/bpd-held-out.tsv")" = 8

# This shell runs the same commands
mv "$model" cluster && mkdir "$model"
sed -n 's/^[0-9]*) exec [^ ]* .* [0-9]* \(wf-train-level .*\) ;;$/\1/p' cluster/slurm/levels-1.sbatch > commands
ok "a command a level" test "$(wc -l < commands)" = 6
ok "runs here" parallel -j 2 :::: commands
for level in 0 1 2 3 4 5; do
    ok "level $level has the same bits" same cluster/level-0$level.safetensors "$model/level-0$level.safetensors"
done
ok "the table is that of wf-bpd" same <(wf-bpd -q -m "$model" -s s.store --split val) cluster/slurm/bpd-held-out.tsv

# -- what fails -------------------------------------------------------------------------------------------------------
# Level 5 is cancelled, level 4 killed, level 3 has no good checkpoint.
submit() { # submit MODEL OPTION...: sets array and end
    "$SLURM" "$1" s.store "${@:2}" > said 2>&1 || { cat said; return 1; }
    array=$(sed -n 's/^array \([0-9]*\):.*/\1/p' said)
    end=$(sed -n 's/^job \([0-9]*\):.*/\1/p' said)
}
trainer() { # trainer LEVEL: its number
    local process
    for process in $(pgrep -x wf-train-level); do
        ! tr '\0' ' ' 2> .log < "/proc/$process/cmdline" | grep -q -- "-l $1 -m $WORK/m " || echo "$process"
    done
}
last_words() { grep -q "$1" m/slurm/collect.log; }
endless=(--cores 2 --minutes 0 -- "${TINY[@]}" --steps 2000000 --patience 0 --validate-every 200 --checkpoint-every 100)
mkdir m && echo rubbish > m/level-03.state.safetensors
submit m "${endless[@]}"
scancel "${array}_2" "${array}_1" "${array}_0" # so that there are processors for the others
ok "levels run" within 30 makes_steps m/level-05.jsonl
ok "and another" within 30 makes_steps m/level-04.jsonl
scancel "${array}_5"
xargs kill -KILL <<< "$(trainer 4)"
ok "a cancelled task does not come back" within 20 bash -c "! squeue -h -r -o %F_%K | grep -q ${array}_5"
ok "all have ended" within 30 over
ok "the last job says it of level 5" last_words 'level 5 was interrupted, and is saved'
ok "of level 4" last_words 'level 4 ended with 137'
ok "of level 3" last_words 'level 3 ended with 65: wf-train-level: .*level-03.state.safetensors'
ok "and ends with the code of the highest" test "$(code "$end")" = 75
ok "does not evaluate" test ! -e m/slurm/bpd-held-out.tsv

# Another process trains level 5, as one that a lost node left behind; then the node of level 4 is lost.
rm m/level-03.state.safetensors
exec 8> m/level-05.lock && flock 8
submit m "${endless[@]}"
scancel "${array}_3" "${array}_2" "${array}_1" "${array}_0"
ok "what ended is submitted again" grep -q ': levels 5 4 3 2 1 0,' said
ok "a level that another process trains waits" within 20 bash -c "squeue -h -r -o '%F_%K %r' | grep -q '^${array}_5 BeginTime'"
flock -u 8
before=$(steps m/level-04.jsonl)
ok "level 4 goes on" within 20 makes_steps m/level-04.jsonl "$before"
node=$(squeue -h -r -o '%F_%K %N' | sed -n "s/^${array}_4 //p")
cluster_lose "$node"
scontrol update "NodeName=$node" State=DOWN Reason=lost
before=$(steps m/level-04.jsonl)
ok "and when its node is lost" within 30 eval 'hurry; makes_steps m/level-04.jsonl "$before"'
ok "on the other" bash -c "squeue -h -r -o '%F_%K %N' | grep '^${array}_4 ' | grep -qv $node"
ok "level 5 runs when the other process has ended" within 20 grep -q 'restart 1' m/slurm/level-05.log
scancel "$array"
ok "all have ended again" within 30 over

# With fewer steps than were made, every level is at its end.
short=(--cores 2 --minutes 20 -- "${TINY[@]}" --steps 100)
submit m "${short[@]}"
ok "fewer steps" within 30 over
ok "are over" test "$(code "$end")" = 0
ok "and evaluated" test -s m/slurm/bpd-held-out.tsv
task() { scontrol show job "${array}_$1" | grep -q "$2"; } # task LEVEL TEXT
ok "the longest level has the time of the array" task 5 'TimeLimit=00:35:00'
ok "a short one its own" task 0 'TimeLimit=00:10:00'
ok "and a place behind the longest" task 0 'Nice=5 '
submit m "${short[@]}"
ok "nothing but the evaluation is left" test "$(wc -l < said)" = 1
ok "and then" within 20 over

# -- several ranks ----------------------------------------------------------------------------------------------------
plugin=$ROOT/${B:-build}/libwf-mpi.so
[ -e "$plugin" ] || { skip "the programs were built without MPI"; exit; }
case $(ldd "$plugin") in *libmpich*) mpi=pmi2 mpirun=mpirun.mpich ;; *) mpi=pmix mpirun=mpirun.openmpi ;; esac
srun --mpi=list 2>&1 | grep -q $mpi || { skip "Slurm's $mpi"; exit; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
"$SLURM" both small.store --cores 2 --ranks 2 --launch "srun --mpi=$mpi" --minutes 0 -- "${TINY[@]}" --steps 1000 --validate-every 250 \
    --checkpoint-every 100 > said 2>&1
array=$(sed -n 's/^array \([0-9]*\): levels 4, 2 cores each for 2 ranks$/\1/p' said)
ok "the top level has an array of its own" test -n "$array"
ok "its ranks train" within 30 makes_steps both/level-04.jsonl
ok "with two free cores on a node" within 30 eval '[ "$(squeue -h -r -t R,CG | wc -l)" = 1 ]'
scontrol requeue "${array}_4"
ok "all have ended" within 60 over
ok "ranks have saved" grep -q 'interrupted at step' both/slurm/level-04.log
ok "the model is evaluated" test -s both/slurm/bpd-held-out.tsv
mv both ranks && mkdir both
# srun names the program by its path
sed -n "s,^4) exec .* 4 srun --mpi=$mpi wf-train-level \(.*\) ;;\$,$mpirun -n 2 '$(command -v wf-train-level)' \1,p" \
    ranks/slurm/levels-1.sbatch > commands
ok "ranks here" bash commands
ok "have the same bits" same ranks/level-04.safetensors both/level-04.safetensors
