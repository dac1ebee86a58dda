/* autoregressive.h - words that transform a picture line by line, each line given the lines before it (MaCow, Ma et al.
 * 2019; masked autoregressive flows, Papamakarios et al. 2017).
 *
 * The net sees the picture shifted by one line and looks no further ahead, so its output at a line depends on earlier
 * lines only. Its output is the parameters of the transform (backend.h). Forward is one evaluation of the net. The
 * inverse finds one line after the other with one evaluation each, and its gradient goes back the same way.
 *
 * Such a word is a file in bijectors/ with its options, `create`, `destroy` and `init`. self->own points to a struct
 * whose first member is a wf_autoregressive. WF_AUTOREGRESSIVE_FUNCTIONS are the other functions. */
#ifndef WF_AUTOREGRESSIVE_H
#define WF_AUTOREGRESSIVE_H

#include "../base/linkage.h"
#include "bijector.h"
#include "net.h"

WF_BEGIN

typedef struct wf_autoregressive {
    wf_net *net;
    wf_coupling of; /* every channel of every pixel */
    /* A picture is `outer` groups of `lines` pieces of `run` pixels, in memory order. Line i is piece i of each group.
     * Rows: 1, H, W. Columns: H, W, 1. Single pixels: 1, H*W, 1. */
    int outer, lines, run;
    bool back; /* the order is from the last line to the first */
    const wf_real
        *beside; /* device [H,W,beside_channels]: further channels of the net's input, the same for every picture */
    int beside_channels; /* 0: none */
    /* For a word whose parameters are not laid out as its net's: expand makes the net's, params_net, from the word's,
     * and gather goes back, for parameters and for gradients. NULL: the two are the same. expanded_bytes: of the net's
     * parameters. */
    int (*expand)(const wf_bijector *self, const wf_real *params, wf_real *params_net);
    int (*gather)(const wf_bijector *self, const wf_real *params_net, wf_real *params);
    size_t expanded_bytes;
    /* Set by wf_autoregressive_measure, bytes: the net's tape, a state, the net's input, its output; backward's own
     * work; places of expanded parameters in the tape and of their gradients in the work. */
    size_t net_tape_bytes, state_bytes, seen_bytes, params_bytes, work_bytes, expanded_at, dexpanded_at;
} wf_autoregressive;

/* Sets the byte counts of `a`, and self->tape_bytes and self->work_bytes, from the other fields. tape_bytes,
 * work_bytes: what wf_net_create has added for the net. */
void wf_autoregressive_measure(wf_bijector *self, wf_autoregressive *a, size_t tape_bytes, size_t work_bytes);

#define WF_AUTOREGRESSIVE_FUNCTIONS                                                 \
    .data_init = wf_autoregressive_data_init, .forward = wf_autoregressive_forward, \
    .inverse = wf_autoregressive_inverse, .backward = wf_autoregressive_backward,   \
    .inverse_backward = wf_autoregressive_inverse_backward

int wf_autoregressive_data_init(wf_bijector *self, wf_real *params, const wf_real *x, const wf_real *cond,
                                void *tape) WF_MUST;
int wf_autoregressive_forward(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond,
                              wf_real *y, double *logdet, void *tape) WF_MUST;
int wf_autoregressive_inverse(wf_bijector *self, const wf_real *params, const wf_real *y, const wf_real *cond,
                              wf_real *x, double *logdet, void *tape) WF_MUST;
int wf_autoregressive_backward(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond,
                               wf_real *g, wf_real *dcond, double dlogdet, wf_real *grads, void *tape,
                               void *work) WF_MUST;
int wf_autoregressive_inverse_backward(wf_bijector *self, const wf_real *params, const wf_real *x, wf_real *g,
                                       wf_real *dcond, double dlogdet, void *tape, void *work) WF_MUST;

WF_END

#endif
