/* gzip.c - gzip as a source of bytes, by zlib, which checks the CRC of the contents; libarchive does not */
#include <inttypes.h>
#include <stdlib.h>
#include <zlib.h>

#include "../format.h"

bool wf_image_is_gzip(const uint8_t *head, size_t n)
{
    return n >= 3 && head[0] == 0x1f && head[1] == 0x8b && head[2] == 8;
}

typedef struct gzip {
    z_stream z;
    bool ended; /* the last member was complete */
} gzip;

/* Begins the next member of the file; *more = false if there is none. */
static int begin_member(wf_source *source, bool *more)
{
    gzip *g = source->state;
    const uint8_t *head;
    size_t have;
    WF_TRY(wf_source_peek(source->parent, 3, &head, &have));
    *more = wf_image_is_gzip(head, have);
    if (*more)
        WF_CHECK(inflateReset(&g->z) == Z_OK, WF_INTERNAL, "%s: inflateReset failed", source->name);
    return WF_OK;
}

static int fill_from_gzip(wf_source *source, uint8_t *to, size_t n, size_t *got)
{
    gzip *g = source->state;
    g->z.next_out = to;
    g->z.avail_out = (uInt)n;
    while (g->z.avail_out == n && !g->ended) {
        const uint8_t *bytes;
        size_t have;
        WF_TRY(wf_source_peek(source->parent, 1, &bytes, &have));
        WF_CHECK(have, WF_DATA, "%s: compressed data is cut off at byte %" PRIu64, source->name,
                 source->parent->offset);
        g->z.next_in = (Bytef *)bytes;
        g->z.avail_in = (uInt)have;
        int code = inflate(&g->z, Z_NO_FLUSH);
        wf_source_skip(source->parent, have - g->z.avail_in);
        WF_CHECK(code != Z_MEM_ERROR, WF_AGAIN, "%s: out of memory", source->name);
        WF_CHECK(code == Z_OK || code == Z_STREAM_END, WF_DATA, "%s: damaged compressed data near byte %" PRIu64 ": %s",
                 source->name, source->parent->offset, g->z.msg ? g->z.msg : "cannot be decoded");
        if (code == Z_STREAM_END) {
            bool more;
            WF_TRY(begin_member(source, &more));
            g->ended = !more;
        }
    }
    *got = n - g->z.avail_out;
    return WF_OK;
}

static void close_gzip(void *state)
{
    gzip *g = state;
    inflateEnd(&g->z);
    free(g);
}

int wf_image_open_gzip(wf_source *parent, wf_source **out)
{
    gzip *g = calloc(1, sizeof *g);
    WF_CHECK(g, WF_AGAIN, "%s: out of memory", parent->name);
    if (inflateInit2(&g->z, 16 + MAX_WBITS) != Z_OK) {
        free(g);
        return wf_fail(WF_AGAIN, "%s: cannot start to decompress", parent->name);
    }
    int status = wf_source_create(parent, parent->name, parent->origin, out);
    if (status) {
        close_gzip(g);
        return status;
    }
    (*out)->state = g;
    (*out)->fill = fill_from_gzip;
    (*out)->close = close_gzip;
    return WF_OK;
}
