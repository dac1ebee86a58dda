/* data_parallel.c - one training on several ranks */
#include "data_parallel.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../base/file.h"
#include "../base/number.h"
#include "trainer.h"

/* Values that a rank tells after a step, before the densities of its pictures. */
enum { SECONDS, ASKED, BAD, TOLD };

void wf_parallel_open(wf_trainer *t, wf_ranks *ranks)
{
    bool several = ranks && wf_ranks_count(ranks) > 1;
    t->parallel = (wf_parallel){.ranks = several ? ranks : NULL, .count = 1};
    if (!several)
        return;
    t->parallel.rank = wf_ranks_rank(ranks);
    t->parallel.count = wf_ranks_count(ranks);
}

void wf_parallel_clear(wf_trainer *t)
{
    wf_sums_destroy(t->parallel.sums);
    t->backend->free(t->backend, t->parallel.piece);
    free(t->parallel.results);
    t->parallel.sums = NULL;
    t->parallel.piece = NULL;
    t->parallel.results = NULL;
}

static int broadcast(wf_trainer *t, void *data, size_t bytes)
{
    return t->parallel.ranks ? wf_ranks_broadcast(t->parallel.ranks, data, bytes) : WF_OK;
}

int wf_parallel_gather(wf_trainer *t, void *all, size_t bytes)
{
    return t->parallel.ranks ? wf_ranks_gather(t->parallel.ranks, all, bytes) : WF_OK;
}

int wf_parallel_lock(wf_trainer *t, const char *path, const char *who, int *lock)
{
    if (!t->parallel.rank)
        WF_TRY(wf_lock(path, who, lock));
    return WF_OK;
}

/* -- options ------------------------------------------------------------------------------------------------------- */

enum { VALUE = 128, ROWS = 25 };

/* The options of a rank, in words. */
typedef struct row {
    const char *name;
    char value[VALUE];
} row;

typedef struct table {
    int count;
    row rows[ROWS];
} table;

WF_PRINTF(3, 4) static void add(table *list, const char *name, const char *format, ...)
{
    if (++list->count > ROWS)
        return; /* wf_parallel_compare says so */
    row *r = &list->rows[list->count - 1];
    va_list ap;
    va_start(ap, format);
    wf_vsnprintf(r->value, sizeof r->value, format, ap);
    va_end(ap);
    r->name = name;
}

/* A text by its beginning and its hash, so that long ones differ too. */
static void add_text(table *list, const char *name, const char *text)
{
    unsigned long long hash = text ? XXH3_64bits(text, strlen(text)) : 0;
    add(list, name, text && strlen(text) > 80 ? "'%.80s..' (%016llx)" : "%s", text ? text : "not given", hash);
}

static void describe_store(table *list, const char *name, const wf_store *store)
{
    add(list, name, "%s", store ? wf_store_hash(store) : "not given");
}

static void describe_options(const wf_trainer *t, table *list)
{
    const wf_train_options *o = t->options;
    list->count = 0;
    describe_store(list, "the store of the hash", t->whole);
    describe_store(list, "the validation store of the hash", t->validation);
    add_text(list, "--flow", o->chain);
    add_text(list, "--dequantize", o->dequantize);
    char given[20] = "not given";
    if (o->given)
        wf_given_hash(o->given, given);
    add(list, "--given with the hash", "%s", given);
    add(list, "--level", "%d", o->level);
    add(list, "--steps", "%lld", (long long)o->steps);
    add(list, "--minutes", "%.17g", o->minutes);
    add(list, "--val", "%d%%", o->held_out);
    add_text(list, "--init", o->init ? o->init->path : NULL);
    add(list, "--init-level", "%d", o->init_level);
    add(list, "--batch", "%d", o->batch);
    add(list, "--lr", "%.17g", o->lr);
    add_text(list, "--optimizer", o->optimizer);
    add(list, "--ema", "%.17g", o->ema);
    add(list, "--warmup", "%lld", (long long)o->warmup);
    add(list, "--decay", "%.17g", o->decay);
    add(list, "--patch", "%d", o->patch);
    add(list, "--margin", "%d", o->margin);
    add(list, "--flip", "%d", o->flip);
    add(list, "--precision", "%s", o->precision_auto ? "auto" : wf_precision_names[o->precision]);
    add(list, "--seed", "%llu", (unsigned long long)o->seed);
    add(list, "--validate-every", "%lld", (long long)o->validate_every);
    add(list, "--validate-on, --patience", "%lld, %d", (long long)o->validate_on, o->patience);
    add(list, "--checkpoint-every, --backend", "%lld, %.3s", (long long)o->checkpoint_every, t->backend->name);
}

int wf_parallel_compare(wf_trainer *t)
{
    table own;
    char first[ROWS][VALUE];
    if (!t->parallel.ranks)
        return WF_OK;
    memset(first, 0, sizeof first);
    describe_options(t, &own);
    WF_CHECK(own.count <= ROWS, WF_INTERNAL, "%d options to compare among ranks, room for %d", own.count, ROWS);
    for (int i = 0; i < own.count; i++)
        memcpy(first[i], own.rows[i].value, VALUE);
    WF_TRY(broadcast(t, first, sizeof first));
    int status = WF_OK;
    for (int i = 0; i < own.count && !status; i++)
        if (strcmp(first[i], own.rows[i].value) != 0)
            status = wf_fail(i < 2 ? WF_DATA : WF_USAGE, "rank %d has %s %s, rank 0 %s: all need the same",
                             t->parallel.rank, own.rows[i].name, own.rows[i].value, first[i]);
    return wf_ranks_vote(t->parallel.ranks, status);
}

/* Settings that rank 0 settles. */
typedef struct settled {
    char chain[sizeof((wf_trainer *)0)->chain], chosen[WF_PRECISION_WHY], init_hash[20], rule[WF_OPTIMIZER_TEXT];
    bool resumes, has_chain, has_rule;
    int batch, patch, margin, held_out;
    wf_precision precision;
    double lr, ema, decay;
} settled;

static void take_settled(wf_trainer *t, const settled *s)
{
    wf_train_options *o = &t->settled;
    memcpy(t->chain, s->chain, sizeof t->chain);
    memcpy(t->chosen, s->chosen, sizeof t->chosen);
    memcpy(t->init_hash, s->init_hash, sizeof t->init_hash);
    t->resumes = s->resumes;
    memcpy(t->rule, s->rule, sizeof t->rule);
    if (s->has_chain)
        o->chain = t->chain;
    if (s->has_rule)
        o->optimizer = t->rule;
    o->batch = s->batch;
    o->patch = s->patch;
    o->margin = s->margin;
    o->held_out = s->held_out;
    o->precision = s->precision;
    o->lr = s->lr;
    o->ema = s->ema;
    o->decay = s->decay;
}

static settled settled_of(const wf_trainer *t)
{
    const wf_train_options *o = t->options;
    settled s = {.resumes = t->resumes,
                 .has_chain = o->chain == t->chain,
                 .has_rule = o->optimizer == t->rule,
                 .batch = o->batch,
                 .patch = o->patch,
                 .margin = o->margin,
                 .held_out = o->held_out,
                 .precision = o->precision,
                 .lr = o->lr,
                 .ema = o->ema,
                 .decay = o->decay};
    memcpy(s.chain, t->chain, sizeof s.chain);
    memcpy(s.chosen, t->chosen, sizeof s.chosen);
    memcpy(s.init_hash, t->init_hash, sizeof s.init_hash);
    memcpy(s.rule, t->rule, sizeof s.rule);
    return s;
}

int wf_parallel_settle(wf_trainer *t)
{
    bool open = !t->options->batch;
    if (!t->parallel.rank)
        WF_TRY(wf_settings_settle(t));
    if (!t->parallel.rank && open && !t->resumes && t->options->batch < t->parallel.count)
        t->settled.batch = t->parallel.count; /* chosen for one process */
    settled s = settled_of(t);
    WF_TRY(broadcast(t, &s, sizeof s));
    take_settled(t, &s);
    return WF_OK;
}

int wf_parallel_choose_precision(wf_trainer *t, int H, int W)
{
    if (!t->parallel.rank)
        WF_TRY(wf_settings_choose_precision(t, H, W));
    WF_TRY(broadcast(t, &t->settled.precision, sizeof t->settled.precision));
    return broadcast(t, t->chosen, sizeof t->chosen);
}

/* The first picture of a batch that a rank has; of the rank after the last, the pictures of a batch. */
static int first_of(const wf_trainer *t, int rank)
{
    return (int)((int64_t)t->options->batch * rank / t->parallel.count);
}

int wf_parallel_divide(wf_trainer *t)
{
    wf_parallel *p = &t->parallel;
    int batch = t->options->batch;
    WF_CHECK(batch >= p->count, WF_USAGE, "a batch of %d for %d ranks: give --batch %d or more, or start fewer ranks",
             batch, p->count, p->count);
    p->first = first_of(t, p->rank);
    p->rows = first_of(t, p->rank + 1) - p->first;
    p->most = (batch + p->count - 1) / p->count;
    return WF_OK;
}

/* -- weights and state --------------------------------------------------------------------------------------------- */

int wf_parallel_copy(wf_trainer *t, wf_real *vector)
{
    wf_backend *b = t->backend;
    size_t n = t->optimizer.size;
    int status = WF_OK;
    if (!t->parallel.ranks)
        return WF_OK;
    void *host = malloc(n * b->real);
    WF_CHECK(host, WF_AGAIN, "out of memory for %zu parameters", n);
    WF_GO(b->download(b, host, wf_trainer_dtype(t), vector, n));
    WF_GO(broadcast(t, host, n * b->real));
    WF_GO(b->upload(b, vector, host, wf_trainer_dtype(t), n));
out:
    free(host);
    return status;
}

/* Counters that a state file holds beside the vectors. */
typedef struct counters {
    bool found, finished;
    int since_best, skip_count;
    int64_t step, validated_at, sum_count;
    double seconds, held_out, best, sum;
    uint64_t skip[WF_MAX_SKIPPED];
} counters;

static void take_counters(wf_trainer *t, const counters *c)
{
    t->finished = c->finished;
    t->since_best = c->since_best;
    t->skip_count = c->skip_count;
    t->step = c->step;
    t->validated_at = c->validated_at;
    t->sum_count = c->sum_count;
    t->seconds = c->seconds;
    t->held_out = c->held_out;
    t->best = c->best;
    t->sum = c->sum;
    memcpy(t->skip, c->skip, sizeof t->skip);
}

int wf_parallel_restore(wf_trainer *t, bool *found)
{
    counters c = {.found = *found,
                  .finished = t->finished,
                  .since_best = t->since_best,
                  .skip_count = t->skip_count,
                  .step = t->step,
                  .validated_at = t->validated_at,
                  .sum_count = t->sum_count,
                  .seconds = t->seconds,
                  .held_out = t->held_out,
                  .best = t->best,
                  .sum = t->sum};
    memcpy(c.skip, t->skip, sizeof c.skip);
    WF_TRY(broadcast(t, &c, sizeof c));
    *found = c.found;
    if (!c.found)
        return WF_OK;
    take_counters(t, &c);
    for (int i = 0; i < WF_VECTORS; i++)
        WF_TRY(wf_parallel_copy(t, wf_trainer_vector(t, i)));
    return WF_OK;
}

int wf_parallel_expect_equal(wf_trainer *t)
{
    wf_parallel *p = &t->parallel;
    wf_backend *b = t->backend;
    size_t n = t->optimizer.size;
    int status = WF_OK;
    if (!p->ranks)
        return WF_OK;
    uint64_t *hashes = calloc((size_t)p->count, sizeof *hashes);
    void *host = malloc(n * b->real);
    if (!hashes || !host)
        WF_GO(wf_fail(WF_AGAIN, "out of memory for %zu parameters", n));
    WF_GO(b->download(b, host, wf_trainer_dtype(t), t->optimizer.w, n));
    hashes[p->rank] = XXH3_64bits(host, n * b->real);
    WF_GO(wf_parallel_gather(t, hashes, sizeof *hashes));
    for (int i = 1; i < p->count && !status; i++)
        if (hashes[i] != hashes[0])
            status = wf_fail(WF_INTERNAL,
                             "rank %d has other weights than rank 0 at step %lld: do they run on processors of other "
                             "kinds? The last checkpoint is whole",
                             i, (long long)t->step);
out:
    free(hashes);
    free(host);
    return status;
}

/* -- a step -------------------------------------------------------------------------------------------------------- */

/* Takes the step for a piece of the sum. */
static int take_piece(void *trainer, size_t offset, size_t count, const void *sum)
{
    wf_trainer *t = trainer;
    wf_parallel *p = &t->parallel;
    wf_backend *b = t->backend;
    if (b->host)
        return wf_optimizer_sink(&t->optimizer, offset, count, (const wf_real *)sum);
    if (p->piece_room < count) {
        b->free(b, p->piece);
        p->piece = NULL;
        p->piece_room = 0;
        WF_TRY(wf_alloc_reals(b, count, &p->piece));
        p->piece_room = count;
    }
    WF_TRY(b->upload(b, p->piece, sum, wf_trainer_dtype(t), count));
    return wf_optimizer_sink(&t->optimizer, offset, count, p->piece);
}

/* Makes what the data-dependent initialization takes for moments of its part those of the whole batch. */
static int pool_moments(void *trainer, size_t *n, int K, double *moments)
{
    wf_trainer *t = trainer;
    size_t count = (size_t)t->parallel.count, k = (size_t)K, each = 2 * k + 1;
    double *all = calloc(count * each, sizeof *all), total = 0;
    WF_CHECK(all, WF_AGAIN, "out of memory for the moments of %d channels", K);
    double *own = all + (size_t)t->parallel.rank * each;
    own[0] = (double)*n;
    memcpy(own + 1, moments, 2 * k * sizeof *own);
    int status = wf_parallel_gather(t, all, each * sizeof *all);
    for (size_t r = 0; r < count; r++)
        total += all[r * each];
    for (size_t i = 0; i < k && !status; i++) {
        double mean = 0, variance = 0;
        for (size_t r = 0; r < count; r++)
            mean += all[r * each] / total * all[r * each + 1 + i];
        for (size_t r = 0; r < count; r++) {
            double off = all[r * each + 1 + i] - mean;
            variance += all[r * each] / total * (all[r * each + 1 + k + i] + off * off);
        }
        moments[i] = mean;
        moments[k + i] = variance;
    }
    *n = status ? *n : (size_t)total;
    free(all);
    return status;
}

int wf_parallel_prepare(wf_trainer *t)
{
    wf_parallel *p = &t->parallel;
    if (!p->ranks)
        return WF_OK;
    p->results = calloc((size_t)p->count * (size_t)(TOLD + p->most), sizeof *p->results);
    WF_CHECK(p->results, WF_AGAIN, "out of memory");
    wf_level_runner_pool(&t->runner, pool_moments, t);
    return wf_sums_create(p->ranks, t->backend->real, 0, take_piece, t, &p->sums);
}

int wf_parallel_begin(wf_trainer *t)
{
    double bad = 0;
    WF_TRY(t->backend->download_double(t->backend, &bad, t->optimizer.bad, 1));
    t->parallel.poisoned = bad != 0;
    return WF_OK;
}

/* Sets host reals, floats or doubles, to not a number. */
static void poison(const wf_trainer *t, size_t count, void *host)
{
    for (size_t i = 0; i < count; i++)
        if (t->backend->real == sizeof(double))
            ((double *)host)[i] = (double)NAN;
        else
            ((float *)host)[i] = NAN;
}

/* A rank with a density that is not finite sends gradients that are none, so that no rank takes the step. */
int wf_parallel_sink(void *trainer, size_t offset, size_t count, const wf_real *grads)
{
    wf_trainer *t = trainer;
    wf_backend *b = t->backend;
    void *room;
    WF_TRY(wf_sums_room(t->parallel.sums, offset, count, &room));
    if (t->parallel.poisoned)
        poison(t, count, room);
    else
        WF_TRY(b->download(b, room, wf_trainer_dtype(t), grads, count));
    return wf_sums_add(t->parallel.sums);
}

int wf_parallel_finish(wf_trainer *t)
{
    return wf_sums_finish(t->parallel.sums);
}

int wf_parallel_results(wf_trainer *t, double *density, double *bad)
{
    wf_parallel *p = &t->parallel;
    size_t each = (size_t)(TOLD + p->most);
    double *own = p->results + (size_t)p->rank * each;
    wf_trainer_count_seconds(t);
    own[SECONDS] = t->seconds;
    own[ASKED] = t->asked;
    own[BAD] = *bad;
    memcpy(own + TOLD, density, (size_t)p->rows * sizeof *own);
    WF_TRY(wf_parallel_gather(t, p->results, each * sizeof *p->results));
    t->seconds = p->results[SECONDS];
    for (int i = 0; i < p->count; i++) {
        const double *told = p->results + (size_t)i * each;
        int first = first_of(t, i), end = first_of(t, i + 1);
        t->interrupted = t->interrupted || told[ASKED] != 0;
        *bad = told[BAD] != 0 ? told[BAD] : *bad;
        memcpy(density + first, told + TOLD, (size_t)(end - first) * sizeof *density);
    }
    return WF_OK;
}

void wf_parallel_note(wf_trainer *t, char text[64])
{
    wf_parallel *p = &t->parallel;
    text[0] = '\0';
    if (!p->ranks)
        return;
    double waited = wf_ranks_waited(p->ranks), seconds = t->seconds - p->begun;
    if (seconds > 0 && p->begun > 0)
        wf_snprintf(text, 64, ", \"ranks\": %d, \"waited\": %.4f", p->count, (waited - p->waited) / seconds);
    p->begun = t->seconds;
    p->waited = waited;
}
