#!/usr/bin/env bash
# make install: everything lands where it belongs, and a program can be built against the library.
. "$(dirname "$0")/lib.sh"
[ "${B:-build}" = build ] || { skip "installed from the plain build only"; exit; }

cat > user.c <<'END'
#include <wf.h>
#include <stdio.h>
int main(void)
{
    wf_store *store;
    return wf_store_open("nothing-here", &store) == WF_NOINPUT ? puts(wf_error()) < 0 : 1;
}
END
build_user() {
    local pc=$WORK/usr/lib/pkgconfig/wf.pc
    # shellcheck disable=SC2046 # flags are words
    gcc -o user user.c $(sed -n 's/^Cflags: //p' "$pc") $(sed -n 's/^Libs: //p' "$pc") && ./user
}
ok "make install" env -u MAKEFLAGS make -s -C "$ROOT" install PREFIX="$WORK/usr"
ok "a program builds against the library" build_user
ok "the installed program runs" usr/bin/wf-info --version
ok "a manual page" test -s usr/share/man/man1/wf-info.1
ok "completion is a script" bash -n usr/share/bash-completion/completions/wf-info
