#!/usr/bin/env bash
# g++ 12.2.0 (Debian 12, g++-12 12.2.0-14+deb12u1): __builtin_clear_padding on an array of structs.
#
# Guess: the builtin clears the bytes between members and no others, as C++'s atomics need it, for any trivially copyable type.
# Seen: in an array of 64 structs of 80 bytes with one gap of 4 bytes each, 1,536 bytes become 0 and not 256; bytes of members are
# among them. A single struct of the same type is right.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > padding.cpp << 'END'
#include <stdio.h>
#include <string.h>
struct inner { void *a, *b, *c, *d; double *e; };
struct run { int k, first, count; size_t work; inner folded; const float *f, *g; double h; };
struct part { int kind; const void *p; void *q; int n; };
struct batch { run runs[64]; part parts[256]; };
template <typename T> static size_t zeros(T *x, const void *begin, size_t n)
{
    size_t count = 0;
    memset((void *)x, 0xff, sizeof *x);
    __builtin_clear_padding(x);
    for (size_t i = 0; i < n; i++)
        count += ((const unsigned char *)begin)[i] == 0;
    return count;
}
int main()
{
    static run one;
    static batch many;
    printf("%zu %zu\n", zeros(&one, &one, sizeof one), zeros(&many, many.runs, sizeof many.runs));
}
END
g++-12 -std=c++17 -O2 -o padding padding.cpp
seen=$(./padding)
echo "$(g++-12 --version | head -n 1): bytes cleared in one struct, in an array of 64: $seen (right: 4 256)"
[ "$seen" != "4 256" ] && [ "${seen%% *}" = 4 ]
