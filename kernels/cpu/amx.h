/* amx.h - convolutions of bf16 maps on the tile registers of AMX
 *
 * Maps are [N,D,H,W,channels], channels being multiples of 16 with zeros beyond those of the convolution. Sums are in
 * single precision. Every sum runs in an order that the shape alone decides, so its bits do not depend on threads.
 *
 * The files amx_*.c are compiled apart, with the options that let compilers know tiles. Compiled with
 * -DWF_TILES_EMULATED they run on every machine, slowly: build/check-tiles-emulated. */
#ifndef WF_CPU_AMX_H
#define WF_CPU_AMX_H

#include "../backend.h"

enum { WF_AMX_TAPS = 27 }; /* most taps of a kernel */

typedef struct wf_amx_shape {
    int N;
    wf_conv_box box;
    int from, to; /* channels of a pixel of x and of y, with padding */
} wf_amx_shape;

/* Computes the gradient of the weights and the sums of dy over all pixels.
 *   x [N,D,H,W,from], dy [N,D,H,W,to]   bf16
 *   dw [to,taps,from], sums [to]        single precision
 *   scratch                             wf_amx_weights_bytes, aligned to 64 */
size_t wf_amx_weights_bytes(const wf_amx_shape *s, int threads);
void wf_amx_weights(const wf_amx_shape *s, const uint16_t *x, const uint16_t *dy, float *dw, float *sums, void *scratch,
                    int threads);

/* One convolution forward, or its gradient by its input. */
typedef struct wf_amx_convolve {
    wf_amx_shape shape;
    const uint16_t *x;        /* [N,D,H,W,from] bf16 */
    const float *w;           /* [out,taps,in] in single precision, without padding */
    const float *scale;       /* [out]: the weights are w times this, rounded to bf16 */
    int in, out;              /* at most `from` and `to`; back: at most `to` and `from` */
    bool back;                /* w is that of the convolution whose result x is a gradient by */
    const float *shift;       /* [to], or NULL: added to the result */
    const uint16_t *residual; /* [N,D,H,W,to] bf16, or NULL: added too; may be y */
    bool relu;                /* last */
    uint16_t *y;              /* [N,D,H,W,to] bf16: the result */
} wf_amx_convolve;

/* scratch: wf_amx_convolve_bytes, aligned to 64. */
size_t wf_amx_convolve_bytes(const wf_amx_shape *s, int threads);
void wf_amx_convolve_run(const wf_amx_convolve *call, void *scratch, int threads);

#endif
