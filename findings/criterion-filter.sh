#!/usr/bin/env bash
# Criterion 2.4.1 (Debian 12, libcriterion3 2.4.1-2): what --filter reaches.
#
# Guess: with --filter, --list prints the tests that match, the TAP report holds these tests alone, and a filter that matches no test
# is an error, as in other test runners.
# Seen: --list prints every test whatever the filter. The TAP report holds every test; the ones left out are "ok ... # SKIP test was
# skipped", the same mark as a test that skips itself without a reason. A filter that matches nothing exits 0.
# So a script that counts skips in TAP counts tests that nobody asked for, and a misspelt name passes.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq libcriterion-dev=2.4.1-2 libcriterion3=2.4.1-2 libffi8 libgit2-1.5 libnanomsg5 libmbedtls14 libmbedx509-1 \
    libmbedcrypto7 libhttp-parser2.9 libpcre2-8-0 libssh2-1 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0 libcom-err2 \
    libkeyutils1
for deb in *.deb; do dpkg -x "$deb" root; done
lib=root/usr/lib/x86_64-linux-gnu
cat > two.c <<'END'
#include <criterion/criterion.h>
Test(birds, wren) { cr_assert(1); }
Test(fish, carp) { cr_assert(1); }
END
gcc -Iroot/usr/include -o two two.c -L$lib -lcriterion -Wl,-rpath-link,$lib:root/lib/x86_64-linux-gnu
run() { LD_LIBRARY_PATH=$lib:root/lib/x86_64-linux-gnu ./two "$@"; }

listed=$(run --list --filter='birds/*' | grep -c 'wren\|carp')
tap=$(run --filter='birds/*' --tap=- 2> /dev/null | grep -c '^ok - fish::carp.*# SKIP test was skipped')
rc=0
run --filter='nothing/*' > /dev/null 2>&1 || rc=$?
echo "tests listed under a filter for one of two: $listed; in TAP as skipped: $tap; exit code of a filter without a match: $rc"
[ "$listed $tap $rc" == "2 1 0" ]
