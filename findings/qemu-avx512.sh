#!/usr/bin/env bash
# QEMU 7.2 user emulation (Debian 12, qemu-user-static 1:7.2+dfsg-7+deb12u18+b3; 10.0.13 and 11.1.3 do the same): what a processor
# model is worth that has AVX-512.
#
# Guess: "-cpu Skylake-Server" runs AVX-512, or ends with an error because the emulator lacks it; with "+avx512f", which asks for it by
# name, all the more so.
# Seen: both warn, run the program and exit 0. The program reads the family, model and name of a Skylake server in CPUID, and no
# AVX-512. Only ",enforce" makes it an error.
# So a test under "-cpu Skylake-Server" passes without one instruction of AVX-512, and code that goes by the model of a processor
# rather than by its features is wrong there.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq qemu-user-static=1:7.2+dfsg-7+deb12u18+b3
dpkg-deb --fsys-tarfile ./*.deb | tar -x ./usr/bin/qemu-x86_64-static
cat > features.c <<'END'
#include <cpuid.h>
#include <stdio.h>
int main(void)
{
    unsigned a, b, c, d, model;
    __get_cpuid(1, &model, &b, &c, &d);
    __get_cpuid_count(7, 0, &a, &b, &c, &d);
    printf("model %u, AVX2 %u, AVX-512 %u\n", (model >> 4 & 15) + (model >> 12 & 0xf0), b >> 5 & 1, b >> 16 & 1);
}
END
gcc -static -o features features.c
run() { usr/bin/qemu-x86_64-static -cpu "$1" ./features 2> warnings; }

same=0
for cpu in Skylake-Server Skylake-Server,+avx512f; do
    line=$(run $cpu)
    warnings=$(grep -c "warning: TCG doesn't support requested feature: .*avx512f" warnings || true)
    echo "-cpu $cpu: exits 0; $line; warnings of AVX-512: $warnings"
    [ "$line; $warnings" != "model 85, AVX2 1, AVX-512 0; 1" ] || same=$((same + 1))
done
rc=0
run Skylake-Server,enforce || rc=$?
echo "-cpu Skylake-Server,enforce: exits $rc"
[ "$same $rc" == "2 1" ]
