#!/usr/bin/env bash
# gcc 12.2 (Debian 12, gcc-12 12.2.0-14+deb12u1): the intrinsics of AMX, _tile_loadconfig and _tile_loadd.
#
# Guess: an intrinsic that reads memory keeps the stores before it, as every load of a vector does.
# Seen at -O2: the header writes both as inline assembly that names 8 bytes of the configuration, and no byte of a tile. So the
# compiler drops the stores of the rows and columns of a configuration, which then has empty tiles, and all stores of an array
# that only a tile load reads. The processor raises an exception, or loads what the stack held. An empty assembly with a memory
# clobber in front of the intrinsic keeps the stores.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq gcc-12=12.2.0-14+deb12u1 cpp-12=12.2.0-14+deb12u1 libgcc-12-dev=12.2.0-14+deb12u1
for deb in *.deb; do dpkg -x "$deb" gcc; done
cat > tiles.c << 'END'
#include <immintrin.h>
#include <stdint.h>
#include <string.h>
#ifdef BARRIER
#define barrier() __asm__ volatile("" ::: "memory")
#else
#define barrier()
#endif
void configure(void)
{
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } c;
    memset(&c, 0, sizeof c);
    c.palette = 1;
    for (int t = 0; t < 8; t++) {
        c.bytes[t] = 64;
        c.rows[t] = 16;
    }
    barrier();
    _tile_loadconfig(&c);
}
void load(const float *x)
{
    float sums[256];
    for (int i = 0; i < 256; i++)
        sums[i] = x[i] + 1;
    barrier();
    _tile_loadd(0, sums, 64);
}
END
# kept COMPILER...: says if the stores of the 16 rows, and the additions before the tile load, are in the code
kept() {
    "$@" -O2 -mamx-tile -S -o tiles.s tiles.c
    local rows=dropped sums=dropped
    ! grep -q 1157442765409226768 tiles.s || rows=kept
    ! grep -qE 'addps|addss' tiles.s || sums=kept
    echo "rows $rows, tile $sums"
}
gcc=gcc/usr/bin/x86_64-linux-gnu-gcc-12
export COMPILER_PATH=$work/gcc/usr/lib/gcc/x86_64-linux-gnu/12
version=$("$gcc" -dumpfullversion) plain=$(kept "$gcc") barrier=$(kept "$gcc" -DBARRIER)
echo "gcc $version: $plain; with a barrier: $barrier"
[ "$version" = 12.2.0 ] && [ "$plain" = 'rows dropped, tile dropped' ] && [ "$barrier" = 'rows kept, tile kept' ]
