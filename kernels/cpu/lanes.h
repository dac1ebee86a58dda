/* lanes.h - vectors of feature maps: conversion from and to bf16, and loads and stores of some lanes
 *
 * Rounding to bf16 is integer arithmetic, like wf_bf16_from_float, so that builds for one processor and for every one
 * give the same bits. The instruction vcvtneps2bf16 of AVX-512 BF16 is not used: it rounds and keeps NaN the same way
 * (compared for all 2^32 floats), but makes zeros of subnormal numbers. */
#ifndef WF_CPU_LANES_H
#define WF_CPU_LANES_H

#include "cpu.h"

#include "vec.h"

typedef uint32_t wf_wide_bits __attribute__((vector_size(sizeof(wf_wide))));
typedef uint16_t wf_wide_bf16 __attribute__((vector_size(sizeof(wf_wide) / 2)));
typedef uint16_t wf_wide_bf16_in_memory __attribute__((vector_size(sizeof(wf_wide) / 2), aligned(2), may_alias));

WF_VEC void wf_wide_load_bf16(wf_wide *v, const uint16_t *p)
{
    wf_wide_bf16 halves = *(const wf_wide_bf16_in_memory *)p;
#ifdef __AVX512F__
    *v = (wf_wide)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)halves), 16);
#else
    *v = (wf_wide)(__builtin_convertvector(halves, wf_wide_bits) << 16);
#endif
}

/* Rounds to nearest, ties to even; NaN stays NaN. */
WF_VEC void wf_wide_round(wf_wide_bf16 *halves, const wf_wide *v)
{
    wf_wide_bits u = (wf_wide_bits)*v, rounded = u + 0x7fffu + (u >> 16 & 1), quiet = u | 0x400000u;
#ifdef __AVX512F__
    __mmask16 nan = _mm512_cmp_ps_mask((__m512)*v, (__m512)*v, _CMP_UNORD_Q);
    __m512i all = _mm512_mask_mov_epi32((__m512i)rounded, nan, (__m512i)quiet);
    *halves = (wf_wide_bf16)_mm512_cvtepi32_epi16(_mm512_srli_epi32(all, 16));
#else
    wf_wide_bits nan = (wf_wide_bits)(*v != *v);
    *halves = __builtin_convertvector(((rounded & ~nan) | (quiet & nan)) >> 16, wf_wide_bf16);
#endif
}

WF_VEC void wf_wide_store_bf16(uint16_t *p, const wf_wide *v)
{
    wf_wide_bf16 halves;
    wf_wide_round(&halves, v);
    *(wf_wide_bf16_in_memory *)p = halves;
}

/* A set of lanes: bit i stands for lane i. */
typedef unsigned wf_lanes;

#define WF_ALL_LANES ((wf_lanes)((1ull << WF_WIDE) - 1))

/* Lanes [first, end), as far as a vector has them. */
WF_VEC wf_lanes wf_lanes_between(int first, int end)
{
    first = first < 0 ? 0 : first > WF_WIDE ? WF_WIDE : first;
    end = end < first ? first : end > WF_WIDE ? WF_WIDE : end;
    return (wf_lanes)((1ull << end) - (1ull << first));
}

#if !defined __AVX512F__ && defined __AVX2__
WF_VEC __m256i wf_signs_of(wf_lanes lanes) /* the sign of each lane, as masked moves of AVX2 take it */
{
    return _mm256_sllv_epi32(_mm256_set1_epi32((int)lanes), _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24));
}
#endif

/* Replaces some lanes of v by floats of p. Lane i is p[i]. Memory of other lanes is neither read nor written, here and
 * below. */
WF_VEC void wf_wide_load_lanes(wf_wide *v, const float *p, wf_lanes lanes)
{
#if defined __AVX512F__
    *v = (wf_wide)_mm512_mask_loadu_ps((__m512)*v, (__mmask16)lanes, p);
#elif defined __AVX2__
    __m256i signs = wf_signs_of(lanes);
    *v = (wf_wide)_mm256_blendv_ps((__m256)*v, _mm256_maskload_ps(p, signs), _mm256_castsi256_ps(signs));
#else
    for (int i = 0; i < WF_WIDE; i++)
        (*v)[i] = lanes >> i & 1 ? p[i] : (*v)[i];
#endif
}

WF_VEC void wf_wide_store_lanes(float *p, const wf_wide *v, wf_lanes lanes)
{
#if defined __AVX512F__
    _mm512_mask_storeu_ps(p, (__mmask16)lanes, (__m512)*v);
#elif defined __AVX2__
    _mm256_maskstore_ps(p, wf_signs_of(lanes), (__m256)*v);
#else
    for (int i = 0; i < WF_WIDE; i++)
        if (lanes >> i & 1)
            p[i] = (*v)[i];
#endif
}

WF_VEC void wf_wide_load_lanes_bf16(wf_wide *v, const uint16_t *p, wf_lanes lanes)
{
#if defined __AVX512F__
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16((__mmask16)lanes, p));
    *v = (wf_wide)_mm512_mask_slli_epi32((__m512i)*v, (__mmask16)lanes, wide, 16);
#else
    wf_wide_bits u = (wf_wide_bits)*v;
    for (int i = 0; i < WF_WIDE; i++)
        u[i] = lanes >> i & 1 ? (uint32_t)p[i] << 16 : u[i];
    *v = (wf_wide)u;
#endif
}

WF_VEC void wf_wide_store_lanes_bf16(uint16_t *p, const wf_wide *v, wf_lanes lanes)
{
    wf_wide_bf16 halves;
    wf_wide_round(&halves, v);
#if defined __AVX512F__
    _mm256_mask_storeu_epi16(p, (__mmask16)lanes, (__m256i)halves);
#else
    for (int i = 0; i < WF_WIDE; i++)
        if (lanes >> i & 1)
            p[i] = halves[i];
#endif
}

/* -- maps in either precision; callers make `bf16` a constant ------------------------------------------------------ */

/* Replaces some lanes of v by numbers of a map from place `at` on. */
WF_VEC void wf_map_load(wf_wide *v, const void *map, bool bf16, size_t at, wf_lanes lanes)
{
    if (bf16 && lanes == WF_ALL_LANES)
        wf_wide_load_bf16(v, (const uint16_t *)map + at);
    else if (bf16)
        wf_wide_load_lanes_bf16(v, (const uint16_t *)map + at, lanes);
    else if (lanes == WF_ALL_LANES)
        wf_wide_load(v, (const float *)map + at);
    else
        wf_wide_load_lanes(v, (const float *)map + at, lanes);
}

WF_VEC void wf_map_store(void *map, bool bf16, size_t at, const wf_wide *v, wf_lanes lanes)
{
    if (bf16 && lanes == WF_ALL_LANES)
        wf_wide_store_bf16((uint16_t *)map + at, v);
    else if (bf16)
        wf_wide_store_lanes_bf16((uint16_t *)map + at, v, lanes);
    else if (lanes == WF_ALL_LANES)
        wf_wide_store((float *)map + at, v);
    else
        wf_wide_store_lanes((float *)map + at, v, lanes);
}

#endif
