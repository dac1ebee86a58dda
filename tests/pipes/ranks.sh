#!/usr/bin/env bash
# ranks.sh - one level trained by several processes over MPI: the same weights as by one, whatever happens to a process
. "$(dirname "$0")/lib.sh"
plugin=$ROOT/${B:-build}/libwf-mpi.so
[ -e "$plugin" ] || { skip "the programs were built without MPI"; exit; }
command -v mpirun > log || { skip "mpirun is not installed"; exit; }
find_python numpy
# With sanitizers: MPI leaves memory at its end.
export ASAN_OPTIONS=detect_leaks=0
export OMP_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
case $(ldd "$plugin") in *libmpich*) ours=mpirun.mpich other=mpirun.openmpi ;; *) ours=mpirun.openmpi other=mpirun.mpich ;; esac
command -v $ours > log || ours=mpirun

"$DEADLEAVES" -q -n 60 -s 16 > pictures.ppm
wf-dwt -q -o train.store < pictures.ppm
"$DEADLEAVES" -q -n 60 -s 16 --seed 9 | wf-dwt -q -o other.store
level=(-l 3 -f '2*(actnorm, conv1x1, affine:width=8:blocks=1), actnorm' --steps 20 --batch 12 --warmup 2 --validate-every 5 --flip)
train() { # train RANKS MODEL [OPTION...]: on the store
    local ranks=$1 model=$2
    shift 2
    timeout 60 "$ours" -n "$ranks" wf-train-level "${level[@]}" -s train.store -m "$model" "$@" < /dev/null
}

# -- weights ----------------------------------------------------------------------------------------------------------
cat > differ.py << 'PY'
"""differ.py A B LIMIT: prints the largest difference of the weights of two states, relative to the largest weight; fails above LIMIT."""
import json, sys
import numpy as np


def weights(folder):
    with open(f"{folder}/level-03.state.safetensors", "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        begin, end = header["w"]["data_offsets"]
        data = f.read()[begin:end]
    return np.frombuffer(data, {"F32": "<f4", "F64": "<f8"}[header["w"]["dtype"]]).astype(float)


a, b = map(weights, sys.argv[1:3])
difference = np.abs(a - b).max() / np.abs(a).max()
print(difference)
sys.exit(int(difference > float(sys.argv[3])))
PY
agree() { "$python" differ.py "$1" "$2" "${3:-1e-6}"; } # agree A B [LIMIT]
ok "one process" train 1 one
for n in 2 4; do
    ok "$n ranks" train $n r$n
    ok "$n ranks have its weights" agree one r$n
done
ok "ranks have the same bits run after run" train 2 again
ok "in their weights" agree r2 again 0
ok "rank 0 alone speaks" test "$(train 2 spoken 2>&1 | grep -c 'finished at step 20')" = 1
# The reference computes in double precision, where the order of sums hardly shows.
ok "one process, in double precision" train 1 straight --backend ref
ok "three ranks do a part" train 3 parts --steps 9 --backend ref
ok "two do the rest" train 2 parts --backend ref
ok "with the same weights" agree straight parts 1e-12
train 2 alone --ranks none > said 2>&1 # one finds the level locked, or finished
ok "--ranks none: each for itself" sh -c '! grep -q "2 ranks" said && grep -qE "trainer of level 3|finished" said'

# A named pipe: mpirun of Open MPI 4.1.4 now and then dies while it passes its own standard input on, and MPICH's mpiexec gives up a
# process that does not read as fast as the pipe brings.
from_pipe() {
    mkfifo coefficients
    timeout 60 sh -c 'wf-dwt -q < pictures.ppm > coefficients' & # opening waits for a reader
    train 2 piped -s coefficients
    wait $!
}
ok "rank 0 reads a stream for all" from_pipe
ok "it trains as the store" agree r2 piped 0
ok "nothing is left of the stream" test ! -e piped/level-03.spool

# -- what goes wrong --------------------------------------------------------------------------------------------------
# fails CODE TEXT NAME COMMAND...: within 20 seconds, with that code, and one line that has the text
fails() {
    local want=$1 text=$2 name=$3 rc=0
    shift 3
    timeout 20 "$@" > log 2>&1 || rc=$?
    if [ $rc = "$want" ] && [ "$(grep -c '^wf-train-level: .*' log)" = 1 ] && grep -q "^wf-train-level: .*$text" log; then
        pass "$name"
    else
        fail "$name: exits $rc, want $want: $(head -c 1500 log)"
    fi
}
one=(-n 1 wf-train-level "${level[@]}" -q -m bad)
fails 64 'rank 1 has --batch 6, rank 0 12' "another batch" $ours "${one[@]}" -s train.store : "${one[@]}" -s train.store --batch 6
fails 65 'rank 1 has the store of the hash' "another store" $ours "${one[@]}" -s train.store : "${one[@]}" -s other.store
fails 66 'no.store' "a rank without the store" $ours "${one[@]}" -s train.store : "${one[@]}" -s train.store : "${one[@]}" -s no.store
fails 64 'give --batch 4 or more' "fewer pictures than ranks" $ours -n 4 wf-train-level "${level[@]}" -q -m bad -s train.store --batch 3
fails 64 'one level at a time' "several levels" $ours -n 2 wf-train-level -q -m bad -s train.store -l 0-2
fails 64 'whole number' "an option that all have wrong" $ours -n 2 wf-train-level --batch x
fails 64 'whole number' "an option that rank 1 has wrong" $ours "${one[@]}" -s train.store : -n 1 wf-train-level --batch x
fails 64 'whole number' "an option that rank 0 has wrong" $ours -n 1 wf-train-level --batch x : "${one[@]}" -s train.store
apart=("${one[@]}" --ranks none -m apart)
fails 66 'no.store' "a process for itself" $ours "${apart[@]}" -s train.store : "${apart[@]}" -s no.store
$ours -n 1 wf-info -q train.store : -n 1 wf-info no.store > said 2>&1
ok "a program without ranks speaks in each process" grep -q '^wf-info: no.store' said
mkdir lonely && cp "$(command -v wf-train-level)" lonely/
fails 69 'built without it' "no plugin" $ours -n 2 lonely/wf-train-level "${level[@]}" -s train.store -m bad
case $ours in # others wait a minute for the rank that failed
*openmpi) fails 69 'built without it' "no plugin on one machine" $ours "${one[@]}" -s train.store : -n 1 lonely/wf-train-level "${level[@]}" -s train.store -m bad ;;
esac
fails 69 'install libopenmpi-dev' "no plugin, asked for" lonely/wf-train-level "${level[@]}" -s train.store -m bad --ranks mpi
fails 69 'another MPI' "tasks of srun that are not connected" env SLURM_STEP_NUM_TASKS=2 wf-train-level "${level[@]}" -s train.store -m bad --ranks mpi
if command -v $other > log; then
    fails 69 'another MPI' "the launcher of another MPI" $other -n 2 wf-train-level "${level[@]}" -s train.store -m bad
else
    skip "$other is not installed"
fi
ok "no level was begun" test ! -e bad/level-03.state.safetensors

# -- ends -------------------------------------------------------------------------------------------------------------
ranks() { pgrep -f "wf-train-level .*-m $1( |\$)" | while read -r p; do [ "$(readlink "/proc/$p/exe")" != "$(command -v wf-train-level)" ] || echo "$p"; done; }
none() { [ -z "$(ranks "$1")" ]; }
step() { head -c 20000 "$1/level-03.state.safetensors" 2> log | grep -a -o '"step": *"[0-9]*"' | tr -dc 0-9; }
after() { [ "$(step "$1")" -ge "$2" ] 2> log; }
long=(--steps 3000 --checkpoint-every 20 --validate-every 3000)
ok "a long training" train 2 whole "${long[@]}"
ok "its log has the ranks, and how long rank 0 waited" grep -qE '"step": 100, .*"ranks": 2, "waited": [0-9.]+}' whole/level-03.jsonl
train 2 cut "${long[@]}" > said 2>&1 &
ok "begins again" within 30 after cut 20
victim=$(ranks cut | tail -n 1)
kill -KILL "$victim"
ok "a rank is killed: all end" within 15 none cut
wait $!
ok "with an exit code" test $? != 0
ok "the checkpoint is whole" after cut 20
at=$(step cut)
ok "the same command goes on" train 2 cut "${long[@]}"
ok "from the checkpoint" test "$at" -lt 3000
ok "and ends as if nothing had been" agree whole cut 0
