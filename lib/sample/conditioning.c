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
    int64_t count, done;      /* without a source: pictures in all; place of the next one, of files too */
    const char *const *names; /* of the pictures handed out last */
    char **own;               /* [owned], those names, where the source does not keep them */
    int owned;
    wf_shard shard;                 /* that is handed out; n = 0: all */
    bool apart;                     /* pictures of different batches are */
    wf_conditioning_batch *batches; /* [most], of the pictures handed out last */
    /* a stream or store */
    wf_records *records; /* borrowed */
    wf_record record;    /* pictures from `used` on are still to be handed out */
    int64_t used;
    int record_count;    /* read so far */
    wf_pyramid *pyramid; /* joins `chunk` pictures */
    int chunk;
    /* picture files: the next picture, if `more` */
    wf_images *images;
    wf_image image;
    int rate; /* of the first sound */
    const char *name;
    bool more;
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
    free(s->batches);
    wf_meta_clear(&s->meta);
    free(s);
}

/* -- shards ------------------------------------------------------------------------------------------------------- */

int wf_conditioning_share(wf_conditioning *s, wf_shard shard, bool apart)
{
    s->apart = apart;
    if (!shard.n)
        return WF_OK;
    if (s->records)
        WF_TRY(wf_records_shard(s->records, shard));
    s->shard = s->meta.shard = shard;
    s->done = s->images ? 0 : wf_shard_place(shard, 0);
    return WF_OK;
}

/* Notes the batch of picture n of at most `most`. left: pictures of the batch from this one on, at most. False: it must
 * not be handed out with those before it, since batches are apart, or this one would be cut in two. */
static bool note_batch(wf_conditioning *s, int most, int n, wf_conditioning_batch batch, int64_t left)
{
    const wf_conditioning_batch *before = s->batches + n - 1;
    bool begins = n && (before->place != batch.place || before->record != batch.record);
    if (begins && (s->apart || n + left > most))
        return false;
    s->batches[n] = batch;
    return true;
}

/* Notes that of the next picture, of a run in batches of `most`. */
static bool note_own(wf_conditioning *s, int most, int n)
{
    int64_t first = s->done / most * most;
    return note_batch(s, most, n, (wf_conditioning_batch){first, 1, 0},
                      wf_shard_count(s->shard, s->done, first + most));
}

/* Keeps the name of picture n, an allocation that passes over. */
static int keep_name(wf_conditioning *s, int n, char *name)
{
    if (n >= s->owned) {
        char **grown = realloc(s->own, ((size_t)n + 1) * sizeof *grown);
        if (!grown)
            free(name);
        WF_CHECK(grown, WF_AGAIN, "out of memory for the names of %d pictures", n + 1);
        s->own = grown;
        s->owned = n + 1;
    } else {
        free(s->own[n]);
    }
    s->own[n] = name;
    s->names = (const char *const *)s->own;
    return WF_OK;
}

/* -- nothing ------------------------------------------------------------------------------------------------------ */

static int next_nothing(wf_conditioning *s, int most, int *N, float *picture, uint64_t *index)
{
    (void)picture;
    for (; *N < most && s->done < s->count; s->done = wf_shard_place(s->shard, s->done + 1)) {
        if (!note_own(s, most, *N))
            break;
        index[(*N)++] = (uint64_t)s->done;
    }
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
        s->record_count++;
    }
    return WF_OK;
}

/* Notes the batch of a record's picture number `at`, as picture n: runs take at most `rows` pictures of a record at
 * once. */
static bool note_batch_of_record(wf_conditioning *s, int most, int n, int64_t at, int rows)
{
    const wf_record *r = &s->record;
    int64_t each = r->each, left = r->N - at;
    wf_shard shard = s->meta.shard;
    wf_conditioning_batch batch = {r->batch, (int)each, s->record_count};
    bool whole = each && (r->N / each + 1) * shard.n * each <= rows; /* all of the run's record, at most */
    if (!whole && (!each || rows % each))
        return note_batch(s, most, n, (wf_conditioning_batch){0, 0, s->record_count}, 1);
    if (!whole) {
        int64_t own = wf_shard_place(shard, r->batch) + at / each * shard.n, places = rows / each;
        batch.place += (own - r->batch) / places * places;
        int64_t more = wf_shard_count(shard, own, batch.place + places) * each;
        left = more < left ? more : left;
    }
    return note_batch(s, most, n, batch, left);
}

/* Takes pictures of the record, as many as it has and as fit behind *N others. */
static int take_pictures(wf_conditioning *s, int most, int *N, float *picture, uint64_t *index)
{
    const wf_record *r = &s->record;
    wf_level_shape shape = wf_meta_level(wf_records_meta(s->records), r->level);
    size_t each = wf_count3(shape.H, shape.W, shape.C), at = (size_t)s->used;
    size_t bands = (size_t)wf_bands(s->meta.signal);
    int64_t left = r->N - s->used;
    int fit = most - *N < s->chunk ? most - *N : s->chunk, n = left < fit ? (int)left : fit;
    for (int i = 0; s->meta.shard.n && i < n; i++) {
        const char *name = r->names ? r->names[s->used + i] : NULL;
        char *copy = name ? strdup(name) : NULL;
        WF_CHECK(copy || !name, WF_AGAIN, "out of memory for the name of a picture");
        WF_TRY(keep_name(s, *N + i, copy));
        if (!note_batch_of_record(s, most, *N + i, s->used + i, most < s->chunk ? most : s->chunk))
            n = i;
    }
    memcpy(index + *N, r->index + at, (size_t)n * sizeof *index);
    if (!s->meta.shard.n)
        s->names = r->names ? r->names + at : NULL;
    s->used += n;
    *N += n;
    return n ? wf_pyramid_join(s->pyramid, r->level, n, r->low + at * each,
                               r->detail ? r->detail + at * each * bands : NULL,
                               picture + (size_t)(*N - n) * picture_size(s))
             : WF_OK;
}

/* Takes pictures of one record, so that a pipe gets them at once; of a shard, whose records are small, of several. */
static int next_of_stream(wf_conditioning *s, int most, int *N, float *picture, uint64_t *index)
{
    for (int before = -1; *N < most && *N != before;) {
        bool more;
        before = *N;
        WF_TRY(next_record(s, &more));
        if (!more)
            return WF_OK;
        WF_TRY(take_pictures(s, most, N, picture, index));
        if (!s->meta.shard.n)
            return WF_OK;
    }
    return WF_OK;
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

static int next_of_images(wf_conditioning *s, int most, int *N, float *picture, uint64_t *index)
{
    int H, W;
    size_t each = picture_size(s);
    wf_pyramid_size(&s->meta, s->level, &H, &W);
    for (; s->more && *N < most; s->done++) {
        WF_CHECK(s->image.H == H && s->image.W == W && s->image.D == wf_meta_slices(&s->meta, s->level + 1), WF_DATA,
                 "%s: %d x %d, want %d x %d, as the pictures before", s->name, s->image.H, s->image.W, H, W);
        WF_CHECK(s->image.rate == s->rate, WF_DATA, "%s: %d samples a second, want %d, as the sounds before", s->name,
                 s->image.rate, s->rate);
        if (wf_shard_place(s->shard, s->done) == s->done) {
            if (!note_own(s, most, *N))
                break;
            for (size_t i = 0; i < each; i++)
                picture[(size_t)*N * each + i] = s->image.pixels[i];
            WF_TRY(keep_name(s, *N, s->image.name));
            s->image.name = NULL;
            index[(*N)++] = (uint64_t)s->done;
        }
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

const wf_conditioning_batch *wf_conditioning_batches(const wf_conditioning *s)
{
    return s->meta.shard.n ? s->batches : NULL;
}

const char *const *wf_conditioning_names(const wf_conditioning *s)
{
    return s->names;
}

int wf_conditioning_next(wf_conditioning *s, int most, int *N, float **picture, uint64_t *index)
{
    *N = 0;
    *picture = NULL;
    s->names = NULL;
    if (!s->batches)
        s->batches = malloc((size_t)most * sizeof *s->batches);
    WF_CHECK(s->batches, WF_AGAIN, "conditioning: out of memory for %d pictures", most);
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
