#!/usr/bin/env bash
# kernels.sh FILE - prints the mangled names of the kernels in what nvcc linked, one a line; compute-sanitizer filters by them. nvcc makes a function __device_stub_NAME of each, with the length of its name before it (Itanium C++ ABI, 5.1.2).
set -eu -o pipefail
export LC_ALL=C
nm "$1" | awk 'match($3, /[0-9]+__device_stub_/) {
    length_of = substr($3, RSTART) + 0
    print substr($3, RSTART + length(length_of) + 14, length_of - 14)
}' | sort -u
