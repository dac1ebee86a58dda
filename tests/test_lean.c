/* test_lean.c - flows that compute some activations again have the bits of those that keep all, in less memory */
#include <criterion/criterion.h>
#include <string.h>

#include "../kernels/backend.h"
#include "../lib/flow/flow.h"

enum { N = 3, SIDE = 6, K = 9, C = 3, MOST = 40000 };
static const char chain[] =
    "cond:channels=8:width=16:blocks=1, 2*(actnorm, conv1x1, affine:width=24:blocks=2), actnorm";

static float number(size_t i)
{
    return (float)((double)((i * 2654435761u) % 65536) / 32768 - 1);
}

static int take_grads(void *user, size_t offset, size_t count, const wf_real *grads)
{
    memcpy((float *)user + offset, grads, count * sizeof(float));
    return WF_OK;
}

typedef struct result {
    size_t bytes, size;
    double density[N];
    float grads[MOST];
} result;

static void run(wf_backend *b, wf_precision precision, wf_memory memory, result *r)
{
    static float params[MOST], x[N * SIDE * SIDE * K], cond[N * SIDE * SIDE * C];
    wf_flow_spec spec = {N, SIDE, SIDE, K, C, 3, precision, memory, WF_PICTURE, 0, 0, 0};
    wf_flow *f;
    memset(r, 0, sizeof *r);
    cr_assert_eq(wf_flow_create(b, chain, &spec, &f), WF_OK, "%s", wf_error());
    r->size = wf_flow_size(f);
    r->bytes = wf_flow_bytes(f);
    cr_assert_leq(r->size, MOST);
    for (size_t i = 0; i < r->size; i++)
        params[i] = 0.2f * number(i);
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = number(7 * i + 1);
    for (size_t i = 0; i < sizeof cond / sizeof *cond; i++)
        cond[i] = number(5 * i + 2);
    for (int again = 0; again < 2; again++) { /* memory of the first step is used again */
        cr_assert_eq(wf_flow_forward(f, (wf_real *)params, (wf_real *)x, (wf_real *)cond), WF_OK);
        cr_assert_eq(wf_flow_log_density(f, r->density), WF_OK);
        cr_assert_eq(wf_flow_backward(f, (wf_real *)params, (wf_real *)cond, 1, take_grads, r->grads, NULL, NULL),
                     WF_OK);
    }
    wf_flow_destroy(f);
}

Test(lean, has_the_bits_of_store_in_less_memory)
{
    static result store, lean;
    wf_backend *b;
    cr_assert_eq(wf_backend_open("cpu", 2, &b), WF_OK);
    for (int bf16 = 0; bf16 < (b->bf16 ? 2 : 1); bf16++) {
        run(b, bf16 ? WF_BF16 : WF_FP32, WF_MEMORY_STORE, &store);
        run(b, bf16 ? WF_BF16 : WF_FP32, WF_MEMORY_LEAN, &lean);
        cr_expect_eq(store.size, lean.size);
        cr_expect_arr_eq(store.density, lean.density, sizeof store.density);
        cr_expect_arr_eq(store.grads, lean.grads, sizeof store.grads);
        cr_expect_lt(lean.bytes, store.bytes, "%zu bytes, with all activations %zu", lean.bytes, store.bytes);
    }
    b->close(b);
}
