/* amx.h - convolutions of bf16 maps on the tile registers of AMX
 *
 * Maps are [N,D,H,W,channels], channels being multiples of 16 with zeros beyond those of the convolution. Sums are in
 * single precision. Every sum runs in an order that the shape alone decides, so its bits do not depend on threads.
 *
 * The files amx_*.c are compiled apart, with the options that let compilers know tiles. Compiled with
 * -DWF_TILES_EMULATED they run on every machine, slowly: build/check-amx. */
#ifndef WF_CPU_AMX_H
#define WF_CPU_AMX_H

#include "../backend.h"

typedef struct wf_amx_shape {
    int N;
    wf_conv_box box;
    int from, to; /* channels of a pixel of x and of y, with padding */
} wf_amx_shape;

/* AMX in bf16, as far as this program may use it. */
typedef enum wf_amx_state {
    WF_AMX_NONE,    /* the processor lacks it, or the system does not keep its registers */
    WF_AMX_REFUSED, /* the system refuses this process its registers */
    WF_AMX_READY
} wf_amx_state;

/* Asks processor and system, and the system for the registers: once for the process, and before any of its threads uses
 * them. */
wf_amx_state wf_amx_find(void);

/* Computes the gradient of the weights and the sums of dy over all pixels.
 *   x [N,D,H,W,from], dy [N,D,H,W,to]   bf16
 *   dw [to,taps,from], sums [to]        single precision
 *   scratch                             wf_amx_weights_bytes, aligned to 64 */
size_t wf_amx_weights_bytes(const wf_amx_shape *s, int threads);
void wf_amx_weights(const wf_amx_shape *s, const uint16_t *x, const uint16_t *dy, float *dw, float *sums, void *scratch,
                    int threads);

#endif
