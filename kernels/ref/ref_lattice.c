/* ref_lattice.c - whole-number coefficients under a mixture of logistics, cell by cell from the definition */
#include <math.h>
#include <string.h>

#include "../../lib/base/lattice.h"
#include "ref.h"

/* One coefficient: its range and place there, the edges of its cell in units of T, its parameters and mixture. */
typedef struct coefficient {
    const wf_lattice *l;
    size_t n, pixel; /* picture; pixel of the batch */
    int colour, channel;
    wf_range range;
    int64_t place;
    const double *x, *norm, *params; /* x and params of the pixel */
    double shift, width;             /* width of the cell in x */
    double share[WF_LATTICE_MAX_COMPONENTS], mean[WF_LATTICE_MAX_COMPONENTS], e[WF_LATTICE_MAX_COMPONENTS];
} coefficient;

static bool is_base(const wf_lattice *l)
{
    return l->band == WF_LATTICE_BASE;
}

static double unit_of(const wf_lattice *l)
{
    return ldexp(1, -(l->bits + 2 * l->halvings - !is_base(l)));
}

static double low_offset(const wf_lattice *l)
{
    return ldexp(1, -l->bits - 1) - 0.5;
}

static int64_t nearest(wf_range r, double v)
{
    double place = isnan(v) ? 0 : floor((v - (double)r.first) / (double)r.step + 0.5);
    return place < 0 ? 0 : place > (double)(r.count - 1) ? r.count - 1 : (int64_t)place;
}

static int64_t number(wf_range r, int64_t place)
{
    return r.first + place * r.step;
}

static wf_range range_of(const wf_lattice *l, const double *x, const double *cond, int colour)
{
    int64_t pixel = ((int64_t)1 << l->bits) - 1, m = is_base(l) ? 0 : pixel << 2 * (l->halvings - 1);
    if (is_base(l))
        return (wf_range){0, 1, (pixel << 2 * l->halvings) + 1};
    wf_range sums = {0, 1, 4 * m + 1};
    int64_t S = nearest(sums, ldexp(cond[colour] - low_offset(l), l->bits + 2 * l->halvings));
    wf_range h = wf_lattice_h(m, S);
    int64_t H = number(h, nearest(h, x[colour] / unit_of(l)));
    wf_range v = wf_lattice_v(m, S, H);
    if (l->band < 2)
        return l->band ? v : h;
    int64_t V = number(v, nearest(v, x[l->C + colour] / unit_of(l)));
    return wf_lattice_d(m, S, H, V);
}

/* x in units of T. */
static double norm_of(const coefficient *c, double x, int channel)
{
    return (x + c->norm[channel]) * exp(3 * c->norm[wf_lattice_channels(c->l) + channel]);
}

static double parameter(const coefficient *c, int j)
{
    return c->params[j * c->l->C + c->colour];
}

static void read_mixture(coefficient *c)
{
    int count = c->l->components;
    double sum = 0, top = -INFINITY;
    for (int i = 0; i < count; i++)
        top = fmax(top, parameter(c, i));
    c->shift = 0;
    for (int d = 0; d < c->colour; d++) {
        int channel = c->channel - c->colour + d;
        c->shift += parameter(c, 3 * count + d) * norm_of(c, c->x[channel], channel);
    }
    for (int i = 0; i < count; i++) {
        double s = parameter(c, 2 * count + i);
        sum += c->share[i] = exp(parameter(c, i) - top);
        c->mean[i] = parameter(c, count + i) + (2 * i + 1 - count) / (double)count + c->shift;
        c->e[i] = exp(1 - fmin(7, fmax(-7, s)));
    }
    for (int i = 0; i < count; i++)
        c->share[i] /= sum;
}

/* Finds the next coefficient of the band from *i on. */
static bool next_coefficient(const wf_lattice *l, int N, const wf_real *x, const wf_real *cond, const wf_real *norm,
                             const wf_real *params, size_t *i, coefficient *c)
{
    size_t W = (size_t)l->W, P = (size_t)l->H * W, C = (size_t)l->C, K = (size_t)wf_lattice_channels(l);
    for (; *i < (size_t)N * P * C; ++*i) {
        size_t pixel = *i / C, row = pixel % P / W, column = pixel % P % W;
        if (l->pixels != WF_EVERY_PIXEL && (row + column) % 2 != (l->pixels == WF_ODD_PIXELS))
            continue;
        *c = (coefficient){.l = l, .n = pixel / P, .pixel = pixel, .colour = (int)(*i % C)};
        c->channel = (is_base(l) ? 0 : l->band * l->C) + c->colour;
        c->x = (const double *)x + pixel * K;
        c->norm = (const double *)norm;
        c->params = (const double *)params + pixel * C * (size_t)wf_lattice_parameters(l);
        const double *low = is_base(l) ? NULL : (const double *)cond + pixel * (size_t)l->cond;
        c->range = range_of(l, c->x, low, c->colour);
        c->place = nearest(c->range, (c->x[c->channel] - (is_base(l) ? low_offset(l) : 0)) / unit_of(l));
        c->width = (double)c->range.step * unit_of(l);
        read_mixture(c);
        ++*i;
        return true;
    }
    return false;
}

/* The lower edge of the cell at `place`, in x. */
static double edge_at(const coefficient *c, int64_t place)
{
    double v = (double)number(c->range, place) - 0.5 * (double)c->range.step;
    return v * unit_of(c->l) + (is_base(c->l) ? low_offset(c->l) : 0);
}

/* Argument of component i's logistic at the lower edge of the cell at `place`: infinite at the ends of the range. */
static double argument_at(const coefficient *c, int64_t place, int i)
{
    if (place <= 0)
        return -INFINITY;
    if (place >= c->range.count)
        return INFINITY;
    return (norm_of(c, edge_at(c, place), c->channel) - c->mean[i]) * c->e[i];
}

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

/* logistic(b) - logistic(a). */
static double between(double a, double b)
{
    if (isinf(a) || isinf(b))
        return isinf(a) ? logistic(b) : logistic(-a);
    return logistic(b) * logistic(-a) * -expm1(a - b);
}

static double probability(const coefficient *c, int64_t place)
{
    double sum = 0;
    for (int i = 0; i < c->l->components; i++)
        sum += c->share[i] * between(argument_at(c, place, i), argument_at(c, place + 1, i));
    return sum;
}

/* Probabilities below and above the lower edge of the cell at `place`. */
static void tails(const coefficient *c, int64_t place, double *below, double *above)
{
    *below = *above = 0;
    for (int i = 0; i < c->l->components; i++) {
        *below += c->share[i] * logistic(argument_at(c, place, i));
        *above += c->share[i] * logistic(-argument_at(c, place, i));
    }
}

/* The standard normal's value with these probabilities of a smaller and of a larger one, by bisection. */
static double normal_between(double below, double above)
{
    double p = fmin(below, above), low = 0, high = 40;
    for (int i = 0; i < 100; i++) {
        double z = 0.5 * (low + high);
        if (0.5 * erfc(z / sqrt(2)) > p)
            low = z;
        else
            high = z;
    }
    return below < above ? -low : low;
}

static double latent(const coefficient *c)
{
    double below, above, unused, half = 0.5 * probability(c, c->place);
    tails(c, c->place, &below, &unused);
    tails(c, c->place + 1, &unused, &above);
    return normal_between(below + half, above + half);
}

static double log_derivative(const coefficient *c, double z)
{
    return log(probability(c, c->place)) - log(c->width) + 0.5 * z * z + 0.5 * log(2 * acos(-1));
}

/* Returns NaN if a number that the coefficient depends on is not finite, else 0. */
static double poison(const coefficient *c, const wf_real *cond)
{
    double sum = 0;
    for (int band = 0; band <= c->channel / c->l->C; band++)
        sum += c->x[band * c->l->C + c->colour];
    if (!is_base(c->l))
        sum += ((const double *)cond)[c->pixel * (size_t)c->l->cond + (size_t)c->colour];
    return 0 * sum;
}

int wf_ref_lattice_forward(wf_backend *b, const wf_lattice *l, int N, const wf_real *x, const wf_real *cond,
                           const wf_real *norm, const wf_real *params, const wf_real *weight, wf_real *z,
                           double *logdet)
{
    (void)b;
    coefficient c;
    for (size_t i = 0; next_coefficient(l, N, x, cond, norm, params, &i, &c);) {
        double own = latent(&c) + poison(&c, cond);
        ((double *)z)[c.pixel * (size_t)wf_lattice_channels(l) + (size_t)c.channel] = own;
        logdet[c.n] += (weight ? ((const double *)weight)[c.pixel] : 1) * log_derivative(&c, own);
    }
    return WF_OK;
}

int wf_ref_lattice_inverse(wf_backend *b, const wf_lattice *l, int N, const wf_real *z, const wf_real *cond,
                           const wf_real *norm, const wf_real *params, wf_real *x, double *logdet)
{
    (void)b;
    coefficient c;
    for (size_t i = 0; next_coefficient(l, N, x, cond, norm, params, &i, &c);) {
        size_t at = c.pixel * (size_t)wf_lattice_channels(l) + (size_t)c.channel;
        double own = ((const double *)z)[at], below, above;
        int64_t high = c.range.count - 1;
        c.place = 0;
        while (c.place < high) {
            int64_t middle = (c.place + high + 1) / 2;
            tails(&c, middle, &below, &above);
            if (normal_between(below, above) <= own)
                c.place = middle;
            else
                high = middle - 1;
        }
        ((double *)x)[at] = (double)number(c.range, c.place) * unit_of(l) + (is_base(l) ? low_offset(l) : 0);
        if (logdet)
            logdet[c.n] -= log_derivative(&c, own);
    }
    return WF_OK;
}

static double slope(double x)
{
    return isinf(x) ? 0 : logistic(x) * logistic(-x);
}

int wf_ref_lattice_backward(wf_backend *b, const wf_lattice *l, int N, const wf_real *x, const wf_real *cond,
                            const wf_real *norm, const wf_real *params, const wf_real *weight, double dlogdet,
                            wf_real *dparams)
{
    (void)b;
    coefficient c;
    size_t C = (size_t)l->C, count = (size_t)l->components, m = (size_t)wf_lattice_parameters(l);
    memset(dparams, 0, (size_t)N * (size_t)l->H * (size_t)l->W * m * C * sizeof(double));
    for (size_t i = 0; next_coefficient(l, N, x, cond, norm, params, &i, &c);) {
        double factor = dlogdet * (weight ? ((const double *)weight)[c.pixel] : 1), whole = probability(&c, c.place);
        double *to = (double *)dparams + c.pixel * C * m + (size_t)c.colour, by_shift = 0;
        for (size_t j = 0; j < count; j++) {
            double low = argument_at(&c, c.place, (int)j), high = argument_at(&c, c.place + 1, (int)j);
            double by_mean = -c.share[j] * c.e[j] * (slope(high) - slope(low)) / whole;
            double by_s = (isinf(low) ? 0 : low * slope(low)) - (isinf(high) ? 0 : high * slope(high));
            to[j * C] = factor * c.share[j] * (between(low, high) - whole) / whole;
            to[(count + j) * C] = factor * by_mean;
            to[(2 * count + j) * C] =
                fabs(parameter(&c, (int)(2 * count + j))) <= 7 ? factor * c.share[j] * by_s / whole : 0;
            by_shift += factor * by_mean;
        }
        for (int d = 0; d < c.colour; d++) {
            int channel = c.channel - c.colour + d;
            to[(3 * count + (size_t)d) * C] = by_shift * norm_of(&c, c.x[channel], channel);
        }
    }
    return WF_OK;
}
