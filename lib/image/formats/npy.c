/* npy.c - NumPy's .npy: reads pictures, volumes and tables, writes volumes
 *
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html: magic, version, the length of a header, the
 * header, which is a Python dictionary of descr, fortran_order and shape, and the samples. image.h lists how shapes are
 * interpreted. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../base/dtype.h"
#include "../../base/file.h"
#include "../format.h"

enum { MAGIC = 6, MAX_RANK = 5, MAX_TEXT = 16 };

bool wf_image_is_npy(const uint8_t *head, size_t n)
{
    return n >= MAGIC && !memcmp(head, "\x93NUMPY", MAGIC);
}

typedef struct header {
    char descr[MAX_TEXT]; /* "|u1"; "" when it is a list of fields */
    bool fortran_order;
    int rank;
    int64_t shape[MAX_RANK]; /* of the first dimensions */
} header;

/* ---- the dictionary ---------------------------------------------------------------------------------------------- */

static void skip_blanks(const char **at)
{
    while (isspace((unsigned char)**at))
        ++*at;
}

static bool take_mark(const char **at, char mark)
{
    skip_blanks(at);
    bool found = **at == mark;
    *at += found;
    return found;
}

/* Parses 'text' or "text". */
static bool take_text(const char **at, char to[MAX_TEXT])
{
    skip_blanks(at);
    char quote = **at;
    if (quote != '\'' && quote != '"')
        return false;
    const char *begin = ++*at, *end = strchr(begin, quote);
    if (!end || end - begin >= MAX_TEXT)
        return false;
    memcpy(to, begin, (size_t)(end - begin));
    to[end - begin] = '\0';
    *at = end + 1;
    return true;
}

static bool take_number(const char **at, int64_t *to)
{
    skip_blanks(at);
    const char *begin = *at;
    for (*to = 0; isdigit((unsigned char)**at); ++*at)
        if (!WF_MUL(*to, 10, to) || !WF_ADD(*to, **at - '0', to))
            return false;
    return *at > begin;
}

/* Parses (), (3,) or (3, 4); a comma after the last number is optional. */
static bool take_shape(const char **at, header *h)
{
    if (!take_mark(at, '('))
        return false;
    for (h->rank = 0; !take_mark(at, ')'); h->rank++) {
        int64_t size;
        if (!take_number(at, &size))
            return false;
        if (h->rank < MAX_RANK)
            h->shape[h->rank] = size;
        skip_blanks(at);
        if (!take_mark(at, ',') && **at != ')')
            return false;
    }
    return true;
}

/* Skips a list of fields. NumPy writes no brackets into the strings in it. */
static bool skip_list(const char **at)
{
    int depth = 0;
    do {
        depth += **at == '[';
        depth -= **at == ']';
    } while (*(*at)++ && depth);
    return !depth;
}

static bool take_bool(const char **at, bool *to)
{
    skip_blanks(at);
    *to = !strncmp(*at, "True", 4);
    if (!*to && strncmp(*at, "False", 5))
        return false;
    *at += *to ? 4 : 5;
    return true;
}

static bool take_descr(const char **at, header *h)
{
    skip_blanks(at);
    return **at == '[' ? skip_list(at) : take_text(at, h->descr);
}

static bool parse_header(const char *text, header *h)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    unsigned seen = 0;
    *h = (header){0};
    if (!take_mark(&text, '{'))
        return false;
    while (!take_mark(&text, '}')) {
        char key[MAX_TEXT];
        unsigned which = 0;
        if (!take_text(&text, key) || !take_mark(&text, ':'))
            return false;
        while (which < 3 && strcmp(key, keys[which]))
            which++;
        bool good = which == 0   ? take_descr(&text, h)
                    : which == 1 ? take_bool(&text, &h->fortran_order)
                    : which == 2 ? take_shape(&text, h)
                                 : false;
        skip_blanks(&text);
        if (!good || seen >> which & 1 || (!take_mark(&text, ',') && *text != '}'))
            return false;
        seen |= 1u << which;
    }
    skip_blanks(&text);
    return !*text && seen == 7;
}

/* Writes "|u1", "<u2" or ">u2" for the names that other writers of the format use, and that NumPy reads: cnpy has
 * "<u1". "=" or nothing is the byte order of this machine. */
static void unify_descr(char descr[MAX_TEXT])
{
    static const char *const names[][3] = {{"u1", "B", "uint8"}, {"u2", "H", "uint16"}};
    bool big = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    char order = *descr && strchr("<>|=", *descr) ? *descr : '=';
    const char *plain = descr + (*descr == order);
    for (int bytes = 1; bytes <= 2; bytes++)
        for (int i = 0; i < 3; i++)
            if (!strcmp(plain, names[bytes - 1][i])) {
                snprintf(descr, MAX_TEXT, "%cu%d", bytes == 1 ? '|' : order != '=' ? order : big ? '>' : '<', bytes);
                return;
            }
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

static void format_shape(const header *h, char to[128])
{
    int at = snprintf(to, 128, "[");
    for (int i = 0; i < h->rank && i < MAX_RANK; i++)
        at += snprintf(to + at, 128 - (size_t)at, "%s%" PRId64, i ? "," : "", h->shape[i]);
    snprintf(to + at, 128 - (size_t)at, "%s] of %s", h->rank > MAX_RANK ? ",..." : "", *h->descr ? h->descr : "fields");
}

static bool is_channels(int64_t size)
{
    return size >= 1 && size <= WF_MAX_CHANNELS;
}

/* Side of a flat picture of CIFAR or downsampled ImageNet, from its row of side * side * 3 samples; 0 for other
 * rows. */
static int64_t flat_side(int64_t row)
{
    return row == 3072 ? 32 : row == 12288 ? 64 : 0;
}

/* 2 dimensions: flat pictures or a grey one. 3: a picture [H,W,C], or grey ones. 4: [N,H,W,C] or [N,C,H,W]. */
static int choose_pictures(const wf_source *source, const header *h, wf_array *a, int64_t *count)
{
    const int64_t *s = h->shape;
    int64_t side = flat_side(s[1]);
    char shape[128];
    format_shape(h, shape);
    if (h->rank == 2 && side)
        *a = (wf_array){.H = side, .W = side, .C = 3, .planar = true};
    else if (h->rank == 2)
        *a = (wf_array){.H = s[0], .W = s[1], .C = 1};
    else if (h->rank == 3 && is_channels(s[2]))
        *a = (wf_array){.H = s[0], .W = s[1], .C = s[2]};
    else if (h->rank == 3) {
        WF_CHECK(!is_channels(s[0]) || s[0] == 1, WF_DATA,
                 "%s: NumPy array %s may be one picture [C,H,W] or grey ones [N,H,W]: save it with 4 dimensions",
                 source->name, shape);
        *a = (wf_array){.H = s[1], .W = s[2], .C = 1};
    } else if (is_channels(s[3]))
        *a = (wf_array){.H = s[1], .W = s[2], .C = s[3]};
    else
        *a = (wf_array){.C = s[1], .H = s[2], .W = s[3], .planar = true};
    *count = (h->rank == 2 && !side) || (h->rank == 3 && is_channels(s[2])) ? 1 : s[0];
    WF_CHECK(*count, WF_DATA, "%s: NumPy array %s has 0 pictures, want 1 or more", source->name, shape);
    return WF_OK;
}

/* 3 dimensions: a volume; 4: one [D,H,W,C], or [N,D,H,W]; 5: [N,D,H,W,C]. */
static int choose_volumes(const wf_source *source, const header *h, wf_array *a, int64_t *count)
{
    const int64_t *s = h->shape;
    bool colours = h->rank == 5 || (h->rank == 4 && is_channels(s[3]));
    bool many = h->rank == 5 || (h->rank == 4 && !colours);
    char shape[128];
    format_shape(h, shape);
    WF_CHECK(h->rank >= 3, WF_DATA, "%s: NumPy array %s, want volumes of 3 to 5 dimensions", source->name, shape);
    s += many;
    *a = (wf_array){.D = s[0], .W = s[2], .C = colours ? s[3] : 1};
    *count = many ? h->shape[0] : 1;
    WF_CHECK(*count > 0 && s[0] > 0 && s[0] <= WF_MAX_SIDE && s[1] > 0 && WF_MUL(s[0], s[1], &a->H), WF_DATA,
             "%s: NumPy array %s, want volumes of 1 to %d slices and 1 or more rows", source->name, shape, WF_MAX_SIDE);
    return WF_OK;
}

/* 2 dimensions: a field [H,W]; 3: [N,H,W]; 4: [N,H,W,C]. */
static int choose_fields(const wf_source *source, const header *h, wf_array *a, int64_t *count)
{
    const int64_t *s = h->shape + (h->rank > 2);
    char shape[128];
    format_shape(h, shape);
    *a = (wf_array){.H = s[0], .W = s[1], .C = h->rank == 4 ? s[2] : 1, .floats = true};
    *count = h->rank > 2 ? h->shape[0] : 1;
    WF_CHECK(*count, WF_DATA, "%s: NumPy array %s has 0 fields, want 1 or more", source->name, shape);
    return WF_OK;
}

static int read_header(wf_source *source, header *h)
{
    uint8_t head[MAGIC + 2], length[4] = {0};
    WF_TRY(wf_source_read(source, head, sizeof head));
    WF_CHECK(head[MAGIC] >= 1 && head[MAGIC] <= 3, WF_DATA, "%s: NumPy format %d.%d, want 1 to 3", source->name,
             head[MAGIC], head[MAGIC + 1]);
    WF_TRY(wf_source_read(source, length, head[MAGIC] == 1 ? 2 : 4));
    uint32_t n = length[0] | (uint32_t)length[1] << 8 | (uint32_t)length[2] << 16 | (uint32_t)length[3] << 24;
    char text[WF_MAX_ARRAY_HEADER + 1];
    WF_CHECK(n <= WF_MAX_ARRAY_HEADER, WF_DATA, "%s: NumPy header of %" PRIu32 " bytes, want at most %d", source->name,
             n, WF_MAX_ARRAY_HEADER);
    WF_TRY(wf_source_read(source, text, n));
    text[n] = '\0';
    WF_CHECK(strlen(text) == n && parse_header(text, h), WF_DATA, "%s: damaged NumPy header", source->name);
    unify_descr(h->descr);
    return WF_OK;
}

/* ---- which arrays are pictures ----------------------------------------------------------------------------------- */

/* Takes "<f4" apart. False: not numbers. */
static bool take_type(const char *descr, char *kind, int *size, bool *big_endian)
{
    const char *plain = descr + (*descr && strchr("<>|=", *descr));
    *kind = *plain;
    *size = *plain && plain[1] && !plain[2] ? plain[1] - '0' : 0;
    *big_endian = *descr == '>';
    return *plain && strchr("iufb", *plain) && (*size == 1 || *size == 2 || *size == 4 || *size == 8) &&
           !(*kind == 'f' && *size == 1) && !(*kind == 'b' && *size > 1);
}

static bool has_samples(const header *h)
{
    return !strcmp(h->descr, "|u1") || !strcmp(h->descr, "<u2") || !strcmp(h->descr, ">u2");
}

/* A column is a list of labels, not a picture of one pixel's width. */
static bool is_column(const header *h)
{
    return h->rank == 2 && h->shape[1] == 1;
}

/* Arrays in a folder or archive are also labels by name, as "train_labels.npy" or "y_test.npy". */
static bool is_named_like_labels(const char *name)
{
    const char *base = name + strlen(name);
    while (base > name && base[-1] != '/' && base[-1] != ':')
        base--;
    return strcasestr(base, "label") || strcasestr(base, "target") || !strncasecmp(base, "y_", 2) ||
           !strcasecmp(base, "y.npy");
}

static void describe(const header *h, bool labels, wf_npy_look *look)
{
    look->rank = h->rank;
    look->count = h->rank ? h->shape[0] : 1;
    look->pictures = has_samples(h) && h->rank >= 2 && h->rank <= MAX_RANK && !labels;
    format_shape(h, look->shape);
}

/* Tells how an array of other numbers becomes one of pictures; "": labels and the like. */
static const char *advice_for(const header *h, bool labels)
{
    const char *kind = h->descr + (*h->descr && strchr("<>|=", *h->descr));
    if (labels || h->rank < 2 || h->rank > MAX_RANK)
        return "";
    return *kind == 'f'                              ? "; numbers of 0 to 1: save (255*a).round().astype('uint8')"
           : *kind == 'b' || *kind == '?'            ? "; masks: save 255*a.astype('uint8')"
           : *kind && strchr("iu", *kind) && kind[1] ? "; numbers of 0 to 255: save a.astype('uint8')"
                                                     : "";
}

static bool is_labels(const wf_source *source, const header *h)
{
    return h->rank == 1 || is_column(h) ||
           (h->rank == 2 && source->origin == WF_FROM_LIST &&
            (is_named_like_labels(source->name) || wf_npz_has_count(source->npz, h->shape[0])));
}

int wf_npy_look_at(wf_source *source, wf_npy_look *look)
{
    header h;
    WF_TRY(read_header(source, &h));
    describe(&h, is_labels(source, &h), look);
    return WF_OK;
}

static int64_t square_side(int64_t n)
{
    int64_t side = 1;
    while (side < WF_MAX_SIDE && side * side < n)
        side++;
    return side * side == n ? side : 0;
}

/* Remarks that rows of an array taken for one picture may be pictures themselves: squares, grey or in three colours. */
static void remark_on_rows(const wf_source *source, const header *h, char remark[256])
{
    enum { LEAST = 4 };
    if (h->rank != 2 || flat_side(h->shape[1]) || h->shape[0] == h->shape[1])
        return;
    int64_t N = h->shape[0], grey = square_side(h->shape[1]);
    int64_t colour = h->shape[1] % 3 ? 0 : square_side(h->shape[1] / 3), side = grey ? grey : colour;
    if (side >= LEAST)
        snprintf(remark, 256,
                 "%.80s: NumPy array [%" PRId64 ",%" PRId64
                 "] is taken for one grey picture; if its rows are pictures of "
                 "%" PRId64 "x%" PRId64 ", save a.reshape(%" PRId64 ",%s%" PRId64 ",%" PRId64 ")",
                 source->name, N, h->shape[1], side, side, N, grey ? "" : "3,", side, side);
}

static int begin_fields(wf_source *source, const header *h, wf_series **series)
{
    wf_array array;
    int64_t count = 0;
    wf_npy_look look;
    char kind;
    int bytes;
    bool big_endian;
    describe(h, false, &look);
    if (!take_type(h->descr, &kind, &bytes, &big_endian) || kind != 'f' || h->rank < 2 || h->rank > 4) {
        char what[384];
        snprintf(what, sizeof what, "NumPy array %s, want fields: <f2, <f4 or <f8 of 2 to 4 dimensions", look.shape);
        return wf_image_not_image(source, what);
    }
    WF_CHECK(!source->npz, WF_DATA, "%s: in an archive: save the fields by numpy.save", source->name);
    WF_CHECK(!h->fortran_order, WF_DATA, "%s: NumPy array in Fortran order: save numpy.ascontiguousarray of it",
             source->name);
    WF_TRY(choose_fields(source, h, &array, &count));
    array.bytes = bytes;
    array.big_endian = big_endian;
    return wf_image_begin_array(source, count, &array, series);
}

int wf_image_begin_npy(wf_source *source, const wf_images_options *options, wf_series **series)
{
    header h;
    wf_array array;
    int64_t count = 0;
    *series = NULL;
    WF_TRY(read_header(source, &h));
    if (options->floats)
        return begin_fields(source, &h, series);
    wf_npy_look look;
    bool labels = is_labels(source, &h);
    describe(&h, labels, &look);
    if (!look.pictures || h.rank > (options->volumes ? MAX_RANK : MAX_RANK - 1)) {
        char what[384];
        snprintf(what, sizeof what,
                 "NumPy array %s%s, want pictures: |u1, <u2 or >u2 of 2 to 4 dimensions, or volumes%s", look.shape,
                 labels ? ", which are labels" : "", has_samples(&h) ? "" : advice_for(&h, labels));
        source->labels = labels;
        return wf_image_not_image(source, what);
    }
    WF_CHECK(!h.fortran_order, WF_DATA, "%s: NumPy array in Fortran order: save numpy.ascontiguousarray of it",
             source->name);
    WF_TRY(options->volumes ? choose_volumes(source, &h, &array, &count) : choose_pictures(source, &h, &array, &count));
    array.bytes = strcmp(h.descr, "|u1") ? 2 : 1;
    array.big_endian = !strcmp(h.descr, ">u2");
    if (source->npz)
        WF_TRY(wf_npz_begin(source->npz, source, &look));
    WF_TRY(wf_image_begin_array(source, count, &array, series));
    if (!options->volumes)
        remark_on_rows(source, &h, (*series)->remark);
    return WF_OK;
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static int read_table(wf_source *source, wf_table *out)
{
    header h;
    char kind, shape[128];
    int size;
    bool big_endian;
    const uint8_t *head;
    uint8_t *bytes;
    size_t have, count;
    WF_TRY(wf_source_peek(source, MAGIC, &head, &have));
    WF_CHECK(wf_image_is_npy(head, have), WF_DATA, "%s: expected a .npy, as numpy.save writes it", source->name);
    WF_TRY(read_header(source, &h));
    format_shape(&h, shape);
    bool numbers = take_type(h.descr, &kind, &size, &big_endian);
    int64_t columns = h.rank == 2 ? h.shape[1] : 1;
    WF_CHECK(numbers && (h.rank == 1 || h.rank == 2) && columns >= 1 && columns <= INT16_MAX && h.shape[0] >= 1,
             WF_DATA, "%s: NumPy array %s, expected numbers in 1 dimension, or in 2: rows and columns", source->name,
             shape);
    WF_CHECK(!h.fortran_order || columns == 1, WF_DATA,
             "%s: NumPy array in Fortran order: save numpy.ascontiguousarray of it", source->name);
    WF_CHECK(WF_MUL((size_t)h.shape[0], (size_t)columns, &count) && count <= SIZE_MAX / sizeof(double), WF_DATA,
             "%s: NumPy array %s is too large", source->name, shape);
    WF_TRY(wf_source_take(source, count * (size_t)size, &bytes));
    *out = (wf_table){h.shape[0], (int)columns, kind != 'f', malloc(count * sizeof *out->values)};
    for (size_t i = 0; i < count && out->values; i++)
        out->values[i] = wf_array_number(bytes + i * (size_t)size, kind, size, big_endian);
    free(bytes);
    WF_CHECK(out->values, WF_AGAIN, "%s: out of memory for %zu numbers", source->name, count);
    return WF_OK;
}

int wf_table_read(const char *path, wf_table *out)
{
    wf_source *source;
    *out = (wf_table){0};
    WF_TRY(wf_source_open_file(path, NULL, WF_FROM_PATH, &source));
    int status = read_table(source, out);
    wf_source_destroy(source);
    return status;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Pads the header with blanks, so that the samples begin at a multiple of 64 bytes. */
static bool write_header(FILE *file, const wf_image *image, bool bytes)
{
    char text[256], colours[16] = "";
    if (image->C > 1)
        snprintf(colours, sizeof colours, ", %d", image->C);
    int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%d, %d, %d%s), }",
                     bytes ? "|u1" : "<u2", image->D, image->H / image->D, image->W, colours);
    int length = (MAGIC + 4 + n + 1 + 63) / 64 * 64 - (MAGIC + 4);
    const uint8_t head[4] = {1, 0, (uint8_t)length, (uint8_t)(length >> 8)};
    size_t written = fwrite("\x93NUMPY", 1, MAGIC, file) + fwrite(head, 1, sizeof head, file);
    return written + (size_t)fprintf(file, "%-*s\n", length - 1, text) == (size_t)(MAGIC + 4 + length);
}

int wf_image_write_npy(FILE *file, const char *name, const wf_image *image)
{
    size_t n = (size_t)image->H * (size_t)image->W * (size_t)image->C;
    bool bytes = image->bits <= 8;
    uint32_t from = (1u << image->bits) - 1, to = bytes ? 255 : 65535;
    uint8_t *samples = malloc(2 * n);
    WF_CHECK(samples, WF_AGAIN, "%s: out of memory", name);
    for (size_t i = 0; i < n; i++) {
        uint16_t v = wf_image_rescale(image->pixels[i], from, to);
        if (bytes) {
            samples[i] = (uint8_t)v;
        } else {
            samples[2 * i] = (uint8_t)v;
            samples[2 * i + 1] = (uint8_t)(v >> 8);
        }
    }
    size_t size = bytes ? n : 2 * n;
    bool good = write_header(file, image, bytes) && fwrite(samples, 1, size, file) == size;
    free(samples);
    return good ? WF_OK : wf_fail_write(name);
}

int wf_npy_write_head(FILE *file, const char *name, int rank, const int64_t *shape)
{
    enum { BEFORE = MAGIC + 4 }; /* bytes before the text */
    char head[WF_NPY_HEAD + 1] = "\x93NUMPY\x01\x00";
    char sides[96] = "";
    for (int i = 0, used = 0; i < rank; i++)
        used += snprintf(sides + used, sizeof sides - (size_t)used, "%s%" PRId64, i ? ", " : "", shape[i]);
    int used = snprintf(head + BEFORE, sizeof head - BEFORE,
                        "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }", sides);
    head[MAGIC + 2] = WF_NPY_HEAD - BEFORE;
    memset(head + BEFORE + used, ' ', (size_t)(WF_NPY_HEAD - BEFORE - used));
    head[WF_NPY_HEAD - 1] = '\n';
    return fwrite(head, 1, WF_NPY_HEAD, file) == WF_NPY_HEAD ? WF_OK : wf_fail_write(name);
}
