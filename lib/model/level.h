/* level.h - one trained level of a model, on a backend and in its file */
#ifndef WF_LEVEL_H
#define WF_LEVEL_H

#include "../base/linkage.h"
#include "../flow/flow.h"
#include "model.h"

WF_BEGIN

/* Bits per dimension that one picture's log density (nats) of `level` contributes: (- log p + D_l (n-l) d/2 log 2
 * + D_l log 2^bits) / (ln 2 * H W C), with D_l coefficients at level l of n, of a signal of d axes. Sums over levels to the model's bits/dim. */
double wf_bits_per_dim(const wf_meta *meta, int level, double log_density);

/* How far pictures are off that went through a flow and back, in standard deviations of what the flow models: at worst, and
 * on average. NAN: not measured, without held-out pictures. */
typedef struct wf_round_trip {
    double most, mean;
} wf_round_trip;

/* A trained level on a backend. */
typedef struct wf_level {
    wf_backend *backend;
    int level;
    int K, C, kernel;
    wf_signal signal;
    int D, H; /* slices and rows that a volume must have */
    wf_precision precision;
    char *chain;
    char *dequantize; /* chain of the noise in its pixels (dequantizer.h); NULL: uniform */
    wf_real *params;  /* device; the moving average of the weights, of the chain and then of the noise's */
    size_t size;
    wf_round_trip round_trip; /* when it was saved */
    char hash[20];            /* of the parameters, for provenance */
} wf_level;

/* By enum wf_precision. */
enum { WF_PRECISIONS = 3 };
extern const char *const wf_precision_names[WF_PRECISIONS];

/* WF_NOINPUT: not trained yet; WF_DATA: the file does not hold what the chain needs. */
int wf_level_load(const wf_model *model, int level, wf_backend *backend, wf_level *out) WF_MUST;
void wf_level_clear(wf_level *level);

/* WF_INTERNAL: its round trip was measured to be off by more than 1e-2, so its samples would not be of its density. */
int wf_level_invertible(const wf_level *level) WF_MUST;

/* What identifies the weights of levels first .. last, for provenance: 16 hex digits. Reads the files' headers only. */
int wf_model_hash(const wf_model *model, int first, int last, char out[20]) WF_MUST;

/* Its flow for [N,H,W,K]; WF_MEMORY_NONE unless it is run backward. WF_USAGE: volumes of another size than the model's. */
int wf_level_flow(const wf_level *level, int N, int H, int W, wf_memory memory, wf_flow **out) WF_MUST;

/* Writes level-NN.safetensors: weights and their average (host F32, both flows' sizes together) as named tensors. bpd: held-out
 * bits/dim of this level or NAN. */
typedef struct wf_level_file {
    int level;
    int64_t step;
    double bpd;
    wf_round_trip round_trip;
    const char *chain, *dequantize, *provenance; /* dequantize: NULL if there is no such flow */
    const float *weights, *average;
} wf_level_file;
int wf_level_save(const wf_model *model, const wf_flow *flow, const wf_flow *noise, const wf_level_file *what) WF_MUST;

/* Pictures per batch for evaluation and sampling, fixed by the level's size so that results never depend on how many
 * pictures are asked for. */
int wf_level_rows(int H, int W);

WF_END

#endif
