/* private.h - private to lib/flow: stages, which flow.c compiles from a chain and flow_run.c runs.
 *
 * A stage is one bijector with functions of its own, or a run of linear bijectors folded into one matrix. A stage works
 * on the front of `state`. Behind the front lie the channels that splits have factored out, [N,..] each, the last
 * split's first. A picture's latent is its share of all of these, in that order. */
#ifndef WF_FLOW_PRIVATE_H
#define WF_FLOW_PRIVATE_H

#include "flow.h"

typedef struct wf_flow_stage {
    int first, count; /* bijectors */
    bool linear;
    const wf_stage_shape *shape;
    size_t elements, out_elements; /* reals of its input; of its output without factored-out ones */
    size_t offset, size;           /* parameters */
    wf_linear matrix;              /* of a linear stage: A, a, the inverse B, b, and its log-determinant */
    wf_real *dA, *da;              /* gradients by A and a; shared by all stages unless `whole` */
    wf_real *in;                   /* input of the last forward; NULL: backward rebuilds it, or needs none */
    void *tape;                    /* shared by all stages unless kept for backward */
} wf_flow_stage;

struct wf_flow {
    wf_backend *backend;
    wf_flow_spec spec;
    wf_stage_shape shape;
    wf_spare spare;
    wf_bijector *bijectors;
    int bijector_count;
    wf_flow_stage *stages;
    int stage_count, linear_count;
    bool whole;            /* all gradients are kept and finished in one launch at the end, not stage by stage */
    wf_linear_part *parts; /* one per linear bijector */
    wf_linear_run *runs;   /* one per linear stage */
    wf_conv **convs;       /* of all bijectors */
    wf_weights *weights;
    int conv_count;
    size_t size, elements; /* parameters; reals of a state [N,H,W,K] */
    double counted;        /* sum of the pixel weights of a picture, if wf_flow_weigh gave any */
    wf_shares *shares;     /* NULL: not kept */
    double sigmoid_factor; /* 0: the flow ends in a normal; else in u = sigmoid(factor f(x)) */
    wf_real *u;
    bool discrete;                     /* some bijector is */
    bool has_split;                    /* some stage factors channels out */
    wf_real *state, *next, *g, *grads; /* next: only where states are rebuilt or reshaped */
    double *logdet;                    /* device: [N] per picture, then [linear_count] per matrix */
    void *tape, *work;                 /* shared */
    void **owned;
    int owned_count;
    size_t bytes;
};

/* Allocates the gradients by parameters, at the first call only. */
int wf_flow_make_gradients(wf_flow *f) WF_MUST;

/* True for bijectors that change shape or condition but no value of the state. */
static inline bool wf_flow_keeps_values(const wf_flow *f, const wf_flow_stage *s)
{
    return f->bijectors[s->first].type->reshape || f->bijectors[s->first].type->encode;
}

static inline bool wf_flow_encodes(const wf_flow *f, const wf_flow_stage *s)
{
    return f->bijectors[s->first].type->encode;
}

#endif
