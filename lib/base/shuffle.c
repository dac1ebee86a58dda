/* shuffle.c - a permutation computed place by place, without a table */
#include "shuffle.h"

#include "philox.h"

/* Permutes by a Feistel network over the smallest even number of bits that holds n, repeated until the place is below
 * n (cycle walking, Black and Rogaway 2002). */
int64_t wf_shuffle(uint64_t seed, uint64_t epoch, int64_t n, int64_t i)
{
    int half = 1;
    while (((int64_t)1 << 2 * half) < n)
        half++;
    uint64_t mask = ((uint64_t)1 << half) - 1, at = (uint64_t)i;
    do {
        uint64_t left = at >> half, right = at & mask;
        for (uint64_t round = 0; round < 6; round++) {
            uint64_t next = left ^ (wf_splitmix3(seed, epoch * 8 + round, right) & mask);
            left = right;
            right = next;
        }
        at = left << half | right;
    } while (at >= (uint64_t)n);
    return (int64_t)at;
}
