/* coverage.c - simulates pictures and measurements, runs chains on these, and ranks the truth among their draws */
#include "coverage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "../base/count.h"
#include "../base/file.h"
#include "../base/philox.h"
#include "../model/level.h"
#include "../pyramid/pyramid.h"
#include "diagnostics.h"

enum { CHAINS_AT_ONCE = 32 };

const int wf_coverage_percent[WF_COVERAGE_INTERVALS] = {50, 80, 95};

/* Pictures that are inferred at once. */
typedef struct batch {
    const wf_coverage_spec *spec;
    wf_anneal *anneal;
    wf_pyramid *pyramid;
    double *variance; /* [D]; NULL: unit masses */
    int n, chains;    /* pictures; of each */
    uint64_t first;   /* number of the first */
    size_t each, seen, draws;
    double *x;       /* [n,D] true positions */
    float *truth;    /* [n,each] true pictures */
    float *y;        /* [n * chains,seen] measurements, once for each chain */
    float *pictures; /* [n * chains,each] of one draw */
    double *sum;     /* [n,each] of all draws */
    double *value;   /* [n,QUANTITIES,chains,draws] */
    double *work;    /* [each] twice */
    size_t taken;
    bool resumed; /* some chains were saved by an earlier run, which spent gradients of its own */
} batch;

/* Computes the quantities of a picture of run number `run` that was measured as y. */
static void measure_quantities(batch *b, uint64_t run, const float *picture, const float *y, double *out)
{
    double sum = 0, *p = b->work;
    for (int i = 0; i < WF_COVERAGE_PIXELS; i++) {
        wf_philox_stream stream = wf_philox_of_picture(b->spec->seed, WF_PURPOSE_RANKED, 0, run);
        out[i] = picture[wf_philox(stream, (uint32_t)i).w0 % b->each];
    }
    for (size_t i = 0; i < b->each; i++)
        sum += p[i] = picture[i];
    out[WF_COVERAGE_MEAN] = sum / (double)b->each;
    out[WF_COVERAGE_LIKELIHOOD] = wf_measured_log_density(b->spec->assumed, y, p, b->work + b->each);
}

/* A wf_record_sink: takes the next draw of all chains. */
static int take_draws(void *user, const wf_record *r)
{
    batch *b = user;
    WF_TRY(wf_pyramid_join(b->pyramid, r->level, (int)r->N, r->low, r->detail, b->pictures));
    for (size_t c = 0; c < (size_t)r->N; c++) {
        const float *picture = b->pictures + c * b->each;
        size_t n = c / (size_t)b->chains;
        double out[WF_COVERAGE_QUANTITIES];
        measure_quantities(b, b->first + n, picture, b->y + c * b->seen, out);
        for (size_t q = 0; q < WF_COVERAGE_QUANTITIES; q++)
            b->value[((n * WF_COVERAGE_QUANTITIES + q) * (size_t)b->chains + c % (size_t)b->chains) * b->draws +
                     b->taken] = out[q];
        for (size_t i = 0; i < b->each; i++)
            b->sum[n * b->each + i] += picture[i];
    }
    b->taken++;
    return WF_OK;
}

/* -- simulation ---------------------------------------------------------------------------------------------------- */

static int simulate(batch *b)
{
    uint64_t id[CHAINS_AT_ONCE];
    int row[CHAINS_AT_ONCE] = {0};
    size_t chains = (size_t)b->chains;
    for (int i = 0; i < b->n; i++)
        id[i] = b->first + (uint64_t)i;
    WF_TRY(wf_anneal_start(b->anneal, b->n, id, b->spec->seed, b->x));
    WF_TRY(wf_anneal_whole(b->anneal, b->n, row, b->x, b->truth));
    WF_TRY(wf_anneal_measure(b->anneal, b->spec->truth, b->n, b->x, b->spec->seed, id, b->pictures));
    for (size_t c = 0; c < (size_t)b->n * chains; c++)
        memcpy(b->y + c * b->seen, b->pictures + c / chains * b->seen, b->seen * sizeof *b->y);
    memset(b->sum, 0, (size_t)b->n * b->each * sizeof *b->sum);
    b->taken = 0;
    return wf_anneal_condition(b->anneal, b->n * b->chains, b->y);
}

/* Hash of what the chains depend on beside their options. */
static int hash_run(const batch *b, const wf_model *model, uint64_t *out)
{
    char weights[20];
    const uint64_t parts[] = {wf_measured_hash(b->spec->assumed), b->spec->seed, b->spec->data, b->spec->expect,
                              XXH3_64bits(b->y, (size_t)b->n * (size_t)b->chains * b->seen * sizeof *b->y)};
    WF_TRY(wf_model_hash(model, 0, model->meta.levels, weights));
    *out = XXH3_64bits_withSeed(parts, sizeof parts, XXH3_64bits(weights, strlen(weights)));
    return WF_OK;
}

static int run_chains(batch *b, const wf_model *model, wf_markov_chains_report *report)
{
    char path[WF_PATH];
    uint64_t id[CHAINS_AT_ONCE];
    wf_markov_chains_options o = b->spec->options;
    for (int c = 0; c < b->n * b->chains; c++)
        id[c] = b->first * (uint64_t)b->chains + (uint64_t)c;
    int length = snprintf(path, sizeof path, "%s/batch-%06llu.safetensors", b->spec->state ? b->spec->state : "",
                          (unsigned long long)b->first);
    WF_CHECK(length < WF_PATH, WF_USAGE, "%s: the name is too long", b->spec->state);
    WF_TRY(hash_run(b, model, &o.run));
    o.thin = 1;
    o.level = o.stats_level = model->meta.levels;
    o.group = b->chains;
    o.variance = b->variance;
    o.probe = b->variance && !b->spec->data;
    o.state = b->spec->state ? path : NULL;
    b->resumed |= o.state && !access(o.state, F_OK);
    return wf_markov_chains_run(b->anneal, &o, b->n * b->chains, id, take_draws, b, report);
}

/* -- judgement ----------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Judges one quantity by its draws value [all], which are sorted afterwards. */
static int judge_quantity(const batch *b, int q, double truth, double *value, wf_coverage_run *out)
{
    size_t all = (size_t)b->chains * b->draws;
    wf_diagnosis d;
    WF_TRY(wf_diagnose(b->chains, b->draws, value, &d));
    out->rhat = fmax(out->rhat, isfinite(d.rhat) ? d.rhat : INFINITY);
    out->ess += isfinite(d.ess_bulk) ? d.ess_bulk / WF_COVERAGE_QUANTITIES : 0;
    out->rank[q] = 0;
    for (size_t i = 0; i < WF_COVERAGE_RANKS; i++)
        out->rank[q] += value[(2 * i + 1) * all / (2 * WF_COVERAGE_RANKS)] < truth;
    qsort(value, all, sizeof *value, compare);
    size_t below = 0;
    while (below < all && value[below] < truth)
        below++;
    double place = ((double)below + 0.5) / (double)(all + 1); /* of the truth among all + 1 values */
    for (int i = 0; i < WF_COVERAGE_INTERVALS; i++)
        out->inside[q][i] = fabs(place - 0.5) < wf_coverage_percent[i] / 200.0;
    return WF_OK;
}

static int judge_run(batch *b, size_t n, int bits, wf_coverage_run *out)
{
    double truth[WF_COVERAGE_QUANTITIES], squares = 0, all = (double)b->chains * (double)b->draws;
    double most = (1 << bits) - 1;
    const float *picture = b->truth + n * b->each;
    *out = (wf_coverage_run){0};
    measure_quantities(b, b->first + n, picture, b->y + n * (size_t)b->chains * b->seen, truth);
    for (size_t q = 0; q < WF_COVERAGE_QUANTITIES; q++)
        WF_TRY(judge_quantity(b, (int)q, truth[q],
                              b->value + (n * WF_COVERAGE_QUANTITIES + q) * (size_t)b->chains * b->draws, out));
    for (size_t i = 0; i < b->each; i++) {
        double off = b->sum[n * b->each + i] / all - picture[i];
        squares += off * off / (double)b->each;
    }
    out->psnr = 10 * log10(most * most / squares);
    return WF_OK;
}

/* -- running ------------------------------------------------------------------------------------------------------- */

static int open_batch(const wf_model *model, wf_backend *backend, batch *b)
{
    const wf_coverage_spec *s = b->spec;
    wf_anneal_spec spec = {.last = model->meta.levels, .data = s->data, .measured = s->assumed};
    wf_level_shape base = wf_meta_level(&model->meta, 0);
    size_t rows = (size_t)b->n * (size_t)b->chains, n = (size_t)b->n;
    spec.H = base.H;
    spec.W = base.W;
    for (int l = 0; l <= model->meta.levels; l++)
        spec.temperature[l] = 1;
    WF_TRY(wf_anneal_create(model, &spec, backend, (int)rows, &b->anneal));
    WF_TRY(wf_pyramid_create(backend, &model->meta, (int)rows, &b->pyramid));
    size_t D = wf_anneal_size(b->anneal);
    b->each = wf_count3(model->meta.H, model->meta.W, model->meta.C);
    b->seen = wf_measured_size(s->assumed);
    b->draws = (size_t)s->options.draws;
    b->variance = s->expect ? malloc(D * sizeof *b->variance) : NULL;
    b->x = malloc(n * D * sizeof *b->x);
    b->truth = malloc(n * b->each * sizeof *b->truth);
    b->y = malloc(rows * b->seen * sizeof *b->y);
    b->pictures = malloc(rows * b->each * sizeof *b->pictures);
    b->sum = malloc(n * b->each * sizeof *b->sum);
    b->value = malloc(rows * WF_COVERAGE_QUANTITIES * b->draws * sizeof *b->value);
    b->work = malloc(2 * b->each * sizeof *b->work);
    WF_CHECK((b->variance || !s->expect) && b->x && b->truth && b->y && b->pictures && b->sum && b->value && b->work,
             WF_AGAIN, "coverage: out of memory for %zu chains", rows);
    return s->expect ? wf_anneal_expect(b->anneal, s->options.nuts.seed, b->variance) : WF_OK;
}

static void close_batch(batch *b)
{
    double *doubles[] = {b->variance, b->x, b->sum, b->value, b->work};
    float *floats[] = {b->truth, b->y, b->pictures};
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++)
        free(doubles[i]);
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        free(floats[i]);
    wf_anneal_destroy(b->anneal);
    wf_pyramid_destroy(b->pyramid);
}

/* Pictures that are inferred at once; all draws of their chains are kept. */
static int pictures_at_once(const wf_meta *meta, const wf_coverage_spec *s)
{
    wf_markov_chains_options o = s->options;
    o.thin = 1;
    int fit = wf_markov_chains_fit(wf_count3(meta->H, meta->W, meta->C), &o);
    int most = (fit < CHAINS_AT_ONCE ? fit : CHAINS_AT_ONCE) / s->chains;
    return most ? most : 1;
}

int wf_coverage_run_all(const wf_model *model, wf_backend *backend, const wf_coverage_spec *spec, int n,
                        wf_coverage_run *runs, uint64_t *gradients)
{
    int status;
    WF_CHECK(n > 0 && spec->chains > 0 && spec->chains <= CHAINS_AT_ONCE &&
                 spec->options.draws * spec->chains >= WF_COVERAGE_RANKS && spec->options.draws >= 8,
             WF_USAGE, "coverage: %d chains of %lld draws, expected at most %d chains, %d draws in all", spec->chains,
             (long long)spec->options.draws, CHAINS_AT_ONCE, WF_COVERAGE_RANKS);
    WF_CHECK(wf_measured_size(spec->truth) == wf_measured_size(spec->assumed), WF_USAGE,
             "coverage: measurements of two sizes");
    int most = pictures_at_once(&model->meta, spec);
    batch b = {.spec = spec, .n = n < most ? n : most, .chains = spec->chains};
    wf_coverage_spec own = *spec;
    own.options.nuts.seed += UINT64_C(1) << 48; /* chains begin elsewhere than at the truth */
    b.spec = &own;
    *gradients = spec->expect ? WF_EXPECT_PICTURES : 0;
    WF_GO(open_batch(model, backend, &b));
    for (int at = 0; at < n; at += b.n) {
        wf_markov_chains_report report;
        b.first = (uint64_t)at;
        b.n = n - at < b.n ? n - at : b.n;
        WF_GO(simulate(&b));
        WF_GO(run_chains(&b, model, &report));
        *gradients += report.gradients;
        for (int i = 0; i < b.n; i++)
            WF_GO(judge_run(&b, (size_t)i, model->meta.bits, &runs[at + i]));
    }
    *gradients = b.resumed ? 0 : *gradients;
out:
    close_batch(&b);
    return status;
}
