#!/usr/bin/env bash
# bench-store.sh BIN BENCH [TAR ...] - how fast wf-dwt makes stores of PNG files, against libpng's bare decoding of them on
# one thread, and how fast training reads them. The table goes to standard output. Stores are made in $TMPDIR.
#
#     TMPDIR=/fast/disk tests/bench/bench-store.sh bin build/bench-store photos.tar
set -eu -o pipefail
export LC_ALL=C
BIN=$(realpath "$1") BENCH=$(realpath "$2")
shift 2
data=${WF_TEST_DATA:-../shared/data}
[ $# -gt 0 ] || set -- "$data/imagenet1k_crops64_dev.tar" "$data/celebahq_box256_png_dev.tar" "$data/celebahq1024_png_dev3.tar"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
least() { printf '%s\n' "$@" | sort -g | head -n 1; }
most() { printf '%s\n' "$@" | sort -g | tail -n 1; }
# timed COMMAND...: its wall-clock and processor seconds
timed() { TIMEFORMAT='%R %U %S' && { time "$@" > "$work/out" 2>&1; } 2>&1 | awk '{ print $1, $2 + $3 }'; }

cores=$(getconf _NPROCESSORS_ONLN)
zeros() { head -c 512M /dev/zero | dd of="$work/zeros" bs=64M iflag=fullblock oflag=dsync status=none; }
disk=$(timed zeros | awk '{ printf "%.0f", 536.9 / $1 }')
rm "$work/zeros"
echo "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), $cores cores; the disk takes $disk MB/s in synchronous pieces of 64 MiB. Each figure is the best of three, in turn."
echo
echo "| pictures | libpng alone, 1 thread | threads | wf-dwt -o | per thread, of libpng's | processor time, of libpng's | MB/s written | read GB/s | patches of 64/s |"
echo "|---|---|---|---|---|---|---|---|---|"
for tar; do
    if [ ! -e "$tar" ]; then
        echo "skip: $tar is not here" >&2
        continue
    fi
    rm -rf "$work/files"
    mkdir "$work/files"
    tar xf "$tar" -C "$work/files"
    mapfile -t files < <(find "$work/files" -name '*.png' | sort)
    rate=0 busy=1e9 wall=() cpu=()
    read -r rate busy < <("$BENCH" decode "${files[@]}")
    # Pictures that take libpng 4 seconds, one after the other in one file, so that beginning and end count little.
    count=0
    while awk "BEGIN { exit !($count < 4 * $rate) }"; do
        cat "${files[@]}"
        count=$((count + ${#files[@]}))
    done > "$work/pictures"
    for _ in 1 2 3; do
        read -r r b < <("$BENCH" decode "${files[@]}")
        rate=$(most "$rate" "$r") busy=$(least "$busy" "$b")
        for threads in $(seq "$cores"); do
            rm -rf "$work/store"
            read -r w c < <(timed "$BIN/wf-dwt" -q --threads "$threads" -o "$work/store" "$work/pictures")
            wall[threads]=$(least "${wall[threads]:-1e9}" "$w") cpu[threads]=$(least "${cpu[threads]:-1e9}" "$c")
        done
    done
    bytes=$(stat -c %s "$work/store/data.mdb")
    reads="$("$BENCH" read "$work/store") $("$BENCH" patch "$work/store" 64 2> /dev/null || echo -)"
    for threads in $(seq "$cores"); do
        echo "${tar##*/} $rate $threads ${wall[threads]} $count $bytes ${cpu[threads]} $busy $reads" |
            awk '{ printf "| %s | %.0f | %d | %.0f | %.2f | %.2f | %.0f | %s | %s |\n",
                   $1, $2, $3, $5 / $4, $5 / $4 / $3 / $2, $7 / $5 / $8, $6 / $4 / 1e6, $9, $10 }'
    done
done
