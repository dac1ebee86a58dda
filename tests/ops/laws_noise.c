/* laws_noise.c - laws of densities, noise and wavelets */
#include "../../lib/pyramid/wavelet.h"
#include "laws.h"

static const double gaussian_weight[6] = {1, 0, 0.5, -2, 3, 0};

static int gaussian_loss(void *user, double *loss)
{
    double logp[2] = {0, 0};
    WF_TRY(wf_ref_gaussian(NULL, 2, 3, 2, R(user), R(gaussian_weight), logp, 1, NULL));
    *loss = logp[0] + logp[1];
    return WF_OK;
}

int law_gaussian(void)
{
    double z[12], dz[12], zero[1] = {0}, logp[1] = {0};
    fill(z, 12, 6, 2);
    WF_TRY(wf_ref_gaussian(NULL, 2, 3, 2, R(z), R(gaussian_weight), NULL, 1, R(dz)));
    WF_TRY(check_gradient("dz", gaussian_loss, z, z, dz, 12));
    WF_TRY(wf_ref_gaussian(NULL, 1, 1, 1, R(zero), NULL, logp, 1, NULL));
    return near("logp at 0", 0, logp[0], -0.91893853320467274, 1e-15);
}

/* loss = sum of u_i weights_i + 0.4 log du/dv, for its gradient by v. */
static int sigmoid_loss(void *user, double *loss)
{
    double u[6] = {0}, logp[2] = {0, 0};
    WF_TRY(wf_ref_sigmoid(NULL, 2, 3, 1.3, R(user), R(u), logp));
    *loss = 0.4 * (logp[0] + logp[1]);
    for (int i = 0; i < 6; i++)
        *loss += gaussian_weight[i] * u[i];
    return WF_OK;
}

int law_sigmoid(void)
{
    double v[6], g[6], u[1], zero[1] = {0}, logp[1] = {0};
    fill(v, 6, 6, 2);
    memcpy(g, gaussian_weight, sizeof g);
    WF_TRY(wf_ref_sigmoid_backward(NULL, 6, 1.3, R(v), 0.4, R(g)));
    WF_TRY(check_gradient("dv", sigmoid_loss, v, v, g, 6));
    WF_TRY(wf_ref_sigmoid(NULL, 1, 1, 1.3, R(zero), R(u), logp));
    WF_TRY(near("u at 0", 0, u[0], 0.5, 1e-15));
    return near("log du/dv at 0", 0, logp[0], log(1.3 / 4), 1e-15);
}

/* Known-answer vectors of the authors' Random123 (kat_vectors, philox 4 x 32, 10 rounds). */
int law_philox(void)
{
    static const uint32_t answers[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
         0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
         0x24126ea1},
    };
    for (size_t i = 0; i < 3; i++) {
        uint32_t out[4];
        wf_ref_philox(answers[i], answers[i] + 4, out);
        for (size_t j = 0; j < 4; j++)
            WF_CHECK(out[j] == answers[i][6 + j], WF_INTERNAL, "vector %zu, word %zu: %08x, want %08x", i, j, out[j],
                     answers[i][6 + j]);
    }
    return WF_OK;
}

static const wf_random source = {.seed = 11, .purpose = WF_PURPOSE_NOISE, .step = 3};

/* Mean 0 and variance 1 of 40,000 normals, within 5 standard errors. */
int law_normal_moments(void)
{
    enum { D = 40000 };
    static double z[D];
    uint64_t index = 9;
    double sum = 0, squares = 0;
    WF_TRY(wf_ref_normal(NULL, &source, 1, D, &index, 2, R(z)));
    for (size_t i = 0; i < D; i++) {
        sum += z[i] / 2;
        squares += z[i] * z[i] / 4;
    }
    WF_TRY(near("mean", 0, sum / D, 0, 5 / sqrt(D)));
    return near("variance", 0, squares / D, 1, 2.5 * sqrt(2.0 / D));
}

/* Dequantized coefficients, transformed back, are pixels plus a uniform in (0,1): the words of Philox in order. */
int law_dequantize(void)
{
    enum { H = 3, W = 5, C = 3, L = H * W * C };
    static const double haar[2] = {0.70710678118654752, 0.70710678118654752};
    double low[L] = {0}, detail[3 * L] = {0}, x[4 * L];
    uint64_t index = 5;
    uint32_t words[4], counter[4] = {1, 3, 5, WF_PURPOSE_NOISE << 24}, key[2] = {11, 0};
    WF_TRY(wf_ref_dequantize(NULL, &source, haar, 2, 1, 1, H, W, C, &index, 1, R(low), R(detail)));
    wf_ref_merge(haar, 2, 1, 2 * H, 2 * W, C, low, detail, x);
    for (size_t i = 0; i < 4 * L; i++)
        WF_CHECK(x[i] + 0.5 > 0 && x[i] + 0.5 < 1, WF_INTERNAL, "noise[%zu] is %g", i, x[i] + 0.5);
    wf_ref_philox(counter, key, words);
    for (size_t i = 0; i < 4; i++)
        WF_TRY(near("noise", 4 + i, x[4 + i] + 0.5, (words[i] + 0.5) / 4294967296.0, 1e-14));
    return WF_OK;
}

/* Other wavelets: the finest level, transformed back, is pixels plus uniforms too; the level below has their
 * low-pass. */
int law_dequantize_transformed(void)
{
    enum { H = 2, W = 4, C = 3, L = H * W * C };
    double low[4 * L], detail[12 * L], x[16 * L], below[L], details[3 * L], half[4 * L];
    uint64_t index = 5;
    uint32_t words[4], counter[4] = {1, 3, 5, WF_PURPOSE_NOISE << 24}, key[2] = {11, 0};
    const wf_wavelet *w;
    wf_ref_philox(counter, key, words);
    for (int row = 1; (w = wf_wavelet_at(row)); row++) {
        memset(low, 0, sizeof low);
        memset(detail, 0, sizeof detail);
        memset(below, 0, sizeof below);
        memset(details, 0, sizeof details);
        WF_TRY(
            wf_ref_dequantize(NULL, &source, w->taps, w->count, 1, 1, 2 * H, 2 * W, C, &index, 1, R(low), R(detail)));
        WF_TRY(wf_ref_dequantize(NULL, &source, w->taps, w->count, 4, 1, H, W, C, &index, 1, R(below), R(details)));
        wf_ref_merge(w->taps, w->count, 1, 4 * H, 4 * W, C, low, detail, x);
        for (size_t i = 0; i < 4; i++)
            WF_TRY(near("noise", 4 + i, x[4 + i] + 0.5, (words[i] + 0.5) / 4294967296.0, 1e-14));
        wf_ref_merge(w->taps, w->count, 1, 2 * H, 2 * W, C, below, details, half);
        for (size_t i = 0; i < 4 * L; i++)
            WF_TRY(near("noise a halving below", i, half[i], low[i], 1e-14));
        memset(x, 0, sizeof x);
        WF_TRY(wf_ref_dequantize(NULL, &source, w->taps, w->count, 4, 1, 2 * H, 2 * W, C, &index, 1, R(x), NULL));
        for (size_t i = 0; i < 4 * L; i++)
            WF_TRY(near("noise of a base", i, x[i], low[i], 1e-14));
    }
    return WF_OK;
}

/* Normals of other wavelets have variance 1/(12 n) in details and a quarter of that in the average, within 5 standard
 * errors. The four bands are independent. */
int law_white_noise(void)
{
    enum { D = 4000 };
    static double low[D], detail[3 * D];
    const wf_wavelet *w = wf_wavelet_at(1);
    uint64_t index = 1;
    double variance = 1 / (12 * 16.0), sums[4][4] = {{0}};
    WF_TRY(wf_ref_dequantize(NULL, &source, w->taps, w->count, 16, 1, D, 1, 1, &index, 1, R(low), R(detail)));
    for (size_t i = 0; i < D; i++) {
        double four[4] = {2 * low[i], detail[3 * i], detail[3 * i + 1], detail[3 * i + 2]};
        for (int a = 0; a < 4; a++)
            for (int b = 0; b <= a; b++)
                sums[a][b] += four[a] * four[b] / D / variance;
    }
    for (size_t a = 0; a < 4; a++)
        for (size_t b = 0; b <= a; b++)
            WF_TRY(near("covariance", 4 * a + b, sums[a][b], a == b, 5 * sqrt((a == b ? 2.0 : 1.0) / D)));
    return WF_OK;
}

/* The exact mean of 64 uniforms, and the normal beyond 64, have the variance 1/(12 n), within 5 standard errors. */
int law_noise_variance(void)
{
    enum { D = 4000 };
    static const double haar[2] = {0.70710678118654752, 0.70710678118654752};
    static double x[D];
    for (int64_t uniforms = 1; uniforms <= 256; uniforms *= 4) {
        double squares = 0, variance = 1 / (12 * (double)uniforms);
        uint64_t index = 1;
        memset(x, 0, sizeof x);
        WF_TRY(wf_ref_dequantize(NULL, &source, haar, 2, uniforms, 1, D, 1, 1, &index, 1, R(x), NULL));
        for (size_t i = 0; i < D; i++)
            squares += x[i] * x[i];
        WF_TRY(near("variance", (size_t)uniforms, squares / D / variance, 1, 2.5 * sqrt(2.0 / D)));
    }
    return WF_OK;
}

/* idwt(dwt(x)) = x. Energy is kept once low is doubled, also where the filter is longer than the picture. */
int law_wavelet(void)
{
    static const int sides[4][2] = {{2, 2}, {6, 2}, {8, 10}, {4, 34}};
    double x[816], low[204], detail[612], back[816];
    const wf_wavelet *w;
    for (int t = 0; (w = wf_wavelet_at(t)); t++)
        for (int s = 0; s < 4; s++) {
            int H = sides[s][0], W = sides[s][1], C = 3;
            size_t n = (size_t)(2 * H * W * C);
            fill(x, n, 8, 1);
            WF_TRY(wf_ref_dwt(NULL, w->taps, w->count, 2, H, W, C, R(x), R(low), R(detail)));
            double energy = 4 * dot(low, low, n / 4) + dot(detail, detail, 3 * n / 4);
            WF_TRY(near("energy", n, energy, dot(x, x, n), 1e-12));
            WF_TRY(wf_ref_idwt(NULL, w->taps, w->count, 2, H, W, C, R(low), R(detail), R(back)));
            for (size_t i = 0; i < n; i++)
                WF_TRY(near("x", i, back[i], x[i], 1e-12));
        }
    return WF_OK;
}

/* idwt_axis(dwt_axis(x)) = x. Energy is kept up to the gains. */
int law_axis(void)
{
    static const int sides[3] = {2, 6, 34};
    double x[204], low[102], high[102], back[204];
    const wf_wavelet *w;
    for (int t = 0; (w = wf_wavelet_at(t)); t++)
        for (int s = 0; s < 3; s++) {
            size_t n = 2 * (size_t)sides[s] * 3;
            fill(x, n, 8, 1);
            WF_TRY(wf_ref_dwt_axis(NULL, w->taps, w->count, 2, sides[s], 3, 0.5, 3, R(x), R(low), R(high)));
            double energy = 4 * dot(low, low, n / 2) + dot(high, high, n / 2) / 9;
            WF_TRY(near("energy", n, energy, dot(x, x, n), 1e-12));
            WF_TRY(wf_ref_idwt_axis(NULL, w->taps, w->count, 2, sides[s], 3, 0.5, 3, R(low), R(high), R(back)));
            for (size_t i = 0; i < n; i++)
                WF_TRY(near("x", i, back[i], x[i], 1e-12));
        }
    return WF_OK;
}

int law_haar_bands(void)
{
    static const double haar[2] = {0.70710678118654752, 0.70710678118654752};
    double x[4] = {1, 2, 4, 8}, low = 0, detail[3] = {0};
    const double want[3] = {(1 - 2 + 4 - 8) / 2.0, (1 + 2 - 4 - 8) / 2.0, (1 - 2 - 4 + 8) / 2.0};
    WF_TRY(wf_ref_dwt(NULL, haar, 2, 1, 2, 2, 1, R(x), R(&low), R(detail)));
    WF_TRY(near("low", 0, low, 15 / 4.0, 1e-14));
    for (size_t i = 0; i < 3; i++)
        WF_TRY(near("detail", i, detail[i], want[i], 1e-14));
    return WF_OK;
}
