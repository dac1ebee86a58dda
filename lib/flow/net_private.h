/* net_private.h - private to lib/flow: a net as a list of layers */
#ifndef WF_NET_PRIVATE_H
#define WF_NET_PRIVATE_H

#include "net.h"

/* The tail of a layer, after its convolution; W are its output channels.
 *
 *     PLAIN      nothing
 *     GATE       2W channels (a, b), y = relu(x + a sigmoid(b)), x the input of the layer before
 *     ATTENTION  3W channels: queries, keys, values
 */
typedef enum tail_kind { PLAIN, GATE, ATTENTION } tail_kind;

/* Layer i is convolution first + i of the owner, with its actnorm and tail. */
typedef struct layer {
    wf_conv_spec spec;
    tail_kind tail;
    bool normed;       /* layer normalization before the convolution */
    bool rebuilt;      /* backward makes the output again; else it stays in the tape */
    int place;         /* of its output, among the hidden maps of the tape or among the spare maps */
    int channels;      /* of its output */
    size_t tail_input; /* place of the input of the gate or attention, among those of all layers */
} layer;

/* A layer may be residual: it adds the input of the layer tail_input. Hidden map i is the output of layer i, except
 * the last's. */
struct wf_net {
    wf_bijector *owner;
    wf_stage_shape *shape;
    wf_net_spec spec;
    layer *layers;
    int count;
    int first;                   /* convolution of the owner that is layer 0's */
    int hidden_maps, spare_maps; /* outputs of layers in the tape, and in the flow's spare memory */
    wf_map_shape in_shape, hidden_shape, out_shape;
    size_t in_bytes, hidden_bytes, out_bytes; /* of the input, hidden and output map */
    size_t real_out_bytes;                    /* of the output in reals */
    size_t tail_input_bytes;                  /* of the inputs of all gates and attentions */
    size_t qkv_bytes, attended_bytes;         /* attention: its map of queries, keys and values; its output in reals */
    size_t norm_bytes;                        /* of a normalized hidden map; 0: no layer normalizes */
};

#endif
