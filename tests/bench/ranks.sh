#!/usr/bin/env bash
# ranks.sh STORE [LEVEL...] - one level on several ranks over MPI, against one process with all threads: the table of README.md.
# Figures mean something on quiet cores only.
#
#   RANKS="2"       numbers of ranks; each has its part of the threads, at least one      THREADS=2   threads of all, by default the cores
#   BATCH=64        pictures of a step, all ranks together    FLOW=official    PATCH=     as wf-train-level's, by default of the chain
#   TIME=3          seconds of a run                          ROUNDS=3         rounds, in which the kinds of run take turns
#   MPIRUN=mpirun   launcher; "mpirun.openmpi --oversubscribe" for more ranks than cores
#   PLAIN=DIR       programs of a build that exchanges everything after the backward pass: WF_BUCKET of lib/ranks/ranks.h at 1 << 30
#
# Columns: pictures a second of one process with all threads, and of the ranks; the ratio (the median round, and the range). Apart: as
# many processes of the same threads and pictures, that exchange nothing. Communication: what part of a step ranks need beyond those;
# copies, sums, waiting for one another and calls are in it. After the pass: the same of PLAIN.
set -eu -o pipefail
export LC_ALL=C OMP_WAIT_POLICY=passive
root=$(cd "$(dirname "$0")/../.." && pwd)
[ $# -ge 1 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 64; }
store=$1 bin=${BIN:-$root/bin} threads=${THREADS:-$(nproc)} rounds=${ROUNDS:-3} batch=${BATCH:-64} plain=${PLAIN:-}
read -ra launcher <<< "${MPIRUN:-mpirun}"
shift
[ $# != 0 ] || set -- 5 4 3 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# train BIN PLACE LEVEL THREADS BATCH [LAUNCHER...]: writes pictures a second into PLACE.rate
train() {
    local options=(--minutes "$(awk "BEGIN { print ${TIME:-3} / 60 }")") count=$5
    [ -z "${PATCH:-}" ] || options+=(--patch "$PATCH")
    rm -rf "$2"
    "${@:6}" "$1/wf-train-level" -q -m "$2" -s "$store" -l "$3" -f "${FLOW:-official}" --threads "$4" --batch "$count" --val none \
        --warmup 0 --precision fp32 --steps 1000000 --checkpoint-every 1000000 "${options[@]}" > "$2.said" 2>&1 ||
        { cat "$2.said" >&2; exit 1; }
    "$bin/wf-info" --json "$2/$(printf level-%02d.state.safetensors "$3")" |
        jq -r ".metadata | (.step | tonumber) * $count / (.seconds | tonumber)" > "$2.rate"
}
# run KIND LEVEL RANKS: prints pictures a second
run() {
    local each=$((threads / $3 > 0 ? threads / $3 : 1)) i pids=()
    rm -f "$work"/*.rate
    case $1 in
    one) train "$bin" "$work/one" "$2" "$threads" "$batch" ;;
    ranks) train "$bin" "$work/ranks" "$2" "$each" "$batch" "${launcher[@]}" -n "$3" ;;
    after) train "$plain" "$work/after" "$2" "$each" "$batch" "${launcher[@]}" -n "$3" ;;
    apart)
        for ((i = 0; i < $3; i++)); do
            train "$bin" "$work/apart-$i" "$2" "$each" $((batch / $3)) &
            pids+=($!)
        done
        wait "${pids[@]}"
        ;;
    esac
    cat "$work"/*.rate | awk '{ sum += $1 } END { print sum }'
}

echo '| level | ranks | one process | ranks | ratio | apart | communication | after the pass |'
echo '|---|---|---|---|---|---|---|---|'
for level; do
    for ranks in ${RANKS:-2}; do
        [ $((batch % ranks)) = 0 ] || { echo "ranks.sh: a batch of $batch is not a multiple of $ranks ranks" >&2; exit 64; }
        for ((i = 0; i < rounds; i++)); do
            echo "$(run one "$level" "$ranks") $(run ranks "$level" "$ranks") $(run apart "$level" "$ranks") \
$([ -z "$plain" ] && echo - || run after "$level" "$ranks")"
        done | awk -v level="$level" -v ranks="$ranks" -v plain="$plain" '
            function median(of, n,    i, j, t) {
                for (i = 2; i <= n; i++)
                    for (j = i; j > 1 && of[j - 1] > of[j]; j--) { t = of[j]; of[j] = of[j - 1]; of[j - 1] = t }
                return n % 2 ? of[(n + 1) / 2] : (of[n / 2] + of[n / 2 + 1]) / 2
            }
            { one[NR] = $1; both[NR] = $2; apart[NR] = $3; ratio[NR] = $2 / $1; share[NR] = 1 - $2 / $3; after[NR] = plain == "" ? 0 : 1 - $4 / $3 }
            END {
                r = median(ratio, NR)
                printf "| %d | %d | %.4g | %.4g | %.2fx (%.2f-%.2f) | %.4g | %.1f %% | %s |\n", level, ranks, median(one, NR), median(both, NR), r,
                    ratio[1], ratio[NR], median(apart, NR), 100 * median(share, NR), plain == "" ? "-" : sprintf("%.1f %%", 100 * median(after, NR))
            }'
    done
done
