/* elementary.h - tanh, exp and log as plain arithmetic
 *
 * The C library's functions are not vectorized, and differ between libraries and from the GPU's. These functions become
 * vector code in any compiler. They give the same bits in a vector and alone, on every machine, if a * b + c is not
 * contracted (-ffp-contract=off, nvcc -fmad=false). tests/test_cpu.c checks a relative error of 5e-7. */
#ifndef WF_BODY_ELEMENTARY_H
#define WF_BODY_ELEMENTARY_H

#include "body.h"

#include <string.h>

/* exp(x) for -1 <= x <= 1 by the Taylor series. */
WF_BODY float wf_exp_unit(float x)
{
    float p = 1.0f / 3628800;
    p = p * x + 1.0f / 362880;
    p = p * x + 1.0f / 40320;
    p = p * x + 1.0f / 5040;
    p = p * x + 1.0f / 720;
    p = p * x + 1.0f / 120;
    p = p * x + 1.0f / 24;
    p = p * x + 1.0f / 6;
    p = p * x + 0.5f;
    return x + x * x * p + 1.0f;
}

/* tanh(x) by Eigen's rational function of degree 13 over 6; constant once the value has reached +-1. NaN stays NaN. */
WF_BODY float wf_tanh(float x)
{
    const float limit = 7.90531110763549805f;
    float c = x > limit ? limit : x < -limit ? -limit : x, s = c * c;
    float p = -2.76076847742355e-16f;
    p = p * s + 2.00018790482477e-13f;
    p = p * s - 8.60467152213735e-11f;
    p = p * s + 5.12229709037114e-08f;
    p = p * s + 1.48572235717979e-05f;
    p = p * s + 6.37261928875436e-04f;
    p = p * s + 4.89352455891786e-03f;
    float q = 1.19825839466702e-06f;
    q = q * s + 1.18534705686654e-04f;
    q = q * s + 2.26843463243900e-03f;
    q = q * s + 4.89352518554385e-03f;
    float t = c * p / q;
    return t > 1.0f ? 1.0f : t < -1.0f ? -1.0f : t;
}

WF_BODY float wf_float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

WF_BODY uint32_t wf_bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Clamps x to +-limit. NaN stays NaN. */
WF_BODY float wf_clamp(float x, float limit)
{
    return x > limit ? limit : x < -limit ? -limit : x;
}

/* exp(x), x clamped to +-87: 2^n exp(r), n the nearest integer to x / log 2, |r| < 0.35 by the Taylor series. */
WF_BODY float wf_exp(float x)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer, which the low bits then hold */
    float c = wf_clamp(x, 87.0f), shifted = c * 1.44269504f + magic, n = shifted - magic;
    float r = (c - n * 0.693359375f) + n * 2.12194440e-4f; /* log 2 in two parts, the first with few bits */
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    return (r + r * r * p + 1.0f) * wf_float_of((wf_bits_of(shifted) + 127u) << 23);
}

/* log(x) of a normal x > 0: n log 2 + log m, 0.7 < m < 1.42 by the series of 2 atanh((m-1)/(m+1)). Infinity and NaN
 * stay. */
WF_BODY float wf_log(float x)
{
    const uint32_t low = 0x3f3504f3u; /* sqrt(1/2) */
    int32_t bits = (int32_t)(wf_bits_of(x) - low), n = bits >> 23;
    float m = wf_float_of(wf_bits_of(x) - ((uint32_t)n << 23)), t = (m - 1.0f) / (m + 1.0f), s = t * t;
    float p = 2.0f / 9;
    p = p * s + 2.0f / 7;
    p = p * s + 2.0f / 5;
    p = p * s + 2.0f / 3;
    float y = (float)n * 0.693359375f + (2.0f * t + (t * s * p - (float)n * 2.12194440e-4f));
    return x <= 3.4e38f ? y : x;
}

WF_BODY float wf_sigmoid(float x)
{
    float q = wf_exp(x > 0 ? -x : x), r = 1.0f / (1.0f + q);
    return x > 0 ? r : q * r;
}

/* log(1 + exp(x)); where the value is small, the absolute error is 1e-7. */
WF_BODY float wf_softplus(float x)
{
    return (x > 0 ? x : 0.0f) + wf_log(1.0f + wf_exp(x > 0 ? -x : x));
}

/* Returns u = sigmoid(x) and writes log du/dx. */
WF_BODY float wf_sigmoid_forward(float x, float *log_derivative)
{
    float far = fabsf(x);
    *log_derivative = -far - 2.0f * wf_softplus(-far);
    return wf_sigmoid(x);
}

/* Returns the gradient by x, from g, the gradient by u, and dlog, the gradient by log du/dx. */
WF_BODY float wf_sigmoid_vjp(float x, float g, float dlog)
{
    float u = wf_sigmoid(x), rest = wf_sigmoid(-x);
    return g * u * rest + dlog * (rest - u);
}

#endif
