#!/usr/bin/env bash
# cluster.sh COMMAND... - runs a command beside a Slurm cluster of its own: munged, slurmctld and two slurmd on loopback, in
# a temporary folder, by Debian's packages. SLURM_CONF names the cluster, so sbatch, squeue and scontrol find it:
#
#     tests/cluster.sh bash                         # a shell to try job files in
#     tests/cluster.sh pipelines/slurm.sh MODEL STORE
#
# Tests source this file and call the functions:
#
#     missing=$(cluster_missing) && skip "$missing"
#     cluster_start FOLDER [LINE...]    starts the servers in FOLDER; LINEs are added to slurm.conf. Sets SLURM_CONF.
#     cluster_node NAME                 starts the slurmd of a node, n1 or n2
#     cluster_lose NAME                 kills a node: its slurmd and all that it runs
#     cluster_stop                      ends every process of the cluster; nothing happens without one
#
# Each node has two processors in the eyes of Slurm. Memory is not counted and processes are not confined (no cgroups).
export LC_ALL=C
cluster_folder=

# Debian puts the servers into sbin, which is not in the PATH of every user.
cluster_path() { PATH=$PATH:/usr/sbin:/sbin; }

# Prints what is not installed, or fails.
cluster_missing() {
    local program
    cluster_path
    for program in munged:munge slurmctld:slurmctld slurmd:slurmd sbatch:slurm-client; do
        command -v "${program%:*}" > /dev/null || { echo "${program%:*} is missing: apt-get install slurm-wlm munge"; return; }
    done
    return 1
}

# Prints N ports of loopback that nobody listens on, below those that the kernel gives to connections.
cluster_ports() {
    awk -v n="$1" -v seed="$$$RANDOM" '
        $4 == "0A" { split($2, at, ":"); taken[at[2]] }
        END { srand(seed); while (n) { port = 10000 + int(rand() * 20000)
            if (!(sprintf("%04X", port) in taken)) { taken[sprintf("%04X", port)]; print port; n-- } } }' /proc/net/tcp /proc/net/tcp6
}

# Waits at most SECONDS until COMMAND succeeds.
cluster_within() {
    local i
    for ((i = 0; i < $1 * 10; i++)); do
        "${@:2}" > /dev/null 2>&1 && return
        sleep 0.1
    done
    return 1
}

# cluster_run NAME COMMAND...: a server in the background, with its messages in NAME.out and its number in NAME.pid
cluster_run() {
    setsid "${@:2}" > "$cluster_folder/$1.out" 2>&1 < /dev/null &
    echo $! > "$cluster_folder/$1.pid"
    disown # bash says nothing when it is killed
}

cluster_node() {
    cluster_run "$1" env CLUSTER_NODE="$1" slurmd -D -N "$1"
}

# Prints the numbers of the processes whose environment has all TEXTs. Jobs have sessions and parents of their own.
cluster_processes() {
    local found text
    found=$(printf '%s\n' /proc/[0-9]*/environ)
    for text; do found=$(xargs grep -slzxF -- "$text" <<< "$found"); done
    cut -d / -f 3 <<< "$found"
}

# Kills processes, except this shell. Those that are stopped first cannot report that another of them ended.
cluster_kill() {
    local process signal
    for signal in STOP KILL; do
        for process; do [ "$process" = $$ ] || kill -$signal "$process"; done
    done 2> /dev/null
}

cluster_lose() {
    # Slurm's own process of a job has the slurmd's variables, and those of the job name the node.
    # shellcheck disable=SC2046 # numbers
    cluster_kill $(cat "$cluster_folder/$1.pid") $(cluster_processes "SLURM_CONF=$SLURM_CONF" "CLUSTER_NODE=$1") \
        $(cluster_processes "SLURM_CONF=$SLURM_CONF" "SLURMD_NODENAME=$1")
}

cluster_stop() {
    [ -n "$cluster_folder" ] || return 0
    # shellcheck disable=SC2046 # numbers
    cluster_kill $(cat "$cluster_folder"/*.pid) $(cluster_processes "SLURM_CONF=$cluster_folder/slurm.conf")
    cluster_folder=
}

cluster_start() {
    local ports user
    cluster_path
    cluster_folder=$(realpath "$1") && shift
    user=$(id -un)
    mapfile -t ports < <(cluster_ports 3)
    mkdir -p "$cluster_folder"/{state,n1,n2} && chmod 755 "$cluster_folder"
    head -c 1024 /dev/urandom > "$cluster_folder/munge.key" && chmod 400 "$cluster_folder/munge.key"
    cluster_run munged munged --foreground --force --num-threads=1 --key-file="$cluster_folder/munge.key" \
        --socket="$cluster_folder/munge.socket" --seed-file="$cluster_folder/munge.seed" \
        --pid-file="$cluster_folder/munge.pid" --log-file="$cluster_folder/munge.log"
    cat > "$cluster_folder/slurm.conf" << END
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$cluster_folder/munge.socket
CredType=cred/munge
StateSaveLocation=$cluster_folder/state
SlurmdSpoolDir=$cluster_folder/%n
SlurmctldPidFile=$cluster_folder/slurmctld.number
SlurmdPidFile=$cluster_folder/%n.number
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
ReturnToService=2
JobCompType=jobcomp/filetxt
JobCompLoc=$cluster_folder/completed
MpiDefault=none
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=${ports[1]} CPUs=2
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port=${ports[2]} CPUs=2
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE
$(printf '%s\n' "$@")
END
    export SLURM_CONF=$cluster_folder/slurm.conf
    cluster_within 10 test -S "$cluster_folder/munge.socket" &&
        cluster_run slurmctld slurmctld -D -i && cluster_node n1 && cluster_node n2 &&
        cluster_within 20 cluster_idle && return
    tail -n 5 "$cluster_folder"/*.out >&2
    return 1
}
cluster_idle() { [ "$(sinfo -h -N -t idle -o %N | sort -u | wc -l)" = 2 ]; }

# Run as a program, not sourced.
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    [ $# != 0 ] || { echo 'cluster.sh: found nothing, expected a command' >&2; exit 64; }
    missing=$(cluster_missing) && { echo "cluster.sh: $missing" >&2; exit 69; }
    folder=$(mktemp -d)
    trap 'cluster_stop; rm -rf "$folder"' EXIT
    trap 'exit 143' TERM INT HUP
    cluster_start "$folder" || exit 70
    "$@"
fi
