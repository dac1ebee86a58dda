/* conditioning.c - sources of the pictures that a sampler continues upward, and the level at which they enter the
 * model */
#include "conditioning.h"

#include <stdlib.h>
#include <string.h>

#include "../base/count.h"
#include "../image/image.h"
#include "../pyramid/pyramid.h"
#include "../store/stream.h"

/* Fills picture [most,H,W,C] (NULL at level -1) and index [most] for the next *N <= most pictures. */
typedef int next_pictures(wf_conditioning *s, int most, int *N, float *picture, uint64_t *index);

struct wf_conditioning {
    next_pictures *next;
    const wf_model *model;
    wf_meta meta; /* owned */
    int offset, level;
    int64_t count, done;      /* without a source: pictures in all; numbered so far, of files too */
    const char *const *names; /* of the pictures handed out last */
    /* a stream or store */
    wf_records *records; /* borrowed */
    wf_record record;    /* pictures from `used` on are still to be handed out */
    int64_t used;
    wf_pyramid *pyramid; /* joins `chunk` pictures */
    int chunk;
    /* picture files: the next picture, if `more` */
    wf_images *images;
    wf_image image;
    int rate; /* of the first sound */
    const char *name;
    bool more;
    char **own; /* [owned], names of the pictures handed out last */
    int owned;
};

const wf_meta *wf_conditioning_meta(const wf_conditioning *s)
{
    return &s->meta;
}

int wf_conditioning_offset(const wf_conditioning *s)
{
    return s->offset;
}

int wf_conditioning_level(const wf_conditioning *s)
{
    return s->level;
}

/* Fails of pictures that have the size to draw. */
static int fail_nothing_to_draw(const wf_conditioning *s, int to, int from)
{
    char own[WF_SIZE_TEXT], half[WF_SIZE_TEXT];
    wf_meta in = s->meta;
    wf_meta_shrink(&in, s->level);
    wf_size_text(in.signal, in.D, in.H, in.W, own);
    WF_CHECK(to == from && to, WF_USAGE, "level %d: the pictures that come in are already at level %d", to, from);
    wf_meta_shrink(&in, s->level - 1);
    wf_size_text(in.signal, in.D, in.H, in.W, half);
    static const char *const how[] = {[WF_PICTURE] = ", as by wf-dwt --fit, or --scale",
                                      [WF_SOUND] = ", as by wf-dwt --length, or --scale",
                                      [WF_VOLUME] = ""};
    return wf_fail(WF_USAGE, "%ss that come in are %s already, so nothing is left to draw up to level %d: give %s%s",
                   wf_signal_names[in.signal], own, to, half, how[in.signal]);
}

int wf_conditioning_drawn(const wf_conditioning *s, int to, wf_meta *out)
{
    int levels = s->model->meta.levels, from = s->level + s->offset;
    *out = (wf_meta){0};
    to = to < 0 ? levels : to;
    WF_CHECK(to <= levels, WF_USAGE, "%s has levels 0 to %d, not %d", s->model->path, levels, to);
    if (to <= from)
        return fail_nothing_to_draw(s, to, from);
    WF_TRY(wf_meta_copy(out, &s->meta));
    out->top = to - s->offset;
    return WF_OK;
}

static size_t picture_size(const wf_conditioning *s)
{
    int H, W;
    wf_pyramid_size(&s->meta, s->level, &H, &W);
    return wf_count3(H, W, s->meta.C);
}

/* -- where pictures enter ----------------------------------------------------------------------------------------- */

/* Fails unless wavelet (of coefficients), signal, channels and bits are the model's. */
static int check_kind(const wf_model *model, const char *name, const char *wavelet, wf_signal signal, int C, int bits)
{
    wf_meta have = model->meta;
    have.signal = signal;
    have.C = C;
    have.bits = bits;
    if (wavelet)
        strcpy(have.wavelet, wavelet);
    return wf_meta_expect(&have, name, &model->meta, model->path);
}

/* Number of DWT levels from the model's pictures down to H x W; -1: no level has that size. */
static int halvings_to(const wf_meta *model, int H, int W)
{
    for (int k = 0; k <= model->levels; k++)
        if (wf_rows_left(model->signal, model->H, k) == H && model->W >> k == W)
            return k;
    return -1;
}

/* Fails of pictures of a size that no level has. Of the sizes that leave something to draw, the largest that fits into
 * the pictures is advised. */
static int fail_size(const wf_conditioning *s, const char *name, int D, int H, int W)
{
    const wf_meta *model = &s->model->meta;
    wf_signal signal = model->signal;
    char own[WF_SIZE_TEXT], whole[WF_SIZE_TEXT], part[WF_SIZE_TEXT];
    int k = 1;
    while (k < model->levels && (wf_rows_left(signal, model->H, k) > H || model->W >> k > W))
        k++;
    wf_size_text(signal, D, H, W, own);
    wf_size_text(signal, model->D, model->H, model->W, whole);
    wf_size_text(signal, model->D >> k, wf_rows_left(signal, model->H, k), model->W >> k, part);
    WF_CHECK(signal != WF_VOLUME, WF_DATA, "%s: volumes are %s, but %s or halves of that in %s", name, own, whole,
             s->model->path);
    return wf_fail(WF_DATA, "%s: %ss are %s, but %s or halves of that in %s: wf-dwt --%s %s, or --scale", name,
                   wf_signal_names[signal], own, whole, s->model->path, signal == WF_SOUND ? "length" : "fit", part);
}

/* Sets the level at which pictures of H x W, in D slices, enter: `below` levels under the model's highest, or
 * log2(scale) with a scale. */
static int enter_level(wf_conditioning *s, const char *name, int D, int H, int W, int scale, int below)
{
    int levels = s->model->meta.levels;
    wf_signal signal = s->meta.signal;
    WF_CHECK(!scale || signal != WF_VOLUME, WF_USAGE, "scale %d: volumes have the model's size", scale);
    WF_CHECK(scale == 0 || (scale > 1 && (scale & (scale - 1)) == 0), WF_USAGE,
             "scale %d: want a power of two, from 2 on", scale);
    if (!scale && below < 0)
        return fail_size(s, name, D, H, W);
    for (int k = 1; scale >> k; k++)
        below = k;
    WF_CHECK(below <= levels, WF_USAGE, "scale %d: %s enlarges %d times at most", scale, s->model->path, 1 << levels);
    WF_CHECK(H <= wf_rows_left(signal, WF_MAX_SIDE, below) && W <= WF_MAX_SIDE >> below, WF_DATA,
             "%s: %d x %d is too large to enlarge %d times", name, H, W, 1 << below);
    s->meta.levels = scale ? below : levels;
    s->meta.top = s->meta.levels;
    s->meta.H = wf_rows_grown(signal, H, below);
    s->meta.W = W << below;
    s->offset = levels - s->meta.levels;
    s->level = s->meta.levels - below;
    return WF_OK;
}

/* Sets the output sample rate: the input's, doubled once per drawn level. If the input has the model's rate halved
 * and rounded, the model's exact rate is restored. */
static int set_rate(wf_conditioning *s, const char *name, int rate, int doublings)
{
    int of_model = s->model->meta.rate;
    int64_t drawn = doublings < 0 ? rate >> -doublings : (int64_t)rate << doublings;
    if (doublings > 0 && rate == of_model >> doublings)
        drawn = of_model;
    WF_CHECK(drawn <= WF_MAX_RATE, WF_DATA, "%s: %d samples a second are too many to enlarge %d times", name, rate,
             1 << doublings);
    s->meta.rate = (int)drawn;
    return WF_OK;
}

static int opened_or_destroyed(int status, wf_conditioning **out)
{
    if (status) {
        wf_conditioning_destroy(*out);
        *out = NULL;
    }
    return status;
}

static int create_conditioning(const wf_model *model, next_pictures *next, wf_conditioning **out)
{
    wf_conditioning *s = calloc(1, sizeof *s);
    WF_CHECK(s, WF_AGAIN, "conditioning: out of memory");
    s->model = model;
    s->next = next;
    s->level = -1;
    *out = s;
    return opened_or_destroyed(wf_meta_copy(&s->meta, &model->meta), out);
}

void wf_conditioning_destroy(wf_conditioning *s)
{
    if (!s)
        return;
    wf_pyramid_destroy(s->pyramid);
    if (s->images)
        wf_images_close(s->images);
    wf_image_clear(&s->image);
    for (int n = 0; n < s->owned; n++)
        free(s->own[n]);
    free(s->own);
    wf_meta_clear(&s->meta);
    free(s);
}

/* -- nothing ------------------------------------------------------------------------------------------------------ */

static int next_nothing(wf_conditioning *s, int most, int *N, float *picture, uint64_t *index)
{
    (void)picture;
    *N = s->count - s->done < most ? (int)(s->count - s->done) : most;
    for (int i = 0; i < *N; i++)
        index[i] = (uint64_t)s->done++;
    return WF_OK;
}

int wf_conditioning_none(const wf_model *model, int64_t count, int scale, wf_conditioning **out)
{
    WF_CHECK(!scale, WF_USAGE, "--scale needs pictures to enlarge: name a file by --from, or pipe some in");
    WF_TRY(create_conditioning(model, next_nothing, out));
    (*out)->count = count;
    return WF_OK;
}

/* -- a coefficient stream or store -------------------------------------------------------------------------------- */

/* Reads the next record of the stream's highest level; other levels are skipped. */
static int next_record(wf_conditioning *s, bool *more)
{
    const wf_meta *source = wf_records_meta(s->records);
    for (*more = true; *more && s->used == s->record.N;) {
        WF_TRY(wf_records_next(s->records, &s->record, more));
        s->used = *more && s->record.level == source->top ? 0 : s->record.N;
    }
    return WF_OK;
}

static int next_of_stream(wf_conditioning *s, int most, int *N, float *picture, uint64_t *index)
{
    bool more;
    wf_record *r = &s->record;
    WF_TRY(next_record(s, &more));
    if (!more)
        return WF_OK;
    wf_level_shape shape = wf_meta_level(wf_records_meta(s->records), r->level);
    size_t each = wf_count3(shape.H, shape.W, shape.C), at = (size_t)s->used;
    size_t bands = (size_t)wf_bands(s->meta.signal);
    int64_t left = r->N - s->used;
    most = most < s->chunk ? most : s->chunk;
    *N = left < most ? (int)left : most;
    memcpy(index, r->index + at, (size_t)*N * sizeof *index);
    s->names = r->names ? r->names + at : NULL;
    s->used += *N;
    return wf_pyramid_join(s->pyramid, r->level, *N, r->low + at * each,
                           r->detail ? r->detail + at * each * bands : NULL, picture);
}

static int open_records(wf_conditioning *s, wf_backend *backend, wf_records *records, int scale)
{
    int H, W;
    const wf_meta *model = &s->model->meta;
    const char *name = wf_records_name(records);
    s->records = records;
    const wf_meta *source = wf_records_meta(s->records);
    WF_TRY(check_kind(s->model, name, source->wavelet, source->signal, source->C, source->bits));
    if (source->signal == WF_VOLUME)
        WF_TRY(wf_meta_expect(source, name, model, s->model->path));
    wf_pyramid_size(source, source->top, &H, &W);
    /* in the same pyramid pictures of any size continue at their own level */
    bool same = source->levels == model->levels;
    wf_meta_clear(&s->meta);
    WF_TRY(wf_meta_copy(&s->meta, source));
    WF_TRY(
        enter_level(s, name, source->D, H, W, scale, same ? source->levels - source->top : halvings_to(model, H, W)));
    WF_TRY(set_rate(s, name, source->rate, s->meta.levels - s->level - (source->levels - source->top)));
    s->chunk = wf_pyramid_rows(source, source->top);
    return wf_pyramid_create(backend, source, s->chunk, &s->pyramid);
}

int wf_conditioning_records(const wf_model *model, wf_backend *backend, wf_records *records, int scale,
                            wf_conditioning **out)
{
    WF_TRY(create_conditioning(model, next_of_stream, out));
    return opened_or_destroyed(open_records(*out, backend, records, scale), out);
}

/* -- picture files ------------------------------------------------------------------------------------------------ */

static int read_image(wf_conditioning *s)
{
    WF_TRY(wf_images_next(s->images, &s->image, &s->name, &s->more));
    if (!s->more)
        return WF_OK;
    if (s->image.signal == WF_PICTURE)
        WF_TRY(wf_image_channels(&s->image, s->name, s->model->meta.C));
    return check_kind(s->model, s->name, NULL, s->image.signal, s->image.C, s->image.bits);
}

static int keep_name(wf_conditioning *s, int n)
{
    if (n >= s->owned) {
        char **grown = realloc(s->own, ((size_t)n + 1) * sizeof *grown);
        WF_CHECK(grown, WF_AGAIN, "%s: out of memory", s->name);
        grown[n] = NULL;
        s->own = grown;
        s->owned = n + 1;
    }
    free(s->own[n]);
    s->own[n] = s->image.name;
    s->image.name = NULL;
    s->names = (const char *const *)s->own;
    return WF_OK;
}

static int next_of_images(wf_conditioning *s, int most, int *N, float *picture, uint64_t *index)
{
    int H, W;
    size_t each = picture_size(s);
    wf_pyramid_size(&s->meta, s->level, &H, &W);
    for (; s->more && *N < most; ++*N) {
        WF_CHECK(s->image.H == H && s->image.W == W && s->image.D == wf_meta_slices(&s->meta, s->level + 1), WF_DATA,
                 "%s: %d x %d, want %d x %d, as the pictures before", s->name, s->image.H, s->image.W, H, W);
        WF_CHECK(s->image.rate == s->rate, WF_DATA, "%s: %d samples a second, want %d, as the sounds before", s->name,
                 s->image.rate, s->rate);
        for (size_t i = 0; i < each; i++)
            picture[(size_t)*N * each + i] = s->image.pixels[i];
        index[*N] = (uint64_t)s->done++;
        WF_TRY(keep_name(s, *N));
        WF_TRY(read_image(s));
    }
    return WF_OK;
}

static int open_images(wf_conditioning *s, char *const *paths, int count, int scale)
{
    WF_TRY(wf_images_open(paths, count, stdin, &s->images));
    wf_images_set_options(s->images, (wf_images_options){.volumes = s->model->meta.signal == WF_VOLUME});
    WF_TRY(read_image(s));
    WF_CHECK(s->more, WF_DATA, "%s: no picture", paths[0]);
    WF_TRY(enter_level(s, s->name, s->image.D, s->image.H, s->image.W, scale,
                       halvings_to(&s->model->meta, s->image.H, s->image.W)));
    s->rate = s->image.rate;
    return set_rate(s, s->name, s->rate, s->meta.levels - s->level);
}

int wf_conditioning_images(const wf_model *model, char *const *paths, int count, int scale, wf_conditioning **out)
{
    WF_TRY(create_conditioning(model, next_of_images, out));
    return opened_or_destroyed(open_images(*out, paths, count, scale), out);
}

/* -- all ---------------------------------------------------------------------------------------------------------- */

const char *const *wf_conditioning_names(const wf_conditioning *s)
{
    return s->names;
}

int wf_conditioning_next(wf_conditioning *s, int most, int *N, float **picture, uint64_t *index)
{
    *N = 0;
    *picture = NULL;
    s->names = NULL;
    if (s->level >= 0) {
        *picture = malloc((size_t)most * picture_size(s) * sizeof **picture);
        WF_CHECK(*picture, WF_AGAIN, "conditioning: out of memory for %d pictures", most);
    }
    int status = s->next(s, most, N, *picture, index);
    if (status || !*N) {
        free(*picture);
        *picture = NULL;
    }
    return status;
}
