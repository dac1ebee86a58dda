/* open.c - the table of the reference backend */
#include "ref.h"

#include <stdlib.h>
#include <unistd.h>

static void ref_close(wf_backend *b)
{
    free(b);
}

static const wf_backend ref_backend = {
    .name = "ref",
    .device = "naive double precision, one thread",
    .real = sizeof(double),
    .bf16 = false,
    .threads = 1,
    .close = ref_close,
    .alloc = wf_ref_alloc,
    .free = wf_ref_free,
    .upload = wf_ref_upload,
    .download = wf_ref_download,
    .download_double = wf_ref_download_double,
    .readback_begin = wf_ref_readback_begin,
    .readback_end = wf_ref_readback_end,
    .zero = wf_ref_zero,
    .copy = wf_ref_copy,
    .copy_runs = wf_ref_copy_runs,
    .linear_fold = wf_ref_linear_fold,
    .linear_backward = wf_ref_linear_backward,
    .matvec = wf_ref_matvec,
    .matvec_backward = wf_ref_matvec_backward,
    .transform_forward = wf_ref_transform_forward,
    .transform_inverse = wf_ref_transform_inverse,
    .transform_backward = wf_ref_transform_backward,
    .transform_inverse_backward = wf_ref_transform_inverse_backward,
    .mask = wf_ref_mask,
    .lattice_forward = wf_ref_lattice_forward,
    .lattice_inverse = wf_ref_lattice_inverse,
    .lattice_backward = wf_ref_lattice_backward,
    .map_bytes = wf_ref_map_bytes,
    .pack = wf_ref_pack,
    .pack_backward = wf_ref_pack_backward,
    .unpack = wf_ref_unpack,
    .relu_backward = wf_ref_relu_backward,
    .gate = wf_ref_gate,
    .gate_backward = wf_ref_gate_backward,
    .norm = wf_ref_norm,
    .norm_backward = wf_ref_norm_backward,
    .attend = wf_ref_attend,
    .attend_backward = wf_ref_attend_backward,
    .conv_create = wf_ref_conv_create,
    .conv_destroy = wf_ref_conv_destroy,
    .conv_forward = wf_ref_conv_forward,
    .conv_backward = wf_ref_conv_backward,
    .gaussian = wf_ref_gaussian,
    .moments = wf_ref_moments,
    .normal = wf_ref_normal,
    .dequantize = wf_ref_dequantize,
    .sigmoid = wf_ref_sigmoid,
    .sigmoid_backward = wf_ref_sigmoid_backward,
    .scale = wf_ref_scale,
    .adamax = wf_ref_adamax,
    .muon_momentum = wf_ref_muon_momentum,
    .muon_step = wf_ref_muon_step,
    .guard = wf_ref_guard,
    .dwt = wf_ref_dwt,
    .idwt = wf_ref_idwt,
    .dwt_axis = wf_ref_dwt_axis,
    .idwt_axis = wf_ref_idwt_axis,
};

int wf_ref_open(int threads, wf_backend **out)
{
    (void)threads; /* one thread gives sums one order */
    *out = malloc(sizeof **out);
    WF_CHECK(*out, WF_AGAIN, "ref: out of memory: %zu bytes", sizeof **out);
    **out = ref_backend;
    (*out)->pixels = 4096;
    (*out)->memory = (size_t)sysconf(_SC_PHYS_PAGES) / 4 * (size_t)sysconf(_SC_PAGESIZE);
    return WF_OK;
}
