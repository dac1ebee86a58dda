/* markov_chains.c - runs a batch of chains; keeps their draws, their state file and their report */
#include "markov_chains.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "../base/clock.h"
#include "../base/safetensors.h"
#include "../base/version.h"
#include "../pyramid/meta.h"
#include "diagnostics.h"

/* Trace of one draw, for report and statistics: these numbers, then coordinates of the position. */
enum {
    LOG_DENSITY,
    ENERGY,
    ACCEPTANCE,
    STEP,
    DEPTH,
    JOINED,
    LEAPFROGS,
    DIVERGENT,
    COORDINATES,
    TRACE = COORDINATES + WF_MARKOV_CHAINS_COORDINATES
};

typedef struct batch {
    wf_anneal *anneal;
    const wf_markov_chains_options *options;
    wf_nuts *sampler;
    wf_record_sink *sink;
    void *user;
    const uint64_t *id; /* [n] */
    int n;
    size_t D, words;
    size_t draws, kept;     /* of each chain */
    uint64_t *word;         /* [n,words] state of every chain after its last draw */
    double *x;              /* [kept,n,D] */
    double *trace;          /* [n,draws,TRACE] */
    size_t handed_out;      /* kept draws given to the sink so far */
    uint64_t probed;        /* gradients of wf_anneal_probe */
    uint64_t run, computed; /* computed: rows the device had computed before this run */
    double saved_at;        /* clock at the last save */
    bool dirty;             /* drawn since the last save */
} batch;

int64_t wf_markov_chains_kept(const wf_markov_chains_options *o)
{
    return o->thin ? (o->draws + o->thin - 1) / o->thin : 1;
}

int wf_markov_chains_fit(size_t D, const wf_markov_chains_options *o)
{
    size_t kept = (size_t)wf_markov_chains_kept(o), trace = (size_t)o->draws * (TRACE + 1) * sizeof(double);
    size_t each = D * sizeof(double) * (20 + 3 * (size_t)o->nuts.max_depth + kept) + trace,
           fit = ((size_t)1 << 30) / each;
    return fit < 256 ? (int)fit : 256;
}

/* Number of draws of chain c after adaptation. */
static size_t draws_made(const batch *b, int c)
{
    uint64_t iteration = b->word[(size_t)c * b->words + 1], adapt = b->options->nuts.adapt;
    return iteration > adapt ? (size_t)(iteration - adapt) : 0;
}

/* -- the state file ----------------------------------------------------------------------------------------------- */

/* Hash of everything that the draws depend on. */
static uint64_t run_hash(const wf_markov_chains_options *o, int n, const uint64_t *id)
{
    const wf_nuts_options *s = &o->nuts;
    double numbers[] = {(double)s->adapt, s->step, s->target, s->divergence, s->max_depth, s->diagonal_mass};
    int64_t counts[] = {o->draws, o->thin, o->group, n};
    uint64_t hash = XXH3_64bits_withSeed(numbers, sizeof numbers, o->run ^ s->seed);
    hash = XXH3_64bits_withSeed(counts, sizeof counts, hash);
    return XXH3_64bits_withSeed(id, (size_t)n * sizeof *id, hash);
}

enum { STATE_TENSORS = 3 };

static void state_tensors(const batch *b, wf_tensor out[STATE_TENSORS])
{
    int64_t n = b->n;
    out[0] =
        (wf_tensor){.name = "chains", .dtype = WF_U64, .rank = 2, .shape = {n, (int64_t)b->words}, .data = b->word};
    out[1] = (wf_tensor){
        .name = "draws", .dtype = WF_F64, .rank = 3, .shape = {(int64_t)b->kept, n, (int64_t)b->D}, .data = b->x};
    out[2] = (wf_tensor){
        .name = "trace", .dtype = WF_F64, .rank = 3, .shape = {n, (int64_t)b->draws, TRACE}, .data = b->trace};
    for (int i = 0; i < STATE_TENSORS; i++) {
        out[i].bytes = wf_dtype_size(out[i].dtype);
        for (int r = 0; r < out[i].rank; r++)
            out[i].bytes *= (size_t)out[i].shape[r];
    }
}

static int save_state(batch *b)
{
    char run[20];
    wf_tensor tensors[STATE_TENSORS];
    if (!b->options->state || !b->dirty)
        return WF_OK;
    snprintf(run, sizeof run, "%016llx", (unsigned long long)b->run);
    const wf_pair pairs[] = {{"format", WF_FORMAT},
                             {"kind", "chains"},
                             {"run", run},
                             {"settings", b->options->settings ? b->options->settings : ""}};
    state_tensors(b, tensors);
    WF_TRY(wf_safetensors_save(b->options->state, tensors, STATE_TENSORS, pairs, sizeof pairs / sizeof *pairs));
    b->saved_at = wf_clock();
    b->dirty = false;
    return WF_OK;
}

/* Finds the value of the line of `text` that begins as `line` does, up to '='. Returns its length; -1: none. */
static int find_setting(const char *text, const char *line, size_t name, const char **value)
{
    for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
        if (!strncmp(text, line, name + 1)) {
            *value = text + name + 1;
            return (int)strcspn(*value, "\n");
        }
    return -1;
}

/* Fails with the settings that differ, each with both values. */
static int fail_other_run(const char *path, const char *saved, const char *now)
{
    char list[600] = "";
    size_t used = 0;
    for (const char *line = now ? now : ""; *line && used < sizeof list;
         line += strcspn(line, "\n"), line += *line != 0) {
        size_t name = strcspn(line, "=");
        const char *before, *after = line + name + 1;
        int n = saved ? find_setting(saved, line, name, &before) : -1, m = (int)strcspn(after, "\n");
        if (n >= 0 && (n != m || strncmp(before, after, (size_t)n) != 0))
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%.*s was %.*s, now %.*s", used ? "; " : "",
                                     (int)name, line, n, before, m, after);
    }
    return wf_fail(WF_DATA, "%s: the state of another run: %s; use another folder for --state", path,
                   used ? list : "model, input or options differ");
}

static int read_state(batch *b, const wf_safetensors *st)
{
    const char *path = b->options->state, *kind = wf_safetensors_meta(st, "kind"),
               *run = wf_safetensors_meta(st, "run");
    wf_tensor want[STATE_TENSORS];
    WF_CHECK(kind && run && !strcmp(kind, "chains"), WF_DATA, "%s: not a state of chains", path);
    if (strtoull(run, NULL, 16) != b->run)
        return fail_other_run(path, wf_safetensors_meta(st, "settings"), b->options->settings);
    state_tensors(b, want);
    for (int i = 0; i < STATE_TENSORS; i++) {
        const wf_tensor *t = wf_safetensors_find(st, want[i].name);
        WF_CHECK(t && t->dtype == want[i].dtype && t->bytes == want[i].bytes, WF_DATA,
                 "%s: tensor %s is missing or not of %zu bytes", path, want[i].name, want[i].bytes);
        memcpy(want[i].data, t->data, t->bytes);
    }
    for (int c = 0; c < b->n; c++) {
        WF_CHECK(draws_made(b, c) <= b->draws, WF_DATA, "%s: chain %d has more draws than the run", path, c);
        wf_nuts_restore(b->sampler, c, b->word + (size_t)c * b->words);
        wf_watched(&b->options->watch, b->options->stats_level, (int64_t)b->word[(size_t)c * b->words + 1]);
    }
    return WF_OK;
}

static int resume_state(batch *b, bool *found)
{
    wf_safetensors st = {0};
    *found = b->options->state && access(b->options->state, F_OK) == 0;
    if (!*found)
        return WF_OK;
    int status = wf_safetensors_load(b->options->state, &st);
    if (!status)
        status = read_state(b, &st);
    wf_safetensors_clear(&st);
    return status;
}

/* -- draws -------------------------------------------------------------------------------------------------------- */

/* Gives the k-th kept draw of all chains to the sink. */
static int hand_out_draw(batch *b, size_t k)
{
    size_t n = (size_t)b->n, low_size = wf_anneal_low_size(b->anneal), details = wf_anneal_detail_size(b->anneal);
    float *low = malloc(n * (low_size + details) * sizeof *low), *detail = low && details ? low + n * low_size : NULL;
    uint64_t *index = malloc(n * sizeof *index);
    int *chain = malloc(n * sizeof *chain);
    int status = low && index && chain ? WF_OK : wf_fail(WF_AGAIN, "chains: out of memory for %d pictures", b->n);
    for (int i = 0; i < b->n && !status; i++) {
        chain[i] = i;
        index[i] = b->id[i] * b->kept + k;
    }
    if (!status)
        status = wf_anneal_picture(b->anneal, b->n, chain, b->x + k * n * b->D, low, detail);
    wf_record r = {.level = b->options->level, .N = b->n, .low = low, .detail = detail, .index = index};
    if (!status)
        status = b->sink(b->user, &r);
    free(low);
    free(index);
    free(chain);
    return status;
}

/* Hands out every kept draw that all chains have made by now. */
static int hand_out_draws(batch *b)
{
    size_t least = b->draws, thin = (size_t)b->options->thin;
    for (int c = 0; c < b->n; c++)
        least = draws_made(b, c) < least ? draws_made(b, c) : least;
    for (; b->handed_out < b->kept; b->handed_out++) {
        size_t number = b->draws - thin * (b->kept - 1 - b->handed_out); /* of this draw, from 1 */
        if (number > least)
            break;
        WF_TRY(hand_out_draw(b, b->handed_out));
    }
    return WF_OK;
}

static void record_draw(batch *b, int chain, size_t t, const double *x, const wf_nuts_draw *draw)
{
    double *trace = b->trace + ((size_t)chain * b->draws + t) * TRACE;
    size_t before_last = b->draws - 1 - t, thin = (size_t)b->options->thin;
    trace[LOG_DENSITY] = draw->log_density;
    trace[ENERGY] = draw->energy;
    trace[ACCEPTANCE] = draw->acceptance;
    trace[STEP] = draw->step;
    trace[DEPTH] = draw->depth;
    trace[JOINED] = draw->joined;
    trace[LEAPFROGS] = draw->leapfrogs;
    trace[DIVERGENT] = draw->divergent;
    for (size_t i = COORDINATES; i < TRACE; i++)
        trace[i] = x[(i - COORDINATES) * b->D / (TRACE - COORDINATES)];
    if (thin ? before_last % thin == 0 : before_last == 0) {
        size_t k = b->kept - 1 - (thin ? before_last / thin : 0);
        memcpy(b->x + (k * (size_t)b->n + (size_t)chain) * b->D, x, b->D * sizeof *x);
    }
}

/* Saves and returns WF_AGAIN if the run is to stop. */
static int check_stop(batch *b)
{
    const wf_markov_chains_options *o = b->options;
    wf_watched(&o->watch, o->stats_level, 0);
    if (!o->stop || !*o->stop)
        return WF_OK;
    WF_TRY(save_state(b));
    bool saved = o->state && !access(o->state, F_OK);
    return wf_fail(WF_AGAIN,
                   saved ? "interrupted; saved in %s: run the same command again to continue"
                         : "interrupted before any draw",
                   o->state);
}

/* Computes the density, or stops the run: two draws of a large level may be many minutes apart, and one density of many
 * chains many seconds. Rows go to the device as wf_anneal_density would send them, so their bits are the same. */
static int density_or_stop(void *user, int n, const int *chain, const double *x, double *logp, double *gradient)
{
    batch *b = user;
    int rows = wf_anneal_rows(b->anneal);
    for (int at = 0; at < n; at += rows) {
        int count = n - at < rows ? n - at : rows;
        size_t place = (size_t)at * b->D;
        WF_TRY(check_stop(b));
        WF_TRY(wf_anneal_density(b->anneal, count, chain + at, x + place, logp + at, gradient + place));
    }
    return WF_OK;
}

static int take_draw(void *user, int chain, const double *x, const wf_nuts_draw *draw)
{
    batch *b = user;
    const wf_markov_chains_options *o = b->options;
    wf_nuts_save(b->sampler, chain, b->word + (size_t)chain * b->words);
    wf_watched(&o->watch, o->stats_level, 1);
    b->dirty = true;
    if (!draw->adapting) {
        record_draw(b, chain, (size_t)(draw->iteration - o->nuts.adapt), x, draw);
        WF_TRY(hand_out_draws(b));
    }
    return wf_clock() - b->saved_at > o->save_every ? save_state(b) : WF_OK;
}

/* -- the report --------------------------------------------------------------------------------------------------- */

/* Diagnoses one traced quantity of a group of chains. A quantity that never moved counts as not converged. */
static int diagnose_quantity(const batch *b, int first, int what, double *values, wf_markov_chains_report *report)
{
    wf_diagnosis d;
    int group = b->options->group;
    for (size_t i = 0; i < (size_t)group * b->draws; i++)
        values[i] = b->trace[((size_t)first * b->draws + i) * TRACE + (size_t)what];
    WF_TRY(wf_diagnose(group, b->draws, values, &d));
    bool moved = isfinite(d.rhat);
    report->rhat = fmax(report->rhat, moved ? d.rhat : INFINITY);
    report->ess_bulk = fmin(report->ess_bulk, moved ? d.ess_bulk : 0);
    report->ess_tail = fmin(report->ess_tail, moved && isfinite(d.ess_tail) ? d.ess_tail : 0);
    return WF_OK;
}

static int diagnose_chains(const batch *b, wf_markov_chains_report *report)
{
    size_t all = (size_t)b->n * b->draws;
    int group = b->options->group, status = WF_OK;
    double *values = calloc(all, sizeof *values);
    WF_CHECK(values, WF_AGAIN, "chains: out of memory");
    for (size_t i = 0; i < all; i++)
        values[i] = b->trace[i * TRACE + ENERGY];
    report->ebfmi = wf_ebfmi(b->n, b->draws, values);
    report->rhat = report->ess_bulk = report->ess_tail = NAN; /* fmin and fmax ignore it */
    for (int first = 0; first + group <= b->n && b->draws >= 8 && !status; first += group) {
        status = diagnose_quantity(b, first, LOG_DENSITY, values, report);
        for (int i = COORDINATES; i < TRACE && !status; i++)
            status = diagnose_quantity(b, first, i, values, report);
    }
    free(values);
    return status;
}

static int make_report(const batch *b, double seconds, wf_markov_chains_report *report)
{
    wf_nuts_cost cost = wf_nuts_spent(b->sampler);
    size_t all = (size_t)b->n * b->draws;
    *report =
        (wf_markov_chains_report){.chains = b->n, .draws = (int64_t)all, .seconds = seconds, .step_low = INFINITY};
    for (size_t i = 0; i < all; i++) {
        const double *trace = b->trace + i * TRACE;
        report->divergences += trace[DIVERGENT] != 0;
        report->acceptance += trace[ACCEPTANCE] / (double)all;
        report->depth += trace[DEPTH] / (double)all;
    }
    for (int c = 0; c < b->n; c++) {
        double step = wf_nuts_state(b->sampler, c)->step;
        report->step_low = fmin(report->step_low, step);
        report->step_high = fmax(report->step_high, step);
    }
    report->gradients = cost.evaluations + b->probed;
    report->computed = wf_anneal_computed(b->anneal) - b->computed;
    return diagnose_chains(b, report);
}

/* Writes a line for each draw of each chain, below WF_MARKOV_CHAINS_STATS_HEAD. */
static int write_stats(const batch *b)
{
    FILE *file = b->options->stats;
    for (int c = 0; c < b->n && file; c++)
        for (size_t t = 0; t < b->draws; t++) {
            const double *trace = b->trace + ((size_t)c * b->draws + t) * TRACE;
            fprintf(file, "%.17g,%.17g,%.17g,%.0f,%.0f,%.0f,%.17g,%d,%llu,%zu", trace[LOG_DENSITY], trace[ACCEPTANCE],
                    trace[STEP], trace[JOINED], trace[LEAPFROGS], trace[DIVERGENT], trace[ENERGY],
                    b->options->stats_level, (unsigned long long)b->id[c], t);
            for (int i = COORDINATES; i < TRACE; i++)
                fprintf(file, ",%.17g", trace[i]);
            putc('\n', file);
        }
    return file && ferror(file) ? wf_fail_errno("statistics of level %d", b->options->stats_level) : WF_OK;
}

/* -- running ------------------------------------------------------------------------------------------------------ */

static int start_chains(batch *b, const uint64_t *id)
{
    uint64_t seed = b->options->nuts.seed;
    double *x = malloc((size_t)b->n * b->D * sizeof *x);
    WF_CHECK(x, WF_AGAIN, "chains: out of memory for %d x %zu numbers", b->n, b->D);
    int status = wf_anneal_start(b->anneal, b->n, id, seed, x);
    for (int c = 0; c < b->n && !status; c++) {
        wf_nuts_place(b->sampler, c, id[c], x + (size_t)c * b->D);
        if (b->options->variance)
            wf_nuts_scale(b->sampler, c, b->options->variance);
        wf_nuts_save(b->sampler, c, b->word + (size_t)c * b->words);
    }
    free(x);
    return status;
}

/* Scales the chains that have just made `iteration` iterations by the curvature at their positions. */
static int rescale_chains(batch *b, uint64_t iteration)
{
    int n = 0, rows = wf_anneal_rows(b->anneal), status = WF_OK;
    double *x = malloc((size_t)b->n * b->D * sizeof *x), *variance = malloc((size_t)b->n * b->D * sizeof *variance);
    uint64_t *id = malloc((size_t)b->n * sizeof *id);
    if (!x || !variance || !id)
        status = wf_fail(WF_AGAIN, "chains: out of memory for %d x %zu numbers", b->n, b->D);
    for (int c = 0; c < b->n && !status; c++)
        if (wf_nuts_state(b->sampler, c)->iteration == iteration) {
            memcpy(x + (size_t)n * b->D, wf_nuts_state(b->sampler, c)->x, b->D * sizeof *x);
            id[n++] = b->id[c];
        }
    for (int at = 0; at < n && !status; at += rows) {
        int count = n - at < rows ? n - at : rows;
        size_t place = (size_t)at * b->D;
        status = check_stop(b);
        if (!status)
            status = wf_anneal_probe(b->anneal, count, x + place, b->options->nuts.seed + iteration, id + at,
                                     variance + place);
        b->probed += (uint64_t)count * WF_PROBES;
    }
    n = 0;
    for (int c = 0; c < b->n && !status; c++)
        if (wf_nuts_state(b->sampler, c)->iteration == iteration)
            wf_nuts_scale(b->sampler, c, variance + (size_t)n++ * b->D);
    free(x);
    free(variance);
    free(id);
    return status;
}

/* Chains that were resumed after this part of the adaptation have their scales already. */
static int adapt_scales(batch *b)
{
    uint64_t adapt = b->options->nuts.adapt, times[] = {adapt / 5, adapt / 2};
    for (size_t i = 0; i < sizeof times / sizeof *times && b->options->probe; i++) {
        WF_TRY(wf_nuts_run(b->sampler, times[i], take_draw, b));
        WF_TRY(rescale_chains(b, times[i]));
    }
    return WF_OK;
}

static int create_batch(batch *b)
{
    WF_TRY(wf_nuts_create(b->n, b->D, &b->options->nuts, density_or_stop, b, &b->sampler));
    b->words = wf_nuts_words(b->sampler);
    b->word = calloc((size_t)b->n * b->words, sizeof *b->word);
    b->x = calloc(b->kept * (size_t)b->n * b->D, sizeof *b->x);
    b->trace = calloc((size_t)b->n * b->draws * TRACE, sizeof *b->trace);
    WF_CHECK(b->word && b->x && b->trace, WF_AGAIN, "chains: out of memory for %zu draws of %d x %zu numbers", b->kept,
             b->n, b->D);
    return WF_OK;
}

int wf_markov_chains_run(wf_anneal *a, const wf_markov_chains_options *options, int n, const uint64_t *id,
                         wf_record_sink *sink, void *user, wf_markov_chains_report *report)
{
    bool found;
    int status;
    double begun = wf_clock();
    batch b = {.anneal = a, .options = options, .sink = sink, .user = user, .id = id, .n = n, .D = wf_anneal_size(a)};
    WF_CHECK(n > 0 && options->draws > 0 && options->thin >= 0 && options->group > 0 && n % options->group == 0,
             WF_USAGE, "chains: %d in groups of %d, %lld draws", n, options->group, (long long)options->draws);
    b.draws = (size_t)options->draws;
    b.kept = (size_t)wf_markov_chains_kept(options);
    for (int c = 0; c < n; c++)
        WF_CHECK(id[c] <= (UINT64_MAX - (b.kept - 1)) / b.kept, WF_DATA,
                 "chain %llu: its %zu draws have no numbers of 64 bits", (unsigned long long)id[c], b.kept);
    b.run = run_hash(options, n, id);
    b.saved_at = begun;
    b.computed = wf_anneal_computed(a);
    WF_GO(create_batch(&b));
    WF_GO(resume_state(&b, &found));
    if (!found)
        WF_GO(start_chains(&b, id));
    WF_GO(hand_out_draws(&b));
    WF_GO(adapt_scales(&b));
    WF_GO(wf_nuts_run(b.sampler, options->nuts.adapt + b.draws, take_draw, &b));
    WF_GO(save_state(&b));
    WF_GO(make_report(&b, wf_clock() - begun, report));
    WF_GO(write_stats(&b));
out:
    wf_nuts_destroy(b.sampler);
    free(b.word);
    free(b.x);
    free(b.trace);
    return status;
}
