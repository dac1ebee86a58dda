#!/usr/bin/env bash
# busy.sh - a program with several threads beside other busy processes: it sleeps in place of spinning, and computes the same
. "$(dirname "$0")/lib.sh"

[ -r /proc/self/schedstat ] || { skip "a system that counts how long threads wait for cores"; exit; }
unset OMP_WAIT_POLICY GOMP_SPINCOUNT
"$DEADLEAVES" -q -n 64 -s 8 | wf-dwt -q -o s.store
train() { # train MODEL OPTION...: in place of this shell
    exec wf-train-level -q -m "$1" -l 3 -s s.store -f '2*(actnorm, conv1x1, affine:width=32:blocks=1), actnorm' --batch 32 --precision fp32 \
        --val none "${@:2}"
}
program='' loops=()
begin() { train "$1" --steps 10000000 "${@:2}" & program=$!; }
end() { kill -KILL "$@" && wait "$@" 2> none; }
crowd() { local i; for ((i = 0; i < 2 * $(nproc); i++)); do sh -c 'while :; do :; done' & loops+=($!); done; }
leave() { end "${loops[@]}"; loops=(); }
threads() { cat /proc/$program/task/*/comm 2> none | grep -cx "$1"; } # threads NAME
watched() { [ "$(threads wf-watch)" = 1 ]; }
asleep() { [ "$(threads wf-sleep)" -gt 0 ]; }
awake() { [ "$(threads wf-sleep)" = 0 ]; }
trains() { [ "$(threads wf-train-level)" -gt 1 ]; }

begin one --threads 2
ok "two threads are watched" within 10 watched
crowd
ok "they sleep beside busy processes" within 20 asleep
leave
# idle: per cent of the time of all cores in the last second, while the program is stopped
idle() {
    kill -STOP $program
    { head -n 1 /proc/stat; sleep 1; head -n 1 /proc/stat; } |
        awk '{ for (i = 2; i <= 9; i++) t += (NR > 1 ? 1 : -1) * $i; d += (NR > 1 ? 1 : -1) * $5 } END { print int(100 * d / t) }'
    kill -CONT $program
}
if [ "$(idle)" -gt 90 ]; then ok "and spin again on quiet cores" within 20 awake; else skip "quiet cores"; fi
end $program

begin many --threads $(($(nproc) + 4))
ok "more threads than cores sleep too" within 20 asleep
ok "and go on" within 2 kill -0 $program
end $program

begin two --threads 1
ok "one thread trains" within 10 trains
ok "and is not watched" test "$(threads wf-watch)" = 0
end $program
for setting in OMP_WAIT_POLICY=active GOMP_SPINCOUNT=1000; do
    export "${setting?}"
    begin "$setting" --threads 2
    ok "with $setting two threads train" within 10 trains
    ok "with $setting they are not watched" test "$(threads wf-watch)" = 0
    end $program
    unset "${setting%=*}"
done

weights() { (train "$1" --threads 2 --steps 60) && grep -ao '"hash":"[0-9a-f]*"' "$1/level-03.safetensors" > "$1.hash"; }
weights quiet
crowd
weights busy
leave
ok "the same weights beside busy processes" same quiet.hash busy.hash
