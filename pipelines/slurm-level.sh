#!/usr/bin/env bash
# slurm-level.sh FOLDER LEVEL COMMAND... - runs the command that trains a level as a task of a Slurm array, and keeps the
# code that it ends with, and the command, in FOLDER/level-LL.ended. Job files of slurm.sh run it.
#
# An interrupted training saves and ends with 75. Slurm takes 75 for a failure as any other, so who interrupted decides:
#
#   SIGUSR1    the time of the job is nearly over: this script saves and requeues the task, which goes on
#   SIGTERM    of Slurm: a preempted or requeued task, which Slurm requeues itself, or one that was cancelled. A cancelled task
#              must not requeue itself, because Slurm would run it again.
#   none       another process trains the level (as on a node that Slurm lost), or the disk is full: requeues the task
#
# Slurm starts a requeued task after two minutes. After 100 restarts it is left to a person. Other codes end the task.
set -u
export LC_ALL=C
level=$2
ended=$1/$(printf 'level-%02d.ended' "$2")
shift 2

rm -f "$ended" "$ended.code"
echo "level $level on $(hostname), $(date '+%F %T')${SLURM_RESTART_COUNT:+, restart $SLURM_RESTART_COUNT}"
# A shell that waits for a command in the foreground knows its code; bash 5.2 may lose that of one in the background, if a
# trapped signal comes at its end. -m gives both a group of their own.
set -m
(
    trap : TERM USR1
    "$@"
    echo $? > "$ended.code"
) &
group=$!
set +m
signalled='' interrupted='' terminated=''
# shellcheck disable=SC2317 # the traps call it
forward() { signalled=1 interrupted=1; kill -TERM -- "-$group" 2> /dev/null; }
trap forward USR1
trap 'terminated=1; forward' TERM
while :; do # a signal ends wait, not the training
    signalled=
    wait "$group"
    [ -n "$signalled" ] || break
done
read -r code 2> /dev/null < "$ended.code" || code=137 # both were killed
[ -z "$interrupted" ] || [ "$code" = 0 ] || code=75 # mpirun has codes of its own
printf '%d %s\n' "$code" "$(printf ' %q' "$@" | cut -c 2-)" > "$ended.code" && mv "$ended.code" "$ended"
[ "$code" = 0 ] || echo "level $level ended with $code"
[ "$code" = 75 ] || exit "$code"

# Slurm's SIGTERM may come to the trainer first.
sleep 2
[ -z "$terminated" ] || exit 75
[ "${SLURM_RESTART_COUNT:-0}" -lt 100 ] || { echo "level $level was restarted 100 times: run slurm.sh again"; exit 75; }
# The number of a task alone is that of the whole array for its last task. Slurm ends what it requeues: a script that ended by
# itself at that moment might be taken for the end of the task.
if scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"; then
    sleep 60 &
    wait $!
else
    echo "level $level is not requeued: run slurm.sh again"
fi
exit 75
