/* ref_random.c - Philox4x32-10, latents, dequantization noise, Gaussian density, moments, Adamax */
#include <math.h>
#include <stdlib.h>

#include "ref.h"

#define PI 3.14159265358979323846

/* -- random numbers ----------------------------------------------------------------------------------------------- */

/* Constants from Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011. */
void wf_ref_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]}, k[2] = {key[0], key[1]};
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t next[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ k[0], (uint32_t)p1, (uint32_t)(p0 >> 32) ^ c[3] ^ k[1],
                            (uint32_t)p0};
        for (int i = 0; i < 4; i++)
            c[i] = next[i];
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
    for (int i = 0; i < 4; i++)
        out[i] = c[i];
}

/* Writes four uniforms in (0,1): elements 4*block .. 4*block+3 of the picture with this index. */
static void uniform_block(const wf_random *r, uint64_t index, uint64_t block, double u[4])
{
    uint32_t high = (uint32_t)(index >> 32) ^ (uint32_t)(r->step >> 32);
    uint32_t counter[4] = {(uint32_t)block, (uint32_t)r->step, (uint32_t)index, (r->purpose << 24) ^ high};
    uint32_t key[2] = {(uint32_t)r->seed, (uint32_t)(r->seed >> 32)}, words[4];
    wf_ref_philox(counter, key, words);
    for (int i = 0; i < 4; i++)
        u[i] = (words[i] + 0.5) / 4294967296.0;
}

static double uniform(const wf_random *r, uint64_t index, uint64_t element)
{
    double u[4];
    uniform_block(r, index, element / 4, u);
    return u[element % 4];
}

/* Box-Muller: elements 0, 1 of a block come from its first two uniforms, elements 2, 3 from the others. */
static double standard_normal(const wf_random *r, uint64_t index, uint64_t element)
{
    double u[4];
    uniform_block(r, index, element / 4, u);
    const double *pair = u + (element % 4 < 2 ? 0 : 2);
    double radius = sqrt(-2 * log(pair[0])), angle = 2 * PI * pair[1];
    return element % 2 == 0 ? radius * cos(angle) : radius * sin(angle);
}

int wf_ref_normal(wf_backend *b, const wf_random *random, int N, size_t D, const uint64_t *index, double temperature,
                  wf_real *z)
{
    (void)b;
    for (int n = 0; n < N; n++)
        for (size_t e = 0; e < D; e++)
            ((double *)z)[(size_t)n * D + e] = temperature * standard_normal(random, index[n], e);
    return WF_OK;
}

/* -- dequantization ----------------------------------------------------------------------------------------------- */

/* Returns the noise of one pixel of a low-pass picture: the mean of `uniforms` uniforms, or a normal of the same mean
 * and variance. */
static double pixel_noise(const wf_random *r, int64_t uniforms, uint64_t index, uint64_t element)
{
    if (uniforms > 64)
        return 0.5 + standard_normal(r, index, element) * sqrt(1 / (12 * (double)uniforms));
    double sum = 0;
    for (int64_t i = 0; i < uniforms; i++)
        sum += uniform(r, index, element * (uint64_t)uniforms + (uint64_t)i);
    return sum / (double)uniforms;
}

/* Fills `noise` [n] of one picture; r NULL: its mean, 1/2. */
static void noise_field(const wf_random *r, int64_t uniforms, uint64_t index, size_t n, double *noise)
{
    for (size_t e = 0; e < n; e++)
        noise[e] = r ? pixel_noise(r, uniforms, index, e) : 0.5;
}

/* Noise of one picture at its level, Haar: low [H,W,C] and detail [H,W,3C] (NULL: the base). work [4L], L = H*W*C. */
static void haar_noise(const wf_random *r, int64_t uniforms, uint64_t index, int H, int W, int C, double *work,
                       double *low, double *detail)
{
    const double haar[2] = {sqrt(0.5), sqrt(0.5)};
    size_t L = (size_t)H * (size_t)W * (size_t)C;
    noise_field(r, uniforms, index, detail ? 4 * L : L, detail ? work : low);
    if (detail)
        wf_ref_split(haar, 2, 1, 2 * H, 2 * W, C, work, low, detail);
}

/* Noise of one picture at its level, other wavelets: uniforms of pixels go through the transforms. work [32L]. */
static void pixel_transforms(const wf_random *r, const double *taps, int count, int64_t uniforms, uint64_t index, int H,
                             int W, int C, double *work, double *low, double *detail)
{
    int halvings = (uniforms == 4) + (detail != NULL), up = 1 << halvings;
    size_t L = (size_t)H * (size_t)W * (size_t)C, n = L << 2 * halvings;
    double *unused = work + n, *half = unused + 3 * n / 4;
    noise_field(r, 1, index, n, halvings ? work : low);
    if (halvings == 2) {
        wf_ref_split(taps, count, 1, up * H, up * W, C, work, half, unused);
        work = half;
    }
    if (halvings)
        wf_ref_split(taps, count, 1, 2 * H, 2 * W, C, work, low, detail ? detail : unused);
}

/* White noise is white in every orthonormal basis; an average of four has half the deviation. */
static void white_noise(const wf_random *r, int64_t uniforms, uint64_t index, size_t L, double *low, double *detail)
{
    double deviation = sqrt(1 / (12 * (double)uniforms));
    for (size_t e = 0; e < L; e++)
        low[e] = 0.5 +
                 (detail ? deviation / 2 * standard_normal(r, index, 4 * e) : deviation * standard_normal(r, index, e));
    for (size_t e = 0; e < 3 * L && detail; e++)
        detail[e] = deviation * standard_normal(r, index, 4 * (e / 3) + 1 + e % 3);
}

int wf_ref_dequantize(wf_backend *b, const wf_random *random, const double *taps, int count, int64_t uniforms, int N,
                      int H, int W, int C, const uint64_t *index, double scale, wf_real *low_, wf_real *detail_)
{
    (void)b;
    double *low = (double *)low_, *detail = (double *)detail_, *work;
    size_t L = (size_t)H * (size_t)W * (size_t)C;
    WF_TRY(wf_ref_scratch(32 * L + L + 3 * L, &work));
    double *noise_low = work + 32 * L, *noise_detail = detail ? noise_low + L : NULL;
    for (int n = 0; n < N; n++) {
        if (!random || count == 2)
            haar_noise(random, uniforms, index[n], H, W, C, work, noise_low, noise_detail);
        else if (uniforms <= 4)
            pixel_transforms(random, taps, count, uniforms, index[n], H, W, C, work, noise_low, noise_detail);
        else
            white_noise(random, uniforms, index[n], L, noise_low, noise_detail);
        for (size_t i = 0; i < L; i++)
            low[(size_t)n * L + i] = (low[(size_t)n * L + i] + noise_low[i]) * scale - 0.5;
        for (size_t i = 0; i < 3 * L && detail; i++)
            detail[(size_t)n * 3 * L + i] = (detail[(size_t)n * 3 * L + i] + noise_detail[i]) * scale;
    }
    free(work);
    return WF_OK;
}

int wf_ref_scale(wf_backend *b, size_t n, double factor, double offset, wf_real *x)
{
    (void)b;
    for (size_t i = 0; i < n; i++)
        ((double *)x)[i] = factor * ((double *)x)[i] + offset;
    return WF_OK;
}

/* -- density and optimizer ---------------------------------------------------------------------------------------- */

int wf_ref_moments(wf_backend *b, size_t n, int K, const wf_real *x_, double *moments)
{
    (void)b;
    const double *x = (const double *)x_;
    size_t channels = (size_t)K;
    for (size_t k = 0; k < channels; k++) {
        double mean = 0, variance = 0;
        for (size_t i = 0; i < n; i++)
            mean += x[i * channels + k] / (double)n;
        for (size_t i = 0; i < n; i++)
            variance += (x[i * channels + k] - mean) * (x[i * channels + k] - mean) / (double)n;
        moments[k] = mean;
        moments[channels + k] = variance;
    }
    return WF_OK;
}

int wf_ref_gaussian(wf_backend *b, int N, int P, int K, const wf_real *z_, const wf_real *weight, double *logp,
                    double scale, wf_real *dz)
{
    (void)b;
    const double *z = (const double *)z_;
    size_t D = (size_t)P * (size_t)K;
    for (int n = 0; n < N; n++)
        for (size_t i = (size_t)n * D; i < ((size_t)n + 1) * D; i++) {
            double w = weight ? ((const double *)weight)[i / (size_t)K] : 1;
            if (logp)
                logp[n] += w * (-0.5 * z[i] * z[i] - 0.5 * log(2 * PI));
            if (dz)
                ((double *)dz)[i] = -scale * w * z[i];
        }
    return WF_OK;
}

int wf_ref_sigmoid(wf_backend *b, int N, size_t D, double factor, const wf_real *v_, wf_real *u_, double *logp)
{
    (void)b;
    const double *v = (const double *)v_;
    for (size_t i = 0; i < (size_t)N * D; i++) {
        double e = exp(-fabs(factor * v[i])), near = 1 / (1 + e); /* distance from the far end of (0,1) */
        ((double *)u_)[i] = v[i] > 0 ? near : 1 - near;
        logp[i / D] += log(factor * e * near * near);
    }
    return WF_OK;
}

int wf_ref_sigmoid_backward(wf_backend *b, size_t n, double factor, const wf_real *v_, double scale, wf_real *g_)
{
    (void)b;
    double *g = (double *)g_;
    for (size_t i = 0; i < n; i++) {
        double u = 1 / (1 + exp(-factor * ((const double *)v_)[i]));
        g[i] = factor * (g[i] * u * (1 - u) + scale * (1 - 2 * u));
    }
    return WF_OK;
}

int wf_ref_adamax(wf_backend *b, const wf_adamax *rule, size_t n, wf_real *w_, wf_real *m_, wf_real *u_, wf_real *ema_,
                  const wf_real *g_, double *bad)
{
    double *w = (double *)w_, *m = (double *)m_, *u = (double *)u_, *ema = (double *)ema_;
    const double *g = (const double *)g_;
    WF_TRY(wf_ref_guard(b, n, g, bad));
    if (*bad != 0)
        return WF_OK;
    for (size_t i = 0; i < n; i++) {
        m[i] = rule->beta1 * m[i] + (1 - rule->beta1) * g[i];
        u[i] = fmax(rule->beta2 * u[i], fabs(g[i]));
        w[i] -= rule->rate * m[i] / (u[i] + rule->eps);
        ema[i] += (1 - rule->decay) * (w[i] - ema[i]);
    }
    return WF_OK;
}

int wf_ref_guard(wf_backend *b, size_t n, const double *values, double *bad)
{
    (void)b;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            *bad = 1;
    return WF_OK;
}
