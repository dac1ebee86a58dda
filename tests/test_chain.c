/* test_chain.c - the grammar of chains, and chains in files */
#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "../lib/flow/flow.h"

static wf_backend *ref(void)
{
    static wf_backend *b;
    if (!b)
        cr_assert_eq(wf_backend_open("ref", 1, &b), 0, "%s", wf_error());
    return b;
}

static void expect_error(const char *chain, const char *place)
{
    wf_flow *flow;
    wf_flow_spec spec = {1, 2, 2, 9, 3, 3, WF_FP32, WF_MEMORY_NONE, WF_PICTURE, 0, 0, 0};
    cr_expect_eq(wf_flow_create(ref(), chain, &spec, &flow), WF_USAGE, "'%s' was accepted", chain);
    cr_expect(strstr(wf_error(), place), "'%s': '%s' does not point at '%s'", chain, wf_error(), place);
}

Test(chain, errors_point_at_the_character)
{
    expect_error("", "character 1,");
    expect_error("actnorm,", "character 9,");
    expect_error("actnorm conv1x1", "character 9,");
    expect_error("2*(actnorm, foo), actnorm", "character 13,");
    expect_error("2*(actnorm", "character 11,");
    expect_error("actnorm)", "character 8,");
    expect_error("0*actnorm", "character 1,");
    expect_error("99999*actnorm", "character 1,");
    expect_error("affine:width=0", "character 8,");
    expect_error("affine:width=12x", "character 8,");
    expect_error("affine:wide=3", "character 8,");
    expect_error("affine:width=", "character 14,");
    expect_error("affine:scale=cosh", "one of tanh, sigmoid, exp");
    expect_error("affine:scale=tan", "character 8,");
    expect_error("affine:scale=1", "character 8,");
    expect_error("affine:mask=halves:swap=2", "character 20,");
    expect_error("actnorm:x", "character 9,");
    expect_error("affine:net=glo", "at character 8,");
    expect_error("affine:net=conv:width=8", "net: conv has no width");
    expect_error("affine:net=glow:blocks=2", "net: glow has no blocks");
    expect_error("((((((((((((((((((actnorm))))))))))))))))))", "deeper");
    expect_error("64*(64*(2*actnorm))", "more than 4096 words");
}

static void chain_file(const char *text, const char *want)
{
    char path[] = "/tmp/chain-XXXXXX", out[64];
    int descriptor = mkstemp(path);
    cr_assert_geq(descriptor, 0);
    cr_assert_eq(write(descriptor, text, strlen(text)), (ssize_t)strlen(text));
    close(descriptor);
    int status = wf_flow_text_read(path, out, sizeof out);
    unlink(path);
    cr_assert_eq(status, want ? 0 : WF_USAGE, "%s", wf_error());
    if (want)
        cr_expect_str_eq(out, want);
}

Test(chain, files_have_comments_and_lines)
{
    chain_file("# one line, with words\n2*(actnorm,\n\tconv1x1), # a step\n\nactnorm\n",
               "2*(actnorm, conv1x1), actnorm");
    chain_file("actnorm", "actnorm");
    chain_file("# nothing\n", NULL);
    chain_file("actnorm, actnorm, actnorm, actnorm, actnorm, actnorm, actnorm, a", NULL); /* 64 characters */
    chain_file("actnorm, actnorm, actnorm, actnorm, actnorm, actnorm, actnorm,a",
               "actnorm, actnorm, actnorm, actnorm, actnorm, actnorm, actnorm,a");
    char out[64];
    cr_expect_eq(wf_flow_text_read("/nowhere/chain", out, sizeof out), WF_NOINPUT);
}

Test(chain, repeats_are_expanded)
{
    wf_flow_text c;
    cr_assert_eq(wf_flow_text_parse(" 2 * ( actnorm , 3*conv1x1:lu ) , affine:width=7 ", &c), 0, "%s", wf_error());
    cr_assert_eq(c.count, 9);
    cr_expect_str_eq(c.words[0].name, "actnorm");
    cr_expect_str_eq(c.words[4].name, "actnorm");
    cr_expect_str_eq(c.words[7].option[0].key, "lu");
    cr_expect_str_eq(c.words[7].option[0].value, "1");
    cr_expect_str_eq(c.words[8].option[0].value, "7");
    wf_flow_text_clear(&c);
}

/* Files are read by a flow without pixels, which must have the parameters of one that runs. */
static void expect_same_parameters(const char *chain, int C)
{
    wf_flow *runs, *lists;
    wf_flow_spec spec = {1, 8, 8, 9, C, 3, WF_FP32, WF_MEMORY_NONE, WF_PICTURE, 0, 0, 0};
    char name[64], listed_name[64];
    const wf_param *p, *listed;
    size_t where, listed_where;
    int i = 0;
    cr_assert_eq(wf_flow_create(ref(), chain, &spec, &runs), 0, "%s", wf_error());
    spec.H = spec.W = 0;
    cr_assert_eq(wf_flow_create(ref(), chain, &spec, &lists), 0, "%s", wf_error());
    for (; wf_flow_param(runs, i, name, &p, &where); i++) {
        cr_assert(wf_flow_param(lists, i, listed_name, &listed, &listed_where), "%s: %s is not listed", chain, name);
        cr_expect_str_eq(listed_name, name);
        cr_expect(listed->rank == p->rank && !memcmp(listed->shape, p->shape, (size_t)p->rank * sizeof *p->shape),
                  "%s, %d conditions: %s is listed with %zu values, and has %zu", chain, C, name, listed->count,
                  p->count);
        cr_expect_eq(listed_where, where);
    }
    cr_expect_gt(i, 0);
    cr_expect(!wf_flow_param(lists, i, listed_name, &listed, &listed_where), "%s: %s is too much", chain, listed_name);
    wf_flow_destroy(runs);
    wf_flow_destroy(lists);
}

Test(chain, lists_the_parameters_of_a_flow_that_runs)
{
    static const char *const chains[] = {
        "cond:channels=2:width=3:blocks=1, actnorm, conv1x1, affine:width=3:blocks=1",
        "squeeze, affine:width=3:blocks=1, split, haar, conv1x1:lu, affine:width=3:blocks=1",
        "haar, cond:channels=2:width=3:blocks=1, haar, affine:mask=checker:width=3:blocks=1, split, rqspline:width=3",
        "squeeze, ar:width=4:blocks=1, split:part=3, maskedconv:width=3, squeeze, affine:net=attention:width=4",
    };
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++)
        for (int C = 0; C < 4; C += 3)
            expect_same_parameters(chains[i], C);
}
