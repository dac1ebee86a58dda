/* archive_read.c - reading archives: every byte belongs to something with a hash */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "archive_private.h"

enum { STEP = 1 << 16 }; /* memory grows with the bytes that are there, whatever a length says */

struct wf_archive {
    FILE *file;
    char *name;
    const wf_packer *packer; /* NULL: not compared */
    int channels, bits;
    int64_t begin;      /* of the archive in the file; 0 where that cannot seek */
    int64_t at, count;  /* bytes and pictures read */
    wf_bytes part;      /* what is being read, for its hash */
    wf_bytes index;     /* of the pictures that came, as the file should have it; or of all, if chosen by it */
    char *const *names; /* that are wanted; NULL: all */
    int name_count;
    bool *found;
    int H, W;              /* of the picture before */
    uint64_t all;          /* hash of all records */
    bool indexed, ended;   /* pictures are found by the index */
    size_t index_at;       /* place in it */
    int64_t total, offset; /* pictures of the index, and the offset of the next */
};

/* Reads n bytes to the end of a->part. */
static int take(wf_archive *a, size_t n)
{
    static const uint8_t zeros[STEP];
    while (n) {
        size_t step = n < STEP ? n : STEP;
        WF_TRY(wf_bytes_add(&a->part, zeros, step));
        errno = 0;
        size_t got = fread(a->part.bytes + a->part.n - step, 1, step, a->file);
        if (got < step && ferror(a->file))
            return wf_fail_errno("%s: cannot read", a->name);
        WF_CHECK(got == step, WF_DATA, "%s: cut off at byte %" PRId64, a->name, a->at + (int64_t)got);
        a->at += (int64_t)step;
        n -= step;
    }
    return WF_OK;
}

static int take_varint(wf_archive *a, uint64_t most, uint64_t *out)
{
    *out = 0;
    for (int i = 0; i < WF_VARINT - 1; i++) {
        WF_TRY(take(a, 1));
        uint8_t byte = a->part.bytes[a->part.n - 1];
        *out |= (uint64_t)(byte & 127) << 7 * i;
        if (byte & 128)
            continue;
        WF_CHECK(*out <= most, WF_DATA, "%s: damaged at byte %" PRId64, a->name, a->at - 1);
        return WF_OK;
    }
    return wf_fail(WF_DATA, "%s: damaged at byte %" PRId64, a->name, a->at - 1);
}

static int take_number(wf_archive *a, int n, uint64_t *out)
{
    WF_TRY(take(a, (size_t)n));
    *out = wf_bytes_number(a->part.bytes + a->part.n - n, n);
    return WF_OK;
}

static int damaged(const wf_archive *a, const char *what)
{
    return wf_fail(WF_DATA, "%s: damaged before byte %" PRId64 ": %s has another hash", a->name, a->at, what);
}

/* Reads the header, and compares it with that of an archive by this model. */
static int read_header(wf_archive *a)
{
    uint64_t hash;
    WF_TRY(take(a, WF_MARK + 4));
    const uint8_t *facts = a->part.bytes + WF_MARK;
    WF_CHECK(!memcmp(a->part.bytes, wf_archive_mark, WF_MARK), WF_DATA, "%s: not an archive of wf-pack", a->name);
    WF_CHECK(facts[0] == WF_ARCHIVE_VERSION, WF_DATA, "%s: version %d of the format, expected %d", a->name, facts[0],
             WF_ARCHIVE_VERSION);
    a->channels = facts[1];
    a->bits = facts[2];
    WF_TRY(take(a, 8));
    size_t n = a->part.n;
    WF_TRY(take_number(a, 4, &hash));
    if (hash != (uint32_t)wf_archive_hash(a->part.bytes, n, 0))
        return damaged(a, "the header");
    int bits = a->bits, halvings = a->part.bytes[WF_MARK + 3];
    WF_CHECK(a->channels >= 1 && a->channels <= WF_MAX_CHANNELS && bits >= 1 && bits <= 16 &&
                 bits + 2 * halvings <= WF_LATTICE_MAX_BITS,
             WF_DATA, "%s: its header says %d channels of %d bits and %d halvings, which no archive has", a->name,
             a->channels, bits, halvings);
    a->all = wf_archive_hash(a->part.bytes, a->part.n, 0);
    if (!a->packer)
        return WF_OK;
    wf_bytes own = {0};
    int status = wf_archive_header(a->packer, &own);
    if (!status && (own.n != a->part.n || memcmp(own.bytes, a->part.bytes, own.n)))
        status = wf_fail(WF_DATA, "%s: packed by another model", a->name);
    free(own.bytes);
    return status;
}

int wf_archive_open(FILE *file, const char *name, const wf_packer *packer, wf_archive **out)
{
    wf_archive *a = calloc(1, sizeof *a);
    WF_CHECK(a, WF_AGAIN, "%s: out of memory", name);
    *a = (wf_archive){.file = file, .name = strdup(name), .packer = packer, .begin = ftello(file)};
    a->begin = a->begin < 0 ? 0 : a->begin;
    int status = a->name ? read_header(a) : wf_fail(WF_AGAIN, "%s: out of memory", name);
    a->offset = a->at;
    if (status)
        wf_archive_close(a);
    else
        *out = a;
    return status;
}

int wf_archive_channels(const wf_archive *a)
{
    return a->channels;
}

int wf_archive_bits(const wf_archive *a)
{
    return a->bits;
}

void wf_archive_close(wf_archive *a)
{
    if (!a)
        return;
    free(a->name);
    free(a->part.bytes);
    free(a->index.bytes);
    free(a);
}

/* Goes to a byte of the archive, to read a new part. */
static int seek(wf_archive *a, int64_t at)
{
    if (fseeko(a->file, a->begin + at, SEEK_SET))
        return wf_fail_errno("%s: cannot seek", a->name);
    a->at = at;
    a->part.n = 0;
    return WF_OK;
}

/* Reads what a picture's record begins with. Sides that it does not have are those before. */
static int read_sides(wf_archive *a, bool same, uint64_t *H, uint64_t *W)
{
    *H = (uint64_t)a->H;
    *W = (uint64_t)a->W;
    if (same)
        return WF_OK;
    WF_TRY(take_varint(a, WF_MAX_SIDE, H));
    return take_varint(a, WF_MAX_SIDE, W);
}

/* Reads the rest of a picture's record, whose first number is `tag`. */
static int read_record(wf_archive *a, uint64_t tag, wf_packed *out)
{
    uint64_t length = (tag - 1) / 2, H, W, n, hash;
    size_t name_at = a->part.n;
    WF_TRY(take(a, length));
    WF_TRY(read_sides(a, (tag - 1) % 2, &H, &W));
    WF_CHECK(H && W, WF_DATA, "%s: damaged before byte %" PRId64 ": a picture without pixels", a->name, a->at);
    WF_TRY(take_varint(a, SIZE_MAX / 4, &n));
    size_t code_at = a->part.n;
    WF_TRY(take(a, n));
    uint64_t own = wf_archive_hash(a->part.bytes, a->part.n, (uint64_t)a->count);
    WF_TRY(take_number(a, 2, &hash));
    if (hash != (uint16_t)own)
        return damaged(a, "a picture");
    WF_CHECK(!memchr(a->part.bytes + name_at, 0, length), WF_DATA,
             "%s: damaged before byte %" PRId64 ": a name with a zero byte", a->name, a->at);
    a->all = wf_archive_chain(a->all, own);
    *out = (wf_packed){.H = (int)H, .W = (int)W, .n = n, .number = a->count, .bytes = (int64_t)a->part.n};
    out->name = strndup((const char *)a->part.bytes + name_at, length);
    out->code = malloc(n + 1);
    if (!out->name || !out->code) {
        wf_packed_clear(out);
        return wf_fail(WF_AGAIN, "%s: out of memory for a picture of %" PRIu64 " bytes", a->name, n);
    }
    memcpy(out->code, a->part.bytes + code_at, n);
    return WF_OK;
}

/* Reads the rest of the index, after its mark, and the end, and compares with the pictures that came. */
static int read_index(wf_archive *a)
{
    uint64_t count, all, hash, bytes;
    WF_TRY(take_varint(a, INT64_MAX, &count));
    size_t at = a->part.n;
    WF_CHECK(count == (uint64_t)a->count, WF_DATA, "%s: an index of %" PRIu64 " pictures, after %" PRId64, a->name,
             count, a->count);
    WF_TRY(take(a, a->index.n));
    WF_CHECK(!a->index.n || !memcmp(a->part.bytes + at, a->index.bytes, a->index.n), WF_DATA,
             "%s: the index is not that of its pictures", a->name);
    WF_TRY(take_number(a, 8, &all));
    size_t whole = a->part.n;
    WF_TRY(take_number(a, 8, &hash));
    WF_TRY(take_number(a, 8, &bytes));
    WF_TRY(take(a, WF_MARK));
    if (hash != wf_archive_hash(a->part.bytes, whole, 0))
        return damaged(a, "the index");
    if (all != a->all)
        return damaged(a, "a picture");
    WF_CHECK(bytes == a->part.n && !memcmp(a->part.bytes + a->part.n - WF_MARK, wf_archive_end, WF_MARK), WF_DATA,
             "%s: damaged at its end", a->name);
    WF_CHECK(fgetc(a->file) == EOF, WF_DATA, "%s: goes on after its end, at byte %" PRId64, a->name, a->at);
    return WF_OK;
}

/* True if a picture of that name, or name's hash, is wanted; with a name, notes that it was found. */
static bool is_wanted(wf_archive *a, const char *name, uint16_t hash)
{
    bool wanted = !a->names;
    for (int i = 0; i < a->name_count; i++) {
        bool same = name ? !strcmp(name, a->names[i]) : hash == wf_archive_name_hash(a->names[i]);
        if (same && name)
            a->found[i] = true;
        wanted = wanted || same;
    }
    return wanted;
}

/* Reads the next record in the order of the file. */
static int read_in_turn(wf_archive *a, wf_packed *out, bool *more)
{
    uint64_t tag;
    a->part.n = 0;
    WF_TRY(take_varint(a, 2 * WF_ARCHIVE_NAME + 2, &tag));
    *more = tag != 0;
    if (!tag) {
        a->ended = true;
        return read_index(a);
    }
    WF_TRY(read_record(a, tag, out));
    int status = wf_archive_entry(&a->index, a->part.n, (tag - 1) % 2, out);
    if (status)
        wf_packed_clear(out);
    a->H = out->H;
    a->W = out->W;
    a->count++;
    return status;
}

/* Gives the next number of the index; false at its end. */
static bool next_number(wf_archive *a, uint64_t *out)
{
    *out = 0;
    for (int i = 0; a->index_at < a->index.n && i < WF_VARINT - 1; i++) {
        uint8_t byte = a->index.bytes[a->index_at++];
        *out |= (uint64_t)(byte & 127) << 7 * i;
        if (!(byte & 128))
            return true;
    }
    return false;
}

/* Gives the next entry of the index, and sets the sides; false at its end. */
static bool next_entry(wf_archive *a, uint64_t *bytes, uint16_t *hash)
{
    uint64_t H = (uint64_t)a->H, W = (uint64_t)a->W;
    if (a->count >= a->total || !next_number(a, bytes))
        return false;
    if (*bytes % 2 && !(next_number(a, &H) && next_number(a, &W) && H <= WF_MAX_SIDE && W <= WF_MAX_SIDE))
        return false;
    *bytes /= 2;
    a->H = (int)H;
    a->W = (int)W;
    if (a->index.n - a->index_at < 2)
        return false;
    *hash = (uint16_t)wf_bytes_number(a->index.bytes + a->index_at, 2);
    a->index_at += 2;
    return true;
}

/* Reads the next record whose name has a wanted hash. */
static int read_by_index(wf_archive *a, wf_packed *out, bool *more)
{
    uint64_t bytes, tag;
    uint16_t hash;
    while ((*more = next_entry(a, &bytes, &hash))) {
        int64_t offset = a->offset;
        WF_CHECK(bytes <= INT64_MAX - (uint64_t)offset, WF_DATA, "%s: the index is damaged", a->name);
        a->offset += (int64_t)bytes;
        if (is_wanted(a, NULL, hash)) {
            WF_TRY(seek(a, offset));
            WF_TRY(take_varint(a, 2 * WF_ARCHIVE_NAME + 2, &tag));
            WF_CHECK(tag, WF_DATA, "%s: damaged at byte %" PRId64, a->name, offset);
            WF_TRY(read_record(a, tag, out));
        }
        a->count++;
        if (out->name)
            return WF_OK;
    }
    a->ended = true;
    return WF_OK;
}

int wf_archive_next(wf_archive *a, wf_packed *out, bool *more)
{
    *out = (wf_packed){0};
    *more = false;
    while (!a->ended) {
        WF_TRY((a->indexed ? read_by_index : read_in_turn)(a, out, more));
        if (!*more || is_wanted(a, out->name, 0))
            return WF_OK;
        wf_packed_clear(out);
    }
    return WF_OK;
}

/* Compares the size of the archive with the records that its index lists: an archive before it, or other bytes, would
 * not fit in. index: bytes of the index and the end. */
static int compare_size(wf_archive *a, int64_t size, uint64_t index)
{
    uint64_t bytes, sum = (uint64_t)a->offset + index;
    uint16_t hash;
    for (; sum <= (uint64_t)size && next_entry(a, &bytes, &hash); a->count++)
        sum += bytes < (uint64_t)size ? bytes : (uint64_t)size;
    WF_CHECK(sum == (uint64_t)size && a->count == a->total && a->index_at == a->index.n, WF_DATA,
             "%s: the index at its end is not that of the whole file", a->name);
    a->count = 0;
    a->index_at = 0;
    a->H = a->W = 0;
    return WF_OK;
}

/* Reads the index at the end of a file that can seek: its entries go to a->index. */
static int load_index(wf_archive *a, int64_t size)
{
    enum { TAIL = 16 + WF_MARK };
    uint64_t hash, count;
    WF_TRY(seek(a, size - TAIL));
    WF_TRY(take(a, TAIL));
    hash = wf_bytes_number(a->part.bytes, 8);
    uint64_t bytes = wf_bytes_number(a->part.bytes + 8, 8);
    WF_CHECK(!memcmp(a->part.bytes + 16, wf_archive_end, WF_MARK) && bytes > TAIL && bytes <= (uint64_t)size, WF_DATA,
             "%s: cut off or damaged: the index is not at its end", a->name);
    WF_TRY(seek(a, size - (int64_t)bytes));
    WF_TRY(take(a, bytes - TAIL));
    if (hash != wf_archive_hash(a->part.bytes, a->part.n, 0))
        return damaged(a, "the index");
    size_t whole = a->part.n;
    WF_TRY(seek(a, size - (int64_t)bytes));
    WF_TRY(take(a, 1));
    WF_TRY(take_varint(a, INT64_MAX, &count));
    a->total = (int64_t)count;
    size_t head = a->part.n;
    WF_CHECK(!a->part.bytes[0] && head + 8 <= whole, WF_DATA, "%s: damaged: no index at its end", a->name);
    a->part.n = 0;
    WF_TRY(take(a, whole - head - 8));
    WF_TRY(wf_bytes_add(&a->index, a->part.bytes, a->part.n));
    return compare_size(a, size, bytes);
}

int wf_archive_choose(wf_archive *a, char *const *names, int count, bool *found)
{
    a->names = names;
    a->name_count = count;
    a->found = found;
    memset(found, 0, (size_t)count * sizeof *found);
    int64_t size;
    if (fseeko(a->file, 0, SEEK_END) || (size = ftello(a->file)) < 0)
        return WF_OK; /* a pipe: pictures are read one after the other */
    size -= a->begin;
    WF_CHECK(size > a->at + 16 + WF_MARK, WF_DATA, "%s: cut off at byte %" PRId64, a->name, size);
    WF_TRY(load_index(a, size));
    a->indexed = true;
    return WF_OK;
}
