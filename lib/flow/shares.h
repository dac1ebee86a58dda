/* shares.h - private to lib/flow: the share of each pixel in a log density
 *
 * A coupling's log-determinant is a sum over pixels. For a backend, pixels are as good as pictures of one pixel, which
 * give a sum each. */
#ifndef WF_SHARES_H
#define WF_SHARES_H

#include "bijector.h"

struct wf_shares {
    size_t pixels;
    double *of;         /* device [pixels]: what the run added so far */
    wf_real *parity[2]; /* device [pixels]: 1 where row + column is even, odd; else 0 */
    wf_real *unused;    /* device [WF_SHARED_PIXELS,K]: states of pixels */
};

enum { WF_SHARED_PIXELS = 16384 }; /* at once: a grid of a card has fewer than 65536 rows */

/* For pictures of c's shape, none of which reshapes. */
int wf_shares_create(const wf_stage_shape *c, wf_shares **out) WF_MUST;
void wf_shares_destroy(wf_backend *b, wf_shares *shares); /* NULL is allowed */

/* transform_forward, lattice_forward and gaussian (backend.h) of c's pictures; they also add to the pixels' shares, if
 * c->shares is set. */
int wf_shared_transform(const wf_stage_shape *c, const wf_coupling *of, const wf_real *x, const wf_real *params,
                        wf_real *y, double *logdet) WF_MUST;
int wf_shared_lattice(const wf_stage_shape *c, const wf_lattice *of, const wf_real *x, const wf_real *cond,
                      const wf_real *norm, const wf_real *params, wf_real *z, double *logdet) WF_MUST;
int wf_share_gaussian(const wf_stage_shape *c, const wf_real *z) WF_MUST;

#endif
