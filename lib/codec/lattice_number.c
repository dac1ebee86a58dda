/* lattice_number.c - whole numbers to intervals of 2^24 slots, and back */
#include "lattice_number.h"

#include "exact_math.h"

enum { MOST_CELLS = 1 << 20, UNIFORM_BITS = 16 };

static const double ANY = 1e30; /* keeps what bad parameters give finite */

/* Output j of colour c. */
static double output(const float *outputs, int C, int c, int j)
{
    return wf_exact_clamp((double)outputs[j * C + c], -1e6, 1e6);
}

/* Replaces x by e^x, in loops of a length that compilers make vectors of. */
static void exponentials(double *x, int count)
{
    for (int i = 0; i < 8; i++)
        x[i] = wf_exact_exp(x[i]);
    for (int i = 8; i < WF_COMPONENTS && count > 8; i++)
        x[i] = wf_exact_exp(x[i]);
}

void wf_mixture_set(wf_mixture *m, const float *outputs, int K, int C, int c, const double *t)
{
    double weight[WF_COMPONENTS] = {0}, sharpness[WF_COMPONENTS] = {0};
    double most = output(outputs, C, c, 0), sum = 0;
    for (int i = 1; i < K; i++) {
        double logit = output(outputs, C, c, i);
        most = logit > most ? logit : most;
    }
    for (int i = 0; i < K; i++) {
        weight[i] = output(outputs, C, c, i) - most;
        sharpness[i] = 1 - wf_exact_clamp(output(outputs, C, c, 2 * K + i), -7, 7);
        double mean = output(outputs, C, c, K + i) + (double)(2 * i + 1 - K) / K;
        for (int d = 0; d < c; d++)
            mean += output(outputs, C, c, 3 * K + d) * t[d];
        m->mean[i] = wf_exact_clamp(mean, -ANY, ANY);
    }
    exponentials(weight, K);
    exponentials(sharpness, K);
    for (int i = 0; i < K; i++)
        sum += weight[i];
    m->count = K;
    for (int i = 0; i < WF_COMPONENTS; i++) {
        m->weight[i] = i < K ? weight[i] / sum : 0;
        m->sharpness[i] = sharpness[i];
        m->mean[i] = i < K ? m->mean[i] : 0;
    }
}

/* F(t). It never falls as t grows: differences, products with what is not negative, and sums are rounded monotonically,
 * and so is the logistic function. */
static double below(const wf_mixture *m, double t)
{
    double part[WF_COMPONENTS], sum = 0;
    for (int i = 0; i < 8; i++)
        part[i] = m->weight[i] * wf_exact_logistic((t - m->mean[i]) * m->sharpness[i]);
    for (int i = 8; i < WF_COMPONENTS && m->count > 8; i++)
        part[i] = m->weight[i] * wf_exact_logistic((t - m->mean[i]) * m->sharpness[i]);
    for (int i = 0; i < m->count; i++)
        sum += part[i];
    return sum; /* above 1 by roundings at most, which no frequency notices */
}

/* Cells in groups of 2^merge. */
typedef struct groups {
    const wf_mixture *mixture;
    const wf_cells *cells;
    int merge;
    int64_t count;
} groups;

static uint32_t slots_below(const groups *g, int64_t i)
{
    if (i <= 0)
        return 0;
    if (i >= g->count)
        return WF_RANS_SLOTS;
    const wf_cells *c = g->cells;
    double x = c->low + (double)(i << g->merge) * c->step;
    double t = wf_exact_clamp((x + c->shift) * c->scale, -ANY, ANY);
    return (uint32_t)(below(g->mixture, t) * (double)(WF_RANS_SLOTS - g->count)) + (uint32_t)i;
}

/* Finds the group of the next symbol: cuts the range into four again and again, since three values of F take little
 * longer than one. */
static int read_group(wf_rans_reader *reader, const groups *g, int64_t *i)
{
    uint32_t slot = wf_rans_slot(reader), start = 0, end = WF_RANS_SLOTS, at[3];
    int64_t low = 0, high = g->count, cut[3];
    while (high - low > 1) {
        for (int c = 0; c < 3; c++) {
            cut[c] = low + (c + 1) * (high - low) / 4;
            at[c] = slots_below(g, cut[c]);
        }
        for (int c = 0; c < 3; c++) {
            if (at[c] > slot) {
                high = cut[c];
                end = at[c];
                break;
            }
            low = cut[c];
            start = at[c];
        }
    }
    *i = low;
    return wf_rans_pass(reader, start, end - start);
}

int wf_code_cell(wf_coder *coder, const wf_mixture *mixture, const wf_cells *cells, int64_t *i)
{
    groups g = {.mixture = mixture, .cells = cells};
    *i = coder->list ? *i : 0;
    while ((cells->count - 1) >> g.merge >= MOST_CELLS)
        g.merge++;
    g.count = ((cells->count - 1) >> g.merge) + 1;
    int64_t group = *i >> g.merge, rest = *i - (group << g.merge);
    if (coder->list) {
        uint32_t start = slots_below(&g, group);
        WF_TRY(wf_rans_push(coder->list, start, slots_below(&g, group + 1) - start));
    } else {
        WF_TRY(read_group(coder->reader, &g, &group));
    }
    int64_t left = cells->count - (group << g.merge), size = left < 1 << g.merge ? left : 1 << g.merge;
    WF_TRY(wf_code_uniform(coder, size, &rest));
    *i = (group << g.merge) + rest;
    return WF_OK;
}

/* Codes one of at most 2^16 numbers. Number i has the slots from ceil(i 2^24 / count) on. */
static int code_short(wf_coder *coder, uint64_t count, uint64_t *i)
{
    if (coder->reader && !coder->list)
        *i = wf_rans_slot(coder->reader) * count >> WF_RANS_BITS;
    uint32_t start = (uint32_t)(((*i << WF_RANS_BITS) + count - 1) / count);
    uint32_t end = (uint32_t)((((*i + 1) << WF_RANS_BITS) + count - 1) / count);
    return coder->list ? wf_rans_push(coder->list, start, end - start)
                       : wf_rans_pass(coder->reader, start, end - start);
}

int wf_code_uniform(wf_coder *coder, int64_t count, int64_t *i)
{
    *i = coder->list && count > 1 ? *i : 0;
    if (count <= 1)
        return WF_OK;
    int64_t whole = *i >> UNIFORM_BITS, blocks = ((count - 1) >> UNIFORM_BITS) + 1;
    if (blocks > 1)
        WF_TRY(wf_code_uniform(coder, blocks, &whole));
    else
        whole = 0;
    int64_t first = whole << UNIFORM_BITS, left = count - first;
    uint64_t rest = (uint64_t)(*i - first);
    WF_TRY(code_short(coder, left < 1 << UNIFORM_BITS ? (uint64_t)left : 1 << UNIFORM_BITS, &rest));
    *i = first + (int64_t)rest;
    return WF_OK;
}
