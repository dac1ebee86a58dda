#!/usr/bin/env bash
# cli.sh - the command line of every program: help, manual, completion, version, errors
. "$(dirname "$0")/lib.sh"

# help PROGRAM: help goes to stdout alone and has every option of the completion
help() {
    "$1" --help=completion > options && [ "$(awk -F '\t' 'NF == 5' options | wc -l)" -gt 3 ] || return
    "$1" --help > help 2> err && [ ! -s err ] && grep -q '^Usage: ' help || return
    local option
    for option in $("$1" --help=completion | cut -f 2,3 | grep -o -e '-[a-z-]*'); do
        grep -qe "$option" help || { echo "$option is not in the help"; return 1; }
    done
}

# manual PROGRAM: the page has every section, and groff warns of nothing
manual() {
    "$1" --help=man > page || return
    local section
    for section in NAME SYNOPSIS DESCRIPTION OPTIONS 'EXIT STATUS'; do
        grep -qx ".SH $section" page || { echo "no $section"; return 1; }
    done
    if command -v groff > log; then
        groff -man -Tutf8 -ww page 2>&1 > formatted | tee warnings
        [ ! -s warnings ]
    fi
}

# The version of the build is the one that make wrote beside the objects.
says_version() { "$1" --version | grep -Fqx "$1 (Wavelet Flow) $(cat "$ROOT/${B:-build}/version")"; }

# takes PROGRAM OPTION: the program reads the option; any other must refuse it
takes() {
    case $2:$1 in
    --threads:wf-info | --backend:wf-info | --backend:wf-train | --threads:wf-export | --backend:wf-export | --backend:wf-nearest | --threads:wf-view | --backend:wf-view | --backend:wf-pack | --backend:wf-unpack) return 1 ;;
    --seed:wf-bpd | --seed:wf-coverage | --seed:wf-dwt | --seed:wf-nuts | --seed:wf-sample | --seed:wf-score | --seed:wf-train | --seed:wf-train-level | --seed:wf-view) return 0 ;;
    --seed:*) return 1 ;;
    esac
}

for program in "$ROOT/${BIN:-bin}"/wf-*; do
    p=$(basename "$program")
    ok "$p --help" help "$p"
    ok "$p --help=man" manual "$p"
    ok "$p --version" says_version "$p"
    status 64 "$p: a flag that does not exist" "$p" --no-such-flag
    status 64 "$p: a letter that does not exist" "$p" -Z
    for option in --threads --seed --backend; do
        if takes "$p" $option; then
            ok "$p takes $option" grep -qe "$option " help
            status 64 "$p: an argument that is missing" "$p" $option
        else
            status 64 "$p: $option, which it does not read" "$p" $option 1
            cp .log said && ok "$p: the message names $option" grep -q -e "$option: no such option" said
        fi
    done
    takes "$p" --threads && for number in 1x -1; do
        status 64 "$p: --threads $number" "$p" --threads $number
        cp .log said && ok "$p: the message says what was expected" \
            grep -q -e "--threads: found '$number', expected" said
    done
    status 64 "$p: an argument where there is none" "$p" --quiet=yes
    status 75 "$p: a full disk" bash -c "$p --help > /dev/full"
    status 74 "$p: a closed stdout" bash -c "$p --help >&-"
done

# -- a lone "-" is standard input or output --------------------------------------------------------------------------
export OMP_NUM_THREADS=1
"$DEADLEAVES" -q -n 8 -s 2 | wf-dwt -q > in.wf
for level in 0 1; do
    ok "wf-train-level -s -" wf-train-level -q -l $level -m model -s - -f actnorm --steps 2 < in.wf
done
wf-bpd -q -m model < in.wf > want
for flags in - "-s -" "-s - -"; do
    # shellcheck disable=SC2086 # words
    wf-bpd -q -m model $flags < in.wf > have
    ok "wf-bpd $flags" cmp want have
done
wf-sample -q -m model -n 300 | wf-idwt -q > want
wf-sample -q -m model -n 300 -l 0 | wf-sample -q -m model - | wf-idwt -q - > have
ok "wf-sample -" cmp want have
status 65 "wf-sample - of nothing" wf-sample -m model - < /dev/null
ok "wf-sample of nothing" wf-sample -q -m model < /dev/null
status 66 "wf-sample of a folder on stdin" wf-sample -m model < .
status 66 "wf-train-level of a folder on stdin" wf-train-level -l 0 -m new < .
status 64 "a model that is a file" bash -c 'wf-train-level -l 0 -m in.wf < in.wf'
status 64 "wf-sample of whole pictures" wf-sample -m model in.wf
status 64 "wf-sample - and from nothing" wf-sample -m model -n 1 -
status 64 "wf-bpd of two files" wf-bpd -m model in.wf in.wf
status 64 "wf-bpd of two inputs" wf-bpd -m model -s store - < in.wf
ok "no file or folder is called -" test ! -e ./-
