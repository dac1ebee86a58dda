/* elementary.h - tanh and exp as plain arithmetic
 *
 * The C library's would be called one by one, differ between libraries, and differ from the GPU's. These become vector
 * code in any compiler, and give the same bits in a vector and alone, on every machine, as long as a * b + c is not
 * contracted (-ffp-contract=off, nvcc -fmad=false). tests/test_cpu.c holds them to a relative error of 5e-7. */
#ifndef WF_BODY_ELEMENTARY_H
#define WF_BODY_ELEMENTARY_H

#include "body.h"

/* exp(x) for -1 <= x <= 1: the Taylor series. */
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

/* tanh(x) by the rational function of Eigen, of degree 13 over 6; constant where it has reached 1. NaN stays NaN. */
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

#endif
