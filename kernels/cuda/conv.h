/* conv.h - the parts of CUDA convolutions: matrix products by cuBLASLt, convolutions by cuDNN's graphs */
#ifndef WF_CUDA_CONV_H
#define WF_CUDA_CONV_H

#include "cuda.h"

/* Row-major products over the pixels of maps, all rows padded to 8 numbers:
 *   FORWARD  y [M,out] = x [M,in] w'    w [out,in]; with bias [out], residual [M,out] and relu
 *   DATA     x [M,in] = y [M,out] w
 *   WEIGHTS  w [out,in] = y' x          always float */
typedef enum wf_cuda_direction { WF_CUDA_FORWARD, WF_CUDA_DATA, WF_CUDA_WEIGHTS, WF_CUDA_DIRECTIONS } wf_cuda_direction;

typedef struct wf_cuda_product {
    wf_cuda_direction direction;
    wf_precision precision;
    size_t M, in, out;
    bool bias, residual, relu; /* FORWARD only */
    bool whole;                /* FORWARD's result is float for any precision */
    /* filled in by wf_cuda_product_create */
    cublasLtMatmulDesc_t description;
    cublasLtMatrixLayout_t a, b, d;
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace;
} wf_cuda_product;

/* Fills in the rest of *p and chooses an algorithm by measurement. Clear *p even after a failure. */
int wf_cuda_product_create(wf_cuda *cuda, wf_cuda_product *p) WF_MUST;
void wf_cuda_product_clear(wf_cuda_product *p);
/* first, second: the two factors on the right of the direction's equation, in its order. stream: the backend's own or
 * that of a branch; neither waits for the other. */
int wf_cuda_product_run(wf_cuda *cuda, cudaStream_t stream, const wf_cuda_product *p, const void *first,
                        const void *second, const void *bias, const void *residual, void *result) WF_MUST;

/* A k x k convolution by cuDNN with padded channels, in the same three directions; w [out,taps,in]. */
typedef struct wf_cuda_graph {
    wf_cuda_direction direction;
    wf_conv_spec spec; /* with padded channels */
    bool fused;        /* FORWARD adds a bias [out] and applies the spec's relu in the same pass */
    /* filled in by wf_cuda_graph_create */
    cudnnBackendDescriptor_t plan;
    size_t workspace;
    bool narrow; /* WEIGHTS: the result is bf16, since no engine gives float */
} wf_cuda_graph;

/* Fills in the rest of *g and chooses an engine by measurement. WF_INTERNAL if cuDNN has no engine, as for float
 * gradients of weights from bf16 maps. Clear *g even after a failure. */
int wf_cuda_graph_create(wf_cuda *cuda, wf_cuda_graph *g) WF_MUST;
void wf_cuda_graph_clear(wf_cuda_graph *g);
/* Writes the number of engines that wf_cuda_graph_create would choose from. */
int wf_cuda_graph_engines(wf_cuda *cuda, wf_cuda_graph *g, int *count) WF_MUST;
/* x, w, y: maps and weights; the direction says which one is the result. bias: of a fused graph, else NULL. stream: as
 * for wf_cuda_product_run. */
int wf_cuda_graph_run(wf_cuda *cuda, cudaStream_t stream, const wf_cuda_graph *g, void *x, void *w, void *y,
                      void *bias) WF_MUST;
/* Takes a library's workspace from the pool of the stream. Creation of a direction takes it once, so that a recording
 * need not grow it. */
static inline int wf_cuda_workspace(wf_cuda *cuda, cudaStream_t stream, size_t bytes, void **out)
{
    return wf_cuda_pool_take(cuda, stream == cuda->side ? &cuda->side_workspace : &cuda->workspace, bytes, out);
}

static inline int wf_cuda_grow_workspace(wf_cuda *cuda, wf_cuda_direction direction, size_t bytes)
{
    void *unused;
    WF_TRY(wf_cuda_workspace(cuda, cuda->stream, bytes, &unused));
    return direction == WF_CUDA_WEIGHTS ? wf_cuda_workspace(cuda, cuda->side, bytes, &unused) : WF_OK;
}

#endif
