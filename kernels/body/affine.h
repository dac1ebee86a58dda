/* affine.h - couplings that are affine in x: NICE's shift (Dinh et al. 2014), and (x + t) times a scale */
#ifndef WF_BODY_AFFINE_H
#define WF_BODY_AFFINE_H

#include "../backend.h"
#include "elementary.h"

WF_BODY float wf_additive_forward(const wf_transform *how, float x, const float *params, int stride,
                                  float *log_derivative)
{
    (void)how, (void)stride;
    *log_derivative = 0;
    return x + params[0];
}

WF_BODY float wf_additive_inverse(const wf_transform *how, float y, const float *params, int stride,
                                  float *log_derivative)
{
    (void)how, (void)stride;
    *log_derivative = 0;
    return y - params[0];
}

WF_BODY float wf_additive_vjp(const wf_transform *how, int inverse, float x, const float *params, int stride,
                              float dlogdet, float g, float *dparams)
{
    (void)how, (void)x, (void)params, (void)stride, (void)dlogdet;
    dparams[0] = inverse ? -g : g;
    return g;
}

/* Each function below returns the log-scale of s and writes its derivative. */

/* official Wavelet Flow configuration: scale exp(tanh s) */
WF_BODY float wf_tanh_scale(float s, float *derivative)
{
    float l = wf_tanh(s);
    *derivative = 1.0f - l * l;
    return l;
}

/* Glow's code: scale sigmoid(s + 2) */
WF_BODY float wf_sigmoid_scale(float s, float *derivative)
{
    float v = s + 2.0f;
    *derivative = wf_sigmoid(-v);
    return -wf_softplus(-v);
}

/* RealNVP: scale exp(s). Its learnt bound is replaced by a clamp to +-5. */
WF_BODY float wf_exp_scale(float s, float *derivative)
{
    *derivative = s >= -5.0f && s <= 5.0f;
    return wf_clamp(s, 5.0f);
}

#define WF_AFFINE(name, log_scale, exponential)                                                                   \
    WF_BODY float wf_##name##_forward(const wf_transform *how, float x, const float *params, int stride,          \
                                      float *log_derivative)                                                      \
    {                                                                                                             \
        (void)how;                                                                                                \
        float derivative, l = log_scale(params[0], &derivative);                                                  \
        *log_derivative = l;                                                                                      \
        return (x + params[stride]) * exponential(l);                                                             \
    }                                                                                                             \
    WF_BODY float wf_##name##_inverse(const wf_transform *how, float y, const float *params, int stride,          \
                                      float *log_derivative)                                                      \
    {                                                                                                             \
        (void)how;                                                                                                \
        float derivative, l = log_scale(params[0], &derivative);                                                  \
        *log_derivative = l;                                                                                      \
        return y * exponential(-l) - params[stride];                                                              \
    }                                                                                                             \
    WF_BODY float wf_##name##_vjp(const wf_transform *how, int inverse, float x, const float *params, int stride, \
                                  float dlogdet, float g, float *dparams)                                         \
    {                                                                                                             \
        (void)how;                                                                                                \
        float derivative, l = log_scale(params[0], &derivative), shifted = x + params[stride];                    \
        float other = g * exponential(inverse ? -l : l);                                                          \
        dparams[0] = inverse ? (dlogdet - g * shifted) * derivative : (other * shifted + dlogdet) * derivative;   \
        dparams[stride] = inverse ? -g : other;                                                                   \
        return other;                                                                                             \
    }

WF_AFFINE(affine_tanh, wf_tanh_scale, wf_exp_unit)
WF_AFFINE(affine_sigmoid, wf_sigmoid_scale, wf_exp)
WF_AFFINE(affine_exp, wf_exp_scale, wf_exp)

#endif
