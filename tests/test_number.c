/* test_number.c - numbers have points in a program that has set a locale with commas */
#include <criterion/criterion.h>
#include <locale.h>

#include "../lib/base/figure.h"
#include "../lib/base/number.h"
#include "../lib/model/evaluation.h"
#include "../lib/model/level.h"
#include "training.h"

/* Sets numbers with commas for all of the process, by a locale made in the scratch folder. */
static bool set_commas(void)
{
    static const char numbers[] = "LC_NUMERIC\ndecimal_point \",\"\nthousands_sep \"\"\ngrouping -1\nEND LC_NUMERIC\n";
    char command[600];
    scratch_write(scratch_path("numbers"), numbers, sizeof numbers - 1);
    snprintf(command, sizeof command, "localedef -c -i '%s/numbers' '%s/xx_XX' > /dev/null 2>&1", scratch, scratch);
    int warned = system(command); /* of the other categories */
    return warned >= 0 && !setenv("LOCPATH", scratch, 1) && setlocale(LC_NUMERIC, "xx_XX");
}

#define SET_COMMAS()                              \
    if (!set_commas()) {                          \
        scratch_remove();                         \
        cr_skip_test("localedef made no locale"); \
    }

/* The process itself goes on with commas. */
static void expect_commas(void)
{
    char text[32];
    snprintf(text, sizeof text, "%.2f", 0.5);
    cr_expect_str_eq(text, "0,50");
}

Test(number, have_points_where_the_process_has_commas)
{
    char text[64], *end;
    scratch_make();
    SET_COMMAS();
    cr_expect_eq(wf_snprintf(text, sizeof text, "%.3f %g", 0.125, -2.5e-7), 14);
    cr_expect_str_eq(text, "0.125 -2.5e-07");
    cr_expect_float_eq(wf_strtod("0.125x", &end), 0.125, 0);
    cr_expect_str_eq(end, "x");
    cr_expect_float_eq(wf_strtod("0,125", &end), 0, 0);
    cr_expect_str_eq(end, ",125");
    cr_expect_eq(wf_fail(WF_DATA, "found %.1f", 0.5), WF_DATA);
    cr_expect_str_eq(wf_error(), "found 0.5");
    FILE *file = fopen(scratch_path("file"), "w");
    cr_expect_eq(wf_fprintf(file, "%.1f", 0.5), 3);
    cr_expect_eq(fclose(file), 0);
    size_t n;
    char *bytes = scratch_read(scratch_path("file"), &n);
    cr_expect(n == 3 && !memcmp(bytes, "0.5", 3), "%.*s", (int)n, bytes);
    free(bytes);
    expect_commas();
    scratch_remove();
}

static void expect_no_comma_in_number(const char *name)
{
    size_t n;
    char *bytes = scratch_read(scratch_path(name), &n);
    cr_assert(bytes && n, "%s: empty", name);
    for (size_t i = 1; i + 1 < n; i++) {
        bool digits = strchr("0123456789", bytes[i - 1]) && strchr("0123456789", bytes[i + 1]);
        size_t from = i < 20 ? 0 : i - 20;
        cr_assert(bytes[i] != ',' || !digits, "%s: %.*s", name, (int)(i + 2 - from), bytes + from);
    }
    free(bytes);
}

/* A state written among commas resumes among points, and the other way round. */
Test(number, a_training_moves_between_locales, .timeout = 120)
{
    scratch_make();
    SET_COMMAS();
    wf_backend *b = open_backend("cpu");
    char store[512], folder[512];
    strcpy(store, scratch_path("store"));
    strcpy(folder, scratch_path("model"));
    store_planes(b, store, 40, 8, 0);
    wf_train_options o = small_options(0);
    run first = {.stop_at = 17}, second = {.stop_at = 40}, third = {0};
    cr_expect_eq(train(b, folder, store, &o, &first), WF_AGAIN, "%s", wf_error());
    expect_commas();
    cr_assert(setlocale(LC_NUMERIC, "C"));
    cr_expect_eq(train(b, folder, store, &o, &second), WF_AGAIN, "%s", wf_error());
    cr_assert(setlocale(LC_NUMERIC, "xx_XX"));
    cr_expect_eq(train(b, folder, store, &o, &third), 0, "%s", wf_error());
    expect_no_comma_in_number("model/level-00.jsonl");

    wf_model model;
    wf_level level;
    cr_assert_eq(wf_model_open(folder, &model), 0, "%s", wf_error());
    cr_assert_eq(wf_level_load(&model, 0, b, &level), 0, "%s", wf_error());
    cr_expect_gt(level.round_trip.most, 0);
    cr_expect_lt(level.round_trip.most, 1e-3);

    wf_store *pictures_store;
    wf_evaluation *e;
    FILE *file = fopen(scratch_path("figures"), "w");
    cr_assert_eq(wf_store_open(store, &pictures_store), 0, "%s", wf_error());
    cr_assert_eq(wf_evaluation_create(&model, b, wf_store_meta(pictures_store), store, &(wf_evaluation_spec){0}, &e), 0,
                 "%s", wf_error());
    cr_assert_eq(wf_evaluation_put_store(e, pictures_store), 0, "%s", wf_error());
    cr_assert_eq(wf_evaluation_finish(e), 0, "%s", wf_error());
    wf_figures figures;
    wf_evaluation_figures(e, &figures);
    wf_figures_write_table(&figures, file, true);
    wf_figures_write_table(&figures, file, false);
    wf_figures_write_json(&figures, file);
    wf_evaluation_write_pictures(e, file);
    cr_assert_eq(fclose(file), 0);
    expect_no_comma_in_number("figures");
    wf_evaluation_destroy(e);
    wf_store_close(pictures_store);
    wf_level_clear(&level);
    wf_model_clear(&model);
    b->close(b);
    scratch_remove();
}

Test(number, figures_are_never_cut)
{
    char text[WF_FIGURE];
    cr_expect_str_eq(wf_figure(-2.5, "%.6f", "-", text), "-2.500000");
    cr_expect_str_eq(wf_figure(-1.5e74, "%.6f", "-", text), "-1.5e+74");
    cr_expect_str_eq(wf_figure(1e23, "%.6f", "-", text), "99999999999999991611392.000000");
    cr_expect_str_eq(wf_figure(NAN, "%.6f", "-", text), "-");
    cr_expect_str_eq(wf_figure(-INFINITY, "%.6f", "null", text), "null");
}
