/* vec.h - vectors of sixteen floats, of eight, and of one register, in the vector types of gcc and clang
 *
 * These serve the few loops that compilers do not vectorize well from plain C. Machines with shorter registers run the
 * same code in halves or quarters. */
#ifndef WF_CPU_VEC_H
#define WF_CPU_VEC_H

#include <string.h>

#if defined __AVX512F__ || defined __FMA__
#include <immintrin.h>
#endif

enum { WF_LANES = 16 };

typedef float wf_vec __attribute__((vector_size(64)));

/* Vectors are passed by address: narrower machines have no fixed way to pass them by value. Everything is inlined. */
#define WF_VEC static inline __attribute__((always_inline))

WF_VEC void wf_vec_load(wf_vec *v, const float *p)
{
    memcpy(v, p, sizeof *v);
}

/* sum += v * x, fused where the machine can. The build's -ffp-contract=off keeps compilers from fusing by
 * themselves. */
WF_VEC void wf_vec_add_scaled(wf_vec *sum, const wf_vec *v, float x)
{
#ifdef __AVX512F__
    *sum = (wf_vec)_mm512_fmadd_ps((__m512)*v, _mm512_set1_ps(x), (__m512)*sum);
#else
    *sum += *v * x;
#endif
}

/* Stores the first n lanes, 1 <= n <= 16. */
WF_VEC void wf_vec_store(float *p, const wf_vec *v, int n)
{
#ifdef __AVX512F__
    _mm512_mask_storeu_ps(p, (__mmask16)(0xffffu >> (WF_LANES - n)), (__m512)*v);
#else
    if (n == WF_LANES)
        memcpy(p, v, sizeof *v);
    else
        for (int i = 0; i < n; i++)
            p[i] = (*v)[i];
#endif
}

/* Eight floats fill one register of machines without AVX-512. */
typedef float wf_eight __attribute__((vector_size(32)));
typedef float wf_eight_in_memory __attribute__((vector_size(32), aligned(4), may_alias)); /* memcpy would move halves */

WF_VEC void wf_eight_load(wf_eight *v, const float *p)
{
    *v = *(const wf_eight_in_memory *)p;
}

WF_VEC void wf_eight_store(float *p, const wf_eight *v)
{
    *(wf_eight_in_memory *)p = *v;
}

/* sum += v * x, fused where the machine can. */
WF_VEC void wf_eight_add_scaled(wf_eight *sum, const wf_eight *v, float x)
{
#ifdef __FMA__
    *sum = (wf_eight)_mm256_fmadd_ps((__m256)*v, _mm256_set1_ps(x), (__m256)*sum);
#else
    *sum += *v * x;
#endif
}

/* The widest register that the code is compiled for: sixteen floats with AVX-512, else eight. */
#ifdef __AVX512F__
enum { WF_WIDE = 16 };
typedef float wf_wide __attribute__((vector_size(64)));
typedef float wf_wide_in_memory __attribute__((vector_size(64), aligned(4), may_alias));
#else
enum { WF_WIDE = 8 };
typedef wf_eight wf_wide;
typedef wf_eight_in_memory wf_wide_in_memory;
#endif

WF_VEC void wf_wide_load(wf_wide *v, const float *p)
{
    *v = *(const wf_wide_in_memory *)p;
}

WF_VEC void wf_wide_store(float *p, const wf_wide *v)
{
    *(wf_wide_in_memory *)p = *v;
}

/* max(0, v); NaN stays NaN. */
WF_VEC void wf_wide_relu(wf_wide *v)
{
    *v = (wf_wide)((__typeof__(*v < 0))*v & ~(*v < 0));
}

/* Loads eight floats from p, and eight from `more` if the register has room. */
WF_VEC void wf_wide_load_halves(wf_wide *v, const float *p, const float *more)
{
#ifdef __AVX512F__
    *v = (wf_wide)_mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(p)), _mm256_loadu_ps(more), 1);
#else
    (void)more;
    wf_wide_load(v, p);
#endif
}

/* Stores the first eight floats to p, and the others, if there are others, to `more` (NULL: nowhere). */
WF_VEC void wf_wide_store_halves(float *p, float *more, const wf_wide *v)
{
#ifdef __AVX512F__
    _mm256_storeu_ps(p, _mm512_castps512_ps256((__m512)*v));
    if (more)
        _mm256_storeu_ps(more, _mm512_extractf32x8_ps((__m512)*v, 1));
#else
    (void)more;
    wf_wide_store(p, v);
#endif
}

/* sum += v * x, fused where the machine can. */
WF_VEC void wf_wide_add_scaled(wf_wide *sum, const wf_wide *v, float x)
{
#ifdef __AVX512F__
    *sum = (wf_wide)_mm512_fmadd_ps((__m512)*v, _mm512_set1_ps(x), (__m512)*sum);
#else
    wf_eight_add_scaled(sum, v, x);
#endif
}

#endif
