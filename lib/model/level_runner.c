/* level_runner.c - one level's flow with its input, its noise and its captures */
#include "level_runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/count.h"

/* Allocates what is given. */
static int allocate_given(wf_level_runner *r, const wf_level_spec *spec)
{
    int G = wf_given_channels(&spec->given);
    size_t n = wf_count4(r->N, r->H, r->W, G);
    r->kind = spec->given;
    if (!G)
        return WF_OK;
    WF_CHECK(!wf_flow_is_discrete(r->flow), WF_USAGE, "level %d: chains of lattice take no --given", r->level);
    r->host = malloc(n * sizeof *r->host);
    WF_CHECK(r->host, WF_AGAIN, "level %d: out of memory for %zu given numbers", r->level, n);
    WF_TRY(wf_alloc_reals(r->backend, n, &r->channels));
    return spec->C ? wf_alloc_reals(r->backend, wf_count4(r->N, r->H, r->W, spec->C + G), &r->joint) : WF_OK;
}

int wf_level_runner_create(wf_backend *backend, const wf_meta *meta, const wf_level_spec *spec, int N, int H, int W,
                           wf_memory memory, wf_level_runner *out)
{
    *out =
        (wf_level_runner){.backend = backend, .meta = meta, .level = spec->level, .N = N, .H = H, .W = W, .K = spec->K};
    WF_CHECK(N >= 1 && N <= WF_MAX_BATCH, WF_USAGE, "batch %d is not from 1 to %d", N, WF_MAX_BATCH);
    WF_TRY(wf_level_flow(spec, backend, N, H, W, memory, &out->flow));
    out->noiseless = wf_flow_is_discrete(out->flow);
    if (spec->dequantize) {
        wf_flow_spec shape = wf_level_flow_spec(spec, N, H, W, memory);
        WF_TRY(wf_dequantizer_create(backend, meta, spec->dequantize, &shape, &out->dequantizer));
    }
    WF_TRY(allocate_given(out, spec));
    return wf_level_input_create(backend, meta, spec->level, N, H, W, &out->input);
}

void wf_level_runner_clear(wf_level_runner *r)
{
    if (!r->backend)
        return;
    wf_capture_clear(r->backend, &r->forward);
    wf_capture_clear(r->backend, &r->inverse);
    wf_flow_destroy(r->flow);
    wf_dequantizer_clear(&r->dequantizer);
    wf_level_input_clear(&r->input);
    r->backend->free(r->backend, r->channels);
    r->backend->free(r->backend, r->joint);
    free(r->host);
    *r = (wf_level_runner){0};
}

size_t wf_level_runner_size(const wf_level_runner *r)
{
    return wf_flow_size(r->flow) + (r->dequantizer.flow ? wf_flow_size(r->dequantizer.flow) : 0);
}

int wf_level_runner_rows(const wf_level_runner *r, int64_t rows, int64_t at)
{
    return rows - at < r->N ? (int)(rows - at) : r->N;
}

/* Uploads what the loaded pictures are given, the same at each pixel. */
static int load_given(wf_level_runner *r, int count, const uint64_t *index)
{
    size_t G = (size_t)wf_given_channels(&r->kind), pixels = wf_count3(r->H, r->W, 1), each = pixels * G;
    char who[32];
    const uint64_t *pictures = r->pictures ? r->pictures : index;
    snprintf(who, sizeof who, "level %d", r->level);
    if (!r->given_fits)
        WF_TRY(wf_given_check(r->given, &r->kind, who));
    r->given_fits = true;
    if (!G)
        return WF_OK;
    for (int n = 0; n < r->N; n++) {
        float *own = r->host + (size_t)n * each;
        WF_TRY(wf_given_write(r->given, &r->kind, pictures[n < count ? n : 0], own));
        for (size_t i = 1; i < pixels; i++)
            memcpy(own + i * G, own, G * sizeof *own);
    }
    return r->backend->upload(r->backend, r->channels, r->host, WF_F32, (size_t)r->N * each);
}

int wf_level_runner_load(wf_level_runner *r, int count, const float *low, const float *detail, const uint64_t *index)
{
    WF_TRY(load_given(r, count, index));
    return wf_level_input_upload(&r->input, count, low, detail, index);
}

/* Puts the low-pass, which has its noise and scale by now, beside what is given. */
static int join_given(wf_level_runner *r)
{
    wf_backend *b = r->backend;
    if (!r->joint)
        return WF_OK;
    size_t C = (size_t)r->meta->C, G = (size_t)wf_given_channels(&r->kind), pixels = wf_count3(r->N, r->H, r->W);
    wf_runs low = {.outer = pixels, .inner = 1, .run = C, .from_outer = C, .to_outer = C + G};
    wf_runs given = {.outer = pixels, .inner = 1, .run = G, .from_outer = G, .to_outer = C + G};
    WF_TRY(b->copy_runs(b, &low, r->joint, wf_level_input_cond(&r->input)));
    return b->copy_runs(b, &given, wf_at(b, r->joint, C), r->channels);
}

const wf_real *wf_level_runner_cond(const wf_level_runner *r)
{
    return r->joint ? r->joint : r->channels ? r->channels : wf_level_input_cond(&r->input);
}

/* Parameters of the noise's flow. */
static const wf_real *noise_params(const wf_level_runner *r)
{
    return wf_at(r->backend, r->params, wf_flow_size(r->flow));
}

static int dequantize(wf_level_runner *r)
{
    if (r->dequantizer.flow && !r->noiseless)
        WF_TRY(wf_dequantizer_run(&r->dequantizer, noise_params(r), &r->input, &r->noise));
    else
        WF_TRY(wf_level_input_dequantize(&r->input, r->noiseless ? NULL : &r->noise));
    return join_given(r);
}

int wf_level_runner_init(wf_level_runner *r, wf_real *params, const float *low, const float *detail,
                         const uint64_t *index, const wf_random *noise)
{
    r->params = params;
    r->noise = *noise;
    WF_TRY(wf_flow_init(r->flow, noise->seed, params));
    WF_TRY(wf_level_runner_load(r, r->N, low, detail, index));
    if (r->dequantizer.flow) {
        wf_real *own = wf_at(r->backend, params, wf_flow_size(r->flow));
        WF_TRY(wf_dequantizer_init(&r->dequantizer, own, &r->input, noise));
        WF_TRY(wf_level_runner_load(r, r->N, low, detail, index)); /* again: init has dequantized it */
    }
    WF_TRY(dequantize(r));
    return wf_flow_data_init(r->flow, params, wf_level_input_x(&r->input), wf_level_runner_cond(r));
}

void wf_level_runner_pool(wf_level_runner *r, wf_pool_moments *pool, void *user)
{
    wf_flow_pool(r->flow, pool, user);
    if (r->dequantizer.flow)
        wf_flow_pool(r->dequantizer.flow, pool, user);
}

/* -- running ------------------------------------------------------------------------------------------------------ */

int wf_level_runner_compute(wf_level_runner *r)
{
    WF_TRY(dequantize(r));
    return wf_flow_forward(r->flow, r->params, wf_level_input_x(&r->input), wf_level_runner_cond(r));
}

static int compute_forward(void *runner)
{
    return wf_level_runner_compute(runner);
}

int wf_level_runner_forward(wf_level_runner *r)
{
    return wf_capture_run(r->backend, &r->forward, compute_forward, r);
}

static int compute_inverse(void *runner)
{
    wf_level_runner *r = runner;
    if (r->level) {
        WF_TRY(wf_level_input_dequantize(&r->input, NULL));
        WF_TRY(join_given(r));
    }
    return wf_flow_inverse(r->flow, r->params, r->z, wf_level_runner_cond(r), &r->x);
}

int wf_level_runner_inverse(wf_level_runner *r, const wf_real *z)
{
    r->z = z;
    return wf_capture_run(r->backend, &r->inverse, compute_inverse, r);
}

/* A sink for the noise's flow, whose parameters follow the flow's. */
typedef struct offset_sink {
    size_t offset;
    wf_grad_sink *sink;
    void *user;
} offset_sink;

static int sink_offset(void *user, size_t offset, size_t count, const wf_real *grads)
{
    const offset_sink *s = user;
    return s->sink(s->user, s->offset + offset, count, grads);
}

int wf_level_runner_backward(wf_level_runner *r, double scale, wf_grad_sink *sink, void *user)
{
    const wf_real *dx;
    offset_sink noise = {wf_flow_size(r->flow), sink, user};
    WF_TRY(wf_flow_backward(r->flow, r->params, wf_level_runner_cond(r), scale, sink, user, NULL, &dx));
    if (!r->dequantizer.flow)
        return WF_OK;
    return wf_dequantizer_backward(&r->dequantizer, noise_params(r), dx, scale, sink_offset, &noise);
}

int wf_level_runner_guard(wf_level_runner *r, double *bad)
{
    WF_TRY(wf_flow_guard(r->flow, bad));
    return r->dequantizer.flow ? wf_flow_guard(r->dequantizer.flow, bad) : WF_OK;
}

/* -- log densities ------------------------------------------------------------------------------------------------ */

int wf_level_runner_readback_begin(wf_level_runner *r, wf_level_densities *out)
{
    *out = (wf_level_densities){0};
    WF_TRY(wf_flow_readback_begin(r->flow, &out->density));
    int status = r->dequantizer.flow ? wf_dequantizer_readback_begin(&r->dequantizer, out->noise) : WF_OK;
    if (status)
        wf_level_runner_drop(r, out);
    return status;
}

int wf_level_runner_readback_end(wf_level_runner *r, wf_level_densities *posted, double *log_density)
{
    double log_q[WF_MAX_BATCH];
    bool learnt = posted->noise[0];
    int status = wf_flow_readback_end(r->flow, posted->density, log_density);
    int later = learnt ? wf_dequantizer_readback_end(&r->dequantizer, posted->noise, log_q) : WF_OK;
    *posted = (wf_level_densities){0};
    WF_TRY(status ? status : later);
    for (int n = 0; n < r->N && learnt; n++)
        log_density[n] -= log_q[n];
    return WF_OK;
}

void wf_level_runner_drop(wf_level_runner *r, wf_level_densities *posted)
{
    wf_readback *const posts[3] = {posted->density, posted->noise[0], posted->noise[1]};
    for (int i = 0; i < 3; i++)
        if (posts[i])
            (void)r->backend->readback_end(r->backend, posts[i], NULL);
    *posted = (wf_level_densities){0};
}
