/* ops.h - the interface of an operator's case: a case makes named buffers and calls the slot.
 *
 * One case runs on every backend with the same inputs. Inputs are floats that depend on (buffer, picture, element)
 * alone; outputs start as NaN; every buffer stands between canaries. Each run reads back all buffers, inputs too, which
 * must not change. Results are compared with ref, with a second run (same bits), and with a run that has the pictures
 * in other places beside other neighbours (same bits per picture). */
#ifndef OPS_H
#define OPS_H

#include "../../kernels/backend.h"

/* One shape of a case. Each operator gives the fields its own meaning and documents it beside its shapes. */
typedef struct dims {
    int N, H, W;
    int K;       /* channels of the flow, or input channels */
    int C;       /* other channels: condition, output */
    int k;       /* kernel side, channels kept, taps, uniforms, or another number of the operator */
    int variant; /* a set of bits: see the case */
    wf_precision precision;
} dims;

enum { MAX_BUFFERS = 24, MAX_PICTURES = 64, BROKEN = 2 /* the picture that `broken` is about */ };

enum role { INPUT, OUTPUT, UPDATED }; /* UPDATED starts like an input */
enum scope { WHOLE, PER_PICTURE };

typedef struct buffer {
    char *memory; /* device: canary, data, canary */
    size_t total; /* bytes of memory */
    size_t start, bytes;
    enum kind { REALS, DOUBLES, MAP, HOST } kind;
    enum scope scope;
    size_t per; /* elements of a picture, or of the whole buffer */
    const char *what;
    wf_map_shape shape;
    double *values; /* read back after the case */
} buffer;

typedef struct run {
    wf_backend *backend;
    int N;
    const uint64_t *pictures; /* [N]: the picture at each place of the batch */
    buffer buffers[MAX_BUFFERS];
    int count;
    bool broken; /* an input of picture BROKEN has a NaN: results that depend on it must be NaN, other pictures' not */
    int broken_input;    /* number of that buffer, from 1; 0: none */
    bool relu_of_broken; /* results went through a relu, which may make NaN 0 */
} run;

/* Returns [n] or, PER_PICTURE, [N,n] device numbers within +-size. WHOLE buffers are aligned to one number only, as
 * parameters are. */
wf_real *reals(run *r, const char *what, enum role role, enum scope scope, size_t n, double size);
/* Returns [n] or [N,n] device doubles: 0 if `zero`, since no slot uploads doubles, else NaN. */
double *doubles(run *r, const char *what, enum scope scope, size_t n, bool zero);
/* Returns a feature map [N,H,W,C], filled by pack; the bytes of an OUTPUT are 0xff (NaN in every precision). */
wf_map *feature_map(run *r, const char *what, enum role role, const wf_map_shape *shape);
/* Returns [n] host doubles, for results that slots write to the host. */
double *host(run *r, const char *what, enum scope scope, size_t n);
/* Puts a NaN into the middle of picture BROKEN of the input made next. */
void break_next(run *r);
/* Returns the same input as a host number: element e of buffer `number` of a picture, within +-size. */
float input_value(int number, uint64_t picture, size_t element, double size, wf_precision precision);

/* Reads all buffers back. WF_INTERNAL if a canary has changed. */
int run_collect(run *r) WF_MUST;
void run_clear(run *r);
/* Compares a with b to `tolerance` of the largest value. WF_INTERNAL with buffer, element and values if they differ. */
int run_compare(const run *a, const run *b, double tolerance) WF_MUST;
/* Compares bit by bit: picture n of a with picture place[n] of b (-1: skips it), and WHOLE buffers only if `whole`.
 * WF_INTERNAL as run_compare. */
int run_identical(const run *a, const run *b, const int *place, bool whole) WF_MUST;

/* The cases: WF_OK or a failure. */
typedef int op_case(run *r, const dims *d);
op_case case_close, case_alloc, case_free, case_upload, case_download, case_download_double, case_zero, case_copy,
    case_copy_runs;
op_case case_readback_begin, case_readback_end, case_record, case_recorded, case_replay, case_forget;
op_case case_linear_fold, case_linear_backward, case_matvec, case_matvec_backward;
op_case case_transform_forward, case_transform_inverse, case_transform_backward, case_transform_inverse_backward,
    case_mask;
op_case case_lattice_forward, case_lattice_inverse, case_lattice_backward;
op_case case_map_bytes, case_pack, case_pack_backward, case_unpack, case_relu_backward, case_gate, case_gate_backward,
    case_norm, case_norm_backward, case_attend, case_attend_backward;
op_case case_conv_create, case_conv_destroy, case_conv_forward, case_conv_backward, case_conv_folded_bytes,
    case_conv_fold, case_conv_unfold;
op_case case_gaussian, case_moments, case_sigmoid, case_sigmoid_backward, case_normal, case_dequantize, case_scale,
    case_adamax, case_muon_momentum, case_muon_step, case_guard, case_dwt, case_idwt, case_dwt_axis, case_idwt_axis;

/* Returns the weights of the pixels with variant 4, else NULL. */
const wf_real *weights_of(run *r, const dims *d);
/* All kinds of couplings, with settings that exercise their parts. */
extern const wf_transform transforms[];
extern const int transform_count;

/* Runs law i of ref alone (laws.h): finite differences, inverses, known answers. Returns false past the end. */
bool law(int i, const char **name, int *status);

#endif
