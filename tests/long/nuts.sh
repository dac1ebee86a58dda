#!/usr/bin/env bash
# nuts.sh - the No-U-Turn sampler: ten posteriors, and simulation-based calibration, also of an annealed level. The
# tests then run on sources with a bug planted by sed, and must find every bug. The tested sources are compiled here;
# the rest comes from $B/libwf.a. $WF_TEST_POSTERIORS is the folder of posteriors, by default shared/posteriors beside
# this repository.
set -u -o pipefail
export LC_ALL=C
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

ok() { passed=$((passed + 1)) && echo "pass: $*"; }
no() { failed=$((failed + 1)) && echo "FAIL: $*"; }

compile() { # compile TEST ROOT: ROOT/tests/TEST.c with the sampler in ROOT/lib, into ROOT/test
    local lib=$2/lib
    "${CC:-gcc}" -std=c11 -D_GNU_SOURCE -O2 -ffp-contract=off -o "$2/test" "$2/tests/$1.c" \
        "$lib"/mcmc/*.c "$lib/base/status.c" -lcriterion -ljansson -lm
}

# copy FOLDER: copies the sources into FOLDER, with the same path from the tests to the library
copy() {
    mkdir -p "$1"/lib/{base,mcmc} "$1/tests/long"
    cp lib/mcmc/{nuts,nuts_adapt,diagnostics}.[ch] "$1/lib/mcmc"
    cp lib/base/{status.[ch],philox.h} "$1/lib/base"
    cp tests/{nuts.h,test_nuts.c} "$1/tests"
    cp tests/long/{posteriors,calibration}.c "$1/tests/long"
}

copy "$work/good"
posteriors=${WF_TEST_POSTERIORS:-../shared/posteriors}
if [ ! -d "$posteriors" ]; then
    echo "skip: posteriors: no folder $posteriors; WF_TEST_POSTERIORS names another"
    skipped=$((skipped + 1))
elif compile long/posteriors "$work/good" && "$work/good/test" "$posteriors"; then
    ok "ten posteriors of posteriordb"
else
    no "ten posteriors of posteriordb"
fi
if compile long/calibration "$work/good" && "$work/good/test"; then
    ok "simulation-based calibration"
else
    no "simulation-based calibration"
fi

plant() { # plant TEST NAME FILE SED: the test must fail with FILE changed so
    local root=$work/bug rc=0
    rm -rf "$root"
    copy "$root"
    sed -i "$4" "$root/lib/mcmc/$3"
    if cmp -s "lib/mcmc/$3" "$root/lib/mcmc/$3" || ! compile "$1" "$root" 2> "$work/log"; then
        no "planted bug: $2: cannot be planted any more"
        return
    fi
    timeout 300 "$root/test" > "$work/log" 2>&1 || rc=$?
    if [ $rc = 1 ] && grep -q 'FAIL' "$work/log"; then
        ok "planted bug is found: $2: $(sed -n 's/^.*FAIL[]:]* //p' "$work/log" | tr '\n' ';')"
    else
        no "planted bug: $2: exit $rc: $(tr '\n' ';' < "$work/log")"
    fi
}

# The explicit tree of tests/test_nuts.c finds bugs that 1,000 replications do not.
plant test_nuts 'no U-turn check inside subtrees' nuts.c \
    's/if (part_turned(s, c, t, at.p))/if (0 \&\& part_turned(s, c, t, at.p))/'
plant test_nuts 'no check across the halves of subtrees' nuts.c 's/if (size > 2 &&/if (size < 0 \&\&/'
plant test_nuts 'wrong neighbour across subtrees' nuts.c \
    's/turned(s, c, t->near, last, t->part_sum/turned(s, c, t->first, last, t->part_sum/'
plant test_nuts 'a leaf kept in the wrong slot' nuts.c 's,int slot = ones(t->leaf / 2);,int slot = ones(t->leaf / 4);,'
plant test_nuts 'Euler instead of leapfrog' nuts.c 's|^    push(s, at, step / 2);|    push(s, at, step);|'
plant long/calibration 'no U-turn check' nuts.c 's/^    return !(back > 0 && front > 0);/    return false;/'
plant long/calibration 'choice in the subtree favours the last leaf' nuts.c 's/log(u) < weight - t->part)/log(u) < 0)/'
plant long/calibration 'choice in the subtree ignores the energy' nuts.c \
    's/log(u) < weight - t->part)/log(u) < -log(t->leaf + 1.0))/'
plant long/calibration 'draw always moves into the new subtree' nuts.c \
    's/if (log(u) < t->part - t->weight)/if (log(u) < 0)/'
plant long/calibration 'no momentum refresh' nuts.c \
    's/purpose, c->iteration, c->id/purpose, purpose == WF_PURPOSE_MOMENTUM ? 0 : c->iteration, c->id/'
plant long/calibration 'adaptation left on' nuts_adapt.c 's/if (c->iteration > o->adapt)/if (0)/'
plant long/calibration 'wrong sign of the gradient' nuts.c 's/at.p\[i\] += time \* at.g\[i\]/at.p[i] -= time * at.g[i]/'
plant long/calibration 'kinetic energy not halved' nuts.c 's,kinetic / 2 - log_density,kinetic - log_density,'
plant long/calibration 'a subtree that turned is drawn from' nuts.c \
    's/^    if (stop)$/    if (stop \&\& !divergent)\n        t->draw = t->candidate;\n    if (stop)/'

# The annealed density: anneal.c and the test are compiled here and linked with the library.
annealed() { # annealed ANNEAL.c: builds and runs tests/long/annealed.c into $work/log
    "${CC:-gcc}" -std=c11 -D_GNU_SOURCE -O2 -fopenmp -o "$work/annealed" tests/long/annealed.c "$1" \
        "${B:-build}/libwf.a" \
        -lcriterion -ldnnl -llmdb -lpng -larchive -ljansson -lxxhash -lz -ldl -lm 2> "$work/log" || return 3
    timeout 900 "$work/annealed" > "$work/log" 2>&1
}
if annealed lib/mcmc/anneal.c; then
    ok "simulation-based calibration of an annealed level"
else
    no "simulation-based calibration of an annealed level: $(tr '\n' ';' < "$work/log")"
fi
plant_annealed() { # plant_annealed NAME SED
    local rc=0
    rm -rf "$work/bug" && mkdir -p "$work/bug/kernels" && cp -r lib "$work/bug" && cp kernels/*.h "$work/bug/kernels"
    sed -i "$2" "$work/bug/lib/mcmc/anneal.c"
    annealed "$work/bug/lib/mcmc/anneal.c" || rc=$?
    if ! cmp -s lib/mcmc/anneal.c "$work/bug/lib/mcmc/anneal.c" && [ $rc = 1 ] &&
        grep -q 'normal score' "$work/log"; then
        ok "planted bug is found: $1"
    else
        no "planted bug: $1: exit $rc: $(tr '\n' ';' < "$work/log")"
    fi
}
plant_annealed 'sign of the log-determinant term' 's/(s->g - 1) \* value\[n\]/(1 - s->g) * value[n]/'

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
