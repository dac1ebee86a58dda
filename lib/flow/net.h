/* net.h - the networks inside couplings: lists of convolutions. Each but the last has an actnorm, most have a relu. The
 * last one starts at zero and has a bias and a log-scale. A net sees the first `take` channels of x, and the condition.
 *
 *     res          1x1, then `blocks` times  h = relu(h + 1x1(relu(3x3(h)))),  then 3x3: the official Wavelet Flow net
 *     glow         3x3, 1x1, 3x3 (Kingma and Dhariwal 2018, section 4)
 *     gated        3x3, then `blocks` times  h = relu(h + a sigmoid(b)), (a, b) = 1x1(relu(3x3(h))),  then 3x3:
 *                  Flow++ without attention (Ho et al. 2019)
 *     attention    gated, and after each block  h = relu(h + a sigmoid(b)), (a, b) = 1x1(attention(1x1(h)));
 *                  each pixel attends to all
 *     transformer  3x3, then `blocks` times  h = h + 1x1(attention(1x1(norm(h)))),  h = h + 1x1(relu(1x1(norm(h)))),
 *                  the latter four times as wide inside, then 1x1 (Vaswani et al. 2017; norm first: Xiong et al. 2020).
 *                  With a reach other than all the first convolution is a 1x1 too: a 3x3 would look ahead.
 *     dense        1x1, `blocks` times 1x1, 1x1: sees no neighbours
 *     pair         3x3, 1x1
 *     conv         one 3x3; before a split this is the Gaussian that Glow learns for factored-out channels
 *
 * Attention has 4 heads unless given, or 2 or 1 where they do not divide the width.
 * */
#ifndef WF_NET_H
#define WF_NET_H

#include "../base/linkage.h"
#include "bijector.h"

WF_BEGIN

typedef struct wf_net wf_net;

extern const char *const wf_net_names[]; /* by kind, NULL at the end */
int wf_net_kind(const char *name);       /* `name` must be in wf_net_names */

/* A kind as the manual has it: its defaults (0: the kind has no such option) and its layers. */
typedef struct wf_net_text {
    int width, blocks;
    bool heads;
    const char *summary;
} wf_net_text;
wf_net_text wf_net_describe(int kind);

typedef struct wf_net_spec {
    int kind;
    int K, take;              /* channels of x; channels that the net sees */
    int out;                  /* channels of its output, [N,H,W,out] */
    int width, blocks, heads; /* 0: the default; WF_USAGE where the kind has no such option */
    const char *prefix;       /* of the names of its parameters; NULL: none */
    wf_reach reach;           /* of attention: the pixels that a pixel sees */
} wf_net_spec;

/* Declares convolutions and parameters on `owner`, and adds to its tape_bytes and work_bytes. *result may be set after
 * an error: destroy it then too. */
int wf_net_create(wf_bijector *owner, const wf_net_spec *spec, wf_net **result) WF_MUST;
void wf_net_destroy(wf_net *net);

/* Layer of a net: the parameters of its convolution are NAME.w [out,k,k,in], NAME.b and NAME.l [out]. residual: adds
 * the input of the layer before, ahead of the relu. gate: of 2W outputs (a, b), relu(x + a sigmoid(b)), x as for
 * residual. */
typedef struct wf_net_layer {
    char name[32];
    int in, out, k;
    bool relu, residual, gate;
} wf_net_layer;
/* Lists the layers of a picture's net of that spec into *layers, which the caller frees. Its condition has C channels,
 * its kernels the side `kernel`. WF_USAGE: a net with attention. */
int wf_net_list(wf_backend *backend, const wf_net_spec *spec, int C, int kernel, wf_net_layer **layers,
                int *count) WF_MUST;

/* Initial parameters, host: weights N(0, 0.05); the last convolution and all actnorms stay zero. first: the owner's
 * offset. */
void wf_net_init(const wf_net *net, uint64_t seed, uint64_t first, double *values);
/* Sets each actnorm so that its output has mean 0 and variance 1 on this batch: x [N,H,W,K], cond [N,H,W,C], device. */
int wf_net_data_init(wf_net *net, wf_real *params, const wf_real *x, const wf_real *cond, void *tape) WF_MUST;

/* The output in *out, device [N,H,W,out], valid until the tape is used again. */
int wf_net_forward(wf_net *net, const wf_real *params, const wf_real *x, const wf_real *cond, void *tape,
                   wf_real **out) WF_MUST;
wf_real *wf_net_output(const wf_net *net, void *tape); /* the output of the last forward on this tape */

/* From the tape of the last forward. dout [N,H,W,out]: gradient by the output. grads, laid out as params, is
 * overwritten (NULL: skipped). dx [N,H,W,K] is added to in its first `take` channels; dcond [N,H,W,C] is added to
 * (NULL: skipped). */
int wf_net_backward(wf_net *net, const wf_real *params, const wf_real *dout, wf_real *grads, wf_real *dx,
                    wf_real *dcond, void *tape, void *work) WF_MUST;

WF_END

#endif
