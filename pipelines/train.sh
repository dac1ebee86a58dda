#!/usr/bin/env bash
# train.sh OUT JOBS - trains the levels of OUT/plan.tsv side by side into OUT/model, JOBS at a time. A second run does the
# rest: GNU parallel repeats failed levels (OUT/joblog), and each trainer resumes from its own checkpoint.
#
#   WF_VAL     the --val of wf-train-level; OUT/val.store by default
#   WF_INIT    a model to begin with, --init; none by default
#   WF_QUIET   not empty: no progress
#
# On other machines, JOBS at a time on each; remote.sh does what ssh alone does not:
#
#   SSHLOGIN       the hosts, as for GNU parallel: HOST,USER@HOST:PORT; a : is this machine. Options of ssh belong into
#                  ~/.ssh/config, or into PARALLEL_SSH, the command
#   SSHWORKDIR     hosts do not see the folders here: copies go to and from this folder below the home there
#   SSHPATH        folder of the programs on hosts with SSHWORKDIR, if ssh does not have it in PATH
#   SSHRETURN      seconds after which such a host returns the state of a level, 60 by default
#
# On SIGINT every level saves and ends. The exit code is that of the first level that failed, 75 after an interruption.
set -u -o pipefail
export LC_ALL=C
out=$1 jobs=$2
here=$(cd "$(dirname "$0")" && pwd)
plan=$out/plan.tsv model=$out/model
val=${WF_VAL:-$out/val.store}
mkdir -p "$model" || exit
parallel --version 2> /dev/null < /dev/null | grep -q 'GNU parallel' ||
    { echo 'train.sh: GNU parallel is not here (moreutils has another parallel): apt-get install parallel' >&2; exit 69; }

# A job log of another plan or other pictures would skip levels, so it is removed; the trainers find their own state.
for input in "$plan" "$out/train.store" "$val"; do
    [ ! "$input" -nt "$out/joblog" ] || rm -f "$out/joblog"
done

# The last validation and the last line of each level's log, each after "LEVEL ".
logs() {
    local level log
    cut -f 1 "$plan" | sort -n | while read -r level; do
        log=$(printf '%s/level-%02d.jsonl' "$model" "$level")
        [ ! -s "$log" ] || { grep '"best"' "$log" | tail -n 1; tail -n 1 "$log"; } | sed "s/^/$level /"
    done
}

clears= # standard error is a terminal that can clear a line
[ ! -t 2 ] || [ "${TERM:-dumb}" = dumb ] || clears=1

# in_foreground: true if the terminal belongs to this group of processes or to that of wf-train, or to none
in_foreground() {
    local stat group foreground
    read -r stat < /proc/self/stat || return 0
    read -r _ _ group _ _ foreground _ <<< "${stat##*) }" # behind the name of the program
    [ "$foreground" -lt 0 ] || [ "$foreground" = "$group" ] || [ "$foreground" = "${WF_TERMINAL_GROUP:-}" ]
}

# Progress: on a terminal one line that changes, otherwise a line every half minute.
progress() {
    local step=30 wide=0 never next
    [ -z "$clears" ] || step=2
    exec {never}<> <(:)
    SECONDS=0 next=$step
    until read -r -t 2 -u "$never"; do # nothing ever comes: a sleep without a process that outlives this one
        kill -0 $$ 2> /dev/null || exit # train.sh was killed
        [ $SECONDS -ge $next ] || continue
        next=$((SECONDS + step))
        [ -z "$clears" ] || in_foreground || continue
        [ -z "$clears" ] || wide=$(stty size <&2 2> /dev/null | cut -d ' ' -f 2)
        [ -z "$clears" ] || [ "${wide:-0}" -gt 0 ] || wide=80 # not known
        logs | awk -v wide="$wide" -v seconds=$SECONDS -v jobs="$jobs" -v plan="$plan" -v ended="$out/joblog" \
            -f "$here/progress.awk"
    done >&2
}

# -- other machines ---------------------------------------------------------------------------------------------------
from=$out init=${WF_INIT:-} lines=$plan remote=() count=
fail() { # fail CODE WHAT...
    echo "train.sh: ${*:2}" >&2
    exit "$1"
}
# on_hosts STEP: of remote.sh; this machine, if it is a host too, prints a line
on_hosts() { parallel --will-cite --nonall --sshlogin "$SSHLOGIN" --ssh "remote.sh $1" echo : < /dev/null; }
quote() { printf "'%s'" "${1//\'/\'\\\'\'}"; }

# make_stage: $out/hosts has what goes to the hosts, as links under the names that the trainers get there and here
make_stage() {
    local stage folder level chain
    out=$(realpath "$out") plan=$out/plan.tsv stage=$out/hosts
    [[ $SSHWORKDIR =~ ^[A-Za-z0-9._/][A-Za-z0-9._/-]*$ ]] ||
        fail 64 "SSHWORKDIR: found '$SSHWORKDIR', expected the name of a folder on the hosts: letters, digits and . _ - /"
    command -v rsync > /dev/null || fail 69 'rsync, which copies to hosts with SSHWORKDIR, is not here: apt-get install rsync'
    rm -rf "$stage" && mkdir "$stage" || exit
    ln -s "$(realpath "$model")" "$stage/model"
    ln -s "$out/train.store" "$stage/train.store"
    [ ! -e "$val" ] || { ln -s "$(realpath "$val")" "$stage/val.store" && val=val.store; }
    [ ! -e "$init" ] || { ln -s "$(realpath "$init")" "$stage/init" && init=init; }
    while read -r level chain; do cp "$chain" "$stage/chain-$level" || exit; done < \
        <(awk -F '\t' '$4 ~ /^@/ { print $1, substr($4, 2) }' "$plan")
    awk -F '\t' -v OFS='\t' '$4 ~ /^@/ { $4 = "@chain-" $1 } 1' "$plan" > "$stage/.plan" || exit
    # A model that was begun again has another folder there.
    folder=$(basename "$out" | tr -c 'A-Za-z0-9\n' _)-$(echo "$HOSTNAME $out $(stat -c '%i %W' "$model")" | cksum | cut -d ' ' -f 1)
    export WF_STAGE=$stage WF_FOLDER=${SSHWORKDIR%/}/$folder
    model=model from=. lines=$stage/.plan
    cd "$stage" || exit
}

use_hosts() {
    [[ $SSHLOGIN != *' '* ]] || fail 64 "SSHLOGIN: found '$SSHLOGIN', expected names of hosts: options belong into ~/.ssh/config"
    PATH=$here:$PATH
    export WF_STAGE='' WF_FOLDER=$PWD WF_PATH WF_FAILED
    WF_PATH="PATH=$(quote "$PATH"); export PATH; "
    [ "$PWD" != "$HOME" ] || WF_FOLDER=.
    [[ $PWD != "$HOME"/* ]] || WF_FOLDER=${PWD#"$HOME"/} # a home may have another name there
    [ -z "${SSHWORKDIR:-}" ] || make_stage
    [ -z "${SSHWORKDIR:-}" ] || WF_PATH=${SSHPATH:+"PATH=$(quote "$SSHPATH"):\$PATH; export PATH; "}
    exec {WF_MESSAGES}>&2
    export WF_OUT=$out WF_MESSAGES
    WF_FAILED=$(mktemp -d) || exit
    found=$(on_hosts begin) || exit 69
    count=$(grep -c . <<< "$found")
    # A level of a host that died goes to another; each may fail once.
    remote=(--sshlogin "$SSHLOGIN" --ssh 'remote.sh train' --retries $((count + 1)))
}
trap '[ -z "${WF_FAILED:-}" ] || rm -rf "$WF_FAILED"' EXIT
[ -z "${SSHLOGIN:-}" ] || use_hosts

[ -n "${WF_QUIET:-}" ] || echo "training $(wc -l < "$plan") levels, $jobs at a time${count:+ on each of $count hosts}"
shows=
[ -n "${WF_QUIET:-}" ] || { progress & shows=$!; }
# shellcheck disable=SC2317 # the trap calls it
end() {
    [ -z "${WF_FAILED:-}" ] || rm -rf "$WF_FAILED"
    [ -z "$shows" ] || { kill "$shows" && wait "$shows"; } 2> /dev/null
    [ -z "$shows" ] || [ -z "$clears" ] || ! in_foreground || printf '\r\033[K' >&2
}
trap end EXIT
interrupted=
trap 'interrupted=1' INT
# The shell that GNU parallel starts reads the template again, so names come as columns, which parallel quotes for it.
# It gives its jobs groups of their own, so that they get no signal but those of --termseq: TERM, CONT for jobs that are
# stopped, time to save, then the end. With exec the trainer is the job, and not a shell that dies of TERM before it: on
# another host KILL would follow at once. setpriv: SIGTERM for trainers whose parallel is killed, and SIGINT for a
# parallel whose train.sh is.
exec {running}> >(cat > /dev/null)
ends=$! # ends with the last process that has this descriptor, as all below parallel have
while IFS= read -r line; do printf '%s\t%s\t%s\t%s\t%s\n' "$line" "$model" "$from" "$val" "${init:--}"; done < "$lines" |
    setpriv --pdeathsig INT parallel --will-cite "${remote[@]}" --joblog "$out/joblog" --resume-failed -j "$jobs" --line-buffer \
    --termseq TERM,0,CONT,600000,KILL,25 --tagstring 'level {1}' --colsep '\t' \
    exec setpriv --pdeathsig TERM wf-train-level -q -l '{1}' -m '{6}' -s '{7}/train.store' --val '{8}' --minutes '{2}' --threads '{3}' \
    '{=4 $_ = $_ eq "" ? "" : "-f ".Q($_); uq() =}' '{=9 $_ = $_ eq "-" ? "" : "--init ".Q($_); uq() =}' '{=5 uq() =}' :::: -
status=$?
exec {running}>&-
if [ $status -gt 128 ] && [ $status != 255 ]; then # its trainers save
    wait "$ends"
    fail 75 "GNU parallel was ended by signal $((status - 128)); the same command goes on"
fi
[ -z "$interrupted" ] || exit 75
[ $status != 0 ] || [ -z "${WF_STAGE:-}" ] || { on_hosts end > /dev/null && rm -r "$WF_STAGE"; }
[ $status = 0 ] ||
    status=$(awk -F '\t' 'NR > 1 { code[$1] = $8 || $7 == 255 ? 75 : $7 } END { for (i in code) if (code[i]) { print code[i]; exit } }' "$out/joblog")
exit "${status:-70}"
