/* test_ascent.c - annealed draws over all levels: the same in batches of any size, and thinned */
#include "../lib/mcmc/annealed_sampler.h"
#include "anneal.h"

enum { LEVELS = 2, SIDE = 4, PICTURES = 4, DRAWS = 7, DETAILS = SIDE / 2 * SIDE / 2 * 9 };

typedef struct drawn {
    float detail[DRAWS * DETAILS];
    int count;
} drawn;

static int keep(void *user, const wf_record *r)
{
    drawn *d = user;
    cr_assert_leq(d->count + r->N, DRAWS);
    memcpy(d->detail + d->count * DETAILS, r->detail, (size_t)r->N * DETAILS * sizeof *r->detail);
    d->count += (int)r->N;
    return WF_OK;
}

/* Draws pictures 0 .. 3: `first` in the first batch, the others in larger ones. */
static void draw(const wf_model *model, wf_backend *b, bool joint, int first, drawn *out)
{
    wf_conditioning *starts;
    wf_annealed_sampler *a;
    const uint64_t index[PICTURES] = {0, 1, 2, 3};
    wf_annealed_sampler_spec spec = {.to = LEVELS, .temperature = {0.9, 0.9, 0.9}, .joint = joint, .chains = 1};
    spec.options = (wf_markov_chains_options){.nuts = wf_nuts_defaults, .draws = 5};
    spec.options.nuts.adapt = 5;
    cr_assert_eq(wf_conditioning_none(model, PICTURES, 0, &starts), 0, "%s", wf_error());
    cr_assert_eq(wf_annealed_sampler_create(model, starts, b, &spec, &a), 0, "%s", wf_error());
    out->count = 0;
    for (int at = 0, n = first; at < PICTURES; at += n, n = PICTURES - at)
        cr_assert_eq(wf_annealed_sampler_run(a, n, NULL, index + at, keep, out), 0, "%s", wf_error());
    cr_assert_eq(out->count, PICTURES);
    wf_annealed_sampler_destroy(a);
    wf_conditioning_destroy(starts);
}

static wf_model shaken_model(void)
{
    shaking by = {0.15, 0.15};
    wf_model model = make_model("model", LEVELS, SIDE, 3);
    for (int level = 0; level <= LEVELS; level++)
        save_level(&model, level, "2*(actnorm, conv1x1, affine:width=6:blocks=1), actnorm", shake, &by);
    return model;
}

Test(ascent, batches_may_grow)
{
    scratch_make();
    wf_model model = shaken_model();
    wf_backend *b = open_backend("cpu", 1);
    for (int joint = 0; joint < 2; joint++) {
        static drawn whole, parts;
        draw(&model, b, joint, PICTURES, &whole);
        draw(&model, b, joint, 1, &parts);
        cr_expect_eq(memcmp(whole.detail, parts.detail, sizeof whole.detail), 0, "joint %d", joint);
    }
    b->close(b);
    wf_model_clear(&model);
    scratch_remove();
}

/* Draws one picture and keeps every `thin`-th of the highest level's DRAWS draws; 0: the last alone. */
static void draw_thinned(const wf_model *model, wf_backend *b, int thin, drawn *out)
{
    wf_conditioning *starts;
    wf_annealed_sampler *a;
    const uint64_t index = 0;
    wf_annealed_sampler_spec spec = {.to = LEVELS, .temperature = {0.9, 0.9, 0.9}, .chains = 1};
    spec.options = (wf_markov_chains_options){.nuts = wf_nuts_defaults, .draws = DRAWS, .thin = thin};
    spec.options.nuts.adapt = 5;
    cr_assert_eq(wf_conditioning_none(model, 1, 0, &starts), 0, "%s", wf_error());
    cr_assert_eq(wf_annealed_sampler_create(model, starts, b, &spec, &a), 0, "%s", wf_error());
    out->count = 0;
    cr_assert_eq(wf_annealed_sampler_run(a, 1, NULL, &index, keep, out), 0, "%s", wf_error());
    wf_annealed_sampler_destroy(a);
    wf_conditioning_destroy(starts);
}

/* Kept draws are counted back from the last one, and handed out in the order of the chain. */
Test(ascent, thinned_draws_are_draws_of_the_chain)
{
    static drawn all, some;
    scratch_make();
    wf_model model = shaken_model();
    wf_backend *b = open_backend("cpu", 1);
    draw_thinned(&model, b, 1, &all);
    cr_assert_eq(all.count, DRAWS);
    cr_expect_neq(memcmp(all.detail, all.detail + (DRAWS - 1) * DETAILS, DETAILS * sizeof *all.detail), 0);
    for (int thin = 0; thin <= DRAWS + 1; thin++) {
        draw_thinned(&model, b, thin, &some);
        cr_assert_eq(some.count, thin ? (DRAWS + thin - 1) / thin : 1, "thin %d: %d draws", thin, some.count);
        for (int k = 0; k < some.count; k++) {
            int of_all = DRAWS - 1 - thin * (some.count - 1 - k);
            cr_expect_eq(memcmp(some.detail + k * DETAILS, all.detail + of_all * DETAILS, DETAILS * sizeof *all.detail),
                         0, "thin %d: draw %d is not draw %d of the chain", thin, k, of_all);
        }
    }
    b->close(b);
    wf_model_clear(&model);
    scratch_remove();
}

enum { CHAINS = 150, BASE = 3 }; /* more than twice the rows of a batch; numbers of a picture at the base */

/* Asks a run to stop when the watch is called for the `after`-th time, and collects the draws. */
typedef struct stopped {
    volatile sig_atomic_t stop;
    int64_t calls, after;
    float low[CHAINS * BASE];
    int count;
} stopped;

static void count_call(void *user, int level, int64_t count)
{
    stopped *s = user;
    (void)level;
    (void)count;
    s->stop = s->stop || ++s->calls == s->after;
}

static int keep_low(void *user, const wf_record *r)
{
    stopped *s = user;
    cr_assert_leq(s->count + r->N, CHAINS);
    memcpy(s->low + s->count * BASE, r->low, (size_t)r->N * BASE * sizeof *r->low);
    s->count += (int)r->N;
    return WF_OK;
}

/* Runs chains of the base, or goes on with those in the file `state`. */
static int run_chains(wf_anneal *a, int64_t after, const char *state, stopped *out)
{
    uint64_t id[CHAINS];
    wf_markov_chains_report report = {0};
    wf_markov_chains_options o = {.nuts = wf_nuts_defaults, .draws = 2, .group = 1, .state = state, .save_every = 1e9};
    *out = (stopped){.after = after};
    o.nuts.adapt = 2;
    o.watch = (wf_watch){count_call, out};
    o.stop = &out->stop;
    for (int i = 0; i < CHAINS; i++)
        id[i] = (uint64_t)i;
    return wf_markov_chains_run(a, &o, CHAINS, id, keep_low, out, &report);
}

/* A run stops between two batches of a gradient too, and goes on as if it had not. */
Test(ascent, stops_inside_a_gradient)
{
    static stopped whole, part;
    scratch_make();
    wf_model model = shaken_model();
    wf_backend *b = open_backend("cpu", 1);
    wf_anneal *a = anneal(&model, &(wf_anneal_spec){.H = 1, .W = 1, .temperature = {0.9}}, b, CHAINS);
    cr_assert_geq(CHAINS, 2 * wf_anneal_rows(a));
    cr_assert_eq(run_chains(a, 2, NULL, &part), WF_AGAIN);
    cr_expect_eq((int)wf_anneal_computed(a), wf_anneal_rows(a), "%d rows", (int)wf_anneal_computed(a));

    cr_assert_eq(run_chains(a, -1, NULL, &whole), WF_OK, "%s", wf_error());
    cr_assert_eq(whole.count, CHAINS);
    int stops = 0;
    while (run_chains(a, 300, scratch_path("state"), &part) == WF_AGAIN && stops < 100)
        stops++;
    cr_expect_gt(stops, 1);
    cr_expect_eq(part.count, CHAINS, "%s", wf_error());
    cr_expect_eq(memcmp(whole.low, part.low, sizeof whole.low), 0, "after %d stops", stops);
    wf_anneal_destroy(a);
    b->close(b);
    wf_model_clear(&model);
    scratch_remove();
}
