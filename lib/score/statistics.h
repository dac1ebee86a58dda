/* statistics.h - statistics of pictures that tell strangers from those of a model: bits of each level, bits of a codec,
 * and the fit of latents to noise
 *
 * Letters: N pictures, D statistics of each, n levels above the base. Large levels are those of at least WF_LARGE_LEVEL
 * pixels, and the highest; the latents of a smaller level are too few to judge by one picture. The statistics are
 *
 *     bits of each large level, and of all smaller ones together
 *     bits/dim less that of a codec (below)
 *     of the latents of each large level that is a flow: mean, log variance, correlation of horizontal and of vertical
 *     neighbours (latent_fit.h), and the log mean square of each channel
 *
 * Levels of exact probabilities (lattice) have no latents. */
#ifndef WF_STATISTICS_H
#define WF_STATISTICS_H

#include "../base/linkage.h"
#include "../model/evaluation.h"
#include "latent_fit.h"
#include "map.h"

WF_BEGIN

enum { WF_LARGE_LEVEL = 64 };

typedef struct wf_statistics wf_statistics;

/* Begins with pictures like `meta` (copied), read from `name`, which is borrowed, as are the model and the backend.
 * seed: of the dequantization noise, as in wf_evaluation_spec. watch: of pictures, by level. threads: for the codec;
 * 0: all. maps: get where the bits of each picture are, and are borrowed; NULL: not wanted. WF_DATA: the pictures are
 * not like those of the model, or lack its highest level. */
int wf_statistics_create(const wf_model *model, wf_backend *backend, const wf_meta *meta, const char *name,
                         uint64_t seed, int threads, wf_watch watch, wf_maps *maps, wf_statistics **out) WF_MUST;
void wf_statistics_destroy(wf_statistics *s); /* NULL is allowed */

/* Takes a record, or all records of a store. WF_DATA: the store lacks a level. Else as wf_evaluation_put. */
int wf_statistics_put(wf_statistics *s, const wf_record *record) WF_MUST;
int wf_statistics_put_store(wf_statistics *s, wf_store *store) WF_MUST;
/* Call after the last picture and before what follows. WF_DATA: no picture came, a level did not come, or levels had
 * different pictures. */
int wf_statistics_finish(wf_statistics *s) WF_MUST;

int64_t wf_statistics_count(const wf_statistics *s);               /* N */
int wf_statistics_width(const wf_statistics *s);                   /* D */
uint64_t wf_statistics_index(const wf_statistics *s, int64_t n);   /* of a picture */
const char *wf_statistics_name(const wf_statistics *s, int64_t n); /* borrowed; NULL: it has none */
int wf_statistics_levels(const wf_statistics *s);                  /* n: levels are 0 to n */
/* Contribution of a level to bits/dim. INFINITY, like the sums below: the log density is not finite. */
double wf_statistics_bits(const wf_statistics *s, int64_t n, int level);
double wf_statistics_total(const wf_statistics *s, int64_t n); /* bits/dim */
int64_t wf_statistics_infinite(const wf_statistics *s);        /* pictures whose total is not finite */
/* Bits/dim less the bits/dim of the picture as PNG (wf_image_png_size), which corrects for its complexity: the score of
 * Serra et al. 2020, "Input complexity and out-of-distribution detection with likelihood-based generative models",
 * in bits/dim. */
double wf_statistics_corrected(const wf_statistics *s, int64_t n);
/* Moments of the latents of a level; NAN: the level has none. */
wf_latent_fit wf_statistics_fit(const wf_statistics *s, int64_t n, int level);

/* Writes the statistics of all pictures to out [N,D]. They are finite for pictures whose bits/dim are. */
void wf_statistics_write(const wf_statistics *s, double *out);

WF_END

#endif
