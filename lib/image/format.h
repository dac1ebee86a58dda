/* format.h - private to lib/image: byte sources, and what a picture format provides.
 *
 * To add a format: write formats/NAME.c with wf_image_is_NAME and wf_image_read_NAME, and add one row below. */
#ifndef WF_FORMAT_H
#define WF_FORMAT_H

#include "image.h"

typedef enum wf_origin {
    WF_FROM_STREAM, /* standard input */
    WF_FROM_PATH,   /* named by the user */
    WF_FROM_LIST,   /* found in a folder or an archive: may be something else than a picture */
} wf_origin;

/* Pictures without anything between them, as IDX and NumPy keep them. */
typedef struct wf_array {
    int64_t left; /* pictures not yet read */
    int64_t D;    /* slices of volumes, which together have H rows; 0: pictures */
    int64_t H, W, C;
    bool planar;     /* [C,H,W] in place of [H,W,C] */
    int bytes;       /* 1 or 2 of a sample */
    bool big_endian; /* of 2 */
} wf_array;

/* Bytes of one picture, not decoded. Cutting leaves out nothing that its decoder would read, and ends early where the bytes
 * do: it is the decoder that says what is wrong with a damaged picture. */
typedef struct wf_code {
    uint8_t *bytes; /* owned */
    size_t size, capacity;
} wf_code;

/* Bytes to come from a file, a pipe, an archive's entry or a decompressor, with look-ahead. */
typedef struct wf_source wf_source;
struct wf_source {
    /* Up to n > 0 bytes; *got = 0 at the end only. */
    int (*fill)(wf_source *source, uint8_t *to, size_t n, size_t *got);
    /* An archive goes to its next entry, of which `fill` then gives the bytes. NULL: there is one item only. */
    int (*advance)(wf_source *source, bool *more);
    void (*close)(void *state);
    void *state;
    wf_source *parent; /* borrowed: the source that this one decodes, or NULL */

    char *name;       /* "a.tar:b/c.png", then "#2" for the third picture of one item */
    size_t name_base; /* length without that number */
    wf_origin origin;
    FILE *file; /* where the bytes come from a file as it is, for formats that are not read in order; or NULL */
    const wf_code *code;    /* where they are one picture's, and all there: those; or NULL */
    bool link;              /* an archive's other name of something: no bytes of its own */
    bool ended;             /* fill has told the end */
    wf_array array;         /* that is being read, if any are left */
    bool beside;            /* what was read is no picture, but something that lies beside pictures: labels */
    int64_t length;         /* of the pieces of a sound, 0: whole */
    int64_t rest;           /* samples of a sound behind its last piece */
    bool volumes;           /* NumPy arrays are volumes */
    struct wf_sound *sound; /* that is being cut in pieces, or NULL */
    bool lone;              /* what is behind the picture that was read is none of its kind */
    int64_t pictures;       /* read from this item so far */
    const void *last;       /* private to walk.c: format of the last of them */
    uint64_t offset;        /* bytes of this item before `begin` */
    size_t begin, end;      /* part of the buffer not yet consumed */
    uint8_t buffer[1 << 16];
};

int wf_source_create(wf_source *parent, const char *name, wf_origin origin, wf_source **out) WF_MUST;
void wf_source_destroy(wf_source *source);
/* `borrowed`, called "stdin", or the file at `path` when it is NULL. */
int wf_source_open_file(const char *path, FILE *borrowed, wf_origin origin, wf_source **out) WF_MUST;

/* Begins a new item called `prefix` or `prefix:entry`. */
int wf_source_begin(wf_source *source, const char *prefix, const char *entry) WF_MUST;
/* Puts the number of the picture to come behind the name. */
void wf_source_number(wf_source *source);

/* At least `want` bytes (at most the size of the buffer) without consuming them, fewer only at the end. */
int wf_source_peek(wf_source *source, size_t want, const uint8_t **bytes, size_t *have) WF_MUST;
void wf_source_skip(wf_source *source, size_t n); /* at most what was peeked */
/* Exactly n bytes; WF_DATA when the end comes first. */
int wf_source_read(wf_source *source, void *to, size_t n) WF_MUST;
/* n bytes in *bytes, which the caller frees. Memory grows with what is there, whatever n is. */
int wf_source_take(wf_source *source, size_t n, uint8_t **bytes) WF_MUST;
/* One byte, or -1 at the end. */
int wf_source_byte(wf_source *source, int *byte) WF_MUST;

/* What may follow a picture in the same file. */
typedef enum wf_follow {
    WF_PICTURES, /* others, of any format */
    WF_ANYTHING, /* others, or whatever programs leave behind a file's only picture */
    WF_SAME,     /* others of the same format only */
} wf_follow;

/* READ(id, name, bytes needed to recognise it, what may follow): a picture format.
 * CODE(the same): one that costs time to decode and whose pictures can be cut out of a source without that.
 * OPEN(id, bytes needed to recognise it): a format that holds files. In order of those bytes, so that a small picture in
 * a pipe need not wait for more. */
#define WF_IMAGE_FORMATS(READ, CODE, OPEN)        \
    OPEN(gzip, 3)                                 \
    READ(pnm, "PNM", 3, WF_PICTURES)              \
    READ(pam, "PAM", 3, WF_PICTURES)              \
    CODE(jpeg, "JPEG", 3, WF_ANYTHING)            \
    READ(idx, "IDX", 4, WF_PICTURES)              \
    OPEN(zip, 4)                                  \
    OPEN(compressed, 6)                           \
    READ(npy, "NumPy", 6, WF_PICTURES)            \
    CODE(png, "PNG", 8, WF_ANYTHING)              \
    READ(tfrecord, "TFRecord", 12, WF_SAME)       \
    CODE(webp, "WebP", 12, WF_ANYTHING)           \
    READ(sound, "sound", 12, WF_PICTURES)         \
    OPEN(lmdb, 24)                                \
    OPEN(tar, 512)                                \
    READ(cifar10, "CIFAR-10", 16 * 3073, WF_SAME) \
    READ(cifar100, "CIFAR-100", 16 * 3074, WF_SAME)

enum { WF_MAX_CODE = 1 << 30 }; /* more bytes cannot be of WF_MAX_PIXELS */

/* Appends the next n bytes, or as many as there are, or as reach WF_MAX_CODE: *whole says which. */
int wf_code_take(wf_code *code, wf_source *source, size_t n, bool *whole) WF_MUST;

typedef bool wf_is(const uint8_t *head, size_t n); /* n < the bytes needed: that is all there is */

#define WF_READ(id, name, head, follow) \
    wf_is wf_image_is_##id;             \
    int wf_image_read_##id(wf_source *source, wf_image *image) WF_MUST;
#define WF_CODE(id, name, head, follow) \
    WF_READ(id, name, head, follow)     \
    int wf_image_cut_##id(wf_source *source, wf_code *code) WF_MUST;
#define WF_OPEN(id, head)   \
    wf_is wf_image_is_##id; \
    int wf_image_open_##id(wf_source *parent, wf_source **out) WF_MUST;
WF_IMAGE_FORMATS(WF_READ, WF_CODE, WF_OPEN)
#undef WF_READ
#undef WF_CODE
#undef WF_OPEN

void wf_sound_close(struct wf_sound *sound); /* NULL is allowed */

/* Shared by decoders of 8 bits: they put samples at wf_image_bytes, [H,W,C], and wf_image_spread makes pixels of them. */
uint8_t *wf_image_bytes(const wf_image *image);
void wf_image_spread(wf_image *image);
/* Shared by IDX and NumPy: the next picture of source->array. */
int wf_image_read_array(wf_source *source, wf_image *image) WF_MUST;
/* What was read turned out to be no picture: passed over where it lies beside pictures, else WF_DATA with `what`. */
int wf_image_no_pictures(wf_source *source, const char *what) WF_MUST;

/* A picture cut out of its source, to be decoded by `read`; NULL: none was, it was decoded at once. */
typedef struct wf_later {
    wf_code code;
    int (*read)(wf_source *source, wf_image *image);
    uint64_t offset; /* of its first byte in the item */
} wf_later;

/* wf_images_next, or, with `later`, only what has to be done in order: the picture is in `image` or in `later`. */
int wf_images_take(wf_images *images, wf_image *image, wf_later *later, const char **name, bool *more) WF_MUST;

/* Shared by PNM and PAM: H*W*C binary samples of 1 or, above maxval 255, 2 bytes, most significant first. */
int wf_image_read_samples(wf_source *source, wf_image *image, int64_t H, int64_t W, int64_t C, int64_t maxval) WF_MUST;
/* Bits that hold samples of 0..maxval: 8 to 16, exact where maxval + 1 is a power of two. */
int wf_image_maxval_bits(int64_t maxval);
/* v of 0..from to 0..to, rounded. */
static inline uint16_t wf_image_rescale(uint32_t v, uint32_t from, uint32_t to)
{
    return (uint16_t)(from == to ? v : ((uint64_t)v * to + from / 2) / from);
}

#endif
