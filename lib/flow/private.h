/* private.h - private to lib/flow: what flow.c, which compiles a chain into stages, and flow_run.c, which runs them, share.
 *
 * A stage is one bijector with code of its own, a move, or a run of linear ones folded into one matrix. States travel in
 * `state`; a stage that is kept for backward has its input in `in` and its tape to itself.
 *
 * What a stage works on is the front of `state`. Behind it lies what splits have parked, [N,..] each, the last first; a
 * picture's latent is its share of all these, in that order. */
#ifndef WF_FLOW_PRIVATE_H
#define WF_FLOW_PRIVATE_H

#include "flow.h"

typedef struct wf_flow_stage {
    int first, count; /* bijectors */
    bool linear;
    const wf_stage_shape *shape;
    size_t elements, out_elements; /* reals of its input; of its output, without what it has_split */
    size_t offset, size;           /* parameters */
    wf_linear matrix;              /* linear: A, a, B, b and the place of its log-determinant */
    wf_real *dA, *da;              /* the gradient by A and a, shared unless `whole` */
    wf_real *in;                   /* input of the last forward, NULL: rebuilt, or not needed */
    void *tape;                    /* shared unless kept */
} wf_flow_stage;

struct wf_flow {
    wf_backend *backend;
    wf_flow_spec spec;
    wf_stage_shape shape;
    wf_bijector *bijectors;
    int bijector_count;
    wf_flow_stage *stages;
    int stage_count, linear_count;
    bool whole;            /* gradients of all parameters are kept, and finished together at the end */
    wf_linear_part *parts; /* of all linear bijectors */
    wf_linear_run *runs;   /* of all linear stages */
    wf_conv **convs;       /* of all bijectors */
    wf_weights *weights;
    int conv_count;
    size_t size, elements; /* parameters; reals of one state */
    double counted;        /* pixels of a picture, by weight, if there is one */
    double sigmoid_factor; /* 0, or the factor of a sigmoid at the end, and where u goes */
    wf_real *u;
    bool has_split;                    /* has a split */
    wf_real *state, *next, *g, *grads; /* next: only where states are rebuilt or moved */
    double *logdet;                    /* device: [N] of the pictures, then [linear_count] of the matrices */
    void *tape, *work;                 /* shared */
    void **owned;
    int owned_count;
    size_t bytes;
};

/* Memory for gradients by parameters, once. */
int wf_flow_make_gradients(wf_flow *f) WF_MUST;

/* It changes what is computed with, shape or condition, and no number of the state. */
static inline bool wf_flow_keeps_values(const wf_flow *f, const wf_flow_stage *s)
{
    return f->bijectors[s->first].type->reshape || f->bijectors[s->first].type->encode;
}

static inline bool wf_flow_encodes(const wf_flow *f, const wf_flow_stage *s)
{
    return f->bijectors[s->first].type->encode;
}

#endif
