/* net.h - the residual network inside a coupling (official Wavelet Flow configuration):
 *
 *     h = relu(conv1x1(concat(first `take` channels of x, cond)))        each convolution followed by an actnorm
 *     `blocks` times:  a = relu(conv3x3(h)),  h = relu(h + conv1x1(a))
 *     out = conv3x3(h), zero at first, with bias and log-scale
 */
#ifndef WF_NET_H
#define WF_NET_H

#include "bijector.h"

typedef struct wf_net wf_net;

/* Declares the parameters on `owner`, and adds to its tape_bytes and work_bytes. out: channels [N,H,W,out]. */
int wf_net_create(wf_bijector *owner, int take, int out, int width, int blocks, wf_net **result) WF_MUST;
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

#endif
