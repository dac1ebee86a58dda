/* muon.c - Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) for matrices, Adamax for the rest,
 * networks' last layers among it
 *
 * A matrix steps along its averaged gradient with all singular values brought to 1 nearly, so that no direction of the
 * gradient waits for others. Its step has a root mean square of `rms` times the rate (Liu et al. 2025, arXiv
 * 2502.16982, section 2.2), by which one rate serves both rules. Adamax, whose steps are small, is like 0.07; the
 * paper's 0.2 is like AdamW. */
#include "../optimizer.h"

enum { MOMENTUM, RMS, BETA2 };

static void begin(wf_optimizer *o, double t, double lr)
{
    wf_adamax_begin(o, t, lr, o->values[BETA2]);
    o->muon = (wf_muon){.rate = lr * o->values[RMS], .momentum = o->values[MOMENTUM], .decay = o->rule.decay};
}

/* Averages the gradients of matrices, and takes the step for what lies between them. */
static int sink(wf_optimizer *o, size_t offset, size_t count, const wf_real *grads)
{
    wf_backend *b = o->backend;
    size_t at = offset, end = offset + count;
    for (const wf_matrix *a = o->matrices; a < o->matrices + o->matrix_count && a->where < end; a++) {
        if (a->where < at)
            continue;
        size_t n = (size_t)a->rows * (size_t)a->columns;
        WF_TRY(wf_adamax_sink(o, at, a->where - at, wf_at(b, grads, at - offset)));
        WF_TRY(b->muon_momentum(b, &o->muon, n, wf_at(b, o->m, a->where), wf_at(b, o->u, a->where),
                                wf_at(b, grads, a->where - offset), o->bad));
        at = a->where + n;
    }
    return wf_adamax_sink(o, at, end - at, wf_at(b, grads, at - offset));
}

static int finish(wf_optimizer *o)
{
    wf_backend *b = o->backend;
    return b->muon_step(b, &o->muon, o->matrix_count, o->matrices, o->u, o->w, o->ema, o->bad);
}

const wf_optimizer_type wf_optimizer_muon = {
    .name = "muon",
    .summary = "kernels and conv1x1 by their average gradient with singular values near 1 (Jordan et al., 2024); by "
               "Adamax other weights, and the last kernel of a network",
    .options = {[MOMENTUM] = {"momentum", 0.95, 0, 0.9999, "decay of the average gradient of a matrix", NULL},
                [RMS] = {"rms", 0.067, 1e-6, 10, "root mean square of a matrix's step, in units of --lr", NULL},
                [BETA2] = {"beta2", 1 - 1 / 782.0, 0, 1 - 1e-6, "that of Adamax", "1-1/782"}},
    .begin = begin,
    .sink = sink,
    .finish = finish,
};
