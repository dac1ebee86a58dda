#!/usr/bin/env bash
# train.sh OUT JOBS - trains the levels of OUT/plan.tsv side by side into OUT/model, on this machine or, if set, on the
# hosts of $SSHLOGIN (as GNU parallel takes it), which see the same folders. A second run does the rest: GNU parallel
# repeats failed levels (OUT/joblog), and each trainer resumes from its own checkpoint.
#
#   WF_VAL     the --val of wf-train-level; OUT/val.store by default
#   WF_INIT    a model to begin with, --init; none by default
#   WF_QUIET   not empty: no progress
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
    local step=30 wide=0 never
    [ -z "$clears" ] || step=2
    exec {never}<> <(:)
    SECONDS=0
    until read -r -t $step -u "$never"; do # nothing ever comes: a sleep without a process that outlives this one
        [ -z "$clears" ] || in_foreground || continue
        [ -z "$clears" ] || wide=$(stty size <&2 2> /dev/null | cut -d ' ' -f 2)
        [ -z "$clears" ] || [ "${wide:-0}" -gt 0 ] || wide=80 # not known
        logs | awk -v wide="$wide" -v seconds=$SECONDS -v jobs="$jobs" -v plan="$plan" -v ended="$out/joblog" \
            -f "$here/progress.awk"
    done >&2
}

[ -n "${WF_QUIET:-}" ] || echo "training $(wc -l < "$plan") levels, $jobs at a time"
shows=
[ -n "${WF_QUIET:-}" ] || { progress & shows=$!; }
# shellcheck disable=SC2317 # the trap calls it
end() {
    [ -z "$shows" ] || { kill "$shows" && wait "$shows"; } 2> /dev/null
    [ -z "$shows" ] || [ -z "$clears" ] || ! in_foreground || printf '\r\033[K' >&2
}
trap end EXIT
interrupted=
trap 'interrupted=1' INT
remote=()
[ -z "${SSHLOGIN:-}" ] || remote=(--sshlogin "$SSHLOGIN" --workdir . --env PATH)
# The shell that GNU parallel starts reads the template again, so names come as columns, which parallel quotes for it.
# It gives its jobs groups of their own, so that they get no signal but those of --termseq: TERM, CONT for jobs that are
# stopped, time to save, then the end.
while IFS= read -r line; do printf '%s\t%s\t%s\t%s\t%s\n' "$line" "$model" "$out" "$val" "${WF_INIT:--}"; done < "$plan" |
    parallel --will-cite "${remote[@]}" --joblog "$out/joblog" --resume-failed -j "$jobs" --line-buffer \
    --termseq TERM,0,CONT,600000,KILL,25 --tagstring 'level {1}' --colsep '\t' \
    wf-train-level -q -l '{1}' -m '{6}' -s '{7}/train.store' --val '{8}' --minutes '{2}' --threads '{3}' \
    '{=4 $_ = $_ eq "" ? "" : "-f ".Q($_); uq() =}' '{=9 $_ = $_ eq "-" ? "" : "--init ".Q($_); uq() =}' '{=5 uq() =}' :::: -
status=$?
[ -z "$interrupted" ] || exit 75
[ $status = 0 ] ||
    status=$(awk -F '\t' 'NR > 1 { code[$1] = $8 ? 75 : $7 } END { for (i in code) if (code[i]) { print code[i]; exit } }' "$out/joblog")
exit "${status:-70}"
