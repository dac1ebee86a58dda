/* exact_net.h - private to lib/codec: the nets of lib/flow/net.c in single precision, with the same bits everywhere
 *
 * Every output is one sum in one order: over kernel rows, kernel columns and input channels, from 0, each product
 * rounded before it is added. Then, with l the log-scale of the channel,
 *
 *     y = relu((sum + bias) exp(3 l) + residual)
 *
 * Taps outside the picture count as 0. Vectors hold different outputs, never parts of one sum, so their width, the
 * strips in which a picture is computed, and threads do not change a bit. */
#ifndef WF_EXACT_NET_H
#define WF_EXACT_NET_H

#include <stdbool.h>
#include <stddef.h>

#include "../base/status.h"

/* A layer and its parameters, borrowed until wf_exact_net_create returns. A gate has 2W outputs (a, b) and gives
 * relu(x + a sigmoid(b)); x, the residual, is the input of the layer before. */
typedef struct wf_exact_layer {
    int in, out, k;
    bool relu, residual, gate;
    const float *w, *bias, *logs; /* [out,k,k,in], [out], [out] */
} wf_exact_layer;

typedef struct wf_exact_net wf_exact_net;

/* WF_USAGE: layers that do not follow one another. */
int wf_exact_net_create(const wf_exact_layer *layers, int count, wf_exact_net **out) WF_MUST;
void wf_exact_net_destroy(wf_exact_net *net); /* NULL is allowed */
int wf_exact_net_in(const wf_exact_net *net);
int wf_exact_net_out(const wf_exact_net *net);
/* Rows that a strip should have, for maps of `width` pixels of at most some megabytes. */
int wf_exact_net_rows(const wf_exact_net *net, int width);

/* Memory that runs share, one thread at a time. Zero-initialize; wf_exact_clear frees. */
typedef struct wf_exact_scratch {
    float *map[4];
    size_t room[4];
} wf_exact_scratch;
void wf_exact_clear(wf_exact_scratch *scratch);

/* Input channels of a net: the first `channels` of each pixel of values [H,W,stride]. NULL: zeros. */
typedef struct wf_exact_part {
    const float *values;
    int channels, stride;
} wf_exact_part;

/* Computes rows first .. first + rows - 1 of the net's output for the input `parts`, whose channels follow one another,
 * of H x W pixels: out [rows,W,out]. */
int wf_exact_net_run(const wf_exact_net *net, const wf_exact_part *parts, int part_count, int H, int W, int first,
                     int rows, wf_exact_scratch *scratch, float *out) WF_MUST;

#endif
