#!/usr/bin/env bash
# killed.sh - wf-train ended by what it cannot catch, or with its terminal: its processes save and end as after Ctrl-C,
# and the same command goes on
. "$(dirname "$0")/lib.sh"
for tool in parallel gnuplot python3; do
    command -v $tool > log || { skip "$tool is not installed"; exit; }
done
export OMP_NUM_THREADS=2
"$DEADLEAVES" -q -n 40 -s 8 > pictures.ppm

# -- a training, and its processes ------------------------------------------------------------------------------------
running() { find /proc/[0-9]*/cwd -prune -lname "$WORK/cut" 2> /dev/null; } # processes in the folder
step() { sed -n 's/.*"step": \([0-9]*\).*/\1/p' "cut/model/level-0$1.jsonl" 2> log | tail -n 1; }
state() { head -c 20000 "cut/model/level-0$1.state.safetensors" | grep -a -o '"step": *"[0-9]*"' | tr -dc 0-9; }
further() { [ "$(step 3)" -gt "$before" ] 2> log && [ "$(step 2)" -gt 0 ] 2> log; }
none() { [ -z "$(running)" ]; }
begin() { # begin [COMMAND...]: wf-train, by the command, until levels 3 and 2 make steps; its group has its number
    before=$(step 3)
    before=${before:-0}
    rm -f pid
    ( # bash has a line about what a signal ends
        set -m
        "$@" wf-train "$WORK/pictures.ppm" -o cut --size 8 --minutes 5 > out 2> said &
        echo $! > pid
        wait
    ) 2> log &
    within 60 further && pid=$(cat pid)
}
# ends NAME: soon, one second on an idle machine; states have the last steps that were logged
ends() {
    local at3 at2
    at3=$(step 3) at2=$(step 2)
    ok "$1: its processes end" within 10 none
    wait
    ok "$1: levels are saved" test "$(state 3)" -ge "$at3" -a "$(state 2)" -ge "$at2"
    ok "$1: nothing was written over" test "$(state 3)" -ge "$before"
    for process in $(running); do kill -KILL "$(basename "${process%/cwd}")"; done
}

ok "a training begins" begin
ok "all processes hold the lock" test "$(find /proc/[0-9]*/fd -lname "$WORK/cut/lock" 2> log | wc -l)" -gt 4
kill -KILL "$pid"
ends "SIGKILL"
ok "the same command goes on" begin
kill -SEGV "$pid"
ends "a crash"
ok "and again" begin
kill -TSTP "$pid" && sleep 0.3
kill -KILL "$pid"
ends "SIGKILL of what is stopped"
ok "once more" begin
ok "a process beside it has another name" test -z "$(pgrep -P "$pid" -x wf-train)"
kill -KILL -- "-$pid"
ends "SIGKILL of the group"

# -- without a terminal -----------------------------------------------------------------------------------------------
# closes COMMAND...: runs it on a terminal, which is closed when the file `close` appears
cat > closes.py << 'END'
import os, pty, select, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
while not os.path.exists("close"):
    if select.select([terminal], [], [], 0.05)[0]:
        os.read(terminal, 4096)
os.close(terminal)
print("ends with", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=open("closed", "w"))
END
ok "on a terminal" begin python3 closes.py
touch close
ends "a closed terminal"
ok "ends with 75" grep -qx 'ends with 75' closed

# -- what runs the processes is killed ----------------------------------------------------------------------------------
of() { pgrep -o -g "$(pgrep -P "$pid" -x make)" -f "$1"; } # of PATTERN: the process of make's group with such a command
ok "with GNU parallel" begin
kill -KILL "$(of '^/usr/bin/perl .*parallel ')"
ends "SIGKILL of GNU parallel"
ok "is told" grep -qx 'train.sh: GNU parallel was ended by signal 9; the same command goes on' said
ok "with its script" begin
kill -KILL "$(of '^bash /.*train.sh ')"
ends "SIGKILL of train.sh"
ok "the last time" begin
kill -KILL "$(pgrep -P "$pid" -x make)"
ends "SIGKILL of make"
ok "is told" grep -qx 'wf-train: make: ended by signal 9; the same command goes on' said
status 0 "the end" wf-train -q -o cut --minutes 0.01
ok "has a model" test -s cut/report.html
