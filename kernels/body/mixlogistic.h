/* mixlogistic.h - the coupling of Flow++ (Ho et al. 2019, section 3.2): distribution function of a mixture of
 * logistics, logit, then affine
 *
 *   y = (logit(sum_i p_i sigmoid((x - m_i) exp(-s_i))) + x / 100) exp(a) + b
 *
 * Parameters: logits of the p_i, then m_i, s_i, a, b; s_i and a are clamped to +-5. At 0 the transform is near the
 * identity. Two details are not in the paper. Without x / 100 the transform is too flat between distant components for
 * single precision to invert. The m_i start spread over +-1, so that components differ before training.
 *
 * With f the mixture and c = 1 - f, the code uses shares of the components, which sum to 1 and neither overflow nor
 * vanish: p_i, w_i = p_i sigmoid_i / f, v_i = p_i (1 - sigmoid_i) / c. */
#ifndef WF_BODY_MIXLOGISTIC_H
#define WF_BODY_MIXLOGISTIC_H

#include "../backend.h"
#include "root.h"

#define WF_MIXTURE_LEAST 1e-2f /* derivative of the linear term */

/* A running log(sum of exp). */
typedef struct wf_log_sum {
    float top, sum;
} wf_log_sum;

WF_BODY void wf_log_sum_add(wf_log_sum *s, float x)
{
    float top = x > s->top ? x : s->top;
    s->sum = s->sum * wf_exp(s->top - top) + wf_exp(x - top);
    s->top = top;
}

/* Returns exp(x) as a share of the sum. */
WF_BODY float wf_log_sum_share(const wf_log_sum *s, float x)
{
    return wf_exp(x - s->top) / s->sum;
}

/* Component i at x: u = (x - m) e, e = exp(-s). */
typedef struct wf_logistic {
    float logit, u, e, log_below, log_above; /* log sigmoid(u), log(1 - sigmoid(u)) */
} wf_logistic;

WF_BODY float wf_mixture_mean(const wf_transform *how, int i, const float *params, int stride)
{
    return params[(how->count + i) * stride] + (float)(2 * i + 1 - how->count) / (float)how->count;
}

WF_BODY wf_logistic wf_mixture_component(const wf_transform *how, int i, float x, const float *params, int stride)
{
    wf_logistic l = {params[i * stride], 0, wf_exp(-wf_clamp(params[(2 * how->count + i) * stride], 5.0f)), 0, 0};
    l.u = (x - wf_mixture_mean(how, i, params, stride)) * l.e;
    float small = wf_softplus(l.u > 0 ? -l.u : l.u), large = small + fabsf(l.u);
    l.log_below = l.u > 0 ? -small : -large;
    l.log_above = l.u > 0 ? -large : -small;
    return l;
}

typedef struct wf_mixture {
    wf_log_sum all, below, above;
    float value, curved; /* value: logit of the mixture plus x / 100; curved: derivative of the logit alone */
} wf_mixture;

/* Returns a component's term in the derivative of the logit, without its factor e; writes its w and v. */
WF_BODY float wf_mixture_part(const wf_mixture *m, const wf_logistic *l, float *w, float *v)
{
    *w = wf_log_sum_share(&m->below, l->logit + l->log_below);
    *v = wf_log_sum_share(&m->above, l->logit + l->log_above);
    return wf_exp(l->log_above) * *w + wf_exp(l->log_below) * *v;
}

WF_BODY wf_mixture wf_mixture_at(const wf_transform *how, float x, const float *params, int stride)
{
    const wf_log_sum none = {-1e30f, 0};
    wf_mixture m = {none, none, none, 0, 0};
    for (int i = 0; i < how->count; i++) {
        wf_logistic l = wf_mixture_component(how, i, x, params, stride);
        wf_log_sum_add(&m.all, l.logit);
        wf_log_sum_add(&m.below, l.logit + l.log_below);
        wf_log_sum_add(&m.above, l.logit + l.log_above);
    }
    m.value = (m.below.top - m.above.top) + (wf_log(m.below.sum) - wf_log(m.above.sum)) + WF_MIXTURE_LEAST * x;
    for (int i = 0; i < how->count; i++) {
        float w, v;
        wf_logistic l = wf_mixture_component(how, i, x, params, stride);
        m.curved += l.e * wf_mixture_part(&m, &l, &w, &v);
    }
    return m;
}

WF_BODY float wf_mixlogistic_forward(const wf_transform *how, float x, const float *params, int stride,
                                     float *log_derivative)
{
    float a = wf_clamp(params[3 * how->count * stride], 5.0f);
    wf_mixture m = wf_mixture_at(how, x, params, stride);
    *log_derivative = wf_log(m.curved + WF_MIXTURE_LEAST) + a;
    return m.value * wf_exp(a) + params[(3 * how->count + 1) * stride];
}

/* The logit of a mixture lies between the smallest and the largest u of its components. The solutions for single
 * components therefore bracket x. */
WF_BODY float wf_mixlogistic_inverse(const wf_transform *how, float y, const float *params, int stride,
                                     float *log_derivative)
{
    float a = wf_clamp(params[3 * how->count * stride], 5.0f), low = 0, high = 0;
    float u = (y - params[(3 * how->count + 1) * stride]) * wf_exp(-a);
    for (int i = 0; i < how->count; i++) {
        float e = wf_exp(-wf_clamp(params[(2 * how->count + i) * stride], 5.0f));
        float x = (u + wf_mixture_mean(how, i, params, stride) * e) / (e + WF_MIXTURE_LEAST);
        low = i == 0 || x < low ? x : low;
        high = i == 0 || x > high ? x : high;
    }
    wf_root root = wf_root_between(low - 1e-6f * (1.0f + fabsf(low)), high + 1e-6f * (1.0f + fabsf(high)));
    wf_mixture m;
    do
        m = wf_mixture_at(how, root.at, params, stride);
    while (wf_root_step(&root, m.value - u, m.curved + WF_MIXTURE_LEAST));
    m = wf_mixture_at(how, root.at, params, stride);
    *log_derivative = wf_log(m.curved + WF_MIXTURE_LEAST) + a;
    return root.at;
}

WF_BODY float wf_mixlogistic_vjp(const wf_transform *how, int inverse, float x, const float *params, int stride,
                                 float dlogdet, float g, float *dparams)
{
    int n = how->count;
    float a = wf_clamp(params[3 * n * stride], 5.0f), scale = wf_exp(a), bend = 0, w, v;
    wf_mixture m = wf_mixture_at(how, x, params, stride);
    float derivative = m.curved + WF_MIXTURE_LEAST,
          dcurved = dlogdet * m.curved / derivative; /* gradient by the logarithm of m.curved */
    for (int i = 0; i < n; i++) {
        wf_logistic l = wf_mixture_component(how, i, x, params, stride);
        float r = l.e * wf_mixture_part(&m, &l, &w, &v) / (m.curved + 1e-37f); /* the component's share of m.curved */
        bend -= l.e * (wf_exp(l.log_above) * (w - r) + wf_exp(l.log_below) * (r - v));
    }
    float total = inverse ? (g + dcurved * bend) / (derivative * scale) : g * derivative * scale + dcurved * bend;
    float gy = inverse ? -total : g, gm = gy * scale; /* gradient by y at fixed x, and by the logit of the mixture */
    for (int i = 0; i < n; i++) {
        wf_logistic l = wf_mixture_component(how, i, x, params, stride);
        float part = wf_mixture_part(&m, &l, &w, &v), r = l.e * part / (m.curved + 1e-37f);
        float turn = wf_exp(l.log_above) * (w - r) + wf_exp(l.log_below) * (r - v), s = params[(2 * n + i) * stride];
        dparams[i * stride] = gm * (w - v) + dcurved * ((r - w) + (wf_log_sum_share(&m.all, l.logit) - v));
        dparams[(n + i) * stride] = l.e * (dcurved * turn - gm * part);
        dparams[(2 * n + i) * stride] = fabsf(s) <= 5.0f ? l.u * (dcurved * turn - gm * part) - dcurved * r : 0;
    }
    dparams[3 * n * stride] = fabsf(params[3 * n * stride]) <= 5.0f ? gm * m.value + dlogdet : 0;
    dparams[(3 * n + 1) * stride] = gy;
    return total;
}

#endif
