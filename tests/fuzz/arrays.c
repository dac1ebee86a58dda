/* arrays.c - IDX, NumPy, CIFAR-10 and CIFAR-100 */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    fuzz_images(bytes, n);
    return 0;
}
