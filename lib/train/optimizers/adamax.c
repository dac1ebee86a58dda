/* adamax.c - Adamax (Kingma and Ba 2015, section 7.1) with the factors of Glow's code */
#include <math.h>

#include "../optimizer.h"

void wf_adamax_begin(wf_optimizer *o, double t, double lr, double beta2)
{
    o->rule.beta1 = 0.9;
    o->rule.beta2 = beta2;
    o->rule.eps = 1e-8;
    o->rule.rate = lr * sqrt(1 - pow(beta2, t)) / (1 - pow(o->rule.beta1, t));
}

int wf_adamax_sink(wf_optimizer *o, size_t offset, size_t count, const wf_real *grads)
{
    wf_backend *b = o->backend;
    if (!count)
        return WF_OK;
    return b->adamax(b, &o->rule, count, wf_at(b, o->w, offset), wf_at(b, o->m, offset), wf_at(b, o->u, offset),
                     wf_at(b, o->ema, offset), grads, o->bad);
}

static void begin(wf_optimizer *o, double t, double lr)
{
    wf_adamax_begin(o, t, lr, o->values[0]);
}

const wf_optimizer_type wf_optimizer_adamax = {
    .name = "adamax",
    .summary = "each weight by its average gradient over the largest of the last ones (Kingma and Ba, 2015; as in "
               "Glow's code)",
    .options = {{"beta2", 1 - 1 / 782.0, 0, 1 - 1e-6, "decay of the largest gradient, each step", "1-1/782"}},
    .begin = begin,
    .sink = wf_adamax_sink,
};
