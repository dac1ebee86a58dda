#!/usr/bin/env bash
# ssh.sh - pipelines/train.sh with SSHLOGIN: levels on hosts that share the folder and on hosts that do not, a host that
# dies, interruptions, and what a host may lack. The hosts are an sshd each on this machine, with a home and a PATH of its own
. "$(dirname "$0")/lib.sh"
sshd=$(PATH=$PATH:/usr/sbin:/sbin command -v sshd) || { skip "sshd (openssh-server) is not installed"; exit; }
for tool in ssh rsync parallel; do
    command -v $tool > log || { skip "$tool is not installed"; exit; }
done
export OMP_NUM_THREADS=1

# -- hosts ------------------------------------------------------------------------------------------------------------
# As root, sshd has a folder to lock itself into, which the system makes when it starts one.
made=
[ "$(id -u)" != 0 ] || [ -e /run/sshd ] || { mkdir /run/sshd && made=/run/sshd; }
tree() { # tree PID: it and all below
    local p
    echo "$1"
    for p in $(pgrep -P "$1"); do tree "$p"; done
}
# kills SIGNAL HOST: sshd, its sessions and all that they run
kills() {
    local all
    mapfile -t all < <(tree "${pids[$2]}")
    kill "-$1" "${all[@]}" 2> log
}
declare -A pids
leave() {
    local host
    for host in "${!pids[@]}"; do kills KILL "$host"; done
    for process in $(running); do kill -KILL "${process//[!0-9]/}"; done
    [ -z "$made" ] || rmdir "$made"
    finish
}
trap 'leave; exit $?' EXIT
running() { find /proc/[0-9]*/cwd -prune -lname "$WORK/*" 2> /dev/null; } # processes in folders of the test, beside the test
ssh-keygen -q -t ed25519 -N '' -f host-key
ssh-keygen -q -t ed25519 -N '' -f user-key
port=$((20000 + RANDOM % 20000))
# begins HOST [PATH]: its sshd, on a free port
begins() {
    mkdir -p "home-$1"
    : > "$1.log"
    until grep -q '^Server listening' "$1.log"; do
        port=$((port + 1))
        cat > "$1.conf" << EOF
Port $port
ListenAddress 127.0.0.1
HostKey $WORK/host-key
AuthorizedKeysFile $WORK/user-key.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
MaxStartups 100
SetEnv HOME=$WORK/home-$1 PATH=${2:-/usr/bin:/bin}
ForceCommand cd "\$HOME" && exec /bin/sh -c "\$SSH_ORIGINAL_COMMAND"
EOF
        "$sshd" -D -f "$1.conf" -E "$1.log" &
        pids[$1]=$!
        disown $!
        until grep -q '^Server listening' "$1.log" || ! kill -0 ${pids[$1]} 2> log; do sleep 0.05; done
        [ $port -lt 50000 ] || return
    done
    printf 'Host %s\nHostName 127.0.0.1\nPort %s\n' "$1" "$port" >> config
}
for host in one two; do begins $host; done
cat >> config << EOF
Host *
User $(id -un)
IdentityFile $WORK/user-key
IdentitiesOnly yes
UserKnownHostsFile /dev/null
StrictHostKeyChecking no
LogLevel ERROR
EOF
export PARALLEL_SSH="ssh -F $WORK/config"
ok "a host answers" $PARALLEL_SSH one true || exit

# -- a model of three levels --------------------------------------------------------------------------------------------
"$DEADLEAVES" -q -n 40 -s 8 | wf-dwt -q -o train.store
"$DEADLEAVES" -q -n 8 -s 8 --seed 2 | wf-dwt -q -o val.store
# plan OUT STEPS: a folder with pictures and the plan
plan() {
    local level
    mkdir -p "$1"
    for store in train val; do [ -e "$1/$store.store" ] || cp -r $store.store "$1"; done
    for level in 3 2 1 0; do
        printf '%s\t0\t1\t%s\t--seed 1 --batch 8 --precision fp32 --steps %s\n' $level \
            '2*(actnorm, conv1x1, affine:width=4:blocks=1), actnorm' "$2"
    done > "$1/plan.tsv"
}
train() { WF_QUIET=1 "$ROOT/pipelines/train.sh" "$@"; }
# weights OUT: of all levels, without the header, which has the names of files
weights() {
    local file header
    for file in "$1"/model/level-??.safetensors; do
        header=$(od -A n -t u8 -N 8 "$file")
        tail -c +$((9 + header)) "$file"
    done
}
plan here 60
ok "here" train here 2

# -- hosts that share the folder, and hosts that do not -----------------------------------------------------------------
on() { SSHLOGIN=$1 train "${@:2}"; } # on HOSTS OUT JOBS
apart() { SSHWORKDIR=copies/wf SSHPATH=$ROOT/${BIN:-bin} on "$@"; }
plan shared 60
ok "hosts that share the folder" on one,two shared 2
ok "the same bits" same <(weights here) <(weights shared)
ok "each had a level" test "$(cut -f 2 shared/joblog | sort -u | xargs)" = 'Host one two'
plan apart 60
ok "hosts that do not" apart one,two apart 2
ok "the same bits" same <(weights here) <(weights apart)
ok "each had a level" test "$(cut -f 2 apart/joblog | sort -u | xargs)" = 'Host one two'
ok "no copy is left" test -z "$(find home-* -type f)" -a ! -e apart/hosts
