#!/usr/bin/env bash
# spills.sh FOLDER - reads what ptxas said of each kernel (*.cu.o.log, from -Xptxas -v), for every architecture: fails when one
# spills registers, and lists those that use many.
set -u -o pipefail
mapfile -t reports < <(find "$1" -name '*.cu.o.log' | sort)
[ ${#reports[@]} != 0 ] || { echo "spills: no report in $1: is there nvcc?" && exit 66; }
awk '
    /Compiling entry function/ { match($0, /\x27[^\x27]*\x27/); kernel = substr($0, RSTART + 1, RLENGTH - 2); arch = $NF; kernels++ }
    /bytes spill stores/ && !/ 0 bytes spill stores, 0 bytes spill loads/ { print "spills: " kernel " for " arch ": " $0; bad++ }
    /Used [0-9]+ registers/ { match($0, /Used [0-9]+/); n = substr($0, RSTART + 5, RLENGTH - 5); if (n + 0 > 128) print kernel ": " n " registers" }
    END { print kernels " compiled kernels, " bad + 0 " with spills"; exit bad != 0 || kernels == 0 }
' "${reports[@]}"
