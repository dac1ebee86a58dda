/* test_ascent.c - what is drawn does not depend on the batches that it is drawn in */
#include "../lib/mcmc/annealed_sampler.h"
#include "anneal.h"

enum { LEVELS = 2, SIDE = 4, PICTURES = 4, DETAILS = SIDE / 2 * SIDE / 2 * 9 };

typedef struct drawn {
    float detail[PICTURES * DETAILS];
    int count;
} drawn;

static int keep(void *user, const wf_record *r)
{
    drawn *d = user;
    memcpy(d->detail + d->count * DETAILS, r->detail, (size_t)r->N * DETAILS * sizeof *r->detail);
    d->count += (int)r->N;
    return WF_OK;
}

/* Draws pictures 0 .. 3, so many at a time; further batches are larger. */
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

Test(ascent, batches_may_grow)
{
    shaking by = {0.15, 0.15};
    scratch_make();
    wf_model model = make_model("model", LEVELS, SIDE, 3);
    for (int level = 0; level <= LEVELS; level++)
        save_level(&model, level, "2*(actnorm, conv1x1, affine:width=6:blocks=1), actnorm", shake, &by);
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
