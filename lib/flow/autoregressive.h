/* autoregressive.h - what words share that take a picture line by line, each given the lines before it (MaCow, Ma et al. 2019; masked
 * autoregressive flows, Papamakarios et al. 2017): the transform of a line has its parameters from a net that is shown the picture
 * moved on by a line, and that looks no further on. Forward is one evaluation of the net. The inverse finds one line after the
 * other, an evaluation each, and its gradient goes back the same way. */
#ifndef WF_AUTOREGRESSIVE_H
#define WF_AUTOREGRESSIVE_H

#include "../base/linkage.h"
#include "bijector.h"
#include "net.h"

WF_BEGIN

typedef struct wf_autoregressive {
    wf_net *net;
    wf_coupling of; /* every channel of every pixel */
    /* A picture is `outer` times `lines` of `run` pixels: a line is what lies at its place in each. Rows: 1 times H of W; columns: H
     * times W of 1; single pixels: 1 times H*W of 1. */
    int outer, lines, run;
    bool back;             /* the last line comes first */
    const wf_real *beside; /* [H,W,beside_channels] that the net is shown besides of every picture; or NULL with 0 */
    int beside_channels;
    size_t net_tape_bytes, state_bytes, seen_bytes,
        params_bytes;  /* bytes of the net's tape, of a state, of what the net is shown, of its output */
    size_t work_bytes; /* bytes that backward takes before the net's own */
} wf_autoregressive;

/* All that follows from the rest: once the net is there, with bytes of its tape and of its work. Bytes of the tape and work of both
 * are left in self. */
void wf_autoregressive_measure(wf_bijector *self, wf_autoregressive *a, size_t tape_bytes, size_t work_bytes);
/* What the net is shown of x, in the tape. */
int wf_autoregressive_show(const wf_bijector *self, const wf_autoregressive *a, const wf_real *x, void *tape,
                           const wf_real **seen) WF_MUST;

/* As a bijector's; params and grads: of the net. */
int wf_autoregressive_forward(const wf_bijector *self, const wf_autoregressive *a, const wf_real *params,
                              const wf_real *x, const wf_real *cond, wf_real *y, double *logdet, void *tape) WF_MUST;
int wf_autoregressive_inverse(const wf_bijector *self, const wf_autoregressive *a, const wf_real *params,
                              const wf_real *y, const wf_real *cond, wf_real *x, double *logdet, void *tape) WF_MUST;
int wf_autoregressive_backward(const wf_bijector *self, const wf_autoregressive *a, const wf_real *params,
                               const wf_real *x, wf_real *g, wf_real *dcond, double dlogdet, wf_real *grads, void *tape,
                               void *work) WF_MUST;
int wf_autoregressive_inverse_backward(const wf_bijector *self, const wf_autoregressive *a, const wf_real *params,
                                       const wf_real *x, wf_real *g, wf_real *dcond, double dlogdet, void *tape,
                                       void *work) WF_MUST;

WF_END

#endif
