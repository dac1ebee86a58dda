/* test_precision.c - which levels get bf16 or fp32 without a measurement, and where a measured choice is kept */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/flow/flow_text.h"
#include "../lib/model/precision.h"
#include "scratch.h"

static void expect_round(const char *text, const char *want)
{
    char out[64];
    cr_expect(wf_flow_text_round(text, out, sizeof out));
    cr_expect_str_eq(out, want);
}

Test(precision, a_round_of_a_chain)
{
    expect_round("16*(actnorm, conv1x1, affine:width=128), actnorm", "(actnorm, conv1x1, affine:width=128), actnorm");
    expect_round("3 * (2*actnorm,\n  squeeze)", "(actnorm, squeeze)");
    expect_round("actnorm", "actnorm");
    char out[8];
    cr_expect(wf_flow_text_round("8*actnorm", out, sizeof out));
    cr_expect(!wf_flow_text_round("8*actnorms", out, sizeof out));
}

static const char plain[] = "2*(actnorm, conv1x1, affine:width=16:blocks=1), actnorm";

static wf_level_spec spec_of(const char *chain, int level)
{
    wf_meta meta = {.wavelet = "haar", .levels = 4, .top = 4, .H = 16, .W = 16, .C = 3, .bits = 8};
    return wf_level_spec_for(&meta, level, chain, NULL, WF_FP32);
}

/* The choice for 4 pictures of a level, with any backend. */
static wf_precision_choice choose(wf_backend *backend, const char *chain, int level)
{
    wf_level_spec spec = spec_of(chain, level);
    wf_precision_choice choice;
    int side = level ? 1 << (level - 1) : 1;
    cr_assert_eq(wf_precision_choose(backend, &spec, 4, side, side, WF_MEMORY_AUTO, &choice), 0, "%s", wf_error());
    return choice;
}

static void expect_unmeasured(wf_backend *backend, const char *chain, int level, const char *why)
{
    wf_precision_choice c = choose(backend, chain, level);
    cr_expect_eq(c.precision, WF_FP32);
    cr_expect(c.fp32 == 0 && c.bf16 == 0);
    cr_expect(strstr(c.why, why), "level %d of '%s': %s, want %s", level, chain, c.why, why);
}

/* A CPU that claims to have bf16: without it, maps are computed in fp32. */
static wf_backend *cpu(bool bf16)
{
    wf_backend *b;
    cr_assert_eq(wf_backend_open("cpu", 1, &b), 0, "%s", wf_error());
    b->bf16 = bf16;
    return b;
}

Test(precision, not_measured)
{
    wf_backend *ref, *old = cpu(false), *new = cpu(true);
    setenv("XDG_CACHE_HOME", "/dev/null", 1);
    cr_assert_eq(wf_backend_open("ref", 1, &ref), 0);
    expect_unmeasured(ref, plain, 4, "not the CPU");
    expect_unmeasured(old, plain, 4, "no instructions");
    expect_unmeasured(new, plain, 2, "four pixels");
    expect_unmeasured(new, plain, 0, "four pixels");
    expect_unmeasured(new, "actnorm, rqspline:width=16, actnorm", 4, "not compared");
    expect_unmeasured(new, "actnorm, affine:net=glow, actnorm", 4, "not compared");
    wf_level_spec spec = spec_of("2*(actnorm", 4);
    wf_precision_choice choice;
    cr_expect_eq(wf_precision_choose(new, &spec, 4, 8, 8, WF_MEMORY_AUTO, &choice), WF_USAGE);
    new->close(new);
    old->close(old);
    ref->close(ref);
}

/* Two measurements never give the same rates to the last bit. */
Test(precision, kept_in_the_process)
{
    wf_backend *b = cpu(true);
    setenv("XDG_CACHE_HOME", "/dev/null/folder", 1);
    wf_precision_choice first = choose(b, plain, 4), again = choose(b, plain, 4), other = choose(b, plain, 3);
    cr_expect(first.fp32 > 0 && first.bf16 > 0 && other.fp32 > 0);
    cr_expect(first.fp32 == again.fp32 && first.bf16 == again.bf16);
    cr_expect(first.fp32 != other.fp32);
    cr_expect(first.precision == WF_FP32 || first.bf16 > 1.5 * first.fp32, "%s", first.why);
    cr_expect(strstr(first.why, "bf16"));
    b->close(b);
}

static char seen_key[8192];
static wf_precision_choice seen;
static int seen_count;
static void see(void *user, const char *key, const wf_precision_choice *choice)
{
    (void)user;
    snprintf(seen_key, sizeof seen_key, "%s", key);
    seen = *choice;
    seen_count++;
}

/* The file decides, also against a faster precision; its first line with the key counts, and lines of other programs do
 * not. */
Test(precision, kept_in_a_file, .init = scratch_make, .fini = scratch_remove)
{
    wf_backend *b = cpu(true);
    char text[8400];
    const char *path = scratch_path("wavelet-flow.precisions");
    setenv("XDG_CACHE_HOME", scratch, 1);
    wf_precision_choice first = choose(b, plain, 4);
    wf_precision_list(see, NULL);
    cr_assert_eq(seen_count, 1);
    cr_expect_eq(seen.precision, first.precision);
    cr_expect(strstr(seen_key, b->device) && strstr(seen_key, "affine:width=16:blocks=1"));

    wf_precision other = first.precision == WF_BF16 ? WF_FP32 : WF_BF16;
    char *chain = strstr(seen_key, "width=16");
    chain[6] = '2'; /* another chain, so that the process does not know it */
    int n = snprintf(text, sizeof text, "nonsense\n%s\tbf17\t1\t2\n%s\t%s\t100\t200\n%s\t%s\t300\t400\n", seen_key,
                     seen_key, wf_precision_names[other], seen_key, wf_precision_names[first.precision]);
    scratch_write(path, text, (size_t)n);
    wf_precision_choice c = choose(b, "2*(actnorm, conv1x1, affine:width=26:blocks=1), actnorm", 4);
    cr_expect_eq(c.precision, other, "%s", c.why);
    cr_expect(c.fp32 == 100 && c.bf16 == 200);
    b->close(b);
}
