/* ops.h - how an operator's case is written: it makes named buffers, calls the slot, and is done.
 *
 * The same case runs on every backend with the same inputs. Inputs are float numbers that depend on (buffer, picture,
 * element) alone, outputs start as NaN, every buffer stands between canaries. All buffers are read back, compared with
 * ref (inputs too, which must not change), with a second run (same bits), and with a run whose pictures are in other
 * places beside other neighbours (same bits per picture). */
#ifndef OPS_H
#define OPS_H

#include "../../kernels/backend.h"

/* One shape of a case; each operator gives the fields its own meaning and documents it beside its shapes. */
typedef struct dims {
    int N, H, W;
    int K;       /* channels of the flow, or input channels */
    int C;       /* other channels: condition, output */
    int k;       /* kernel side, channels kept, taps, uniforms: whatever else the operator has */
    int variant; /* bit set: see the case */
    wf_precision precision;
} dims;

enum { MAX_BUFFERS = 24, MAX_PICTURES = 64 };

enum role { INPUT, OUTPUT, UPDATED }; /* UPDATED: starts like an input */
enum scope { WHOLE, PER_PICTURE };

typedef struct buffer {
    char *memory; /* device: canary, data, canary */
    size_t total; /* bytes of memory */
    size_t start, bytes;
    enum kind { REALS, DOUBLES, MAP, HOST } kind;
    enum scope scope;
    size_t per; /* elements, of a picture or altogether */
    const char *what;
    wf_map_shape shape;
    double *values; /* read back after the case */
} buffer;

typedef struct run {
    wf_backend *backend;
    int N;
    const uint64_t *pictures; /* [N] who is where in the batch */
    buffer buffers[MAX_BUFFERS];
    int count;
} run;

/* [n] or, PER_PICTURE, [N,n] device numbers within +-size; WHOLE ones are not aligned to more than a number, as
 * parameters are not. */
wf_real *reals(run *r, const char *what, enum role role, enum scope scope, size_t n, double size);
/* [n] or [N,n] device doubles: 0 if `zero`, since nothing can upload doubles, else NaN. */
double *doubles(run *r, const char *what, enum scope scope, size_t n, bool zero);
/* A feature map [N,H,W,C], by pack; in OUTPUT all bytes are 0xff (NaN at every precision). */
wf_map *feature_map(run *r, const char *what, enum role role, const wf_map_shape *shape);
/* [n] host doubles, for results that come back directly. */
double *host(run *r, const char *what, enum scope scope, size_t n);
/* The same input as host numbers: element e of buffer `number` of a picture, within +-size. */
float input_value(int number, uint64_t picture, size_t element, double size, wf_precision precision);

/* Reads everything back; WF_INTERNAL when a canary is dead. */
int run_collect(run *r) WF_MUST;
void run_clear(run *r);
/* WF_INTERNAL with buffer, element and values unless a and b agree to `tolerance` of the largest value. */
int run_compare(const run *a, const run *b, double tolerance) WF_MUST;
/* As run_compare bit by bit; picture `n` of a with picture place[n] of b (-1: not there), and WHOLE buffers only if
 * `whole`. */
int run_identical(const run *a, const run *b, const int *place, bool whole) WF_MUST;

/* The cases: WF_OK or a failure. */
typedef int op_case(run *r, const dims *d);
op_case case_close, case_alloc, case_free, case_upload, case_download, case_download_double, case_zero, case_copy,
    case_copy_runs;
op_case case_readback_begin, case_readback_end, case_record, case_recorded, case_replay, case_forget;
op_case case_linear_fold, case_linear_backward, case_matvec, case_matvec_backward;
op_case case_transform_forward, case_transform_inverse, case_transform_backward, case_transform_inverse_backward,
    case_mask;
op_case case_map_bytes, case_pack, case_pack_backward, case_unpack, case_relu_backward, case_gate, case_gate_backward,
    case_norm, case_norm_backward, case_attend, case_attend_backward;
op_case case_conv_create, case_conv_destroy, case_conv_forward, case_conv_backward, case_conv_folded_bytes,
    case_conv_fold, case_conv_unfold;
op_case case_gaussian, case_sigmoid, case_sigmoid_backward, case_normal, case_dequantize, case_scale, case_adamax,
    case_guard, case_dwt, case_idwt, case_dwt_axis, case_idwt_axis;

/* Of each pixel, with variant 4. */
const wf_real *weights_of(run *r, const dims *d);
/* Every kind of coupling, with settings that show its parts. */
extern const wf_transform transforms[];
extern const int transform_count;

/* What must hold on ref by itself: finite differences, inverses, known answers. Row i; false past the end. */
bool law(int i, const char **name, int *status);

#endif
