/* value.c - values of a store
 *
 * The first byte gives a shape, the second a window, the rest is the value. It is read as it is and, with one tile,
 * also with its checksum corrected. */
#include <xxhash.h>

#include "../../lib/store/private.h"
#include "fuzz.h"

static void decode(uint8_t *value, size_t n, wf_level_shape s, const wf_window *w)
{
    size_t pixels = (size_t)w->h * (size_t)w->w;
    float *low = malloc(pixels * (size_t)s.C * sizeof *low), *detail = malloc(pixels * (size_t)s.K * sizeof *detail);
    uint64_t sum;
    wf_dtype dtype;
    if (!low || !detail)
        abort();
    fuzz_check(wf_value_decode("fuzz", 1, 7, (MDB_val){n, value}, s, w, low, detail, &sum));
    (void)wf_value_dtype((MDB_val){n, value}, &dtype);
    free(low);
    free(detail);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n < 2)
        return 0;
    wf_level_shape s = {.H = 1 + bytes[0] % 8 + (bytes[0] & 128 ? 64 : 0), .W = 1 + bytes[0] / 8 % 16, .C = 1, .K = 3};
    wf_window w = {.y = bytes[1] % s.H, .x = bytes[1] % s.W};
    w.h = 1 + bytes[1] / 16 % (s.H - w.y);
    w.w = 1 + bytes[1] / 16 % (s.W - w.x);
    uint8_t *value = malloc(n - 2 ? n - 2 : 1); /* of the exact size, so that reading a byte too far is found */
    n -= 2;
    memcpy(value, bytes + 2, n);
    decode(value, n, s, &w);
    if (n >= 8 && s.H <= 64) {
        const uint64_t place[2] = {7, 1};
        uint64_t sum = XXH3_64bits_withSeed(value, n - 8, XXH3_64bits(place, sizeof place));
        memcpy(value + n - 8, &sum, 8);
        decode(value, n, s, &w);
    }
    free(value);
    return 0;
}
