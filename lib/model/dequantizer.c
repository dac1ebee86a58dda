/* dequantizer.c - a conditional flow of the dequantization noise */
#include "dequantizer.h"

#include <stdlib.h>

#include "../base/count.h"

/* Scale of a normal whose sigmoid is closest to uniform (maximal entropy). */
static const double FACTOR = 1.75;

int wf_dequantizer_create(wf_backend *backend, const wf_meta *meta, const char *chain, const wf_flow_spec *spec,
                          wf_dequantizer *out)
{
    wf_flow_spec own = *spec;
    WF_CHECK(!wf_meta_is_field(meta), WF_USAGE, "dequantize: fields are not quantized, so there is no noise to learn");
    *out = (wf_dequantizer){.backend = backend, .N = spec->N, .step = 1.0 / (1 << meta->bits)};
    WF_CHECK(
        meta->levels == 0, WF_USAGE,
        "dequantize: the data has %d levels, want 0 (wf-dwt --levels 0): a pixel's noise reaches all levels, and each "
        "trains alone",
        meta->levels);
    own.K = own.C = meta->C;
    out->D = wf_count3(spec->H, spec->W, meta->C);
    size_t n = (size_t)spec->N * out->D;
    int status = WF_OK;
    WF_GO(wf_alloc_reals(backend, n, &out->e));
    WF_GO(wf_alloc_reals(backend, n, &out->cond));
    WF_GO(wf_alloc_reals(backend, n, &out->u));
    WF_GO(wf_alloc_doubles(backend, (size_t)spec->N, &out->base));
    out->log_det = malloc((size_t)spec->N * sizeof *out->log_det);
    if (!out->log_det)
        WF_GO(wf_fail(WF_AGAIN, "dequantize: out of memory"));
    WF_GO(wf_flow_create(backend, chain, &own, &out->flow));
    WF_GO(wf_flow_sigmoid(out->flow, FACTOR, out->u));
out:
    if (status)
        wf_dequantizer_clear(out);
    return status;
}

void wf_dequantizer_clear(wf_dequantizer *d)
{
    wf_backend *b = d->backend;
    if (!b)
        return;
    wf_flow_destroy(d->flow);
    b->free(b, d->e);
    b->free(b, d->cond);
    b->free(b, d->u);
    b->free(b, d->base);
    free(d->log_det);
    *d = (wf_dequantizer){0};
}

/* Draws e, and copies the pictures without noise to the condition. */
static int prepare_noise(wf_dequantizer *d, wf_level_input *input, const wf_random *random)
{
    wf_backend *b = d->backend;
    size_t n = (size_t)d->N * d->D;
    WF_TRY(wf_level_input_dequantize(input, NULL));
    WF_TRY(b->copy(b, d->cond, input->low, n));
    return b->normal(b, random, d->N, d->D, input->index, 1, d->e);
}

int wf_dequantizer_init(wf_dequantizer *d, wf_real *params, wf_level_input *input, const wf_random *random)
{
    WF_TRY(wf_flow_init(d->flow, random->seed, params));
    WF_TRY(prepare_noise(d, input, random));
    return wf_flow_data_init(d->flow, params, d->e, d->cond);
}

int wf_dequantizer_run(wf_dequantizer *d, const wf_real *params, wf_level_input *input, const wf_random *random)
{
    wf_backend *b = d->backend;
    size_t n = (size_t)d->N * d->D;
    wf_runs add = {.outer = 1, .inner = 1, .run = n, .add = true};
    WF_TRY(prepare_noise(d, input, random));
    WF_TRY(b->zero(b, d->base, (size_t)d->N * sizeof *d->base));
    WF_TRY(b->gaussian(b, d->N, 1, (int)d->D, d->e, NULL, d->base, 0, NULL));
    WF_TRY(wf_flow_forward(d->flow, params, d->e, d->cond));
    WF_TRY(b->scale(b, n, d->step, -0.5 * d->step, d->u)); /* the input holds the mean, 1/2, already */
    return b->copy_runs(b, &add, input->low, d->u);
}

int wf_dequantizer_readback_begin(wf_dequantizer *d, wf_readback *out[2])
{
    WF_TRY(wf_flow_readback_begin(d->flow, &out[0]));
    int status = d->backend->readback_begin(d->backend, d->base, (size_t)d->N, &out[1]);
    if (status) {
        (void)d->backend->readback_end(d->backend, out[0], NULL);
        out[0] = out[1] = NULL;
    }
    return status;
}

int wf_dequantizer_readback_end(wf_dequantizer *d, wf_readback *readbacks[2], double *log_q)
{
    int status = wf_flow_readback_end(d->flow, readbacks[0], d->log_det);
    int later = d->backend->readback_end(d->backend, readbacks[1], log_q);
    status = status ? status : later;
    for (int n = 0; n < d->N && !status; n++)
        log_q[n] -= d->log_det[n];
    return status;
}

int wf_dequantizer_backward(wf_dequantizer *d, const wf_real *params, const wf_real *dx, double scale,
                            wf_grad_sink *sink, void *user)
{
    wf_backend *b = d->backend;
    size_t n = (size_t)d->N * d->D;
    WF_TRY(b->copy(b, d->u, dx, n));
    WF_TRY(b->scale(b, n, d->step, 0, d->u));
    return wf_flow_backward(d->flow, params, d->cond, scale, sink, user, NULL, NULL);
}
