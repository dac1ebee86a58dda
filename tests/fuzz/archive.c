/* archive.c - archives and compression: tar, zip, gzip and the formats that libarchive decompresses */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    fuzz_images(bytes, n);
    return 0;
}
