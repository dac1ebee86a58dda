#!/usr/bin/env bash
# train.sh OUT JOBS - trains the levels of OUT/plan.tsv side by side into OUT/model, on this machine or, if set, on the
# hosts of $SSHLOGIN (as GNU parallel takes it), which see the same folders. A second run does the rest: GNU parallel
# repeats failed levels (OUT/joblog), and each trainer resumes from its own checkpoint.
set -u -o pipefail
export LC_ALL=C
out=$1 jobs=$2
plan=$out/plan.tsv model=$out/model
mkdir -p "$model" || exit

# A job log of another plan or other pictures would skip levels, so it is removed; the trainers find their own state.
for input in "$plan" "$out/train.store" "$out/val.store"; do
    [ ! "$input" -nt "$out/joblog" ] || rm -f "$out/joblog"
done

# Elapsed time and the last bits/dim of every level: on a terminal one line that changes, otherwise a line every half
# minute.
progress() {
    local step=30 begin='' end='\n' level text
    [ ! -t 2 ] || { step=2 begin='\r\033[K' end=''; }
    SECONDS=0
    while sleep $step > /dev/null 2>&1; do # no pipe of the caller stays open for it
        text=$(printf '%02d:%02d' $((SECONDS / 60)) $((SECONDS % 60)))
        while read -r level; do
            text+=$(tail -n 1 "$(printf '%s/level-%02d.jsonl' "$model" "$level")" 2> /dev/null |
                sed -n 's/null/-/; s/.*"step": *\([0-9]*\).*"\(bpd\|val\)": *\([-0-9.]*\).*/'"   level $level: \3 (step \1)/p")
        done < <(cut -f 1 "$plan" | sort -n)
        printf '%b%s%b' "$begin" "$text" "$end"
    done >&2
}

echo "training $(wc -l < "$plan") levels, $jobs at a time"
progress &
trap 'kill $! 2> /dev/null; [ ! -t 2 ] || echo >&2' EXIT
remote=()
[ -z "${SSHLOGIN:-}" ] || remote=(--sshlogin "$SSHLOGIN" --workdir . --env PATH)
# The shell that GNU parallel starts reads the template again, so names come as columns, which parallel quotes for it.
while IFS= read -r line; do printf '%s\t%s\t%s\n' "$line" "$model" "$out"; done < "$plan" |
    parallel --will-cite "${remote[@]}" --joblog "$out/joblog" --resume-failed -j "$jobs" --line-buffer \
    --tagstring 'level {1}' --colsep '\t' \
    wf-train-level -q -l '{1}' -m '{6}' -s '{7}/train.store' --val '{7}/val.store' \
    --minutes '{2}' --threads '{3}' -f '{4}' '{=5 uq() =}' :::: -
