#!/usr/bin/env bash
# links.sh STORE LEVEL RANKS [RATE...] - seconds of a training step whose ranks exchange over links of RATE, as 1gbit or 500mbit,
# or max: one network namespace a rank on this machine, joined by a bridge and limited by tc (Debian's iproute2). It needs root
# and Open MPI. BATCH=64, TIME=10 seconds and FLOW=official as for ranks.sh. See README.md, "Prediction for clusters".
set -eu -o pipefail
export LC_ALL=C OMP_WAIT_POLICY=passive OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
root=$(cd "$(dirname "$0")/../.." && pwd)
[ $# -ge 3 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 64; }
store=$(realpath "$1") level=$2 ranks=$3 bin=${BIN:-$root/bin} batch=${BATCH:-64}
shift 3
[ $# != 0 ] || set -- max 1gbit 500mbit
work=$(mktemp -d) name=wf$$ hosts='' net=10.77.0.0/24
end() {
    local i
    for ((i = 1; i <= ranks; i++)); do ip netns delete "$name-$i"; done
    ip link delete "$name"
    rm -rf "$work"
} 2> /dev/null
trap end EXIT

ip link add "$name" type bridge
ip address add 10.77.0.254/24 dev "$name"
ip link set "$name" up
for ((i = 1; i <= ranks; i++)); do
    ip netns add "$name-$i"
    ip link add "$name$i" type veth peer name eth0 netns "$name-$i"
    ip link set "$name$i" master "$name" up
    ip -n "$name-$i" address add "10.77.0.$i/24" dev eth0
    ip -n "$name-$i" link set lo up
    ip -n "$name-$i" link set eth0 up
    hosts+=${hosts:+,}10.77.0.$i
done
# In the place of ssh: a host's number is that of its namespace.
printf '%s\n' '#!/bin/sh' 'while case $1 in -*) ;; *) false ;; esac; do shift; done' 'host=$1' 'shift' \
    "exec ip netns exec $name-\${host##*.} unshare --uts sh -c \"hostname n\${host##*.}; \$*\"" > "$work/agent"
chmod +x "$work/agent"

# limit RATE: both ends of every link
limit() {
    local i
    for ((i = 1; i <= ranks; i++)); do
        tc qdisc delete dev "$name$i" root 2> /dev/null || :
        tc -n "$name-$i" qdisc delete dev eth0 root 2> /dev/null || :
        [ "$1" != max ] || continue
        tc qdisc add dev "$name$i" root tbf rate "$1" burst 256kb latency 100ms
        tc -n "$name-$i" qdisc add dev eth0 root tbf rate "$1" burst 256kb latency 100ms
    done
}

echo '| level | ranks | batch | link | seconds of a step |'
echo '|---|---|---|---|---|'
for rate; do
    limit "$rate"
    rm -rf "$work/model"
    mpirun.openmpi --mca plm_rsh_agent "$work/agent" --mca plm_rsh_no_tree_spawn 1 --mca btl tcp,self --mca btl_tcp_if_include "$net" \
        --mca oob_tcp_if_include "$net" --bind-to none --host "$hosts" -n "$ranks" \
        "$bin/wf-train-level" -q -m "$work/model" -s "$store" -l "$level" \
        -f "${FLOW:-official}" --threads 1 --batch "$batch" --val none --warmup 0 --precision fp32 --steps 1000000 \
        --checkpoint-every 1000000 --minutes "$(awk "BEGIN { print ${TIME:-10} / 60 }")"
    "$bin/wf-info" --json "$work/model/$(printf level-%02d.state.safetensors "$level")" |
        jq -r '.metadata | (.seconds | tonumber) / (.step | tonumber)' |
        xargs printf "| $level | $ranks | $batch | $rate | %.3g |\n"
done
