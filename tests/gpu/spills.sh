#!/usr/bin/env bash
# spills.sh FOLDER - reads the reports of ptxas on every kernel and architecture (*.cu.o.log, from -Xptxas -v). Fails if
# a kernel spills registers; lists the kernels that use more than 128.
set -u -o pipefail
export LC_ALL=C
mapfile -t reports < <(find "$1" -name '*.cu.o.log' | sort)
[ ${#reports[@]} != 0 ] || { echo "spills: no *.cu.o.log in $1: build with nvcc first" && exit 66; }
awk '
    /Compiling entry function/ {
        match($0, /\x27[^\x27]*\x27/)
        kernel = substr($0, RSTART + 1, RLENGTH - 2)
        arch = $NF
        kernels++
    }
    /bytes spill stores/ && !/ 0 bytes spill stores, 0 bytes spill loads/ {
        print "spills: " kernel " for " arch ": " $0
        bad++
    }
    /Used [0-9]+ registers/ {
        match($0, /Used [0-9]+/)
        n = substr($0, RSTART + 5, RLENGTH - 5)
        if (n + 0 > 128) print kernel ": " n " registers"
    }
    END { print kernels " compiled kernels, " bad + 0 " with spills"; exit bad != 0 || kernels == 0 }
' "${reports[@]}"
