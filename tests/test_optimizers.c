/* Optimizers: their text, what a training keeps of it, resumption, ranks of threads, and the singular values of a step.
 * tests/test_golden.c has their figures. */
#include <string.h>

#include "../lib/train/optimizer.h"
#include "training.h"

static double value_of(const char *text, int option)
{
    wf_optimizer o;
    wf_backend *b = open_backend("ref");
    cr_assert_eq(wf_optimizer_create(b, text, 1, 0.9, &o), 0, "%s: %s", text, wf_error());
    double value = o.values[option];
    wf_optimizer_clear(&o);
    b->close(b);
    return value;
}

static void check_option(const wf_optimizer_type *type, int k)
{
    const wf_optimizer_option *o = &type->options[k];
    char text[96];
    cr_expect(o->meaning && *o->meaning, "%s:%s: no meaning", type->name, o->key);
    cr_expect_float_eq(value_of(type->name, k), o->standard, 0);
    const double tried[] = {o->low, o->high, (o->low + o->high) / 2};
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "%s:%s=%.17g", type->name, o->key, tried[i]);
        cr_expect_float_eq(value_of(text, k), tried[i], 0, "%s: %s", text, wf_error());
    }
    const double refused[] = {o->low - 0.1, o->high + 0.1, NAN};
    for (int i = 0; i < 3; i++) {
        snprintf(text, sizeof text, "%s:%s=%.17g", type->name, o->key, refused[i]);
        cr_expect_eq(wf_optimizer_check(text), WF_USAGE, "%s", text);
    }
}

Test(optimizers, options_are_those_of_the_table)
{
    const wf_optimizer_type *type;
    int options = 0;
    for (int i = 0; (type = wf_optimizer_row(i)); i++) {
        cr_expect(type->summary && *type->summary, "%s: no summary", type->name);
        cr_expect_eq(wf_optimizer_check(type->name), 0, "%s", wf_error());
        for (int k = 0; type->options[k].key; k++, options++)
            check_option(type, k);
    }
    cr_expect_gt(options, 3);
}

Test(optimizers, other_text_is_refused)
{
    static const char *const refused[] = {"",
                                          "sgd",
                                          "muon:",
                                          "muon:rms",
                                          "muon:rms=",
                                          "muon:rms=0.1x",
                                          "adamax:rms=0.1",
                                          "muon:rms=0.1:",
                                          "muon rms=0.1"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        cr_expect_eq(wf_optimizer_check(refused[i]), WF_USAGE, "'%s' is taken", refused[i]);
    cr_expect_eq(wf_optimizer_check("sgd"), WF_USAGE);
    cr_expect_str_eq(wf_error(), "--optimizer 'sgd': unknown optimizer 'sgd', there are: adamax, muon");
    char longer[300];
    memset(longer, 'm', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    cr_expect_eq(wf_optimizer_check(longer), WF_USAGE);
}

Test(optimizers, a_training_keeps_its_own, .timeout = 120)
{
    scratch_make();
    wf_backend *b = open_backend("cpu");
    char store[512];
    strcpy(store, scratch_path("store"));
    store_planes(b, store, 40, 8, 3);
    wf_train_options o = small_options(2);
    run begun = {.stop_at = 10}, rest = {0};
    o.optimizer = "muon:momentum=0.8";
    cr_assert_eq(train(b, scratch_path("model"), store, &o, &begun), WF_AGAIN, "%s", wf_error());
    o.optimizer = "adamax";
    cr_expect_eq(train(b, scratch_path("model"), store, &o, &rest), WF_DATA);
    cr_expect(strstr(wf_error(), "--optimizer was muon:momentum=0.8, now adamax;"), "%s", wf_error());
    o.optimizer = NULL;
    cr_expect_eq(train(b, scratch_path("model"), store, &o, &rest), 0, "%s", wf_error());
    o.optimizer = "muon:momentum=0.8"; /* done: the text in the state is the same */
    cr_expect_eq(train(b, scratch_path("model"), store, &o, &rest), 0, "%s", wf_error());
    b->close(b);
    scratch_remove();
}

/* -- matrices ------------------------------------------------------------------------------------------------------ */

static void list_matrices(const char *chain, wf_optimizer *o)
{
    wf_backend *b = open_backend("ref");
    wf_flow *flow;
    wf_flow_spec spec = {.N = 1, .H = 2, .W = 2, .K = 9, .C = 3, .kernel = 3, .memory = WF_MEMORY_NONE};
    cr_assert_eq(wf_flow_create(b, chain, &spec, &flow), 0, "%s", wf_error());
    cr_assert_eq(wf_optimizer_create(b, "muon", wf_flow_size(flow), 0.9, o), 0);
    cr_assert_eq(wf_optimizer_add_matrices(o, flow, 5), 0);
    wf_flow_destroy(flow);
}

/* actnorm 2 x 9; conv1x1 9 x 9; affine in 16 x (4 + 3), its b and l, 3x3 16 x 16 * 9 .. */
Test(optimizers, matrices_are_conv1x1_and_kernels_but_the_last)
{
    wf_optimizer o;
    list_matrices("actnorm, conv1x1, affine:width=16:blocks=1, conv1x1:lu, householder", &o);
    const wf_matrix want[] = {{5 + 18, 9, 9},
                              {5 + 18 + 81, 16, 7},
                              {5 + 18 + 81 + 16 * 9, 16, 144},
                              {5 + 18 + 81 + 16 * 9 + 16 * 146, 16, 16}};
    cr_assert_eq(o.matrix_count, 4, "%d matrices", o.matrix_count);
    for (int i = 0; i < 4; i++)
        cr_expect(!memcmp(&want[i], &o.matrices[i], sizeof *want), "matrix %d: %d x %d at %zu", i, o.matrices[i].rows,
                  o.matrices[i].columns, o.matrices[i].where);
    wf_optimizer_clear(&o);
}

enum { ROWS = 48, COLUMNS = 432, SIZE = ROWS * COLUMNS };

/* w after one step from 0 along random numbers, on a backend of some threads. */
static void step_once(const char *backend, int threads, double *w)
{
    enum { COUNT = 3 };
    const wf_matrix matrices[COUNT] = {{0, ROWS, COLUMNS}, {SIZE, COLUMNS, ROWS}, {2 * SIZE, ROWS, ROWS}};
    wf_backend *b;
    wf_optimizer o;
    double *u = malloc(3 * SIZE * sizeof *u);
    wf_init_normal(7, 0, 1e-3, u, 3 * SIZE);
    cr_assert_eq(wf_backend_open(backend, threads, &b), 0, "%s", wf_error());
    cr_assert_eq(wf_optimizer_create(b, "muon", 3 * SIZE, 0.9, &o), 0);
    o.muon = (wf_muon){.rate = 1, .momentum = 0.9, .decay = 0.5};
    cr_assert_eq(b->upload(b, o.u, u, WF_F64, 3 * SIZE), 0);
    cr_assert_eq(b->muon_step(b, &o.muon, COUNT, matrices, o.u, o.w, o.ema, o.bad), 0, "%s", wf_error());
    cr_assert_eq(b->download(b, w, WF_F64, o.w, 3 * SIZE), 0);
    wf_optimizer_clear(&o);
    b->close(b);
    free(u);
}

/* Ranks may have unequal numbers of threads. */
Test(optimizers, threads_change_no_bit_of_a_step, .timeout = 60)
{
    double *one = malloc(3 * SIZE * sizeof *one), *more = malloc(3 * SIZE * sizeof *more);
    step_once("cpu", 1, one);
    for (int threads = 2; threads < 6; threads++) {
        step_once("cpu", threads, more);
        cr_expect(!memcmp(one, more, 3 * SIZE * sizeof *one), "%d threads", threads);
    }
    free(one);
    free(more);
}

/* w = sqrt(COLUMNS) O, whose rows are nearly orthonormal: five steps bring singular values to 0.68 .. 1.13. */
Test(optimizers, a_step_has_singular_values_near_one)
{
    double *w = malloc(3 * SIZE * sizeof *w), sum = 0;
    step_once("cpu", 2, w);
    for (int i = 0; i < ROWS; i++) {
        double norm = 0;
        for (int k = 0; k < COLUMNS; k++)
            norm += w[i * COLUMNS + k] * w[i * COLUMNS + k] / COLUMNS;
        cr_expect(norm > 0.68 * 0.68 && norm < 1.13 * 1.13, "row %d has a norm of %g", i, sqrt(norm));
        sum += norm;
    }
    cr_expect_float_eq(sum / ROWS, 0.85, 0.15); /* so the root mean square of w is near 1 */
    free(w);
}
