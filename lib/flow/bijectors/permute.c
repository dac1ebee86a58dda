/* permute.c - shuffle and reverse: fixed permutations of the channels, a random one and the reversal, as between the
 * couplings of Glow's ablations (Kingma and Dhariwal 2018, section 5.1). The flow folds them into linear neighbours at
 * no cost. */
#include <math.h>

#include "../bijector.h"

static int create(wf_bijector *self, const int *values)
{
    (void)values;
    int64_t K = self->shape->K;
    self->linear = WF_LINEAR_PERMUTATION;
    WF_CHECK(wf_bijector_param(self, "p", 1, &K) >= 0, WF_AGAIN, "%s: out of memory", self->type->name);
    return WF_OK;
}

/* The inside-out shuffle of Fisher and Yates: entry i swaps with a random entry up to i. */
static void init_shuffle(const wf_bijector *self, uint64_t seed, double *values)
{
    for (int i = 0; i < self->shape->K; i++) {
        double z, uniform;
        wf_init_normal(seed, self->offset + (size_t)i, 1, &z, 1);
        uniform = 0.5 * erfc(-z / sqrt(2));
        int j = uniform < 1 ? (int)(uniform * (i + 1)) : i;
        values[i] = values[j];
        values[j] = i;
    }
}

static void init_reverse(const wf_bijector *self, uint64_t seed, double *values)
{
    (void)seed;
    for (int i = 0; i < self->shape->K; i++)
        values[i] = self->shape->K - 1 - i;
}

const wf_bijector_type wf_bijector_shuffle = {.name = "shuffle",
                                              .summary = "the channels in an order drawn at random from --seed",
                                              .linear = true,
                                              .create = create,
                                              .init = init_shuffle};
const wf_bijector_type wf_bijector_reverse = {.name = "reverse",
                                              .summary = "the channels in reverse order",
                                              .linear = true,
                                              .create = create,
                                              .init = init_reverse};
