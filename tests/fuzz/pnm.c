/* pnm.c - PNM and PAM */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    fuzz_images(bytes, n);
    return 0;
}
