#!/usr/bin/env bash
# bench-store.sh BIN BENCH [TAR ...] - how fast wf-dwt makes stores of PNG files, against libpng's bare decoding of them on
# one thread, and how fast training reads them. The table goes to standard output. Stores are made in $TMPDIR.
#
#     TMPDIR=/fast/disk tests/bench/bench-store.sh bin build/bench-store photos.tar
set -eu -o pipefail
BIN=$(realpath "$1") BENCH=$(realpath "$2")
shift 2
data=${WF_TEST_DATA:-../shared/data}
[ $# -gt 0 ] || set -- "$data/imagenet1k_crops64_dev.tar" "$data/celebahq_box256_png_dev.tar" "$data/celebahq1024_png_dev3.tar"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
seconds() { # seconds COMMAND...: wall-clock, of the best of three
    local start best=999999999 took
    for _ in 1 2 3; do
        rm -rf "$work/store"
        start=$(date +%s%N)
        "$@"
        took=$((($(date +%s%N) - start) / 1000))
        [ "$took" -ge "$best" ] || best=$took
    done
    echo "$best" | awk '{ print $1 / 1e6 }'
}

cores=$(getconf _NPROCESSORS_ONLN)
disk=$(seconds sh -c "head -c 512M /dev/zero | dd of='$work/zeros' bs=64M iflag=fullblock oflag=dsync status=none" |
    awk '{ printf "%.0f", 536.9 / $1 }')
rm "$work/zeros"
echo "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), $cores cores; the disk takes $disk MB/s in synchronous pieces of 64 MiB."
echo
echo "| pictures | libpng alone, 1 thread | threads | wf-dwt -o | ratio per thread | MB/s written | read GB/s | patches of 64/s |"
echo "|---|---|---|---|---|---|---|---|"
for tar; do
    if [ ! -e "$tar" ]; then
        echo "skip: $tar is not here" >&2
        continue
    fi
    rm -rf "$work/files"
    mkdir "$work/files"
    tar xf "$tar" -C "$work/files"
    mapfile -t files < <(find "$work/files" -name '*.png' | sort)
    rate=$("$BENCH" decode "${files[@]}")
    # As many as take libpng 4 seconds, one after the other in one file, so that beginning and end count little.
    count=0
    while awk "BEGIN { exit !($count < 4 * $rate) }"; do
        cat "${files[@]}"
        count=$((count + ${#files[@]}))
    done > "$work/pictures"
    for threads in $(seq "$cores"); do
        took=$(seconds "$BIN/wf-dwt" -q --threads "$threads" -o "$work/store" "$work/pictures")
        bytes=$(stat -c %s "$work/store/data.mdb")
        echo "${tar##*/} $rate $threads $took $count $bytes $("$BENCH" read "$work/store") $("$BENCH" patch "$work/store" 64 2> /dev/null || echo -)" |
            awk '{ printf "| %s | %.0f | %d | %.0f | %.2f | %.0f | %s | %s |\n", $1, $2, $3, $5 / $4, $5 / $4 / $3 / $2, $6 / $4 / 1e6, $7, $8 }'
    done
done
