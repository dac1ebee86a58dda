#!/usr/bin/env bash
# faults.sh - the strict stand-in for CUDA finds planted faults: tests/emulated/faults.cpp has them. Each program exits 0
# without its fault; with it, it ends with status 70 and the one line that the list foretells.
. "$(dirname "$0")/lib.sh"

faults=$ROOT/${B:-build}/emulated/faults
found=0
while IFS=$'\t' read -r name complaint; do
    "$faults" "$name" good > said 2>&1
    ok "$name: exits 0 and is silent without its fault" test "$?" = 0 -a ! -s said
    "$faults" "$name" bad > said 2>&1
    ok "$name: exits 70 with it" test "$?" = 70
    ok "$name: one line: $(head -c 200 said)" test "$(wc -l < said)" = 1
    ok "$name: which says '$complaint'" grep -Eq "$complaint" said && found=$((found + 1))
done < <("$faults" --list)
ok "all faults are found" test "$found" = 45
