/* laws_lattice.c - laws of distributions of whole-number coefficients */
#include "../../lib/base/lattice.h"
#include "laws.h"

/* 2 pictures of 2 x 3 pixels, 2 colours, 3 components, 2-bit pixels after one halving; the base after one, too. */
enum { LN = 2, LH = 2, LW = 3, LC = 2, COMPONENTS = 3, LP = LN * LH * LW, LX = LP * 3 * LC, LLOW = LP * LC };
enum { LPARAMS = LP * LC * (3 * COMPONENTS + LC - 1), LBITS = 2, MOST = 3 };

typedef struct lattice_case {
    double x[LX], low[LLOW], norm[6 * LC], params[LPARAMS], weight[LP], dlogdet, z[LX];
    wf_lattice of;
} lattice_case;

static double low_of(double S)
{
    return ldexp(S, -LBITS - 2) + ldexp(1, -LBITS - 1) - 0.5;
}

/* Fills in everything; x is that of random blocks. Bands are 0, 1, 2 and the base. */
static void lattice_setup(int band, wf_pixels pixels, lattice_case *c)
{
    bool base = band == WF_LATTICE_BASE;
    fill((double *)c, offsetof(lattice_case, of) / sizeof(double), 40 + band, 1);
    c->of = (wf_lattice){LH, LW, LC, base ? 0 : LC, band, COMPONENTS, pixels, LBITS, 1};
    for (int i = 0; i < LLOW; i++) {
        int v[4], pixel = i / LC, colour = i % LC;
        for (int k = 0; k < 4; k++)
            v[k] = (i * 7 + k * k * 5 + k * i) % (MOST + 1);
        const int bands[3] = {v[0] - v[1] + v[2] - v[3], v[0] + v[1] - v[2] - v[3], v[0] - v[1] - v[2] + v[3]};
        c->low[i] = low_of(v[0] + v[1] + v[2] + v[3]);
        for (int k = 0; k < 3 && !base; k++)
            c->x[(pixel * 3 + k) * LC + colour] = ldexp(bands[k], -LBITS - 1);
        if (base)
            c->x[i] = c->low[i];
        c->weight[pixel] += 1.5;
    }
}

static int lattice_forward(lattice_case *c, const double *weight, double *logdet)
{
    const wf_real *low = c->of.band == WF_LATTICE_BASE ? NULL : R(c->low);
    return wf_ref_lattice_forward(NULL, &c->of, LN, R(c->x), low, R(c->norm), R(c->params), weight ? R(weight) : NULL,
                                  R(c->z), logdet);
}

/* Place of z of a coefficient; -1 at pixels that are not the band's. */
static int place_of(const lattice_case *c, int i)
{
    int pixel = i / LC, row = pixel / LW % LH, column = pixel % LW, band = c->of.band;
    if (c->of.pixels != WF_EVERY_PIXEL && (row + column) % 2 != (c->of.pixels == WF_ODD_PIXELS))
        return -1;
    return band == WF_LATTICE_BASE ? i : (pixel * 3 + band) * LC + i % LC;
}

/* dlogdet times the sum of weight times (logdet + the normal's log density of z). */
static int lattice_loss(void *user, double *loss)
{
    lattice_case *c = user;
    double logdet[LN] = {0, 0};
    WF_TRY(lattice_forward(c, c->weight, logdet));
    *loss = logdet[0] + logdet[1];
    for (int i = 0; i < LLOW; i++)
        if (place_of(c, i) >= 0)
            *loss -= c->weight[i / LC] * (0.5 * pow(c->z[place_of(c, i)], 2) + 0.5 * log(2 * acos(-1)));
    *loss *= c->dlogdet;
    return WF_OK;
}

static const wf_pixels phases[] = {WF_EVERY_PIXEL, WF_EVEN_PIXELS, WF_ODD_PIXELS};

int law_lattice_gradient(void)
{
    lattice_case c;
    double dparams[LPARAMS];
    for (int band = WF_LATTICE_BASE; band < 3; band++)
        for (int phase = 0; phase < 3; phase++) {
            lattice_setup(band, phases[phase], &c);
            const wf_real *low = band == WF_LATTICE_BASE ? NULL : R(c.low);
            fill(dparams, LPARAMS, 60, 1);
            WF_TRY(wf_ref_lattice_backward(NULL, &c.of, LN, R(c.x), low, R(c.norm), R(c.params), R(c.weight), c.dlogdet,
                                           R(dparams)));
            WF_TRY(check_gradient("dparams", lattice_loss, &c, c.params, dparams, LPARAMS));
        }
    return WF_OK;
}

/* The inverse gives x back and subtracts what forward added. Other channels and pixels keep what they hold. */
int law_lattice_inverse(void)
{
    lattice_case c;
    for (int band = WF_LATTICE_BASE; band < 3; band++)
        for (int phase = 0; phase < 3; phase++) {
            double logdet[LN] = {3, 4}, back[LX];
            lattice_setup(band, phases[phase], &c);
            const wf_real *low = band == WF_LATTICE_BASE ? NULL : R(c.low);
            WF_TRY(lattice_forward(&c, NULL, logdet));
            memcpy(back, c.x, sizeof back);
            for (int i = 0; i < LLOW; i++)
                if (place_of(&c, i) >= 0)
                    back[place_of(&c, i)] = NAN;
            WF_TRY(wf_ref_lattice_inverse(NULL, &c.of, LN, R(c.z), low, R(c.norm), R(c.params), R(back), logdet));
            for (size_t i = 0; i < LX; i++)
                WF_TRY(near("x", i, back[i], c.x[i], 0));
            WF_TRY(near("logdet", 0, logdet[0], 3, 1e-11));
            WF_TRY(near("logdet", 1, logdet[1], 4, 1e-11));
        }
    return WF_OK;
}

/* Adds the probabilities of all numbers of the range of picture 0's coefficient. */
static int sum_range(lattice_case *c, wf_range range, double *sum)
{
    bool base = c->of.band == WF_LATTICE_BASE;
    double width = ldexp((double)range.step, base ? -LBITS - 2 : -LBITS - 1);
    int at = base ? 0 : c->of.band;
    for (int64_t i = 0; i < range.count; i++) {
        double logdet[LN] = {0, 0}, number = (double)(range.first + i * range.step);
        c->x[at] = base ? low_of(number) : ldexp(number, -LBITS - 1);
        WF_TRY(lattice_forward(c, NULL, logdet));
        *sum += exp(logdet[0] - 0.5 * c->z[at] * c->z[at] - 0.5 * log(2 * acos(-1))) * width;
    }
    return WF_OK;
}

/* Pictures are a pixel of one colour. The bands before are in the middle of their ranges. */
int law_lattice_sum(void)
{
    for (int band = WF_LATTICE_BASE; band < 3; band++)
        for (int S = 0; S <= 4 * MOST; S++) {
            lattice_case c;
            double sum = 0;
            lattice_setup(band, WF_EVERY_PIXEL, &c);
            c.of.H = c.of.W = c.of.C = 1;
            c.of.cond = band == WF_LATTICE_BASE ? 0 : 1;
            wf_range h = wf_lattice_h(MOST, S), range = {0, 1, 4 * MOST + 1};
            int64_t H = h.first + (h.count / 2) * 2;
            wf_range v = wf_lattice_v(MOST, S, H);
            int64_t V = v.first + (v.count / 2) * 2;
            c.low[0] = low_of(S);
            c.x[0] = ldexp((double)H, -LBITS - 1);
            c.x[1] = ldexp((double)V, -LBITS - 1);
            if (band >= 0)
                range = band == 0 ? h : band == 1 ? v : wf_lattice_d(MOST, S, H, V);
            WF_TRY(sum_range(&c, range, &sum));
            WF_TRY(near("sum of a range", (size_t)S, sum, 1, 1e-12));
        }
    return WF_OK;
}
