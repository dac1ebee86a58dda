/* onednn.c - what differs between oneDNN 2 and oneDNN 3 */
#include "onednn.h"

#if DNNL_VERSION_MAJOR == 2

#include <stdlib.h>

dnnl_status_t wf_dnnl_md_create(wf_dnnl_md *md, int axes, const dnnl_dims_t dims, dnnl_data_type_t type,
                                dnnl_format_tag_t tag)
{
    *md = malloc(sizeof **md);
    if (!*md)
        return dnnl_out_of_memory;
    dnnl_status_t status = dnnl_memory_desc_init_by_tag(*md, axes, dims, type, tag);
    if (status != dnnl_success) {
        free(*md);
        *md = NULL;
    }
    return status;
}

void wf_dnnl_md_destroy(wf_dnnl_md md)
{
    free(md);
}

dnnl_status_t wf_dnnl_conv_describe(const wf_dnnl_conv *c, dnnl_engine_t engine, const_dnnl_primitive_desc_t hint,
                                    const_dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *pd)
{
    dnnl_convolution_desc_t d;
    dnnl_status_t status =
        c->pass == dnnl_backward_data
            ? dnnl_convolution_backward_data_desc_init(&d, c->algorithm, c->source, c->weights, c->result, c->stride,
                                                       c->pad, c->pad)
        : c->pass == dnnl_backward_weights
            ? dnnl_convolution_backward_weights_desc_init(&d, c->algorithm, c->source, c->weights, c->bias, c->result,
                                                          c->stride, c->pad, c->pad)
            : dnnl_convolution_forward_desc_init(&d, c->pass, c->algorithm, c->source, c->weights, c->bias, c->result,
                                                 c->stride, c->pad, c->pad);
    return status == dnnl_success ? dnnl_primitive_desc_create(pd, &d, attr, engine, hint) : status;
}

dnnl_status_t wf_dnnl_append_sum(dnnl_post_ops_t chain)
{
    return dnnl_post_ops_append_sum(chain, 1);
}

dnnl_status_t wf_dnnl_append_relu(dnnl_post_ops_t chain)
{
    return dnnl_post_ops_append_eltwise(chain, 1, dnnl_eltwise_relu, 0, 0);
}

#else

dnnl_status_t wf_dnnl_md_create(wf_dnnl_md *md, int axes, const dnnl_dims_t dims, dnnl_data_type_t type,
                                dnnl_format_tag_t tag)
{
    *md = NULL;
    return dnnl_memory_desc_create_with_tag(md, axes, dims, type, tag);
}

void wf_dnnl_md_destroy(wf_dnnl_md md)
{
    dnnl_memory_desc_destroy(md);
}

dnnl_status_t wf_dnnl_conv_describe(const wf_dnnl_conv *c, dnnl_engine_t engine, const_dnnl_primitive_desc_t hint,
                                    const_dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *pd)
{
    const dnnl_dims_t undilated = {0};
    if (c->pass == dnnl_backward_data)
        return dnnl_convolution_backward_data_primitive_desc_create(pd, engine, c->algorithm, c->source, c->weights,
                                                                    c->result, c->stride, undilated, c->pad, c->pad,
                                                                    hint, attr);
    if (c->pass == dnnl_backward_weights)
        return dnnl_convolution_backward_weights_primitive_desc_create(pd, engine, c->algorithm, c->source, c->weights,
                                                                       c->bias, c->result, c->stride, undilated, c->pad,
                                                                       c->pad, hint, attr);
    return dnnl_convolution_forward_primitive_desc_create(pd, engine, c->pass, c->algorithm, c->source, c->weights,
                                                          c->bias, c->result, c->stride, undilated, c->pad, c->pad,
                                                          attr);
}

dnnl_status_t wf_dnnl_append_sum(dnnl_post_ops_t chain)
{
    return dnnl_post_ops_append_sum(chain, 1, 0, dnnl_data_type_undef);
}

dnnl_status_t wf_dnnl_append_relu(dnnl_post_ops_t chain)
{
    return dnnl_post_ops_append_eltwise(chain, dnnl_eltwise_relu, 0, 0);
}

#endif
