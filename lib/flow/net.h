/* net.h - the networks inside couplings. All are convolutions one after another, each but the last with an actnorm and most with a
 * relu; the last is zero at first and has a bias and a log-scale. They see the first `take` channels of x, and the condition.
 *
 *     res     1x1, then `blocks` times  h = relu(h + 1x1(relu(3x3(h)))),  then 3x3: official Wavelet Flow configuration
 *     glow    3x3, 1x1, 3x3 (Kingma and Dhariwal 2018, section 4)
 *     gated   3x3, then `blocks` times  h = relu(h + a sigmoid(b)), (a, b) = 1x1(relu(3x3(h))): of Flow++ (Ho et al. 2019)
 *     attention  the same, after each of its blocks  h = relu(h + a sigmoid(b)), (a, b) = 1x1(attention(1x1(h))), each pixel to all,
 *             in 4 heads unless given, or 2 or 1 if the width is not of as many parts
 *     transformer  3x3, then `blocks` times  h = h + 1x1(attention(1x1(norm(h)))),  h = h + 1x1(relu(1x1(norm(h)))), the latter four
 *             times as wide in between, then 1x1 (Vaswani et al. 2017, normalized before as in Xiong et al. 2020); with a reach
 *             that is not all, the first is a 1x1 too, so that nothing comes from where no pixel may look
 *     dense   1x1, `blocks` times 1x1, 1x1: nothing of the neighbours
 *     pair    3x3, 1x1
 *     conv    the last 3x3 alone: with a split behind the coupling, the Gaussian that Glow learns for what is parked
 */
#ifndef WF_NET_H
#define WF_NET_H

#include "../base/linkage.h"
#include "bijector.h"

WF_BEGIN

typedef struct wf_net wf_net;

extern const char *const wf_net_names[]; /* by kind, NULL at the end */
int wf_net_kind(const char *name);       /* which must be one of them */

/* A kind as the manual has it: its defaults (0: the kind has no such option) and its layers. */
typedef struct wf_net_text {
    int width, blocks;
    bool heads;
    const char *summary;
} wf_net_text;
wf_net_text wf_net_describe(int kind);

typedef struct wf_net_spec {
    int kind;
    int K, take;              /* channels of x; how many of them it sees */
    int out;                  /* channels of its output, [N,H,W,out] */
    int width, blocks, heads; /* 0: the usual; WF_USAGE where the kind has no such thing */
    wf_reach reach;           /* of attention */
} wf_net_spec;

/* Declares the parameters on `owner`, and adds to its tape_bytes and work_bytes. */
int wf_net_create(wf_bijector *owner, const wf_net_spec *spec, wf_net **result) WF_MUST;
void wf_net_destroy(wf_net *net);

/* Normal weights of deviation 0.05; the last convolution and all actnorms stay zero. */
void wf_net_init(const wf_net *net, uint64_t seed, uint64_t first, double *values);
/* Sets each actnorm so that its output has mean 0 and variance 1 on this batch. */
int wf_net_data_init(wf_net *net, wf_real *params, const wf_real *x, const wf_real *cond, void *tape) WF_MUST;

/* Leaves the output in *out [N,H,W,out], valid until the tape is used again. */
int wf_net_forward(wf_net *net, const wf_real *params, const wf_real *x, const wf_real *cond, void *tape,
                   wf_real **out) WF_MUST;
wf_real *wf_net_output(const wf_net *net, void *tape); /* what the last forward on this tape left */

/* dout [N,H,W,out]; grads as params, overwritten (NULL: not wanted); dx [N,H,W,K] added to in its first `take` channels;
 * dcond may be NULL. */
int wf_net_backward(wf_net *net, const wf_real *params, const wf_real *dout, wf_real *grads, wf_real *dx,
                    wf_real *dcond, void *tape, void *work) WF_MUST;

WF_END

#endif
