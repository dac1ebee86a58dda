/* anneal_private.h - private to lib/mcmc: the state of a stack of levels, shared by anneal.c and anneal_measured.c */
#ifndef WF_ANNEAL_PRIVATE_H
#define WF_ANNEAL_PRIVATE_H

#include "anneal.h"
#include "../model/capture.h"
#include "../model/level.h"
#include "../pyramid/wavelet.h"

/* PIXELS: most of a batch, or one larger picture; SIZES: of 64, 32, .. 1 rows */
enum { PIXELS = 4096, SIZES = 7 };

/* A stage's flow for one number of rows, and where it leaves its results. */
typedef struct sized {
    wf_flow *flow;
    const wf_real *x;        /* [N,size] coefficients */
    const wf_real *gradient; /* [N,size] of latents or, in the coefficients, of the stage's own density */
} sized;

/* Work of the device between the host's uploads and downloads, each part captured for each number of rows: positions to
 * coefficients (RISE), their densities (MEASURE), gradients (FALL). */
enum part { RISE, MEASURE, FALL, PARTS };

typedef struct stage {
    wf_level level;
    sized *now, sizes[SIZES]; /* now: this batch's; sizes[i]: for `most` >> i rows, made at first use */
    int H, W;
    size_t size, low_size; /* coefficients [H,W,K] and low-pass [H,W,C] of one row */
    size_t place;          /* offset of its coefficients in a position */
    double g;              /* 1/T^2 */
    wf_real *in;           /* [N,size] its part of the positions */
    wf_real *low, *dlow;   /* [N,low_size] condition, and the gradient by it; NULL at the base */
    wf_real *dx;           /* [N,size] gradient by x of the levels above; NULL at the last */
    wf_real *scratch;      /* of the DWT below this level, if it needs any */
} stage;

struct wf_anneal {
    wf_backend *backend;
    const wf_meta *meta;
    const wf_wavelet *wavelet;
    wf_anneal_spec spec;
    stage stages[WF_MAX_LEVELS + 1];
    stage *last;         /* the first is stages[0] */
    int most, N, chains; /* rows: of the largest batch, of this one */
    int size;            /* N = most >> size */
    wf_capture captures[PARTS][SIZES];
    size_t D;              /* coefficients of all stages */
    float *condition;      /* [chains,condition_size] pixel units: low-pass of the first stage, or observed pictures */
    size_t condition_size; /* 0 at a base without observed pixels */
    float *pixels;         /* [N,low_size] */
    double *host;          /* [N,size] of the largest stage */
    double *whole, *gradient; /* [N,D] of all coefficients; NULL if nothing is observed */
    wf_real *image, *dimage;  /* [N,H,W,C] whole pictures, gradients by them; NULL if nothing is measured */
    double *grey, *dgrey;     /* the same on the host, in pixel units */
    uint64_t computed;
};

/* Computes coefficients and low-pass pictures of all stages, for count <= N positions. */
int wf_anneal_raise(wf_anneal *a, int count, const int *chain, const double *x) WF_MUST;

/* Rows of the next batch of n, after the first `at`. */
static inline int wf_anneal_rows_at(const wf_anneal *a, int n, int at)
{
    return n - at < a->most ? n - at : a->most;
}

/* Allocates whole pictures of a batch, if pictures are measured. */
int wf_anneal_open_images(wf_anneal *a) WF_MUST;

/* Adds the measurements' log densities to logp [count], and uploads their gradients by the pictures. Does nothing if
 * nothing is measured. */
int wf_anneal_add_measured(wf_anneal *a, int count, const int *chain, double *logp) WF_MUST;

#endif
