/* onednn.h - what differs between oneDNN 2 and oneDNN 3, as one interface of both
 *
 * oneDNN 2 passes memory descriptors by value and describes a convolution in two steps. oneDNN 3 passes pointers and
 * describes it in one. The other files of the CPU backend call these functions where the versions differ, and oneDNN
 * itself elsewhere. README.md lists what the versions choose and how they round. */
#ifndef WF_CPU_ONEDNN_H
#define WF_CPU_ONEDNN_H

#include <oneapi/dnnl/dnnl.h>

#if DNNL_VERSION_MAJOR == 2
typedef dnnl_memory_desc_t *wf_dnnl_md;
typedef const dnnl_memory_desc_t *wf_dnnl_const_md;
#elif DNNL_VERSION_MAJOR == 3
typedef dnnl_memory_desc_t wf_dnnl_md;
typedef const_dnnl_memory_desc_t wf_dnnl_const_md;
#else
#error "version 2 or 3 is needed: install libdnnl-dev, or make ONEDNN=DIR with DIR/include and DIR/lib of one"
#endif

/* 1 if oneDNN has Winograd in single precision: version 2 has it for AVX-512, version 3 answers "unimplemented". */
enum { WF_DNNL_WINOGRAD = DNNL_VERSION_MAJOR == 2 };

/* Creates the descriptor of an array of `axes` dimensions in the layout of `tag`. The caller destroys it. A descriptor
 * that oneDNN returns (wf_dnnl_const_md) belongs to the object that was asked. Errors: those of oneDNN. */
dnnl_status_t wf_dnnl_md_create(wf_dnnl_md *md, int axes, const dnnl_dims_t dims, dnnl_data_type_t type,
                                dnnl_format_tag_t tag);
/* md may be NULL. */
void wf_dnnl_md_destroy(wf_dnnl_md md);

/* One pass of a convolution without dilation. */
typedef struct wf_dnnl_conv {
    dnnl_prop_kind_t pass; /* dnnl_forward_training, dnnl_backward_data or dnnl_backward_weights */
    dnnl_alg_kind_t algorithm;
    /* The arrays of the forward pass, or their gradients where the pass computes or takes these. The gradient by the
     * source has no bias. */
    wf_dnnl_const_md source, weights, bias, result;
    const dnnl_dim_t *stride, *pad; /* along each spatial axis; pad on both sides */
} wf_dnnl_conv;

/* Describes the primitive of a pass; `hint` is the description of the forward pass, NULL for that pass itself. The
 * caller destroys *pd. Errors: those of oneDNN, dnnl_unimplemented if it lacks the algorithm for these arrays. */
dnnl_status_t wf_dnnl_conv_describe(const wf_dnnl_conv *conv, dnnl_engine_t engine, const_dnnl_primitive_desc_t hint,
                                    const_dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *pd);

/* The result gets its old value added, or becomes max(0, result). */
dnnl_status_t wf_dnnl_append_sum(dnnl_post_ops_t chain);
dnnl_status_t wf_dnnl_append_relu(dnnl_post_ops_t chain);

#endif
