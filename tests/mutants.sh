#!/usr/bin/env bash
# mutants.sh [ID...] - plants one fault at a time in the code and expects the named tests to fail
#
# tests/mutants.tsv has a row for each mutant: id; file; sed expression; tests, one of which must fail; what is broken.
# A test is SUITE/NAME, a filter of Criterion's; ops:SLOT of check-ops; or pipe:NAME for tests/pipes/NAME.sh. A mutant
# whose file is "=" plants several others, whose ids stand in place of the sed expression. Without IDs, all mutants run.
# They run in a copy of this tree and of its build folder.
#
# A mutant is killed when one of its tests fails, and survives when none does. It is stale when its sed changes no code,
# or when the changed code does not compile: the row then has to follow the code. The last line has the totals. Exits 1
# unless all mutants were killed.
set -uf -o pipefail
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1 KILLS=2 BIN=bin B=build
TREE=$(mktemp -d)
BUILD="make -s -j$(nproc) NVCC= WARN= B=build BIN=bin"
trap 'rm -rf "$TREE"' EXIT
killed=0 survived=0 stale=0

git ls-files -co --exclude-standard -z | tar --null -T - -cf - 2> "$TREE/log" | tar xf - -C "$TREE" || exit 1
cp -a build bin "$TREE" 2> "$TREE/log" # saves compiling what is built already
table=$TREE/tests/mutants.tsv
cd "$TREE" || exit 1

row() { awk -F '\t' -v id="$1" -v column="$2" '$1 == id { print $column }' "$table"; }

# The code of a file without its comments.
code() { gcc -fpreprocessed -dD -E -P -x c "$1" 2> /dev/null; }

# plant ID: false unless this changes code
plant() {
    local file before
    file=$(row "$1" 2)
    before=$(code "$file")
    cp "$file" "$file.kept" 2> log
    [ -n "$before" ] && sed -i "$(row "$1" 3)" "$file" && [ "$before" != "$(code "$file")" ]
}

# targets TEST...: what make has to build for the tests; programs are linked for pipes alone
targets() {
    echo build/check
    case "$*" in *ops:*) echo build/check-ops ;; esac
    case "$*" in *pipe:*) echo all build/deadleaves build/coherence build/wf-planted ;; esac
}

# try TEST: runs one test; false if it fails, or if no test has this name
try() {
    case $1 in
    ops:*) timeout 120 build/check-ops "${1#ops:}" 2>&1 | tee "$TREE/out" && ! grep -q '^0 passed' "$TREE/out" ;;
    pipe:*) timeout 400 bash "tests/pipes/${1#pipe:}.sh" ;;
    *) timeout 120 build/check --filter="$1" 2>&1 | tee "$TREE/out" | tail -n 4 && ! grep -q 'Tested: 0' "$TREE/out" ;;
    esac
}

# verdict ID: killed, survived or stale, and by what
verdict() {
    local id=$1 part tests test parts
    tests=$(row "$id" 4)
    parts=$id
    [ "$(row "$id" 2)" = = ] && parts=$(row "$id" 3)
    for part in $parts; do
        plant "$part" || { echo "stale: $(row "$part" 3) changes no code of $(row "$part" 2)"; return; }
    done
    # shellcheck disable=SC2046,SC2086 # several words
    $BUILD $(targets $tests) > log 2>&1 || { echo "stale: does not compile: $(grep -m 1 error log)"; return; }
    for test in $tests; do
        try "$test" > log 2>&1 || { echo "killed by $test"; return; }
    done
    echo survived
}

restore() {
    local part file parts=$1
    [ "$(row "$1" 2)" = = ] && parts=$(row "$1" 3)
    for part in $parts; do
        file=$(row "$part" 2)
        cat "$file.kept" > "$file" # with the time of now, so that it is compiled again
    done
}

[ $# != 0 ] || mapfile -t all < <(awk -F '\t' '!/^#/ && NF { print $1 }' "$table")
[ $# = 0 ] || all=("$@")
for id in "${all[@]}"; do
    [ -n "$(row "$id" 4)" ] || { echo "mutants: no mutant $id, or it names no tests"; exit 64; }
done

main() { # a function, so that bash has read all of it before this file may change
    # A test that fails without a mutant would kill every mutant.
    mapfile -t tests < <(for id in "${all[@]}"; do row "$id" 4; done | tr ' ' '\n' | sort -u)
    # shellcheck disable=SC2046 # several words
    if ! $BUILD $(targets "${tests[@]}") > log 2>&1; then
        echo "mutants: the code does not compile: $(tail -n 3 log)"
        exit 1
    fi
    for test in "${tests[@]}"; do
        try "$test" > log 2>&1 && continue
        echo "mutants: $test fails on the code as it is, or does not exist: $(cat log)"
        exit 1
    done

    for id in "${all[@]}"; do
        start=$SECONDS
        result=$(verdict "$id")
        restore "$id"
        case $result in
        killed*) killed=$((killed + 1)) ;;
        survived) survived=$((survived + 1)) ;;
        *) stale=$((stale + 1)) ;;
        esac
        printf '%-20s %3d s  %s: %s\n' "$id" $((SECONDS - start)) "$result" "$(row "$id" 5)"
    done
    echo "mutants: $killed killed, $survived survived, $stale stale"
    [ $((survived + stale)) = 0 ]
}
main
