/* sos.h - sum-of-squares polynomials (Jaini et al. 2019, section 4)
 *
 *     y = c + integral from 0 to x of  1/100 + sum_k (sum_i a_ki u^i)^2  du,     i = 0 .. degree
 *
 * Parameters: c, then the coefficients a_k0 .. a_k,degree of the `count` polynomials. Three details are not in the
 * paper. The 1/100 makes the transform strictly increasing, so that it has an inverse. Beyond +-bound it is linear,
 * since powers of far outliers overflow single precision. The coefficients have offsets: the first polynomial starts
 * from the constant that makes the derivative 1 at 0, polynomial k from u^k / 10. A polynomial of zeros would have no
 * gradient. */
#ifndef WF_BODY_SOS_H
#define WF_BODY_SOS_H

#include "../backend.h"
#include "root.h"

#define WF_SOS_LEAST 0.01f

/* Coefficient i of polynomial k. */
WF_BODY float wf_sos_coefficient(const wf_transform *how, int k, int i, const float *params, int stride)
{
    float start = k == 0 && i == 0 ? 0.99498744f : k > 0 && i == (k < how->degree ? k : how->degree) ? 0.1f : 0.0f;
    return params[(1 + k * (how->degree + 1) + i) * stride] + start;
}

/* Returns polynomial k at u and writes its derivative. */
WF_BODY float wf_sos_polynomial(const wf_transform *how, int k, float u, const float *params, int stride,
                                float *derivative)
{
    float p = 0, d = 0;
    for (int i = how->degree; i >= 0; i--) {
        d = d * u + p;
        p = p * u + wf_sos_coefficient(how, k, i, params, stride);
    }
    *derivative = d;
    return p;
}

/* Returns the derivative of y at u and writes the second derivative. */
WF_BODY float wf_sos_derivative(const wf_transform *how, float u, const float *params, int stride, float *second)
{
    float sum = WF_SOS_LEAST, d;
    *second = 0;
    for (int k = 0; k < how->count; k++) {
        float p = wf_sos_polynomial(how, k, u, params, stride, &d);
        sum += p * p;
        *second += 2.0f * p * d;
    }
    return sum;
}

/* Node q of 0 .. 4 of the Gauss-Legendre rule on (0, 1), which is exact to degree 9. Its terms are all positive, so no
 * digits cancel. */
WF_BODY float wf_sos_node(int q, float *weight)
{
    float far = q == 0 || q == 4, place = far ? 0.45308992f : q == 2 ? 0.0f : 0.26923466f;
    *weight = far ? 0.11846344f : q == 2 ? 0.28444444f : 0.23931434f;
    return 0.5f + (q < 2 ? -place : place);
}

WF_BODY float wf_sos_inside(const wf_transform *how, float x)
{
    return wf_clamp(x, (float)how->bound);
}

WF_BODY float wf_sos_value(const wf_transform *how, float x, const float *params, int stride)
{
    float u = wf_sos_inside(how, x), sum = 0, unused;
    for (int q = 0; q < 5; q++) {
        float weight, node = wf_sos_node(q, &weight);
        sum += weight * wf_sos_derivative(how, u * node, params, stride, &unused);
    }
    return params[0] + u * sum + (x - u) * wf_sos_derivative(how, u, params, stride, &unused);
}

WF_BODY float wf_sos_forward(const wf_transform *how, float x, const float *params, int stride, float *log_derivative)
{
    float unused;
    *log_derivative = wf_log(wf_sos_derivative(how, wf_sos_inside(how, x), params, stride, &unused));
    return wf_sos_value(how, x, params, stride);
}

WF_BODY float wf_sos_inverse(const wf_transform *how, float y, const float *params, int stride, float *log_derivative)
{
    float end = (float)how->bound, unused;
    float low = y - wf_sos_value(how, -end, params, stride), high = y - wf_sos_value(how, end, params, stride);
    float x = low < 0 ? -end : end, over = low < 0 ? low : high;
    if (low >= 0 && high <= 0) {
        wf_root root = wf_root_between(-end, end);
        while (wf_root_step(&root, wf_sos_value(how, root.at, params, stride) - y,
                            wf_sos_derivative(how, root.at, params, stride, &unused)))
            ;
        x = root.at;
        over = 0;
    }
    float derivative = wf_sos_derivative(how, x, params, stride, &unused);
    *log_derivative = wf_log(derivative);
    return x + over / derivative;
}

WF_BODY float wf_sos_vjp(const wf_transform *how, int inverse, float x, const float *params, int stride, float dlogdet,
                         float g, float *dparams)
{
    float u = wf_sos_inside(how, x), second, unused;
    float derivative = wf_sos_derivative(how, u, params, stride, &second), bend = u == x ? second / derivative : 0;
    float total = inverse ? (g + dlogdet * bend) / derivative : g * derivative + dlogdet * bend;
    float gy = inverse ? -total : g; /* gradient by y at fixed x */
    dparams[0] = gy;
    for (int k = 0; k < how->count; k++) {
        float *dk = dparams + (1 + k * (how->degree + 1)) * stride;
        float end =
            2.0f * wf_sos_polynomial(how, k, u, params, stride, &unused) * (gy * (x - u) + dlogdet / derivative);
        for (int i = 0; i <= how->degree; i++) {
            dk[i * stride] = end;
            end *= u;
        }
        for (int q = 0; q < 5; q++) {
            float weight, at = u * wf_sos_node(q, &weight);
            float by = 2.0f * gy * u * weight * wf_sos_polynomial(how, k, at, params, stride, &unused);
            for (int i = 0; i <= how->degree; i++) {
                dk[i * stride] += by;
                by *= at;
            }
        }
    }
    return total;
}

#endif
