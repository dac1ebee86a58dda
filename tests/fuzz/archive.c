/* archive.c - what holds files: tar, zip, gzip and what libarchive decompresses */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    fuzz_images(bytes, n);
    return 0;
}
