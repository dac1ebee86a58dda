#!/usr/bin/env bash
# slurm-collect.sh MODEL STORE HIGHEST VAL [STORE ...] - the last job of slurm.sh: if levels 0 to HIGHEST have ended well, it
# writes bits per dimension of the held-out pictures (VAL is --val of the training) and of each further STORE into
# MODEL/slurm/bpd-NAME.tsv, and prints them. Otherwise it prints a line for each level that has not, and ends with the code of
# the highest of them, or with 75 for one that has no code: a run of slurm.sh does the rest.
set -u -o pipefail
export LC_ALL=C
model=$1 store=$2 highest=$3 val=$4
shift 4
folder=$model/slurm

worst=0
for ((level = highest; level >= 0; level--)); do
    name=$(printf 'level-%02d' $level)
    read -r code _ 2> /dev/null < "$folder/$name.ended" || code=none
    [ "$code" != 0 ] || continue
    [ "$worst" != 0 ] || worst=${code/none/75}
    case $code in
    none) echo "level $level has not ended: $folder/$name.log" ;;
    75) echo "level $level was interrupted, and is saved: $folder/$name.log" ;;
    *) echo "level $level ended with $code: $(grep -v "^level $level " "$folder/$name.log" | tail -n 1)" ;;
    esac
done
[ "$worst" = 0 ] || { echo "not evaluated: see above, and run slurm.sh again"; exit "$worst"; }

evaluate() { # evaluate NAME OPTION...
    echo "bits per dimension of $1:"
    wf-bpd -q -m "$model" "${@:2}" > "$folder/bpd-$1.tsv.part" && mv "$folder/bpd-$1.tsv.part" "$folder/bpd-$1.tsv" &&
        expand -t 14 "$folder/bpd-$1.tsv"
}
pictures=$(wf-info "$store" | sed -n 's/^pictures *//p')
case $val in
none) evaluate training -s "$store" || exit ;;
*%) # a store of fewer than 20 pictures is trained on as a whole
    if [ "${pictures:-0}" -lt 20 ]; then evaluate training -s "$store"; else evaluate held-out -s "$store" --split val; fi || exit
    ;;
*) evaluate held-out -s "$val" || exit ;;
esac
for other; do
    name=$(basename "$other")
    evaluate "${name%.store}" -s "$other" || exit
done
