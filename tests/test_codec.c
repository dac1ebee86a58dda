/* test_codec.c - pictures to latents and back, interpolation between two pictures, and rejected input */
#include "../lib/sample/codec.h"
#include "../lib/pyramid/pyramid.h"
#include "../lib/model/level_input.h"
#include "anneal.h"

enum { LEVELS = 3, SIDE = 8, N = 5, PIXELS = SIDE * SIDE * 3, MOST = 64 };

static const char *const official = "2*(actnorm, conv1x1, affine:width=6:blocks=1), actnorm";

static wf_model model_of(const char *chain, change_weights *change, void *user)
{
    scratch_make();
    wf_model model = make_model("model", LEVELS, SIDE, 3);
    for (int level = 0; level <= LEVELS; level++)
        save_level(&model, level, chain, change, user);
    return model;
}

static wf_model shaken_model(void)
{
    shaking by = {0.15, 0.15};
    return model_of(official, shake, &by);
}

/* Records of all levels for one batch of random 8-bit pictures, and their pixels. */
typedef struct batch {
    wf_pyramid *pyramid;
    float pixels[N * PIXELS];
    uint64_t index[N];
    wf_record records[LEVELS + 1];
    float *own[LEVELS + 1][2];
} batch;

static float *copy(const float *from, size_t n)
{
    float *to = malloc(n * sizeof *to);
    memcpy(to, from, n * sizeof *to);
    return to;
}

static void make_batch(const wf_model *model, wf_backend *b, uint64_t seed, int n, batch *out)
{
    double *noise = normals(seed, 60, (size_t)n * PIXELS);
    for (int i = 0; i < n * PIXELS; i++)
        out->pixels[i] = (float)fmin(255, fmax(0, round(128 + noise[i])));
    free(noise);
    for (int i = 0; i < n; i++)
        out->index[i] = 100 * seed + (uint64_t)i;
    cr_assert_eq(wf_pyramid_create(b, &model->meta, N, &out->pyramid), 0, "%s", wf_error());
    cr_assert_eq(wf_pyramid_split(out->pyramid, n, out->pixels, 0), 0);
    for (int l = 0; l <= LEVELS; l++) {
        wf_level_shape s = wf_meta_level(&model->meta, l);
        size_t size = (size_t)(n * s.H * s.W * 3);
        const float *low, *detail;
        cr_assert_eq(wf_pyramid_level(out->pyramid, l, &low, &detail), 0);
        out->own[l][0] = copy(low, size);
        out->own[l][1] = detail ? copy(detail, 3 * size) : NULL;
        out->records[l] =
            (wf_record){.level = l, .N = n, .low = out->own[l][0], .detail = out->own[l][1], .index = out->index};
    }
}

static void clear_batch(batch *b)
{
    wf_pyramid_destroy(b->pyramid);
    for (int l = 0; l <= LEVELS; l++) {
        free(b->own[l][0]);
        free(b->own[l][1]);
    }
}

/* The codec's output, as pixels. */
typedef struct shown {
    wf_pyramid *pyramid;
    int count;
    float pixels[MOST * PIXELS];
    uint64_t index[MOST];
} shown;

static int show(void *user, const wf_record *r)
{
    shown *s = user;
    wf_level_shape shape = {SIDE / 2, SIDE / 2, 3, 9};
    size_t low = (size_t)(shape.H * shape.W * 3);
    cr_assert(r->level == LEVELS && s->count + r->N <= MOST);
    for (int64_t i = 0; i < r->N; i++, s->count++) {
        WF_TRY(wf_pyramid_join(s->pyramid, LEVELS, 1, r->low + (size_t)i * low, r->detail + (size_t)i * 3 * low,
                               s->pixels + (size_t)s->count * PIXELS));
        s->index[s->count] = r->index[i];
    }
    return WF_OK;
}

/* Encodes a batch and decodes it; appends to `out`. */
static void there_and_back(wf_codec *encoder, wf_codec *decoder, batch *b, int between, shown *out)
{
    wf_record latents;
    out->pyramid = b->pyramid;
    for (int l = 0; l <= LEVELS; l++) {
        cr_assert_eq(wf_codec_encode(encoder, &b->records[l], &latents), 0, "%s", wf_error());
        cr_assert_eq(wf_codec_decode(decoder, &latents, between, show, out), 0, "%s", wf_error());
    }
}

static void check_pixels(const char *what, const float *have, const float *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        cr_assert_float_eq(have[i], want[i], 0.01, "%s: pixel %zu: %g, want %g", what, i, have[i], want[i]);
}

Test(codec, every_pixel_comes_back)
{
    wf_model model = shaken_model();
    for (int which = 0; which < 2; which++) {
        static shown got;
        wf_backend *backend = open_backend(which ? "cpu" : "ref", 1);
        wf_codec *encoder, *decoder;
        cr_assert_eq(wf_codec_create(&model, backend, &encoder), 0, "%s", wf_error());
        cr_assert_eq(wf_codec_create(&model, backend, &decoder), 0, "%s", wf_error());
        got.count = 0;
        for (int i = 0; i < 2; i++) { /* batches of 5 and of 3 */
            static batch b;
            int first = got.count, n = N - 2 * i;
            make_batch(&model, backend, (uint64_t)i + 1, n, &b);
            there_and_back(encoder, decoder, &b, 0, &got);
            cr_assert_eq(got.count, first + n);
            check_pixels(backend->name, got.pixels + first * PIXELS, b.pixels, (size_t)n * PIXELS);
            cr_assert_eq(memcmp(got.index + first, b.index, (size_t)n * sizeof *b.index), 0);
            clear_batch(&b);
        }
        cr_assert_eq(wf_codec_end(decoder, "in"), 0);
        wf_codec_destroy(encoder);
        wf_codec_destroy(decoder);
        backend->close(backend);
    }
    wf_model_clear(&model);
}

static void leave(void *unused, const wf_flow *flow, float *weights)
{
    (void)unused;
    (void)flow;
    (void)weights;
}

/* With actnorms at the start, latents are coefficients. The midpoint on the great circle between a and b is then (a +
 * b) / (2 cos(angle / 2)) at every level, also at the base, where values are around 0. */
Test(codec, between_is_on_the_great_circle)
{
    wf_model model = model_of("actnorm", leave, NULL);
    wf_backend *backend = open_backend("ref", 1);
    static batch b;
    static shown got;
    wf_codec *codec, *decoder;
    wf_record latents;
    make_batch(&model, backend, 3, 2, &b);
    cr_assert_eq(wf_codec_create(&model, backend, &codec), 0, "%s", wf_error());
    cr_assert_eq(wf_codec_create(&model, backend, &decoder), 0, "%s", wf_error());
    static float middle[LEVELS + 1][PIXELS]; /* in units of the flow */
    for (int l = 0; l <= LEVELS; l++) {
        wf_level_shape s = wf_meta_level(&model.meta, l);
        size_t n = (size_t)(s.H * s.W * s.K);
        cr_assert_eq(wf_codec_encode(codec, &b.records[l], &latents), 0, "%s", wf_error());
        const float *x = l ? latents.detail : latents.low, *y = x + n;
        double xx = 0, xy = 0, yy = 0;
        for (size_t i = 0; i < n; i++) {
            xx += x[i] * x[i];
            xy += x[i] * y[i];
            yy += y[i] * y[i];
        }
        double cosine = sqrt((1 + xy / sqrt(xx * yy)) / 2);
        for (size_t i = 0; i < n; i++)
            middle[l][i] = (float)((x[i] + y[i]) / (2 * cosine));
    }
    got.count = 0;
    there_and_back(codec, decoder, &b, 1, &got);
    cr_assert_eq(got.count, 3);
    check_pixels("first", got.pixels, b.pixels, PIXELS);
    check_pixels("last", got.pixels + 2 * PIXELS, b.pixels + PIXELS, PIXELS);

    static float picture[PIXELS], joined[PIXELS];
    for (int l = 0; l <= LEVELS; l++) {
        wf_level_shape s = wf_meta_level(&model.meta, l);
        size_t n = (size_t)(s.H * s.W * s.K);
        wf_level_input_undo(&model.meta, l == 0, n, middle[l]);
        cr_assert_eq(
            wf_pyramid_join(b.pyramid, l, 1, l ? picture : middle[0], l ? middle[l] : NULL, l ? joined : picture), 0);
        if (l)
            memcpy(picture, joined, sizeof picture);
    }
    check_pixels("middle", got.pixels + PIXELS, picture, PIXELS);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(got.index[i], (uint64_t)i);
    clear_batch(&b);
    wf_codec_destroy(codec);
    wf_codec_destroy(decoder);
    wf_model_clear(&model);
    backend->close(backend);
}

Test(codec, batches_do_not_matter)
{
    wf_model model = shaken_model();
    wf_backend *backend = open_backend("cpu", 1);
    static batch b;
    static shown whole, parts;
    make_batch(&model, backend, 4, N, &b);
    for (int each = N; each > 0; each -= N - 1) { /* all at once, and one by one */
        wf_codec *encoder, *decoder;
        shown *out = each == N ? &whole : &parts;
        cr_assert_eq(wf_codec_create(&model, backend, &encoder), 0, "%s", wf_error());
        cr_assert_eq(wf_codec_create(&model, backend, &decoder), 0, "%s", wf_error());
        out->count = 0;
        for (int at = 0; at < N; at += each) {
            batch part = b;
            for (int l = 0; l <= LEVELS; l++) {
                wf_level_shape s = wf_meta_level(&model.meta, l);
                size_t low = (size_t)(at * s.H * s.W * 3);
                part.records[l] = (wf_record){.level = l,
                                              .N = each,
                                              .low = b.own[l][0] + low,
                                              .detail = l ? b.own[l][1] + 3 * low : NULL,
                                              .index = b.index + at};
            }
            there_and_back(encoder, decoder, &part, 3, out);
        }
        wf_codec_destroy(encoder);
        wf_codec_destroy(decoder);
    }
    cr_assert_eq(whole.count, 4 * N - 3);
    cr_assert_eq(parts.count, whole.count);
    check_pixels("one by one", parts.pixels, whole.pixels, (size_t)whole.count * PIXELS);
    cr_assert_eq(memcmp(parts.index, whole.index, (size_t)whole.count * sizeof *whole.index), 0);
    clear_batch(&b);
    wf_model_clear(&model);
    backend->close(backend);
}

Test(codec, records_out_of_order)
{
    wf_model model = shaken_model();
    wf_backend *backend = open_backend("cpu", 1);
    static batch b;
    wf_codec *codec;
    wf_record latents;
    make_batch(&model, backend, 5, 2, &b);
    cr_assert_eq(wf_codec_create(&model, backend, &codec), 0, "%s", wf_error());
    cr_assert_eq(wf_codec_encode(codec, &b.records[1], &latents), WF_DATA);
    cr_assert_eq(wf_codec_encode(codec, &b.records[0], &latents), WF_OK);
    cr_assert_eq(wf_codec_end(codec, "in"), WF_DATA);
    cr_assert_eq(wf_codec_encode(codec, &b.records[0], &latents), WF_DATA);
    wf_record other = b.records[1];
    other.index = (uint64_t[]){b.index[0], 7};
    cr_assert_eq(wf_codec_encode(codec, &other, &latents), WF_DATA);
    other = b.records[1];
    other.N = 1;
    cr_assert_eq(wf_codec_encode(codec, &other, &latents), WF_DATA);
    cr_assert_eq(wf_codec_encode(codec, &b.records[1], &latents), WF_OK, "%s", wf_error());
    clear_batch(&b);
    wf_codec_destroy(codec);
    wf_model_clear(&model);
    backend->close(backend);
}

/* Makes all rows except the first nearly equal to the first. */
static void nearly_singular(void *unused, const wf_flow *flow, float *weights)
{
    (void)unused;
    char name[64];
    const wf_param *param;
    size_t where;
    cr_assert(wf_flow_param(flow, 0, name, &param, &where));
    size_t K = (size_t)param->shape[0];
    for (size_t i = K; i < K * K; i++)
        weights[where + i] = weights[where + i % K] + 1e-5f * weights[where + i];
}

Test(codec, a_flow_that_does_not_invert)
{
    wf_model model = model_of("conv1x1", nearly_singular, NULL);
    wf_backend *backend = open_backend("cpu", 1);
    static batch b;
    wf_codec *codec;
    wf_record latents;
    int status = WF_OK;
    make_batch(&model, backend, 6, 2, &b);
    cr_assert_eq(wf_codec_create(&model, backend, &codec), 0, "%s", wf_error());
    for (int l = 0; l <= LEVELS && !status; l++)
        status = wf_codec_encode(codec, &b.records[l], &latents);
    cr_assert_eq(status, WF_INTERNAL);
    cr_assert(strstr(wf_error(), "decoded again"), "%s", wf_error());
    clear_batch(&b);
    wf_codec_destroy(codec);
    wf_model_clear(&model);
    backend->close(backend);
}
