/* bijector.h - the contract of a bijector, one word of a chain: one file in lib/flow/bijectors/, one row in
 * WF_BIJECTORS.
 *
 * To add one: write lib/flow/bijectors/NAME.c with a `const wf_bijector_type wf_bijector_NAME`, and add row(NAME)
 * below. The tests walk the registry and need no new code. They check the inverse, the log-determinant against a
 * numeric Jacobian and every gradient against finite differences. An elementwise coupling is shorter still: coupling.h
 * has all but the transform.
 *
 * A bijector is one of four things, and fills in the functions of one:
 *
 *     linear      one K x K matrix per pixel: `linear`, and a wf_linear_kind set by create; the flow folds neighbours
 *     reshaping   an orthonormal map to another shape (squeeze, split, haar): `reshape`
 *     encoder     replaces the condition of all later bijectors, not the state: `encode`, `encode_backward`
 *     any other   `forward`, `inverse`, `backward`, `inverse_backward`
 *
 * They compute on the device, through kernels/backend.h. `create` announces parameters and the bytes of tape and work;
 * the flow allocates them and hands them to the other functions. Those return a status: 0, or what the backend failed
 * with. */
#ifndef WF_BIJECTOR_H
#define WF_BIJECTOR_H

#include "../base/linkage.h"
#include "../../kernels/backend.h"
#include "flow_text.h"

WF_BEGIN

#define WF_BIJECTORS(row)                                                                                    \
    row(cond) row(actnorm) row(conv1x1) row(householder) row(shuffle) row(reverse) row(additive) row(affine) \
        row(rqspline) row(mixlogistic) row(sos) row(maskedconv) row(ar) row(squeeze) row(split) row(haar) row(lattice)

/* One parameter tensor. `offset` counts reals from the bijector's first parameter; count: the product of the shape. */
typedef struct wf_param {
    char name[32];
    int rank;
    int64_t shape[5];
    size_t offset, count;
} wf_param;

/* A convolution of a bijector. w, bias, logs: offsets of its parameters from the bijector's first. folded, dfolded:
 * device memory of the flow for the backend's own form of weights and gradients; NULL where the backend has no such
 * form. */
typedef struct wf_bijector_conv {
    wf_conv *conv;
    size_t w, bias, logs;
    void *folded, *dfolded;
} wf_bijector_conv;

/* Memory of a flow for maps that backward rebuilds, shared by all nets. It holds those of `net` for the pass on `tape`,
 * or nothing: NULL. */
typedef struct wf_spare {
    void *memory;
    size_t bytes; /* the most that a net asked for */
    const void *net, *tape;
} wf_spare;

/* Replaces the moments of this process's part of a batch, *n values in each of K channels, by those of the whole batch,
 * whose other parts are elsewhere, and *n by its number. moments: host [2,K], means and variances (over n, not n - 1).
 */
typedef int wf_pool_moments(void *user, size_t *n, int K, double *moments);

/* The shape of the state between two bijectors, and all they share while it lasts. A flow has one per shape, fixed at
 * creation. N, H, W, K as in backend.h. C: channels of the condition [N,H,W,C], 0 at the base. H = W = 0: a flow that
 * only lists its parameters and never runs; `create` must then work without memory for pixels. */
typedef struct wf_shares wf_shares;
typedef struct wf_stage_shape {
    wf_backend *backend;
    int N, H, W, K, C;
    wf_signal signal;      /* picture, sound or volume: the dimensions of a net's kernels */
    int D;                 /* slices of volumes */
    int kernel;            /* side of spatial kernels: 3, or 1 where the level is a single pixel */
    bool lean;             /* backward computes again what is cheap, as flow.h says */
    bool keep;             /* tapes hold all of a forward pass for backward; otherwise maps share memory */
    const wf_real *weight; /* factor of each pixel's log-determinant in forward, device [N,H,W]; NULL: 1 */
    wf_shares *shares;     /* of pixels in the log density of forward, unweighted, owned by the flow; NULL: not kept */
    wf_precision precision;
    struct wf_planned {
        wf_conv_spec spec;
        wf_conv *conv;
    } * convs; /* one per distinct spec, shared by all bijectors */
    int conv_count;
    wf_spare *spare;       /* one for all shapes, owned by the flow */
    wf_real *cond, *dcond; /* the condition in this shape and its gradient, owned by the flow; NULL: the caller's */
    struct wf_stage_shape *next; /* the shape after the next reshaping bijector or encoder; NULL: none follows */
    struct wf_bijector *encoder; /* the encoder that made this shape's condition; NULL: it was reshaped or unchanged */
    int bits, halvings;          /* of pixels; from them to the low-pass. bits 0: coefficients are not whole numbers */
    bool learnt;                 /* an encoder, here or earlier, made part of the condition */
    wf_pool_moments *pool;       /* of the data-dependent initialization; NULL: the batch is all here */
    void *pool_user;
} wf_stage_shape;

/* The convolution for `spec`, whose N, sides, signal and precision are filled in here. Owned by the shape, valid as
 * long as the flow; equal specs share one. *out is NULL where H = 0. */
int wf_stage_conv(wf_stage_shape *shape, wf_conv_spec spec, wf_conv **out) WF_MUST;

typedef struct wf_bijector_type wf_bijector_type;

/* A radius of more rows than a picture has: a pixel may depend on all others. */
enum { WF_RADIUS_ALL = 1 << 20 };

typedef struct wf_bijector {
    const wf_bijector_type *type;
    wf_stage_shape *shape, *after; /* of its input and of its output: equal unless it reshapes or encodes */
    wf_param *params;
    int param_count;
    wf_bijector_conv *convs;
    int conv_count;
    int radius; /* rows and columns to the farthest pixel that a pixel depends on, either way: the sum over its
                 * convolutions, unless create sets WF_RADIUS_ALL or attention does */
    size_t offset, count;  /* its parameters in the flow's parameter vector, in reals */
    wf_linear_kind linear; /* if type->linear */
    int reflections;       /* of WF_LINEAR_HOUSEHOLDER */
    size_t tape_bytes; /* memory that forward fills for backward; scratch of forward if the flow never runs backward */
    size_t work_bytes; /* scratch of backward */
    void *own;         /* private to the type; `destroy` frees it */
} wf_bijector;

/* Rounds up to whole cache lines of 64 bytes, so that the next array starts on one. */
static inline size_t wf_round64(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

typedef struct wf_bijector_option {
    const char *key;
    int standard, low, high;  /* default and inclusive range; a default outside the range means that `create` chooses */
    const char *const *names; /* values by name, NULL at the end, low and high unused; NULL: the value is a number */
    const char *meaning;      /* for the manual, without a full stop */
    const char *otherwise;    /* the default in words, where `standard` is outside the range */
} wf_bijector_option;

enum { WF_BIJECTOR_MAX_OPTIONS = 8 };

struct wf_bijector_type {
    const char *name;
    const char *summary; /* what the word computes, for the manual: a formula or a phrase, and its source */
    bool pictures_only;  /* WF_USAGE for sounds and volumes */
    bool discrete;       /* x is on a lattice: it has no noise, and no gradient (lattice.c) */
    wf_bijector_option options[WF_BIJECTOR_MAX_OPTIONS]; /* a NULL key ends the table */
    bool linear;

    /* Called once with values[i] of options[i], when self->shape is known. Declares parameters (wf_bijector_param,
     * wf_bijector_declare_conv) and sets tape_bytes and work_bytes. WF_USAGE where the shape does not suit. */
    int (*create)(wf_bijector *self, const int *values);
    void (*destroy)(wf_bijector *self); /* frees self->own, also after a failed create; NULL: nothing to free */

    /* Initial parameters, host values [count], zero on entry. NULL: all stay zero. */
    void (*init)(const wf_bijector *self, uint64_t seed, double *values);
    /* Data-dependent initialization from one batch: x [N,H,W,K], cond [N,H,W,C], all on the device. Writes into params
     * [count]. NULL: none. */
    int (*data_init)(wf_bijector *self, wf_real *params, const wf_real *x, const wf_real *cond, void *tape);

    /* Reshaping bijectors: maps input to output, or back; not in place. Orthonormal: log-determinant 0, gradient =
     * inverse. `split` appends the factored-out channels z [N,H,W,K-K'] to the output; they belong to the latent.
     * scratch: device memory of tape_bytes. */
    int (*reshape)(wf_bijector *self, bool back, const wf_real *from, wf_real *to, void *scratch);

    /* Encoders: the condition of all later bijectors, to [N,H,W,C'], from cond [N,H,W,C]. The state does not change. */
    int (*encode)(wf_bijector *self, const wf_real *params, const wf_real *cond, wf_real *to, void *tape);
    /* dto [N,H,W,C']: gradient by `to`. grads [count] is overwritten, dcond [N,H,W,C] added to; NULL skips either. */
    int (*encode_backward)(wf_bijector *self, const wf_real *params, const wf_real *dto, wf_real *dcond, wf_real *grads,
                           void *tape, void *work);

    /* All other bijectors. x, y [N,H,W,K], in place allowed. forward adds log|det dy/dx| of each picture to logdet
     * (device [N], nats), each pixel's share times shape->weight. inverse adds log|det dx/dy|, unweighted; logdet may
     * be NULL there. Both leave the same tape. */
    int (*forward)(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond, wf_real *y,
                   double *logdet, void *tape);
    int (*inverse)(wf_bijector *self, const wf_real *params, const wf_real *y, const wf_real *cond, wf_real *x,
                   double *logdet, void *tape);
    /* After forward, from its input x and its tape. g [N,H,W,K]: gradient by y on entry, by x on return. dlogdet: the
     * loss's derivative by each logdet. grads [count] is overwritten (NULL: skipped); dcond [N,H,W,C] is added to
     * (NULL: skipped). */
    int (*backward)(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond, wf_real *g,
                    wf_real *dcond, double dlogdet, wf_real *grads, void *tape, void *work);
    /* After inverse, from its result x and its tape. g: gradient by x on entry, by y on return. */
    int (*inverse_backward)(wf_bijector *self, const wf_real *params, const wf_real *x, wf_real *g, wf_real *dcond,
                            double dlogdet, void *tape, void *work);
};

#define WF_DECLARE_BIJECTOR(name) extern const wf_bijector_type wf_bijector_##name;
WF_BIJECTORS(WF_DECLARE_BIJECTOR)

/* Row i of the registry; NULL past the end. */
const wf_bijector_type *wf_bijector_row(int i);

/* The bijector called `name`; NULL: there is none. */
const wf_bijector_type *wf_bijector_find(const char *name);

/* Sets values[i] of the options[i] of the bijector that `word` names: the word's own, defaults elsewhere. WF_USAGE for
 * an unknown word or option, or a value out of its range; the message quotes its place in `text`. */
int wf_bijector_values(const char *text, const wf_word *word, int values[WF_BIJECTOR_MAX_OPTIONS]) WF_MUST;

/* Creates the bijector that `word` names, for inputs of `shape` (borrowed). WF_USAGE for an unknown word or option; the
 * message quotes its place in `text`. After an error `out` holds nothing. */
int wf_bijector_create(wf_stage_shape *shape, const char *text, const wf_word *word, wf_bijector *out) WF_MUST;
void wf_bijector_clear(wf_bijector *self);

/* For `create` of a reshaping bijector: its output is [N,H,W,K]. Where H and W are halved, the flow squeezes the
 * condition to 4 C channels. */
int wf_bijector_set_output(wf_bijector *self, int H, int W, int K) WF_MUST;
/* For `create` of an encoder: its condition has C channels. */
int wf_bijector_set_condition(wf_bijector *self, int C) WF_MUST;

/* For `create`: declares the next parameter tensor. Returns its offset, or -1 without memory. */
int64_t wf_bijector_param(wf_bijector *self, const char *name, int rank, const int64_t *shape);

/* For `create`: declares the next convolution (spec as for wf_stage_conv) and its parameters NAME.w [out, k.., in],
 * NAME.b and NAME.l [out]. */
int wf_bijector_declare_conv(wf_bijector *self, const char *name, wf_conv_spec spec) WF_MUST;
/* The parameters of convolution i as the backend takes them, within params and grads [count] (grads NULL: no
 * gradients). */
wf_weights wf_bijector_weights(const wf_bijector *self, int i, const wf_real *params, wf_real *grads);

/* values[0..n) = deviation * standard normal (SplitMix64, Box-Muller). `first` separates tensors of one seed: give the
 * offset in the flow's parameter vector. */
void wf_init_normal(uint64_t seed, uint64_t first, double deviation, double *values, size_t n);

WF_END

#endif
