/* test_model.c - wf.json, the shape of a model's pictures */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../lib/model/model.h"
#include "scratch.h"

TestSuite(model, .init = scratch_make, .fini = scratch_remove);

static const wf_meta meta = {.wavelet = "haar", .C = 3, .H = 64, .W = 96, .levels = 5, .top = 5, .bits = 8};

/* True if `text` as wf.json is a model like `meta`; or if it is refused as damaged. */
static bool is_right(const char *text, size_t n)
{
    wf_model model;
    scratch_write(scratch_path("changed/wf.json"), text, n);
    int status = wf_model_open(scratch_path("changed"), &model);
    if (status)
        return status == WF_DATA;
    bool same = !wf_meta_expect(&meta, "meta", &model.meta, "model");
    wf_model_clear(&model);
    return same;
}

/* No damaged bit of wf.json gives another model. */
Test(model, damaged_bits)
{
    size_t n;
    wf_model model;
    cr_assert_eq(wf_model_create(scratch_path("model"), &meta, &model), WF_OK, "%s", wf_error());
    wf_model_clear(&model);
    cr_assert(!mkdir(scratch_path("changed"), 0777));
    char *text = scratch_read(scratch_path("model/wf.json"), &n);
    cr_assert(memmem(text, n, "checksum", 8), "%.*s", (int)n, text);
    for (size_t i = 0; i < 8 * n; i++) {
        text[i / 8] ^= (char)(1 << i % 8);
        cr_expect(is_right(text, n), "bit %zu of %.*s", i, (int)n, text);
        text[i / 8] ^= (char)(1 << i % 8);
    }
    cr_expect(is_right(text, n), "%s", wf_error());
    free(text);
}

/* A wf.json without a checksum is taken as it is; a wavelet that does not exist is not. */
Test(model, written_by_hand)
{
    wf_model model;
    static const char right[] = "{\"format\": \"wavelet-flow/1\", \"wavelet\": \"haar\", \"levels\": 5, "
                                "\"shape\": [64, 96, 3], \"bits\": 8}";
    static const char wrong[] = "{\"format\": \"wavelet-flow/1\", \"wavelet\": \"hair\", \"levels\": 5, "
                                "\"shape\": [64, 96, 3], \"bits\": 8}";
    cr_assert(!mkdir(scratch_path("changed"), 0777));
    cr_expect(is_right(right, strlen(right)), "%s", wf_error());
    scratch_write(scratch_path("changed/wf.json"), wrong, strlen(wrong));
    cr_expect_eq(wf_model_open(scratch_path("changed"), &model), WF_DATA);
    cr_expect(strstr(wf_error(), "hair"), "%s", wf_error());
}
