/* codecs.c - how libpng, libjpeg and libwebp are called */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    fuzz_images(bytes, n);
    return 0;
}
