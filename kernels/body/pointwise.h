/* pointwise.h - the arithmetic of one element: Adamax, the 2x2 Haar block, and the parts of nets besides
 * convolutions */
#ifndef WF_BODY_POINTWISE_H
#define WF_BODY_POINTWISE_H

#include "../backend.h"
#include "elementary.h"

/* wf_adamax (backend.h) for one weight. keep1 and keep_decay are 1 - beta1 and 1 - decay in single precision. */
WF_BODY void wf_adamax_one(float g, float rate, float beta1, float keep1, float beta2, float eps, float keep_decay,
                           float *w, float *m, float *u, float *ema)
{
    float moment = beta1 * *m + keep1 * g, old = beta2 * *u, now = fabsf(g);
    float norm = old > now ? old : now;
    float weight = *w - rate * moment / (norm + eps);
    *m = moment;
    *u = norm;
    *w = weight;
    *ema += keep_decay * (weight - *ema); /* this form keeps a constant weight the same, bit for bit */
}

/* The first step of wf_muon for one weight. keep: 1 - momentum in single precision. */
WF_BODY void wf_muon_momentum_one(float g, float momentum, float keep, float *m, float *u)
{
    float moment = momentum * *m + keep * g;
    *m = moment;
    *u = momentum * moment + keep * g;
}

/* An element of a + b G + c G G from those of G and G G, without a, which is added on the diagonal. */
#define WF_MUON_LINEAR 3.4445f
WF_BODY float wf_muon_polynomial_one(float G, float GG)
{
    return 2.0315f * GG - 4.7750f * G;
}

/* The end of the second step for one weight, of which o is the element of O. */
WF_BODY void wf_muon_step_one(float o, float rate, float keep_decay, float *w, float *ema)
{
    *w -= rate * o;
    *ema += keep_decay * (*w - *ema);
}

/* Maps pixels a b / c d of one colour to their average and to the horizontal, vertical and diagonal difference of the
 * orthonormal transform. Sums of 8-bit pixels are exact here. */
WF_BODY void wf_haar_forward_one(float a, float b, float c, float d, float *low, float detail[3])
{
    float top = a + b, bottom = c + d, left = a - b, right = c - d;
    *low = (top + bottom) * 0.25f;
    detail[0] = (left + right) * 0.5f;
    detail[1] = (top - bottom) * 0.5f;
    detail[2] = (left - right) * 0.5f;
}

WF_BODY void wf_haar_inverse_one(float low, const float detail[3], float *a, float *b, float *c, float *d)
{
    float h = 0.5f * detail[0], v = 0.5f * detail[1], x = 0.5f * detail[2];
    *a = (low + v) + (h + x);
    *b = (low + v) - (h + x);
    *c = (low - v) + (h - x);
    *d = (low - v) - (h - x);
}

/* Returns relu(x + a sigmoid(b)); wf_gate_vjp writes the gradients by a and b for a gradient dy before the relu. */
WF_BODY float wf_gate_one(float a, float b, float x)
{
    float y = x + a * wf_sigmoid(b);
    return y < 0 ? 0.0f : y; /* NaN stays NaN */
}

WF_BODY void wf_gate_vjp(float a, float b, float dy, float *da, float *db)
{
    float open = wf_sigmoid(b);
    *da = dy * open;
    *db = dy * a * open * (1.0f - open);
}

/* Layer normalization y = (x - mean) rate.
 *   wf_norm_rate  rate = 1 / sqrt(variance + 1e-5)
 *   wf_norm_vjp   gradient by x, from the means over channels of dy and of dy y */
WF_BODY float wf_norm_rate(float variance)
{
    return 1.0f / sqrtf(variance + 1e-5f);
}

WF_BODY float wf_norm_vjp(float y, float rate, float dy, float mean_dy, float mean_dy_y)
{
    return rate * (dy - mean_dy - y * mean_dy_y);
}

/* The pixels that pixel i attends to are [wf_reach_first, wf_reach_end). wf_reached_by returns the reach that describes
 * the pixels which attend to i. */
WF_BODY int wf_reach_first(wf_reach reach, int i)
{
    return reach == WF_REACH_AFTER ? i : 0;
}

WF_BODY int wf_reach_end(wf_reach reach, int i, int P)
{
    return reach == WF_REACH_BEFORE ? i + 1 : P;
}

WF_BODY wf_reach wf_reached_by(wf_reach reach)
{
    return reach == WF_REACH_ALL ? WF_REACH_ALL : reach == WF_REACH_BEFORE ? WF_REACH_AFTER : WF_REACH_BEFORE;
}

/* Tests a float's bits for a finite number; no compiler flag can optimize this test away. */
WF_BODY int wf_finite_bits(uint32_t bits)
{
    return (bits & 0x7f800000u) != 0x7f800000u;
}

#endif
