/* measured.h - linear measurements of pictures with normal noise, y = A p + e, and their likelihood
 *
 *     A = M S B:  B convolves with a point spread function, S averages squares of pixels, M leaves out missing pixels;
 *     e ~ N(0, sigma^2) in every channel of every pixel that is not missing.
 *
 * Pixels p and y are in units of grey values (meta.h). Pictures beyond their borders are mirrored (reflect): row -1 is
 * row 0, row -2 is row 1. Each of B, S and M is linear, and A' is the adjoint of A: <A p, y> = <p, A' y>.
 *
 * Letters: H W of whole pictures, h w of measurements, H = h * scale, W = w * scale; C channels. Arrays are host. */
#ifndef WF_MEASURED_H
#define WF_MEASURED_H

#include <stddef.h>

#include "../base/linkage.h"
#include "../pyramid/meta.h"

WF_BEGIN

/* A point spread function: odd sides, values that sum to 1. */
typedef struct wf_psf {
    int H, W;
    double *value; /* [H,W], owned; NULL: no blur */
} wf_psf;

/* Reads the grey values of a picture file as a point spread function, divided by their sum. WF_DATA: a side is even,
 * there is more than one channel, or all is black. */
int wf_psf_read(const char *path, wf_psf *out) WF_MUST;
void wf_psf_clear(wf_psf *psf);

typedef struct wf_measured_spec {
    double noise;           /* sigma, above 0 */
    wf_psf psf;             /* copied */
    int scale;              /* pixels of a picture along each axis for one of y; divides H and W */
    const uint8_t *missing; /* [h,w], nonzero where y has no value (copied); NULL: nowhere */
} wf_measured_spec;

typedef struct wf_measured wf_measured;

/* Describes measurements of pictures like `meta`. WF_USAGE: the signal is not a picture, or the noise or scale is out
 * of range. WF_DATA: every pixel is missing. */
int wf_measured_create(const wf_meta *meta, const wf_measured_spec *spec, wf_measured **out) WF_MUST;
void wf_measured_destroy(wf_measured *m); /* NULL is allowed */

size_t wf_measured_size(const wf_measured *m);   /* numbers of y: h * w * C */
uint64_t wf_measured_hash(const wf_measured *m); /* of all that the spec says */

/* Computes y = A p, which is 0 at missing pixels. p [H,W,C], y [h,w,C]. */
void wf_measured_apply(wf_measured *m, const double *p, double *y);
/* Computes p = A' y. Values of y at missing pixels are ignored. */
void wf_measured_adjoint(wf_measured *m, const double *y, double *p);

/* log N(y; A p, sigma^2) in nats, over pixels that are not missing, and its gradient by p [H,W,C]. */
double wf_measured_log_density(wf_measured *m, const float *y, const double *p, double *gradient);

/* Draws y = A p + e, with noise of its own for each id; 0 at missing pixels. */
void wf_measured_simulate(wf_measured *m, const double *p, uint64_t seed, uint64_t id, float *y);

WF_END

#endif
