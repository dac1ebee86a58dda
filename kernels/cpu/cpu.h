/* cpu.h - what the files of the CPU backend share.
 *
 * Numbers are single precision. oneDNN does the matrix products (its sgemm) and, but for those of winograd.c, the
 * convolutions; OpenMP the loops. Every loop over pictures is cut by its shape alone, never by the number of threads,
 * except where weight gradients are summed.
 *
 * Use a backend from the thread that opened it: OpenMP keeps the number of threads per thread. The wavelets' slots
 * name it in each loop, and need no memory of the backend's: those any thread may call. */
#ifndef WF_CPU_H
#define WF_CPU_H

#include <oneapi/dnnl/dnnl.h>

#include "../backend.h"

typedef struct wf_cpu {
    wf_backend base; /* first: a wf_backend * of this backend is a wf_cpu * */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int block; /* channels that lie side by side in a blocked map: 16 with AVX-512, else 8 */
    void *scratch;
    size_t scratch_bytes;
} wf_cpu;

/* Memory that the next call of this function may reuse or move: valid within one slot. Not cleared. WF_AGAIN. */
int wf_cpu_scratch(wf_cpu *cpu, size_t bytes, void **out) WF_MUST;

/* Below this many elements a loop is over before a second thread has started. */
enum { WF_CPU_PARALLEL = 4096 };

/* A feature map in memory. Up to four pixels: [N,P,C] in single precision, whatever the shape asks for, since those
 * convolutions are matrix products. Else [N, channels/block, H, W, block], in bf16 if asked for and the processor has
 * it, with zeros in the channels that pad C. */
typedef struct wf_cpu_layout {
    bool blocked, bf16;
    int block;    /* C if not blocked */
    int channels; /* C rounded up to blocks */
    size_t pixels;
    size_t count; /* numbers in the map */
} wf_cpu_layout;

wf_cpu_layout wf_cpu_layout_of(const wf_cpu *cpu, const wf_map_shape *shape);
/* dy = (dy + add) where y > 0, else 0; add may be NULL. */
void wf_cpu_relu_backward(const wf_cpu_layout *l, const wf_map *y, const wf_map *add, wf_map *dy);

/* Each fills its slots of the table. */
void wf_cpu_memory_slots(wf_backend *b);
void wf_cpu_linear_slots(wf_backend *b);
void wf_cpu_matvec_slots(wf_backend *b);
void wf_cpu_transform_slots(wf_backend *b);
void wf_cpu_noise_slots(wf_backend *b);
void wf_cpu_map_slots(wf_backend *b);
void wf_cpu_attention_slots(wf_backend *b);
void wf_cpu_conv_slots(wf_backend *b);
void wf_cpu_adamax_slots(wf_backend *b);
void wf_cpu_wavelet_slots(wf_backend *b);
void wf_cpu_wavelet_axis_slots(wf_backend *b);

static inline float wf_bf16_to_float(uint16_t bits)
{
    union {
        uint32_t u;
        float f;
    } v = {(uint32_t)bits << 16};
    return v.f;
}

/* To nearest, ties to even; NaN stays NaN, so that guards further on see it. */
static inline uint16_t wf_bf16_from_float(float x)
{
    union {
        float f;
        uint32_t u;
    } v = {x};
    uint32_t rounded = (v.u + 0x7fffu + (v.u >> 16 & 1)) >> 16;
    return (uint16_t)(x == x ? rounded : v.u >> 16 | 0x40u);
}

#endif
