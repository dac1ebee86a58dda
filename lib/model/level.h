/* level.h - one trained level of a model, on a backend and in its file */
#ifndef WF_LEVEL_H
#define WF_LEVEL_H

#include "../base/linkage.h"
#include "../flow/flow.h"
#include "given.h"
#include "model.h"

WF_BEGIN

/* Contribution of `level` to a picture's bits per dimension, from its log density in nats:
 *     (- log p + D_l (n-l) d/2 log 2 + D_l log 2^bits) / (ln 2 * H W C)
 * with D_l coefficients at level l of n, for a signal of d axes. Of fields it is nats per dimension: 2^exponent is in
 * the place of 2^bits, and 1 in that of ln 2. The contributions of all levels add up to the
 * bits/dim. */
double wf_bits_per_dim(const wf_meta *meta, int level, double log_density);

/* Error |x - f^-1(f(x))| of a flow, in standard deviations of x: largest and mean. NAN: not measured, for lack of
 * held-out pictures. */
typedef struct wf_round_trip {
    double most, mean;
} wf_round_trip;

/* Spec of a level's flow, for any number and size of signals. Strings are borrowed. */
typedef struct wf_level_spec {
    int level;
    int K, C;            /* channels of what the flow models and of its condition; C = 0 at the base */
    wf_given_kind given; /* further channels of the condition */
    int kernel;          /* 3, or 1 where the level is a single pixel */
    wf_precision precision;
    wf_signal signal;
    int D, H;                       /* slices and rows that a volume must have */
    int bits, halvings;             /* as in wf_flow_spec */
    const char *chain, *dequantize; /* text of the flow, and of the flow of the noise in pixels; NULL: uniform noise */
} wf_level_spec;

/* The spec of `level` of a model for signals like meta, which is given nothing. */
wf_level_spec wf_level_spec_for(const wf_meta *meta, int level, const char *chain, const char *dequantize,
                                wf_precision precision);

/* The flow's spec for N signals whose low-pass is H x W; H = W = 0: only its parameters are wanted. */
wf_flow_spec wf_level_flow_spec(const wf_level_spec *spec, int N, int H, int W, wf_memory memory);

/* Creates the flow of that spec. WF_USAGE: volumes of another size than the model's, or a malformed chain. */
int wf_level_flow(const wf_level_spec *spec, wf_backend *backend, int N, int H, int W, wf_memory memory,
                  wf_flow **out) WF_MUST;

/* A trained level on a backend. */
typedef struct wf_level {
    wf_backend *backend;
    wf_level_spec spec; /* its strings are valid until wf_level_clear */
    wf_real *params;    /* device [size]; moving average of the weights: the chain's, then those of the noise's flow */
    size_t size;
    wf_round_trip round_trip; /* when it was saved */
    char hash[20];            /* of the parameters, for provenance */
} wf_level;

/* True if the level's file is there and has no weights beside their average: training cannot go on from it. */
int wf_level_is_exported(const wf_model *model, int level, bool *exported) WF_MUST;

/* Names of the precisions, indexed by enum wf_precision. */
enum { WF_PRECISIONS = 3 };
extern const char *const wf_precision_names[WF_PRECISIONS];

/* Loads a level's file. WF_NOINPUT: the level is not trained yet. WF_DATA: the file lacks what the chain needs. */
int wf_level_load(const wf_model *model, int level, wf_backend *backend, wf_level *out) WF_MUST;
void wf_level_clear(wf_level *level);

/* Writes a trained level of `from`, without the weights beside their average, to the model `to`, in numbers of `dtype`:
 * WF_F32, WF_F16 or WF_BFLOAT16. The hash becomes that of the rounded numbers. `add` gets the level's provenance, to
 * append an entry. WF_DATA: a number is too large for dtype. */
typedef int wf_level_add_provenance(void *user, wf_meta *meta);
int wf_level_export(const wf_model *from, int level, wf_dtype dtype, const wf_model *to, wf_level_add_provenance *add,
                    void *user) WF_MUST;

/* WF_INTERNAL: the saved round trip is off by more than 1e-2, so samples would not follow the level's density. */
int wf_level_invertible(const wf_level *level) WF_MUST;

/* The flow of a level, as the header of its file names it. */
typedef struct wf_level_summary {
    wf_precision precision;
    size_t parameters; /* with those of the noise's flow */
    char chain[4096];  /* cut off where it is longer */
    char hash[20];     /* of the averaged weights; "": not in the file */
    char data[20];     /* hash of the store that the level was trained on; "": not in the file */
    int held_out;      /* per cent of that store's pictures that were held out; 0: none */
    wf_given_kind given;
} wf_level_summary;

/* Reads only the file's header. WF_NOINPUT: the level is not trained yet. WF_DATA: the header lacks a key. */
int wf_level_summarize(const wf_model *model, int level, wf_level_summary *out) WF_MUST;

/* Per cent of the pictures of the store `hash` that all trained levels held out. WF_USAGE: a level held out none, or
 * another part. WF_DATA: a level was trained on another store. */
int wf_model_held_out(const wf_model *model, const char *hash, const char *store_path, int *percent) WF_MUST;

/* Hash of the weights of levels first .. last, 16 hex digits, for provenance. Reads only the files' headers. */
int wf_model_hash(const wf_model *model, int first, int last, char out[20]) WF_MUST;

/* Content of level-NN.safetensors. */
typedef struct wf_level_file {
    int level;
    int64_t step;
    double bpd;         /* held-out bits/dim of this level, or NAN */
    const char *data;   /* hash of the store; NULL: not known */
    int held_out;       /* per cent of its pictures that were held out (wf_is_held_out); 0: none */
    const char *init;   /* hash of the weights that the training began with; NULL: random ones */
    const char *chosen; /* why the training has its precision (precision.h); NULL: it was asked for */
    wf_round_trip round_trip;
    const char *chain, *dequantize, *provenance; /* dequantize NULL: uniform noise */
    const wf_given_kind *given;                  /* NULL: nothing */
    const float *weights, *average;              /* host [flow's size + noise's size]; weights NULL: an exported level,
                                                    which has the average alone */
    wf_precision precision;                      /* in which other programs compute the level */
    wf_dtype dtype;                              /* of the tensors: WF_F32, WF_F16 or WF_BFLOAT16 */
} wf_level_file;

/* Writes the file, with weights and average as named tensors. noise: the noise's flow, NULL if there is none. WF_DATA:
 * a number is too large for dtype. */
int wf_level_save(const wf_model *model, const wf_flow *flow, const wf_flow *noise, const wf_level_file *what) WF_MUST;

/* Rows of a batch of at most `pixels` pixels: pixels / (H W), from 1 to pixels / 64, and at most WF_LEVEL_ROWS. For
 * evaluation and sampling, pixels is backend->pixels: fixed by the level's size and the device, so that results never
 * depend on how many pictures are asked for. */
enum { WF_LEVEL_ROWS = 256 };
int wf_level_rows(int64_t pixels, int H, int W);

WF_END

#endif
