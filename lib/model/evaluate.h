/* evaluate.h - held-out bits per dimension of one level */
#ifndef WF_EVALUATE_H
#define WF_EVALUATE_H

#include "../base/linkage.h"
#include "../base/watch.h"
#include "../store/store.h"
#include "../store/stream.h"
#include "figures.h"
#include "level_runner.h"
#include "pixel_noise.h"

WF_BEGIN

/* Takes the latents of `count` pictures at a level that has them: z [count,h,w,K], host, valid during the call. Batches
 * come in the order of the pictures. */
typedef int wf_latent_sink(void *user, int level, int count, const uint64_t *index, const float *z);

/* Takes the share of each pixel of the level's low-pass in the bits/dim of `count` pictures: [count,h,w], host, valid
 * during the call. A picture's shares add up to the level's contribution. Batches come in the order of the pictures. */
typedef int wf_share_sink(void *user, int level, int count, const double *bits);

/* Runs pictures of one size through one level. The noise of picture i depends on (seed, level, i) alone, or on its
 * draw, so neither the batch nor the order changes a picture's figure. Must stay where it was created. */
typedef struct wf_evaluator {
    wf_level_runner runner;
    wf_pixel_noise *pixels; /* borrowed; NULL: each level has noise of its own */
    uint64_t draw;
    bool infinite;           /* a density that is not finite gives INFINITY bits and is no failure */
    bool not_finite;         /* why the last run failed */
    float *host;             /* with pixels: a batch with their noise, low and detail */
    wf_watch watch;          /* of pictures; may be set after create */
    wf_latent_sink *latents; /* NULL: nobody; may be set after create. A discrete flow has no latents to give */
    void *latents_user;
    float *z;              /* host [N,h,w,K] */
    wf_share_sink *shares; /* of wf_evaluator_share; NULL: nobody */
    void *shares_user;
    double *shared; /* host [N,h,w] */
} wf_evaluator;

/* For pictures of the size in meta. `meta` and `params` (device, the flow's and then those of the noise's flow) are
 * borrowed until clear. Clear it after a failure too. */
int wf_evaluator_create(wf_backend *backend, const wf_meta *meta, const wf_level_spec *spec, const wf_real *params,
                        uint64_t seed, wf_evaluator *out) WF_MUST;
void wf_evaluator_clear(wf_evaluator *e);

/* Writes bits [N]: this level's contribution to each picture's bits per dimension. low [N,h,w,C] and detail [N,h,w,K]
 * (NULL at the base) in pixel units. WF_INTERNAL: a density is not finite, and e->infinite is not set; then
 * e->not_finite is. */
int wf_evaluator_run(wf_evaluator *e, int64_t N, const float *low, const float *detail, const uint64_t *index,
                     double *bits) WF_MUST;

/* From now on pictures get draw number `draw` of the noise: of the noise of whole pictures, the same at all levels
 * that share `pixels` (borrowed) and the seed, or of learnt noise. */
int wf_evaluator_draw(wf_evaluator *e, wf_pixel_noise *pixels, uint64_t draw) WF_MUST;

/* Before the first run: gives the sink the shares of pixels from now on. What learnt noise takes from the log density
 * is shared evenly. WF_USAGE: the level's chain reshapes. */
int wf_evaluator_share(wf_evaluator *e, wf_share_sink *sink, void *user) WF_MUST;

/* Importance-weighted bits per dimension of one picture: -log2 of the mean of K densities (or ratios p(x+u)/q(u|x)).
 * bits [K]: the whole model's bits/dim under each of K draws of the noise. On average the result is an upper bound on
 * the bits of the discrete picture, which falls with K and tends to them (Burda, Grosse, Salakhutdinov 2016, arXiv
 * 1509.00519, theorem 1). */
double wf_importance_bits(const wf_meta *meta, int64_t K, const double *bits);

/* Held-out loop: gives the first `count` pictures of the store (or all, if it has fewer) at `level` to the sink, `rows`
 * (1 to WF_LEVEL_ROWS) at once. Of `parts` processes that share the work, number `part` gives batches part, part +
 * parts, ..; part 0 of 1 gives all. Returns what the sink returns, if that is not WF_OK. */
int wf_held_out(wf_store *store, int level, int64_t count, int part, int parts, int rows, wf_record_sink *sink,
                void *user) WF_MUST;

/* Measures the round trip |x - f^-1(f(x))| of the batch that was run last, in standard deviations of x: a finite
 * inverse may still be wrong. An inverse that is not finite counts as an infinite error. */
int wf_evaluator_round_trip(wf_evaluator *e, wf_round_trip *error) WF_MUST;

WF_END

#endif
