/* backend.h - the only door to the compute library.
 *
 * A backend is one struct of function pointers; a comment per slot is its specification. `ref` is naive double precision
 * (the oracle), `cpu` is oneDNN (its convolutions and its sgemm) and OpenMP in single precision, `cuda` is a plugin
 * opened at run time.
 *
 * Letters: N batch, H W height and width, P = H*W pixels, C image channels, K coefficient channels.
 *
 * Memory. `wf_real *` points to the backend's own memory and number type (b->real bytes each: 4, in ref 8). `wf_map *`
 * is a feature map [N,H,W,C] in a layout and precision that only the backend knows. `double *` marked "device" is
 * backend memory too. All other pointers are host memory. Nothing here may be dereferenced above kernels/ except host
 * memory. Buffers do not overlap unless a slot says "in place".
 *
 * Order. Calls on one backend run in order. Results are in host memory only after `download` or `readback_end`.
 *
 * Errors. WF_OK or a code of lib/status.h with its message set: WF_AGAIN out of memory (with the size), WF_IO device
 * lost, WF_INTERNAL a library call failed.
 *
 * Determinism. Same inputs, same shape, same number of threads: same bits. A picture's result never depends on the other
 * pictures of its batch, but for the weight gradients. Another N is another shape, and may round otherwise: the matrix
 * products of cpu's 1x1 and 2x2 convolutions do. Who needs the same bits for any number of pictures pads a fixed N. */
#ifndef WF_BACKEND_H
#define WF_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../lib/base/linkage.h"
#include "../lib/base/dtype.h"
#include "../lib/base/signal.h"
#include "../lib/base/philox.h"
#include "../lib/base/status.h"

WF_BEGIN

typedef struct wf_real wf_real;           /* opaque: a number in backend memory */
typedef struct wf_map wf_map;             /* opaque: a feature map in backend memory */
typedef struct wf_conv wf_conv;           /* opaque: a convolution prepared for one shape */
typedef struct wf_readback wf_readback;   /* opaque: numbers on their way to the host */
typedef struct wf_recording wf_recording; /* opaque: calls to be made again */
typedef struct wf_backend wf_backend;

/* Of feature maps and their convolutions, where the backend has it; sums are in single precision always. */
typedef enum wf_precision {
    WF_FP32,
    WF_BF16, /* 8 bits of every number (wf_backend.bf16) */
    WF_TF32  /* single precision maps; products of 11 bits of every number, where the device has those */
} wf_precision;

typedef struct wf_map_shape {
    int N, H, W, C;
    wf_precision precision;
} wf_map_shape;

/* y = (conv(x, w) + bias) * exp(3 * logs) [+ residual], then relu if asked; stride 1, zero padding k/2, k odd.
 * w [out,k,k,in], of sounds [out,k,in], of volumes [out,k,k,k,in]; bias [out], logs [out]. An actnorm after a convolution and the
 * scaled zero convolution of Glow are both of
 * this form. */
typedef struct wf_conv_spec {
    int N, H, W;
    int in, out, k;
    bool relu;
    bool residual;
    wf_precision precision;
    wf_signal signal; /* what H and W are sides of */
    int D;            /* slices of volumes; else not looked at */
} wf_conv_spec;

/* The parameters of a convolution and their gradients, as many (all NULL: not wanted), and memory of conv_folded_bytes for what
 * conv_fold makes of them (NULL: each call makes its own). */
typedef struct wf_weights {
    const wf_real *w, *bias, *logs;
    wf_real *dw, *dbias, *dlogs;
    void *folded, *dfolded;
} wf_weights;

/* The same for all signals: D slices of H x W, and a kernel of d x h x w. */
typedef struct wf_conv_box {
    int D, H, W, d, h, w;
} wf_conv_box;

static inline wf_conv_box wf_conv_box_of(const wf_conv_spec *s)
{
    int D = s->signal == WF_VOLUME ? s->D : 1;
    return (wf_conv_box){D, s->H / D, s->W, s->signal == WF_VOLUME ? s->k : 1, s->signal == WF_SOUND ? 1 : s->k, s->k};
}

static inline int wf_conv_taps(const wf_conv_spec *s)
{
    int taps = 1;
    for (int i = 0; i < wf_axes(s->signal); i++)
        taps *= s->k;
    return taps;
}

/* Everything positive, k odd, and rows that the slices divide. */
static inline bool wf_conv_good(const wf_conv_spec *s)
{
    return s->N > 0 && s->H > 0 && s->W > 0 && s->in > 0 && s->out > 0 && s->k > 0 && s->k % 2 == 1 &&
           (s->signal != WF_SOUND || s->H == 1) && (s->signal != WF_VOLUME || (s->D > 0 && s->H % s->D == 0));
}

/* A strided copy: to[o*to_outer + i*to_inner + e] = from[o*from_outer + i*from_inner + e] for o < outer, i < inner, e < run. No
 * element of `to` is met twice. */
typedef struct wf_runs {
    size_t outer, inner, run;
    size_t from_outer, from_inner, to_outer, to_inner; /* in reals */
    bool add;                                          /* to what is there */
} wf_runs;

/* Bijectors that are one K x K matrix and one offset per pixel; neighbours fold into a single matrix.
 * params and grads, K long unless given:
 *   ACTNORM  b, l              y = (x + b) * exp(3 * l)
 *   DENSE    w [K,K]           y = w x
 *   LU       p, sign, l [K,K], u [K,K], logs     y = P (strictly lower l + 1) (strictly upper u + diag(sign*exp(logs))) x
 *            (Pv)[i] = v[p[i]]; p and sign are constants: their gradients are zero, as are those of unused triangles
 *   HOUSEHOLDER  v [reflections,K]     y = H .. H x, the first v first, H = 1 - 2 v v' / (v' v)
 *   PERMUTATION  p           y = P x, P and the gradient of p as above */
typedef enum wf_linear_kind {
    WF_LINEAR_ACTNORM,
    WF_LINEAR_DENSE,
    WF_LINEAR_LU,
    WF_LINEAR_HOUSEHOLDER,
    WF_LINEAR_PERMUTATION
} wf_linear_kind;

typedef struct wf_linear_part {
    wf_linear_kind kind;
    const wf_real *params;
    wf_real *grads;  /* written by linear_backward */
    int reflections; /* of HOUSEHOLDER */
} wf_linear_part;

/* Folded group: y = A x + a,  x = B y + b.  Device memory, A and B [K,K] (row = output channel), a and b [K]. */
typedef struct wf_linear {
    wf_real *A, *a, *B, *b;
    double *logdet; /* device [1]: log|det A|, per pixel, nats */
} wf_linear;

/* A run of `count` parts, applied in order 0, 1, .. */
typedef struct wf_linear_run {
    int K, count;
    const wf_linear_part *parts;
    wf_linear folded;       /* of linear_fold, which fills all of it */
    const wf_real *dA, *da; /* of linear_backward: [K,K], [K], the gradient of the loss by A and a */
    double dlogdet;         /* and by logdet */
} wf_linear_run;

/* Elementwise transforms y = T(x; theta), increasing in x; a row is a kind and its body (kernels/body/NAME.h). theta = 0 is the
 * identity or near it.
 *   ADDITIVE        t               y = x + t
 *   AFFINE_TANH     s, t            y = (x + t) exp(tanh s)
 *   AFFINE_SIGMOID  s, t            y = (x + t) sigmoid(s + 2)
 *   AFFINE_EXP      s, t            y = (x + t) exp(clamp s), clamp to +-5 here and below
 *   RQSPLINE        3 count - 1     rational-quadratic spline of `count` pieces between -bound and bound, the identity outside
 *   MIXLOGISTIC     3 count + 2     logit of the cumulative distribution of a mixture of `count` logistics, then affine
 *   SOS             1 + count (degree + 1)   integral of a sum of `count` squares of polynomials, a straight line beyond +-bound */
#define WF_TRANSFORMS(row)                                                                    \
    row(ADDITIVE, additive) row(AFFINE_TANH, affine_tanh) row(AFFINE_SIGMOID, affine_sigmoid) \
        row(AFFINE_EXP, affine_exp) row(RQSPLINE, rqspline) row(MIXLOGISTIC, mixlogistic) row(SOS, sos)

typedef enum wf_transform_kind {
#define WF_TRANSFORM_KIND(KIND, name) WF_TRANSFORM_##KIND,
    WF_TRANSFORMS(WF_TRANSFORM_KIND)
#undef WF_TRANSFORM_KIND
} wf_transform_kind;

typedef struct wf_transform {
    wf_transform_kind kind;
    int count, degree;
    double bound;
} wf_transform;

/* m, the numbers of theta for each element: at most WF_TRANSFORM_MAX_PARAMETERS. */
enum { WF_TRANSFORM_MAX_PARAMETERS = 64 };
static inline int wf_transform_parameters(const wf_transform *t)
{
    switch (t->kind) {
    case WF_TRANSFORM_ADDITIVE:
        return 1;
    case WF_TRANSFORM_AFFINE_TANH:
    case WF_TRANSFORM_AFFINE_SIGMOID:
    case WF_TRANSFORM_AFFINE_EXP:
        return 2;
    case WF_TRANSFORM_RQSPLINE:
        return 3 * t->count - 1;
    case WF_TRANSFORM_MIXLOGISTIC:
        return 3 * t->count + 2;
    case WF_TRANSFORM_SOS:
        return 1 + t->count * (t->degree + 1);
    }
    return 0;
}

/* Which elements of [N,H,W,K] move, and how: channels [first, first + moved), at all pixels or at those of which row + column is
 * even or odd. The others are kept. */
typedef enum wf_pixels { WF_EVERY_PIXEL, WF_EVEN_PIXELS, WF_ODD_PIXELS } wf_pixels;
typedef struct wf_coupling {
    int H, W, K, first, moved;
    wf_pixels pixels;
    wf_transform transform;
} wf_coupling;

/* Whom a pixel attends to: all pixels of its picture, or those up to itself in reading order, or those from itself on. */
typedef enum wf_reach { WF_REACH_ALL, WF_REACH_BEFORE, WF_REACH_AFTER } wf_reach;

/* Counter-based randomness, Philox4x32-10 (Salmon et al. 2011): a number depends on these and its element alone. */
typedef struct wf_random {
    uint64_t seed;
    uint32_t purpose; /* one of enum wf_purpose (philox.h) */
    uint64_t step;
} wf_random;

/* Glow's Adamax and the moving average of the weights, in one pass:
 *   m = beta1 m + (1-beta1) g;  u = max(beta2 u, |g|);  w -= rate m / (u + eps);  ema += (1-decay) (w - ema)
 * with rate = lr sqrt(1-beta2^t) / (1-beta1^t) worked out by the caller. */
typedef struct wf_adamax {
    double rate, beta1, beta2, eps, decay;
} wf_adamax;

struct wf_backend {
    const char *name; /* "ref", "cpu", "cuda:0" */
    char device[128]; /* for people: processor or card, libraries and versions */
    size_t real;      /* bytes of a wf_real */
    bool host;        /* a wf_real is a float in host memory: such buffers may be read and written as float [n] */
    bool bf16;        /* WF_BF16 feature maps are really bf16; else they are as exact as WF_FP32 ones */
    bool queued;      /* calls return before their work is done: keep some ahead, and wait seldom */
    int threads;
    size_t memory; /* bytes that a flow may plan to fill */

    void (*close)(wf_backend *b);

    /* -- memory ------------------------------------------------------------------------------------------------- */
    int (*alloc)(wf_backend *b, size_t bytes, void **out); /* 64-byte aligned, not cleared; WF_AGAIN */
    void (*free)(wf_backend *b, void *memory);             /* NULL is allowed */
    int (*upload)(wf_backend *b, wf_real *to, const void *from, wf_dtype dtype,
                  size_t n); /* host F32 or F64 to device */
    int (*download)(wf_backend *b, void *to, wf_dtype dtype, const wf_real *from, size_t n); /* waits */
    int (*download_double)(wf_backend *b, double *to, const double *from, size_t n);         /* device double; waits */
    /* The same without waiting: `readback_begin` takes the numbers as they are at that point of the order, `readback_end` waits for them
     * and ends the post. `to` NULL: they are dropped. */
    int (*readback_begin)(wf_backend *b, const double *from, size_t n, wf_readback **out);
    int (*readback_end)(wf_backend *b, wf_readback *readback, double *to);
    int (*zero)(wf_backend *b, void *memory, size_t bytes);
    int (*copy)(wf_backend *b, wf_real *to, const wf_real *from, size_t n);
    int (*copy_runs)(wf_backend *b, const wf_runs *runs, wf_real *to, const wf_real *from);

    /* -- recordings: a sequence of calls made again for the cost of one; all NULL where calls cost nothing ------------- */
    /* Calls after `record` are noted and not run, until `recorded` gives them. Nothing in between may wait for the device.
     * The memory of their arguments must stay; host memory that they read (wf_random, index, wf_adamax) is read again at
     * each `replay`. Make the same calls once before, unrecorded: backends prepare themselves then. */
    int (*record)(wf_backend *b);
    int (*recorded)(wf_backend *b, wf_recording **out);
    int (*replay)(wf_backend *b, wf_recording *recording);
    void (*forget)(wf_backend *b, wf_recording *recording); /* NULL is allowed */

    /* -- small linear algebra: a run of linear bijectors as one matrix --------------------------------------------- */
    int (*linear_fold)(wf_backend *b, int count, const wf_linear_run *runs);
    int (*linear_backward)(wf_backend *b, int count, const wf_linear_run *runs); /* writes every part's grads */
    /* y[p,:] = A x[p,:] + a for pixels [n,K]; in place allowed. */
    int (*mix)(wf_backend *b, size_t n, int K, const wf_real *A, const wf_real *a, const wf_real *x, wf_real *y);
    /* g: dy in, dx = A' dy out, in place; dA = sum dy x', da = sum dy (both overwritten; NULL: not wanted). */
    int (*mix_backward)(wf_backend *b, size_t n, int K, const wf_real *A, const wf_real *x, wf_real *g, wf_real *dA,
                        wf_real *da);

    /* -- couplings: elements that move are transformed by what the others say ------------------------------------------- */
    /* x, y [N,H,W,K]; theta [N,H,W,m,moved]: parameter j of all moved channels lies together. y in place allowed; logdet: device
     * [N], added to: sum over moved elements of log T', each times the weight of its pixel, [N,H,W] (NULL: 1). */
    int (*transform_forward)(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, const wf_real *theta,
                             const wf_real *weight, wf_real *y, double *logdet);
    /* x = T^-1(y; theta); in place allowed; subtracts the sum, all weights 1, from logdet (NULL: not wanted). */
    int (*transform_inverse)(wf_backend *b, const wf_coupling *c, int N, const wf_real *y, const wf_real *theta,
                             wf_real *x, double *logdet);
    /* From the forward's x and theta: g: dy in, dx out, in place (without what flows back through theta); dtheta, like theta,
     * overwritten, 0 where nothing moves; dlogdet: the loss by each logdet, one number for all N; weight as there. */
    int (*transform_backward)(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, const wf_real *theta,
                              const wf_real *weight, wf_real *g, double dlogdet, wf_real *dtheta);
    /* The same for the inverse, from its result x and theta: g: dx in, dy out, in place; dlogdet as above. */
    int (*transform_inverse_backward)(wf_backend *b, const wf_coupling *c, int N, const wf_real *x,
                                      const wf_real *theta, wf_real *g, double dlogdet, wf_real *dtheta);

    /* y = x in the elements that are kept, 0 in the others; or, `add`, added to y. Not in place. */
    int (*mask)(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, bool add, wf_real *y);

    /* -- feature maps ------------------------------------------------------------------------------------------------ */
    size_t (*map_bytes)(wf_backend *b, const wf_map_shape *shape);
    /* map channels = the first `take` of x's K channels, then all C of cond (NULL with C = 0); shape.C = take + C.
     * x [N,H,W,K], or from a later channel on: then `take` from there; cond [N,H,W,C]. */
    int (*pack)(wf_backend *b, const wf_map_shape *shape, int take, int K, const wf_real *x, int C, const wf_real *cond,
                wf_map *map);
    /* Its adjoint, added: dx[.., 0:take] += map[.., 0:take], dcond += map[.., take:] (NULL: not wanted). */
    int (*pack_backward)(wf_backend *b, const wf_map_shape *shape, int take, int K, wf_real *dx, int C, wf_real *dcond,
                         const wf_map *map);
    int (*unpack)(wf_backend *b, const wf_map_shape *shape, const wf_map *map, wf_real *x); /* x [N,H,W,C] */
    /* dy = (dy + add) where y > 0, else 0; in place on dy; add may be NULL. */
    int (*relu_backward)(wf_backend *b, const wf_map_shape *shape, const wf_map *y, const wf_map *add, wf_map *dy);
    /* y = relu(x + first * sigmoid(last)), where ab [N,H,W,2C] has first its C channels `first`, then `last`; shape: of x and y,
     * which may be the same. */
    int (*gate)(wf_backend *b, const wf_map_shape *shape, const wf_map *ab, const wf_map *x, wf_map *y);
    /* dy: gradient before the relu, which is that by x; dab overwritten. */
    int (*gate_backward)(wf_backend *b, const wf_map_shape *shape, const wf_map *ab, const wf_map *dy, wf_map *dab);

    /* y = (x - mean) / sqrt(variance + 1e-5), both over the channels of each pixel (layer normalization, Ba et al. 2016). */
    int (*norm)(wf_backend *b, const wf_map_shape *shape, const wf_map *x, wf_map *y);
    /* dx overwritten: the gradient by x, from that by y, plus `add` (NULL: nothing). */
    int (*norm_backward)(wf_backend *b, const wf_map_shape *shape, const wf_map *x, const wf_map *dy, const wf_map *add,
                         wf_map *dx);

    /* -- attention of pixels to one another, `heads` of d = C / heads channels each (Vaswani et al. 2017, equation 1) ------- */
    /* qkv [N,P,3C]: queries, keys and values; y [N,P,C]: for pixel i the sum of softmax_j(q_i k_j / sqrt(d)) v_j over the j that it
     * reaches. */
    int (*attend)(wf_backend *b, wf_reach reach, int N, int P, int C, int heads, const wf_real *qkv, wf_real *y);
    int (*attend_backward)(wf_backend *b, wf_reach reach, int N, int P, int C, int heads, const wf_real *qkv,
                           const wf_real *dy, wf_real *dqkv); /* dqkv overwritten */

    /* -- convolutions ------------------------------------------------------------------------------------------------ */
    int (*conv_create)(wf_backend *b, const wf_conv_spec *spec, wf_conv **out); /* costly: create once per shape */
    void (*conv_destroy)(wf_backend *b, wf_conv *conv);
    /* residual (if the spec says so) [N,H,W,out] may be y itself. */
    int (*conv_forward)(wf_backend *b, wf_conv *conv, const wf_weights *weights, const wf_map *x,
                        const wf_map *residual, wf_map *y);
    /* dy: gradient by y, what forward gave. Where the spec has a relu it is made that before the relu, in place and before all
     * else: dy = (dy + add) where y > 0, else 0; add may be NULL, and be dx. Where it has none, y and add are not looked at.
     * dx overwritten (NULL: not wanted); so are dw, dbias, dlogs, if wanted. */
    int (*conv_backward)(wf_backend *b, wf_conv *conv, const wf_weights *weights, const wf_map *x, const wf_map *y,
                         const wf_map *add, wf_map *dy, wf_map *dx);
    /* What all convolutions of a flow make of their weights, made together; all three NULL where that costs no more one by one.
     * With `folded`, conv_forward and conv_backward want conv_fold before them, with the same w, bias and logs; with `dfolded`,
     * dw, dbias and dlogs are there after conv_unfold. */
    size_t (*conv_folded_bytes)(wf_backend *b, const wf_conv *conv, bool gradient); /* of dfolded, else of folded */
    int (*conv_fold)(wf_backend *b, int count, wf_conv *const *convs, const wf_weights *weights);
    int (*conv_unfold)(wf_backend *b, int count, wf_conv *const *convs, const wf_weights *weights);

    /* -- densities and noise ----------------------------------------------------------------------------------------- */
    /* logp: device [N], added to: log density of the standard normal of z [N,P,K], that of each pixel times its weight, [N,P]
     * (NULL: 1). dz = -scale * weight * z. Either of logp and dz may be NULL: not wanted. */
    int (*gaussian)(wf_backend *b, int N, int P, int K, const wf_real *z, const wf_real *weight, double *logp,
                    double scale, wf_real *dz);
    /* u [N,D] = sigmoid(factor v), in (0,1); logp: device [N], added to: sum of log du/dv. Not in place. */
    int (*squash)(wf_backend *b, int N, size_t D, double factor, const wf_real *v, wf_real *u, double *logp);
    /* From the same v [n]: g: gradient by u in, by v out, in place, scale * sum of log du/dv being part of the loss. */
    int (*squash_backward)(wf_backend *b, size_t n, double factor, const wf_real *v, double scale, wf_real *g);
    /* z [N,D] = temperature * standard normal; picture n uses index[n] (host). */
    int (*normal)(wf_backend *b, const wf_random *random, int N, size_t D, const uint64_t *index, double temperature,
                  wf_real *z);
    /* Dequantizes and scales in place, with what uniform noise on whole pixels is at this level. `uniforms`: 4 to the power of
     * the number of halvings that lie between the resolution of low+detail (or of low alone when detail is NULL, the base)
     * and the pixels; for a base by Haar any power of two. low [N,H,W,C] = (low + low-pass of the noise) * scale - 1/2;
     * detail [N,H,W,3C] = (detail + its details) * scale. random NULL: no noise, its mean instead (1/2 in low, 0 in detail), whatever the taps. index: host [N]. taps as of
     * dwt (host).
     *
     * Haar: noise is the mean of `uniforms` independent U[0,1), exactly; above 64 the normal of the same mean and variance.
     * Others, whose blocks overlap: up to one halving between, pixels of U[0,1) go through the transforms themselves, exactly.
     * Further down a normal for each coefficient, independent, since the transform of white noise is white. All levels
     * together lose at most 1e-4 bits/dim by either (tests/test_dequantize.c; in fact 2.5e-5). A patch has the noise of a whole
     * picture of its size. */
    int (*dequantize)(wf_backend *b, const wf_random *random, const double *taps, int count, int64_t uniforms, int N,
                      int H, int W, int C, const uint64_t *index, double scale, wf_real *low, wf_real *detail);
    int (*scale)(wf_backend *b, size_t n, double factor, double offset, wf_real *x); /* x = factor x + offset */

    /* -- optimizer ----------------------------------------------------------------------------------------------------- */
    /* bad: device [1]. Where it is not 0, nothing changes; when an element of g is not finite, it alone does, to 1. */
    int (*adamax)(wf_backend *b, const wf_adamax *rule, size_t n, wf_real *w, wf_real *m, wf_real *u, wf_real *ema,
                  const wf_real *g, double *bad);
    /* bad becomes 1 when one of `values`, device [n], is not finite. */
    int (*guard)(wf_backend *b, size_t n, const double *values, double *bad);

    /* -- wavelets, separable, periodic; taps h of the orthonormal low-pass (host, Haar: 2 of sqrt(1/2)), `count` even ----
     * Along an axis of n: low[i] = sum_k h[k] x[(2i + k - (count/2-1)) mod n], high likewise with (-1)^k h[count-1-k]; n may be
     * smaller than count. Detail channel = 3*colour + 0 high along the row, 1 high along the column, 2 along both. */
    /* x [N,H,W,C], H and W even -> low [N,H/2,W/2,C] (times 1/2, so that it is an average), detail [N,H/2,W/2,3C]. */
    int (*dwt)(wf_backend *b, const double *taps, int count, int N, int H, int W, int C, const wf_real *x, wf_real *low,
               wf_real *detail);
    int (*idwt)(wf_backend *b, const double *taps, int count, int N, int H, int W, int C, const wf_real *low,
                const wf_real *detail, wf_real *x); /* H, W: those of x */
    /* The same along one axis only: x [outer,n,inner], n even -> low and high [outer,n/2,inner], times their gains. Of these
     * lib/pyramid/dwt.c makes the transforms of signals of other than two axes. */
    int (*dwt_axis)(wf_backend *b, const double *taps, int count, size_t outer, int n, size_t inner, double low_gain,
                    double high_gain, const wf_real *x, wf_real *low, wf_real *high);
    int (*idwt_axis)(wf_backend *b, const double *taps, int count, size_t outer, int n, size_t inner, double low_gain,
                     double high_gain, const wf_real *low, const wf_real *high, wf_real *x); /* n: that of x */
};

/* spec: "auto" (cuda if there, else cpu), "cpu", "cuda", "cuda:N", "ref". threads: total, 0: all, or OMP_NUM_THREADS.
 * WF_USAGE with what is missing when the backend is not built or has no device: only then does auto turn to cpu. Other codes:
 * it is there and does not work. */
int wf_backend_open(const char *spec, int threads, wf_backend **out) WF_MUST;

/* Row `i` of the backend table for wf-info: name, and in `text` its device or why it is not there; false past the end. */
bool wf_backend_describe(int i, const char **name, char text[256]);

/* The element `i` places after p. */
static inline wf_real *wf_at(const wf_backend *b, const wf_real *p, size_t i)
{
    return (wf_real *)((const char *)p + i * b->real);
}

/* Allocates n reals, not cleared; WF_AGAIN. b->free gives them back. */
static inline int wf_alloc_reals(wf_backend *b, size_t n, wf_real **out)
{
    void *memory = NULL;
    int status = b->alloc(b, n * b->real, &memory);
    *out = (wf_real *)memory;
    return status;
}

/* As wf_alloc_reals, for n device doubles. */
static inline int wf_alloc_doubles(wf_backend *b, size_t n, double **out)
{
    void *memory = NULL;
    int status = b->alloc(b, n * sizeof(double), &memory);
    *out = (double *)memory;
    return status;
}

int wf_ref_open(int threads, wf_backend **out) WF_MUST;
int wf_cpu_open(int threads, wf_backend **out) WF_MUST;

WF_END

#endif
