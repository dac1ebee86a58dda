/* pieces.h - sums over a picture in two steps of fixed order: each block adds up a piece, then the pieces are added up.
 * The grid is (pieces of a picture, N). */
#ifndef WF_CUDA_PIECES_H
#define WF_CUDA_PIECES_H

#include "cuda.h"

/* Writes a block's sum to its place among the pieces, or adds it to the result if the block is the only one of its
 * picture. */
static __device__ __forceinline__ void give_sum(double sum, double sign, double *pieces, double *result)
{
    if (threadIdx.x != 0)
        return;
    if (gridDim.x == 1)
        result[blockIdx.y] += sign * sum;
    else
        pieces[(size_t)blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

static __global__ void add_pieces(int N, int count, double sign, const double *pieces, double *result)
{
    int n = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (n >= N)
        return;
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += pieces[(size_t)n * (size_t)count + (size_t)i];
    result[n] += sign * sum;
}

/* The second step, after a kernel on `grid`, where a picture has more than one piece. result NULL: nothing. */
static inline int sum_pieces(wf_cuda *cuda, dim3 grid, double sign, const double *pieces, double *result)
{
    if (grid.x > 1 && result)
        WF_RUN(add_pieces, wf_cuda_blocks(grid.y), (unsigned)WF_CUDA_THREADS, 0, (int)grid.y, (int)grid.x, sign, pieces,
               result);
    return WF_OK;
}

#endif
