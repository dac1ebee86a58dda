/* test_store_parts.c - which pictures are held out */
#include <criterion/criterion.h>

#include "../lib/store/store.h"

/* Each run of b indices has exactly a that are held out, for a/b = 1/20, 1/10, 3/100 and 1/2. */
Test(store_parts, each_run_has_its_share)
{
    static const int shares[][3] = {{5, 1, 20}, {10, 1, 10}, {3, 3, 100}, {50, 1, 2}};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        for (uint64_t run = 0; run < 50; run++) {
            int held = 0;
            for (int j = 0; j < shares[i][2]; j++)
                held += wf_is_held_out(run * (uint64_t)shares[i][2] + (uint64_t)j, shares[i][0]);
            cr_expect_eq(held, shares[i][1], "%d%%, run %d: %d", shares[i][0], (int)run, held);
        }
}

/* The place within a run is not the same in each, so no order of the pictures is held out as a whole. */
Test(store_parts, places_within_runs_differ)
{
    int at[20] = {0}, used = 0;
    for (uint64_t i = 0; i < 20 * 400; i++)
        at[i % 20] += wf_is_held_out(i, 5);
    for (int i = 0; i < 20; i++)
        used += at[i] >= 5 && at[i] <= 40;
    cr_expect_eq(used, 20);
}
