/* backend.h - the only door to the compute library.
 *
 * A backend is one struct of function pointers; the comment of a slot is its specification. `ref` is naive double
 * precision (the oracle). `cpu` is single precision by oneDNN (convolutions, sgemm) and OpenMP. `cuda` is a plugin
 * opened at run time.
 *
 * Letters: N batch, H W height and width, P = H*W pixels, C image channels, K coefficient channels, D dimensions.
 *
 * Memory. `wf_real *` points to the backend's own memory and number type, b->real bytes each (4; 8 in ref). `wf_map *`
 * is a feature map [N,H,W,C] in a layout and precision that only the backend knows. `double *` marked "device" is
 * backend memory too. All other pointers are host memory. Code above kernels/ dereferences host memory only. Buffers do
 * not overlap unless a slot says "in place".
 *
 * Order. Calls on one backend run in order. Results are in host memory only after `download` or `readback_end`.
 *
 * Errors. A slot returns WF_OK or a code of lib/base/status.h with its message set: WF_AGAIN out of memory (with the
 * size), WF_IO device lost, WF_INTERNAL a library call failed.
 *
 * Determinism. The same inputs, shape and number of threads give the same bits. A picture's result never depends on the
 * other pictures of its batch; weight gradients are sums over the batch and do. Another N is another shape and may
 * round differently: the matrix products of cpu's 1x1 and 2x2 convolutions do. For results independent of how many
 * pictures are run, pad to a fixed N. */
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

/* The precision of feature maps and their convolutions. Sums are in single precision in all three. */
typedef enum wf_precision {
    WF_FP32,
    WF_BF16, /* bf16 maps: 8 significant bits (see wf_backend.bf16) */
    WF_TF32  /* float maps; products of 11 significant bits where the device has them */
} wf_precision;

typedef struct wf_map_shape {
    int N, H, W, C;
    wf_precision precision;
} wf_map_shape;

/* y = (conv(x, w) + bias) * exp(3 * logs) [+ residual], then relu if asked. Stride 1, zero padding k/2, k odd. The relu
 * of NaN may be 0: that of oneDNN's kernels for bf16 is.
 *   w [out,k,k,in]; sounds [out,k,in]; volumes [out,k,k,k,in]
 *   bias [out], logs [out]
 * An actnorm after a convolution and Glow's scaled zero convolution both have this form. */
typedef struct wf_conv_spec {
    int N, H, W;
    int in, out, k;
    bool relu;
    bool residual;
    wf_precision precision;
    wf_signal signal; /* what H and W are sides of */
    int D;            /* slices of a volume; ignored for other signals */
} wf_conv_spec;

/* The parameters of a convolution, and their gradients of the same shapes (all three NULL: not computed).
 *   folded   memory of conv_folded_bytes for the result of conv_fold (NULL: each call folds again)
 *   dfolded  the same for conv_unfold */
typedef struct wf_weights {
    const wf_real *w, *bias, *logs;
    wf_real *dw, *dbias, *dlogs;
    void *folded, *dfolded;
} wf_weights;

/* A convolution in three dimensions for every signal: D slices of H x W, and a kernel of d x h x w. */
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

/* Checks that all sizes are positive, k is odd, a sound has H = 1, and the D slices of a volume divide H. */
static inline bool wf_conv_good(const wf_conv_spec *s)
{
    return s->N > 0 && s->H > 0 && s->W > 0 && s->in > 0 && s->out > 0 && s->k > 0 && s->k % 2 == 1 &&
           (s->signal != WF_SOUND || s->H == 1) && (s->signal != WF_VOLUME || (s->D > 0 && s->H % s->D == 0));
}

/* A strided copy: to[o*to_outer + i*to_inner + e] = from[o*from_outer + i*from_inner + e] for o < outer, i < inner, e <
 * run. No element of `to` is written twice. */
typedef struct wf_runs {
    size_t outer, inner, run;
    size_t from_outer, from_inner, to_outer, to_inner; /* in reals */
    bool add;                                          /* to += from instead of to = from */
} wf_runs;

/* Bijectors that apply one K x K matrix and one offset to each pixel; neighbours fold into a single matrix. params and
 * grads, [K] unless given:
 *   ACTNORM  b, l              y = (x + b) * exp(3 * l)
 *   DENSE    w [K,K]           y = w x
 *   LU       p, sign, l [K,K], u [K,K], logs   y = P (strictly lower l + 1) (strictly upper u + diag(sign exp(logs))) x
 *            (Pv)[i] = v[p[i]]. p and sign are constants: their gradients are 0, as are those of unused triangles.
 *   HOUSEHOLDER  v [reflections,K]     y = H .. H x, the first v first, H = 1 - 2 v v' / (v' v)
 *   PERMUTATION  p             y = P x; P and the gradient of p as in LU */
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
    wf_real *grads;  /* output of linear_backward */
    int reflections; /* HOUSEHOLDER only */
} wf_linear_part;

/* A folded group: y = A x + a, x = B y + b. Device memory: A, B [K,K] (row = output channel), a, b [K]. */
typedef struct wf_linear {
    wf_real *A, *a, *B, *b;
    double *logdet; /* device [1]: log|det A| per pixel, nats */
} wf_linear;

/* A run of `count` parts, applied in order 0, 1, .. */
typedef struct wf_linear_run {
    int K, count;
    const wf_linear_part *parts;
    wf_linear folded;       /* output of linear_fold, all fields */
    const wf_real *dA, *da; /* inputs of linear_backward: dA [K,K], da [K], the gradient of the loss by A and a */
    double dlogdet;         /* input of linear_backward: its gradient by logdet */
} wf_linear_run;

/* Elementwise transforms y = T(x; params), increasing in x. A row is a kind and its body (kernels/body/NAME.h).
 * The transform of params = 0 is the identity or near it. `clamp` clamps to +-5.
 *   ADDITIVE        t               y = x + t
 *   AFFINE_TANH     s, t            y = (x + t) exp(tanh s)
 *   AFFINE_SIGMOID  s, t            y = (x + t) sigmoid(s + 2)
 *   AFFINE_EXP      s, t            y = (x + t) exp(clamp s)
 *   RQSPLINE        3 count - 1     rational-quadratic spline of `count` pieces on [-bound, bound], identity outside
 *   MIXLOGISTIC     3 count + 2     logit of the distribution function of a mixture of `count` logistics, then affine
 *   SOS             1 + count (degree + 1)   integral of a sum of `count` squared polynomials, linear beyond +-bound */
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

/* Returns m, the number of parameters of one element: at most WF_TRANSFORM_MAX_PARAMETERS. */
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

/* Selects the elements of [N,H,W,K] that a coupling transforms: channels [first, first + moved), at every pixel or at
 * those whose row + column is even or odd. All other elements are kept. */
typedef enum wf_pixels { WF_EVERY_PIXEL, WF_EVEN_PIXELS, WF_ODD_PIXELS } wf_pixels;
typedef struct wf_coupling {
    int H, W, K, first, moved;
    wf_pixels pixels;
    wf_transform transform;
} wf_coupling;

/* A distribution of whole-number wavelet coefficients, one band of one level of pictures under the Haar transform. x
 * holds them in its units: a multiple of 2^-(bits + 2 halvings - 1), or at the base of 2^-(bits + 2 halvings) plus a
 * constant (see dequantize, with random NULL). A coefficient's range follows from the low-pass and from
 * the bands before it (lib/base/lattice.h). Its cell is the interval of the numbers nearest to it. With T = (x + b)
 * exp(3 l),
 *
 *     P(cell) = F(upper edge) - F(lower edge)    F(T) = sum_i softmax(p)_i sigmoid((T - m_i) exp(1 - clamp s_i))
 *     m_i = m'_i + (2i + 1 - components) / components + sum over earlier colours d of the pixel  a_d T_d
 *
 * where F is 0 at the first cell's lower edge and 1 at the last cell's upper edge; `clamp` clamps to +-7 here. */
enum { WF_LATTICE_BASE = -1, WF_LATTICE_MAX_COMPONENTS = 10, WF_LATTICE_MAX_COLOURS = 4, WF_LATTICE_MAX_BITS = 23 };
typedef struct wf_lattice {
    int H, W, C; /* C: colours */
    int cond;    /* channels of the condition, the low-pass first; 0 at the base */
    int band;    /* 0, 1, 2: H, V, D; or WF_LATTICE_BASE */
    int components;
    wf_pixels pixels; /* whose coefficients these are */
    int bits;         /* of a pixel */
    int halvings;     /* from pixels to this low-pass; bits + 2 halvings <= WF_LATTICE_MAX_BITS */
} wf_lattice;

/* Returns the number of parameters of a coefficient: p_i, m'_i, s_i, then a_d. */
static inline int wf_lattice_parameters(const wf_lattice *l)
{
    return 3 * l->components + l->C - 1;
}

/* Returns the channels of x. */
static inline int wf_lattice_channels(const wf_lattice *l)
{
    return l->band == WF_LATTICE_BASE ? l->C : 3 * l->C;
}

/* The pixels that a pixel attends to: the whole picture, those up to itself in reading order, or those from itself
 * on. */
typedef enum wf_reach { WF_REACH_ALL, WF_REACH_BEFORE, WF_REACH_AFTER } wf_reach;

/* Counter-based random numbers, Philox4x32-10 (Salmon et al. 2011). A number depends on these fields and its element
 * alone. */
typedef struct wf_random {
    uint64_t seed;
    uint32_t purpose; /* one of enum wf_purpose (philox.h) */
    uint64_t step;
} wf_random;

/* Glow's Adamax and the moving average of the weights, in one pass:
 *   m = beta1 m + (1-beta1) g;  u = max(beta2 u, |g|);  w -= rate m / (u + eps);  ema += (1-decay) (w - ema)
 * The caller computes rate = lr sqrt(1-beta2^t) / (1-beta1^t). */
typedef struct wf_adamax {
    double rate, beta1, beta2, eps, decay;
} wf_adamax;

/* Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) for matrices, and the moving average:
 *   m = momentum m + (1-momentum) g;  u = momentum m + (1-momentum) g
 *   w -= rate sqrt(max(rows, columns)) O;  ema += (1-decay) (w - ema)
 * O is u with singular values near 1, in place of its own: u / max(|u|, 1e-7), |u| the Frobenius norm, after
 * WF_MUON_STEPS times O = 3.4445 O - 4.7750 O O' O + 2.0315 O O' O O' O. */
typedef struct wf_muon {
    double rate, momentum, decay;
} wf_muon;

enum { WF_MUON_STEPS = 5 };

/* A matrix [rows,columns] in a vector of parameters; `where`: its first element. */
typedef struct wf_matrix {
    size_t where;
    int rows, columns;
} wf_matrix;

struct wf_backend {
    const char *name;   /* "ref", "cpu", "cuda:0" */
    char device[192];   /* text for users: processor or card, libraries and versions */
    char fallback[400]; /* text for users: why "auto" opened the CPU although a card is there; "" otherwise */
    size_t real;        /* bytes of a wf_real */
    bool host;   /* true: a wf_real is a float in host memory, and callers may read and write buffers as float [n] */
    bool bf16;   /* true: WF_BF16 maps are bf16; false: they are as exact as WF_FP32 maps */
    bool queued; /* true: calls return before their work is done; queue several and wait rarely */
    int threads;
    size_t memory;  /* bytes that a flow may plan to use */
    int64_t pixels; /* of all pictures of a batch: as many as keep the device busy and its memory free; at least 4096 */

    void (*close)(wf_backend *b);

    /* -- memory ------------------------------------------------------------------------------------------------- */
    int (*alloc)(wf_backend *b, size_t bytes, void **out); /* 64-byte aligned, not cleared; WF_AGAIN */
    void (*free)(wf_backend *b, void *memory);             /* NULL is allowed */
    int (*upload)(wf_backend *b, wf_real *to, const void *from, wf_dtype dtype, size_t n);   /* from: host F32 or F64 */
    int (*download)(wf_backend *b, void *to, wf_dtype dtype, const wf_real *from, size_t n); /* waits */
    int (*download_double)(wf_backend *b, double *to, const double *from, size_t n); /* from: device doubles; waits */
    /* download_double without waiting: `readback_begin` copies the values as they are at this point of the order.
     * `readback_end` waits for them, writes them to `to` (NULL: drops them) and destroys the readback. */
    int (*readback_begin)(wf_backend *b, const double *from, size_t n, wf_readback **out);
    int (*readback_end)(wf_backend *b, wf_readback *readback, double *to);
    int (*zero)(wf_backend *b, void *memory, size_t bytes);
    int (*copy)(wf_backend *b, wf_real *to, const wf_real *from, size_t n);
    int (*copy_runs)(wf_backend *b, const wf_runs *runs, wf_real *to, const wf_real *from);

    /* -- recordings: a sequence of calls repeated for the cost of one; all NULL where calls cost nothing ----------- */
    /* Calls after `record` are stored, not run, until `recorded` returns them. No call in between may wait for the
     * device. The memory of their arguments must stay valid. Each `replay` reads host arguments again (wf_random,
     * index, wf_adamax, wf_muon), but not the matrices of muon_step. Make the same calls once unrecorded before:
     * backends prepare themselves in that run. */
    int (*record)(wf_backend *b);
    int (*recorded)(wf_backend *b, wf_recording **out);
    int (*replay)(wf_backend *b, wf_recording *recording);
    void (*forget)(wf_backend *b, wf_recording *recording); /* NULL is allowed */

    /* -- small linear algebra: a run of linear bijectors as one matrix --------------------------------------------- */
    int (*linear_fold)(wf_backend *b, int count, const wf_linear_run *runs);     /* writes `folded` of every run */
    int (*linear_backward)(wf_backend *b, int count, const wf_linear_run *runs); /* writes the grads of every part */
    /* y[p,:] = A x[p,:] + a for n pixels of K channels; in place allowed. */
    int (*matvec)(wf_backend *b, size_t n, int K, const wf_real *A, const wf_real *a, const wf_real *x, wf_real *y);
    /* The backward of matvec, for n pixels of K channels:
     *   g   [n,K] dy in, dx = A' dy out, in place
     *   dA  [K,K] sum dy x', overwritten (NULL: not computed)
     *   da  [K]   sum dy, overwritten (NULL: not computed) */
    int (*matvec_backward)(wf_backend *b, size_t n, int K, const wf_real *A, const wf_real *x, wf_real *g, wf_real *dA,
                           wf_real *da);

    /* -- couplings: transform some elements with parameters that a net computed from the others -------------------- */
    /* y = T(x; params) in the transformed elements, y = x in the kept ones.
     *   x, y    [N,H,W,K], y may be x
     *   params  [N,H,W,m,moved]: parameter j of all transformed channels of a pixel is contiguous
     *   weight  [N,H,W] of each pixel (NULL: 1)
     *   logdet  device [N], added to: sum over transformed elements of the pixel's weight times log T' */
    int (*transform_forward)(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, const wf_real *params,
                             const wf_real *weight, wf_real *y, double *logdet);
    /* x = T^-1(y; params); in place allowed. Subtracts the sum of log T', unweighted, from logdet (NULL: not
     * computed). */
    int (*transform_inverse)(wf_backend *b, const wf_coupling *c, int N, const wf_real *y, const wf_real *params,
                             wf_real *x, double *logdet);
    /* The backward of transform_forward, from its x, params and weight:
     *   g        [N,H,W,K] dy in, dx out, in place, without the part that flows through params
     *   dlogdet  gradient of the loss by each logdet, one number for all N
     *   dparams  like params, overwritten; 0 where an element is kept */
    int (*transform_backward)(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, const wf_real *params,
                              const wf_real *weight, wf_real *g, double dlogdet, wf_real *dparams);
    /* The backward of transform_inverse, from its result x and params: g is dx in, dy out, in place. dlogdet and
     * dparams are as in transform_backward. */
    int (*transform_inverse_backward)(wf_backend *b, const wf_coupling *c, int N, const wf_real *x,
                                      const wf_real *params, wf_real *g, double dlogdet, wf_real *dparams);

    /* y = x in the kept elements, 0 in the others. With `add`, y += that value. Not in place. */
    int (*mask)(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, bool add, wf_real *y);

    /* -- whole numbers: wf_lattice --------------------------------------------------------------------------------- */
    /* Writes the latents of one band, standard normal if the distribution is right: z at the middle of a cell's share.
     *   x       [N,H,W,3C], band*C + colour; at the base [N,H,W,C]; read up to this band
     *   cond    [N,H,W,cond]; NULL at the base
     *   norm    [2,channels of x]: b, then l
     *   params  [N,H,W,m,C]
     *   weight  [N,H,W] of each pixel (NULL: 1)
     *   z       like x; this band's channels are written at `pixels`, the rest is untouched. Not in place
     *   logdet  device [N], added to: sum of weight times (log P - log of the cell's width in x - log density of z), so
     *           that with the normal's log density it is that of x */
    int (*lattice_forward)(wf_backend *b, const wf_lattice *l, int N, const wf_real *x, const wf_real *cond,
                           const wf_real *norm, const wf_real *params, const wf_real *weight, wf_real *z,
                           double *logdet);
    /* Writes this band's channels of x at `pixels`: the number whose cell's share has z. Subtracts the same sum,
     * unweighted, from logdet (NULL: not computed). */
    int (*lattice_inverse)(wf_backend *b, const wf_lattice *l, int N, const wf_real *z, const wf_real *cond,
                           const wf_real *norm, const wf_real *params, wf_real *x, double *logdet);
    /* dparams, overwritten: the gradient of dlogdet times the sum of weight times log P; 0 at other pixels and for
     * unused a_d. z has no gradient: its log density cancels. */
    int (*lattice_backward)(wf_backend *b, const wf_lattice *l, int N, const wf_real *x, const wf_real *cond,
                            const wf_real *norm, const wf_real *params, const wf_real *weight, double dlogdet,
                            wf_real *dparams);

    /* -- feature maps ---------------------------------------------------------------------------------------------- */
    size_t (*map_bytes)(wf_backend *b, const wf_map_shape *shape);
    /* Fills a map of shape.C = take + C channels: the first `take` of x's K channels, then all of cond.
     *   x     [N,H,W,K]; a pointer to a later channel of it selects `take` channels from there
     *   cond  [N,H,W,C] (NULL with C = 0) */
    int (*pack)(wf_backend *b, const wf_map_shape *shape, int take, int K, const wf_real *x, int C, const wf_real *cond,
                wf_map *map);
    /* The adjoint of pack, added: dx[.., 0:take] += map[.., 0:take], dcond += map[.., take:] (NULL: not computed). */
    int (*pack_backward)(wf_backend *b, const wf_map_shape *shape, int take, int K, wf_real *dx, int C, wf_real *dcond,
                         const wf_map *map);
    int (*unpack)(wf_backend *b, const wf_map_shape *shape, const wf_map *map, wf_real *x); /* x [N,H,W,C] */
    /* dy = (dy + add) where y > 0, else 0; in place on dy. add may be NULL. */
    int (*relu_backward)(wf_backend *b, const wf_map_shape *shape, const wf_map *y, const wf_map *add, wf_map *dy);
    /* y = relu(x + a * sigmoid(b)). ab [N,H,W,2C] holds the C channels of a, then those of b. shape: that of x and y,
     * which may be the same map. */
    int (*gate)(wf_backend *b, const wf_map_shape *shape, const wf_map *ab, const wf_map *x, wf_map *y);
    /* dy: gradient before the relu, which is also the gradient by x. dab [N,H,W,2C] overwritten. */
    int (*gate_backward)(wf_backend *b, const wf_map_shape *shape, const wf_map *ab, const wf_map *dy, wf_map *dab);

    /* Layer normalization (Ba et al. 2016): y = (x - mean) / sqrt(variance + 1e-5), both over the channels of each
     * pixel. */
    int (*norm)(wf_backend *b, const wf_map_shape *shape, const wf_map *x, wf_map *y);
    /* dx = the gradient by x for a gradient dy by y, plus `add` (NULL: 0); dx is overwritten. */
    int (*norm_backward)(wf_backend *b, const wf_map_shape *shape, const wf_map *x, const wf_map *dy, const wf_map *add,
                         wf_map *dx);

    /* -- attention between the pixels of a picture (Vaswani et al. 2017, equation 1) ------------------------------- */
    /*   qkv  [N,P,3C] queries, keys, values; `heads` of d = C / heads channels each
     *   y    [N,P,C] at pixel i, in each head, the sum of softmax_j(q_i k_j / sqrt(d)) v_j over j in reach */
    int (*attend)(wf_backend *b, wf_reach reach, int N, int P, int C, int heads, const wf_real *qkv, wf_real *y);
    int (*attend_backward)(wf_backend *b, wf_reach reach, int N, int P, int C, int heads, const wf_real *qkv,
                           const wf_real *dy, wf_real *dqkv); /* dqkv overwritten */

    /* -- convolutions ---------------------------------------------------------------------------------------------- */
    int (*conv_create)(wf_backend *b, const wf_conv_spec *spec, wf_conv **out); /* expensive: create once per shape */
    void (*conv_destroy)(wf_backend *b, wf_conv *conv);
    /* residual [N,H,W,out], if the spec has one, may be y itself. */
    int (*conv_forward)(wf_backend *b, wf_conv *conv, const wf_weights *weights, const wf_map *x,
                        const wf_map *residual, wf_map *y);
    /* dy: gradient by y, the result of conv_forward. With a relu in the spec, dy is first replaced in place by the
     * gradient before the relu: dy = (dy + add) where y > 0, else 0. add may be NULL or dx. Without a relu, y and add
     * are ignored.
     *   dx                  overwritten (NULL: not computed)
     *   dw, dbias, dlogs    overwritten (NULL: not computed) */
    int (*conv_backward)(wf_backend *b, wf_conv *conv, const wf_weights *weights, const wf_map *x, const wf_map *y,
                         const wf_map *add, wf_map *dy, wf_map *dx);
    /* Prepares the weights of all convolutions of a flow in one launch. All three slots are NULL where the backend
     * gains nothing by it. With `folded`, call conv_fold before conv_forward and conv_backward, with the same w, bias
     * and logs. With `dfolded`, conv_backward leaves the gradients there, and conv_unfold writes dw, dbias and
     * dlogs. */
    size_t (*conv_folded_bytes)(wf_backend *b, const wf_conv *conv, bool gradient); /* of dfolded, else of folded */
    int (*conv_fold)(wf_backend *b, int count, wf_conv *const *convs, const wf_weights *weights);
    int (*conv_unfold)(wf_backend *b, int count, wf_conv *const *convs, const wf_weights *weights);

    /* -- densities and noise --------------------------------------------------------------------------------------- */
    /* The log density of the standard normal, and its gradient.
     *   z       [N,P,K]
     *   weight  [N,P] of each pixel (NULL: 1)
     *   logp    device [N], added to: sum over pixels of weight times the normal's log density (NULL: not computed)
     *   dz      [N,P,K] = -scale * weight * z (NULL: not computed) */
    int (*gaussian)(wf_backend *b, int N, int P, int K, const wf_real *z, const wf_real *weight, double *logp,
                    double scale, wf_real *dz);
    /* The mean and the variance (over n, not n - 1) of each channel of x [n,K]. moments: device [2,K], overwritten. Not
     * finite for a channel that is not. */
    int (*moments)(wf_backend *b, size_t n, int K, const wf_real *x, double *moments);
    /* u [N,D] = sigmoid(factor v), in (0,1). logp: device [N], added to: sum of log du/dv. Not in place. */
    int (*sigmoid)(wf_backend *b, int N, size_t D, double factor, const wf_real *v, wf_real *u, double *logp);
    /* The backward of sigmoid, from the same v [n]: g is the gradient by u in, by v out, in place. scale * sum of log
     * du/dv is part of the loss. */
    int (*sigmoid_backward)(wf_backend *b, size_t n, double factor, const wf_real *v, double scale, wf_real *g);
    /* z [N,D] = temperature * standard normal. index: host [N]; picture n uses the random numbers of index[n]. */
    int (*normal)(wf_backend *b, const wf_random *random, int N, size_t D, const uint64_t *index, double temperature,
                  wf_real *z);
    /* Dequantizes and scales the coefficients of one level in place, with this level's part of uniform noise on whole
     * pixels.
     *   low       [N,H,W,C]  = (low + low-pass of the noise) * scale - 1/2
     *   detail    [N,H,W,3C] = (detail + details of the noise) * scale; NULL: low alone, the base
     *   uniforms  4^h, h the DWT levels between the pixels and the resolution of low + detail (of low, at the base);
     *             for a Haar base any power of two
     *   random    NULL: no noise but its mean, 1/2 in low and 0 in detail, for any taps
     *   index     host [N]; picture n uses the random numbers of index[n]
     *   taps      as for dwt (host)
     *
     * Haar: a noise value is the mean of `uniforms` independent U[0,1), exactly; above 64 a normal of the same mean and
     * variance. Other wavelets have overlapping blocks: up to uniforms = 4, pixels of U[0,1) go through the transform
     * itself, exactly. Further down each coefficient gets an independent normal, since an orthonormal transform of
     * white noise is white. All levels together lose at most 1e-4 bits/dim by either (2.5e-5 measured,
     * tests/test_dequantize.c). A patch gets the noise of a whole picture of its size. */
    int (*dequantize)(wf_backend *b, const wf_random *random, const double *taps, int count, int64_t uniforms, int N,
                      int H, int W, int C, const uint64_t *index, double scale, wf_real *low, wf_real *detail);
    /* x [n] = factor x + offset, in place. */
    int (*scale)(wf_backend *b, size_t n, double factor, double offset, wf_real *x);

    /* -- optimizer ------------------------------------------------------------------------------------------------- */
    /* Updates w, m, u and ema [n] by wf_adamax. bad: device [1]. Nothing changes if bad is not 0. If an element of g is
     * not finite, only bad changes, to 1. */
    int (*adamax)(wf_backend *b, const wf_adamax *rule, size_t n, wf_real *w, wf_real *m, wf_real *u, wf_real *ema,
                  const wf_real *g, double *bad);
    /* Updates m and u [n] by wf_muon, in two steps of which this is the first. bad and g are as in adamax. */
    int (*muon_momentum)(wf_backend *b, const wf_muon *rule, size_t n, wf_real *m, wf_real *u, const wf_real *g,
                         double *bad);
    /* The second step: updates w and ema by u where the `count` matrices (host) lie in them, and leaves the rest alone.
     * Matrices do not overlap. Nothing changes if bad is not 0. Results do not depend on the number of threads. */
    int (*muon_step)(wf_backend *b, const wf_muon *rule, int count, const wf_matrix *matrices, const wf_real *u,
                     wf_real *w, wf_real *ema, const double *bad);
    /* Sets bad to 1 if one of `values`, device [n], is not finite. */
    int (*guard)(wf_backend *b, size_t n, const double *values, double *bad);

    /* -- wavelets, separable and periodic -------------------------------------------------------------------------- */
    /*   taps  host [count], h of the orthonormal low-pass; count is even (Haar: 2 taps of sqrt(1/2))
     *   low   along an axis of n: low[i] = sum_k h[k] x[(2i + k - (count/2-1)) mod n]; n may be smaller than count
     *   high  the same with (-1)^k h[count-1-k] for h[k]
     * Detail channel = 3*colour + 0 high along the row, 1 high along the column, 2 high along both. */
    /* x [N,H,W,C], H and W even -> low [N,H/2,W/2,C] (times 1/2, so that low is an average), detail [N,H/2,W/2,3C]. */
    int (*dwt)(wf_backend *b, const double *taps, int count, int N, int H, int W, int C, const wf_real *x, wf_real *low,
               wf_real *detail);
    int (*idwt)(wf_backend *b, const double *taps, int count, int N, int H, int W, int C, const wf_real *low,
                const wf_real *detail, wf_real *x); /* H, W: sides of x */
    /* The transform along one axis: x [outer,n,inner], n even -> low and high [outer,n/2,inner], each times its gain.
     * lib/pyramid/dwt.c builds the transforms of sounds and volumes from this slot. */
    int (*dwt_axis)(wf_backend *b, const double *taps, int count, size_t outer, int n, size_t inner, double low_gain,
                    double high_gain, const wf_real *x, wf_real *low, wf_real *high);
    int (*idwt_axis)(wf_backend *b, const double *taps, int count, size_t outer, int n, size_t inner, double low_gain,
                     double high_gain, const wf_real *low, const wf_real *high, wf_real *x); /* n: length in x */
};

/* Opens a backend. spec: "auto", "cpu", "cuda", "cuda:N", "ref". threads: total; 0: OMP_NUM_THREADS, or all. WF_USAGE
 * with what is missing if the backend is not built or has no device. Other codes: it is present but does not work.
 *
 * "auto" opens the first card, else the CPU. Without a card, or with all cards hidden by CUDA_VISIBLE_DEVICES, CUDA is
 * not loaded. If a card is there and CUDA does not start, the CPU's `fallback` says why. WF_AGAIN: the card works, but
 * other processes have it or its memory. */
int wf_backend_open(const char *spec, int threads, wf_backend **out) WF_MUST;

/* Row `i` of the table of backends, for wf-info: its name, and in `text` its device or the reason why it does not open.
 * Returns false past the end. */
bool wf_backend_describe(int i, const char **name, char text[256]);

/* Returns the address of the element `i` places after p. */
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

/* Allocates n device doubles, like wf_alloc_reals. */
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
