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
    # A worker of GNU parallel that missed the end of its trainer sleeps on for the time of --termseq.
    find /proc/[0-9]*/cwd -prune -lname "$WORK*" 2> /dev/null | while read -r process; do
        ! grep -q GNU_Parallel_worker "${process%cwd}cmdline" || kill -KILL "${process//[!0-9]/}"
    done 2> log
    [ -z "$made" ] || rmdir "$made"
    finish
}
trap 'leave; exit $?' EXIT
running() { find /proc/[0-9]*/cwd -prune -lname "$WORK/*" 2> /dev/null; } # processes in folders of the test, beside the test
ssh-keygen -q -t ed25519 -N '' -f host-key
ssh-keygen -q -t ed25519 -N '' -f user-key
port=$((20000 + RANDOM % 20000)) tries=0
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
        "$sshd" -D -f "$WORK/$1.conf" -E "$WORK/$1.log" &
        pids[$1]=$!
        disown $!
        until grep -q '^Server listening' "$1.log" || ! kill -0 "${pids[$1]}" 2> log; do sleep 0.05; done
        tries=$((tries + 1))
        [ $tries -lt 20 ] || return
    done
    printf 'Host %s\nHostName 127.0.0.1\nPort %s\n' "$1" "$port" > "config-$1"
}
for host in one two; do begins $host; done
cat > config << EOF
Include $WORK/config-*
Host *
User $(id -un)
IdentityFile $WORK/user-key
IdentitiesOnly yes
UserKnownHostsFile /dev/null
StrictHostKeyChecking no
LogLevel ERROR
ControlMaster auto
ControlPath $WORK/%n-socket
ControlPersist 20
EOF
export PARALLEL_SSH="ssh -F $WORK/config"
ok "a host answers" ssh -F config -o ControlPath=none one true || exit

# -- a model of three levels --------------------------------------------------------------------------------------------
"$DEADLEAVES" -q -n 40 -s 8 | wf-dwt -q -o train.store
"$DEADLEAVES" -q -n 8 -s 8 --seed 2 | wf-dwt -q -o val.store
flow='2*(actnorm, conv1x1, affine:width=4:blocks=1), actnorm'
# plan OUT STEPS: a folder with pictures and the plan. Level 2 is faster, so it has more of the steps; the others have 60.
plan() {
    local level
    mkdir -p "$1"
    for store in train val; do [ -e "$1/$store.store" ] || cp -r $store.store "$1"; done
    for level in 3 2 1 0; do
        printf '%s\t0\t1\t%s\t--seed 1 --batch 8 --precision fp32 --checkpoint-every 100 --steps %s\n' $level \
            "$flow" $((level == 3 ? $2 : level == 2 ? $2 * 3 / 2 : 60))
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
apart() { SSHRETURN=1 SSHWORKDIR=copies/wf SSHPATH=$ROOT/${BIN:-bin} on "$@"; }
echo "$flow" > flow.chain
plan mixed 60
sed -i "3s|2\*[^\t]*|@flow.chain|" mixed/plan.tsv
mv mixed/val.store other.store
WF_VAL=other.store ok "this machine and one that does not see its files" apart :,one mixed 1
ok "the same bits" same <(weights here) <(weights mixed)
ok "each had a level" test "$(cut -f 2 mixed/joblog | sort -u | xargs)" = ': Host one'
ok "no copy is left" test -z "$(find home-* -type f)" -a ! -e mixed/hosts

# -- an interruption, then a host that dies -------------------------------------------------------------------------------
# logged LEVEL, saved LEVEL: the last step of its log, and of its state, in the newest of the files $models/level-*
newest() { find "$WORK" -path "$models/level-0$1" -printf '%T@ %p\n' 2> log | sort -n | tail -n 1 | cut -d ' ' -f 2-; }
logged() { sed -n 's/.*"step": \([0-9]*\).*/\1/p' "$(newest "$1.jsonl")" 2> log | tail -n 1 | grep . || echo 0; }
saved() { wf-info "$(newest "$1.state.safetensors")" 2> log | sed -n 's/^step *//p' | grep . || echo 0; }
further() { [ "$(logged 3)" -gt $((before[3] + 200)) ] && [ "$(logged 2)" -gt $((before[2] + 200)) ]; }
none() { [ -z "$(running)" ]; }
# begin MODELS COMMAND...: in the background, until levels 3 and 2 make more steps in files that MODELS, a pattern, says
begin() {
    local i
    models=$1 before=()
    for i in 2 3; do before[i]=$(logged $i); done
    set -m
    "${@:2}" > out 2> said &
    pid=$!
    set +m
    within 120 further || { cat out said && return 1; }
}
# ends CODE: what begin has begun
ends() {
    local rc=0
    wait "$pid" || rc=$?
    [ $rc = "$1" ] || { echo "exit code $rc" && cat out said && return 1; }
}
# interrupted KIND: a training on hosts that saves and ends with 75
interrupted() {
    kill -INT -- "-$pid"
    ok "$1: an interruption" ends 75
    ok "$1: nothing runs" none
    mapfile -t log < <(logged 3 && logged 2)
    models=$WORK/$out/model
    ok "$1: the last steps are here" test "$(saved 3)" -ge "${log[0]}" -a "$(saved 2)" -ge "${log[1]}"
}
out=endless
plan $out 1000000
ok "shared: a training begins" begin "$WORK/$out/model" on one,two $out 1
interrupted shared
ok "shared: it goes on" begin "$WORK/$out/model" on one,two $out 1
kill -KILL "$(pgrep -g "$pid" -x parallel)"
ok "shared: parallel is killed" ends 75
ok "shared: nothing runs, here and there" none
ok "shared: the level is saved" test "$(saved 3)" -gt "${before[3]}" -a "$(saved 3)" -ge "$(logged 3)"

# Long enough for what is done to it below: twice the steps of 1.8 seconds.
wf-train-level -q -l 3 -m rate -s train.store -f "$flow" --batch 8 --precision fp32 --minutes 0.03 --threads 1
models=$WORK/rate
most=$((2 * $(saved 3)))
plan long $most
ok "a longer training here" train long 2
for kind in shared apart; do
    out=long-$kind there="$WORK/long-$kind/model" on=on
    [ $kind = shared ] || there="$WORK/home-*/copies/wf/*/model" on=apart
    plan $out $most
    ok "$kind: a longer training begins" begin "$there" $on one,two $out 1
    if [ $kind = apart ]; then
        interrupted $kind
        ok "$kind: it goes on" begin "$there" $on one,two $out 1
    fi
    models=$WORK/$out/model
    mapfile -t had < <(saved 3 && saved 2)
    kills KILL one
    ok "$kind: the other host does the rest when one dies" ends 0
    lost=$(sed -n 's/.*train.sh: one: the connection is lost; level \([32]\) goes on at step \([0-9]*\)$/\1 \2/p' said | head -n 1)
    lost=${lost:-3 0}
    ok "$kind: from the last state" test "${lost#* }" -gt 0 -a "${lost#* }" -ge "${had[3 - ${lost% *}]}"
    ok "$kind: the same bits" same <(weights long) <(weights $out)
    begins one
done

# -- what a host may lack, and what no host can do ------------------------------------------------------------------------
# refuses PATTERN COMMAND...: exits 69 with one line
refuses() {
    local rc=0
    "${@:2}" > out 2> said || rc=$?
    [ $rc = 69 ] && [ "$(wc -l < said)" = 1 ] && grep -q "^train.sh: $1" said || { echo "exit code $rc" && cat out said && return 1; }
}
plan bad 60
kills KILL two
ok "a host that is off" refuses "two: ssh cannot log in: .*Connection refused; .*without a password" on one,two bad 1
ok "one that has no name" refuses "three: ssh cannot log in: .*resolve" on one,three bad 1
ok "one without the programs" refuses "one: wf-info is not in PATH there: .*SSHPATH" env SSHWORKDIR=w bash -c \
    'SSHLOGIN=one "$1"/pipelines/train.sh bad 1' - "$ROOT"
mkdir fake few
printf '#!/bin/sh\necho "wf-info (Wavelet Flow) 0.0.1"\n' > fake/wf-info && chmod +x fake/wf-info
ok "one with another version" refuses "one: has version 0.0.1 of the programs, expected [0-9]" env SSHPATH="$WORK/fake" SSHWORKDIR=w \
    bash -c 'SSHLOGIN=one "$1"/pipelines/train.sh bad 1' - "$ROOT"
mkdir "home" && cp -r bad home
ok "one that does not see the folder" refuses "one: does not see the files of bad: share the folder, or set SSHWORKDIR" \
    bash -c 'cd home && HOME=$PWD SSHLOGIN=one "$1"/pipelines/train.sh bad 1' - "$ROOT"
for tool in sh setpriv flock perl; do ln -s "$(command -v $tool)" few; done
begins two "$WORK/few"
ok "one without rsync" refuses "two: rsync is not installed there: apt-get install rsync" apart two bad 1
kills KILL two
sed -i 's/actnorm, conv1x1/actnorm, nothing/' bad/plan.tsv
begins two
on one,two bad 1 > out 2> said
ok "a word that no host knows: the code" test $? = 64
ok "each level says so once" test "$(grep -c 'nothing' said)" = 4 -a "$(wc -l < said)" = 4 || cat out said
