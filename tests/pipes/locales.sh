#!/usr/bin/env bash
# locales.sh - numbers of pipelines, scripts and programs are alike where numbers have a comma and names another order
. "$(dirname "$0")/lib.sh"
for tool in parallel gnuplot; do
    command -v $tool > log || { skip "$tool is not installed"; exit; }
done
export OMP_NUM_THREADS=1

# A locale with a comma: one of this machine, or one made here.
comma() { [ "$(LC_ALL=$1 bash -c 'printf %.1f 0' 2> log)" = 0,0 ]; }
for locale in de_DE.UTF-8 fr_FR.UTF-8 es_ES.UTF-8; do comma "$locale" && break; done
if ! comma "$locale"; then
    mkdir locales
    locale=de_DE.UTF-8
    localedef -i de_DE -f UTF-8 locales/$locale > log 2>&1 && export LOCPATH=$WORK/locales
fi
comma "$locale" || { skip "no locale with a comma: the package locales is not installed"; exit; }

# there COMMAND..: runs it in that locale, all of it or its numbers alone
there() { env -u LC_ALL LANG="$locale" LANGUAGE=de "$@"; }
numbers_there() { env -u LC_ALL LC_NUMERIC="$locale" "$@"; }
pipeline() { # pipeline HOW FOLDER NAME ARGUMENT..
    "$1" env -u MAKEFLAGS make -s -C "$ROOT" -f "pipelines/$3.mk" OUT="$WORK/$2" BIN="${BIN:-bin}" B="${B:-build}" "${@:4}"
}
alike() { # alike FILE..: as in the C locale
    local file
    for file; do cmp "here/$file" "there/$file" || return; done
}

# -- plans -----------------------------------------------------------------------------------------------------------
plans() { # plans NAME ARGUMENT..: the plans are alike and have a fraction of a minute
    rm -rf here there numbers
    pipeline env here "$@" "$WORK/here/plan.tsv" && pipeline there there "$@" "$WORK/there/plan.tsv" &&
        pipeline numbers_there numbers "$@" "$WORK/numbers/plan.tsv" &&
        alike plan.tsv && cmp here/plan.tsv numbers/plan.tsv && cut -f 2 here/plan.tsv | grep -q '\.[0-9]*[1-9]'
}
mkdir data
touch data/{train,valid}_64x64.tar
ok "the plan of the demo" plans demo JOBS=2
ok "the plan of the quick demo" plans demo QUICK=1
ok "the plan of a published configuration" plans imagenet64 DATA="$WORK/data" MINUTES=33.3
refuses() { # refuses VARIABLE VALUE: one line says what was expected
    ! pipeline there refused demo "$1=$2" "$WORK/refused/plan.tsv" > said 2>&1 &&
        grep -q "plan.awk: $1: found '$2', expected a number such as 0.5" said && [ ! -s refused/plan.tsv ]
}
ok "minutes with a comma" refuses MINUTES 0,5
ok "cores in words" refuses JOBS two
ok "a share with a comma" refuses SHARE_5 12,5

# -- training, figures and pictures ----------------------------------------------------------------------------------
rm -rf here there
quick=(demo QUICK=1 FLAGS='--steps 20 --validate-every 5')
ok "the demo" pipeline env here "${quick[@]}"
ok "the demo there" pipeline there there "${quick[@]}"
ok "the same figures, samples and pictures" alike bpd-val.tsv samples.png real.png
cp here/curve.tsv here/curve.png here/curves.png .
ok "curves there" there "$ROOT/pipelines/curves.sh" here "$ROOT/pipelines/cifar10-jpegsrc.tsv"
ok "curves again" "$ROOT/pipelines/curves.sh" here
ok "the same curve" same here/curve.tsv curve.tsv
ok "the same picture of it" same here/curve.png curve.png
ok "the same picture of each level" same here/curves.png curves.png
mkdir systems && cp -r here systems/one && cp -r here systems/Two
ok "a table of systems" "$ROOT/pipelines/systems.sh" systems one
mv systems/compare.md table.md
ok "the table there" there "$ROOT/pipelines/systems.sh" systems one
ok "the same table" same table.md systems/compare.md
few=(wavelets SET=demo QUICK=1 WAVELETS='haar db2' SEEDS='1 2' STEPS=10)
ok "a table of wavelets" pipeline env wavelets "${few[@]}"
mv wavelets/compare.md .
ok "the table of wavelets there" pipeline there wavelets "${few[@]}"
ok "the same table of wavelets" same compare.md wavelets/compare.md

# -- the report, from the same pictures ------------------------------------------------------------------------------
mkdir here/report
for figure in samples real levels temperatures scaling super nearest; do
    cp here/samples.png here/report/$figure.png
    echo wf-sample > here/report/$figure.command
done
touch here/report/temperatures.log
printf 'sample\tneighbour\tnumber\tdistance\n0\t0\t7\t12.5\n1\t0\t3\t9.25\n2\t0\t3\t100.5\n' | tee here/report/nearest-{samples,real}.tsv > log
cp here/bpd-val.tsv "here/bpd-o.tsv"
report() { PATH=$ROOT/pipelines:$PATH "$@" report.sh here 8 8 3 val o; }
report env > page.html
report there > there.html
ok "the page has a fraction" grep -q '[0-9]\.[0-9][0-9][0-9] bits per dimension' page.html
ok "the same page" same page.html there.html

# -- programs --------------------------------------------------------------------------------------------------------
for program in "$ROOT/${BIN:-bin}"/wf-*; do
    "$program" --help=man > help
    ok "$(basename "$program") --help=man" same help <(there "$program" --help=man)
done
wf-bpd -m here/model -s here/val.store > table 2> said
ok "bits/dim" grep -q '^total.*\.' table
ok "bits/dim there" same table <(there wf-bpd -q -m here/model -s here/val.store)
ok "an option with a point" there wf-sample -q -m here/model -n 1 -T 0.9
status 64 "an option with a comma" there wf-train-level -q -l 0 -m new -s here/train.store --lr 0,5
