/* precision.c - chooses between fp32 and bf16 by a measurement, and keeps the choice
 *
 * The value of a choice (choices.h) is "precision<tab>fp32<tab>bf16", rates in pictures a second. */
#include "precision.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../base/choices.h"
#include "../base/clock.h"
#include "../base/count.h"
#include "../base/number.h"
#include "../base/version.h"
#include "../flow/flow_text.h"

enum { KEY = 5120, LEAST_RUNS = 5, MOST_RUNS = 15 };
static const double ENOUGH_SECONDS = 0.06, FASTER = 1.5;
static const char kept_in[] = "wavelet-flow.precisions";
static pthread_mutex_t choosing = PTHREAD_MUTEX_INITIALIZER; /* keeps measurements apart */

bool wf_precision_is_open(const wf_backend *b)
{
    return b->host && b->bf16 && b->real == sizeof(float);
}

/* -- keeping ------------------------------------------------------------------------------------------------------- */

/* Reads the value of a choice. False: it is not one of ours. */
static bool read_choice(void *user, const char *value)
{
    wf_precision_choice *out = user;
    char *end;
    *out = (wf_precision_choice){0};
    out->precision = strncmp(value, "bf16\t", 5) ? WF_FP32 : WF_BF16;
    if (out->precision == WF_FP32 && strncmp(value, "fp32\t", 5) != 0)
        return false;
    out->fp32 = wf_strtod(value + 5, &end);
    if (*end != '\t')
        return false;
    out->bf16 = wf_strtod(end + 1, &end);
    wf_snprintf(out->why, sizeof out->why, "%s: fp32 %.4g, bf16 %.4g pictures/s in one round of the chain",
                wf_precision_names[out->precision], out->fp32, out->bf16);
    return !*end && out->fp32 > 0 && out->bf16 > 0;
}

typedef struct listing {
    wf_precision_each *each;
    void *user;
} listing;

static bool list_one(void *user, const char *key, const char *value)
{
    const listing *l = user;
    wf_precision_choice choice;
    if (read_choice(&choice, value))
        l->each(l->user, key, &choice);
    return false;
}

void wf_precision_list(wf_precision_each *each, void *user)
{
    wf_choice_list(kept_in, list_one, &(listing){each, user});
}

/* -- measuring ----------------------------------------------------------------------------------------------------- */

typedef struct rehearsal {
    wf_backend *backend;
    wf_flow *flow;
    wf_real *params, *x, *cond;
    int runs;
    double seconds[MOST_RUNS], least;
} rehearsal;

static int draw(wf_backend *b, int N, size_t values, uint64_t step, wf_real **out)
{
    uint64_t index[WF_LEVEL_ROWS];
    for (int n = 0; n < N; n++)
        index[n] = (uint64_t)n;
    WF_TRY(wf_alloc_reals(b, (size_t)N * values, out));
    return b->normal(b, &(wf_random){0, WF_PURPOSE_LATENT, step}, N, values, index, 0.3, *out);
}

static void clear_rehearsal(rehearsal *r)
{
    wf_flow_destroy(r->flow);
    r->backend->free(r->backend, r->params);
    r->backend->free(r->backend, r->x);
    r->backend->free(r->backend, r->cond);
}

static int drop_gradients(void *user, size_t offset, size_t count, const wf_real *grads)
{
    (void)user, (void)offset, (void)count, (void)grads;
    return WF_OK;
}

/* Runs forward and backward, as a training step does but for the optimizer. */
static int run(rehearsal *r)
{
    double before = wf_clock();
    WF_TRY(wf_flow_forward(r->flow, r->params, r->x, r->cond));
    WF_TRY(wf_flow_backward(r->flow, r->params, r->cond, -1e-3, drop_gradients, NULL, NULL, NULL));
    double seconds = wf_clock() - before;
    r->least = r->runs && r->least < seconds ? r->least : seconds;
    r->seconds[r->runs++] = seconds;
    return WF_OK;
}

/* Creates the flow, with weights and pictures at random, and runs it once without counting that. */
static int prepare(const wf_level_spec *level, int N, int H, int W, wf_memory memory, rehearsal *r)
{
    size_t pixels = wf_count3(1, H, W);
    WF_TRY(wf_level_flow(level, r->backend, N, H, W, memory, &r->flow));
    WF_TRY(wf_alloc_reals(r->backend, wf_flow_size(r->flow), &r->params));
    WF_TRY(draw(r->backend, N, pixels * (size_t)level->K, 0, &r->x));
    int C = level->C + wf_given_channels(&level->given);
    if (C)
        WF_TRY(draw(r->backend, N, pixels * (size_t)C, 1, &r->cond));
    WF_TRY(wf_flow_init(r->flow, 1, r->params));
    WF_TRY(wf_flow_data_init(r->flow, r->params, r->x, r->cond));
    WF_TRY(run(r));
    r->runs = 0;
    return WF_OK;
}

/* Returns whether bf16 is faster, in the best runs and in most pairs: other work of the machine slows some runs. */
static bool is_faster(const rehearsal *fp32, const rehearsal *bf16)
{
    int pairs = 0;
    for (int k = 0; k < bf16->runs; k++)
        pairs += fp32->seconds[k] > FASTER * bf16->seconds[k];
    return fp32->least > FASTER * bf16->least && 4 * pairs >= 3 * bf16->runs;
}

/* Measures both precisions in turn, so that other work of the machine slows both. */
static int measure(wf_backend *backend, const wf_level_spec *level, int N, int H, int W, wf_memory memory,
                   wf_precision_choice *out)
{
    wf_level_spec spec[2] = {*level, *level};
    rehearsal r[2] = {{.backend = backend}, {.backend = backend}};
    int status = WF_OK;
    spec[0].precision = WF_FP32;
    spec[1].precision = WF_BF16;
    for (int i = 0; i < 2; i++)
        WF_GO(prepare(&spec[i], N, H, W, memory, &r[i]));
    double begun = wf_clock();
    for (int k = 0; k < LEAST_RUNS || (k < MOST_RUNS && wf_clock() - begun < ENOUGH_SECONDS); k++)
        for (int i = 0; i < 2; i++)
            WF_GO(run(&r[i]));
    out->fp32 = N / r[0].least;
    out->bf16 = N / r[1].least;
    out->precision = is_faster(&r[0], &r[1]) ? WF_BF16 : WF_FP32;
out:
    for (int i = 0; i < 2; i++)
        clear_rehearsal(&r[i]);
    return status;
}

/* -- choosing ------------------------------------------------------------------------------------------------------ */

/* Returns whether bits/dim of the chain in bf16 were compared with fp32: couplings of the usual network, and features
 * of the low-pass picture. */
static int is_compared(const wf_level_spec *level, bool *compared)
{
    static const char *const words[] = {"actnorm", "conv1x1", "affine", "cond"}, *const options[] = {"width", "blocks",
                                                                                                     "channels", "pca"};
    wf_flow_text text;
    WF_TRY(wf_flow_text_parse(level->chain, &text));
    *compared = level->signal == WF_PICTURE && !level->dequantize;
    for (int i = 0; i < text.count; i++) {
        const wf_word *w = &text.words[i];
        size_t word = 0;
        while (word < sizeof words / sizeof *words && strcmp(w->name, words[word]) != 0)
            word++;
        *compared = *compared && word < sizeof words / sizeof *words;
        for (int o = 0; o < w->options; o++) {
            size_t option = 0;
            while (option < sizeof options / sizeof *options && strcmp(w->option[o].key, options[option]) != 0)
                option++;
            *compared = *compared && option < sizeof options / sizeof *options;
        }
    }
    wf_flow_text_clear(&text);
    return WF_OK;
}

static int choose_kept(wf_backend *backend, const wf_level_spec *level, const char *key, int N, int H, int W,
                       wf_memory memory, wf_precision_choice *out)
{
    wf_choice kept = {kept_in, key, read_choice, out};
    char value[64];
    if (wf_choice_find(&kept))
        return WF_OK;
    int rows = (wf_level_rows(backend->pixels, H, W) + 1) / 2;
    WF_TRY(measure(backend, level, N < rows ? N : rows, H, W, memory, out));
    wf_snprintf(value, sizeof value, "%s\t%.6g\t%.6g", wf_precision_names[out->precision], out->fp32, out->bf16);
    wf_choice_keep(&kept, value);
    return WF_OK;
}

int wf_precision_choose(wf_backend *backend, const wf_level_spec *level, int N, int H, int W, wf_memory memory,
                        wf_precision_choice *out)
{
    static const char *const memories[] = {"auto", "store", "reversible", "lean", "none"};
    char round[4096], key[KEY];
    bool compared;
    wf_level_spec one = *level;
    WF_TRY(is_compared(level, &compared));
    *out = (wf_precision_choice){.precision = WF_FP32};
    if (!wf_precision_is_open(backend))
        snprintf(out->why, sizeof out->why, "fp32: %s", backend->host ? "no instructions for bf16" : "not the CPU");
    else if (H * W <= 4)
        snprintf(out->why, sizeof out->why, "fp32: maps of at most four pixels");
    else if (!compared)
        snprintf(out->why, sizeof out->why, "fp32: bf16 was not compared for this chain");
    if (out->why[0])
        return WF_OK;
    WF_CHECK(wf_flow_text_round(level->chain, round, sizeof round), WF_USAGE, "chain too long");
    one.chain = round;
    snprintf(key, sizeof key, "%s, threads %d, %s | %d+%d channels of %dx%d, batch %d, memory %s | %s", backend->device,
             backend->threads, wf_version(), level->K, level->C, H, W, N, memories[memory], round);
    pthread_mutex_lock(&choosing);
    int status = choose_kept(backend, &one, key, N, H, W, memory, out);
    pthread_mutex_unlock(&choosing);
    return status;
}
