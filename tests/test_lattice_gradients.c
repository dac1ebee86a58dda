/* test_lattice_gradients.c - gradients of probabilities of whole numbers, and weights of pixels */
#include "lattice.h"

/* -- gradients ----------------------------------------------------------------------------------------------------- */

static int keep_grads(void *user, size_t offset, size_t count, const wf_real *grads)
{
    wf_backend *ref = backend("ref");
    return ref->download(ref, (double *)user + offset, WF_F64, grads, count);
}

/* Gradients of 0.37 times the sum of log densities: [params], then [lows]. */
static double *gradients(bench *b)
{
    wf_backend *on = b->backend;
    double *g = calloc(b->params + b->lows, sizeof *g), *gx = calloc(b->size, sizeof *gx);
    wf_real *dcond = b->lows ? device(on, gx, b->lows) : NULL;
    const wf_real *dx;
    run(b);
    cr_assert_eq(wf_flow_backward(b->flow, b->dp, b->dlow, 0.37, keep_grads, g, dcond, &dx), 0, "%s", wf_error());
    cr_assert_eq(on->download(on, gx, WF_F64, dx, b->size), 0);
    for (size_t i = 0; i < b->size; i++)
        cr_assert_eq(gx[i], 0, "a whole number has the gradient %g", gx[i]);
    if (dcond)
        cr_assert_eq(on->download(on, g + b->params, WF_F64, dcond, b->lows), 0);
    on->free(on, dcond);
    free(gx);
    return g;
}

static double moved(bench *b, double *value, double h)
{
    double kept = *value;
    *value += h;
    double sum = 0.37 * run(b);
    *value = kept;
    return sum;
}

/* A relu may have its kink within a step: then a smaller one must do. */
static void check_numeric(bench *b, double *value, double gradient, const char *what, const char *by, size_t i)
{
    double want = 0, worst = 1;
    for (double h = 1e-5; h > 1e-8 && worst > 1e-6; h /= 30) {
        want = (moved(b, value, h) - moved(b, value, -h)) / (2 * h);
        worst = fabs(gradient - want) / (1 + fabs(want));
    }
    cr_expect_lt(worst, 2e-5, "%s: by %s %zu: %.9g, numeric %.9g", what, by, i, gradient, want);
}

static void check_gradients(bench *b, const char *what)
{
    double *g = gradients(b);
    char name[64];
    const wf_param *param;
    size_t where;
    for (int i = 0; wf_flow_param(b->flow, i, name, &param, &where); i++)
        for (size_t k = 0, step = 1 + param->count / 40; k < param->count; k += step)
            if (is_norm(name))
                cr_expect_eq(g[where + k], 0, "%s: %s has the gradient %g", what, name, g[where + k]);
            else
                check_numeric(b, &b->p[where + k], g[where + k], what, name, k);
    for (size_t i = 0; i < b->lows; i++)
        check_numeric(b, &b->low[i], g[b->params + i], what, "cond", i);
    free(g);
}

/* Rebuilt activations give the gradients of stored ones. */
static void check_memories(const char *chain, wf_flow_spec spec, const wf_real *weight, double counted)
{
    static const wf_memory others[] = {WF_MEMORY_REVERSIBLE, WF_MEMORY_LEAN};
    bench stored = open_bench("ref", chain, spec);
    set_random_blocks(&stored);
    cr_assert_eq(wf_flow_weigh(stored.flow, weight, counted), 0, "%s", wf_error());
    double *want = gradients(&stored);
    for (int m = 0; m < 2; m++) {
        spec.memory = others[m];
        bench b = open_bench("ref", chain, spec);
        set_random_blocks(&b);
        cr_assert_eq(wf_flow_weigh(b.flow, weight, counted), 0, "%s", wf_error());
        double *g = gradients(&b);
        for (size_t i = 0; i < b.params + b.lows; i++)
            cr_assert_lt(fabs(g[i] - want[i]), 1e-12 * (1 + fabs(want[i])), "%s, %s: %zu: %.15g, want %.15g", chain,
                         m ? "lean" : "rebuilt", i, g[i], want[i]);
        free(g);
        close_bench(&b);
    }
    free(want);
    close_bench(&stored);
}

static void check_backward(const char *chain, int C, bool weighted)
{
    wf_flow_spec spec = spec_of(2, 2, 3, C, false, 3, 2);
    static const double weights[12] = {1, 0, 0.5, 2, 0.25, 1, 0.5, 1, 1, 0, 2, 0.25};
    bench b = open_bench("ref", chain, spec);
    wf_real *weight = weighted ? device(b.backend, weights, 12) : NULL;
    set_random_blocks(&b);
    cr_assert_eq(wf_flow_weigh(b.flow, weight, 4.75), 0, "%s", wf_error());
    check_gradients(&b, chain);
    check_memories(chain, spec, weight, 4.75);
    b.backend->free(b.backend, weight);
    close_bench(&b);
}

static const char encoded[] = "cond:channels=2:width=3:blocks=1, lattice:components=2:width=4:blocks=1";
static const char phased[] = "cond:channels=2:width=3:blocks=1, lattice:components=2:width=4:blocks=1:phases=2";

Test(lattice, gradients_of_one_colour_are_those_of_finite_differences, .timeout = 120)
{
    check_backward(encoded, 1, false);
    check_backward(phased, 1, true);
}

Test(lattice, gradients_of_three_colours_are_those_of_finite_differences, .timeout = 120)
{
    check_backward(encoded, 3, true);
    check_backward(phased, 3, false);
}

Test(lattice, gradients_of_the_base_are_those_of_finite_differences)
{
    bench b = open_bench("ref", "lattice:components=3", spec_of(40, 1, 1, 3, true, 3, 1));
    set_base(&b, 13);
    check_gradients(&b, "base");
    close_bench(&b);
}

/* A pixel of weight 0 does not count, and the sum over pixels is that of pictures of one of them. */
Test(lattice, weights_count_pixels)
{
    static const double weights[4] = {0, 0, 0.75, 0};
    bench whole =
        open_bench("ref", "lattice:components=2:width=4:blocks=1:net=dense", spec_of(1, 2, 2, 3, false, 3, 1));
    bench alone =
        open_bench("ref", "lattice:components=2:width=4:blocks=1:net=dense", spec_of(1, 1, 1, 3, false, 3, 1));
    wf_real *weight = device(whole.backend, weights, 4);
    set_random_blocks(&whole);
    memcpy(alone.x, whole.x + 2 * 9, 9 * sizeof *alone.x);
    memcpy(alone.low, whole.low + 2 * 3, 3 * sizeof *alone.low);
    cr_assert_eq(wf_flow_weigh(whole.flow, weight, 0.75), 0, "%s", wf_error());
    double have = run(&whole), want = 0.75 * run(&alone);
    cr_assert_lt(fabs(have - want), 1e-11 * (1 + fabs(want)), "%.15g, want %.15g", have, want);
    whole.backend->free(whole.backend, weight);
    close_bench(&whole);
    close_bench(&alone);
}
