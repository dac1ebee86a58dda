/* annealed_sampler.c - draws one or several levels a step, by chains on the last draws of the step below */
#include "annealed_sampler.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "../base/count.h"
#include "../base/number.h"
#include "../model/level.h"
#include "../pyramid/pyramid.h"
#include "../sample/coarse_to_fine.h"

/* Levels first .. last that one chain draws, as numbered in wf_conditioning_meta. */
typedef struct step {
    int first, last;
    wf_anneal *anneal;
    double *variance; /* [D] scales of measured pictures; NULL: none */
    int room;         /* chains that `anneal` was made for */
    wf_markov_chains_report report;
} step;

struct wf_annealed_sampler {
    const wf_model *model;
    wf_backend *backend;
    wf_annealed_sampler_spec spec;
    wf_meta meta; /* borrows the provenance */
    int offset;
    wf_pyramid *pyramid;
    step steps[WF_MAX_LEVELS + 1];
    int step_count;
    int batches; /* batches run so far */
};

static size_t low_size(const wf_annealed_sampler *a, int level)
{
    wf_level_shape s = wf_meta_level(&a->meta, level);
    return wf_count3(s.H, s.W, s.C);
}

static size_t picture_size(const wf_annealed_sampler *a, int level)
{
    return (level ? (size_t)1 << wf_axes(a->meta.signal) : 1) * low_size(a, level);
}

/* True if one chain draws whole pictures, given what was observed or measured of them. */
static bool is_whole(const wf_annealed_sampler_spec *spec)
{
    return spec->known || spec->measured;
}

/* Numbers of the picture that a chain is conditioned on: the low-pass of its first level, a partly observed picture, or
 * a measurement. */
static size_t condition_size(const wf_annealed_sampler *a, const step *s)
{
    if (a->spec.measured)
        return wf_measured_size(a->spec.measured);
    return a->spec.known ? picture_size(a, a->spec.to) : low_size(a, s->first);
}

int wf_annealed_sampler_rows(const wf_annealed_sampler *a)
{
    size_t most = 0;
    for (int i = 0; i < a->step_count; i++) {
        size_t D = 0;
        for (int l = a->steps[i].first; l <= a->steps[i].last; l++)
            D += (l ? (size_t)wf_bands(a->meta.signal) : 1) * low_size(a, l);
        most = D > most ? D : most;
    }
    int rows = wf_markov_chains_fit(most, &a->spec.options) / a->spec.chains;
    return rows ? rows : 1;
}

/* Refuses a trained level of whole numbers; one that is not trained is refused when its step runs. */
static int check_gradients(const wf_model *model, int level)
{
    wf_level_summary summary;
    int status = wf_level_summarize(model, level, &summary);
    WF_CHECK(status || !wf_chain_is_discrete(summary.chain), WF_USAGE,
             "%s: level %d gives probabilities of whole numbers (lattice), which have no gradient: chains need a flow; "
             "wf-sample draws from it",
             model->path, level);
    return status == WF_NOINPUT ? WF_OK : status;
}

int wf_annealed_sampler_create(const wf_model *model, const wf_conditioning *starts, wf_backend *backend,
                               const wf_annealed_sampler_spec *spec, wf_annealed_sampler **out)
{
    const wf_meta *meta = wf_conditioning_meta(starts);
    int from = is_whole(spec) ? -1 : wf_conditioning_level(starts);
    WF_CHECK(!spec->known || (wf_conditioning_level(starts) == meta->levels && spec->to == meta->levels), WF_USAGE,
             "inpainting needs pictures of level %d, found level %d", meta->levels, wf_conditioning_level(starts));
    WF_CHECK(!spec->measured || (!spec->known && !wf_conditioning_offset(starts) && wf_conditioning_level(starts) > 0 &&
                                 spec->to == meta->levels),
             WF_USAGE, "measurements need pictures of level 1 to %d, found level %d", meta->levels,
             wf_conditioning_level(starts));
    WF_CHECK(spec->to > from && spec->to <= meta->levels && spec->chains > 0, WF_USAGE,
             "levels %d to %d of %d with %d chains", from + 1, spec->to, meta->levels, spec->chains);
    for (int l = from + 1; l <= spec->to; l++)
        WF_TRY(check_gradients(model, l + wf_conditioning_offset(starts)));
    wf_annealed_sampler *a = calloc(1, sizeof *a);
    WF_CHECK(a, WF_AGAIN, "chains: out of memory");
    *a = (wf_annealed_sampler){model, backend, *spec, *meta, wf_conditioning_offset(starts), NULL, {{0}}, 0, 0};
    for (int l = from + 1; l <= spec->to; l++) {
        if (!(spec->joint || is_whole(spec)) || l == from + 1)
            a->steps[a->step_count++].first = l;
        a->steps[a->step_count - 1].last = l;
    }
    *out = a;
    return wf_pyramid_create(backend, meta, wf_annealed_sampler_rows(a) * spec->chains, &a->pyramid);
}

static void close_step(step *s)
{
    wf_anneal_destroy(s->anneal);
    free(s->variance);
    s->anneal = NULL;
    s->variance = NULL;
}

void wf_annealed_sampler_destroy(wf_annealed_sampler *a)
{
    if (!a)
        return;
    for (int i = 0; i < a->step_count; i++)
        close_step(&a->steps[i]);
    wf_pyramid_destroy(a->pyramid);
    free(a);
}

/* Reads a step's weights when it first runs, and again for more chains than before: records of a stream may grow. */
static int open_step(wf_annealed_sampler *a, step *s, int n)
{
    wf_level_shape shape = wf_meta_level(&a->meta, s->first);
    wf_anneal_spec spec = {.first = s->first + a->offset, .last = s->last + a->offset, .H = shape.H, .W = shape.W};
    spec.known = a->spec.known;
    spec.measured = a->spec.measured;
    spec.data = a->spec.data || spec.known;
    memcpy(spec.temperature, a->spec.temperature, sizeof spec.temperature);
    if (s->anneal && n <= s->room)
        return WF_OK;
    close_step(s);
    s->room = n;
    WF_TRY(wf_anneal_create(a->model, &spec, a->backend, n, &s->anneal));
    if (!spec.measured || !a->spec.expect)
        return WF_OK;
    s->variance = malloc(wf_anneal_size(s->anneal) * sizeof *s->variance);
    WF_CHECK(s->variance, WF_AGAIN, "chains: out of memory");
    return wf_anneal_expect(s->anneal, a->spec.options.nuts.seed, s->variance);
}

enum { SETTINGS = 1024 };

/* Describes what the draws depend on, as wf_markov_chains_options has it: weights, temperatures, the pictures that the
 * chains are conditioned on, and options. */
static int describe_run(const wf_annealed_sampler *a, const step *s, int n, const float *low, char out[SETTINGS])
{
    static const char *const masses[] = {"unit", "diagonal"};
    const wf_markov_chains_options *o = &a->spec.options;
    char hash[20], known[20] = "none", measured[64] = "", pictures[20] = "none", temperatures[512] = "";
    WF_TRY(wf_model_hash(a->model, s->first + a->offset, s->last + a->offset, hash));
    if (a->spec.known)
        snprintf(known, sizeof known, "%016llx", (unsigned long long)wf_observed_hash(a->spec.known));
    if (a->spec.measured)
        snprintf(measured, sizeof measured, "the measurement's hash=%016llx\n",
                 (unsigned long long)wf_measured_hash(a->spec.measured));
    if (low)
        snprintf(pictures, sizeof pictures, "%016llx",
                 (unsigned long long)XXH3_64bits(low, (size_t)n * condition_size(a, s) * sizeof *low));
    for (int L = s->first; L <= s->last; L++) {
        size_t used = strlen(temperatures);
        wf_snprintf(temperatures + used, sizeof temperatures - used, "%s%.10g", used ? "," : "",
                    a->spec.temperature[L + a->offset]);
    }
    wf_snprintf(out, SETTINGS,
                "the weights' hash=%s\nthe levels=%d to %d\n-T=%s\n--data=%s\nthe mask's hash=%s\n%sthe "
                "hash of the pictures=%s\nthe chains=%d\n--adapt=%llu\n--draws=%lld\n--thin=%lld\n"
                "--target-accept=%.10g\n--max-depth=%d\n--mass=%s\n--seed=%llu\n",
                hash, s->first + a->offset, s->last + a->offset, temperatures, a->spec.data ? "yes" : "no", known,
                measured, pictures, n, (unsigned long long)o->nuts.adapt, (long long)o->draws, (long long)o->thin,
                o->nuts.target, o->nuts.max_depth, a->spec.expect ? "expected" : masses[o->nuts.diagonal_mass],
                (unsigned long long)o->nuts.seed);
    return WF_OK;
}

/* -- running ------------------------------------------------------------------------------------------------------ */

/* Runs the n chains of one step, each conditioned on its picture in low (NULL: on none). The sink receives their
 * draws. */
static int run_step(wf_annealed_sampler *a, step *s, int n, const float *low, const uint64_t *id, wf_record_sink *sink,
                    void *user)
{
    char state[WF_PATH], settings[SETTINGS];
    wf_markov_chains_options o = a->spec.options;
    wf_markov_chains_report report;
    int length = snprintf(state, sizeof state, "%s/level-%02d.batch-%06d.safetensors",
                          a->spec.state ? a->spec.state : "", s->last + a->offset, a->batches);
    WF_CHECK(length < WF_PATH, WF_USAGE, "%s: the name is too long", a->spec.state);
    o.level = s->last;
    o.stats_level = s->last + a->offset;
    o.nuts.seed += (uint64_t)(s->first + a->offset + 1) << 48; /* different random numbers at every level */
    o.thin = s->last == a->spec.to ? o.thin : 0;
    /* chains without a picture draw from one density; above the first step every chain has a picture of its own */
    o.group = !low ? n : s == a->steps ? a->spec.chains : 1;
    o.state = a->spec.state ? state : NULL;
    o.settings = settings;
    WF_TRY(describe_run(a, s, n, low, settings));
    /* the text rounds temperatures */
    o.run =
        XXH3_64bits_withSeed(a->spec.temperature, sizeof a->spec.temperature, XXH3_64bits(settings, strlen(settings)));
    WF_TRY(open_step(a, s, n));
    o.variance = s->variance;
    o.probe = s->variance && !a->spec.data; /* of coefficients, the prior's curvature at a place is not known */
    WF_TRY(wf_anneal_condition(s->anneal, n, low));
    WF_TRY(wf_markov_chains_run(s->anneal, &o, n, id, sink, user, &report));
    wf_markov_chains_merge(&s->report, &report);
    return WF_OK;
}

/* Copies a record's details, or I_0, to *out. */
typedef struct details {
    float *out;
    size_t each;
} details;

static int copy_details(void *user, const wf_record *r)
{
    const details *d = user;
    memcpy(d->out, r->detail ? r->detail : r->low, (size_t)r->N * d->each * sizeof *d->out);
    return WF_OK;
}

/* A wf_coarse_to_fine_draw: runs one level and writes the last draw of every chain. */
static int draw_level(void *user, int level, int n, const float *low, const uint64_t *id, float *out)
{
    wf_annealed_sampler *a = user;
    wf_level_shape s = wf_meta_level(&a->meta, level);
    details d = {out, wf_count3(s.H, s.W, s.K)};
    return run_step(a, &a->steps[level - a->steps[0].first], n, low, id, copy_details, &d);
}

/* Copies each picture once for each of its chains, and names the chains. */
static int repeat_pictures(const wf_annealed_sampler *a, int N, const float *picture, const uint64_t *index,
                           float *copies, uint64_t *id)
{
    int chains = a->spec.chains;
    size_t each = condition_size(a, a->steps);
    for (int c = 0; c < N * chains; c++) {
        uint64_t of = index[c / chains];
        WF_CHECK(of < ((uint64_t)1 << 40), WF_DATA, "picture %llu: its index must be below 2^40",
                 (unsigned long long)of);
        id[c] = of * (uint64_t)chains + (uint64_t)(c % chains);
        if (picture)
            memcpy(copies + (size_t)c * each, picture + (size_t)(c / chains) * each, each * sizeof *copies);
    }
    return WF_OK;
}

int wf_annealed_sampler_run(wf_annealed_sampler *a, int N, const float *picture, const uint64_t *index,
                            wf_record_sink *sink, void *user)
{
    int n = N * a->spec.chains, status;
    step *first = a->steps, *last = first + a->step_count - 1; /* all but the last are of one level */
    uint64_t *id = malloc((size_t)n * sizeof *id);
    float *copies = malloc((size_t)n * condition_size(a, first) * sizeof *copies), *made = NULL;
    const float *low = first->first || is_whole(&a->spec) ? copies : NULL;
    if (!id || !copies) {
        status = wf_fail(WF_AGAIN, "chains: out of memory for %d pictures", n);
        goto out;
    }
    WF_GO(repeat_pictures(a, N, picture, index, copies, id));
    if (last > first) {
        WF_GO(wf_coarse_to_fine_picture(a->pyramid, &a->meta, first->first - 1, last->first - 1, n, low, id, draw_level,
                                        a, &made));
        low = made;
    }
    WF_GO(run_step(a, last, n, low, id, sink, user));
    a->batches++;
out:
    free(id);
    free(copies);
    free(made);
    return status;
}

const wf_markov_chains_report *wf_annealed_sampler_report(const wf_annealed_sampler *a, int i, int *first, int *last)
{
    if (i >= a->step_count || !a->steps[i].report.chains)
        return NULL;
    *first = a->steps[i].first + a->offset;
    *last = a->steps[i].last + a->offset;
    return &a->steps[i].report;
}
