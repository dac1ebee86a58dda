#!/usr/bin/env bash
# readers.sh - a store is read by many at once, or written by one
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1

"$DEADLEAVES" -q -n 200 -s 16 > a.ppm
"$DEADLEAVES" -q -n 200 -s 16 --seed 1 > b.ppm
wf-dwt -q -o s.store a.ppm
wf-dwt -q -n 1 a.ppm > one.wf
mkfifo gate

# held KIND N: waits until N processes hold locks of KIND, READ or WRITE, on the store
held() {
    local file count
    file=$(stat -c %i s.store/data.mdb)
    for _ in {1..200}; do
        count=$(grep -c "FLOCK .* $1 .*:$file " /proc/locks)
        [ "$count" -ge "$2" ] && return
        sleep 0.1
    done
    echo "$count hold it"
    return 1
}

# Processes that have opened the store wait for their pictures until the gate opens.
for i in {1..64}; do
    (cat gate > opened && cat one.wf) |
        wf-nearest -q -s s.store -k 200 --distances "found.$i" > /dev/null 2> "said.$i" || echo "$i" >> failed &
done
ok "64 processes have the store open" held READ 64
for i in {1..64}; do
    wf-info --verify s.store > "info.$i" 2>&1 || echo "$i" >> failed &
    verifying[i]=$!
done
for i in 1 2; do
    wf-train-level -q -l 3 -m "m$i" -s s.store -f '2*(actnorm, conv1x1, affine:width=4:blocks=1), actnorm' --steps 20 \
        --batch 16 2> "train.$i" || echo "training $i" >> failed &
    verifying[64 + i]=$!
done
wait "${verifying[@]}"
ok "64 more processes verify the store meanwhile, and two train" test ! -s failed
status 75 "nothing is added to a store that is read" wf-dwt --append -o s.store b.ppm
cp .log said && ok "the message says that it is being read" grep -q 's.store: locked, it is being read' said
: > gate
wait
ok "the 64 have read all of it" bash -c '[ ! -s failed ] &&
    [ "$(cat found.* | wc -l)" = "$((64 * $(wc -l < found.1)))" ] &&
    [ "$(wc -l < found.1)" -ge 200 ]'
ok "the 64 processes read the same" bash -c 'for i in {2..64}; do cmp found.1 found.$i || exit; done'

(cat b.ppm && cat gate > opened) | wf-dwt -q --append -o s.store &
ok "one adds to it" held WRITE 1
status 75 "who reads meanwhile is told to try again" wf-info s.store
cp .log said && ok "the message says that it is being written" grep -q 's.store: locked, it is being written' said
status 75 "as is who would add" wf-dwt --append -o s.store a.ppm
: > gate
wait
ok "the file then exists" bash -c 'wf-info --verify s.store | grep -Eq "^pictures +400$"'
