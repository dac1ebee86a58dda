/* test_words.c - the tables of words say what parsing does: ranges, defaults and signals, option by option */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../lib/flow/flow.h"
#include "../lib/flow/net.h"

/* K = 3 C, as the details of a level have, which lattice needs. */
enum { N = 2, H = 4, W = 4, C = 4, K = 3 * C, SIZE = N * H * W * K };

static wf_backend *backend;

static void open_backend(void)
{
    cr_assert_eq(wf_backend_open("ref", 1, &backend), 0, "%s", wf_error());
}

/* Creates a flow of `chain`; gives the sum of the latents of a fixed input. `sound`: of one row. */
static int run(const char *chain, bool sound, size_t *params, double *sum)
{
    wf_flow_spec spec = {.N = N, .H = sound ? 1 : H, .W = sound ? H * W : W, .K = K, .C = C, .kernel = 3};
    spec.memory = WF_MEMORY_NONE;
    spec.signal = sound ? WF_SOUND : WF_PICTURE;
    spec.bits = 8;
    spec.halvings = 1;
    wf_flow *flow;
    int status = wf_flow_create(backend, chain, &spec, &flow);
    if (status)
        return status;
    double x[SIZE], z[SIZE];
    void *memory[3];
    *params = wf_flow_size(flow);
    for (int i = 0; i < SIZE; i++)
        x[i] = (i * 7 % 13) / 6.5 - 1;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(backend->alloc(backend, (i ? SIZE : *params + 1) * sizeof(double), &memory[i]), 0);
    cr_assert_eq(backend->upload(backend, memory[1], x, WF_F64, SIZE), 0);
    cr_assert_eq(backend->upload(backend, memory[2], x, WF_F64, N * H * W * C), 0);
    cr_assert_eq(wf_flow_init(flow, 5, memory[0]), 0, "%s", wf_error());
    cr_assert_eq(wf_flow_forward(flow, memory[0], memory[1], memory[2]), 0, "%s", wf_error());
    cr_assert_eq(backend->download(backend, z, WF_F64, wf_flow_latent(flow), SIZE), 0);
    *sum = 0;
    for (int i = 0; i < SIZE; i++)
        *sum += z[i] * (i % 5 + 1);
    for (int i = 0; i < 3; i++)
        backend->free(backend, memory[i]);
    wf_flow_destroy(flow);
    return WF_OK;
}

static int try_value(const wf_bijector_type *type, const wf_bijector_option *o, const char *value)
{
    char chain[128];
    size_t params;
    double sum;
    snprintf(chain, sizeof chain, "%s:%s=%s", type->name, o->key, value);
    return run(chain, false, &params, &sum);
}

static void check_refused(const wf_bijector_type *type, const wf_bijector_option *o, const char *value)
{
    cr_expect_eq(try_value(type, o, value), WF_USAGE, "%s:%s=%s was taken", type->name, o->key, value);
    cr_expect(strstr(wf_error(), "must be"), "%s:%s=%s: %s", type->name, o->key, value, wf_error());
}

static void check_range(const wf_bijector_type *type, const wf_bijector_option *o)
{
    char value[24];
    check_refused(type, o, "nonsense");
    if (o->names)
        return;
    snprintf(value, sizeof value, "%d", o->low - 1);
    check_refused(type, o, value);
    snprintf(value, sizeof value, "%d", o->high + 1);
    check_refused(type, o, value);
    snprintf(value, sizeof value, "%d", o->low);
    int status = try_value(type, o, value);
    cr_expect(!status || !strstr(wf_error(), "must be"), "%s:%s=%s: %s", type->name, o->key, value, wf_error());
}

/* The default that the manual prints computes what no option computes. */
static void check_default(const wf_bijector_type *type, const wf_bijector_option *o)
{
    const char *next = type->discrete ? "" : ", affine"; /* without which the latents do not depend on some words */
    char chain[128];
    size_t params[2];
    double sum[2];
    if (!o->names && (o->standard < o->low || o->standard > o->high)) {
        cr_expect(o->otherwise, "%s:%s: no text for the default", type->name, o->key);
        return;
    }
    cr_expect(!o->otherwise, "%s:%s: two defaults", type->name, o->key);
    if (o->names)
        snprintf(chain, sizeof chain, "%s:%s=%s%s", type->name, o->key, o->names[o->standard], next);
    else
        snprintf(chain, sizeof chain, "%s:%s=%d%s", type->name, o->key, o->standard, next);
    cr_assert_eq(run(chain, false, &params[0], &sum[0]), 0, "%s: %s", chain, wf_error());
    snprintf(chain, sizeof chain, "%s%s", type->name, next);
    cr_assert_eq(run(chain, false, &params[1], &sum[1]), 0, "%s: %s", chain, wf_error());
    cr_expect(params[0] == params[1] && sum[0] == sum[1], "%s: %s is not the default", type->name, o->key);
}

Test(words, ranges_and_defaults_are_those_of_the_table)
{
    const wf_bijector_type *type;
    int options = 0;
    open_backend();
    for (int i = 0; (type = wf_bijector_row(i)); i++) {
        cr_expect(type->summary && *type->summary, "%s: no summary", type->name);
        for (int k = 0; k < WF_BIJECTOR_MAX_OPTIONS && type->options[k].key; k++, options++) {
            const wf_bijector_option *o = &type->options[k];
            cr_expect(o->meaning && *o->meaning, "%s:%s: no meaning", type->name, o->key);
            check_range(type, o);
            check_default(type, o);
        }
    }
    cr_expect_gt(options, 40);
}

Test(words, signals_are_those_of_the_table)
{
    const wf_bijector_type *type;
    size_t params;
    double sum;
    open_backend();
    for (int i = 0; (type = wf_bijector_row(i)); i++) {
        int status = run(type->name, true, &params, &sum);
        cr_expect_eq(status, type->pictures_only ? WF_USAGE : WF_OK, "%s of sounds: %d %s", type->name, status,
                     wf_error());
    }
}

/* Parameters of a coupling whose network has `options` more. */
static size_t count_parameters(const char *network, const char *options)
{
    char chain[128];
    size_t params;
    double sum;
    snprintf(chain, sizeof chain, "affine:net=%s%s", network, options);
    cr_assert_eq(run(chain, false, &params, &sum), 0, "%s: %s", chain, wf_error());
    return params;
}

Test(words, networks_have_the_defaults_of_the_table)
{
    open_backend();
    for (int kind = 0; wf_net_names[kind]; kind++) {
        wf_net_text net = wf_net_describe(kind);
        const char *name = wf_net_names[kind];
        char options[64];
        size_t params;
        double sum;
        cr_expect(net.summary && *net.summary);
        if (!net.width)
            continue;
        snprintf(options, sizeof options, net.blocks ? ":width=%d:blocks=%d" : ":width=%d", net.width, net.blocks);
        cr_expect_eq(count_parameters(name, ""), count_parameters(name, options), "%s%s", name, options);
        snprintf(options, sizeof options, ":width=%d", net.width + 4);
        cr_expect_lt(count_parameters(name, ""), count_parameters(name, options), "%s%s", name, options);
        snprintf(options, sizeof options, "affine:net=%s:blocks=1", name);
        cr_expect_eq(run(options, false, &params, &sum), net.blocks ? WF_OK : WF_USAGE, "%s", options);
    }
}
