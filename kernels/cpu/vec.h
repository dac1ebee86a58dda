/* vec.h - sixteen floats at once, in the vector types of gcc and clang.
 *
 * For the few loops that compilers do not vectorize well from plain C. Machines with shorter registers run the same
 * code in halves or quarters. */
#ifndef WF_CPU_VEC_H
#define WF_CPU_VEC_H

#include <string.h>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

#pragma GCC diagnostic ignored "-Wpsabi" /* none of these is a real call, so how such types are passed is no concern */

enum { WF_LANES = 16 };

typedef float wf_vec __attribute__((vector_size(64)));

#define WF_VEC static inline __attribute__((always_inline))

WF_VEC wf_vec wf_vec_load(const float *p)
{
    wf_vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

WF_VEC wf_vec wf_vec_all(float x)
{
    return (wf_vec){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}

/* a * b + c. Fused where the machine can: the build says -ffp-contract=off, so it must be asked for. */
WF_VEC wf_vec wf_vec_fma(wf_vec a, wf_vec b, wf_vec c)
{
#ifdef __AVX512F__
    return (wf_vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#else
    return a * b + c;
#endif
}

/* Stores the first n lanes, n of 1 .. 16. */
WF_VEC void wf_vec_store(float *p, wf_vec v, int n)
{
#ifdef __AVX512F__
    _mm512_mask_storeu_ps(p, (__mmask16)(0xffffu >> (WF_LANES - n)), (__m512)v);
#else
    if (n == WF_LANES)
        memcpy(p, &v, sizeof v);
    else
        for (int i = 0; i < n; i++)
            p[i] = v[i];
#endif
}

#endif
