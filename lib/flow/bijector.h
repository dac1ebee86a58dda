/* bijector.h - what a word of a chain is: one file in lib/bijectors/, one row in the registry below.
 *
 * To add a bijector: write lib/bijectors/NAME.c with a `const wf_bijector_type wf_bijector_NAME`, add the row (for one more
 * elementwise coupling coupling.h has all but the transform). The tests walk the registry: inverse, log-determinant against a numeric Jacobian, gradients against finite differences.
 *
 * A bijector is linear (one K x K matrix per pixel: its kind is a wf_linear_kind, neighbours are folded into one product by
 * the flow and need no code here), or a move (an orthonormal map to another shape), or has forward, inverse and backward of
 * its own. */
#ifndef WF_BIJECTOR_H
#define WF_BIJECTOR_H

#include "../base/linkage.h"
#include "../../kernels/backend.h"
#include "flow_text.h"

WF_BEGIN

#define WF_BIJECTORS(row)                                                                                    \
    row(cond) row(actnorm) row(conv1x1) row(householder) row(shuffle) row(reverse) row(additive) row(affine) \
        row(rqspline) row(mixlogistic) row(sos) row(maskedconv) row(ar) row(squeeze) row(split) row(haar)

/* One parameter tensor; `offset` counts from the bijector's first parameter. */
typedef struct wf_param {
    char name[32];
    int rank;
    int64_t shape[5];
    size_t offset, count;
} wf_param;

/* A convolution of a bijector: offsets of its parameters in the bijector's, and the flow's memory for what the backend makes of
 * them and of their gradients (NULL: none). */
typedef struct wf_bijector_conv {
    wf_conv *conv;
    size_t w, bias, logs;
    void *folded, *dfolded;
} wf_bijector_conv;

/* Where bijectors work: one for each shape that a state takes on its way, fixed when the flow is created. Letters as in
 * backend.h; C: conditioning channels, 0 at the base. H = W = 0: parameters are all that is wanted. */
typedef struct wf_stage_shape {
    wf_backend *backend;
    int N, H, W, K, C;
    wf_signal signal;      /* of whose neighbours the nets know */
    int D;                 /* slices of volumes */
    int kernel;            /* side of spatial kernels: 3, or 1 where the level is a single pixel */
    bool keep;             /* tapes keep what backward needs */
    const wf_real *weight; /* of each pixel in log-determinants of forward, device [N,H,W]; NULL: 1 */
    wf_precision precision;
    struct wf_planned {
        wf_conv_spec spec;
        wf_conv *conv;
    } * convs; /* one per different shape, shared by all bijectors */
    int conv_count;
    wf_real *cond, *dcond;       /* the condition in this shape and its gradient, the flow's; NULL: the caller's */
    struct wf_stage_shape *next; /* after the next move, or word that acts on the condition: */
    struct wf_bijector *encoder; /* the latter, if it leads here */
    bool learnt;                 /* the condition is what an encoder has made of it */
} wf_stage_shape;

/* The convolution for `spec` (N, sides and precision are filled in here); owned by the shape. */
int wf_stage_conv(wf_stage_shape *shape, wf_conv_spec spec, wf_conv **out) WF_MUST;

typedef struct wf_bijector_type wf_bijector_type;

typedef struct wf_bijector {
    const wf_bijector_type *type;
    wf_stage_shape *shape, *after; /* of its input, of its output */
    wf_param *params;
    int param_count;
    wf_bijector_conv *convs;
    int conv_count;
    size_t offset, count;  /* its place in the flow's parameter vector, in reals */
    wf_linear_kind linear; /* if type->linear */
    int reflections;       /* of WF_LINEAR_HOUSEHOLDER */
    size_t tape_bytes;     /* what forward leaves for backward; scratch of forward when nothing is kept */
    size_t work_bytes;     /* scratch of backward */
    void *own;             /* private to the type */
} wf_bijector;

/* Bytes in whole cache lines, so that what lies behind begins with one. */
static inline size_t wf_round64(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

typedef struct wf_bijector_option {
    const char *key;
    int standard, low,
        high; /* default and inclusive range; a default outside of it: what is not given is left to the word */
    const char *const *names; /* the value is the place of one of these, NULL at their end; NULL: it is a number */
    const char *meaning;      /* for the manual, without a stop */
    const char *otherwise;    /* the default in words, where `standard` is out of range */
} wf_bijector_option;

enum { WF_BIJECTOR_MAX_OPTIONS = 8 };

struct wf_bijector_type {
    const char *name;
    const char *summary; /* what the word computes, for the manual: a formula or a phrase, and its source */
    bool pictures_only;  /* WF_USAGE for sounds and volumes */
    wf_bijector_option options[WF_BIJECTOR_MAX_OPTIONS]; /* a NULL key ends them */
    bool linear;

    /* values[i] is that of options[i]. Declares parameters with wf_bijector_param, sets sizes. */
    int (*create)(wf_bijector *self, const int *values);
    void (*destroy)(wf_bijector *self); /* NULL: nothing to free */

    /* Initial parameters, host [count], already zero. NULL: they stay so. */
    void (*init)(const wf_bijector *self, uint64_t seed, double *values);
    /* Data-dependent initialization from one batch: x [N,H,W,K], cond [N,H,W,C]; NULL: none. params: device. */
    int (*data_init)(wf_bijector *self, wf_real *params, const wf_real *x, const wf_real *cond, void *tape);

    /* Of moves, not in place: from its input to its output or, `back`, the other way. Being orthonormal, it is its own
     * gradient's inverse, and has no log-determinant. Inputs fill their shape's shape; an output does so too, and what it
     * has no room for, z [N,H,W,K-K'], lies behind it: parked there, it is part of the latent. scratch: tape_bytes. */
    int (*reshape)(wf_bijector *self, bool back, const wf_real *from, wf_real *to, void *scratch);

    /* Of words that leave the state alone and make the condition of all that follows, to [N,H,W,C'] from cond [N,H,W,C]. */
    int (*encode)(wf_bijector *self, const wf_real *params, const wf_real *cond, wf_real *to, void *tape);
    /* dto: the gradient by what it has made; grads overwritten, dcond added to; either NULL: not wanted. */
    int (*encode_backward)(wf_bijector *self, const wf_real *params, const wf_real *dto, wf_real *dcond, wf_real *grads,
                           void *tape, void *work);

    /* Of all others. x, y [N,H,W,K], in place allowed; logdet: device [N], added to, may be NULL in
     * inverse. Forward, and then backward, count a pixel's share of it by the shape's weight. Forward and inverse leave
     * the same tape. */
    int (*forward)(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond, wf_real *y,
                   double *logdet, void *tape);
    int (*inverse)(wf_bijector *self, const wf_real *params, const wf_real *y, const wf_real *cond, wf_real *x,
                   double *logdet, void *tape);
    /* g: gradient by y in, by x out; grads [count] overwritten; dlogdet: gradient by each picture's logdet;
     * dcond [N,H,W,C] added to, may be NULL. */
    int (*backward)(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond, wf_real *g,
                    wf_real *dcond, double dlogdet, wf_real *grads, void *tape, void *work);
    /* The same through the inverse: from its result x and the tape that it left; g: gradient by x in, by y out. */
    int (*inverse_backward)(wf_bijector *self, const wf_real *params, const wf_real *x, wf_real *g, wf_real *dcond,
                            double dlogdet, void *tape, void *work);
};

#define WF_DECLARE_BIJECTOR(name) extern const wf_bijector_type wf_bijector_##name;
WF_BIJECTORS(WF_DECLARE_BIJECTOR)

/* Row i of the registry, NULL past the end. */
const wf_bijector_type *wf_bijector_row(int i);

/* Makes the bijector that `word` names; WF_USAGE errors point into `text`. */
int wf_bijector_create(wf_stage_shape *shape, const char *text, const wf_word *word, wf_bijector *out) WF_MUST;
void wf_bijector_clear(wf_bijector *self);

/* Of a move that is being created: its output is [N,H,W,K]. Where H and W are halved, the condition is squeezed alike. */
int wf_bijector_set_output(wf_bijector *self, int H, int W, int K) WF_MUST;
/* Of an encoder that is being created: it makes conditions of C channels. */
int wf_bijector_set_condition(wf_bijector *self, int C) WF_MUST;

/* Declares a parameter tensor after those before; its offset, or -1 out of memory. */
int64_t wf_bijector_param(wf_bijector *self, const char *name, int rank, const int64_t *shape);

/* Declares a convolution of `spec`, as wf_stage_conv takes it, with its parameters NAME.w, NAME.b and NAME.l. */
int wf_bijector_declare_conv(wf_bijector *self, const char *name, wf_conv_spec spec) WF_MUST;
/* Those of conv i, for the backend; grads NULL: not wanted. */
wf_weights wf_bijector_weights(const wf_bijector *self, int i, const wf_real *params, wf_real *grads);

/* values[0..n) = deviation * normal; `first` keeps different tensors of one seed apart. */
void wf_init_normal(uint64_t seed, uint64_t first, double deviation, double *values, size_t n);

WF_END

#endif
