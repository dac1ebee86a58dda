/* anneal.h - small models whose weights are far from zero, shared by the tests of annealed densities */
#ifndef TESTS_ANNEAL_H
#define TESTS_ANNEAL_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/mcmc/anneal.h"
#include "scratch.h"
#include "../lib/model/level.h"

static inline wf_backend *open_backend(const char *name, int threads)
{
    wf_backend *b;
    cr_assert_eq(wf_backend_open(name, threads, &b), 0, "%s", wf_error());
    return b;
}

static inline double *normals(uint64_t seed, double deviation, size_t n)
{
    double *v = calloc(n + 1, sizeof *v);
    wf_init_normal(seed, 7, deviation, v, n);
    return v;
}

/* Changes the initial weights [size] of a level. */
typedef void change_weights(void *user, const wf_flow *flow, float *weights);

/* Standard deviations of the normal noise that shake adds to weights. */
typedef struct shaking {
    double all, nets; /* nets: of the convolutions in couplings, except their scales */
} shaking;

static inline void shake(void *user, const wf_flow *flow, float *weights)
{
    const shaking *by = user;
    char name[64];
    const wf_param *param;
    size_t where;
    double *shift = normals(4, 1, wf_flow_size(flow));
    for (int i = 0; wf_flow_param(flow, i, name, &param, &where); i++) {
        bool net = strstr(name, ".affine.") && name[strlen(name) - 1] != 'l';
        for (size_t j = 0; j < param->count; j++)
            weights[where + j] += (float)((net ? by->nets : by->all) * shift[where + j]);
    }
    free(shift);
}

/* One level of the model, with the weights of a fresh flow changed by shake. */
static inline void save_level(const wf_model *model, int level, const char *chain, change_weights *change, void *user)
{
    wf_backend *b = open_backend("ref", 1);
    wf_level_shape s = wf_meta_level(&model->meta, level);
    wf_flow_spec spec = {1,          1, 1, s.K, level ? s.C : 0, s.H * s.W == 1 ? 1 : 3, WF_FP32, WF_MEMORY_NONE,
                         WF_PICTURE, 0, 0, 0};
    wf_flow *flow;
    void *params;
    cr_assert_eq(wf_flow_create(b, chain, &spec, &flow), 0, "%s", wf_error());
    size_t n = wf_flow_size(flow);
    float *weights = malloc(n * sizeof *weights);
    cr_assert_eq(b->alloc(b, n * b->real, &params), 0);
    cr_assert_eq(wf_flow_init(flow, 3 + (uint64_t)level, params), 0);
    cr_assert_eq(b->download(b, weights, WF_F32, params, n), 0);
    change(user, flow, weights);
    wf_level_file file = {.level = level, .step = 1, .bpd = NAN, .round_trip = {NAN, NAN}, .chain = chain};
    file.weights = file.average = weights;
    cr_assert_eq(wf_level_save(model, flow, NULL, &file), 0, "%s", wf_error());
    b->free(b, params);
    wf_flow_destroy(flow);
    b->close(b);
    free(weights);
}

/* Creates the folder NAME in the scratch folder, a model for pictures of side x side x C. */
static inline wf_model make_model(const char *name, int levels, int side, int C)
{
    wf_meta meta = {.wavelet = "haar", .levels = levels, .top = levels, .H = side, .W = side, .C = C, .bits = 8};
    wf_model model;
    cr_assert_eq(wf_model_create(scratch_path(name), &meta, &model), 0, "%s", wf_error());
    return model;
}

static inline wf_anneal *anneal(const wf_model *model, const wf_anneal_spec *spec, wf_backend *b, int chains)
{
    wf_anneal *a;
    cr_assert_eq(wf_anneal_create(model, spec, b, chains, &a), 0, "%s", wf_error());
    return a;
}

#endif
