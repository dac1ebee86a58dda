/* decompose.c - workers that decode, edit and transform batches of pictures side by side */
#include "decompose.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "../pyramid/pyramid.h"
#include "format.h"

/* On the host and into a store, pictures are transformed one by one, so that what is not yet encoded stays in cache;
 * else batch by batch. */
typedef struct worker {
    wf_backend *backend;
    wf_pyramid *pyramid;
    wf_store_encoded *encoded; /* or */
    float *pixels;             /* [size,H,W,C] */
    uint64_t *index;           /* [size] */
    char **names;              /* [size], owned */
} worker;

struct wf_decomposer {
    wf_images *images;
    wf_backend *backend;
    wf_decompose_options options;
    wf_meta meta;
    wf_image first; /* edited */
    bool looked;    /* meta and `first` are there */
    wf_store_writer *store;
    wf_writer *stream;
    worker *crew;
    int workers;
    bool direct;   /* picture by picture */
    int size;      /* of a full batch; not of the number of workers, so that neither a bit of the output is */
    int lowest;    /* level */
    int64_t kept;  /* pictures already in the store */
    int64_t skip;  /* of these, those that an interrupted command put there */
    int64_t count; /* pictures read */
    int64_t bad;
    bool anew;                     /* as in wf_decomposed */
    bool continued;                /* what the store has agrees with the input */
    _Atomic int64_t greys, opaque; /* workers count side by side */
    pthread_mutex_t watching;
};

int wf_decomposer_create(wf_images *images, wf_backend *backend, const wf_decompose_options *options,
                         wf_decomposer **out)
{
    wf_decomposer *d = calloc(1, sizeof *d);
    WF_CHECK(d, WF_AGAIN, "out of memory");
    pthread_mutex_init(&d->watching, NULL); /* never fails: no attributes */
    d->images = images;
    d->backend = backend;
    d->options = *options;
    wf_images_set_options(images, (wf_images_options){.length = options->length,
                                                      .stored = options->stored,
                                                      .deeper = options->edits.bits != 0,
                                                      .volumes = options->volumes,
                                                      .floats = options->floats});
    *out = d;
    return WF_OK;
}

static void dismiss(wf_decomposer *d)
{
    for (int i = 0; i < d->workers; i++) {
        worker *w = &d->crew[i];
        wf_pyramid_destroy(w->pyramid);
        if (w->backend && w->backend != d->backend)
            w->backend->close(w->backend);
        wf_store_encoded_destroy(w->encoded);
        free(w->pixels);
        free(w->index);
        for (int k = 0; k < d->size && w->names; k++)
            free(w->names[k]);
        free(w->names);
    }
    free(d->crew);
}

void wf_decomposer_destroy(wf_decomposer *d)
{
    if (!d)
        return;
    dismiss(d);
    wf_image_clear(&d->first);
    pthread_mutex_destroy(&d->watching);
    wf_meta_clear(&d->meta);
    free(d);
}

wf_meta *wf_decomposer_meta(wf_decomposer *d)
{
    return &d->meta;
}

wf_decomposed wf_decomposer_done(const wf_decomposer *d)
{
    return (wf_decomposed){d->kept - d->skip + d->count, d->kept, d->bad, d->anew, {d->greys, d->opaque}};
}

/* -- the first picture --------------------------------------------------------------------------------------------- */

static const char *advice(const wf_image *image)
{
    return image->signal == WF_PICTURE ? "; use --fit, --crop or --resize"
           : image->signal == WF_SOUND ? "; use --length"
                                       : "";
}

static int choose_levels(const wf_decompose_options *o, const wf_image *image, const char *name, int *out)
{
    char size[WF_SIZE_TEXT];
    int64_t sides[3], side = WF_MAX_SIDE;
    int most = WF_MAX_LEVELS, axes = wf_sides(image->signal, image->D, image->H, image->W, sides);
    wf_size_text(image->signal, image->D, image->H, image->W, size);
    for (int i = 0; i < axes; i++) {
        side = sides[i] < side ? sides[i] : side;
        while (sides[i] % (1 << most))
            most--;
    }
    int want = o->levels >= 0 ? o->levels : most;
    if (o->base) {
        for (want = 0; want < most && side >> want > o->base; want++)
            ;
        WF_CHECK(side >> want == o->base, WF_DATA, "%s: %s cannot be halved to a side of %d%s", name, size, o->base,
                 advice(image));
    }
    WF_CHECK(want <= most, WF_DATA, "%s: %s can be halved %d times, not %d%s", name, size, most, want, advice(image));
    WF_CHECK(o->level <= want, WF_USAGE, "there is no level %d: %s has levels 0 to %d", o->level, size, want);
    *out = want;
    return WF_OK;
}

static int begin(wf_decomposer *d, const wf_image *image, const char *name)
{
    const wf_decompose_options *o = &d->options;
    int levels = 0;
    WF_CHECK(!o->volumes || image->signal == WF_VOLUME, WF_DATA, "%s: a %s, want a volume, which --dims 3 speaks of",
             name, wf_signal_names[image->signal]);
    WF_CHECK(!o->length || image->signal == WF_SOUND, WF_DATA, "%s: a %s, want a sound, which --length cuts", name,
             wf_signal_names[image->signal]);
    WF_TRY(choose_levels(o, image, name, &levels));
    d->meta = (wf_meta){.levels = levels,
                        .top = o->level >= 0 ? o->level : levels,
                        .H = image->H,
                        .W = image->W,
                        .C = image->C,
                        .signal = image->signal,
                        .D = image->D,
                        .rate = image->rate,
                        .bits = image->bits};
    snprintf(d->meta.wavelet, sizeof d->meta.wavelet, "%s", o->wavelet);
    d->lowest = o->level >= 0 ? o->level : 0;
    d->looked = true;
    wf_images_set_options(d->images, (wf_images_options){.pictures = image->signal == WF_PICTURE,
                                                         .length = o->length,
                                                         .stored = o->stored,
                                                         .deeper = o->edits.bits != 0,
                                                         .volumes = o->volumes,
                                                         .floats = o->floats});
    return WF_OK;
}

/* Called after a picture that cannot be used. WF_OK continues with the next. */
static int skip(void *user, int status)
{
    wf_decomposer *d = user;
    char why[1024];
    bool skipped = false;
    if ((status != WF_DATA && status != WF_NOINPUT) || d->bad == d->options.skip_bad)
        return status;
    snprintf(why, sizeof why, "%s", wf_error());
    WF_TRY(wf_images_skip(d->images, &skipped));
    if (!skipped)
        return wf_fail(status, "%s", why);
    char *advice = strstr(why, WF_FIT_ADVICE); /* it is taken already */
    if (advice)
        *advice = '\0';
    d->options.skipped(d->options.user, why);
    d->bad++;
    return WF_OK;
}

static int edit(wf_decomposer *d, wf_image *image, const char *name, wf_edited *edited)
{
    WF_CHECK(!d->options.floats || !image->bits, WF_DATA,
             "%s: samples of %d bits, want a NumPy array of floats, which --float speaks of", name, image->bits);
    return wf_image_edit(image, name, &d->options.edits, d->looked ? &d->meta : NULL, edited);
}

static int copy_image(const wf_image *image, const char *name, wf_image *to)
{
    WF_TRY(wf_image_reserve(to, name, image->H, image->W, image->C, image->bits));
    to->signal = image->signal;
    to->D = image->D;
    to->rate = image->rate;
    size_t n = (size_t)image->H * (size_t)image->W * (size_t)image->C;
    memcpy(to->pixels, image->pixels, n * (image->bits ? sizeof *to->pixels : sizeof(float)));
    return WF_OK;
}

/* Copies and edits one picture, and gives it back to the reader. */
static int look_at(wf_decomposer *d, wf_image *image, const char *name)
{
    wf_edited ignored = {0}; /* counted when the picture comes again */
    WF_TRY(copy_image(image, name, &d->first));
    WF_TRY(edit(d, &d->first, name, &ignored));
    WF_TRY(begin(d, &d->first, name));
    return wf_images_unread(d->images, image, name);
}

int wf_decomposer_look(wf_decomposer *d, bool *more)
{
    wf_image image = {0};
    const char *name;
    int status;
    for (;;) {
        status = wf_images_next(d->images, &image, &name, more);
        if (!status && *more) {
            status = look_at(d, &image, name);
            if (status)
                wf_images_refuse(d->images);
        }
        if (!status || skip(d, status))
            break;
    }
    wf_image_clear(&image);
    return status;
}

/* -- batches ------------------------------------------------------------------------------------------------------- */

static int prepare(void *user, wf_image *image, const char *name)
{
    wf_decomposer *d = user;
    wf_edited edited = {0};
    WF_TRY(edit(d, image, name, &edited));
    d->greys += edited.greys;
    d->opaque += edited.opaque;
    return WF_OK;
}

/* Destination of a picture's strips, and the picture's index. */
typedef struct target {
    const wf_decomposer *d;
    wf_store_encoded *encoded;
    uint64_t index;
} target;

static int encode(void *user, int L, int rows, const float *low, const float *detail)
{
    const target *t = user;
    return L > t->d->meta.top ? WF_OK : wf_store_encode(t->encoded, L, t->index, rows, low, detail);
}

static void count_done(wf_decomposer *d, int64_t count)
{
    pthread_mutex_lock(&d->watching);
    wf_watched(&d->options.watch, -1, count);
    pthread_mutex_unlock(&d->watching);
}

/* Puts picture i of a batch, after `first` pictures, where the worker transforms it. */
static int stage(wf_decomposer *d, const worker *w, int64_t first, int i, wf_image *image)
{
    if (d->direct) {
        target t = {d, w->encoded, (uint64_t)(d->kept + first + i)};
        WF_TRY(wf_store_encode_name(w->encoded, t.index, image->name));
        return wf_pyramid_strips(w->pyramid, image->pixels, d->lowest, WF_STORE_ROWS, encode, &t);
    }
    free(w->names[i]);
    w->names[i] = image->name;
    image->name = NULL;
    size_t n = (size_t)image->H * (size_t)image->W * (size_t)image->C;
    float *to = w->pixels + (size_t)i * n;
    if (!image->bits)
        memcpy(to, wf_image_values(image), n * sizeof *to);
    for (size_t k = 0; k < n && image->bits; k++)
        to[k] = image->pixels[k];
    return WF_OK;
}

static int take(void *user, int number, int64_t first, int i, wf_image *image, const char *name)
{
    wf_decomposer *d = user;
    (void)name;
    WF_TRY(stage(d, &d->crew[number], first, i, image));
    count_done(d, 1);
    return WF_OK;
}

static int transform(void *user, int number, int N)
{
    const wf_decomposer *d = user;
    const worker *w = &d->crew[number];
    return d->backend->host && !d->direct ? wf_pyramid_split(w->pyramid, N, w->pixels, d->lowest) : WF_OK;
}

static int deliver(void *user, int number, int64_t first, int N)
{
    wf_decomposer *d = user;
    worker *w = &d->crew[number];
    if (d->direct)
        return wf_store_writer_put_encoded(d->store, &w->encoded);
    for (int i = 0; i < N; i++)
        w->index[i] = (uint64_t)(d->kept + first + i);
    if (!d->backend->host) /* workers that share a device take turns */
        WF_TRY(wf_pyramid_split(w->pyramid, N, w->pixels, d->lowest));
    for (int L = d->lowest; L <= d->meta.top; L++) {
        wf_record record = {.level = L, .N = N, .index = w->index, .names = (const char *const *)w->names};
        WF_TRY(wf_pyramid_level(w->pyramid, L, &record.low, &record.detail));
        WF_TRY(d->store ? wf_store_writer_put(d->store, &record) : wf_writer_put(d->stream, &record));
    }
    return WF_OK;
}

/* Each worker transforms on its own processor, or all of them on one device. */
static int hire(wf_decomposer *d, worker *w)
{
    const wf_meta *m = &d->meta;
    size_t samples = (size_t)m->H * (size_t)m->W * (size_t)m->C;
    if (d->direct)
        WF_TRY(wf_store_encoded_create(d->store, &w->encoded));
    else
        w->pixels = calloc((size_t)d->size, samples * sizeof *w->pixels);
    w->index = calloc((size_t)d->size, sizeof *w->index);
    w->names = calloc((size_t)d->size, sizeof *w->names);
    WF_CHECK((w->pixels || d->direct) && w->index && w->names, WF_AGAIN,
             "out of memory for %d pictures of %dx%d; use a smaller --batch or fewer --threads", d->size, m->H, m->W);
    w->backend = d->backend;
    if (d->backend->host)
        WF_TRY(wf_backend_open(d->backend->name, 1, &w->backend));
    return wf_pyramid_create(w->backend, m, d->direct ? 1 : d->size, &w->pyramid);
}

/* -- stores that are continued ------------------------------------------------------------------------------------- */

/* WF_DATA unless an edited picture is the one in the store, counted from the first kept one. Its highest level is
 * enough: the lower ones follow from that. */
static int compare(wf_decomposer *d, wf_image *image, int64_t at)
{
    worker *w = &d->crew[0];
    WF_TRY(stage(d, w, at - d->skip, 0, image));
    if (!d->direct) {
        const float *low, *detail;
        int L = d->meta.top;
        WF_TRY(wf_pyramid_split(w->pyramid, 1, w->pixels, L));
        WF_TRY(wf_pyramid_level(w->pyramid, L, &low, &detail));
        if (!w->encoded)
            WF_TRY(wf_store_encoded_create(d->store, &w->encoded));
        WF_TRY(wf_store_encode(w->encoded, L, (uint64_t)(d->kept - d->skip + at), wf_meta_level(&d->meta, L).H, low,
                               detail));
    }
    return wf_store_writer_compare(d->store, w->encoded);
}

/* Reads the next picture that is not skipped, and edits it. */
static int next_picture(wf_decomposer *d, wf_image *image, const char **name, bool *more)
{
    for (;;) {
        int status = wf_images_next(d->images, image, name, more);
        if (!status && *more && (status = prepare(d, image, *name)))
            wf_images_refuse(d->images);
        if (!status)
            return WF_OK;
        WF_TRY(skip(d, status));
    }
}

/* Passes over the pictures that are in the store. The last of them must be the one there, or it was made from
 * others. */
static int pass_over_kept(wf_decomposer *d, wf_image *image)
{
    const char *name, *path = wf_store_writer_path(d->store);
    bool more = true;
    if (!d->options.skip_bad) /* else each is decoded, to find the bad ones */
        WF_TRY(wf_images_pass(d->images, d->skip - 1, &d->count));
    count_done(d, d->count);
    while (d->count < d->skip) {
        WF_TRY(next_picture(d, image, &name, &more));
        WF_CHECK(more, WF_DATA,
                 "%s: was interrupted after %lld pictures, but the input has only %lld: give the same input, or remove "
                 "the folder",
                 path, (long long)d->skip, (long long)d->count);
        d->count++;
        count_done(d, 1);
    }
    int status = compare(d, image, d->skip - 1);
    WF_CHECK(status != WF_DATA, WF_DATA,
             "%s: was interrupted after picture %lld, which is not %s: give the same input, or remove the folder", path,
             (long long)d->skip - 1, name);
    return status;
}

static int restart(wf_decomposer *d)
{
    d->skip = d->kept = d->count = 0;
    return wf_store_writer_restart(d->store, &d->meta);
}

static int continue_store(wf_decomposer *d)
{
    wf_image image = {0};
    d->skip = wf_store_writer_unsealed(d->store);
    if (!d->skip)
        return WF_OK;
    bool refused = wf_store_writer_refused(d->store);
    int status = refused ? compare(d, &d->first, 0) : WF_OK;
    if (status == WF_DATA)
        return restart(d);
    if (!status)
        status = pass_over_kept(d, &image);
    wf_image_clear(&image);
    if (status != WF_DATA || !refused)
        return status;
    WF_TRY(restart(d));
    d->anew = true;
    return WF_DATA;
}

/* -- all ----------------------------------------------------------------------------------------------------------- */

static int run(wf_decomposer *d)
{
    wf_image_work work = {take, transform, deliver, d->options.skip_bad ? skip : NULL, d, prepare};
    int64_t count = 0;
    d->size = d->options.batch ? d->options.batch : wf_pyramid_rows(&d->meta, d->meta.levels);
    d->direct = d->store && d->backend->host && d->meta.bits; /* strips are of 16-bit samples */
    d->crew = calloc((size_t)d->backend->threads, sizeof *d->crew);
    WF_CHECK(d->crew, WF_AGAIN, "out of memory");
    d->workers = d->backend->threads;
    for (int i = 0; i < d->workers; i++)
        WF_TRY(hire(d, &d->crew[i]));
    if (d->store)
        WF_TRY(continue_store(d));
    d->continued = true;
    int status = wf_images_run(d->images, d->size, d->workers, &work, &count);
    d->count += count;
    return status;
}

int wf_decomposer_run(wf_decomposer *d, wf_store_writer *store, int64_t kept, wf_writer *stream)
{
    d->store = store;
    d->stream = stream;
    d->kept = kept;
    int status = run(d);
    if (store && d->continued && (status == WF_DATA || status == WF_NOINPUT || status == WF_USAGE)) {
        char why[1024];
        snprintf(why, sizeof why, "%s", wf_error());
        WF_TRY(wf_store_writer_refuse(store));
        return wf_fail(status, "%s", why);
    }
    return status;
}
