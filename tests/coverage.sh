#!/usr/bin/env bash
# coverage.sh SUMMARY.json - lines that ran of all lines, room by room, from gcovr's summary
set -eu
export LC_ALL=C
jq -r '.files[] | [.filename, .line_covered, .line_total] | @tsv' "$1" | awk -F '\t' '
    function room_of(path) { return match(path, /^(lib|kernels)\/[a-z]+\//) ? substr(path, 1, RLENGTH - 1) : substr(path, 1, index(path, "/") - 1) }
    { room = room_of($1); covered[room] += $2; total[room] += $3; all_covered += $2; all += $3 }
    END {
        for (room in total) printf "%-16s %6d of %6d lines, %5.1f %%\n", room, covered[room], total[room], 100 * covered[room] / total[room] | "sort"
        close("sort")
        printf "%-16s %6d of %6d lines, %5.1f %%\n", "all", all_covered, all, 100 * all_covered / all
    }'
