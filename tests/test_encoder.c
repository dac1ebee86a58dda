/* test_encoder.c - an encoder of the condition costs no gradient that nobody asks for */
#include <criterion/criterion.h>

#include "../lib/flow/flow.h"

static int wanted; /* gradients by conditions */
static int (*usual)(wf_backend *b, const wf_map_shape *of, int take, int K, wf_real *dx, int C, wf_real *dcond,
                    const wf_map *map);

static int count_wanted(wf_backend *b, const wf_map_shape *of, int take, int K, wf_real *dx, int C, wf_real *dcond,
                        const wf_map *map)
{
    wanted += dcond != NULL;
    return usual(b, of, take, K, dx, C, dcond, map);
}

static wf_real *zeros(wf_backend *b, size_t n)
{
    void *memory;
    cr_assert_eq(b->alloc(b, n * b->real, &memory), 0);
    cr_assert_eq(b->zero(b, memory, n * b->real), 0);
    return memory;
}

static int ignore(void *user, size_t offset, size_t count, const wf_real *grads)
{
    (void)user, (void)offset, (void)count, (void)grads;
    return WF_OK;
}

static void check(wf_backend *b, wf_memory memory)
{
    wf_flow_spec spec = {.N = 1, .H = 2, .W = 2, .K = 9, .C = 3, .kernel = 3, .memory = memory};
    wf_flow *f;
    const wf_real *out;
    cr_assert_eq(wf_flow_create(b, "cond:channels=2:width=3:blocks=1, affine:width=4:blocks=1", &spec, &f), 0, "%s",
                 wf_error());
    wf_real *x = zeros(b, 36), *cond = zeros(b, 12), *dcond = zeros(b, 12), *params = zeros(b, wf_flow_size(f));
    cr_assert_eq(wf_flow_init(f, 1, params), 0);

    wanted = 0;
    cr_assert_eq(wf_flow_forward(f, params, x, cond), 0, "%s", wf_error());
    cr_assert_eq(wf_flow_backward(f, params, cond, 1, NULL, NULL, NULL, &out), 0, "%s", wf_error());
    cr_assert_eq(wf_flow_inverse(f, params, x, cond, &out), 0, "%s", wf_error());
    cr_assert_eq(wf_flow_inverse_backward(f, params, cond, NULL, 1, NULL, &out), 0, "%s", wf_error());
    cr_expect_eq(wanted, 0, "%d gradients by conditions were computed, expected none", wanted);

    cr_assert_eq(wf_flow_forward(f, params, x, cond), 0, "%s", wf_error());
    cr_assert_eq(wf_flow_backward(f, params, cond, 1, ignore, NULL, NULL, NULL), 0, "%s", wf_error());
    cr_expect_eq(wanted, 1, "%d, want the one that the encoder's parameters need", wanted);

    wanted = 0;
    cr_assert_eq(wf_flow_forward(f, params, x, cond), 0, "%s", wf_error());
    cr_assert_eq(wf_flow_backward(f, params, cond, 1, NULL, NULL, dcond, NULL), 0, "%s", wf_error());
    cr_expect_eq(wanted, 2, "%d, want the encoder's and the caller's", wanted);

    wf_flow_destroy(f);
    wf_real *all[] = {x, cond, dcond, params};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        b->free(b, all[i]);
}

Test(encoder, gradients_by_conditions)
{
    wf_backend *b;
    cr_assert_eq(wf_backend_open("ref", 1, &b), 0, "%s", wf_error());
    usual = b->pack_backward;
    b->pack_backward = count_wanted;
    check(b, WF_MEMORY_STORE);
    check(b, WF_MEMORY_REVERSIBLE);
    b->close(b);
}
