/* reading.h - all pictures of some bytes or of a path, for tests */
#ifndef READING_H
#define READING_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../lib/image/image.h"
#include "scratch.h"

typedef struct result {
    int status, count;
    wf_image last;
    char names[512];
    wf_images_passed passed;
    char remark[256];
} result;

__attribute__((unused)) static result read_all(wf_images *images)
{
    static char first[512];
    result r = {0};
    const char *name;
    for (bool more = true; more && !r.status; r.count += more) {
        r.status = wf_images_next(images, &r.last, &name, &more);
        more = more && !r.status;
        size_t at = strlen(r.names);
        if (more)
            snprintf(r.names + at, sizeof r.names - at, "%s ", strrchr(name, '/') ? strrchr(name, '/') + 1 : name);
    }
    r.passed = wf_images_passed_over(images);
    snprintf(first, sizeof first, "%s", r.passed.first);
    r.passed.first = first;
    snprintf(r.remark, sizeof r.remark, "%s", wf_images_remark(images));
    wf_images_close(images);
    return r;
}

__attribute__((unused)) static result read_bytes(const void *bytes, size_t n)
{
    FILE *file = fmemopen((void *)bytes, n, "rb");
    wf_images *images;
    cr_assert_eq(wf_images_open(NULL, 0, file, &images), 0);
    result r = read_all(images);
    fclose(file);
    return r;
}

__attribute__((unused)) static result read_path(const char *path)
{
    char *paths[] = {(char *)path};
    wf_images *images;
    cr_assert_eq(wf_images_open(paths, 1, NULL, &images), 0);
    return read_all(images);
}

/* Bytes put one behind the other. */
typedef struct heap {
    uint8_t bytes[1 << 17];
    size_t n;
} heap;

__attribute__((unused)) static void put(heap *h, const void *bytes, size_t n)
{
    cr_assert(n <= sizeof h->bytes - h->n);
    memcpy(h->bytes + h->n, bytes, n);
    h->n += n;
}

/* A number of 2 or 4 bytes. */
__attribute__((unused)) static void put_number(heap *h, uint32_t value, int n, bool big)
{
    for (int i = 0; i < n; i++) {
        uint8_t byte = (uint8_t)(value >> 8 * (big ? n - 1 - i : i));
        put(h, &byte, 1);
    }
}

#endif
