#!/usr/bin/env bash
# memory.sh - the tests of programs without memory with 1000 calls of each program instead of 12, and their counts, which go
# into memory.tsv beside this script: trials by program that ended by a signal, with another code than 75, with more than
# one line, or with an output lost or wrong
TRIALS=${TRIALS:-1000} COUNTS=${COUNTS:-$(dirname "$(realpath "$0")")/memory.tsv} exec bash "$(dirname "$0")/../pipes/memory.sh"
