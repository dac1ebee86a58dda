#!/usr/bin/env bash
# Slurm 22.05.8 (Debian 12, slurm-wlm 22.05.8-4+deb12u3, munge 0.5.15-2+deb12u1): arrays, requeue, and scancel.
#
# Guesses: tasks of --array=3,2,1,0 begin in that order; a requeued job begins again within seconds on an idle node; a job
# that scancel ends cannot be requeued by its own script, since it is cancelled.
# Seen: tasks begin by number, 0 first. A requeued job waits for two minutes, whatever is idle, unless `scontrol update
# StartTime=now` says otherwise. A cancelled job's script gets SIGTERM, and if it then calls `scontrol requeue`, that succeeds: the
# job is pending again, and runs again.
#
# Needs the libraries that these packages depend on (apt-get install slurm-wlm). Exits 0 while that is so, 1 when it has changed.
set -eu
export LC_ALL=C
work=$(mktemp -d)
end() {
    for pid in "$work"/*.pid; do kill -KILL -- "-$(cat "$pid")" 2> "$work/log" || true; done
    rm -rf "$work"
}
trap end EXIT
trap 'exit 143' TERM INT HUP
cd "$work"
for package in slurmctld slurmd slurm-client slurm-wlm-basic-plugins; do apt-get download -qq $package=22.05.8-4+deb12u3; done
for package in munge libmunge2; do apt-get download -qq $package=0.5.15-2+deb12u1; done
for deb in *.deb; do dpkg -x "$deb" here; done
for program in here/usr/*bin/*-wlm; do ln -s "${program##*/}" "${program%-wlm}"; done # as update-alternatives does
lib=$work/here/usr/lib/x86_64-linux-gnu
export PATH=$work/here/usr/sbin:$work/here/usr/bin:$PATH LD_LIBRARY_PATH=$lib:$lib/slurm-wlm
export SLURM_CONF=$work/slurm.conf

server() { # server NAME COMMAND...: in a group of its own
    setsid "${@:2}" > "$1.out" 2>&1 < /dev/null &
    echo $! > "$1.pid"
    disown
}
port() { # port FROM: a free one of the thousand from there on
    local p=$(($1 + RANDOM % 900))
    while grep -qi ":$(printf '%04X' $p) " /proc/net/tcp; do p=$((p + 1)); done
    echo $p
}
head -c 1024 /dev/urandom > key && chmod 400 key && mkdir state spool
cat > slurm.conf << END
ClusterName=finding
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$(port 21000)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthInfo=socket=$work/socket
PluginDir=$lib/slurm-wlm
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/controller
SlurmdPidFile=$work/node
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=$(port 22000) CPUs=1
PartitionName=all Nodes=n1 Default=YES
END
server munged munged --foreground --force --key-file="$work/key" --socket="$work/socket" --seed-file="$work/seed" \
    --pid-file="$work/number" --log-file="$work/munged.log"
until [ -S socket ]; do sleep 0.1; done
server slurmctld slurmctld -D -i
server slurmd slurmd -D -N n1 -d "$work/here/usr/sbin/slurmstepd"
sinfo --version
until [ "$(sinfo -h -t idle -o %N)" = n1 ]; do sleep 0.2; done

sbatch --parsable --array=3,2,1,0 -o order --open-mode=append --wrap 'echo -n $SLURM_ARRAY_TASK_ID' > log
while [ -n "$(squeue -h)" ]; do sleep 0.2; done
order=$(cat order)

cat > job << 'END'
#!/usr/bin/env bash
trap 'scontrol requeue "$SLURM_JOB_ID" && echo requeued; exit' TERM
echo "run ${SLURM_RESTART_COUNT:-0}"
while :; do sleep 0.1; done
END
job=$(sbatch --parsable -o said --open-mode=append job)
until grep -qsx 'run 0' said; do sleep 0.2; done
scancel "$job"
until [ "$(squeue -h -j "$job" -o '%T %r')" = 'PENDING BeginTime' ]; do sleep 0.2; done
wait_for=$(($(date -d "$(scontrol show job "$job" | sed -n 's/.*StartTime=\([^ ]*\).*/\1/p')" +%s) - $(date +%s)))
scontrol update JobId="$job" StartTime=now
until grep -qx 'run 1' said; do sleep 0.2; done
echo "tasks of --array=3,2,1,0: $order; a cancelled job: $(grep -v slurmstepd said | xargs), after a wait of about $wait_for s"
scancel -s KILL "$job"
[ "$order" = 0123 ] && [ "$wait_for" -gt 100 ]
