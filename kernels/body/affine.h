/* affine.h - couplings that are affine in x: NICE's shift (Dinh et al. 2014), and (x + t) times a scale */
#ifndef WF_BODY_AFFINE_H
#define WF_BODY_AFFINE_H

#include "elementary.h"

WF_BODY float wf_additive_forward(const wf_transform *how, float x, const float *theta, int stride, float *log_slope)
{
    (void)how, (void)stride;
    *log_slope = 0;
    return x + theta[0];
}

WF_BODY float wf_additive_inverse(const wf_transform *how, float y, const float *theta, int stride, float *log_slope)
{
    (void)how, (void)stride;
    *log_slope = 0;
    return y - theta[0];
}

WF_BODY float wf_additive_pull(const wf_transform *how, int inverse, float x, const float *theta, int stride,
                               float dlogdet, float g, float *dtheta)
{
    (void)how, (void)x, (void)theta, (void)stride, (void)dlogdet;
    dtheta[0] = inverse ? -g : g;
    return g;
}

/* The log-scale of s and its derivative; exp of a number that this gives. */

/* of the official Wavelet Flow configuration */
WF_BODY float wf_tanh_scale(float s, float *derivative)
{
    float l = wf_tanh(s);
    *derivative = 1.0f - l * l;
    return l;
}

/* of Glow's code: a scale of sigmoid(s + 2) */
WF_BODY float wf_sigmoid_scale(float s, float *derivative)
{
    float v = s + 2.0f;
    *derivative = wf_sigmoid(-v);
    return -wf_softplus(-v);
}

/* of RealNVP, whose bound is learnt */
WF_BODY float wf_exp_scale(float s, float *derivative)
{
    *derivative = s >= -5.0f && s <= 5.0f;
    return wf_clamp(s, 5.0f);
}

#define WF_AFFINE(name, log_scale, exponential)                                                                   \
    WF_BODY float wf_##name##_forward(const wf_transform *how, float x, const float *theta, int stride,           \
                                      float *log_slope)                                                           \
    {                                                                                                             \
        (void)how;                                                                                                \
        float derivative, l = log_scale(theta[0], &derivative);                                                   \
        *log_slope = l;                                                                                           \
        return (x + theta[stride]) * exponential(l);                                                              \
    }                                                                                                             \
    WF_BODY float wf_##name##_inverse(const wf_transform *how, float y, const float *theta, int stride,           \
                                      float *log_slope)                                                           \
    {                                                                                                             \
        (void)how;                                                                                                \
        float derivative, l = log_scale(theta[0], &derivative);                                                   \
        *log_slope = l;                                                                                           \
        return y * exponential(-l) - theta[stride];                                                               \
    }                                                                                                             \
    WF_BODY float wf_##name##_pull(const wf_transform *how, int inverse, float x, const float *theta, int stride, \
                                   float dlogdet, float g, float *dtheta)                                         \
    {                                                                                                             \
        (void)how;                                                                                                \
        float derivative, l = log_scale(theta[0], &derivative), shifted = x + theta[stride];                      \
        float other = g * exponential(inverse ? -l : l);                                                          \
        dtheta[0] = inverse ? (dlogdet - g * shifted) * derivative : (other * shifted + dlogdet) * derivative;    \
        dtheta[stride] = inverse ? -g : other;                                                                    \
        return other;                                                                                             \
    }

WF_AFFINE(affine_tanh, wf_tanh_scale, wf_exp_unit)
WF_AFFINE(affine_sigmoid, wf_sigmoid_scale, wf_exp)
WF_AFFINE(affine_exp, wf_exp_scale, wf_exp)

#endif
