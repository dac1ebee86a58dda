#!/usr/bin/env bash
# make install: everything lands where it belongs, and a program can be built against the library.
. "$(dirname "$0")/lib.sh"
[ "${B:-build}" = build ] || { skip "installed from the plain build only"; exit; }

cat > user.c <<'END'
#include <wf/wf.h>
#include <stdio.h>
int main(void)
{
    wf_store *store;
    return wf_store_open("nothing-here", &store) == WF_NOINPUT ? puts(wf_error()) < 0 : 1;
}
END
build_user() { # build_user COMPILER SOURCE
    local pc=$WORK/usr/lib/pkgconfig/wf.pc
    # shellcheck disable=SC2046 # flags are words
    "$1" -Wall -Werror -o user "$2" $(sed -n 's/^Cflags: //p' "$pc") $(sed -n 's/^Libs: //p' "$pc") && ./user
}
cat > user.cpp <<'END'
#include <wf/wf.h>
#include <cstdio>
#include <cstring>
int main()
{
    wf_model model;
    wf_backend *backend;
    if (wf_model_open("nothing-here", &model) != WF_NOINPUT || !std::strstr(wf_error(), "nothing-here"))
        return 1;
    if (wf_backend_open("cpu", 1, &backend) != WF_OK)
        return 2;
    std::puts(backend->device);
    backend->close(backend);
    return 0;
}
END
says_path() { usr/bin/wf-info -m leaves | grep -qx "path  *$WORK/$1"; }
refuses() { ! env -u MAKEFLAGS make -s -C "$ROOT" install "$@" > said 2>&1 && [ "$(wc -l < said)" = 1 ] && grep -q 'without blanks' said; }
ok "PREFIX with a blank" refuses PREFIX="$WORK/my usr"
ok "DESTDIR with a blank" refuses DESTDIR="$WORK/my root"
ok "of which nothing is made" test ! -e "$WORK/my"
ok "make install" make_here install PREFIX="$WORK/usr"
ok "a C program builds against the library" build_user gcc user.c
ok "a C++ program links" build_user g++ user.cpp
private() { (cd "$ROOT" && grep -lE '^/\* [a-z_]+\.h - private to lib/' lib/*/*.h | sed 's,^lib/,,'); }
not_installed() { ! private | (cd usr/include/wf && while read -r h; do [ ! -e "$h" ] || echo "$h"; done) | grep -q .; }
ok "there are private headers" test "$(private | wc -l)" -ge 4
ok "none of which is installed" not_installed
ok "the installed program runs" usr/bin/wf-info --version
for page in man1/wf-dwt.1 man5/wf-stream.5 man5/wf-formats.5 man5/wf-archive.5 man7/wf.7 man7/wf-chain.7; do
    ok "$page is installed" test -s "usr/share/man/$page"
done

ok "the model is where programs look" says_path usr/share/wavelet-flow/models/leaves
ok "and draws pictures" sh -c 'PATH=$PWD/usr/bin:$PATH; wf-sample -q -m leaves -n 4 | wf-idwt -q --grid leaves.png'
ok "a card comes with it" test -s usr/share/wavelet-flow/models/leaves/README.md
ok "the Python module is installed" cmp usr/share/wavelet-flow/wavelet_flow.py "$ROOT/tools/wavelet_flow.py"

# The CUDA plugin stands beside the programs; these are not it. no_card.c stands for one on a machine without a card.
cat > no_card.c <<'END'
int wf_fail(int status, const char *format, ...);
int wf_cuda_open(int device, int threads, void **out)
{
    return *out = (void *)0, wf_fail(64, "cuda:%d: no device for %d threads", device, threads);
}
END
plugin=usr/lib/libwf-cuda.so
fake() { gcc -shared -fPIC -o $plugin "$@"; }
convert() { printf 'P5 2 2 255 abcd' | PATH=$WORK/usr/bin:$PATH wf-dwt -q "$@"; }
mentions() { ! "${@:2}" 2> err > /dev/null && grep -q "$1" err; }
ok "a plugin without a card" fake no_card.c
ok "leaves auto with the processor" convert --backend auto
status 64 "and is an error when asked for" convert --backend cuda:3
ok "which comes from the plugin" mentions 'cuda:3: no device' convert --backend cuda:3
ok "a plugin that is none" fake -x c /dev/null
status 70 "is an error" convert --backend cuda
ok "which names what is wrong" mentions 'no wf_cuda_open in' convert --backend cuda
echo garbage > $plugin
status 70 "a plugin that does not load" convert --backend cuda
rm $plugin

ok "a manual page" test -s usr/share/man/man1/wf-info.1
# shellcheck disable=SC2016
loads='. "$1" && complete -p wf-info && complete -p wf-train-level'
ok "completion in bash is loaded by the name of a program" bash -c "$loads" - usr/share/bash-completion/completions/wf-info
ok "completion in zsh names every program" test "$(head -n 1 usr/share/zsh/site-functions/_wf | wc -w)" = \
    $((1 + $(find usr/bin -name 'wf-*' | wc -l)))
ok "the small model is installed" diff -r "$ROOT/data/leaves" usr/share/wavelet-flow/models/leaves
ok "wf-decode is wf-encode" usr/bin/wf-decode --version
not_in() { ! grep -rlF "$2" "$1"; }
ok "no path of this tree is in pipelines and completion" not_in usr/share "$ROOT"

# -- pipelines work where they are installed, whatever folder they are called from ----------------------------------
for tool in parallel gnuplot; do
    command -v $tool > log || { skip "$tool is not installed"; exit; }
done
mv usr moved # PREFIX is found from the place of the makefile
mkdir elsewhere
installed() { env -u MAKEFLAGS -u BIN -u B make -s -C elsewhere -f "$WORK/moved/share/wavelet-flow/pipelines/$1" "${@:2}"; }
ok "the installed demo runs" installed demo.mk QUICK=1
ok "and leaves its results in the folder that make runs in" test -s elsewhere/out/demo/samples.png -a -s elsewhere/out/demo/curve.png
ok "wf-train finds the pipelines" bash -c 'cd elsewhere && "$0" -q -n 8 -s 8 > leaves.ppm && ../moved/bin/wf-train -q leaves.ppm -o "a model" --minutes 0.005' "$DEADLEAVES"
ok "and leaves a page" test -s "elsewhere/a model/report.html"
ok "of the installed programs" grep -qF "\"$(moved/bin/wf-info --version | sed 's/.* //')\"" <(moved/bin/wf-info --json elsewhere/out/demo/model)
