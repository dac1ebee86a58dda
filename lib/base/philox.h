/* philox.h - Philox4x32-10, a counter-based generator (Salmon, Moraes, Dror, Shaw 2011), and numbers made from its
 * words
 *
 * A number depends only on its key and counter, not on what else was drawn, nor on the order or the device.
 * kernels/body/random.h assigns counters to the elements of a picture, lib/mcmc/nuts.c to the steps of a chain.
 * kernels/ref has an independent Philox, to test this one. Both the C compiler and nvcc compile this header. */
#ifndef WF_PHILOX_H
#define WF_PHILOX_H

#include <math.h>
#include <stdint.h>

#ifdef __CUDACC__
#define WF_PHILOX static __host__ __device__ __forceinline__
#else
#define WF_PHILOX static inline __attribute__((always_inline, unused))
#endif

/* The part of counter and key that all elements of a picture share. */
typedef struct wf_philox_stream {
    uint32_t c1, c2, c3, k0, k1;
} wf_philox_stream;

typedef struct wf_philox_words {
    uint32_t w0, w1, w2, w3;
} wf_philox_words;

WF_PHILOX wf_philox_stream wf_philox_of_picture(uint64_t seed, uint32_t purpose, uint64_t step, uint64_t index)
{
    wf_philox_stream s;
    s.c1 = (uint32_t)step;
    s.c2 = (uint32_t)index;
    s.c3 = purpose << 24 ^ (uint32_t)(index >> 32) ^ (uint32_t)(step >> 32);
    s.k0 = (uint32_t)seed;
    s.k1 = (uint32_t)(seed >> 32);
    return s;
}

WF_PHILOX wf_philox_words wf_philox_round(wf_philox_words c, uint32_t k0, uint32_t k1)
{
    uint64_t a = (uint64_t)0xD2511F53u * c.w0, b = (uint64_t)0xCD9E8D57u * c.w2;
    wf_philox_words out;
    out.w0 = (uint32_t)(b >> 32) ^ c.w1 ^ k0;
    out.w1 = (uint32_t)b;
    out.w2 = (uint32_t)(a >> 32) ^ c.w3 ^ k1;
    out.w3 = (uint32_t)a;
    return out;
}

/* Gives the words of elements 4 * block .. 4 * block + 3. The rounds are unrolled, because a loop here would keep
 * compilers from vectorizing the loop around it. */
WF_PHILOX wf_philox_words wf_philox(wf_philox_stream s, uint32_t block)
{
    const uint32_t weyl0 = 0x9E3779B9u, weyl1 = 0xBB67AE85u;
    wf_philox_words c;
    c.w0 = block;
    c.w1 = s.c1;
    c.w2 = s.c2;
    c.w3 = s.c3;
    c = wf_philox_round(c, s.k0, s.k1);
    c = wf_philox_round(c, s.k0 + 1 * weyl0, s.k1 + 1 * weyl1);
    c = wf_philox_round(c, s.k0 + 2 * weyl0, s.k1 + 2 * weyl1);
    c = wf_philox_round(c, s.k0 + 3 * weyl0, s.k1 + 3 * weyl1);
    c = wf_philox_round(c, s.k0 + 4 * weyl0, s.k1 + 4 * weyl1);
    c = wf_philox_round(c, s.k0 + 5 * weyl0, s.k1 + 5 * weyl1);
    c = wf_philox_round(c, s.k0 + 6 * weyl0, s.k1 + 6 * weyl1);
    c = wf_philox_round(c, s.k0 + 7 * weyl0, s.k1 + 7 * weyl1);
    c = wf_philox_round(c, s.k0 + 8 * weyl0, s.k1 + 8 * weyl1);
    c = wf_philox_round(c, s.k0 + 9 * weyl0, s.k1 + 9 * weyl1);
    return c;
}

/* Uniform in (0, 1). In double, because 32 bits do not fit a float, and the lowest ones make the tail of the normal. */
WF_PHILOX double wf_uniform(uint32_t word)
{
    return ((double)word + 0.5) * (1.0 / 4294967296.0);
}

/* Two independent standard normals from two words. */
WF_PHILOX void wf_normal_pair(uint32_t word0, uint32_t word1, double *n0, double *n1)
{
    double r = sqrt(-2.0 * log(wf_uniform(word0)));
    double angle = 6.283185307179586476925 * wf_uniform(word1);
    *n0 = r * cos(angle);
    *n1 = r * sin(angle);
}

#endif
