/* test_given.c - labels and numbers that are given: files, channels of the condition, and densities under them */
#include "../lib/image/image.h"
#include "../lib/model/level_runner.h"
#include "training.h"

/* -- kinds -------------------------------------------------------------------------------------------------------- */

Test(given, labels_are_channels_of_their_own)
{
    const double values[] = {2, 0, 1, 2};
    const wf_given g = {"labels", true, 4, 1, values, -1};
    wf_given_kind kind, read;
    char text[WF_GIVEN_TEXT];
    float out[3];
    cr_assert_eq(wf_given_measure(&g, &kind), 0, "%s", wf_error());
    cr_expect_eq(wf_given_channels(&kind), 3);
    cr_expect_str_eq(wf_given_text(&kind, text), "labels 3");
    cr_assert_eq(wf_given_parse(text, "file", &read), 0);
    cr_expect(wf_given_same(&kind, &read));
    cr_assert_eq(wf_given_write(&g, &kind, 3, out), 0);
    cr_expect(out[0] == 0 && out[1] == 0 && out[2] == 1);
    cr_expect_eq(wf_given_write(&g, &kind, 4, out), WF_DATA);
    cr_expect_str_eq(wf_error(), "labels: 4 rows, and none for picture 4");
    wf_given one = g;
    one.row = 1;
    cr_assert_eq(wf_given_write(&one, &kind, 99, out), 0);
    cr_expect(out[0] == 1 && out[1] == 0 && out[2] == 0);
}

Test(given, numbers_have_mean_0_and_deviation_1)
{
    const double values[] = {1, 7, 3, 7, 5, 7, 7, 7}; /* the second column does not vary */
    const wf_given g = {"numbers", false, 4, 2, values, -1};
    wf_given_kind kind, read;
    char text[WF_GIVEN_TEXT];
    float out[2];
    double sum = 0, squares = 0;
    cr_assert_eq(wf_given_measure(&g, &kind), 0, "%s", wf_error());
    cr_assert_eq(wf_given_parse(wf_given_text(&kind, text), "file", &read), 0, "%s", text);
    cr_expect(wf_given_same(&kind, &read), "%s", text);
    for (uint64_t i = 0; i < 4; i++) {
        cr_assert_eq(wf_given_write(&g, &read, i, out), 0);
        sum += (double)out[0];
        squares += (double)(out[0] * out[0]);
        cr_expect_eq(out[1], 0);
    }
    cr_expect_float_eq(sum, 0, 1e-6);
    cr_expect_float_eq(squares, 4, 1e-6);
}

Test(given, other_kinds_are_refused)
{
    static const char *const bad[] = {"",           "labels",        "labels 0",      "labels 65",    "labels 3x",
                                      "numbers",    "numbers 1",     "numbers 1:0",   "numbers 1:-1", "numbers 1:2 ",
                                      "numbers :1", "numbers nan:1", "numbers 1:inf", "letters 3"};
    const double values[] = {0, 1, 2, 3, NAN, 1.5}, wide[WF_MAX_GIVEN + 1] = {0};
    wf_given_kind kind, labels = {.classes = 3}, numbers = {.numbers = 2, .deviation = {1, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(wf_given_parse(bad[i], "file", &kind), WF_DATA, "'%s'", bad[i]);
    cr_expect_eq(wf_given_parse(NULL, "file", &kind), 0);
    cr_expect_eq(wf_given_channels(&kind), 0);
    cr_expect_eq(wf_given_measure(&(wf_given){"g", false, 5, 1, values, -1}, &kind), WF_DATA);
    cr_expect_eq(wf_given_measure(&(wf_given){"g", false, 1, WF_MAX_GIVEN + 1, wide, -1}, &kind), WF_DATA);
    cr_expect_eq(wf_given_measure(&(wf_given){"g", true, 1, 1, (double[]){-1}, -1}, &kind), WF_DATA);
    cr_expect_eq(wf_given_measure(&(wf_given){"g", true, 1, 1, (double[]){WF_MAX_GIVEN}, -1}, &kind), WF_DATA);
    cr_expect_eq(wf_given_check(&(wf_given){"g", true, 3, 1, values, -1}, &labels, "level 1"), 0);
    cr_expect_eq(wf_given_check(&(wf_given){"g", true, 4, 1, values, -1}, &labels, "level 1"), WF_DATA);
    cr_expect_eq(wf_given_check(&(wf_given){"g", true, 1, 1, values + 5, -1}, &labels, "level 1"), WF_DATA);
    cr_expect_eq(wf_given_check(&(wf_given){"g", true, 1, 2, values, -1}, &labels, "level 1"), WF_DATA);
    cr_expect_eq(wf_given_check(&(wf_given){"g", false, 1, 1, values, -1}, &numbers, "level 1"), WF_DATA);
    cr_expect_eq(wf_given_check(&(wf_given){"g", false, 2, 2, values + 1, -1}, &numbers, "level 1"), WF_DATA);
    cr_expect_eq(wf_given_check(&(wf_given){"g", false, 2, 2, values, -1}, &numbers, "level 1"), 0);
    cr_expect_eq(wf_given_check(NULL, &labels, "level 1"), WF_USAGE);
    cr_expect_eq(wf_given_check(&(wf_given){"g", true, 1, 1, values, -1}, &(wf_given_kind){0}, "level 1"), WF_USAGE);
}

/* -- tables ------------------------------------------------------------------------------------------------------- */

/* Writes a .npy of version 1.0. */
static const char *write_npy(const char *descr, const char *shape, const void *data, size_t n)
{
    char file[1024] = "\x93NUMPY\x01\x00\x76\x00";
    int used = snprintf(file + 10, 119, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);
    memset(file + 10 + used, ' ', (size_t)(117 - used));
    file[127] = '\n';
    memcpy(file + 128, data, n);
    const char *path = scratch_path("table.npy");
    scratch_write(path, file, 128 + n);
    return path;
}

static void expect_table(const char *descr, const void *data, size_t n, bool whole)
{
    wf_table t;
    cr_assert_eq(wf_table_read(write_npy(descr, "(3,)", data, n), &t), 0, "%s: %s", descr, wf_error());
    cr_expect(t.rows == 3 && t.columns == 1 && t.whole == whole, "%s", descr);
    cr_expect(t.values[0] == 0 && t.values[1] == 1 && t.values[2] == 3, "%s: %g %g %g", descr, t.values[0], t.values[1],
              t.values[2]);
    free(t.values);
}

Test(given, tables_of_every_type)
{
    scratch_make();
    expect_table("|u1", (uint8_t[]){0, 1, 3}, 3, true);
    expect_table("|i1", (int8_t[]){0, 1, 3}, 3, true);
    expect_table("<u2", "\0\0\1\0\3\0", 6, true);
    expect_table(">i2", "\0\0\0\1\0\3", 6, true);
    expect_table("<i4", "\0\0\0\0\1\0\0\0\3\0\0\0", 12, true);
    expect_table(">u4", "\0\0\0\0\0\0\0\1\0\0\0\3", 12, true);
    expect_table("<i8", "\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0", 24, true);
    expect_table("<f2", "\0\0\0\x3c\0\x42", 6, false);
    expect_table("<f4", "\0\0\0\0\0\0\x80\x3f\0\0\x40\x40", 12, false);
    expect_table(">f8", "\0\0\0\0\0\0\0\0\x3f\xf0\0\0\0\0\0\0\x40\x08\0\0\0\0\0\0", 24, false);
    wf_table t;
    const uint8_t six[] = {1, 2, 3, 4, 5, 6};
    cr_assert_eq(wf_table_read(write_npy("|u1", "(2, 3)", six, 6), &t), 0, "%s", wf_error());
    cr_expect(t.rows == 2 && t.columns == 3 && t.values[3] == 4);
    free(t.values);
    cr_expect_eq(wf_table_read(write_npy("|u1", "(2, 3)", six, 5), &t), WF_DATA);
    cr_expect_eq(wf_table_read(write_npy("|u1", "(1, 2, 3)", six, 6), &t), WF_DATA);
    cr_expect_eq(wf_table_read(write_npy("|u1", "(0,)", six, 0), &t), WF_DATA);
    cr_expect_eq(wf_table_read(write_npy("<c8", "(1,)", six, 6), &t), WF_DATA);
    cr_expect_eq(wf_table_read(write_npy("|S1", "(6,)", six, 6), &t), WF_DATA);
    scratch_write(scratch_path("table.npy"), "P5 1 1 255\n0", 12);
    cr_expect_eq(wf_table_read(scratch_path("table.npy"), &t), WF_DATA);
    cr_expect_eq(wf_table_read(scratch_path("nowhere"), &t), WF_NOINPUT);
    scratch_remove();
}

/* -- densities ---------------------------------------------------------------------------------------------------- */

enum { SIDE = 4, N = 3, G = 3 };

/* A level of random weights on random pictures: log densities of a runner that is given labels, and of the flow on a
 * condition that the test puts together. */
static void check_level(int level)
{
    wf_backend *b = open_backend("ref");
    wf_meta meta = square(2 * SIDE, 1);
    wf_level_spec spec = wf_level_spec_for(&meta, level, "actnorm, conv1x1, affine:width=8:blocks=1", NULL, WF_FP32);
    const double labels[] = {2, 0, 1, 1, 2};
    const wf_given given = {"labels", true, 5, 1, labels, -1};
    const uint64_t index[N] = {4, 1, 3};
    enum { PIXELS = N * SIDE * SIDE };
    int C = level ? 3 : 0, K = level ? 9 : 3, all = C + G;
    double low[PIXELS * 3], detail[PIXELS * 9], cond[PIXELS * 6], direct[N], own[N], other[N];
    float lows[PIXELS * 3], details[PIXELS * 9];
    wf_init_normal(1, 0, 20, low, PIXELS * 3);
    wf_init_normal(2, 0, 20, detail, PIXELS * 9);
    for (int i = 0; i < PIXELS * 9; i++)
        details[i] = (float)detail[i];
    for (int i = 0; i < PIXELS * 3; i++)
        lows[i] = (float)low[i];
    cr_assert_eq(wf_given_measure(&given, &spec.given), 0);
    wf_level_runner r;
    wf_level_densities posted;
    void *params;
    cr_assert_eq(wf_level_runner_create(b, &meta, &spec, N, SIDE, SIDE, WF_MEMORY_NONE, &r), 0, "%s", wf_error());
    size_t size = wf_level_runner_size(&r);
    double *weights = malloc(size * sizeof *weights);
    wf_init_normal(3, 0, 0.1, weights, size);
    cr_assert_eq(b->alloc(b, size * b->real, &params), 0);
    cr_assert_eq(b->upload(b, params, weights, WF_F64, size), 0);
    r.params = params;
    r.noiseless = true;
    cr_expect_eq(wf_level_runner_load(&r, N, lows, details, index), WF_USAGE);
    r.given = &given;
    cr_assert_eq(wf_level_runner_load(&r, N, lows, details, index), 0, "%s", wf_error());
    cr_assert_eq(wf_level_runner_forward(&r), 0);
    cr_assert_eq(wf_level_runner_readback_begin(&r, &posted), 0);
    cr_assert_eq(wf_level_runner_readback_end(&r, &posted, own), 0);

    for (int i = 0; i < PIXELS; i++) {
        for (int c = 0; c < C; c++)
            cond[i * all + c] = ((double)lows[i * 3 + c] + 0.5) / 256 - 0.5;
        for (int g = 0; g < G; g++)
            cond[i * all + C + g] = labels[index[i / (SIDE * SIDE)]] == g;
    }
    void *on_device;
    cr_assert_eq(b->alloc(b, PIXELS * 6 * b->real, &on_device), 0);
    cr_assert_eq(b->upload(b, on_device, cond, WF_F64, (size_t)(PIXELS * all)), 0);
    wf_readback *back;
    cr_assert_eq(wf_flow_forward(r.flow, r.params, wf_level_input_x(&r.input), on_device), 0);
    cr_assert_eq(wf_flow_readback_begin(r.flow, &back), 0);
    cr_assert_eq(wf_flow_readback_end(r.flow, back, direct), 0);
    for (int n = 0; n < N; n++)
        cr_expect_float_eq(own[n], direct[n], 1e-9 * fabs(direct[n]), "level %d: %g, want %g", level, own[n],
                           direct[n]);

    wf_given fixed = given;
    fixed.row = 0; /* label 2, which picture 4 has, and the others have not */
    r.given = &fixed;
    cr_assert_eq(wf_level_runner_load(&r, N, lows, details, index), 0);
    cr_assert_eq(wf_level_runner_forward(&r), 0);
    cr_assert_eq(wf_level_runner_readback_begin(&r, &posted), 0);
    cr_assert_eq(wf_level_runner_readback_end(&r, &posted, other), 0);
    cr_expect(other[0] == own[0] && fabs(other[1] - own[1]) > 1e-3 && fabs(other[2] - own[2]) > 1e-3,
              "level %d, K %d: %g %g %g, %g %g %g", level, K, own[0], own[1], own[2], other[0], other[1], other[2]);
    free(weights);
    b->free(b, params);
    b->free(b, on_device);
    wf_level_runner_clear(&r);
    b->close(b);
}

Test(given, channels_stand_beside_the_low_pass)
{
    check_level(0);
    check_level(1);
}

/* -- training ----------------------------------------------------------------------------------------------------- */

static double train_given(const char *folder, const char *store_path, const wf_given *given, int64_t steps, int level)
{
    wf_backend *b = open_backend("cpu");
    wf_store *store;
    wf_model model;
    wf_level_summary s;
    wf_train_options o = wf_train_defaults;
    cr_assert_eq(wf_store_open(store_path, &store), 0, "%s", wf_error());
    cr_assert_eq(wf_model_create(folder, wf_store_meta(store), &model), 0, "%s", wf_error());
    o.level = level;
    o.given = given;
    o.chain = "actnorm, conv1x1, affine:width=8:blocks=1, actnorm";
    o.batch = 4;
    o.lr = 1e-2;
    o.ema = 0.5;
    o.warmup = 1;
    o.held_out = 0;
    o.steps = steps;
    int status = wf_train(&model, b, store, NULL, &o, NULL, NULL);
    double loaded = status;
    if (!status) {
        cr_assert_eq(wf_level_summarize(&model, level, &s), 0);
        cr_expect_eq(wf_given_channels(&s.given), given ? 2 : 0);
    }
    wf_model_clear(&model);
    wf_store_close(store);
    b->close(b);
    return loaded;
}

Test(given, a_training_is_bound_to_its_rows_and_resumes_with_them)
{
    enum { PICTURES = 12 };
    scratch_make();
    wf_backend *b = open_backend("cpu");
    wf_meta meta = square(4, 1);
    float *pixels = pictures(PICTURES, 4);
    double labels[PICTURES], others[PICTURES];
    char store[512], whole[512], halves[512];
    snprintf(store, sizeof store, "%s", scratch_path("store"));
    snprintf(whole, sizeof whole, "%s", scratch_path("whole"));
    snprintf(halves, sizeof halves, "%s", scratch_path("halves"));
    store_pictures(b, store, &meta, PICTURES, pixels);
    for (int i = 0; i < PICTURES; i++) {
        labels[i] = i % 2;
        others[i] = i / 6;
    }
    const wf_given given = {"labels", true, PICTURES, 1, labels, -1}, other = {"others", true, PICTURES, 1, others, -1},
                   few = {"few", true, PICTURES - 1, 1, labels, -1};
    cr_assert_eq(train_given(whole, store, &given, 20, 1), 0, "%s", wf_error());
    cr_assert_eq(train_given(halves, store, &given, 9, 1), 0, "%s", wf_error());
    cr_expect_eq(train_given(halves, store, &other, 20, 1), WF_DATA);
    cr_expect(strstr(wf_error(), "the hash of --given was"), "%s", wf_error());
    cr_expect_eq(train_given(halves, store, NULL, 20, 1), WF_DATA);
    cr_expect_eq(train_given(halves, store, &few, 20, 1), WF_DATA);
    cr_expect(strstr(wf_error(), "11 rows, but there are 12 pictures"), "%s", wf_error());
    cr_assert_eq(train_given(halves, store, &given, 20, 1), 0, "%s", wf_error());
    char path[2][600];
    size_t n[2];
    snprintf(path[0], 600, "%s/level-01.state.safetensors", whole);
    snprintf(path[1], 600, "%s/level-01.state.safetensors", halves);
    char *a = scratch_read(path[0], &n[0]), *c = scratch_read(path[1], &n[1]);
    enum { TENSORS = 8000 };
    cr_assert(n[0] > TENSORS && n[1] > TENSORS, "%zu %zu", n[0], n[1]);
    cr_expect_eq(memcmp(a + n[0] - TENSORS, c + n[1] - TENSORS, TENSORS), 0);
    cr_expect_eq(train_given(whole, store, &given, 5, 0), 0, "%s", wf_error()); /* the base, too */
    free(a);
    free(c);
    free(pixels);
    b->close(b);
    scratch_remove();
}
