/* settings.c - what a training was begun with, as text in its state, and the choice of what the options leave open
 *
 * The text is "KEY=VALUE KEY=VALUE ..", in the order of `known`. A value may hold blanks; a key that is absent has the
 * value `absent`. Limits are left out, so a training can be prolonged. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/number.h"
#include "../base/safetensors.h"
#include "../model/presets.h"
#include "trainer.h"

enum {
    DATA,
    CHAIN,
    BATCH,
    LR,
    EMA,
    WARMUP,
    DECAY,
    PATCH,
    FLIP,
    PRECISION,
    SEED,
    BACKEND,
    MARGIN,
    VAL,
    INIT,
    NOISE,
    RULE,
    GIVEN,
    KEYS
};

static const struct known {
    const char *key, *name, *absent;
} known[KEYS] = {
    [DATA] = {"data", "the store's hash", ""},
    [CHAIN] = {"chain", "--flow", ""},
    [BATCH] = {"batch", "--batch", ""},
    [LR] = {"lr", "--lr", ""},
    [EMA] = {"ema", "--ema", ""},
    [WARMUP] = {"warmup", "--warmup", ""},
    [DECAY] = {"decay", "--decay", ""},
    [PATCH] = {"patch", "--patch", ""},
    [FLIP] = {"flip", "--flip", ""},
    [PRECISION] = {"precision", "--precision", ""},
    [SEED] = {"seed", "--seed", ""},
    [BACKEND] = {"backend", "--backend", ""},
    [MARGIN] = {"context", "--margin", "0"},
    [VAL] = {"val", "--val", "none"},
    [INIT] = {"init", "--init", "none"},
    [NOISE] = {"dequantize", "--dequantize", "none"},
    [RULE] = {"optimizer", "--optimizer", "adamax"},
    [GIVEN] = {"given", "the hash of --given", "none"},
};

/* A text taken apart. */
typedef struct settings {
    char text[16384];
    const char *value[KEYS];
} settings;

/* Appends to text; false if it is full. */
WF_PRINTF(2, 3) static bool append(settings *s, const char *format, ...)
{
    size_t used = strlen(s->text);
    va_list ap;
    va_start(ap, format);
    int n = wf_vsnprintf(s->text + used, sizeof s->text - used, format, ap);
    va_end(ap);
    return n < (int)(sizeof s->text - used);
}

int wf_settings_describe(const wf_trainer *t, char **out)
{
    const wf_train_options *o = t->options;
    settings *s = calloc(1, sizeof *s);
    WF_CHECK(s, WF_AGAIN, "out of memory");
    bool fits = append(s,
                       "data=%s chain=%s batch=%d lr=%.17g ema=%.17g warmup=%lld decay=%.17g patch=%d flip=%d "
                       "precision=%d seed=%llu backend=%.3s",
                       wf_store_hash(t->store), t->chain, o->batch, o->lr, o->ema, (long long)o->warmup, o->decay,
                       t->patch, o->flip, o->precision, (unsigned long long)o->seed, t->backend->name);
    if (t->margin)
        fits = fits && append(s, " context=%d", t->margin);
    if (o->held_out)
        fits = fits && append(s, " val=%d%%", o->held_out);
    if (t->init_hash[0])
        fits = fits && append(s, " init=%s", t->init_hash);
    if (o->dequantize)
        fits = fits && append(s, " dequantize=%s", o->dequantize);
    if (o->optimizer && strcmp(o->optimizer, known[RULE].absent) != 0)
        fits = fits && append(s, " optimizer=%s", o->optimizer);
    if (t->given_hash[0])
        fits = fits && append(s, " given=%s", t->given_hash);
    *out = fits ? strdup(s->text) : NULL;
    free(s);
    WF_CHECK(fits, WF_USAGE, "chain too long");
    WF_CHECK(*out, WF_AGAIN, "out of memory");
    return WF_OK;
}

/* Takes a text apart. A value ends where the next key that is there begins. A text that is too long has no values. */
static settings *parse(const char *text)
{
    settings *s = calloc(1, sizeof *s);
    for (int i = 0; s && i < KEYS; i++)
        s->value[i] = known[i].absent;
    if (!s || strlen(text) + 1 >= sizeof s->text)
        return s;
    *s->text = ' '; /* before the first key as before the others */
    strcpy(s->text + 1, text);
    char *at = s->text;
    for (int i = 0; i < KEYS; i++) {
        char key[24];
        wf_snprintf(key, sizeof key, " %s=", known[i].key);
        char *found = strstr(at, key);
        if (!found || (i == 0 && found != at))
            continue;
        *found = '\0';
        at = found + strlen(key);
        s->value[i] = at;
    }
    return s;
}

/* A value as its option has it, in at most 100 characters. */
static const char *show(int key, const char *value, char out[112])
{
    static const char *const yes[] = {"no", "yes"};
    if (key == LR || key == EMA || key == DECAY)
        wf_snprintf(out, 112, "%.10g", wf_strtod(value, NULL));
    else if (key == FLIP)
        wf_snprintf(out, 112, "%s", yes[*value == '1']);
    else if (key == PRECISION && *value >= '0' && *value < '0' + WF_PRECISIONS)
        wf_snprintf(out, 112, "%s", wf_precision_names[*value - '0']);
    else if (key == WARMUP && *value == '-')
        wf_snprintf(out, 112, "the default");
    else
        wf_snprintf(out, 112, strlen(value) > 100 ? "'%.96s..'" : key == CHAIN || key == NOISE ? "'%s'" : "%s", value);
    return out;
}

int wf_settings_compare(const wf_trainer *t, const char *saved, const char *now)
{
    settings *a = parse(saved), *b = parse(now);
    char list[640] = "";
    size_t used = 0;
    for (int i = 0; a && b && i < KEYS && used < sizeof list; i++) {
        char before[112], after[112];
        if (!strcmp(a->value[i], b->value[i]))
            continue;
        int n = wf_snprintf(list + used, sizeof list - used, "%s%s was %s, now %s", used ? "; " : "", known[i].name,
                            show(i, a->value[i], before), show(i, b->value[i], after));
        used += (size_t)n;
    }
    bool enough = a && b;
    free(a);
    free(b);
    WF_CHECK(enough, WF_AGAIN, "out of memory");
    WF_CHECK(!used, WF_DATA,
             "%s: trained with other settings: %s%s; use another model folder, with --init %s to go on from these "
             "weights",
             t->state_path, list, used < sizeof list ? "" : "..", t->model->path);
    return WF_OK;
}

/* -- what the options leave open ----------------------------------------------------------------------------------- */

/* Takes from an earlier run what the options leave open. The chain, if it is left open, brings batch, rate and averages
 * along: they were chosen with it. */
static int adopt(wf_trainer *t, const settings *s)
{
    wf_train_options *o = &t->settled;
    int precision = *s->value[PRECISION] - '0';
    if (o->precision_auto && precision >= 0 && precision < WF_PRECISIONS)
        o->precision = (wf_precision)precision;
    if (o->held_out < 0)
        o->held_out = atoi(s->value[VAL]);
    if (!o->init && strcmp(s->value[INIT], known[INIT].absent) != 0) /* --init counts in the first run only */
        wf_snprintf(t->init_hash, sizeof t->init_hash, "%s", s->value[INIT]);
    if (!o->optimizer && strlen(s->value[RULE]) < sizeof t->rule)
        o->optimizer = strcpy(t->rule, s->value[RULE]);
    if (o->chain)
        return WF_OK;
    WF_CHECK(*s->value[CHAIN] && strlen(s->value[CHAIN]) < sizeof t->chain, WF_DATA, "%s: no chain", t->state_path);
    strcpy(t->chain, s->value[CHAIN]);
    o->chain = t->chain;
    o->batch = o->batch ? o->batch : atoi(s->value[BATCH]);
    o->lr = o->lr > 0 ? o->lr : wf_strtod(s->value[LR], NULL);
    o->ema = o->ema >= 0 ? o->ema : wf_strtod(s->value[EMA], NULL);
    o->decay = o->decay >= 0 ? o->decay : wf_strtod(s->value[DECAY], NULL);
    o->patch = o->patch >= 0 ? o->patch : atoi(s->value[PATCH]);
    o->margin = o->margin >= 0 ? o->margin : atoi(s->value[MARGIN]);
    return WF_OK;
}

static int adopt_earlier(wf_trainer *t)
{
    wf_safetensors st = {0};
    bool end;
    FILE *file = fopen(t->state_path, "rbe");
    if (!file)
        return WF_OK; /* there is none, or wf_trainer_restore says why it cannot be read */
    int status = wf_safetensors_read_header(file, t->state_path, &st, &end, NULL, NULL);
    fclose(file);
    const char *saved = status || end ? NULL : wf_safetensors_meta(&st, "config");
    settings *s = saved ? parse(saved) : NULL;
    t->resumes = s != NULL;
    if (s)
        status = adopt(t, s);
    const char *chosen = s ? wf_safetensors_meta(&st, "chosen") : NULL;
    wf_snprintf(t->chosen, sizeof t->chosen, "%s", chosen ? chosen : "");
    free(s);
    wf_safetensors_clear(&st);
    return status;
}

/* Chooses what belongs to the chain "exact" or, without a chain, both by the budget (wf_preset_fit). */
static void fit(wf_trainer *t)
{
    wf_train_options *o = &t->settled;
    wf_preset_choice choice;
    double cores = o->cores > 0 ? o->cores : t->backend->threads * t->parallel.count;
    if (o->chain)
        wf_preset_exact(t->meta, o->level, &choice);
    else
        wf_preset_fit(t->meta, o->level, o->minutes, t->backend->host ? cores : WF_PRESET_DEVICE, &choice);
    strcpy(t->chain, choice.chain);
    o->chain = t->chain;
    o->batch = o->batch ? o->batch : choice.batch;
    o->optimizer = o->optimizer ? o->optimizer : choice.optimizer;
    o->lr = o->lr > 0 ? o->lr : choice.lr;
    o->ema = o->ema >= 0 ? o->ema : choice.ema;
    o->decay = o->decay >= 0 ? o->decay : choice.decay;
    o->patch = o->patch >= 0 ? o->patch : choice.patch;
}

/* WF_AGAIN where the training of another level of --init has not reached its end. A level without a state, as an
 * exported one, passes. */
static int expect_finished(const wf_trainer *t)
{
    const wf_model *init = t->options->init;
    char path[WF_PATH];
    wf_safetensors st = {0};
    bool end;
    WF_TRY(wf_model_file(init, t->options->init_level, ".state.safetensors", path));
    FILE *file = fopen(path, "rbe");
    if (!file)
        return errno == ENOENT ? WF_OK : wf_fail_errno("%s", path);
    int status = wf_safetensors_read_header(file, path, &st, &end, NULL, NULL);
    fclose(file);
    const char *finished = status || end ? NULL : wf_safetensors_meta(&st, "finished");
    if (!status && (!finished || !strcmp(finished, "0")))
        status = wf_fail(WF_AGAIN, "--init-level %d: %s: its training is not finished: run it to its end first",
                         t->options->init_level, init->path);
    wf_safetensors_clear(&st);
    return status;
}

/* The level of --init whose weights the training begins with. */
static int init_level(const wf_train_options *o)
{
    return o->init_level < 0 ? o->level : o->init_level;
}

/* Takes the chain of the level that --init names, unless the options have one. */
static int begin_with(wf_trainer *t)
{
    wf_train_options *o = &t->settled;
    wf_level_summary level;
    WF_CHECK(init_level(o) <= o->init->meta.levels, WF_USAGE, "--init %s: has levels 0 to %d, not %d", o->init->path,
             o->init->meta.levels, init_level(o));
    WF_TRY(wf_level_summarize(o->init, init_level(o), &level));
    if (o->init_level >= 0 && !t->resumes)
        WF_TRY(expect_finished(t));
    wf_snprintf(t->init_hash, sizeof t->init_hash, "%s", level.hash);
    if (o->chain && o->chain != t->chain)
        return WF_OK;
    if (!t->resumes)
        strcpy(t->chain, level.chain);
    return WF_OK;
}

/* Per cents of the pictures that are held out by default. Overfitting would take the place of the weights to begin with
 * if none of a few pictures were: then the next share of one in n. */
static int default_held_out(const wf_trainer *t)
{
    int percent = WF_HELD_OUT;
    while (t->options->init && percent < 50 && wf_store_count(t->whole) * percent < 100)
        percent = percent == 20 ? 25 : 2 * percent;
    return percent;
}

int wf_settings_settle(wf_trainer *t)
{
    wf_train_options *o = &t->settled;
    WF_TRY(adopt_earlier(t));
    if (o->held_out < 0)
        o->held_out = default_held_out(t);
    if (t->validation)
        o->held_out = 0;
    if (!o->chain || !strcmp(o->chain, "exact"))
        fit(t);
    if (o->init)
        WF_TRY(begin_with(t));
    o->batch = o->batch ? o->batch : wf_train_published.batch;
    o->lr = o->lr > 0 ? o->lr : wf_train_published.lr;
    o->ema = o->ema >= 0 ? o->ema : wf_train_published.ema;
    o->decay = o->decay >= 0 ? o->decay : wf_train_published.decay;
    return WF_OK;
}

int wf_settings_choose_precision(wf_trainer *t, int H, int W)
{
    wf_train_options *o = &t->settled;
    wf_precision_choice choice;
    if (!o->precision_auto || t->resumes)
        return WF_OK;
    wf_level_spec spec = wf_level_spec_for(t->meta, o->level, t->chain, o->dequantize, WF_FP32);
    spec.given = t->given;
    WF_TRY(wf_precision_choose(t->backend, &spec, t->parallel.rows, H, W, o->memory, &choice));
    o->precision = choice.precision;
    strcpy(t->chosen, choice.why);
    return WF_OK;
}

/* -- weights of another model -------------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

/* Words for the coefficients of a level. */
static const char *what_it_models(const wf_level_spec *level)
{
    return !level->level ? "the base" : level->kernel == 1 ? "details of a single pixel" : "details of several pixels";
}

/* Fails unless the weights of `init` fit this level's flow. */
static int expect_same_flow(const wf_trainer *t, const wf_level *from)
{
    const wf_train_options *o = t->options;
    const wf_level_spec own = wf_level_spec_for(t->meta, o->level, t->chain, o->dequantize, o->precision);
    const wf_level_spec *s = &from->spec;
    const char *noise = own.dequantize ? own.dequantize : "none", *theirs = s->dequantize ? s->dequantize : "none";
    WF_CHECK(!strcmp(s->chain, own.chain), WF_USAGE, "--init %s: level %d has the chain '%.200s', this one '%.200s'",
             o->init->path, s->level, s->chain, own.chain);
    WF_CHECK(same_text(s->dequantize, own.dequantize), WF_USAGE,
             "--init %s: level %d has --dequantize '%.200s', this one '%.200s'", o->init->path, s->level, theirs,
             noise);
    WF_CHECK(wf_given_same(&s->given, &t->given), WF_USAGE, "--init %s: level %d was trained with another --given",
             o->init->path, s->level);
    WF_CHECK(!strcmp(o->init->meta.wavelet, t->meta->wavelet), WF_USAGE, "--init %s: the wavelet is %s, of this one %s",
             o->init->path, o->init->meta.wavelet, t->meta->wavelet);
    WF_CHECK(!s->level == !own.level && s->kernel == own.kernel, WF_USAGE,
             "--init %s: level %d has %s, level %d %s: these do not fit", o->init->path, s->level, what_it_models(s),
             own.level, what_it_models(&own));
    bool same_depth = s->D == own.D || s->level != own.level;
    WF_CHECK(
        s->signal == own.signal && s->K == own.K && s->C == own.C && same_depth && from->size == t->optimizer.size,
        WF_USAGE, "--init %s: level %d is of %ss of %d channels, this one of %ss of %d, or of another depth or width",
        o->init->path, s->level, wf_signal_names[s->signal], o->init->meta.C, wf_signal_names[own.signal], t->meta->C);
    return WF_OK;
}

int wf_settings_copy_weights(wf_trainer *t)
{
    const wf_train_options *o = t->options;
    wf_level from;
    WF_TRY(wf_level_load(o->init, init_level(o), t->backend, &from));
    int status = expect_same_flow(t, &from);
    if (!status)
        status = t->backend->copy(t->backend, t->optimizer.w, from.params, t->optimizer.size);
    wf_level_clear(&from);
    return status;
}
