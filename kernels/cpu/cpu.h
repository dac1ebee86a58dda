/* cpu.h - declarations that the files of the CPU backend share.
 *
 * Numbers are single precision. oneDNN computes the matrix products of attention (its sgemm) and the convolutions,
 * except those of winograd.h, conv_tiny.c and conv_tiles.c. Processors other than x86-64 have conv_direct.c instead.
 * OpenMP runs the loops. Where a cut of a loop decides how numbers are summed, the shape alone decides the cut, never
 * the number of threads, except in oneDNN's sums of weight gradients.
 *
 * Use a backend from the thread that opened it, because OpenMP keeps the number of threads per thread. The slots of the
 * wavelets name the number in each loop and need none of the backend's memory: any thread may call them. */
#ifndef WF_CPU_H
#define WF_CPU_H

#include "bf16.h"
#include "onednn.h"

#include "../backend.h"

/* A way to compute a pass of a convolution. */
typedef enum wf_conv_way {
    WF_WAY_TINY,     /* conv_tiny.c: maps of up to four pixels */
    WF_WAY_DIRECT,   /* conv_direct.c: processors other than x86-64 */
    WF_WAY_WINOGRAD, /* winograd.c, winograd_weights.c */
    WF_WAY_TILES,    /* conv_tiles.c: our own AMX kernels */
    WF_WAY_ONEDNN,   /* conv_blocked.c */
    WF_WAYS
} wf_conv_way;

/* The passes of convolutions in bf16 and NHWC that our own AMX kernels compute, not oneDNN's. */
typedef enum wf_cpu_tiles { WF_TILES_NONE, WF_TILES_WEIGHTS, WF_TILES_ALL } wf_cpu_tiles;

typedef struct wf_cpu {
    wf_backend base; /* first: a wf_backend * of this backend is a wf_cpu * */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int block;             /* contiguous channels of a blocked map: 16 with AVX-512, else 8 */
    bool nhwc;             /* bf16 maps have all channels of a pixel contiguous instead */
    bool amx;              /* oneDNN has kernels for AMX */
    wf_conv_way preferred; /* taken where it can be (WF_WAYS: no preference) */
    wf_cpu_tiles tiles;
    void *scratch;
    size_t scratch_bytes;
} wf_cpu;

/* Scratch memory, not cleared; valid within one slot, since the next call may reuse or move it. WF_AGAIN. */
int wf_cpu_scratch(wf_cpu *cpu, size_t bytes, void **out) WF_MUST;

/* A loop over fewer elements ends before a second thread has started. */
enum { WF_CPU_PARALLEL = 4096 };

/* The layout of a feature map. Maps of up to four pixels are [N,P,C] in single precision for any precision of the
 * shape, since their convolutions are matrix products. Other maps are [N, channels/block, H, W, block], in bf16 if the
 * shape and the processor have it, with zeros in the channels that pad C. A bf16 map in NHWC has one block. */
typedef struct wf_cpu_layout {
    bool blocked, bf16;
    bool nhwc;    /* block = channels; implies blocked and bf16 */
    int block;    /* C if not blocked */
    int channels; /* C rounded up to blocks */
    size_t pixels;
    size_t count; /* numbers in the map */
} wf_cpu_layout;

wf_cpu_layout wf_cpu_layout_of(const wf_cpu *cpu, const wf_map_shape *shape);
/* The offset of one block of channels of picture n: rows of l->block channels, one for each pixel. */
size_t wf_cpu_block_offset(const wf_cpu_layout *l, int n, int block);
/* dy = (dy + add) where y > 0, else 0; add may be NULL. */
void wf_cpu_relu_backward(const wf_cpu_layout *l, const wf_map *y, const wf_map *add, wf_map *dy);

/* Chooses the passes on AMX tiles: WF_CPU_AMX, else all, if maps are in NHWC and processor, system and oneDNN have AMX.
 * WF_USAGE: another value (conv_tiles.c). */
int wf_cpu_tiles_choose(bool nhwc, wf_cpu_tiles *out) WF_MUST;
/* Returns what the description of the device says about it; "" if there is no AMX. */
const char *wf_cpu_tiles_text(wf_cpu_tiles tiles);

/* Sets *bad to 1 if an element of g is not finite (adamax.c). */
void wf_cpu_find_bad(size_t n, const float *g, double *bad);

/* Keeps a team of `threads` threads from spinning while other processes have its cores, unless OMP_WAIT_POLICY or
 * GOMP_SPINCOUNT is set (busy.c). */
void wf_cpu_watch_cores(int threads);

/* Each function fills its slots of the table. */
void wf_cpu_memory_slots(wf_backend *b);
void wf_cpu_linear_slots(wf_backend *b);
void wf_cpu_matvec_slots(wf_backend *b);
void wf_cpu_transform_slots(wf_backend *b);
void wf_cpu_lattice_slots(wf_backend *b);
void wf_cpu_noise_slots(wf_backend *b);
void wf_cpu_map_slots(wf_backend *b);
void wf_cpu_gate_slots(wf_backend *b);
void wf_cpu_attention_slots(wf_backend *b);
void wf_cpu_conv_slots(wf_backend *b);
void wf_cpu_moments_slots(wf_backend *b);
void wf_cpu_adamax_slots(wf_backend *b);
void wf_cpu_muon_slots(wf_backend *b);
void wf_cpu_wavelet_slots(wf_backend *b);
void wf_cpu_wavelet_axis_slots(wf_backend *b);

#endif
