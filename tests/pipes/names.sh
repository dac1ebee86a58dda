#!/usr/bin/env bash
# names.sh - blanks and other odd characters in names of folders and files: programs, scripts and pipelines take them, or
# make says in one line that it cannot
. "$(dirname "$0")/lib.sh"
for tool in parallel gnuplot; do
    command -v $tool > log || { skip "$tool is not installed"; exit; }
done
export OMP_NUM_THREADS=1

# A repository in a folder with an odd name.
home="$WORK/my (réal) & 2nd"
mkdir "$home"
cp -r "$ROOT/pipelines" "$home"
mkdir "$home/lib" && ln -s "$ROOT/lib/wf.h" "$home/lib" # which tells a source tree from an installation
ln -s "$ROOT/${BIN:-bin}" "$home/bin"
ln -s "$ROOT/${B:-build}" "$home/build"
pipeline() { # pipeline NAME VAR=VALUE..
    env -u MAKEFLAGS make -s -C "$home" -f "pipelines/$1.mk" BIN=bin B=build QUICK=1 FLAGS='--steps 4' "${@:2}"
}
refuses() { # refuses VARIABLE COMMAND..: exits 2, and the only line names the variable and the way out
    local rc=0
    "${@:2}" > said 2>&1 || rc=$?
    [ $rc = 2 ] && [ "$(wc -l < said)" = 1 ] && grep -q "$1: found.*ln -s" said || { cat said && return 1; }
}

odd='a(b)&c,d=é#$x'
ok "a pipeline below a folder with an odd name, into another" pipeline demo OUT="$WORK/${odd/\$/\$\$}"
ok "bits/dim are there" grep -q '^total' "$odd/bpd-val.tsv"
ok "curves are there" test -s "$odd/curve.png"
for name in 'a b' "a'b" 'a;b' 'a%b' 'a:b' 'a*b'; do
    ok "OUT=$name" refuses OUT pipeline demo OUT="$WORK/$name"
    ok "nothing is made in $name" test ! -e "$WORK/$name"
done
mkdir "my data" "data(1)"
for set in cifar10 mnist imagenet32 lsun_tower ffhq; do
    ok "$set: DATA with a blank" refuses DATA pipeline $set OUT="$WORK/none" DATA="$WORK/my data"
done
ok "systems.mk: OUT with a blank" refuses OUT pipeline systems OUT="$WORK/a b"
ok "wavelets.mk: OUT with a blank" refuses OUT pipeline wavelets OUT="$WORK/a b"

# Records of CIFAR-10, a label and three planes each.
head -c $((3073 * 40)) /dev/zero > "data(1)/data_batch_1.bin"
head -c $((3073 * 8)) /dev/zero > "data(1)/test_batch.bin"
ok "DATA with parentheses" pipeline cifar10 OUT="$WORK/cifar" DATA="$WORK/data(1)" HELD=8 SAMPLES=4 LEVELS='1 0' \
    DWT='--levels 1' MINUTES=0.05 FLAGS_0= FLAGS_1= CHAIN_0=actnorm CHAIN_1=actnorm "$WORK/cifar/train.store"
ok "which has the pictures" test -e cifar/train.store

# Scripts take blanks and quotes as well: make alone cannot.
mv "$odd" "it's a demo"
rm "it's a demo/curve.png" "it's a demo/joblog"
printf 'line\tMüller_1 "x"\t7\npoint\tl'"'"'autre\t0.1\t7\n' > "other systems.tsv"
ok "curves.sh" "$home/pipelines/curves.sh" "it's a demo" "other systems.tsv"
ok "it drew" test -s "it's a demo/curve.png"
trains() { PATH=$home/bin:$PATH "$home/pipelines/train.sh" "it's a demo" 2 > log 2>&1 && [ "$(wc -l < "it's a demo/joblog")" = 5 ]; }
ok "train.sh" trains
mkdir "all systems"
cp -r "it's a demo" "all systems/one system"
ok "systems.sh" "$home/pipelines/systems.sh" "all systems" "one system"
ok "it has a row for the system" grep -q '^| one system |' "all systems/compare.md"
cp "$ROOT"/tests/fuzz/corpus/codecs/png "pict ures é.png"
printf '%s\n' "pict ures é.png" > "li st"
ok "wf-dwt" wf-dwt -q --levels 0 -o "a store" "pict ures é.png"
ok "a list of files" wf-dwt -q --levels 0 -o "b store" --files-from "li st"
ok "wf-info" wf-info "a store"
