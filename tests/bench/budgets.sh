#!/usr/bin/env bash
# budgets.sh OUT COMMAND [ARGUMENT ...] - bits/dim of pictures that were not trained on, by chain and minutes: the
# tables of pipelines/README.md, "The chain for a budget". It needs the programs in bin, and GNU parallel.
#
#     tests/bench/budgets.sh out/budgets stores ../shared/data
#     tests/bench/budgets.sh out/budgets rates
#     tests/bench/budgets.sh out/budgets train
#     tests/bench/budgets.sh out/budgets table
#
# stores DATA  makes train.store, val.store and test.store of the sets cifar10 (through JPEG), originals (CIFAR-10) and
#              imagenet64. No photograph of which imagenet64 has a part to train on is in its other stores.
# rates        measures the steps that a core makes in a second, three seconds for every chain that OUT/rates.tsv lacks.
# train        counts steps in place of minutes: as many as a core makes in the level's part of the minutes. A busy
#              machine gives the same figures later. What is done is left out, what was interrupted resumes.
# table        prints bits/dim by level, and their sum where all levels are there.
#
# A cell is SET/MINUTES/CHOICE/LEVEL, as cifar10/2/default/5. The last three commands take patterns of the shell: the
# cells that fit are done in the order of the patterns, CORES at once. Without a pattern all are. SEED=2 trains and prints
# another training of the same cells; SEEDS='1 2 3' in front of table prints means and half of the range.
#
#   default             what wf-train-level chooses without --flow
#   official, best      the named chains with the published batch, rate, averages and patches
#   exact               the named chain of exact probabilities, with its own
#   demo                the chains of levels32.mk; a level above its six is like its largest
#   STEPSxWIDTHbBATCH   a candidate: features of the low-pass picture, then so many steps of that width
#   NAME                the chain of CHAINS/NAME.chain; its first line is a comment with more options of wf-train-level
set -eu -o pipefail
export LC_ALL=C OMP_WAIT_POLICY=passive
shopt -s nullglob
self=$(realpath "$0")
PATH=${BIN:-$(dirname "$self")/../../bin}:$PATH
[ $# -ge 2 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$self" >&2; exit 64; }
out=$1 command=$2
shift 2
CORES=${CORES:-2} SEED=${SEED:-1} SETS=${SETS:-cifar10 originals imagenet64} BUDGETS=${BUDGETS:-2 10 60}
CHOICES=${CHOICES:-default official best demo} CHAINS=${CHAINS:-$(dirname "$self")/chains}
mkdir -p "$out"

# The finest level of a set, pictures to test on, and per cent of the core time, the finest level first, nearly as
# pipelines/plan.awk divides it
declare -A top=([cifar10]=5 [originals]=5 [imagenet64]=6)
tested=1000 # at most
shares=(50 30 14 3 1.5 1 0.5)

# calculate EXPRESSION
calculate() { awk "BEGIN { printf \"%.10g\", ($1) }"; }

# -- stores ---------------------------------------------------------------------------------------------------------
# store SET/PART ARGUMENT...: by wf-dwt, from standard input without arguments. What is there already stays; the input
# is read to its end all the same, for the sake of who writes it.
store() {
    if [ ! -e "$out/$1.store" ]; then
        wf-dwt -q -o "$out/$1.store" "${@:2}"
    elif [ $# = 1 ]; then
        cat > /dev/null
    fi
}

# The last 500 pictures of the training set validate.
cifar10() {
    local bytes=$((500 * 3073))
    zcat "$1/cifar10_jpegsrc_train10000.bin.gz" | head -c "-$bytes" | store cifar10/train
    zcat "$1/cifar10_jpegsrc_train10000.bin.gz" | tail -c "$bytes" | store cifar10/val
    zcat "$1/cifar10_jpegsrc_test3000.bin.gz" | store cifar10/test
}

# The first 2,000 train, the last 700 test.
originals() {
    local file=$1/cifar10_lossless_b1_0000-2999.bin
    head -c $((2000 * 3073)) "$file" | store originals/train
    head -c $((2300 * 3073)) "$file" | tail -c $((300 * 3073)) | store originals/val
    tail -c $((700 * 3073)) "$file" | store originals/test
}

# Photographs have numbers by name. Of ten, seven are trained on with their middles and crops, one validates, and two
# test with their middle and a crop.
imagenet64() {
    local work part name
    work=$(mktemp -d)
    tar xf "$1/imagenet1k_center64_dev800.tar" -C "$work"
    tar xf "$1/imagenet1k_crops64_dev.tar" -C "$work"
    (cd "$work/center64" && printf '%s\n' n*.png) |
        awk -v to="$work" '{ sub(/\.png$/, ""); d = NR % 10; print > (to "/" (d > 2 ? "train" : d ? "test" : "val")) }'
    for part in train val test; do
        while read -r name; do
            printf '%s\n' "$work/center64/$name.png" "$work/crops64/$name"_[0-9].png
        done < "$work/$part" > "$work/$part.list"
        [ "$part" = train ] || sed -i '/_[1-9]\.png$/d' "$work/$part.list"
        store "imagenet64/$part" --files-from "$work/$part.list"
    done
    rm -r "$work"
}

# -- cells ----------------------------------------------------------------------------------------------------------
# cells [PATTERN ...]: in the order of the patterns, the finest level first
cells() {
    local set minutes choice level pattern
    [ $# != 0 ] || set -- '*'
    for pattern; do
        for set in $SETS; do for minutes in $BUDGETS; do for choice in $CHOICES; do
            for ((level = top[$set]; level >= 0; level--)); do
                # shellcheck disable=SC2053 # a pattern is meant
                [[ $set/$minutes/$choice/$level != $pattern ]] || echo "$set/$minutes/$choice/$level"
            done
        done; done; done
    done | awk '!seen[$0]++'
}

# each COMMAND [PATTERN ...]: the command for each cell
each() { cells "${@:2}" | parallel --will-cite -j "$CORES" --termseq TERM,600000,KILL,25 --line-buffer "$self" "$out" "$1" '{}'; }

# take_apart CELL: sets the variables of a cell. own: minutes of its one thread. file: its level's, without suffix.
take_apart() {
    IFS=/ read -r set minutes choice level <<< "$1"
    own=$(calculate "$CORES * ${shares[top[$set] - level]} / 100")
    own=$(calculate "$minutes * ($own < 1 ? $own : 1)")
    model=$out/$set/$minutes/$choice
    [ "$SEED" = 1 ] || model+=.seed$SEED
    file=$(printf '%s/level-%02d' "$model" "$level")
}

# flags: options of the cell for wf-train-level, one a line
flags() {
    local steps width batch channels features=
    case $choice in
    default) return ;;
    official | best | exact)
        printf '%s\n' -f "$choice"
        return
        ;;
    demo)
        case $level in
        5 | 6) steps=16 width=64 batch=4 ;;
        4) steps=16 width=64 batch=8 ;;
        3) steps=8 width=32 batch=16 ;;
        2) steps=6 width=16 batch=32 ;;
        *) steps=6 width=16 batch=64 ;;
        esac
        ;;
    [1-9]*x[1-9]*b[1-9]*)
        steps=${choice%%x*} width=${choice#*x} batch=${choice#*b}
        width=${width%b*} channels=$((width >= 64 ? 24 : width >= 32 ? 16 : 8))
        features="cond:channels=$channels:width=$width:blocks=2, "
        ;;
    *)
        if [ -e "$CHAINS/$choice.chain" ]; then
            printf '%s\n' -f "@$CHAINS/$choice.chain"
            sed -n '1s/^# *//p' "$CHAINS/$choice.chain" | tr ' ' '\n'
            return
        fi
        echo "budgets.sh: choice '$choice': expected default, official, best, exact, demo, a candidate such as 8x32b4 or a file $CHAINS/$choice.chain" >&2
        return 64
        ;;
    esac
    printf '%s\n' -f "$features$steps*(actnorm, conv1x1, affine:width=$width:blocks=1), actnorm" --batch "$batch" \
        --lr "$(calculate "$batch <= 8 ? 6e-3 : $batch <= 32 ? 4e-3 : 2e-3")" --decay 0.5 --ema 0.995
}

# train_level MODEL OPTION...: on one thread
train_level() {
    local options
    mapfile -t options < <(flags)
    [ "$choice" = default ] || [ ${#options[@]} != 0 ] || return 64
    wf-train-level -q -l "$level" -m "$1" -s "$out/$set/train.store" --threads 1 --seed "$SEED" --flip \
        "${options[@]}" "${@:2}"
}

# begin MODEL: one step, so that the minutes choose the chain; a later command resumes with it
begin() { train_level "$1" --minutes "$own" --steps 1 --val none; }

# state_of FILE KEY: a value in the header of a level's state
state_of() {
    head -c 20000 "$1.state.safetensors" | tr '\0' '\n' | grep -a -o "\"$2\": *\"[^\"]*\"" | head -n 1 |
        sed 's/^[^:]*: *"//; s/"$//'
}

# -- rates ----------------------------------------------------------------------------------------------------------
# chain_of FILE: the settings that a rate depends on
chain_of() {
    state_of "$1" config |
        sed -E "s/.* (chain=.*) lr=.* (patch=[0-9]+) .*( optimizer=[^ ]*).*/level=$level \1 \2\3/; t
                s/.* (chain=.*) lr=.* (patch=[0-9]+) .*/level=$level \1 \2/"
}
rate_of() { awk -F '\t' -v chain="$1" '$1 == chain { r = $2 } END { if (!r) exit 1; print r }' "$out/rates.tsv"; }

# Rates count the processor time of a run, not the clock: others may take a part of the core.
rate_cell() {
    local work measured chain busy
    work=$(mktemp -d)
    begin "$work"
    measured=$(printf '%s/level-%02d' "$work" "$level")
    chain=$(chain_of "$measured")
    if ! rate_of "$chain" > /dev/null && mkdir "$out/rate.$(echo "$chain" | cksum | cut -d ' ' -f 1)" 2> /dev/null; then
        TIMEFORMAT='%R / (%U + %S)'
        busy=$({ time train_level "$work" --steps 0 --val none --minutes 0.05 2>&3; } 3>&2 2>&1)
        printf '%s\t%s\n' "$chain" \
            "$(calculate "$(state_of "$measured" step) / $(state_of "$measured" seconds) * $busy")" >> "$out/rates.tsv"
    fi
    rm -r "$work"
}

# -- training and its result ----------------------------------------------------------------------------------------
train_cell() {
    local rate steps
    [ ! -e "$file.tsv" ] || return 0
    mkdir -p "$model"
    [ -e "$file.state.safetensors" ] || begin "$model"
    rate=$(rate_of "$(chain_of "$file")") || { echo "$1: no rate: run budgets.sh rates" >&2; return 66; }
    steps=$(calculate "int($rate * $own * 60 + 1)")
    train_level "$model" --steps "$steps" --val "$out/$set/val.store" --validate-on 50 \
        --validate-every $(((steps + 4) / 5))
    wf-view -q -l "$level" -n "$tested" "$out/$set/test.store" | wf-bpd -q --threads 1 -m "$model" |
        awk -F '\t' -v level="$level" -v steps="$steps" '$1 == level { print $3 "\t" steps }' > "$file.part"
    mv "$file.part" "$file.tsv"
    printf '%s\t%s\n' "$1" "$(cat "$file.tsv")"
}

# table: of several seeds, means with half of their range
table() {
    local cell
    echo "| pictures | minutes | chain | total | by level, the finest first (steps) |"
    echo "|---|---|---|---|---|"
    cells "$@" | while read -r cell; do
        for SEED in ${SEEDS:-$SEED}; do
            take_apart "$cell"
            printf '%s\t%s\t%s\n' "| $set | $minutes | $choice |" "$level" "$([ -s "$file.tsv" ] && cat "$file.tsv" || echo -)"
        done
    done | awk -F '\t' '
        function with_range(sum, n, low, high) {
            return sprintf(n > 1 ? "%.3f +- %.3f" : "%.3f", sum / n, (high - low) / 2)
        }
        function put_level() {
            if (level == "") return
            levels = levels (n ? sprintf(" %s (%d)", with_range(sum, n, low, high), steps) : " -")
            if (n) { total += sum / n; known++ } else missing++
            n = sum = 0
        }
        function put_row() {
            put_level()
            if (known) printf "%s %s |%s |\n", row, missing ? "-" : sprintf("%.3f", total), levels
            levels = level = ""; total = known = missing = 0
        }
        $1 != row { put_row(); row = $1 }
        $2 != level { put_level(); level = $2 }
        $3 == "-" { next }
        { if (!n || $3 < low) low = $3; if (!n || $3 > high) high = $3; n++; sum += $3; steps = $4 }
        END { put_row() }'
}

case $command in
stores)
    cifar10 "$1"
    originals "$1"
    imagenet64 "$1"
    ;;
rates)
    rm -rf "$out"/rate.*
    touch "$out/rates.tsv"
    each rate-cell "$@"
    ;;
train) each train-cell "$@" ;;
table) table "$@" ;;
rate-cell | train-cell)
    take_apart "$1"
    "${command/-/_}" "$1"
    ;;
*)
    echo "budgets.sh: '$command': expected stores, rates, train or table" >&2
    exit 64
    ;;
esac
