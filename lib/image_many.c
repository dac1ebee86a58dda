/* image_many.c - pictures decoded side by side: cut out of their files one after the other, then decoded at once */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "image_format.h"

typedef struct slot {
    wf_image image;
    wf_later later;
    char *name;
    int status;
    char *message; /* of a failure; each thread has its own wf_error */
} slot;

struct wf_many {
    slot *slots;
    int room;
};

void wf_many_free(wf_many *many)
{
    for (int i = 0; many && i < many->room; i++) {
        wf_image_clear(&many->slots[i].image);
        free(many->slots[i].later.code.bytes);
        free(many->slots[i].name);
        free(many->slots[i].message);
    }
    if (many)
        free(many->slots);
    free(many);
}

static int reserve(wf_many **many, int most)
{
    if (!*many)
        *many = calloc(1, sizeof **many);
    WF_CHECK(*many, WF_AGAIN, "out of memory");
    if ((*many)->room >= most)
        return WF_OK;
    slot *grown = realloc((*many)->slots, (size_t)most * sizeof *grown);
    WF_CHECK(grown, WF_AGAIN, "out of memory for %d pictures", most);
    memset(grown + (*many)->room, 0, (size_t)(most - (*many)->room) * sizeof *grown);
    (*many)->slots = grown;
    (*many)->room = most;
    return WF_OK;
}

static int take(wf_images *images, slot *s, bool *more)
{
    const char *name;
    s->later.read = NULL;
    s->later.code.size = 0;
    s->status = WF_OK;
    WF_TRY(wf_images_take(images, &s->image, &s->later, &name, more));
    if (!*more)
        return WF_OK;
    free(s->name);
    s->name = strdup(name);
    WF_CHECK(s->name, WF_AGAIN, "%s: out of memory", name);
    return WF_OK;
}

/* The bytes of a picture, as a source that comes to its end behind them. */
typedef struct cursor {
    const wf_code *code;
    size_t at;
} cursor;

static int fill_from_code(wf_source *source, uint8_t *to, size_t n, size_t *got)
{
    cursor *c = source->state;
    *got = c->code->size - c->at < n ? c->code->size - c->at : n;
    memcpy(to, c->code->bytes + c->at, *got);
    c->at += *got;
    return WF_OK;
}

static int decode(slot *s)
{
    cursor at = {.code = &s->later.code};
    wf_source *source;
    WF_TRY(wf_source_create(NULL, s->name, WF_FROM_LIST, &source));
    source->state = &at;
    source->fill = fill_from_code;
    source->offset = s->later.offset;
    int status = s->later.read(source, &s->image);
    wf_source_destroy(source);
    return status;
}

static void run(slot *s, int i, wf_image_use *use, void *context)
{
    s->status = s->later.read ? decode(s) : WF_OK;
    if (!s->status)
        s->status = use(context, i, &s->image, s->name);
    if (s->status) {
        free(s->message);
        s->message = strdup(wf_error());
    }
}

int wf_images_many(wf_images *images, int most, int threads, wf_image_use *use, void *context, int *count)
{
    int taken = 0, status = WF_OK;
    bool more = true;
    *count = 0;
    wf_many **many = wf_images_slots(images);
    WF_TRY(reserve(many, most));
    slot *slots = (*many)->slots;
    while (taken < most && !status && more) {
        status = take(images, &slots[taken], &more);
        taken += !status && more;
    }
    char message[1024];
    snprintf(message, sizeof message, "%s", wf_error()); /* threads include this one */
    if (threads == 1) { /* not in a parallel region, for the sake of a `use` that sets the number of threads */
        for (int i = 0; i < taken; i++)
            run(&slots[i], i, use, context);
    } else {
#pragma omp parallel for schedule(dynamic) num_threads(threads)
        for (int i = 0; i < taken; i++)
            run(&slots[i], i, use, context);
    }
    for (; *count < taken; ++*count)
        if (slots[*count].status)
            return wf_fail(slots[*count].status, "%s", slots[*count].message ? slots[*count].message : "out of memory");
    return status ? wf_fail(status, "%s", message) : WF_OK;
}

int wf_images_pass(wf_images *images, int64_t n, int64_t *count)
{
    bool more = true;
    wf_many **many = wf_images_slots(images);
    WF_TRY(reserve(many, 1));
    for (*count = 0; *count < n; ++*count) {
        WF_TRY(take(images, &(*many)->slots[0], &more));
        if (!more)
            break;
    }
    return WF_OK;
}
