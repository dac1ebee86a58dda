/* survey.c - counts pictures by shape, and those that would be refused */
#include "survey.h"

#include <stdlib.h>
#include <string.h>

static int order(int a, int b)
{
    return (a > b) - (a < b);
}

static int by_shape(const wf_meta *a, const wf_meta *b)
{
    const int pairs[][2] = {{(int)a->signal, (int)b->signal},
                            {a->H, b->H},
                            {a->W, b->W},
                            {a->D, b->D},
                            {a->C, b->C},
                            {a->bits, b->bits},
                            {a->rate, b->rate}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (pairs[i][0] != pairs[i][1])
            return order(pairs[i][0], pairs[i][1]);
    return 0;
}

static int by_count(const void *a, const void *b)
{
    const wf_survey_kind *x = a, *y = b;
    return x->count != y->count ? (x->count < y->count) - (x->count > y->count) : by_shape(&x->shape, &y->shape);
}

static wf_meta shape_of(const wf_image *image)
{
    return (wf_meta){.signal = image->signal,
                     .D = image->D,
                     .H = image->H,
                     .W = image->W,
                     .C = image->C,
                     .bits = image->bits,
                     .rate = image->rate};
}

/* Kinds are sorted by shape until all are counted. */
static int count_kind(wf_survey *s, const wf_image *image)
{
    wf_meta shape = shape_of(image);
    int low = 0, high = s->kind_count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (by_shape(&s->kinds[middle].shape, &shape) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    s->pictures++;
    if (low == s->kind_count || by_shape(&s->kinds[low].shape, &shape) != 0) {
        if ((s->kind_count & (s->kind_count - 1)) == 0) { /* 0 and powers of two: doubles */
            size_t room = s->kind_count ? 2 * (size_t)s->kind_count : 1;
            wf_survey_kind *grown = realloc(s->kinds, room * sizeof *grown);
            WF_CHECK(grown, WF_AGAIN, "out of memory for %zu sizes of pictures", room);
            s->kinds = grown;
        }
        memmove(s->kinds + low + 1, s->kinds + low, (size_t)(s->kind_count - low) * sizeof *s->kinds);
        s->kinds[low] = (wf_survey_kind){shape, 0};
        s->kind_count++;
    }
    s->kinds[low].count++;
    return WF_OK;
}

/* Keeps the message of the last failure, the n-th of its kind, if it is among the first. */
static int keep_message(char **messages, int64_t n)
{
    if (n > WF_SURVEY_MESSAGES)
        return WF_OK;
    messages[n - 1] = strdup(wf_error());
    WF_CHECK(messages[n - 1], WF_AGAIN, "out of memory");
    return WF_OK;
}

static int look_at(wf_survey *s, const wf_edits *edits, wf_image *image, const char *name)
{
    WF_TRY(count_kind(s, image));
    int status = wf_image_edit(image, name, edits, s->edited.H ? &s->edited : NULL, &s->done);
    if (status == WF_DATA || status == WF_USAGE) {
        return keep_message(s->why_refused, ++s->refused);
    }
    WF_TRY(status);
    if (!s->edited.H)
        s->edited = shape_of(image);
    return WF_OK;
}

/* Passes over what could not be read. */
static int pass_bad(wf_images *images, wf_survey *s, int status, bool *more)
{
    bool skipped = false;
    if (status != WF_DATA && status != WF_NOINPUT)
        return status;
    WF_TRY(keep_message(s->why_bad, ++s->bad));
    *more = !wf_images_skip(images, &skipped) && skipped;
    s->ended = *more;
    return WF_OK;
}

int wf_survey_run(wf_images *images, wf_images_options options, const wf_edits *edits, const wf_watch *watch,
                  wf_survey *s)
{
    wf_image image = {0};
    const char *name;
    int status = WF_OK;
    *s = (wf_survey){.ended = true};
    for (bool more = true; more && !status;) {
        options.pictures = s->pictures && s->kinds[0].shape.signal == WF_PICTURE; /* the least by shape */
        wf_images_set_options(images, options);
        status = wf_images_next(images, &image, &name, &more);
        if (status)
            status = pass_bad(images, s, status, &more);
        else if (more)
            status = look_at(s, edits, &image, name);
        wf_watched(watch, -1, more);
    }
    wf_image_clear(&image);
    if (s->kind_count)
        qsort(s->kinds, (size_t)s->kind_count, sizeof *s->kinds, by_count);
    if (status)
        wf_survey_clear(s);
    return status;
}

void wf_survey_clear(wf_survey *s)
{
    free(s->kinds);
    for (int i = 0; i < WF_SURVEY_MESSAGES; i++) {
        free(s->why_bad[i]);
        free(s->why_refused[i]);
    }
    *s = (wf_survey){0};
}
