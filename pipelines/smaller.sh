#!/usr/bin/env bash
# smaller.sh DEPTH WIDTH < CHAIN - a chain of the same kind for smaller machines: repetitions are DEPTH in a hundred of what they were,
# and networks have WIDTH channels ('': as many as they had)
set -eu
awk -v depth="$1" -v width="$2" '
    { sub(/#.*/, "") }
    !NF { next }
    {
        line = ""
        while (match($0, /[0-9]+\*/)) {
            n = int(substr($0, RSTART, RLENGTH - 1) * depth / 100 + 0.5)
            line = line substr($0, 1, RSTART - 1) (n < 1 ? 1 : n) "*"
            $0 = substr($0, RSTART + RLENGTH)
        }
        line = line $0
        if (width != "")
            gsub(/width=[0-9]+/, "width=" width, line)
        print line
    }'
