/* groups.h - when each group of gradients is ready in a training step, for predict.py */
#ifndef WF_BENCH_GROUPS_H
#define WF_BENCH_GROUPS_H

#include "../../lib/train/optimizer.h"

/* Times of the steps since groups_reset. */
typedef struct groups {
    wf_optimizer *optimizer;
    int count, at; /* groups of a step; the next one of this step */
    int64_t steps;
    double begin, forward, step; /* begin: when this step began; the others: seconds of all steps, summed */
    struct group {
        size_t values;
        double ready; /* seconds from the step's begin, summed over steps */
    } * group;
} groups;

void groups_reset(groups *g, wf_optimizer *optimizer); /* forgets what was measured; aborts without memory */
void groups_begin(groups *g);                          /* before the forward pass */
void groups_forward(groups *g);                        /* after it */
void groups_end(groups *g);                            /* after the backward pass */
int groups_sink(void *g, size_t offset, size_t count, const wf_real *grads); /* a wf_grad_sink that updates, too */

/* Prints what --groups adds to a line of bench-level: means over steps, in seconds from a step's begin. */
void groups_print(const groups *g);
void groups_clear(groups *g);

#endif
