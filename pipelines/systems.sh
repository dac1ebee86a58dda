#!/usr/bin/env bash
# systems.sh OUT THAN - one table OUT/compare.md and one picture OUT/compare.png of the systems that pipelines have
# trained into OUT/NAME; needs wf-info in PATH
set -eu -o pipefail
export LC_ALL=C
out=$1 than=$2
here=$(cd "$(dirname "$0")" && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
shopt -s nullglob
systems=("$out"/*/curve.tsv)
systems=("${systems[@]%/curve.tsv}")
systems=("${systems[@]##*/}")
[ ${#systems[@]} != 0 ] || { echo "systems.sh: $out: no system is trained yet" >&2; exit 66; }

# tested NAME: bits/dim of its held-out set, and these with the standard error; a single picture has none
tested() {
    cat "$out/$1"/bpd-*.tsv | awk -F '\t' '$1 == "total" { bits = $3; error = $4 } END {
        printf error ~ /[0-9]/ ? "%.3f\t%.3f +- %.3f" : "%.3f\t%.3f", bits, bits, error }'
}
# trained NAME: parameters in millions, and the largest number of steps of a level
trained() {
    wf-info "$out/$1/model" | awk '/^provenance/ { exit }
        $1 == "level" { for (i = 1; i <= NF; i++) column[$i] = i; next }
        !column["step"] || $1 !~ /^[0-9]+$/ { next }
        { parameters += $column["parameters"] }
        $column["step"] > steps { steps = $column["step"] }
        END { printf "%.2f\t%d", parameters / 1e6, steps }'
}
minutes() { awk '{ last = $1 } END { print NR ? last : "-" }' "$out/$1/curve.tsv"; }
reached() { sort -g -k 2,2 "$out/$1/curve.tsv" | head -n 1 | cut -f 2; }
# first NAME BITS: minutes until the system reached BITS
first() {
    awk -v want="$2" '$2 <= want { printf "%.1f", $1; found = 1; exit } END { if (!found) printf "-" }' \
        "$out/$1/curve.tsv"
}

{
    goal=
    [ ! -e "$out/$than/curve.tsv" ] || goal=$(reached "$than")
    minutes_to="minutes to $than's ${goal:+$(printf '%.3f' "$goal") }"
    echo "| system | minutes | parameters, M | steps | bits/dim, test | $minutes_to|"
    echo '|---|---|---|---|---|---|'
    for name in "${systems[@]}"; do
        IFS=$'\t' read -r bits both < <(tested "$name"; echo)
        IFS=$'\t' read -r parameters steps < <(trained "$name"; echo)
        printf '%s\t| %s | %s | %s | %s | %s | %s |\n' "$bits" "$name" "$(minutes "$name")" "$parameters" \
            "$steps" "$both" "${goal:+$(first "$name" "$goal")}"
    done | sort -g | cut -f 2
} > "$out/compare.part"
mv "$out/compare.part" "$out/compare.md"
# gnuplot runs among plain names: those of the caller may have quotes and blanks.
printf '%s\n' "${systems[@]}" > "$work/names"
for i in "${!systems[@]}"; do cp "$out/${systems[i]}/curve.tsv" "$work/$((i + 1))"; done
(cd "$work" && LC_ALL=C.UTF-8 gnuplot "$here/systems.gp") > "$out/compare.part"
mv "$out/compare.part" "$out/compare.png"
