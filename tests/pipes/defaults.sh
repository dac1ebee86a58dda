#!/usr/bin/env bash
# defaults.sh - without an option, a program behaves as with the default that --help names. Each option is tried three
# times: without it, with its default, which must give the same output, and with another value, which must not.
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1

# default PROGRAM OPTION: the first number or word after "default" in the help of the option
default() {
    "$1" --help | awk -v option="$2" '
        /^ +-/ { inside = match($0, " " option "[ ,]") && RSTART < 10 }
        /^[^ ]/ { inside = 0 }
        inside { text = text " " $0 }
        END {
            if (sub(/.*default( is)?:? */, "", text) && match(text, /^[a-z0-9.e-]*[a-z0-9]/))
                print substr(text, 1, RLENGTH)
        }'
}
# try PROGRAM OPTION OTHER COMMAND...: the command's output, by its words and OPTION with a value behind them
try() {
    local program=$1 option=$2 other=$3 value
    shift 3
    value=$(default "$program" "$option")
    [ -n "$value" ] || { fail "$program $option: no default in the help"; return; }
    "$@" > none 2>&1 || fail "$*: $(head -c 300 none)"
    "$@" "$option" "$value" > same 2>&1
    "$@" "$option" "$other" > differs 2>&1
    ok "$program $option $value is the default" same none same
    if cmp -s none differs; then fail "$program $option $other changes nothing"; else pass "$option $other differs"; fi
}

train_small model > log 2>&1 || fail "training: $(cat log)"
"$DEADLEAVES" -q -n 6 -s 8 > six.ppm
wf-dwt -q -o six six.ppm
"$DEADLEAVES" -q -n 2 -s 8 --seed 7 | wf-dwt -q > two.wf
{ # a picture of four channels, or a volume of eight slices
    printf '\x93NUMPY\x01\x00\x76\x00%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 8, 8, 4), }"
    head -c 256 "$DEADLEAVES"
} > array.npy

# A stream holds its command line, pictures do not.
pictures() { "$@" | wf-idwt -q; }
nuts() {
    wf-nuts -m model -n 2 -l 1 --report report "$@" 2> said | wf-idwt -q
    grep converged said # the lines before it hold speeds
    sed 's/"seconds": *[0-9.e-]*//' report
}
try wf-sample --temperature 0.5 pictures wf-sample -q -m model -n 2
try wf-sample --seed 1 pictures wf-sample -q -m model -n 2
try wf-nuts --temperature 0.5 nuts
try wf-nuts --chains 2 nuts
try wf-nuts --adapt 4 nuts
try wf-nuts --draws 6 nuts
try wf-nuts --target-accept 0.9 nuts
try wf-nuts --max-depth 1 nuts
try wf-nuts --mass diagonal nuts --adapt 20
try wf-nuts --max-rhat 1.5 nuts
try wf-nuts --min-ess 1 nuts
try wf-nuts --seed 1 nuts
try wf-nearest --nearest 2 pictures wf-nearest -q -s six two.wf
details() { wf-dwt -q --levels 1 "$@" six.ppm | tail -c 4000 | head -c 3500; }
try wf-dwt --wavelet db2 details
try wf-dwt --dims 3 pictures wf-dwt -q array.npy
try wf-bpd --seed 1 wf-bpd -q -m model -s six
