/* model.h - a model is a folder: wf.json says what pictures it is for, level-NN.safetensors holds one trained level.
 * Levels never touch one another's files. */
#ifndef WF_MODEL_H
#define WF_MODEL_H

#include "flow.h"
#include "meta.h"
#include "wavelet.h"

typedef struct wf_model {
    char *path;
    wf_meta meta; /* top == levels */
} wf_model;

/* WF_NOINPUT: no wf.json there; WF_DATA: not ours. */
int wf_model_open(const char *path, wf_model *out) WF_MUST;
/* Opens the model at `path`, or makes it for pictures like `meta`; WF_DATA when it is for other pictures. Safe to be called
 * by many processes at once. */
int wf_model_create(const char *path, const wf_meta *meta, wf_model *out) WF_MUST;
void wf_model_clear(wf_model *model);

/* "PATH/level-NN" followed by `suffix`, in `out`. */
enum { WF_PATH = 4096 };
int wf_model_file(const wf_model *model, int level, const char *suffix, char out[WF_PATH]) WF_MUST;

/* The chain that `name` stands for at a level, written to `out`; false if it stands for none. "official": as published
 * (arXiv 2010.13821 and its code), pyramids of 8 levels or more as for 1024x1024 faces, others as for ImageNet 64x64.
 * "best": what reached fewer bits/dim in the same time in our comparisons, with nets of the same width. */
enum { WF_MODEL_CHAIN = 160 };
bool wf_model_chain(const char *name, const wf_meta *meta, int level, char out[WF_MODEL_CHAIN]);

/* Side of the square patches that the official configuration trains this level on, 0: whole pictures. */
int wf_model_official_patch(const wf_meta *meta, int level);

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
int wf_level_batch(int H, int W);

/* Host coefficients in pixel units -> a flow's input and condition on the device. */
typedef struct wf_feed {
    wf_backend *backend;
    const wf_meta *meta;
    const wf_wavelet *wavelet;
    int level, N, H, W;
    wf_real *low, *detail; /* detail NULL at the base */
    float *host;           /* room to pad a short batch */
    uint64_t *index;       /* [N] of the pictures that are loaded */
    /* Of signals whose noise is not made by the backend alone (feed.c); NULL where they need none. */
    int halvings;                    /* that the noise goes through */
    wf_real *noise, *made, *scratch; /* before and after one of them */
} wf_feed;

int wf_feed_create(wf_backend *backend, const wf_meta *meta, int level, int N, int H, int W, wf_feed *out) WF_MUST;
void wf_feed_clear(wf_feed *feed);
/* count <= N pictures in pixel units, the rest is filled with the first. index: host [count]. */
int wf_feed_upload(wf_feed *feed, int count, const float *low, const float *detail, const uint64_t *index) WF_MUST;
/* Gives what was uploaded its noise (random NULL: none, its mean) and its scale. May be recorded. */
int wf_feed_dequantize(wf_feed *feed, const wf_random *random) WF_MUST;
/* Both. */
int wf_feed_load(wf_feed *feed, int count, const float *low, const float *detail, const uint64_t *index,
                 const wf_random *random) WF_MUST;
const wf_real *wf_feed_x(const wf_feed *feed);    /* what the flow models */
const wf_real *wf_feed_cond(const wf_feed *feed); /* NULL at the base */
/* Back to pixel units, in place: details [n], or pictures (`low`), which have an offset. */
void wf_feed_undo(const wf_meta *meta, bool low, size_t n, float *values);

#endif
