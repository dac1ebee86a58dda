#!/usr/bin/env bash
# gcc 12.2.0 (Debian 12, g++-12 12.2.0-14+deb12u1): __builtin_clear_padding on arrays of structures.
#
# Guess: the builtin clears bytes between members and no others.
# Seen: in a structure with two arrays, of 64 and 256 structures, it also clears bytes of members of 64 of them, at -O0 and -O2
# alike; with arrays of one it is right.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq {g++,gcc,cpp}-12=12.2.0-14+deb12u1 lib{gcc,stdc++}-12-dev=12.2.0-14+deb12u1
for deb in *.deb; do dpkg -x "$deb" gcc; done
cat > padding.cpp << 'END'
#include <stdio.h>
#include <string.h>
struct part { int kind; void *p, *q; int n; };
struct run { int K, first, count; size_t work; void *A, *b; double d; };
template <int R, int P> struct batch { run runs[R]; part parts[P]; };
/* Returns the number of elements with a member that changed. All bits were set. */
template <int R, int P> int changed()
{
    static batch<R, P> b;
    const void *ones = (void *)~0ul;
    int n = 0;
    memset(&b, 0xff, sizeof b);
    __builtin_clear_padding(&b);
    for (const run &r : b.runs)
        n += r.K != -1 || r.first != -1 || r.count != -1 || r.work != ~0ul || r.A != ones || r.b != ones;
    for (const part &p : b.parts)
        n += p.kind != -1 || p.p != ones || p.q != ones || p.n != -1;
    return n;
}
int main() { printf("%d %d\n", changed<1, 1>(), changed<64, 256>()); }
END
compiler=gcc/usr/bin/x86_64-linux-gnu-g++-12
export COMPILER_PATH=$work/gcc/usr/lib/gcc/x86_64-linux-gnu/12
version=$("$compiler" -dumpfullversion)
echo "g++ $version"
[ "$version" = 12.2.0 ]
for level in -O0 -O2; do
    "$compiler" -std=c++17 "$level" -o padding padding.cpp
    seen=$(./padding)
    echo "$level: members changed in 1 + 1 and in 64 + 256 elements: $seen"
    [ "$seen" = '0 64' ] || exit 1
done
