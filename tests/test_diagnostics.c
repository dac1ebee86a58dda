/* test_diagnostics.c - R-hat, effective sizes and E-BFMI against ArviZ 0.19.0 and against closed forms */
#include <criterion/criterion.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "../lib/mcmc/diagnostics.h"

/* x [chains,draws]: AR(1) sequences of uniform noise, chain c raised by c * shift; `round`: to quarters, which gives
 * many ties. */
static double *series(int chains, int draws, double r, double shift, bool round)
{
    double *x = malloc((size_t)chains * (size_t)draws * sizeof *x);
    uint64_t state = 12345;
    for (int c = 0; c < chains; c++) {
        double before = 0;
        for (int i = 0; i < draws; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            before = r * before + ((double)(state >> 11) + 0.5) / 9007199254740992.0 - 0.5;
            double value = before + shift * c;
            x[c * draws + i] = round ? rint(value * 4) / 4 : value;
        }
    }
    return x;
}

/* From az.rhat(x, method="rank"), az.ess(x, method="bulk" | "tail" | "mean") and az.bfmi(x).min(). */
Test(diagnostics, agree_with_arviz)
{
    static const struct {
        int chains, draws;
        double r, shift;
        bool round;
        double rhat, bulk, tail, mean, ebfmi;
    } cases[] = {
        {4, 250, 0.5, 0, 0, 1.02465222008, 244.283648436, 621.6210079, 234.94393483, 0.846718933559},
        {2, 101, -0.4, 0, 0, 1.00652051126, 460.205999133, 218.94322943, 460.205999133, 2.70738453552},
        {4, 100, 0.9, 0.3, 0, 1.28513291458, 11.7024706369, 27.3606260458, 11.9444523648, 0.228311972395},
        {1, 64, 0.2, 0, 0, NAN, 51.0335024941, 47.1036512686, 54.5799089481, 1.6642022364}, /* ArviZ needs two chains */
        {3, 200, 0.3, 0, 1, 1.00314996211, 381.48536679, 490.237224287, 382.568847326, 1.32011126652},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double *x = series(cases[i].chains, cases[i].draws, cases[i].r, cases[i].shift, cases[i].round);
        double ebfmi = wf_ebfmi(cases[i].chains, (size_t)cases[i].draws, x);
        wf_diagnosis d;
        cr_assert_eq(wf_diagnose(cases[i].chains, (size_t)cases[i].draws, x, &d), 0, "%s", wf_error());
        cr_expect(isnan(cases[i].rhat) || fabs(d.rhat / cases[i].rhat - 1) < 1e-9, "%zu: R-hat %.12g", i, d.rhat);
        cr_expect(fabs(d.ess_bulk / cases[i].bulk - 1) < 1e-9, "%zu: bulk %.12g", i, d.ess_bulk);
        cr_expect(fabs(d.ess_tail / cases[i].tail - 1) < 1e-9, "%zu: tail %.12g", i, d.ess_tail);
        cr_expect(fabs(d.ess_mean / cases[i].mean - 1) < 1e-9, "%zu: mean %.12g", i, d.ess_mean);
        cr_expect(fabs(ebfmi / cases[i].ebfmi - 1) < 1e-9, "%zu: E-BFMI %.12g", i, ebfmi);
        free(x);
    }
}

/* An AR(1) sequence of correlation r has (1 - r) / (1 + r) effective draws per draw. */
Test(diagnostics, effective_size_of_autoregression)
{
    for (double r = -0.5; r < 0.95; r += 0.35) {
        double *x = series(4, 20000, r, 0, false), want = 80000 * (1 - r) / (1 + r);
        wf_diagnosis d;
        cr_assert_eq(wf_diagnose(4, 20000, x, &d), 0);
        cr_expect(fabs(d.ess_mean / want - 1) < 0.15, "r %g: %g, want %g", r, d.ess_mean, want);
        cr_expect(d.rhat < 1.01, "r %g: R-hat %g", r, d.rhat);
        cr_expect_float_eq(d.deviation, sqrt(1 / 12.0 / (1 - r * r)), 0.02);
        free(x);
    }
}

Test(diagnostics, what_cannot_be_trusted)
{
    double *x = series(2, 400, 0, 1, false), still[16] = {0};
    wf_diagnosis d;
    cr_assert_eq(wf_diagnose(2, 400, x, &d), 0);
    cr_expect(d.rhat > 1.5 && d.ess_bulk < 10, "chains apart: R-hat %g, %g effective", d.rhat, d.ess_bulk);
    for (int i = 0; i < 400; i++)
        x[i] = 5 * (x[i] - 0.5), x[400 + i] -= 1.5; /* one location, two widths: only the folded draws show it */
    x[0] = 0;
    cr_assert_eq(wf_diagnose(2, 400, x, &d), 0);
    cr_expect(d.rhat > 1.1, "chains of two widths: R-hat %g", d.rhat);
    cr_assert_eq(wf_diagnose(2, 8, still, &d), 0);
    cr_expect(isnan(d.rhat) && isnan(d.ess_bulk) && isnan(wf_ebfmi(2, 8, still)));
    still[3] = NAN;
    cr_assert_eq(wf_diagnose(2, 8, still, &d), 0);
    cr_expect(isnan(d.rhat) && isnan(d.ess_mean));
    cr_expect_eq(wf_diagnose(2, 7, still, &d), WF_USAGE);
    free(x);
}
