/* split.c - which pictures are held out */
#include "../base/philox.h"
#include "store.h"

static int common_divisor(int a, int b)
{
    return b ? common_divisor(b, a % b) : a;
}

static uint64_t rank_of(uint64_t index)
{
    return wf_splitmix(index * WF_SPLITMIX_STEP + WF_SPLITMIX_STEP);
}

bool wf_is_held_out(uint64_t index, int percent)
{
    int divisor = common_divisor(percent, 100);
    uint64_t run = (uint64_t)(100 / divisor), first = index - index % run, own = rank_of(index);
    int before = 0;
    for (uint64_t i = 0; i < run; i++)
        before += rank_of(first + i) < own;
    return before < percent / divisor;
}
