/* annealed.c - simulation-based calibration (Talts et al. 2018) of draws from an annealed level
 *
 * Each of 1,000 replications draws a point exactly from p^g / Z, by the cumulative sum of a grid in two dimensions, and
 * runs a chain on the same density from elsewhere. The rank of the point among the chain's draws is uniform if the
 * chain is right, in each coordinate and in log p. tests/long/nuts.sh also builds this file with a wrong
 * lib/mcmc/anneal.c. */
#include "../../lib/base/philox.h"
#include "../annealed_draws.h"

enum { REPLICATIONS = 1000, DRAWS = 31, THIN = 5, BINS = 16, RANKED = 3 };

/* Two coordinates of a point, and its log p. */
typedef double point[RANKED];

static void take_density(evaluator *e, size_t n, point *points)
{
    double x[2 * BATCH], logp[BATCH];
    for (size_t at = 0; at < n; at += BATCH) {
        size_t count = n - at < BATCH ? n - at : BATCH;
        for (size_t i = 0; i < 2 * BATCH; i++)
            x[i] = points[at + (i / 2 < count ? i / 2 : 0)][i % 2];
        log_density(e, x, logp);
        for (size_t i = 0; i < count; i++)
            points[at + i][2] = logp[i];
    }
}

/* Draws exactly, except that draws are uniform within a cell of the grid. */
static void draw_exactly(const plane *p, double g, evaluator *e, point *truth)
{
    double *below = malloc((CELLS + 1) * sizeof *below);
    below[0] = 0;
    for (size_t i = 0; i < CELLS; i++)
        below[i + 1] = below[i] + exp(g * p->logp[i]);
    for (uint64_t r = 0; r < REPLICATIONS; r++) {
        wf_philox_words w = wf_philox(wf_philox_of_picture(3, 1, 0, r), 0);
        double u = wf_uniform(w.w0) * below[CELLS];
        size_t low = 0, high = CELLS;
        while (high - low > 1) {
            size_t middle = (low + high) / 2;
            if (below[middle] <= u)
                low = middle;
            else
                high = middle;
        }
        truth[r][0] = p->x[2 * low] + p->step[0] * (wf_uniform(w.w1) - 0.5);
        truth[r][1] = p->x[2 * low + 1] + p->step[1] * (wf_uniform(w.w2) - 0.5);
    }
    free(below);
    take_density(e, REPLICATIONS, truth);
}

static void check_ranks(const wf_model *model, evaluator *e, const point *truth, double temperature, bool data)
{
    static const char *const names[RANKED] = {"coordinate 0", "coordinate 1", "log p"};
    double count[RANKED][BINS] = {{0}};
    wf_anneal_spec spec = {.H = 1, .W = 1, .temperature = {temperature}, .data = data};
    wf_anneal *a = anneal(model, &spec, e->b, REPLICATIONS);
    record r = draw(a, REPLICATIONS, DRAWS * THIN, 2);
    size_t all = (size_t)r.chains * r.draws;
    double *x = coefficients(a, &r, 2, 0);
    point *drawn = malloc(all * sizeof *drawn);
    for (size_t n = 0; n < all; n++)
        for (size_t i = 0; i < 2; i++)
            drawn[n][i] = x[i * all + n];
    take_density(e, all, drawn);
    for (size_t c = 0; c < REPLICATIONS; c++)
        for (int k = 0; k < RANKED; k++) {
            int rank = 0;
            for (size_t t = THIN - 1; t < r.draws; t += THIN)
                rank += drawn[c * r.draws + t][k] < truth[c][k];
            count[k][rank * BINS / (DRAWS + 1)]++;
        }
    for (int k = 0; k < RANKED; k++) {
        double score = uniform_score(count[k], BINS);
        cr_expect_lt(score, 4, "T %g, %s: ranks of %s: normal score %.2f", temperature, data ? "data" : "latent",
                     names[k], score);
        cr_log_info("T %g, %s: ranks of %s: normal score %.2f", temperature, data ? "data" : "latent", names[k], score);
    }
    record_clear(&r);
    wf_anneal_destroy(a);
    free(drawn);
    free(x);
}

Test(annealed, ranks_of_exact_draws_are_uniform, .timeout = 600)
{
    static point truth[REPLICATIONS];
    scratch_make();
    wf_model model = bent_model();
    wf_backend *b = open_backend("ref", 1);
    evaluator e = evaluate(&model, 0, b, BATCH);
    plane p = plane_of(&e);
    for (int i = 0; i < 4; i++) {
        double temperature = i / 2 ? 0.9 : 0.6;
        draw_exactly(&p, 1 / (temperature * temperature), &e, truth);
        check_ranks(&model, &e, (const point *)truth, temperature, i % 2);
    }
    evaluator_clear(&e);
    free(p.x);
    free(p.logp);
    b->close(b);
    wf_model_clear(&model);
    scratch_remove();
}
