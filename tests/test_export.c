/* test_export.c - exported levels: numbers are rounded once and read back as they are; other files are refused */
#include <criterion/criterion.h>
#include <math.h>
#include <unistd.h>

#include "../lib/base/safetensors.h"
#include "../lib/model/export.h"
#include "anneal.h"

TestSuite(export, .init = scratch_make, .fini = scratch_remove);

/* -- a model of one number a picture: y = (x + b) exp(3 l) --------------------------------------------------------- */

enum { SIZE = 2 };

static void set_weights(void *user, const wf_flow *flow, float *weights)
{
    cr_assert_eq(wf_flow_size(flow), SIZE);
    memcpy(weights, user, SIZE * sizeof *weights);
}

static wf_model model_of(float b, float l)
{
    float weights[SIZE] = {b, l};
    wf_model model = make_model("model", 0, 1, 1);
    save_level(&model, 0, "actnorm", set_weights, weights);
    return model;
}

static int add_program(void *user, wf_meta *meta)
{
    return wf_meta_add_provenance(meta, user, 0, NULL, 0, NULL);
}

static int export(const wf_model *model, const char *name, wf_dtype dtype)
{
    const wf_export_options options = {.dtype = dtype, .add = add_program, .user = "test"};
    return wf_model_export(model, scratch_path(name), &options);
}

/* Loads level 0 of the model NAME; weights [SIZE] as read. */
static int load_weights(const char *name, float *weights, char hash[20])
{
    wf_model model;
    wf_level level;
    wf_backend *b = open_backend("cpu", 1);
    cr_assert_eq(wf_model_open(scratch_path(name), &model), WF_OK, "%s", wf_error());
    int status = wf_level_load(&model, 0, b, &level);
    if (!status) {
        cr_assert_eq(level.size, SIZE);
        cr_assert_eq(b->download(b, weights, WF_F32, level.params, SIZE), WF_OK);
        strcpy(hash, level.hash);
        wf_level_clear(&level);
    }
    wf_model_clear(&model);
    b->close(b);
    return status;
}

Test(export, numbers)
{
    static const struct {
        const char *name;
        wf_dtype dtype;
        float b, l;
    } cases[] = {
        {"fp32", WF_F32, 100.03f, 0.1f}, {"f16", WF_F16, 100, 0x1.998p-4f}, {"bf16", WF_BFLOAT16, 100, 0x1.9ap-4f}};
    wf_model model = model_of(100.03f, 0.1f);
    float weights[SIZE];
    char original[20], hash[20];
    bool exported;
    cr_assert_eq(load_weights("model", weights, original), WF_OK, "%s", wf_error());
    cr_assert_eq(wf_level_is_exported(&model, 0, &exported), WF_OK);
    cr_assert(!exported);
    for (int i = 0; i < 3; i++) {
        wf_model copy;
        cr_assert_eq(export(&model, cases[i].name, cases[i].dtype), WF_OK, "%s", wf_error());
        cr_assert_eq(load_weights(cases[i].name, weights, hash), WF_OK, "%s", wf_error());
        cr_assert(weights[0] == cases[i].b && weights[1] == cases[i].l, "%s: %a %a", cases[i].name, weights[0],
                  weights[1]);
        cr_assert_eq(!strcmp(hash, original), cases[i].dtype == WF_F32, "%s: hash %s", cases[i].name, hash);
        cr_assert_eq(wf_model_open(scratch_path(cases[i].name), &copy), WF_OK);
        cr_assert_eq(wf_level_is_exported(&copy, 0, &exported), WF_OK);
        cr_assert(exported);
        wf_model_clear(&copy);
    }
    wf_model_clear(&model);
}

Test(export, too_large_for_f16)
{
    wf_model model = model_of(-65520, 0);
    float weights[SIZE];
    char hash[20];
    cr_assert_eq(export(&model, "f16", WF_F16), WF_DATA);
    cr_assert(strstr(wf_error(), "parameter 0 is -65520, which is too large for F16"), "%s", wf_error());
    cr_assert(access(scratch_path("f16"), F_OK), "nothing is left");
    cr_assert_eq(export(&model, "bf16", WF_BFLOAT16), WF_OK, "%s", wf_error());
    cr_assert_eq(load_weights("bf16", weights, hash), WF_OK);
    cr_assert_eq(weights[0], -65536);
    wf_model_clear(&model);
}

/* -- files of other programs --------------------------------------------------------------------------------------- */

/* Rewrites the level of the model "f16" with another tensor in place of tensor `at`, or after all (at = -1). */
static void put_tensor(int at, const wf_tensor *tensor)
{
    char path[300];
    wf_safetensors st = {0};
    wf_tensor tensors[4];
    wf_pair pairs[32];
    int count = 0;
    snprintf(path, sizeof path, "%s/level-00.safetensors", scratch_path("f16"));
    cr_assert_eq(wf_safetensors_load(path, &st), WF_OK, "%s", wf_error());
    cr_assert_eq(st.count, 2);
    memcpy(tensors, st.tensors, 2 * sizeof *tensors);
    tensors[at < 0 ? 2 : at] = *tensor;
    for (int i = 0; i < st.pairs; i++)
        if (strcmp(st.metadata[i].key, "checksum"))
            pairs[count++] = st.metadata[i];
    cr_assert_eq(wf_safetensors_save(path, tensors, at < 0 ? 3 : 2, pairs, count), WF_OK, "%s", wf_error());
    wf_safetensors_clear(&st);
}

static void refused(const char *why)
{
    float weights[SIZE];
    char hash[20];
    cr_assert_eq(load_weights("f16", weights, hash), WF_DATA, "loaded: %s", why);
    cr_assert(strstr(wf_error(), why), "%s, expected: %s", wf_error(), why);
}

Test(export, other_files)
{
    wf_model model = model_of(1, 0);
    cr_assert_eq(export(&model, "f16", WF_F16), WF_OK, "%s", wf_error());
    uint16_t infinite = 0x7c00, nan = 0x7c01, small = 1, two[2] = {0, 0};
    double wide = 1;
    float weights[SIZE];
    char hash[20];
    wf_tensor t = {
        .name = "ema/000.actnorm.b", .dtype = WF_F16, .rank = 1, .shape = {1}, .data = &infinite, .bytes = 2};
    put_tensor(0, &t);
    refused("parameter 0 is not finite");
    t.data = &nan;
    put_tensor(0, &t);
    refused("parameter 0 is not finite");
    t = (wf_tensor){t.name, WF_F64, 1, {1}, &wide, 8};
    put_tensor(0, &t);
    refused("tensor ema/000.actnorm.b is of F64, expected F32, F16 or BF16");
    t = (wf_tensor){t.name, WF_F16, 1, {2}, two, 4};
    put_tensor(0, &t);
    refused("tensor ema/000.actnorm.b does not have the shape");
    t = (wf_tensor){t.name, WF_F16, 1, {1}, &small, 2};
    put_tensor(0, &t);
    cr_assert_eq(load_weights("f16", weights, hash), WF_OK, "%s", wf_error());
    cr_assert_eq(weights[0], 0x1p-24f, "the smallest number of F16");
    t.name = "w/000.actnorm.b";
    put_tensor(-1, &t);
    refused("3 tensors, the chain needs 2, or 4 with weights");
    wf_model_clear(&model);
}
