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
