#!/usr/bin/env bash
# limits.sh - every limit of wf-formats(5): what is at it is accepted, what is one past it is refused with one line, both
# within the time and memory that a hostile file may take
. "$(dirname "$0")/lib.sh"
export OMP_NUM_THREADS=1

# limit NAME ENUMERATOR: sets `most`, the value in a header of the library
limit() {
    local value
    value=$(grep -hoE "[{,] $2 = [0-9]+( << [0-9]+)?" "$ROOT"/lib/*/*.h | head -n 1 | sed 's/.*= //')
    most=$((${value:-0}))
    ok "$1 have a limit" test $most -gt 0
}
# both CODE NAME COMMAND...: the command, a function, is given the limit and one more
both() {
    status 0 "$2 at the limit, $most" limited_with "$most" "${@:3}"
    status "$1" "$2 past it, $((most + 1))" limited_with $((most + 1)) "${@:3}"
}
limited_with() { "make_$2" "$1" > file && "run_$2" file; }
zeros() { head -c "$1" /dev/zero; }
dwt() { limited wf-dwt -q --levels 0 "$@"; }

# -- pictures ----------------------------------------------------------------------------------------------------------
limit "sides" WF_MAX_SIDE
make_width() { printf 'P5 %d 1 255\n' "$1" && zeros "$1"; }
make_height() { printf 'P5 1 %d 255\n' "$1" && zeros "$1"; }
run_width() { dwt "$1"; }
run_height() { dwt "$1"; }
both 65 "the width of a picture" width
both 65 "the height of a picture" height
side=$most
le() { # le BYTES NUMBER: little endian
    local i
    for ((i = 0; i < $1; i++)); do printf %b "\\x$(printf %02x $(($2 >> 8 * i & 255)))"; done
}
wav() { # wav FRAMES CHANNELS RATE
    local data=$(($1 * $2))
    printf RIFF && le 4 $((36 + data)) && printf 'WAVEfmt ' && le 4 16 && le 2 1 && le 2 "$2" && le 4 "$3"
    le 4 $(($3 * $2)) && le 2 "$2" && le 2 8 && printf data && le 4 $data && zeros $data
}
make_frames() { wav "$1" 1 8000; }
run_frames() { dwt "$1"; }
both 65 "the samples of a sound" frames

limit "pixels" WF_MAX_PIXELS
make_pixels() { printf 'P5 %d %d 255\n' $((($1 + 4095) / 4096)) 4096; }
run_pixels() { dwt --crop 1x1 "$1"; }
# The pixels themselves are not there: a file that holds the limit is cut off, and one past it is too large.
said_of() { make_pixels "$1" > file && run_pixels file 2>&1 > out.wf | grep -c 'at most [0-9]* pixels'; }
ok "a header with $most pixels is within the limit" test "$(said_of "$most")" = 0
ok "a header with more is past it" test "$(said_of $((most + 1)))" = 1
status 65 "both end with 65" limited_with "$most" pixels
status 65 "and one line" limited_with $((most + 1)) pixels

limit "channels" WF_MAX_CHANNELS
make_pam() { printf 'P7\nWIDTH 1\nHEIGHT 1\nDEPTH %d\nMAXVAL 255\nENDHDR\n' "$1" && zeros "$1"; }
run_pam() { dwt "$1"; }
make_voices() { wav 8 "$1" 8000; }
run_voices() { dwt "$1"; }
both 65 "the channels of a picture" pam
both 65 "the channels of a sound" voices
channels() { dwt -c "$1" file; }
make_pam 1 > file
status 0 "channels that are asked for, at the limit" channels "$most"
status 64 "and past it" channels $((most + 1))

most=65535 # of 16 bits
make_maxval() { printf 'P5 1 1 %d\n' "$1" && zeros 2; }
run_maxval() { dwt "$1"; }
both 65 "the largest sample" maxval

# -- levels and rates --------------------------------------------------------------------------------------------------
limit "levels" WF_MAX_LEVELS
levels() { limited wf-dwt -q --levels "$1" file; }
make_frames "$side" > file
status 0 "levels at the limit, $most" levels "$most"
status 64 "and past it" levels $((most + 1))
limit "rates" WF_MAX_RATE
make_rate() { wav 8 1 "$1"; }
run_rate() { dwt "$1"; }
both 65 "samples a second" rate

# -- headers -----------------------------------------------------------------------------------------------------------
limit "archives in one another" WF_MAX_ARCHIVES
make_nested() {
    local i
    make_width 1 > inner
    for ((i = 0; i < $1; i++)); do gzip -nc inner > outer && mv outer inner; done
    cat inner
}
run_nested() { dwt "$1"; }
both 65 "archives in one another" nested

limit "bytes of a header of .npy" WF_MAX_ARRAY_HEADER
make_array() {
    local text="{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 3), }"
    printf '\x93NUMPY\1\0' && le 2 "$1" && printf "%-$(($1 - 1))s\n" "$text" && zeros 3
}
run_array() { dwt "$1"; }
both 65 "the header of an array" array

limit "bytes of a line of PAM" WF_MAX_PAM_LINE
make_comment() {
    printf 'P7\n#%*s\n' $(($1 - 2)) '' && make_pam 1 | tail -c +4
}
run_comment() { dwt "$1"; }
both 65 "a line of a PAM header" comment
limit "lines of PAM" WF_MAX_PAM_LINES
make_lines() { # 5 lines are no comments
    printf 'P7\n' && seq -f '#%.0f' $(($1 - 5)) && make_pam 1 | tail -c +4
}
run_lines() { dwt "$1"; }
both 65 "lines of a PAM header" lines

limit "bytes of a header of safetensors" WF_MAX_TENSORS_HEADER
make_width 1 | dwt > one.wf
length=$(od -An -tu8 -N 8 one.wf)
make_record() {
    le 8 "$1" && tail -c +9 one.wf | head -c $((length)) && head -c $(($1 - length)) /dev/zero | tr '\0' ' '
    tail -c +$((9 + length)) one.wf
}
run_record() { limited wf-idwt -q "$1"; }
make_record $((most + 1)) > file
status 65 "the header of a record past the limit" run_record file
make_record "$most" > file
run_record file > out 2> said # whose end record has the hash of a shorter header
ok "at the limit it is taken, not the hash: $(head -c 200 said)" grep -q 'the hash of the stream is' said

# -- chains ------------------------------------------------------------------------------------------------------------
"$DEADLEAVES" -q -n 4 -s 4 | wf-dwt -q > train.wf
train() { wf-train-level -q -l 0 -m model -s - --val none --steps 1 --batch "$1" -f "$2" < train.wf; }
limit "bijectors of a chain" WF_FLOW_TEXT_MAX_WORDS
status 0 "bijectors at the limit, $most" train 2 "$most*actnorm"
rm -rf model
status 64 "and past it" train 2 "$most*actnorm, actnorm"
limit "parentheses" WF_FLOW_TEXT_MAX_DEPTH
nested() { printf "%$1s" '' | tr ' ' '(' && printf actnorm && printf "%$1s" '' | tr ' ' ')'; }
status 0 "parentheses at the limit, $most" train 2 "$(nested "$most")"
rm -rf model
status 64 "and past it" train 2 "$(nested $((most + 1)))"
limit "pictures of a batch" WF_MAX_BATCH
status 0 "a batch at the limit, $most" train "$most" actnorm
rm -rf model
status 64 "and past it" train $((most + 1)) actnorm
