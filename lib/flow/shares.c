/* shares.c - adds the log-determinants of pixels to their shares, some pixels at a time */
#include "shares.h"

#include <stdlib.h>

/* Pixels of a pass from pixel `at` on. */
static int count_at(const wf_shares *s, size_t at)
{
    size_t left = s->pixels - at;
    return (int)(left < WF_SHARED_PIXELS ? left : WF_SHARED_PIXELS);
}

/* Uploads the parity of each pixel. */
static int upload_parity(const wf_stage_shape *c, wf_shares *s)
{
    float *host = malloc(s->pixels * sizeof *host);
    WF_CHECK(host, WF_AGAIN, "flow: out of memory for the shares of %zu pixels", s->pixels);
    int status = WF_OK;
    for (int parity = 0; parity < 2 && !status; parity++) {
        for (size_t i = 0; i < s->pixels; i++) {
            size_t place = i % ((size_t)c->H * (size_t)c->W);
            host[i] = (place / (size_t)c->W + place % (size_t)c->W) % 2 == (size_t)parity;
        }
        status = c->backend->upload(c->backend, s->parity[parity], host, WF_F32, s->pixels);
    }
    free(host);
    return status;
}

int wf_shares_create(const wf_stage_shape *c, wf_shares **out)
{
    wf_backend *b = c->backend;
    wf_shares *s = calloc(1, sizeof *s);
    WF_CHECK(s, WF_AGAIN, "flow: out of memory");
    s->pixels = (size_t)c->N * (size_t)c->H * (size_t)c->W;
    int status = WF_OK;
    void *memory;
    WF_GO(b->alloc(b, s->pixels * sizeof *s->of, &memory));
    s->of = memory;
    for (int parity = 0; parity < 2; parity++) {
        WF_GO(b->alloc(b, s->pixels * b->real, &memory));
        s->parity[parity] = memory;
    }
    WF_GO(b->alloc(b, (size_t)WF_SHARED_PIXELS * (size_t)c->K * b->real, &memory));
    s->unused = memory;
    WF_GO(upload_parity(c, s));
    *out = s;
    return WF_OK;
out:
    wf_shares_destroy(b, s);
    return status;
}

void wf_shares_destroy(wf_backend *b, wf_shares *s)
{
    if (!s)
        return;
    b->free(b, s->of);
    b->free(b, s->parity[0]);
    b->free(b, s->parity[1]);
    b->free(b, s->unused);
    free(s);
}

/* Weights of pixels from `at` on that count only those of a coupling; NULL: all count. */
static const wf_real *counted_pixels(const wf_stage_shape *c, wf_pixels pixels, size_t at)
{
    const wf_shares *s = c->shares;
    return pixels == WF_EVERY_PIXEL ? NULL : wf_at(c->backend, s->parity[pixels == WF_ODD_PIXELS], at);
}

static int share_transform(const wf_stage_shape *c, const wf_coupling *of, const wf_real *x, const wf_real *params)
{
    wf_backend *b = c->backend;
    const wf_shares *s = c->shares;
    wf_coupling pixel = *of;
    size_t each = (size_t)wf_transform_parameters(&of->transform) * (size_t)of->moved;
    pixel.H = pixel.W = 1;
    pixel.pixels = WF_EVERY_PIXEL;
    for (size_t at = 0; at < s->pixels; at += WF_SHARED_PIXELS)
        WF_TRY(b->transform_forward(b, &pixel, count_at(s, at), wf_at(b, x, at * (size_t)of->K),
                                    wf_at(b, params, at * each), counted_pixels(c, of->pixels, at), s->unused,
                                    s->of + at));
    return WF_OK;
}

int wf_shared_transform(const wf_stage_shape *c, const wf_coupling *of, const wf_real *x, const wf_real *params,
                        wf_real *y, double *logdet)
{
    if (c->shares)
        WF_TRY(share_transform(c, of, x, params)); /* first, as y may be x */
    return c->backend->transform_forward(c->backend, of, c->N, x, params, c->weight, y, logdet);
}

static int share_lattice(const wf_stage_shape *c, const wf_lattice *of, const wf_real *x, const wf_real *cond,
                         const wf_real *norm, const wf_real *params)
{
    wf_backend *b = c->backend;
    const wf_shares *s = c->shares;
    wf_lattice pixel = *of;
    size_t each = (size_t)wf_lattice_parameters(of) * (size_t)of->C;
    pixel.H = pixel.W = 1;
    pixel.pixels = WF_EVERY_PIXEL;
    for (size_t at = 0; at < s->pixels; at += WF_SHARED_PIXELS)
        WF_TRY(b->lattice_forward(b, &pixel, count_at(s, at), wf_at(b, x, at * (size_t)wf_lattice_channels(of)),
                                  cond ? wf_at(b, cond, at * (size_t)of->cond) : NULL, norm,
                                  wf_at(b, params, at * each), counted_pixels(c, of->pixels, at), s->unused,
                                  s->of + at));
    return WF_OK;
}

int wf_shared_lattice(const wf_stage_shape *c, const wf_lattice *of, const wf_real *x, const wf_real *cond,
                      const wf_real *norm, const wf_real *params, wf_real *z, double *logdet)
{
    if (c->shares)
        WF_TRY(share_lattice(c, of, x, cond, norm, params));
    return c->backend->lattice_forward(c->backend, of, c->N, x, cond, norm, params, c->weight, z, logdet);
}

int wf_share_gaussian(const wf_stage_shape *c, const wf_real *z)
{
    wf_backend *b = c->backend;
    const wf_shares *s = c->shares;
    for (size_t at = 0; s && at < s->pixels; at += WF_SHARED_PIXELS)
        WF_TRY(b->gaussian(b, count_at(s, at), 1, c->K, wf_at(b, z, at * (size_t)c->K), NULL, s->of + at, 0, NULL));
    return WF_OK;
}
