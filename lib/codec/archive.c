/* archive.c - packed pictures, and writing them */
#include "archive_private.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "../base/file.h"

const uint8_t wf_archive_mark[WF_MARK] = {0x89, 'W', 'F', 'P', '\r', '\n', 0x1a, '\n'};
const uint8_t wf_archive_end[WF_MARK] = {'\r', '\n', 'W', 'F', 'P', 0x1a, '\n', 0x89};

int wf_bytes_add(wf_bytes *to, const void *from, size_t n)
{
    if (n > to->room - to->n) {
        size_t room = 2 * to->room + n;
        uint8_t *grown = realloc(to->bytes, room);
        WF_CHECK(grown, WF_AGAIN, "out of memory for %zu bytes", room);
        to->bytes = grown;
        to->room = room;
    }
    if (n)
        memcpy(to->bytes + to->n, from, n);
    to->n += n;
    return WF_OK;
}

int wf_bytes_add_number(wf_bytes *to, uint64_t number, int n)
{
    uint8_t bytes[8];
    for (int i = 0; i < n; i++)
        bytes[i] = (uint8_t)(number >> 8 * i);
    return wf_bytes_add(to, bytes, (size_t)n);
}

int wf_bytes_add_varint(wf_bytes *to, uint64_t number)
{
    uint8_t bytes[WF_VARINT];
    size_t n = 0;
    for (; number > 127; number >>= 7)
        bytes[n++] = (uint8_t)(number | 128);
    bytes[n++] = (uint8_t)number;
    return wf_bytes_add(to, bytes, n);
}

uint64_t wf_bytes_number(const uint8_t *bytes, int n)
{
    uint64_t number = 0;
    for (int i = 0; i < n; i++)
        number |= (uint64_t)bytes[i] << 8 * i;
    return number;
}

uint64_t wf_archive_hash(const void *bytes, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, n, seed);
}

static uint64_t hash_name(const char *name)
{
    return wf_archive_hash(name, strlen(name), 0);
}

uint16_t wf_archive_name_hash(const char *name)
{
    return (uint16_t)hash_name(name);
}

uint64_t wf_archive_chain(uint64_t all, uint64_t record)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(record >> 8 * i);
    return wf_archive_hash(bytes, sizeof bytes, all);
}

int wf_archive_entry(wf_bytes *index, uint64_t bytes, bool same, const wf_packed *packed)
{
    WF_TRY(wf_bytes_add_varint(index, 2 * bytes + !same));
    if (!same) {
        WF_TRY(wf_bytes_add_varint(index, (uint64_t)packed->H));
        WF_TRY(wf_bytes_add_varint(index, (uint64_t)packed->W));
    }
    return wf_bytes_add_number(index, wf_archive_name_hash(packed->name), 2);
}

int wf_archive_header(const wf_packer *packer, wf_bytes *out)
{
    int n = wf_packer_levels(packer);
    WF_TRY(wf_bytes_add(out, wf_archive_mark, WF_MARK));
    WF_TRY(wf_bytes_add_number(out, WF_ARCHIVE_VERSION, 1));
    WF_TRY(wf_bytes_add_number(out, (uint64_t)wf_packer_channels(packer), 1));
    WF_TRY(wf_bytes_add_number(out, (uint64_t)wf_packer_bits(packer), 1));
    WF_TRY(wf_bytes_add_number(out, (uint64_t)n, 1));
    size_t at = out->n;
    for (int level = 0; level <= n; level++)
        WF_TRY(wf_bytes_add_number(out, wf_packer_hash(packer, level), 8));
    uint64_t model = wf_archive_hash(out->bytes + at, out->n - at, 0);
    out->n = at;
    WF_TRY(wf_bytes_add_number(out, model, 8));
    return wf_bytes_add_number(out, wf_archive_hash(out->bytes, out->n, 0), 4);
}

/* -- pictures ------------------------------------------------------------------------------------------------------ */

void wf_packed_clear(wf_packed *packed)
{
    free(packed->name);
    free(packed->code);
    *packed = (wf_packed){0};
}

int wf_packed_make(const wf_packer *packer, wf_packer_work *work, const wf_image *image, const char *name,
                   wf_packed *out)
{
    const char *own = image->name ? image->name : "";
    size_t length = strlen(own);
    own += length > WF_ARCHIVE_NAME ? length - WF_ARCHIVE_NAME : 0;
    *out = (wf_packed){.H = image->H, .W = image->W};
    WF_TRY(wf_pack(packer, work, image, name, hash_name(own), &out->code, &out->n));
    out->name = strdup(own);
    if (out->name)
        return WF_OK;
    wf_packed_clear(out);
    return wf_fail(WF_AGAIN, "%s: out of memory", name);
}

int wf_packed_image(const wf_packer *packer, wf_packer_work *work, const wf_packed *packed, wf_image *image)
{
    WF_TRY(wf_image_reserve(image, "size", packed->H, packed->W, wf_packer_channels(packer), wf_packer_bits(packer)));
    return wf_unpack(packer, work, packed->code, packed->n, hash_name(packed->name), image);
}

/* -- writing ------------------------------------------------------------------------------------------------------- */

struct wf_archive_writer {
    FILE *file;
    char *name;
    int64_t bytes, count;
    int H, W;               /* of the picture before */
    uint64_t all;           /* hash of all records */
    wf_bytes record, index; /* the index without its mark and count */
};

static int write_bytes(wf_archive_writer *w, const wf_bytes *from)
{
    if (fwrite(from->bytes, 1, from->n, w->file) != from->n)
        return wf_fail_write(w->name);
    w->bytes += (int64_t)from->n;
    return WF_OK;
}

int wf_archive_create(FILE *file, const char *name, const wf_packer *packer, wf_archive_writer **out)
{
    wf_archive_writer *w = calloc(1, sizeof *w);
    WF_CHECK(w, WF_AGAIN, "%s: out of memory", name);
    w->file = file;
    w->name = strdup(name);
    int status = w->name ? wf_archive_header(packer, &w->record) : wf_fail(WF_AGAIN, "%s: out of memory", name);
    if (!status)
        status = write_bytes(w, &w->record);
    if (!status)
        w->all = wf_archive_hash(w->record.bytes, w->record.n, 0);
    if (status)
        wf_archive_writer_destroy(w);
    else
        *out = w;
    return status;
}

int wf_archive_put(wf_archive_writer *w, const wf_packed *p)
{
    wf_bytes *r = &w->record;
    size_t length = strlen(p->name);
    bool same = p->H == w->H && p->W == w->W;
    r->n = 0;
    WF_TRY(wf_bytes_add_varint(r, 1 + 2 * length + same));
    WF_TRY(wf_bytes_add(r, p->name, length));
    if (!same) {
        WF_TRY(wf_bytes_add_varint(r, (uint64_t)p->H));
        WF_TRY(wf_bytes_add_varint(r, (uint64_t)p->W));
    }
    WF_TRY(wf_bytes_add_varint(r, p->n));
    WF_TRY(wf_bytes_add(r, p->code, p->n));
    uint64_t hash = wf_archive_hash(r->bytes, r->n, (uint64_t)w->count);
    WF_TRY(wf_bytes_add_number(r, hash, 2));
    WF_TRY(wf_archive_entry(&w->index, r->n, same, p));
    w->all = wf_archive_chain(w->all, hash);
    w->H = p->H;
    w->W = p->W;
    w->count++;
    return write_bytes(w, r);
}

int wf_archive_finish(wf_archive_writer *w, int64_t *bytes)
{
    wf_bytes *r = &w->record;
    r->n = 0;
    WF_TRY(wf_bytes_add_varint(r, 0));
    WF_TRY(wf_bytes_add_varint(r, (uint64_t)w->count));
    WF_TRY(wf_bytes_add(r, w->index.bytes, w->index.n));
    WF_TRY(wf_bytes_add_number(r, w->all, 8));
    WF_TRY(wf_bytes_add_number(r, wf_archive_hash(r->bytes, r->n, 0), 8));
    WF_TRY(wf_bytes_add_number(r, r->n + 8 + WF_MARK, 8));
    WF_TRY(wf_bytes_add(r, wf_archive_end, WF_MARK));
    WF_TRY(write_bytes(w, r));
    *bytes = w->bytes;
    return WF_OK;
}

void wf_archive_writer_destroy(wf_archive_writer *w)
{
    if (!w)
        return;
    free(w->name);
    free(w->record.bytes);
    free(w->index.bytes);
    free(w);
}
