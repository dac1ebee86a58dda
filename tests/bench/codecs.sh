#!/usr/bin/env bash
# codecs.sh PICTURES... - bits per dimension of lossless files: optipng, WebP, JPEG XL, and with MODEL wf-pack
#
#     tests/bench/codecs.sh kodak/*.png                  one line a codec, separated by tabs: bytes, bits/dim, seconds
#     MODEL=out/model tests/bench/codecs.sh held/*.png   and an archive of the model; wf-pack and wf-unpack in bin
#
# PICTURES are PNG files. The figure is the sum of the files' bytes, headers included, over height x width x channels.
# Each codec has one core and takes the pictures in turn. A codec that is not installed is left out, and told.
set -eu -o pipefail
export LC_ALL=C OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
self=$(realpath "$0")
PATH=${BIN:-$(dirname "$self")/../../bin}:$PATH
[ $# != 0 ] || { sed -n '2,/^# Each/s/^# \{0,1\}//p' "$self" >&2; exit 64; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The samples of all pictures.
samples=$(for picture; do file -b "$picture"; done | awk -F', ' '{
    split($2, side, " x "); channels = /grayscale/ ? 1 : /RGBA/ ? 4 : 3
    if (/gray\+alpha/) channels = 2
    sum += side[1] * side[2] * channels } END { print sum }')

row() { # row NAME SECONDS FILE...
    local bytes
    bytes=$(cat "${@:3}" | wc -c)
    awk -v name="$1" -v s="$2" -v bytes="$bytes" -v n="$samples" -v files="$pictures" \
        'BEGIN { printf "%s\t%d\t%.3f\t%.4f\n", name, bytes, 8 * bytes / n, s / files }'
}

pictures=$#
echo "codec	bytes	bits/dim	seconds a picture"
# codec NAME COMMAND...: runs the command for each picture, with IN and OUT replaced.
codec() {
    local name=$1 picture i=0 begun command
    shift
    command -v "$1" > /dev/null || { echo "codecs.sh: $1 is not installed" >&2; return 0; }
    mkdir "$work/$name"
    begun=$EPOCHREALTIME
    for picture in "${all[@]}"; do
        command=("${@//IN/$picture}")
        "${command[@]//OUT/$work/$name/$((i++))}" > /dev/null 2>&1
    done
    row "$name" "$(awk "BEGIN { print $EPOCHREALTIME - $begun }")" "$work/$name"/*
}
all=("$@")
codec optipng optipng -quiet -o2 -out OUT IN
codec webp cwebp -quiet -lossless -z 9 IN -o OUT
codec jpegxl cjxl --quiet -d 0 -e 7 --num_threads=0 IN OUT.jxl
if [ -n "${MODEL:-}" ]; then
    begun=$EPOCHREALTIME
    wf-pack -q -m "$MODEL" "$@" > "$work/archive.wfp"
    row wf-pack "$(awk "BEGIN { print $EPOCHREALTIME - $begun }")" "$work/archive.wfp"
    begun=$EPOCHREALTIME
    wf-unpack -q -m "$MODEL" "$work/archive.wfp" -o "$work/back"
    row wf-unpack "$(awk "BEGIN { print $EPOCHREALTIME - $begun }")" "$work/archive.wfp"
fi
