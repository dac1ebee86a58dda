/* ref.h - the naive double precision backend: the reference that every other backend is compared with.
 *
 * A wf_real is a double and a wf_map is an NHWC array of doubles; `precision` and `threads` are ignored. The code
 * follows the formulas of backend.h for reading rather than speed, and shares none with other backends. */
#ifndef WF_REF_H
#define WF_REF_H

#include "../backend.h"

/* Allocates n doubles, cleared; free them with free(). WF_AGAIN. */
int wf_ref_scratch(size_t n, double **out) WF_MUST;

/* Philox4x32-10 (Salmon et al. 2011): four random words from a counter and a key. */
void wf_ref_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* Returns the offset of element [n,i,j,c] of an array [N,H,W,C]. */
static inline size_t wf_ref_at(int H, int W, int C, int n, int i, int j, int c)
{
    return (((size_t)n * (size_t)H + (size_t)i) * (size_t)W + (size_t)j) * (size_t)C + (size_t)c;
}

/* C [rows,columns] = A [rows,n] B [n,columns] (ref_linear.c). */
void wf_ref_multiply(int rows, int n, int columns, const double *A, const double *B, double *C);

/* One level of the separable wavelet transform of x [N,H,W,C], as `dwt` and `idwt` of backend.h, on doubles. */
void wf_ref_split(const double *taps, int count, int N, int H, int W, int C, const double *x, double *low,
                  double *detail);
void wf_ref_merge(const double *taps, int count, int N, int H, int W, int C, const double *low, const double *detail,
                  double *x);

/* The slots of backend.h, in its order; backend.h specifies them. */
int wf_ref_alloc(wf_backend *b, size_t bytes, void **out);
void wf_ref_free(wf_backend *b, void *memory);
int wf_ref_upload(wf_backend *b, wf_real *to, const void *from, wf_dtype dtype, size_t n);
int wf_ref_download(wf_backend *b, void *to, wf_dtype dtype, const wf_real *from, size_t n);
int wf_ref_download_double(wf_backend *b, double *to, const double *from, size_t n);
int wf_ref_readback_begin(wf_backend *b, const double *from, size_t n, wf_readback **out);
int wf_ref_readback_end(wf_backend *b, wf_readback *readback, double *to);
int wf_ref_zero(wf_backend *b, void *memory, size_t bytes);
int wf_ref_copy(wf_backend *b, wf_real *to, const wf_real *from, size_t n);
int wf_ref_copy_runs(wf_backend *b, const wf_runs *runs, wf_real *to, const wf_real *from);
int wf_ref_linear_fold(wf_backend *b, int count, const wf_linear_run *runs);
int wf_ref_linear_backward(wf_backend *b, int count, const wf_linear_run *runs);
int wf_ref_matvec(wf_backend *b, size_t n, int K, const wf_real *A, const wf_real *a, const wf_real *x, wf_real *y);
int wf_ref_matvec_backward(wf_backend *b, size_t n, int K, const wf_real *A, const wf_real *x, wf_real *g, wf_real *dA,
                           wf_real *da);
int wf_ref_transform_forward(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, const wf_real *params,
                             const wf_real *weight, wf_real *y, double *logdet);
int wf_ref_transform_inverse(wf_backend *b, const wf_coupling *c, int N, const wf_real *y, const wf_real *params,
                             wf_real *x, double *logdet);
int wf_ref_transform_backward(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, const wf_real *params,
                              const wf_real *weight, wf_real *g, double dlogdet, wf_real *dparams);
int wf_ref_transform_inverse_backward(wf_backend *b, const wf_coupling *c, int N, const wf_real *x,
                                      const wf_real *params, wf_real *g, double dlogdet, wf_real *dparams);
int wf_ref_mask(wf_backend *b, const wf_coupling *c, int N, const wf_real *x, bool add, wf_real *y);
int wf_ref_lattice_forward(wf_backend *b, const wf_lattice *l, int N, const wf_real *x, const wf_real *cond,
                           const wf_real *norm, const wf_real *params, const wf_real *weight, wf_real *z,
                           double *logdet);
int wf_ref_lattice_inverse(wf_backend *b, const wf_lattice *l, int N, const wf_real *z, const wf_real *cond,
                           const wf_real *norm, const wf_real *params, wf_real *x, double *logdet);
int wf_ref_lattice_backward(wf_backend *b, const wf_lattice *l, int N, const wf_real *x, const wf_real *cond,
                            const wf_real *norm, const wf_real *params, const wf_real *weight, double dlogdet,
                            wf_real *dparams);
size_t wf_ref_map_bytes(wf_backend *b, const wf_map_shape *shape);
int wf_ref_pack(wf_backend *b, const wf_map_shape *shape, int take, int K, const wf_real *x, int C, const wf_real *cond,
                wf_map *map);
int wf_ref_pack_backward(wf_backend *b, const wf_map_shape *shape, int take, int K, wf_real *dx, int C, wf_real *dcond,
                         const wf_map *map);
int wf_ref_unpack(wf_backend *b, const wf_map_shape *shape, const wf_map *map, wf_real *x);
int wf_ref_relu_backward(wf_backend *b, const wf_map_shape *shape, const wf_map *y, const wf_map *add, wf_map *dy);
int wf_ref_gate(wf_backend *b, const wf_map_shape *shape, const wf_map *ab, const wf_map *x, wf_map *y);
int wf_ref_gate_backward(wf_backend *b, const wf_map_shape *shape, const wf_map *ab, const wf_map *dy, wf_map *dab);
int wf_ref_norm(wf_backend *b, const wf_map_shape *shape, const wf_map *x, wf_map *y);
int wf_ref_norm_backward(wf_backend *b, const wf_map_shape *shape, const wf_map *x, const wf_map *dy, const wf_map *add,
                         wf_map *dx);
int wf_ref_attend(wf_backend *b, wf_reach reach, int N, int P, int C, int heads, const wf_real *qkv, wf_real *y);
int wf_ref_attend_backward(wf_backend *b, wf_reach reach, int N, int P, int C, int heads, const wf_real *qkv,
                           const wf_real *dy, wf_real *dqkv);
int wf_ref_conv_create(wf_backend *b, const wf_conv_spec *spec, wf_conv **out);
void wf_ref_conv_destroy(wf_backend *b, wf_conv *conv);
int wf_ref_conv_forward(wf_backend *b, wf_conv *conv, const wf_weights *weights, const wf_map *x,
                        const wf_map *residual, wf_map *y);
int wf_ref_conv_backward(wf_backend *b, wf_conv *conv, const wf_weights *weights, const wf_map *x, const wf_map *y,
                         const wf_map *add, wf_map *dy, wf_map *dx);
int wf_ref_moments(wf_backend *b, size_t n, int K, const wf_real *x, double *moments);
int wf_ref_gaussian(wf_backend *b, int N, int P, int K, const wf_real *z, const wf_real *weight, double *logp,
                    double scale, wf_real *dz);
int wf_ref_sigmoid(wf_backend *b, int N, size_t D, double factor, const wf_real *v, wf_real *u, double *logp);
int wf_ref_sigmoid_backward(wf_backend *b, size_t n, double factor, const wf_real *v, double scale, wf_real *g);
int wf_ref_normal(wf_backend *b, const wf_random *random, int N, size_t D, const uint64_t *index, double temperature,
                  wf_real *z);
int wf_ref_dequantize(wf_backend *b, const wf_random *random, const double *taps, int count, int64_t uniforms, int N,
                      int H, int W, int C, const uint64_t *index, double scale, wf_real *low, wf_real *detail);
int wf_ref_scale(wf_backend *b, size_t n, double factor, double offset, wf_real *x);
int wf_ref_adamax(wf_backend *b, const wf_adamax *rule, size_t n, wf_real *w, wf_real *m, wf_real *u, wf_real *ema,
                  const wf_real *g, double *bad);
int wf_ref_muon_momentum(wf_backend *b, const wf_muon *rule, size_t n, wf_real *m, wf_real *u, const wf_real *g,
                         double *bad);
int wf_ref_muon_step(wf_backend *b, const wf_muon *rule, int count, const wf_matrix *matrices, const wf_real *u,
                     wf_real *w, wf_real *ema, const double *bad);
int wf_ref_guard(wf_backend *b, size_t n, const double *values, double *bad);
int wf_ref_dwt(wf_backend *b, const double *taps, int count, int N, int H, int W, int C, const wf_real *x, wf_real *low,
               wf_real *detail);
int wf_ref_idwt(wf_backend *b, const double *taps, int count, int N, int H, int W, int C, const wf_real *low,
                const wf_real *detail, wf_real *x);
int wf_ref_dwt_axis(wf_backend *b, const double *taps, int count, size_t outer, int n, size_t inner, double low_gain,
                    double high_gain, const wf_real *x, wf_real *low, wf_real *high);
int wf_ref_idwt_axis(wf_backend *b, const double *taps, int count, size_t outer, int n, size_t inner, double low_gain,
                     double high_gain, const wf_real *low, const wf_real *high, wf_real *x);

#endif
