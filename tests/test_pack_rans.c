/* test_pack_rans.c - the entropy coder, and exponentials of its own */
#include <criterion/criterion.h>
#include <math.h>

#include "../lib/codec/rans.h"
#include "pack.h"

/* Encodes symbols, decodes them, and returns the bytes less the ideal number. */
static double round_trip(const wf_rans_symbol *symbols, size_t n)
{
    wf_rans_list list = {0};
    wf_rans_reader reader;
    uint8_t *bytes;
    size_t size;
    double bits = 0;
    for (size_t i = 0; i < n; i++) {
        cr_assert_eq(wf_rans_push(&list, symbols[i].start, symbols[i].freq), 0);
        bits -= log2(symbols[i].freq / (double)WF_RANS_SLOTS);
    }
    cr_assert_eq(wf_rans_finish(&list, 12345, &bytes, &size), 0);
    cr_assert_eq(wf_rans_open(bytes, size, &reader), 0);
    for (size_t i = 0; i < n; i++) {
        uint32_t slot = wf_rans_slot(&reader);
        cr_assert(slot >= symbols[i].start && slot - symbols[i].start < symbols[i].freq, "symbol %zu", i);
        cr_assert_eq(wf_rans_pass(&reader, symbols[i].start, symbols[i].freq), 0, "%s", wf_error());
    }
    cr_assert_eq(wf_rans_end(&reader, 12345), 0);
    free(bytes);
    wf_rans_clear(&list);
    return (double)size - bits / 8;
}

static wf_rans_symbol symbol_of(int kind, pack_random *r)
{
    uint32_t one = pack_next(r) % WF_RANS_SLOTS, two = pack_next(r) % WF_RANS_SLOTS;
    switch (kind) {
    case 0: /* the rarest */
        return (wf_rans_symbol){one, 1};
    case 1: /* the most frequent but one */
        return (wf_rans_symbol){one % 2, WF_RANS_SLOTS - 1};
    case 2: /* the only one */
        return (wf_rans_symbol){0, WF_RANS_SLOTS};
    case 3:
        return one % 16 ? (wf_rans_symbol){0, WF_RANS_SLOTS - 1} : (wf_rans_symbol){WF_RANS_SLOTS - 1, 1};
    default:
        return one < two ? (wf_rans_symbol){one, two - one} : (wf_rans_symbol){two, one - two + 1};
    }
}

Test(pack_rans, symbols_come_back_and_take_the_ideal_size)
{
    enum { MOST = 200000 };
    wf_rans_symbol *symbols = malloc(MOST * sizeof *symbols);
    pack_random r = {1};
    for (int kind = 0; kind < 5; kind++)
        for (size_t n = 0; n <= MOST; n = n < 40 ? n + 1 : 5 * n) {
            for (size_t i = 0; i < n; i++)
                symbols[i] = symbol_of(kind, &r);
            double over = round_trip(symbols, n);
            cr_assert(over >= -1e-6 && over <= 24, "kind %d, %zu symbols: %g bytes over the ideal", kind, n, over);
        }
    free(symbols);
}

Test(pack_rans, cut_or_continued_code_is_refused)
{
    wf_rans_list list = {0};
    wf_rans_reader reader;
    uint8_t *bytes;
    size_t size;
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_eq(wf_rans_push(&list, i * 1000, 1000), 0);
    cr_assert_eq(wf_rans_finish(&list, 12345, &bytes, &size), 0);
    uint8_t *longer = calloc(size + 8, 1);
    memcpy(longer, bytes, size);
    for (size_t cut = 0; cut <= size + 8; cut++) {
        int status = wf_rans_open(longer, cut, &reader);
        for (uint32_t i = 0; !status && i < 100; i++) {
            status = wf_rans_pass(&reader, i * 1000, 1000);
            cr_assert_leq(reader.at, cut, "reads beyond its bytes");
        }
        if (!status)
            status = wf_rans_end(&reader, 12345);
        cr_assert_eq(status, cut == size ? 0 : WF_DATA, "%zu of %zu bytes", cut, size);
    }
    free(bytes);
    free(longer);
    wf_rans_clear(&list);
}

Test(pack_rans, a_state_has_one_form)
{
    wf_rans_reader reader;
    const uint8_t four[] = {1, 2, 3, 0x80, 0}, low[] = {1, 2, 3, 0x40, 9, 0, 0, 0};
    cr_assert_eq(wf_rans_open(four, 4, &reader), 0);
    cr_assert_eq(reader.state, 0x80030201);
    cr_assert_eq(wf_rans_open(four, 5, &reader), WF_DATA, "a byte that the state does not need");
    cr_assert_eq(wf_rans_open(low, 8, &reader), 0);
    cr_assert_eq(reader.state, UINT64_C(0x4003020100000009));
    for (size_t n = 0; n < 5; n++)
        cr_assert_eq(wf_rans_open(low, n, &reader), WF_DATA, "%zu bytes", n);
}

Test(pack_rans, exponentials_are_those_of_the_library)
{
    for (int i = -7000; i <= 7000; i++) {
        double x = i * 0.0997 + 0.001, exact = wf_exact_exp(x), want = exp(x);
        cr_assert(fabs(exact - want) <= 1e-15 * want || fabs(x) > 690, "exp(%g) is %.17g, not %.17g", x, exact, want);
        cr_assert(fabs(wf_exact_logistic(x / 20) - 1 / (1 + exp(-x / 20))) < 1e-12, "logistic(%g)", x / 20);
    }
    cr_assert_eq(wf_exact_exp(0), 1);
    cr_assert_eq(wf_exact_expf(0), 1);
    cr_assert_eq(wf_exact_logistic(0), 0.5);
    cr_assert_eq(wf_exact_exp(NAN), wf_exact_exp(-700));
    cr_assert(isfinite(wf_exact_exp(INFINITY)));
}

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* The bits that x86-64 with gcc 12 gave. */
Test(pack_rans, exponentials_have_known_bits)
{
    uint64_t sum = 0;
    for (int i = -2000; i <= 2000; i++)
        sum = sum * 31 + bits_of(wf_exact_exp(i * 0.13)) + bits_of(wf_exact_logistic(i * 0.01));
    cr_assert_eq(bits_of(wf_exact_exp(1)), UINT64_C(0x4005bf0a8b145769), "%llx",
                 (unsigned long long)bits_of(wf_exact_exp(1)));
    cr_assert_eq(bits_of(wf_exact_exp(-10.5)), UINT64_C(0x3efcdfc263f6a0b9), "%llx",
                 (unsigned long long)bits_of(wf_exact_exp(-10.5)));
    cr_assert_eq(sum, UINT64_C(0xd2935d0b37983866), "%llx", (unsigned long long)sum);
}

Test(pack_rans, the_logistic_function_never_falls)
{
    pack_random r = {3};
    for (int i = 0; i < 200000; i++) {
        double x = (double)pack_real(&r, 40), y = x;
        for (int step = 0; step < 4; step++) {
            double next = nextafter(y, INFINITY) + (step == 3 ? 1e-12 : 0);
            cr_assert(wf_exact_logistic(next) >= wf_exact_logistic(y), "logistic falls behind %.17g", y);
            y = next;
        }
    }
}
