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

/* Purposes of random numbers, of all rooms. The purpose is a part of every counter, so numbers of two purposes never
 * coincide. A changed value changes the random numbers of existing models and chains. */
enum wf_purpose {
    WF_PURPOSE_INIT = 1,   /* noise of the batch that initializes a flow */
    WF_PURPOSE_NOISE = 4,  /* dequantization noise of training; step: the training step */
    WF_PURPOSE_EVAL = 5,   /* dequantization noise of evaluation; step: the level, or the draw of learnt noise */
    WF_PURPOSE_LATENT = 6, /* latents of samples; step: the level */
    WF_PURPOSE_PIXELS = 7, /* noise of whole pictures (model/pixel_noise.h); step: the draw */

    /* The No-U-Turn sampler (mcmc/nuts.c); step: the iteration of the chain. */
    WF_PURPOSE_MOMENTUM = 16, /* element i of the momentum is normal number i */
    WF_PURPOSE_LEAF = 17,     /* block n: whether leaf n of the trajectory is chosen */
    WF_PURPOSE_GROWTH = 18,   /* block d: the side of subtree d, and whether it is chosen from */
    WF_PURPOSE_SEEK = 19,     /* as MOMENTUM, for the step size heuristic */

    WF_PURPOSE_MISSING = 0x4b, /* starts of missing pixels (mcmc/observed.c) */
    WF_PURPOSE_MEASURE = 0x4c, /* noise of simulated measurements (mcmc/measured.c) */
    WF_PURPOSE_RANKED = 0x4d   /* pixels whose ranks are taken (mcmc/coverage.c) */
};

/* The finalizer of SplitMix64 (Steele, Lea, Flood 2014), and the odd number that its state grows by. Initial weights
 * and the order of training data come from SplitMix64: neither needs a counter. */
#define WF_SPLITMIX_STEP 0x9e3779b97f4a7c15u
WF_PHILOX uint64_t wf_splitmix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
WF_PHILOX uint64_t wf_splitmix3(uint64_t seed, uint64_t a, uint64_t b)
{
    return wf_splitmix(wf_splitmix(wf_splitmix(seed + WF_SPLITMIX_STEP) + a) + b * WF_SPLITMIX_STEP);
}

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

/* The words of elements 4 * block .. 4 * block + 3. Written out, since a loop here keeps compilers from vectorizing the
 * one around it. */
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

/* In double: 32 random bits do not fit a float, and the tail of the normal lives in the last of them. */
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
