#!/usr/bin/env bash
# slurm.sh MODEL STORE [OPTION ...] [-- OPTION ...] - trains the levels of STORE into MODEL by Slurm, an array with a task a
# level, then evaluates them in a last job. Nodes must see the same folders and programs. A second run of the command does
# what is left: levels that ended, wait or run are not submitted again.
#
#   --minutes M    wall-clock minutes of training for the longest level (60); 0: no limit but --steps, or patience
#   --cores N      cores for all levels together, which plan.awk divides; by default those of the largest node
#   --ranks R      train the top levels by R processes each, over MPI (1); they share the level's cores
#   --top N        number of the levels that --ranks is about, the finest first (1)
#   --launch TEXT  the words before wf-train-level that start its ranks ('srun --mpi=pmix'); for MPICH 'srun --mpi=pmi2'; or
#                  mpirun, which gives ranks less time to save
#   --val WHAT     held-out pictures, as for wf-train-level (5%); the last job evaluates them, or with none all of STORE
#   --eval STORE   evaluate this store, too; may be repeated
#   --dry-run      print the job files, and submit nothing
#   -- OPTION ...  further options of wf-train-level
#
# Partition, account, memory, time and the like come from sbatch's own variables: SBATCH_PARTITION, SBATCH_ACCOUNT,
# SBATCH_MEM_PER_CPU, SBATCH_TIMELIMIT.
#
# MODEL/slurm has the job files, which `sbatch FILE` in that folder submits again, a log of each level, collect.log and
# bpd-NAME.tsv. See slurm-level.sh for what ends a task, and slurm-collect.sh for the last job.
set -u -o pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ ! -x "$here/../bin/wf-train-level" ] || PATH=$(cd "$here/../bin" && pwd):$PATH

fail() { # fail CODE WHAT...
    echo "slurm.sh: ${*:2}" >&2
    exit "$1"
}
number() { # number OPTION TEXT PATTERN WHAT
    [[ $2 =~ ^$3$ ]] || fail 64 "$1: found '$2', expected $4"
}
count() { number "$1" "$2" '[1-9][0-9]{0,5}' 'a number from 1 on'; }

# -- the command ------------------------------------------------------------------------------------------------------
minutes=60 cores='' ranks=1 top=1 launch='srun --mpi=pmix' val=5% evaluate=() dry='' names=() rest=()
while [ $# != 0 ]; do
    case $1 in
    -h | --help)
        sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "$here/slurm.sh"
        exit
        ;;
    --dry-run) dry=1 ;;
    --minutes | --cores | --ranks | --top | --launch | --val | --eval)
        [ $# -gt 1 ] || fail 64 "$1: expected a value"
        case $1 in
        --minutes) number "$1" "$2" '([0-9]+\.?[0-9]*|\.[0-9]+)' 'minutes such as 90' && minutes=$2 ;;
        --cores) count "$1" "$2" && cores=$2 ;;
        --ranks) count "$1" "$2" && ranks=$2 ;;
        --top) count "$1" "$2" && top=$2 ;;
        --launch) launch=$2 ;;
        --val) val=$2 ;;
        --eval) evaluate+=("$2") ;;
        esac
        shift
        ;;
    --)
        rest=("${@:2}")
        break
        ;;
    -*) fail 64 "no option '$1': slurm.sh --help lists them; those of wf-train-level come after --" ;;
    *) names+=("$1") ;;
    esac
    shift
done
[ ${#names[@]} = 2 ] || fail 64 "found ${#names[@]} names, expected MODEL STORE: slurm.sh --help"
model=${names[0]} store=${names[1]}
for word in ${rest[@]+"${rest[@]}"}; do
    case $word in
    -l* | --level* | -m* | --model* | -s* | --store* | --threads* | --minutes* | --ranks* | --val | --val=* | -q | --quiet)
        fail 64 "$word: slurm.sh gives this option itself: leave it out after --" ;;
    esac
done

# -- store and model --------------------------------------------------------------------------------------------------
command -v wf-train-level > /dev/null || fail 69 'wf-train-level is not in PATH: make, or make install'
for name in "$store" ${evaluate[@]+"${evaluate[@]}"}; do
    [ -e "$name" ] || fail 66 "$name: not there: wf-dwt -o $name makes a store"
done
[ "$val" = none ] || [[ $val == *% ]] || [ -e "$val" ] || fail 66 "--val $val: no such store; or a part such as 5%, or none"
store=$(realpath "$store") model=$(realpath -m "$model")
case $model$store in *[$'\n\t']*) fail 64 'a line break or tabulator in a name: rename the folder' ;; esac
for i in "${!evaluate[@]}"; do evaluate[i]=$(realpath "${evaluate[i]}"); done
[ ! -e "$val" ] || val=$(realpath "$val")
about=$(wf-info "$store") || exit
field() { sed -n "/^\$/q; s/^$1 *//p" <<< "$2"; }
[ "$(field kind "$about")" = store ] || fail 65 "$store: a $(field kind "$about"), expected a store: wf-dwt -o STORE makes one"
highest=$(field top "$about")

if [ -e "$model/wf.json" ]; then
    known=$(wf-info "$model") || exit
    for key in wavelet levels shape bits; do
        [ "$(field $key "$known")" = "$(field $key "$about")" ] ||
            fail 65 "$model: $key is $(field $key "$known"), of $store it is $(field $key "$about"): name another model folder"
    done
    for state in "$model"/level-*.state.safetensors; do
        [ -e "$state" ] || continue
        trained=$(wf-info "$state" 2> /dev/null | sed -n 's/^config *data=\([0-9a-f]*\).*/\1/p')
        [ "${trained:-none}" = none ] || [ "$trained" = "$(field hash "$about")" ] ||
            fail 65 "${state##*/} of $model: trained on other pictures (hash $trained, of $store it is $(field hash "$about")): name another model folder"
    done
fi

# -- Slurm ------------------------------------------------------------------------------------------------------------
if [ -z "$dry" ]; then
    for program in sbatch squeue sinfo scontrol; do
        command -v $program > /dev/null || fail 69 "$program is not here: run this where Slurm's programs are, or look at --dry-run"
    done
    said=$(sinfo -h 2>&1) || fail 69 "Slurm does not answer: ${said%%$'\n'*}"
fi
partition=()
[ -z "${SBATCH_PARTITION:-}" ] || partition=(-p "$SBATCH_PARTITION")
# Cores of the largest node, and the most minutes of a job, 0 if there is no limit; * marks the partition of jobs that name none.
read -r node longest < <(sinfo -h -o '%P %c %l' ${partition[@]+"${partition[@]}"} 2> /dev/null | awk -v named="${SBATCH_PARTITION:-}" '
    named == "" && $1 !~ /\*$/ { next }
    $2 + 0 > node { node = $2 + 0 }
    { days = sub(/^[0-9]+-/, "&", $3) ? $3 + 0 : 0; sub(/^[0-9]+-/, "", $3)
      n = split($3, t, ":"); m = 1440 * days + (n == 3 ? 60 * t[1] + t[2] : n == 2 ? t[1] : 0); if (m > longest) longest = m }
    END { print node + 0, longest + 0 }')
[ -n "$cores" ] || { cores=$node; [ "$cores" != 0 ] || cores=$(nproc); }

# -- the plan ---------------------------------------------------------------------------------------------------------
# Lines of level, minutes, threads of a rank, ranks, minutes of the job. A job has a quarter more than its training, for
# validation, and ten minutes; 0: the limit is the partition's.
plan=$(for ((level = highest; level >= 0; level--)); do printf '%d\t\t\t\n' $level; done |
    awk -F '\t' -v minutes="$minutes" -v jobs="$cores" -f "$here/plan.awk" |
    awk -v top="$top" -v ranks="$ranks" -v node="$node" -v longest="$longest" '{
        r = NR <= top ? ranks : 1
        threads = int($3 / r + 0.5)
        if (threads < 1) threads = 1
        if (node && threads > node) threads = node
        limit = $2 > 0 ? int($2 * 1.25) + 10 : longest
        if (longest && limit > longest) limit = longest
        print $1, $2, threads, r, limit }') || exit

folder=$model/slurm
quoted() { # quoted WORD...: the words as bash reads them
    local text
    printf -v text ' %q' "$@"
    printf '%s' "${text# }"
}
# command LEVEL MINUTES THREADS RANKS: the words that train a level, quoted
command_of() {
    local over=()
    [ "$4" = 1 ] || { printf '%s ' "$launch" && over=(--ranks mpi); }
    quoted wf-train-level -q -l "$1" -m "$model" -s "$store" --val "$val" --threads "$3" --minutes "$2" ${over[@]+"${over[@]}"} \
        ${rest[@]+"${rest[@]}"}
}
head_of() { # head_of NAME-END MOST-MINUTES OPTION...: how a job file begins
    echo '#!/usr/bin/env bash'
    echo "# Written by slurm.sh; \`sbatch FILE\` in this folder submits it again."
    printf '#SBATCH %s\n' "--job-name=wf-$(basename "$model" | tr -c 'A-Za-z0-9._\n-' _)$1" --requeue "${@:3}"
    [ "$2" = 0 ] || echo "#SBATCH --time=$2"
    printf 'export PATH=%q:$PATH\ncd %q || exit 66\n' "$(dirname "$(command -v wf-train-level)")" "$PWD"
}
# array RANKS THREADS LINES: the job file of those lines of the plan. Levels save two minutes before the end of their time, or
# after four fifths of less than ten minutes.
array() {
    local level minutes threads ranks limit most
    most=$(cut -d ' ' -f 5 <<< "$3" | sort -n | tail -n 1)
    head_of '' "$most" "--array=$(cut -d ' ' -f 1 <<< "$3" | paste -s -d ,)" "--ntasks=$1" "--cpus-per-task=$2" \
        "--signal=B:USR1@$((most > 0 && most < 10 ? most * 12 : 120))" --output=level-%2a.log --open-mode=append
    [ "$1" = 1 ] || echo "export SRUN_CPUS_PER_TASK=$2" # srun does not take it from the job
    echo 'case $SLURM_ARRAY_TASK_ID in'
    while read -r level minutes threads ranks limit; do
        printf '%d) exec %q %q %d %s ;;\n' "$level" "$here/slurm-level.sh" "$folder" "$level" \
            "$(command_of "$level" "$minutes" "$threads" "$ranks")"
    done <<< "$3"
    echo 'esac'
}
last() { # the job file of the last job
    head_of -end 0 "--cpus-per-task=$((node > 0 && cores > node ? node : cores))" --output=collect.log --open-mode=truncate
    echo "exec $(quoted "$here/slurm-collect.sh" "$model" "$store" "$highest" "$val" ${evaluate[@]+"${evaluate[@]}"})"
}

# -- what is left -----------------------------------------------------------------------------------------------------
# Tasks of this model that wait or run: array, level or N/A. Jobs know their folder.
queued() { squeue -h -r -u "$(id -un)" -o '%F %K %Z' | while read -r array level where; do
    [ "$where" != "$folder" ] || echo "$array $level"
done; }
live=''
if [ -z "$dry" ]; then
    mkdir -p "$folder" || exit 74
    exec 9> "$folder/lock"
    flock -n 9 || fail 75 "$folder: another slurm.sh submits this model"
    live=$(queued)
fi
# over LEVEL WORDS: true if those words trained the level to its end, and the pictures are not newer
over() {
    local ended
    ended=$folder/$(printf 'level-%02d.ended' "$1")
    [ -e "$ended" ] && [ "$(cat "$ended")" = "0 $2" ] && [ -z "$(find "$store" -maxdepth 1 -name data.mdb -newer "$ended")" ]
}
left=$(while read -r line; do
    # shellcheck disable=SC2086 # columns
    set -- $line
    grep -q "^[0-9]* $1\$" <<< "$live" || over "$1" "$(command_of "$@")" || echo "$line"
done <<< "$plan")

# submit FILE OPTION...: prints the number of the job
submit() {
    local said
    said=$(cd "$folder" && sbatch --parsable "${@:2}" "$1" 2>&1) ||
        fail 69 "sbatch $1: ${said//$'\n'/; } (the same command goes on)"
    said=${said##*$'\n'}
    echo "${said%;*}" # behind ; is the name of the cluster
}
# arrange ARRAY LINES: Slurm starts tasks by their numbers, the smallest level first, and gives all the limit of the longest.
# Here each gets its own limit, and a nice value that puts the finest first. A task that has begun keeps its place.
arrange() {
    local level limit change
    while read -r level _ _ _ limit; do
        change=("Nice=$((highest - level))")
        [ "$limit" = 0 ] || [ -n "${SBATCH_TIMELIMIT:-}" ] || change+=("TimeLimit=$limit")
        scontrol update "JobId=$1_$level" "${change[@]}" > /dev/null 2>&1
    done <<< "$2"
}

arrays=$(awk '$2 != "N/A" { print $1 }' <<< "$live")
n=0
while read -r ranks threads; do
    [ -n "$ranks" ] || continue
    n=$((n + 1))
    lines=$(awk -v r="$ranks" -v t="$threads" '$4 == r && $3 == t' <<< "$left")
    if [ -n "$dry" ]; then
        echo "-- $folder/levels-$n.sbatch"
        array "$ranks" "$threads" "$lines"
        continue
    fi
    array "$ranks" "$threads" "$lines" > "$folder/levels-$n.sbatch" || exit 74
    job=$(submit "levels-$n.sbatch") || exit
    arrays+=$'\n'$job
    echo "array $job: levels $(cut -d ' ' -f 1 <<< "$lines" | xargs), $((ranks * threads)) cores each$([ "$ranks" = 1 ] || echo " for $ranks ranks")"
    arrange "$job" "$lines"
done < <(awk '!seen[$4, $3]++ { print $4, $3 }' <<< "$left")
if [ -n "$dry" ]; then
    echo "-- $folder/collect.sbatch, after the others: sbatch --dependency=afterany:JOB:JOB"
    last
    exit
fi

# The last job waits for every array, and gives way to a new one.
arrays=$(sort -u <<< "$arrays" | sed '/^$/d')
ends=$(awk '$2 == "N/A" { print $1 }' <<< "$live")
if [ -z "$left" ] && [ -n "$ends" ]; then
    echo "all levels have ended, or wait or run: squeue --me"
    exit
fi
# shellcheck disable=SC2086 # numbers
[ -z "$ends" ] || scancel $ends
last > "$folder/collect.sbatch" || exit 74
job=$(submit collect.sbatch ${arrays:+"--dependency=afterany:${arrays//$'\n'/:}"}) || exit
echo "job $job: evaluates when all have ended; logs are in $folder"
