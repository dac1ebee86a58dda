/* format.h - private to lib/image: byte sources, and the interface of a picture format
 *
 * To add a format: write formats/NAME.c and add one row to WF_IMAGE_FORMATS below. */
#ifndef WF_FORMAT_H
#define WF_FORMAT_H

#include "image.h"

typedef enum wf_origin {
    WF_FROM_STREAM, /* standard input */
    WF_FROM_PATH,   /* named by the user */
    WF_FROM_LIST,   /* found in a folder or an archive, where files other than pictures are expected */
    WF_FROM_VALUES, /* a value of a database: a picture, or a note beside the pictures */
} wf_origin;

/* The undecoded bytes of one picture. A cut keeps all bytes that the decoder reads. It ends early where the bytes end,
 * so that the decoder can report what is wrong with a damaged picture. */
typedef struct wf_code {
    uint8_t *bytes; /* owned */
    size_t size, capacity;
} wf_code;

typedef struct wf_source wf_source;

enum { WF_MAX_COMPANIONS = 16 }; /* of a JPEG: views of other eyes, previews, maps of brightness or depth */

/* Pictures that share one header: an array of pictures, or a sound cut in pieces. Each format puts a struct of its own
 * around this one. */
typedef struct wf_series wf_series;
struct wf_series {
    int64_t left;      /* pictures not yet read */
    int64_t remainder; /* samples of a sound after its last piece, which belong to no picture */
    char remark[256];  /* how an ambiguous header was understood; "": it is not ambiguous */
    int (*read)(wf_series *series, wf_source *source, wf_image *image); /* the next picture */
    void (*close)(wf_series *series);                                   /* frees it */
};

/* Bytes of a file, a pipe, an archive's entry or a decompressor, with look-ahead. One source gives one item after the
 * other; an item is a file, or an entry of an archive. A source knows no format. */
struct wf_source {
    /* Gives up to n > 0 bytes; *got = 0 only at the end. */
    int (*fill)(wf_source *source, uint8_t *to, size_t n, size_t *got);
    /* Goes to the next entry of an archive, whose bytes `fill` gives from then on. NULL: the source has one item. */
    int (*advance)(wf_source *source, bool *more);
    void (*close)(void *state);
    void *state;
    wf_source *parent; /* borrowed: the source that this one decodes, or NULL */

    char *name;       /* "a.tar:b/c.png", then "#2" for the third picture of one item */
    size_t name_base; /* length without that number */
    size_t entry;     /* where the path inside an archive begins in the name; its end outside of archives */
    wf_origin origin;
    FILE *file;          /* a plain file whose bytes these are, for formats that read at any offset; or NULL */
    const wf_code *code; /* borrowed: all bytes of the only picture, where they are in memory; or NULL */
    bool link;           /* the item is an archive's link to another: it has no bytes */
    bool ended;          /* fill has returned the end */
    bool single;         /* a format has set this: bytes after the picture read do not belong to further pictures */
    bool labels;         /* a format has set this: the item is an array of labels */
    char other[384];     /* a format has set this: the item holds something else than pictures; "": not known */
    bool trailing;       /* private to walk.c: bytes behind the last picture were counted */
    wf_series *series;   /* owned: the series being read, or NULL */
    struct wf_npz *npz;  /* owned: what is known of the .npz whose entries these are; or NULL */
    int companions;      /* of the JPEG read last from a stream; -1: their number or place is unknown */
    uint64_t companion[WF_MAX_COMPANIONS]; /* offset of each, ascending */
    int64_t pictures;                      /* read from this item so far */
    int64_t begun;                         /* of these, single ones; and series begun */
    const void *last;                      /* private to walk.c: format of the last of them */
    uint64_t offset;                       /* bytes of this item before `begin` */
    size_t begin, end;                     /* the part of the buffer that is not yet consumed */
    uint8_t buffer[1 << 16];
};

/* WF_AGAIN: out of memory. The name is copied, `parent` is borrowed until destroy. */
int wf_source_create(wf_source *parent, const char *name, wf_origin origin, wf_source **out) WF_MUST;
void wf_source_destroy(wf_source *source); /* NULL is allowed */
/* Reads `borrowed`, called "stdin", or the file at `path` if `borrowed` is NULL. */
int wf_source_open_file(const char *path, FILE *borrowed, wf_origin origin, wf_source **out) WF_MUST;

/* Reads one picture whose bytes are in memory. `code` is borrowed until destroy. */
int wf_source_open_code(const char *name, const wf_code *code, wf_source **out) WF_MUST;

/* Begins a new item called `prefix` or `prefix:entry`. */
int wf_source_begin(wf_source *source, const char *prefix, const char *entry) WF_MUST;
/* Appends the number of the next picture to the name, if it is not the first of its item. */
void wf_source_number(wf_source *source);
/* Names the last picture read from the top of a stack of sources, from byte `skip` of the first one's name on; see
 * wf_images_next. array: it is one of an array. *out, which the caller frees, is NULL if it has no name. WF_AGAIN: out
 * of memory. */
int wf_source_given_name(wf_source *const *stack, int depth, size_t skip, bool array, char **out) WF_MUST;
/* Closes the series being read, if there is one. */
void wf_source_end_series(wf_source *source);

/* Shows at least `want` bytes (at most the size of the buffer) without consuming them; fewer only at the end. */
int wf_source_peek(wf_source *source, size_t want, const uint8_t **bytes, size_t *have) WF_MUST;
void wf_source_skip(wf_source *source, size_t n); /* at most what was peeked */
/* Reads exactly n bytes; WF_DATA if the end comes first. */
int wf_source_read(wf_source *source, void *to, size_t n) WF_MUST;
/* Reads n bytes into *bytes, which the caller frees. Memory grows with the bytes that exist, whatever n is. */
int wf_source_take(wf_source *source, size_t n, uint8_t **bytes) WF_MUST;
/* Passes over white space. */
int wf_source_skip_space(wf_source *source) WF_MUST;
/* Reads one byte; -1 at the end. */
int wf_source_byte(wf_source *source, int *byte) WF_MUST;

/* Contents that may follow a picture in the same file. */
typedef enum wf_follow {
    WF_PICTURES, /* pictures of any format */
    WF_ANYTHING, /* pictures of any format, or bytes that programs append to a file's only picture or sound */
    WF_SAME,     /* pictures of the same format */
} wf_follow;

/* Four kinds of formats. `head`: bytes needed to recognise the format.
 *
 *     READ(id, name, head, follow)    one picture after the other: wf_image_is_ID, wf_image_read_ID
 *     CODE(id, name, head, follow)    slow to decode, quick to cut out of its source undecoded: also wf_image_cut_ID
 *     SERIES(id, name, head, follow)  several pictures under one header: wf_image_is_ID, wf_image_begin_ID
 *     OPEN(id, head)                  holds files, or compresses one: wf_image_is_ID, wf_image_open_ID
 *
 * Rows are in ascending order of `head`, so that a small picture in a pipe is recognised without waiting for more. */
#define WF_IMAGE_FORMATS(READ, CODE, SERIES, OPEN) \
    OPEN(gzip, 3)                                  \
    READ(pnm, "PNM", 3, WF_PICTURES)               \
    READ(pam, "PAM", 3, WF_PICTURES)               \
    CODE(jpeg, "JPEG", 3, WF_ANYTHING)             \
    SERIES(idx, "IDX", 4, WF_PICTURES)             \
    OPEN(compressed, 6)                            \
    SERIES(npy, "NumPy", 6, WF_PICTURES)           \
    CODE(png, "PNG", 8, WF_ANYTHING)               \
    READ(tfrecord, "TFRecord", 12, WF_SAME)        \
    CODE(webp, "WebP", 12, WF_ANYTHING)            \
    SERIES(sound, "sound", 12, WF_ANYTHING)        \
    OPEN(lmdb, 24)                                 \
    OPEN(zip, 288)                                 \
    OPEN(tar, 512)                                 \
    READ(cifar10, "CIFAR-10", 16 * 3073, WF_SAME)  \
    READ(cifar100, "CIFAR-100", 16 * 3074, WF_SAME)

enum { WF_MAX_CODE = 1 << 30 }; /* a picture of WF_MAX_PIXELS never needs more bytes */

/* Appends the next n bytes, or fewer at the end and at WF_MAX_CODE. *whole: all n were appended. */
int wf_code_take(wf_code *code, wf_source *source, size_t n, bool *whole) WF_MUST;

typedef bool wf_is(const uint8_t *head, size_t n); /* n is less than `head` only if the item has no more bytes */
wf_is wf_is_torch;                                 /* a zip of PyTorch, which is not one of pictures (kind.c) */

#define WF_READ(id, name, head, follow) \
    wf_is wf_image_is_##id;             \
    int wf_image_read_##id(wf_source *source, wf_image *image) WF_MUST;
#define WF_CODE(id, name, head, follow) \
    WF_READ(id, name, head, follow)     \
    int wf_image_cut_##id(wf_source *source, wf_code *code) WF_MUST;
/* Reads the header. *series = NULL: the item holds something else than pictures, such as labels, and is passed over. */
#define WF_SERIES(id, name, head, follow) \
    wf_is wf_image_is_##id;               \
    int wf_image_begin_##id(wf_source *source, const wf_images_options *options, wf_series **series) WF_MUST;
/* *out = NULL: the item holds something else than files of pictures, and is passed over. */
#define WF_OPEN(id, head)   \
    wf_is wf_image_is_##id; \
    int wf_image_open_##id(wf_source *parent, wf_source **out) WF_MUST;
WF_IMAGE_FORMATS(WF_READ, WF_CODE, WF_SERIES, WF_OPEN)
#undef WF_READ
#undef WF_CODE
#undef WF_SERIES
#undef WF_OPEN

/* Decoders of 8 bits write their samples [H,W,C] to wf_image_bytes; wf_image_spread widens them to pixels. */
uint8_t *wf_image_bytes(const wf_image *image);
void wf_image_spread(wf_image *image);

/* Knowledge of the arrays of a .npz, which is a zip of .npy (npz.c). */
typedef struct wf_npz wf_npz;
/* Looks at the arrays of the .npz in `parent` before any is read, where it is a plain file. `pattern`: the arrays to
 * read, as in fnmatch(3); NULL: the only one of pictures. WF_DATA: none fits the pattern, or there are several arrays
 * of pictures and no pattern. */
int wf_npz_create(wf_source *parent, const char *pattern, wf_npz **out) WF_MUST;
void wf_npz_destroy(wf_npz *npz); /* NULL is allowed */
/* True if the name of a file is that of a .npz. */
bool wf_is_npz(const char *name);
/* True unless a pattern leaves out the array of this name. */
bool wf_npz_chosen(const wf_npz *npz, const char *name);
/* Shape of an array, as its header says. */
typedef struct wf_npy_look {
    bool pictures;   /* else labels or something else */
    int rank;        /* dimensions */
    int64_t count;   /* of the first dimension */
    char shape[128]; /* as text, with the type */
} wf_npy_look;
/* Reads the header of the .npy that begins at the source's position. WF_DATA: damaged. */
int wf_npy_look_at(wf_source *source, wf_npy_look *look) WF_MUST;
/* Notes that an array of pictures is about to be read. WF_DATA if another one was and there is no pattern. */
int wf_npz_begin(wf_npz *npz, const wf_source *source, const wf_npy_look *look) WF_MUST;
/* True if an array of that many rows is one of labels: there are pictures of the same number beside it. */
bool wf_npz_has_count(const wf_npz *npz, int64_t count);

/* Orientation in the TIFF structure of EXIF at `bytes`: 1 to 8 as in wf_image_orient; 1 if it has none that is valid.
 * The letters "Exif" may come before. */
int wf_exif_orientation(const uint8_t *bytes, size_t n);
/* Counts a decoded picture if it is of an animation. Turns it by its orientation and counts that, unless the options
 * say otherwise. Any thread may call. */
int wf_images_finish(wf_images *images, wf_image *image, const char *name) WF_MUST;

/* Passes over what may stand between a picture and the next of the same item: white space, further ends of a PNG, a
 * film, and in a stream a JPEG's companions. *passed: there was more than white space. */
int wf_tail_gap(wf_source *source, bool *passed) WF_MUST;
/* Reads to the end of the item. *picture: the bytes may hold another picture whose beginning is damaged. */
int wf_tail_read(wf_source *source, bool *picture) WF_MUST;

/* Shape and samples of pictures that follow one another without anything between them, as in IDX and NumPy files. */
typedef struct wf_array {
    int64_t D;       /* slices of volumes, which together have H rows; 0: pictures */
    int64_t H, W, C; /* as in the file, not yet checked */
    bool planar;     /* [C,H,W] in place of [H,W,C] */
    int bytes;       /* of a sample: 1 or 2; of floats 2, 4 or 8 */
    bool big_endian; /* of samples of more than a byte */
    bool floats;     /* a field */
} wf_array;
/* Number of `bytes` bytes as stored at `at`, 1, 2, 4 or 8. kind: i, signed; f, floating point; else unsigned. */
double wf_array_number(const uint8_t *at, char kind, int bytes, bool big_endian);
/* Begins a series of `count` pictures. */
int wf_image_begin_array(const wf_source *source, int64_t count, const wf_array *array, wf_series **series) WF_MUST;
/* A file that a format recognises, but that holds something else than pictures. WF_OK in a folder or an archive, where
 * it is passed over; else WF_DATA with `what` in the message. */
int wf_image_not_image(wf_source *source, const char *what) WF_MUST;

/* A picture cut out of its source, to be decoded by `read`. read is NULL: the picture was decoded at once. */
typedef struct wf_later {
    wf_code code;
    int (*read)(wf_source *source, wf_image *image);
    uint64_t offset; /* of its first byte in the item */
} wf_later;

/* True if a part of a path, as of the file or of a folder, is hidden or kept by another program for itself. */
bool wf_path_is_clutter(const char *path);
/* Notes that the picture that was read last is refused, so that wf_images_skip continues after it. */
void wf_images_refuse(wf_images *images);

/* wf_images_next; with `later` it does only the work that must be done in order. The picture is then in `image` or, not
 * yet decoded, in `later`. */
int wf_images_take(wf_images *images, wf_image *image, wf_later *later, const char **name, bool *more) WF_MUST;

/* Reads H*W*C binary samples of PNM and PAM: 1 byte each or, above maxval 255, 2 bytes, most significant first. */
int wf_image_read_samples(wf_source *source, wf_image *image, int64_t H, int64_t W, int64_t C, int64_t maxval) WF_MUST;
/* Bits that hold samples of 0..maxval: 8 to 16, exact where maxval + 1 is a power of two. */
int wf_image_maxval_bits(int64_t maxval);
/* Maps v of 0..from to 0..to, rounded. */
static inline uint16_t wf_image_rescale(uint32_t v, uint32_t from, uint32_t to)
{
    return (uint16_t)(from == to ? v : ((uint64_t)v * to + from / 2) / from);
}

#endif
