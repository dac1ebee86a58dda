/* lattice_level.h - private to lib/codec: the whole numbers of one level, coded by a trained `lattice`
 *
 * Letters: C colours; k halvings from the pixels to a level's low-pass, whose numbers S are sums of 4^k pixels; h w its
 * sides; m = (2^bits - 1) 4^(k-1), the largest number of the next finer level. K components of a mixture. Bands H, V, D
 * are those of lib/base/lattice.h. Numbers of a pixel lie band-major: band * C + colour. */
#ifndef WF_LATTICE_LEVEL_H
#define WF_LATTICE_LEVEL_H

#include "../../kernels/backend.h"
#include "exact_net.h"
#include "lattice_number.h"

enum { WF_GROUPS = 6 };

/* A level's model; owns its nets. The base has no nets but the outputs of its own, the same for all pixels. */
typedef struct wf_lattice_level {
    int C, bits, k, components;
    int phases;   /* 2: pixels of even row + column first, then the others, which see them */
    int features; /* channels of the condition: the low-pass and what `cond` adds */
    wf_exact_net **conds;
    int cond_count;
    wf_exact_net *nets[WF_GROUPS]; /* of group band * phases + phase */
    float *base;                   /* [3K + C - 1, C]; NULL above the base */
    double shift[3 * WF_LATTICE_MAX_COLOURS], scale[3 * WF_LATTICE_MAX_COLOURS]; /* t = (x + shift) scale of channels */
} wf_lattice_level;
void wf_lattice_level_clear(wf_lattice_level *level);

/* Outputs of a net for a pixel, as wf_mixture_set takes them. */
static inline int wf_lattice_outputs(const wf_lattice_level *level)
{
    wf_lattice l = {.C = level->C, .components = level->components};
    return wf_lattice_parameters(&l) * level->C;
}

/* Memory of one coder, one thread at a time. Zero-initialize; wf_lattice_work_clear frees. */
typedef struct wf_lattice_work {
    wf_exact_scratch scratch;
    float *memory[4];
    size_t room[4];
} wf_lattice_work;
void wf_lattice_work_clear(wf_lattice_work *work);

/* Numbers of a level: S [h,w,C], known, and details [h,w,3C], which are read or written. H, W: sides of the next finer
 * level, 2h or 2h - 1. An odd side is extended by its last row or column, so the differences between the two are 0, and
 * not coded. */
typedef struct wf_lattice_numbers {
    int h, w, H, W;
    const int32_t *low;
    int32_t *detail;
} wf_lattice_numbers;

int wf_lattice_code_details(const wf_lattice_level *level, wf_lattice_work *work, wf_coder *coder,
                            const wf_lattice_numbers *numbers) WF_MUST;
/* Codes the S of n pixels [n,C] by the level of the base, each pixel alone. */
int wf_lattice_code_base(const wf_lattice_level *level, wf_coder *coder, int64_t n, int32_t *low) WF_MUST;

#endif
