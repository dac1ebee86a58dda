/* sounds.c - WAV, RF64, AIFF and FLAC, also behind and before tags */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    fuzz_images(bytes, n);
    return 0;
}
