/* test_presets.c - the published configurations, level by level (arXiv 2010.13821 and its code) */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../lib/model/level.h"
#include "../lib/model/presets.h"

typedef struct published {
    int steps, width, patch; /* patch: side in coefficients, 0: whole pictures */
} published;

/* Details of level l have 2^(l-1) rows. */
static const published imagenet64[] = {{8, 128, 0},  {8, 128, 0},  {16, 128, 0}, {16, 128, 0},
                                       {16, 128, 0}, {16, 256, 8}, {16, 256, 16}};
/* Crops of 1/1 of a level at levels 0 to 5, then of 1/2, 1/2, 1/4, 1/8 and 1/16 of its side. */
static const published faces1024[] = {{8, 64, 0},    {8, 64, 0},    {16, 64, 0},   {16, 128, 0},
                                      {16, 128, 0},  {16, 128, 0},  {16, 128, 16}, {16, 128, 32},
                                      {16, 128, 32}, {16, 128, 32}, {16, 128, 32}};

static void check(const wf_meta *meta, const published *want)
{
    for (int level = 0; level <= meta->levels; level++) {
        char have[WF_PRESET_CHAIN], text[WF_PRESET_CHAIN];
        snprintf(text, sizeof text, "%d*(actnorm, conv1x1, affine:width=%d:blocks=3), actnorm", want[level].steps,
                 want[level].width);
        cr_assert(wf_preset_chain("official", meta, level, have));
        cr_expect_str_eq(have, text, "%d pixels, level %d: %s", meta->H, level, have);
        int patch = wf_preset_patch(meta, level);
        cr_expect_eq(patch, want[level].patch, "%d pixels, level %d: patch %d, want %d", meta->H, level, patch,
                     want[level].patch);
    }
}

Test(presets, imagenet64)
{
    const wf_meta meta = {.wavelet = "haar", .levels = 6, .top = 6, .H = 64, .W = 64, .C = 3, .bits = 8};
    check(&meta, imagenet64);
}

Test(presets, faces1024)
{
    const wf_meta meta = {.wavelet = "haar", .levels = 10, .top = 10, .H = 1024, .W = 1024, .C = 3, .bits = 8};
    check(&meta, faces1024);
}

/* "best" has one condition net for all steps, and nets of the official width. Other names are not presets. */
Test(presets, names)
{
    const wf_meta meta = {.wavelet = "haar", .levels = 6, .top = 6, .H = 64, .W = 64, .C = 3, .bits = 8};
    char chain[WF_PRESET_CHAIN];
    for (int level = 4; level <= 5; level++) {
        int width = imagenet64[level].width;
        char want[WF_PRESET_CHAIN];
        snprintf(want, sizeof want,
                 "cond:channels=16:width=%d:blocks=2, 8*(actnorm, conv1x1, affine:width=%d:blocks=1), actnorm", width,
                 width);
        cr_assert(wf_preset_chain("best", &meta, level, chain));
        cr_expect_str_eq(chain, want);
    }
    cr_assert(wf_preset_chain("exact", &meta, 5, chain));
    cr_expect(wf_chain_is_discrete(chain), "%s", chain);
    cr_expect_not(wf_preset_chain("actnorm", &meta, 1, chain));
    cr_expect_not(wf_preset_chain("", &meta, 1, chain));
}

/* Only pictures are cropped. */
Test(presets, sounds_and_volumes_are_trained_whole)
{
    const wf_meta sound = {.levels = 10, .top = 10, .H = 1, .W = 1024, .C = 1, .bits = 8, .signal = WF_SOUND};
    const wf_meta volume = {.levels = 6, .D = 64, .H = 4096, .W = 64, .C = 1, .bits = 8, .signal = WF_VOLUME};
    cr_expect_eq(wf_preset_patch(&sound, 10), 0);
    cr_expect_eq(wf_preset_patch(&volume, 6), 0);
}

/* Parameters of the chain that is chosen for a level. */
static size_t parameters_of(wf_backend *b, const wf_meta *meta, int level, const wf_preset_choice *choice)
{
    wf_flow *flow;
    wf_level_spec spec = wf_level_spec_for(meta, level, choice->chain, NULL, WF_FP32);
    cr_assert_eq(wf_level_flow(&spec, b, 1, 0, 0, WF_MEMORY_NONE, &flow), 0, "%s: %s", choice->chain, wf_error());
    size_t n = wf_flow_size(flow);
    wf_flow_destroy(flow);
    return n;
}

/* A folder has 24 bytes a parameter: weights and average, and weights, average and two moments in the state. Minutes 0
 * are no limit. */
Test(presets, folder_of_the_default_is_under_60_megabytes)
{
    const wf_meta meta = {.wavelet = "haar", .levels = 6, .top = 6, .H = 64, .W = 64, .C = 3, .bits = 8};
    const double cores[] = {1.0 / 7, 1, 2, WF_PRESET_DEVICE};
    wf_backend *b;
    cr_assert_eq(wf_backend_open("cpu", 1, &b), 0);
    for (size_t k = 0; k < sizeof cores / sizeof *cores; k++) {
        size_t before = 0;
        for (double minutes = 0.01; minutes; minutes = minutes < 1e5 ? minutes * 3 : 0) {
            size_t sum = 0;
            for (int level = 0; level <= 6; level++) {
                wf_preset_choice choice;
                wf_preset_fit(&meta, level, minutes, cores[k], &choice);
                sum += parameters_of(b, &meta, level, &choice);
            }
            cr_expect_lt(24 * sum, 60000000, "%g minutes of %g cores: %zu parameters", minutes, cores[k], sum);
            cr_expect_geq(sum, before, "%g minutes of %g cores have smaller nets than fewer", minutes, cores[k]);
            before = sum;
        }
    }
    b->close(b);
}

/* The figures in pipelines/README.md are of these choices: minutes of one core, pictures a step. */
Test(presets, choices_that_were_measured)
{
    static const struct {
        int levels, level;
        double minutes;
        int steps, width, batch;
    } measured[] = {
        {5, 5, 2, 12, 32, 4},    {5, 4, 1.2, 12, 32, 8},  {5, 3, 0.56, 8, 32, 16}, {5, 2, 0.12, 6, 16, 32},
        {5, 5, 10, 12, 48, 4},   {6, 6, 2, 12, 32, 2},    {6, 5, 1.2, 12, 32, 4},  {6, 4, 0.56, 12, 32, 8},
        {6, 3, 0.12, 8, 32, 16}, {6, 2, 0.06, 6, 16, 32}, {6, 1, 0.04, 6, 16, 64}, {6, 0, 0.02, 6, 16, 64},
    };
    for (size_t i = 0; i < sizeof measured / sizeof *measured; i++) {
        int side = 1 << measured[i].levels;
        const wf_meta meta = {.wavelet = "haar",
                              .levels = measured[i].levels,
                              .top = measured[i].levels,
                              .H = side,
                              .W = side,
                              .C = 3,
                              .bits = 8};
        wf_preset_choice choice;
        char want[80];
        bool small = measured[i].level < 3;
        wf_preset_fit(&meta, measured[i].level, measured[i].minutes, 1, &choice);
        snprintf(want, sizeof want, "%d*(actnorm, conv1x1, affine:width=%d:blocks=1), actnorm",
                 measured[i].steps - !small, measured[i].width);
        cr_expect_str_eq(choice.optimizer, small ? "adamax" : "muon");
        cr_expect(strstr(choice.chain, want), "%dx%d, level %d: %s, want %s", side, side, measured[i].level,
                  choice.chain, want);
        cr_expect_eq(choice.batch, measured[i].batch, "%dx%d, level %d: batch %d", side, side, measured[i].level,
                     choice.batch);
    }
}

/* A base of one channel has couplings for its size, by every name and budget. */
Test(presets, grey_bases)
{
    const wf_meta pixel = {.wavelet = "haar", .levels = 6, .top = 6, .H = 64, .W = 64, .C = 1, .bits = 8};
    const wf_meta field = {.wavelet = "haar", .levels = 2, .top = 2, .H = 28, .W = 28, .C = 1, .bits = 8};
    const char *const names[] = {"official", "best"};
    for (int i = 0; i < 2; i++) {
        wf_preset_choice choice;
        cr_assert(wf_preset_chain(names[i], &pixel, 0, choice.chain));
        cr_expect(strstr(choice.chain, "rqspline:mask=checker:swap"), "%s", choice.chain);
        cr_assert(wf_preset_chain(names[i], &field, 0, choice.chain));
        cr_expect(strstr(choice.chain, "affine:width=128:mask=checker, affine:width=128:mask=checker:swap"), "%s",
                  choice.chain);
        cr_assert(wf_preset_chain(names[i], &pixel, 1, choice.chain));
        cr_expect(strstr(choice.chain, "conv1x1"), "%s", choice.chain);
    }
}
