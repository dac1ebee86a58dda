/* check_ops.c - tests every operator of every backend against kernels/ref
 *
 * To add an operator: give its slot a row in OPS below with shapes and a tolerance, and write case_SLOT in one of the
 * cases_*.c (ops.h explains how). A slot of wf_backend without a row does not compile. If the operator has a gradient,
 * add a law in laws.h.
 *
 *     build/check-ops [--backend NAME] [SLOT ...]        only this backend, which must open; only these slots
 *     build/check-ops laws                               only the laws of ref, which run last without a slot
 *
 * Errors are relative to the largest value of a buffer. */
#include <stdio.h>
#include <string.h>

#include "ops.h"

/* Fields: N H W, K, C, k, variant, precision. The sizes are awkward on purpose: 1, 7, odd sides, 4097 pixels. */
static const dims counts[] = {{1, 1, 1, 1, 0, 0, 0, 0}, {3, 1, 1, 7, 0, 0, 0, 0}, {1, 1, 1, 4097, 0, 0, 0, 0}};

static const dims runs[] = {
    /* k of K channels to k of C; variant 1: added */
    {1, 1, 1, 1, 1, 1, 0, 0}, {3, 1, 1, 7, 3, 3, 1, 0},    {2, 3, 5, 9, 12, 4, 0, 0},
    {2, 7, 1, 4, 4, 4, 1, 0}, {1, 17, 241, 9, 6, 5, 0, 0}, {1, 17, 241, 3, 12, 3, 1, 0},
};

static const dims linear[] = {
    {1, 1, 1, 3, 0, 0, 1, 0},    {1, 1, 1, 3, 0, 0, 2, 0},     {1, 1, 1, 9, 0, 0, 3, 0},
    {1, 1, 1, 9, 0, 0, 12, 0},   {1, 1, 1, 1, 0, 0, 12, 0},    {1, 1, 1, 12, 0, 0, 13, 0},
    {1, 1, 1, 48, 0, 0, 121, 0}, {1, 1, 1, 1, 0, 0, 3, 0},     {1, 1, 1, 7, 0, 0, 31, 0},
    {1, 1, 1, 48, 0, 0, 3, 0},   {1, 1, 1, 9, 0, 0, 12131, 0}, {1, 1, 1, 7, 0, 0, 4, 0},
    {1, 1, 1, 48, 0, 0, 14, 0},  {1, 1, 1, 9, 0, 0, 5, 0},     {1, 1, 1, 12, 0, 0, 54351, 0},
    {1, 1, 1, 1, 0, 0, 25, 0}, /* with one channel every reflection is the same: no gradient to compare */
};

static const dims matvec[] = {
    /* variant 1: in place; backward: without dA and da */
    {1, 1, 1, 3, 0, 0, 0, 0},  {1, 1, 1, 1, 0, 0, 1, 0},    {3, 1, 1, 9, 0, 0, 0, 0},  {5, 7, 3, 9, 0, 0, 1, 0},
    {2, 4, 4, 9, 0, 0, 0, 0},  {1, 17, 241, 9, 0, 0, 0, 0}, {3, 5, 3, 12, 0, 0, 1, 0}, {2, 3, 5, 48, 0, 0, 0, 0},
    {64, 1, 1, 3, 0, 0, 0, 0}, {2, 1, 4097, 3, 0, 0, 1, 0},
};

/* Kind T of `transforms` (ops.h), k channels kept; variant 1: in place, 2: no logdet, 4: weights, 8: k channels
 * transformed; 16, 32: all channels at even, odd pixels. */
#define COUPLING(T)                                                                                                   \
    {1, 1, 1, 3, T, 1, 0, 0}, {3, 1, 1, 9, T, 4, 1, 0}, {5, 7, 3, 9, T, 4, 2, 0}, {2, 3, 5, 12, T, 6, 11, 0},         \
        {3, 2, 2, 1, T, 0, 0, 0}, {64, 1, 1, 3, T, 1, 8, 0}, {3, 7, 41, 9, T, 4, 12, 0}, {2, 1, 4097, 3, T, 1, 4, 0}, \
        {3, 5, 7, 5, T, 0, 21, 0}, {2, 1, 7, 3, T, 0, 32, 0},                                                         \
    {                                                                                                                 \
        1, 1, 1, 3, T, 0, 32, 0                                                                                       \
    }
static const dims coupling[] = {
    COUPLING(0),
    COUPLING(1),
    COUPLING(2),
    COUPLING(3),
    COUPLING(4),
    COUPLING(5),
    COUPLING(6),
    COUPLING(7),
    {1, 17, 241, 9, 1, 4, 1, 0},
    {2, 5, 1, 48, 1, 24, 0, 0},
    {3, 5, 7, 48, 1, 24, 5, 0},
};

/* K colours, C channels of the condition beside the low-pass, k components; variant & 3: band, 3: the base; 4: weights
 * or no logdet, 8: three halvings of 5 bits; 16, 32: even, odd pixels. */
static const dims lattices[] = {
    {1, 1, 1, 3, 0, 5, 0, 0},    {3, 1, 1, 1, 7, 1, 1, 0},  {2, 5, 3, 3, 16, 5, 2, 0}, {5, 7, 3, 3, 5, 10, 12, 0},
    {2, 3, 5, 4, 0, 3, 9, 0},    {64, 1, 1, 3, 0, 5, 3, 0}, {3, 2, 2, 1, 0, 2, 11, 0}, {3, 7, 41, 3, 3, 5, 6, 0},
    {2, 1, 4097, 1, 0, 2, 1, 0}, {2, 5, 7, 2, 1, 4, 18, 0}, {3, 4, 3, 3, 2, 5, 44, 0}, {1, 1, 1, 3, 0, 4, 32, 0},
};

static const dims maps[] = {
    /* variant 1: nothing to add */
    {1, 1, 1, 1, 1, 0, 0, 0},         {3, 1, 1, 0, 16, 0, 1, 0},          {2, 5, 3, 0, 7, 0, 0, 0},
    {1, 17, 241, 0, 16, 0, 0, 0},     {3, 3, 7, 0, 48, 0, 1, 0},          {2, 4, 4, 0, 64, 0, 0, 0},
    {1, 2, 3, 0, 128, 0, 0, 0},       {2, 5, 3, 0, 7, 0, 0, WF_BF16},     {3, 3, 7, 0, 48, 0, 1, WF_BF16},
    {1, 1, 1, 0, 128, 0, 0, WF_BF16}, {3, 3, 5, 0, 9, 0, 1, 0},           {2, 3, 5, 0, 20, 0, 0, WF_BF16},
    {2, 5, 7, 0, 64, 0, 0, WF_BF16},  {1, 17, 241, 0, 33, 0, 1, WF_BF16},
};

static const dims attentions[] = {
    /* C channels in k heads; variant: wf_reach */
    {1, 1, 1, 0, 1, 1, 0, 0},    {3, 1, 1, 0, 8, 4, 0, 0},    {2, 3, 5, 0, 6, 2, 0, 0}, {5, 7, 3, 0, 7, 1, 0, 0},
    {2, 4, 4, 0, 96, 4, 0, 0},   {1, 17, 29, 0, 12, 4, 0, 0}, {1, 1, 1, 0, 1, 1, 1, 0}, {2, 3, 5, 0, 6, 2, 1, 0},
    {2, 4, 4, 0, 96, 4, 1, 0},   {1, 17, 29, 0, 12, 4, 1, 0}, {3, 1, 1, 0, 8, 4, 2, 0}, {5, 7, 3, 0, 7, 1, 2, 0},
    {1, 17, 29, 0, 12, 4, 2, 0},
};

static const dims packs[] = {
    /* the first k of K channels and C more; backward, variant 1: no dcond */
    {1, 1, 1, 3, 0, 1, 0, 0},          {3, 1, 1, 9, 3, 4, 0, 0},       {5, 7, 3, 9, 3, 4, 1, 0},
    {2, 5, 5, 9, 3, 4, 0, 0},          {2, 3, 5, 3, 1, 1, 0, 0},       {1, 17, 241, 9, 3, 4, 0, 0},
    {2, 4, 4, 48, 16, 24, 0, 0},       {3, 3, 3, 2, 3, 0, 0, 0},       {64, 1, 1, 9, 3, 4, 0, 0},
    {5, 7, 3, 9, 3, 4, 0, WF_BF16},    {2, 3, 5, 3, 0, 1, 0, WF_BF16}, {2, 5, 3, 48, 16, 24, 1, WF_BF16},
    {3, 3, 7, 40, 21, 14, 0, WF_BF16},
};

static const dims convs[] = {
    /* K to C channels, side k; variant 1: relu, 2: residual, 4: in place, 8: no dx, 16: no dw, 32: sound; 64, 128: a
     * volume of two, three slices. After those are 3x3 kernels whose tiles are cut off, few, in many groups or
     * in several chunks, on channels that fill blocks of eight, of sixteen, or neither. The last have one to four
     * pixels: pairs along one axis and along two, lines, and taps that meet nothing. */
    {1, 1, 1, 1, 16, 1, 1, 0},          {64, 1, 1, 7, 128, 1, 1, 0},         {3, 1, 1, 16, 16, 3, 1, 0},
    {1, 7, 1, 16, 10, 3, 0, 0},         {2, 2, 2, 32, 32, 3, 1, 0},          {3, 2, 2, 32, 32, 1, 7, 0},
    {64, 2, 2, 16, 16, 3, 1, 0},        {2, 3, 5, 7, 48, 1, 1, 0},           {2, 5, 3, 48, 48, 3, 1, 0},
    {2, 3, 5, 48, 48, 1, 3, 0},         {3, 4, 4, 64, 64, 3, 9, 0},          {2, 4, 4, 64, 64, 1, 7, 0},
    {2, 7, 7, 64, 10, 3, 0, 0},         {1, 8, 8, 128, 128, 3, 17, 0},       {1, 8, 8, 128, 128, 1, 7, 0},
    {2, 7, 5, 128, 10, 3, 0, 0},        {1, 17, 241, 16, 16, 3, 1, 0},       {1, 17, 241, 7, 16, 1, 1, 0},
    {1, 16, 16, 16, 96, 3, 0, 0},       {3, 1, 1, 128, 128, 1, 7, 0},        {2, 9, 9, 32, 32, 3, 7, 0},
    {3, 1, 1, 7, 128, 1, 1, WF_BF16},   {2, 2, 2, 32, 32, 3, 1, WF_BF16},    {2, 3, 5, 48, 48, 1, 7, WF_BF16},
    {1, 8, 8, 128, 128, 3, 1, WF_BF16}, {2, 7, 5, 64, 10, 3, 0, WF_BF16},    {3, 5, 3, 7, 16, 1, 9, WF_BF16},
    {2, 4, 4, 64, 64, 3, 16, WF_BF16},  {3, 1, 1, 16, 16, 3, 33, 0},         {2, 1, 2, 7, 16, 3, 32, 0},
    {64, 1, 4, 16, 10, 3, 35, 0},       {2, 1, 4097, 2, 16, 3, 33, 0},       {2, 1, 65, 64, 64, 3, 39, 0},
    {3, 1, 9, 48, 10, 1, 32, 0},        {2, 1, 33, 128, 10, 3, 32, 0},       {2, 1, 33, 48, 64, 3, 33, WF_BF16},
    {3, 2, 1, 16, 16, 3, 65, 0},        {2, 2, 2, 7, 16, 3, 64, 0},          {2, 3, 1, 8, 16, 3, 128, 0},
    {2, 4, 1, 16, 10, 3, 65, 0},        {1, 4, 2, 16, 32, 3, 67, 0},         {2, 8, 4, 64, 64, 3, 71, 0},
    {2, 15, 7, 7, 48, 3, 128, 0},       {1, 12, 4, 48, 64, 3, 129, 0},       {2, 9, 5, 128, 10, 3, 128, 0},
    {2, 6, 3, 48, 48, 1, 131, 0},       {1, 12, 8, 64, 64, 3, 129, WF_BF16}, {1, 4, 5, 7, 9, 3, 7, 0},
    {1, 6, 7, 24, 40, 3, 3, 0},         {2, 5, 11, 40, 24, 3, 1, 0},         {3, 19, 21, 24, 56, 3, 3, 0},
    {5, 9, 26, 33, 72, 3, 0, 0},        {3, 31, 33, 8, 8, 3, 0, 0},          {3, 2, 2, 160, 32, 3, 7, 0},
    {1, 2, 2, 1, 1, 3, 1, 0},           {3, 2, 2, 7, 130, 3, 3, 0},          {5, 2, 2, 130, 10, 3, 0, 0},
    {17, 2, 2, 10, 128, 3, 7, 0},       {64, 2, 2, 128, 128, 3, 3, 0},       {64, 2, 2, 128, 10, 3, 8, 0},
    {5, 2, 2, 130, 7, 1, 3, 0},         {3, 2, 2, 33, 17, 5, 1, 0},          {17, 1, 1, 130, 7, 3, 1, 0},
    {64, 1, 1, 128, 130, 1, 7, 0},      {5, 1, 1, 10, 1, 1, 0, 0},           {17, 2, 1, 7, 130, 3, 1, 0},
    {64, 1, 2, 130, 33, 3, 3, 0},       {5, 4, 1, 7, 10, 3, 1, 0},           {3, 3, 1, 128, 10, 5, 1, 0},
    {5, 1, 2, 7, 130, 3, 35, 0},        {3, 1, 3, 10, 7, 3, 33, 0},          {17, 1, 4, 128, 130, 3, 39, 0},
    {2, 1, 4, 17, 10, 7, 33, 0},        {5, 2, 1, 33, 10, 3, 67, 0},         {17, 2, 2, 7, 130, 3, 65, 0},
    {3, 1, 1, 7, 128, 1, 1, WF_TF32},   {2, 2, 2, 32, 32, 3, 1, WF_TF32},    {2, 3, 5, 48, 48, 1, 7, WF_TF32},
    {2, 4, 4, 64, 64, 3, 0, WF_TF32},   {2, 7, 5, 64, 10, 3, 0, WF_TF32},    {2, 1, 33, 48, 64, 3, 33, WF_TF32},
    {3, 2, 2, 16, 32, 1, 256, 0},       {3, 4, 4, 16, 16, 3, 256, 0},        {3, 5, 3, 32, 10, 3, 256, 0},
    {3, 2, 3, 16, 16, 3, 257, 0},       {3, 2, 2, 16, 32, 1, 257, 0},        {3, 4, 4, 32, 32, 3, 256, WF_BF16},
    {3, 4, 4, 32, 32, 1, 257, WF_BF16}, {2, 8, 8, 48, 64, 3, 3, WF_BF16},    {1, 6, 7, 24, 40, 3, 7, WF_BF16},
    {3, 19, 21, 24, 56, 3, 3, WF_BF16},
};

static const dims latents[] = {
    /* variant 1: no dz, 2: no logp, 4: weights */
    {1, 1, 1, 1, 0, 0, 0, 0},  {3, 1, 1, 3, 0, 0, 1, 0},    {5, 7, 3, 9, 0, 0, 2, 0}, {1, 17, 241, 9, 0, 0, 0, 0},
    {2, 3, 5, 48, 0, 0, 0, 0}, {3, 17, 241, 9, 0, 0, 4, 0}, {3, 5, 7, 9, 0, 0, 5, 0},
};

static const dims rows[] = {
    /* variant 1: far from 0 */
    {1, 1, 1, 1, 0, 0, 0, 0},    {3, 1, 1, 7, 0, 0, 1, 0},    {64, 1, 1, 3, 0, 0, 0, 0},  {2, 5, 3, 9, 0, 0, 1, 0},
    {1, 17, 241, 9, 0, 0, 0, 0}, {3, 7, 41, 128, 0, 0, 1, 0}, {2, 3, 5, 601, 0, 0, 0, 0}, {1, 64, 67, 1, 0, 0, 1, 0},
};

static const dims noises[] = {
    /* K taps (0: no noise), C colours, k uniforms; variant 1: base */
    {3, 1, 1, 2, 3, 1, 1, 0},   {2, 1, 1, 2, 3, 64, 1, 0},   {2, 1, 1, 2, 3, 4096, 1, 0}, {2, 3, 5, 2, 1, 1, 0, 0},
    {3, 1, 1, 2, 3, 1, 0, 0},   {2, 5, 7, 2, 3, 4, 0, 0},    {2, 2, 2, 2, 4, 16, 0, 0},   {2, 4, 2, 2, 3, 64, 0, 0},
    {2, 2, 3, 2, 3, 256, 0, 0}, {2, 3, 3, 0, 3, 1, 0, 0},    {2, 1, 1, 0, 3, 4, 1, 0},    {1, 17, 241, 2, 1, 1, 0, 0},
    {3, 1, 1, 4, 3, 1, 1, 0},   {2, 3, 5, 4, 1, 1, 0, 0},    {3, 1, 1, 20, 3, 1, 0, 0},   {2, 3, 5, 8, 3, 4, 0, 0},
    {2, 1, 1, 20, 3, 4, 1, 0},  {2, 1, 1, 8, 3, 4, 0, 0},    {2, 3, 5, 4, 1, 16, 1, 0},   {2, 2, 3, 4, 3, 16, 0, 0},
    {2, 3, 5, 2, 1, 2, 1, 0},   {3, 1, 7, 2, 3, 8, 1, 0},    {2, 3, 3, 2, 1, 32, 1, 0},   {2, 1, 2, 2, 1, 128, 1, 0},
    {1, 3, 513, 2, 1, 2, 1, 0}, {2, 5, 3, 8, 3, 1024, 0, 0}, {2, 1, 1, 4, 3, 4096, 1, 0}, {1, 17, 241, 4, 1, 1, 0, 0},
    {2, 17, 33, 8, 3, 4, 0, 0},
};

static const dims updates[] = {
    /* variant 1: a NaN, 2: an infinity in the gradient */
    {1, 1, 1, 1, 0, 0, 0, 0},    {1, 1, 1, 7, 0, 0, 1, 0},    {1, 1, 1, 4097, 0, 0, 0, 0},
    {1, 1, 1, 4097, 0, 0, 1, 0}, {1, 1, 1, 4097, 0, 0, 2, 0},
};

static const dims matrices[] = {
    /* K x C, C x K and others between gaps; variant 1: a matrix is zero, 2: the flag is set */
    {1, 1, 1, 1, 1, 0, 0, 0},   {1, 1, 1, 3, 1, 0, 1, 0},    {1, 1, 1, 9, 9, 0, 0, 0},    {1, 1, 1, 10, 432, 0, 0, 0},
    {1, 1, 1, 48, 23, 0, 0, 0}, {1, 1, 1, 48, 432, 0, 0, 0}, {1, 1, 1, 65, 130, 0, 1, 0}, {1, 1, 1, 33, 31, 0, 2, 0},
};

static const dims wavelets[] = {
    /* C colours, k taps; some pictures are smaller than the filter */
    {1, 2, 2, 0, 1, 2, 0, 0},  {2, 2, 6, 0, 3, 2, 0, 0},    {3, 10, 14, 0, 3, 2, 0, 0},    {2, 2, 2, 0, 3, 4, 0, 0},
    {2, 6, 10, 0, 3, 4, 0, 0}, {1, 34, 482, 0, 1, 2, 0, 0}, {3, 2, 2, 0, 3, 20, 0, 0},     {2, 4, 6, 0, 3, 20, 0, 0},
    {2, 2, 34, 0, 1, 8, 0, 0}, {2, 34, 4, 0, 4, 8, 0, 0},   {1, 34, 482, 0, 3, 4, 0, 0},   {2, 34, 66, 0, 2, 20, 0, 0},
    {1, 6, 34, 0, 5, 6, 0, 0}, {2, 4, 1402, 0, 3, 8, 0, 0}, {1, 12, 166, 0, 16, 20, 0, 0}, {2, 4, 18, 0, 3, 8, 0, 0},
};

static const dims axes[] = {
    /* [N,H,C] transformed along H, k taps; some axes are shorter than the filter */
    {1, 2, 1, 0, 1, 2, 0, 0}, {3, 6, 1, 0, 1, 2, 0, 0},   {2, 4098, 1, 0, 1, 2, 0, 0}, {2, 4, 1, 0, 35, 2, 0, 0},
    {3, 2, 1, 0, 7, 4, 0, 0}, {2, 34, 1, 0, 3, 20, 0, 0}, {2, 6, 1, 0, 4097, 8, 0, 0}, {1, 4, 1, 0, 2, 20, 0, 0},
};

/* slot, shapes, tolerance in single precision */
/* clang-format off */
#define OPS(row) \
    row(close, counts, 0) \
    row(alloc, counts, 0) \
    row(free, counts, 0) \
    row(upload, counts, 0) \
    row(download, counts, 0) \
    row(download_double, counts, 1e-6) \
    row(readback_begin, counts, 1e-6) \
    row(readback_end, counts, 1e-6) \
    row(record, counts, 2e-6) \
    row(recorded, counts, 2e-6) \
    row(replay, counts, 2e-6) \
    row(forget, counts, 2e-6) \
    row(zero, counts, 0) \
    row(copy, counts, 0) \
    row(copy_runs, runs, 1e-6) \
    row(linear_fold, linear, 1e-5) \
    row(linear_backward, linear, 1e-5) \
    row(matvec, matvec, 2e-6) \
    row(matvec_backward, matvec, 1e-5) \
    row(transform_forward, coupling, 2e-6) \
    row(transform_inverse, coupling, 2e-6) \
    row(transform_backward, coupling, 3e-6) \
    row(transform_inverse_backward, coupling, 3e-6) \
    row(mask, coupling, 1e-7) \
    row(lattice_forward, lattices, 2e-5) \
    row(lattice_inverse, lattices, 2e-5) \
    row(lattice_backward, lattices, 2e-5) \
    row(map_bytes, maps, 0) \
    row(pack, packs, 0) \
    row(pack_backward, packs, 1e-6) \
    row(unpack, maps, 0) \
    row(relu_backward, maps, 1e-6) \
    row(gate, maps, 1e-6) \
    row(gate_backward, maps, 1e-6) \
    row(norm, maps, 3e-6) \
    row(norm_backward, maps, 1e-5) \
    row(attend, attentions, 2e-6) \
    row(attend_backward, attentions, 1e-5) \
    row(conv_create, convs, 0) \
    row(conv_destroy, convs, 0) \
    row(conv_forward, convs, 1e-5) \
    row(conv_backward, convs, 3e-5) \
    row(conv_folded_bytes, convs, 1e-5) \
    row(conv_fold, convs, 1e-5) \
    row(conv_unfold, convs, 3e-5) \
    row(gaussian, latents, 1e-6) \
    row(moments, rows, 1e-6) \
    row(sigmoid, latents, 2e-6) \
    row(sigmoid_backward, latents, 2e-6) \
    row(normal, latents, 2e-6) \
    row(dequantize, noises, 2e-6) \
    row(scale, counts, 1e-6) \
    row(adamax, updates, 1e-5) \
    row(muon_momentum, updates, 1e-6) \
    row(muon_step, matrices, 2e-4) \
    row(guard, updates, 1e-5) \
    row(dwt, wavelets, 1e-6) \
    row(idwt, wavelets, 1e-6) \
    row(dwt_axis, axes, 1e-6) \
    row(idwt_axis, axes, 1e-6)
/* clang-format on */

/* Tolerance for two numbers with 8 bits, or 11 bits each, after sums over a kernel. */
static const double bf16_tolerance = 2e-2, tf32_tolerance = 2e-3;

typedef struct op {
    const char *slot;
    size_t place;
    op_case *run;
    const dims *shapes;
    int count;
    double tolerance;
} op;

#define ROW(slot, shapes, tolerance) \
    {#slot, offsetof(wf_backend, slot), case_##slot, shapes, sizeof(shapes) / sizeof *(shapes), tolerance},
static const op ops[] = {OPS(ROW)};

enum { OP_COUNT = sizeof ops / sizeof *ops };
_Static_assert(OP_COUNT == (sizeof(wf_backend) - offsetof(wf_backend, close)) / sizeof(void (*)(void)),
               "a slot of wf_backend has no row in OPS");

#define LAWS "laws" /* in the list of slots */

typedef struct tally {
    int passed, failed, skipped;
} tally;

/* case_alloc asks for more memory than the machine has. */
#ifdef __SANITIZE_ADDRESS__
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
#endif

static int execute(wf_backend *b, const op *o, const dims *d, const uint64_t *pictures, run *r)
{
    *r = (run){.backend = b, .N = d->N, .pictures = pictures};
    WF_TRY(o->run(r, d));
    return run_collect(r);
}

/* Runs the same pictures again, then in reverse order with one of them replaced. */
static int check_repeatable(wf_backend *b, const op *o, const dims *d, const uint64_t *pictures, const run *first)
{
    uint64_t turned[MAX_PICTURES];
    int same[MAX_PICTURES], place[MAX_PICTURES];
    for (int n = 0; n < d->N; n++) {
        same[n] = n;
        place[n] = n ? d->N - 1 - n : -1;
        turned[d->N - 1 - n] = n ? pictures[n] : 1000;
    }
    run r;
    int status = execute(b, o, d, pictures, &r);
    if (!status)
        status = run_identical(first, &r, same, true);
    if (status)
        status = wf_fail(status, "a second run differs: %s", wf_error());
    run_clear(&r);
    if (status)
        return status;
    status = execute(b, o, d, turned, &r);
    if (!status)
        status = run_identical(first, &r, place, false);
    if (status)
        status = wf_fail(status, "other neighbours make a difference: %s", wf_error());
    run_clear(&r);
    return status;
}

/* Curved transforms lose digits where they are steep or flat. */
static double tolerance_of(const wf_backend *b, const op *o, const dims *d)
{
    if (o->shapes == coupling && transforms[d->C].count)
        return 20 * o->tolerance;
    if (d->precision == WF_TF32 && !strncmp(b->name, "cuda", 4))
        return tf32_tolerance;
    return d->precision == WF_BF16 && b->bf16 ? bf16_tolerance : o->tolerance;
}

static int check_case(wf_backend *b, wf_backend *ref, const op *o, const dims *d)
{
    uint64_t pictures[MAX_PICTURES];
    for (int n = 0; n < d->N; n++)
        pictures[n] = (uint64_t)n + 1;
    run ours, want = {.count = 0};
    int status = execute(b, o, d, pictures, &ours);
    if (!status)
        status = execute(ref, o, d, pictures, &want);
    if (!status)
        status = run_compare(&ours, &want, tolerance_of(b, o, d));
    if (!status)
        status = check_repeatable(b, o, d, pictures, &ours);
    run_clear(&ours);
    run_clear(&want);
    return status;
}

static void describe_case(const char *backend, const op *o, const dims *d)
{
    printf("FAIL %s %s: N %d, %d x %d, K %d, C %d, k %d, variant %d%s: %s\n", backend, o->slot, d->N, d->H, d->W, d->K,
           d->C, d->k, d->variant,
           d->precision == WF_BF16   ? ", bf16"
           : d->precision == WF_TF32 ? ", tf32"
                                     : "",
           wf_error());
}

static bool chosen(const char *slot, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], slot) == 0)
            return true;
    return argc < 2;
}

static void check_backend(wf_backend *b, wf_backend *ref, int argc, char **argv, tally *t)
{
    for (int i = 0; i < OP_COUNT; i++)
        for (int s = 0; s < ops[i].count && chosen(ops[i].slot, argc, argv); s++) {
            const dims *d = &ops[i].shapes[s];
            int status = check_case(b, ref, &ops[i], d);
            if (status)
                describe_case(b->name, &ops[i], d);
            t->failed += status != 0;
            t->passed += status == 0;
        }
}

static void check_laws(tally *t)
{
    const char *name;
    int status;
    for (int i = 0; law(i, &name, &status); i++) {
        if (status)
            printf("FAIL law %s: %s\n", name, wf_error());
        t->failed += status != 0;
        t->passed += status == 0;
    }
}

static int all_cases(int argc, char **argv)
{
    int sum = 0;
    for (int i = 0; i < OP_COUNT; i++)
        sum += chosen(ops[i].slot, argc, argv) ? ops[i].count : 0;
    return sum;
}

int main(int argc, char **argv)
{
    tally t = {0, 0, 0};
    wf_backend *ref, *b;
    const char *name, *only = NULL;
    char text[256];
    if (argc > 2 && !strcmp(argv[1], "--backend")) {
        only = argv[2];
        argc -= 2;
        argv += 2;
    }
    if (argc == 2 && !strcmp(argv[1], "--list")) {
        for (int i = 0; i < OP_COUNT; i++)
            puts(ops[i].slot);
        puts(LAWS);
        return 0;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (wf_ref_open(1, &ref)) {
        fprintf(stderr, "check-ops: %s\n", wf_error());
        return 1;
    }
    for (int i = 0; wf_backend_describe(i, &name, text); i++) {
        if (only && strcmp(only, name))
            continue;
        if (wf_backend_open(name, 0, &b)) {
            printf("%s %s, all cases: %s\n", only ? "FAIL" : "skip", name, wf_error());
            *(only ? &t.failed : &t.skipped) += all_cases(argc, argv);
            continue;
        }
        check_backend(b, ref, argc, argv, &t);
        b->close(b);
    }
    ref->close(ref);
    if (!only && chosen(LAWS, argc, argv))
        check_laws(&t);
    printf("%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped);
    return t.failed > 0;
}
