/* value.c - values of a store: a byte of shape, then the value, as it is and with its checksum made right */
#include <xxhash.h>

#include "../../lib/store_private.h"
#include "fuzz.h"

static void decode(uint8_t *value, size_t n, size_t lows, size_t details)
{
    enum { MOST = 16 };
    float *low = malloc(lows * sizeof *low), *detail = malloc((details + 1) * sizeof *detail);
    uint64_t sum;
    wf_dtype dtype;
    if (lows > MOST || details > 3 * MOST || !low || !detail)
        abort();
    fuzz_check(wf_value_decode("fuzz", 1, 7, (MDB_val){n, value}, low, lows, detail, details, &sum));
    (void)wf_value_dtype((MDB_val){n, value}, &dtype);
    free(low);
    free(detail);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (!n)
        return 0;
    size_t lows = 1 + bytes[0] % 16, details = bytes[0] & 128 ? 3 * lows : 0;
    uint8_t *value = malloc(n); /* of the very size, so that a byte too far is found */
    memcpy(value, bytes + 1, --n);
    decode(value, n, lows, details);
    if (n >= 8) {
        const uint64_t place[2] = {7, 1};
        uint64_t sum = XXH3_64bits_withSeed(value, n - 8, XXH3_64bits(place, sizeof place));
        memcpy(value + n - 8, &sum, 8);
        decode(value, n, lows, details);
    }
    free(value);
    return 0;
}
