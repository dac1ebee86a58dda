#!/usr/bin/env bash
# man.sh - manual pages are well formed, and say what the registries have
. "$(dirname "$0")/lib.sh"
ok "make man" make_here man NVCC=
pages=("$ROOT/build/man/"*)
ok "there are pages of three sections" test -s "$ROOT/build/man/wf-dwt.1" -a -s "$ROOT/build/man/wf-stream.5" \
    -a -s "$ROOT/build/man/wf-chain.7"

if command -v mandoc > /dev/null; then
    for page in "${pages[@]}"; do
        ok "mandoc takes ${page##*/}" mandoc -T lint -W error "$page"
    done
else
    skip "mandoc"
fi
quiet() { [ -z "$(MANWIDTH=100 man --warnings -E UTF-8 -l "$1" 2>&1 > "$2")" ]; }
if command -v man > /dev/null && command -v groff > /dev/null; then
    for page in "${pages[@]}"; do
        ok "man formats ${page##*/} without a warning" quiet "$page" "${page##*/}.txt"
    done
    for format in GIF TIFF BMP TFRecord CIFAR-100; do
        ok "wf-formats(5) has $format" grep -q "$format" wf-formats.5.txt
    done
else
    skip "man-db and groff"
fi

limits() { # the value of an enumerator, which the page has in its text
    value=$(grep -hoE "[{,] $1 = [0-9]+( << [0-9]+)?" "$ROOT"/lib/*/*.h "$ROOT"/kernels/*.h | head -n 1 | sed 's/.*= //') && [ -n "$value" ] &&
        grep -qwE "$2 $((value))" "$ROOT/build/man/wf-archive.5"
}
ok "wf-archive(5) has the version of the format" limits WF_ARCHIVE_VERSION 'version'
ok "and the longest name" limits WF_ARCHIVE_NAME 'at most'
ok "and the largest picture" limits WF_MAX_PIXELS 'at most'
ok "and the longest side" limits WF_MAX_SIDE 'at most'
ok "and the digits of numbers" limits WF_LATTICE_MAX_BITS 'at most'

ok "the table of words" wf-train-level --flow help
wf-train-level --flow help > words
ok "it has every bijector" test "$(grep -c '^[a-z0-9]* - ' words)" = "$(sed -n '/define WF_BIJECTORS/,/[^\\]$/p' \
    "$ROOT/lib/flow/bijector.h" | grep -o 'row([a-z0-9]*)' | grep -vc '(row)')"
sed -n 's/^\([a-z0-9]*\) - .*/\1/p' words | while read -r word; do
    grep -qx ".B $word" "$ROOT/build/man/wf-chain.7" || echo "$word"
done > missing
ok "wf-chain(7) has every bijector" test ! -s missing
sed -n 's/^    \([a-z]*\)=.*/\1/p' words | sort -u | while read -r option; do
    grep -q "^.fB$option.fR=" "$ROOT/build/man/wf-chain.7" || echo "$option"
done > missing
ok "wf-chain(7) has every option" test ! -s missing
ok "the table of optimizers" wf-train-level --optimizer help
wf-train-level --optimizer help > rules
sed -n 's/^\([a-z0-9]*\) - .*/.B \1$/p; s/^    \([a-z0-9]*\)=.*/.fB\1.fR=/p' rules | while read -r line; do
    grep -q "^$line" "$ROOT/build/man/wf-chain.7" || echo "$line"
done > missing
ok "$(wc -l < rules) lines of optimizers, all in wf-chain(7)" test "$(wc -l < rules)" -gt 4 -a ! -s missing
for tool in "$ROOT"/tools/wf-*.c; do
    name=$(basename "$tool" .c)
    grep -qx ".BR $name (1)" "$ROOT/build/man/wf.7" || echo "$name"
done > missing
ok "wf(7) has every program" test ! -s missing
printf '.TH x 5\n@nonsense\n' > x.in
"$ROOT/build/manual" x.in < /dev/null > /dev/null 2> error
ok "a table that is not there is an error" test $? = 65 -a "$(cat error)" = "manual: x.in: there is no table @nonsense"
