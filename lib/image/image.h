/* image.h - pictures and other signals (signal.h): reading, editing, writing
 *
 * Formats are recognised by content; each is one row of a registry (format.h). */
#ifndef WF_IMAGE_H
#define WF_IMAGE_H

#include <stdio.h>

#include "../base/linkage.h"
#include "../pyramid/meta.h"

WF_BEGIN

/* Samples are host uint16 for any depth, [H,W,C] interleaved, in 0 .. 2^bits - 1; with bits 0, a field, they are floats
 * in the same memory (wf_image_values).
 * C: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha; the channels of a sound. Zero-initialize before the first
 * use. */
typedef struct wf_image {
    int H, W, C;
    int bits;
    wf_signal signal;
    int D;            /* slices of a volume, which together have H rows; else 0 */
    int rate;         /* samples a second of a sound, 0 if unknown; else 0 */
    int orientation;  /* of a picture as stored, 2 to 8 (wf_image_orient); else 0 or 1 */
    int frames;       /* of the animation that the picture comes from; else 0 or 1 */
    uint16_t *pixels; /* owned, aligned for floats */
    size_t capacity;  /* 16-bit samples allocated, so that reading a stream reuses memory */
    char *name;       /* owned: its file, as below; NULL: none, as in a pipe */
} wf_image;

/* Larger pictures are refused, so that a few bytes of header cannot claim all memory. */
enum { WF_MAX_PIXELS = 1 << 27 };
enum { WF_MAX_ARCHIVES = 8 };        /* in one another: a tar in a gzip in a tar. Deeper nesting is an attack. */
enum { WF_MAX_SCANS = 200 };         /* of a progressive JPEG, each of which decodes the whole picture */
enum { WF_MAX_ARRAY_HEADER = 4096 }; /* bytes of the header of a NumPy array */
enum { WF_MAX_PAM_LINE = 256 };      /* bytes of a line of a PAM header with its newline */
enum { WF_MAX_PAM_LINES = 256 };     /* behind the magic, ENDHDR among them */

void wf_image_clear(wf_image *image);

/* Sets the shape of a picture and allocates its pixels, which are not initialized. WF_DATA, with `name` in the message:
 * a side, the channels or the number of pixels is out of range. WF_AGAIN: out of memory. */
int wf_image_reserve(wf_image *image, const char *name, int64_t H, int64_t W, int64_t C, int bits) WF_MUST;

/* Values of a field [H,W,C], in image->pixels. */
float *wf_image_values(const wf_image *image);

/* -- reading ------------------------------------------------------------------------------------------------------- */

/* A reader of pictures, one after the other, from
 *
 *     files           PNG, JPEG, WebP, PNM and PAM, also concatenated
 *     arrays          IDX, NumPy, CIFAR-10 and -100, TFRecord
 *     folders         recursively, sorted by name in byte order
 *     archives        tar, zip, and LMDB environments whose values are pictures
 *
 * All but LMDB may be compressed by gzip, xz, Zstandard or bzip2. Memory does not grow with the number of pictures,
 * except for the names in a folder.
 *
 * Pictures are decoded without colour management or gamma, and turned upright by the orientation in their EXIF.
 * Palettes become RGB, a transparent colour becomes alpha, CMYK becomes RGB, and fewer than 8 bits become 8.
 *
 * NumPy arrays hold bytes or 16-bit numbers in C order. Two dimensions: [N,3072] and [N,12288] are N flat pictures in
 * three planes of 32x32 or 64x64, others one grey picture [H,W]. Three: [H,W,C] if C <= 4, else [N,H,W]. Four:
 * [N,H,W,C] if C <= 4, else [N,C,H,W].
 *
 * With the option `floats`, only NumPy arrays of floats are read, in C order: [H,W], [N,H,W] or [N,H,W,C].
 *
 * Sounds (WAV, FLAC, AIFF of 8 or 16 bits, with the option `deeper` of more) come as pictures of one row. With the
 * option `volumes`, NumPy arrays hold volumes. */
typedef struct wf_images wf_images;

typedef struct wf_images_options {
    int64_t length; /* sounds are cut in pieces of this many samples, one after the other; 0: whole */
    bool pictures;  /* sounds in folders and archives are passed over, like other files there */
    bool stored;    /* pictures are not turned upright by their orientation */
    bool deeper;    /* sounds of 24 or 32 bits or of floating point give their highest 16 bits; else WF_DATA */
    bool volumes;   /* NumPy arrays are [D,H,W], [D,H,W,C] with C <= 4, else [N,D,H,W], and [N,D,H,W,C] */
    bool floats;    /* NumPy arrays of 16, 32 or 64 bits of floating point are fields, of bits 0 */
} wf_images_options;
void wf_images_set_options(wf_images *images, wf_images_options options);

/* Opens files, folders and archives. The path "-" is standard_input, as is count 0. Of a path FILE.npz:NAME that does
 * not exist, only the arrays of FILE.npz that fit NAME are read, a pattern as in fnmatch(3). Paths and standard_input
 * are borrowed until close. */
int wf_images_open(char *const *paths, int count, FILE *standard_input, wf_images **out) WF_MUST;

/* Adds paths listed in the file at `path` ("-": standard input): one a line or, with `null`, each followed by a zero
 * byte. They come after the paths given at open. If none were given, standard input is not read for pictures. */
int wf_images_add_list(wf_images *images, const char *path, bool null) WF_MUST;

/* Ends the input after at most `most` pictures. */
void wf_images_limit(wf_images *images, int64_t most);

/* Reads the next picture; *more = false at the end. `name` (valid until the next call) names where the picture came
 * from, for messages: "a.tar:b/c.png", or "a.ppm#2" for the third picture of a file. image->name is to keep:
 *
 *     b/c.png            of a folder, the only operand
 *     a/b/c.png          of the folder a, one operand of several; a file as it was given, without ./ in front
 *     a.tar/b/c.png      of an archive
 *     a.npz/x[17]        picture 17 of an array; a.npy[17], a.idx[17]; piece 17 of a sound, a.wav[17]
 *     000123             of an LMDB: the key
 *     a.ppm#2            the third picture of a file with several
 *
 * WF_DATA: damaged, of an unsupported format, or
 * not a picture. WF_NOINPUT: missing. After a failure only skip and close are allowed. */
int wf_images_next(wf_images *images, wf_image *image, const char **name, bool *more) WF_MUST;

/* Passes over what next has failed to read: the rest of a file or of an archive's entry, or a name in a folder or list
 * that cannot be opened. In a stream, or where an archive itself is damaged, the next picture cannot be found: then
 * *skipped = false, and only close is allowed. */
int wf_images_skip(wf_images *images, bool *skipped) WF_MUST;
void wf_images_close(wf_images *images); /* NULL is allowed */

/* Numbers in rows, such as labels of pictures. */
typedef struct wf_table {
    int64_t rows;
    int columns;
    bool whole;     /* the file holds whole numbers */
    double *values; /* [rows,columns], the caller's (free) */
} wf_table;

/* Reads a .npy of one dimension, or of two: [rows,columns]. Numbers are whole or floating, of 1 to 8 bytes in either
 * order. WF_NOINPUT: no such file. WF_DATA: another file, or another shape. */
int wf_table_read(const char *path, wf_table *out) WF_MUST;

/* Reads the first picture of one file into `image`, which the caller clears, after a failure too. WF_DATA: it has
 * none. Else as wf_images_open and wf_images_next. */
int wf_image_read(const char *path, wf_image *image) WF_MUST;

/* Pictures of the whole input, as far as the part of it says that was read; as if operands and entries of a folder had
 * equally many; -1: not known, as of a pipe or a list. May be called by any thread. */
double wf_images_expected(const wf_images *images);

/* Callbacks of wf_images_run, which several workers call at once, each on batches of its own. */
typedef struct wf_image_work {
    /* Takes picture i of a worker's batch; `first` pictures came before the batch. `image` is lent for the call and may
     * be changed. */
    int (*picture)(void *user, int worker, int64_t first, int i, wf_image *image, const char *name);
    /* Ends a batch: all its `count` pictures were taken. */
    int (*batch)(void *user, int worker, int count);
    /* Delivers that batch. Calls come one at a time, in the order of the pictures. */
    int (*deliver)(void *user, int worker, int64_t first, int count);
    /* Decides about a picture that could not be read, or that `prepare` refused (`status`): WF_OK to continue, after
     * wf_images_skip. NULL: the run fails. Pictures are decoded and prepared one after the other if this is set. */
    int (*skip)(void *user, int status);
    void *user;
    /* Changes and checks a picture before `picture` takes it. NULL: does nothing. */
    int (*prepare)(void *user, wf_image *image, const char *name);
} wf_image_work;

/* Reads to the end, in batches of `size` pictures that do not depend on the number of workers. Pictures are cut out of
 * their files one after the other and decoded by the workers, each of which holds at most one batch. *count: pictures
 * delivered; after a failure, those before the batch that failed or before the picture that could not be read. */
int wf_images_run(wf_images *images, int size, int workers, const wf_image_work *work, int64_t *count) WF_MUST;
/* Returns the last picture to the reader, which gives it again next. `image` becomes empty. */
int wf_images_unread(wf_images *images, wf_image *image, const char *name) WF_MUST;
/* Passes over n pictures, without decoding those of slow formats. *count: fewer at the end. */
int wf_images_pass(wf_images *images, int64_t n, int64_t *count) WF_MUST;

/* Counts of inputs passed over so far. */
typedef struct wf_images_passed {
    int64_t skipped;   /* files in folders and archives that are not pictures by name and content, values of a database
                        * that are numbers or text, and links in archives, which are not followed (links in folders
                        * are) */
    const char *first; /* the first of them whose kind is known, and what it is, else the first; "": none. Valid
                        * until close */
    int64_t clutter;   /* hidden files and folders, and those that systems keep for themselves, in folders and archives;
                        * a folder counts once, in an archive each of its files */
    int64_t labels;    /* arrays of labels */
    int64_t trailing;  /* files with one PNG, JPEG or WebP picture or a sound and other bytes after it, such as
                        * companions of the picture (another eye's view, a map of brightness) or a film */
    int64_t turned;    /* pictures turned upright by their orientation */
    int64_t animated;  /* animations, of which the first picture is read */
    int64_t partial;   /* sounds whose last samples do not fill a piece, also those shorter than one */
    int64_t remainder; /* those samples, of all such sounds */
} wf_images_passed;
wf_images_passed wf_images_passed_over(const wf_images *images);

/* Says in a line how the first input with two readings was understood; "": none had two. Valid until close. */
const char *wf_images_remark(const wf_images *images);

/* -- writing ------------------------------------------------------------------------------------------------------- */

/* Writes a picture as PNG of 8 or 16 bits; other depths are scaled up to the next of the two, rounded. */
int wf_image_write_png(FILE *file, const char *name, const wf_image *image) WF_MUST;
/* Bytes of an image as PNG by libpng, compressed at level 9 with the best of all filters for each row; nothing is
 * written. A sound or a volume counts as a picture of its rows. */
int wf_image_png_size(const char *name, const wf_image *image, size_t *bytes) WF_MUST;
/* Writes a picture as PAM with a MAXVAL of 2^bits - 1, which keeps any depth. */
int wf_image_write_pam(FILE *file, const char *name, const wf_image *image) WF_MUST;
/* Writes a sound as WAV into an empty regular file; depths are scaled as for PNG. An unknown rate becomes 44100. */
int wf_image_write_wav(FILE *file, const char *name, const wf_image *image) WF_MUST;
/* Writes the header of a .npy of <f4, of 2 to 4 dimensions. It always has WF_NPY_HEAD bytes, so it may be written again
 * with other sizes. Values follow as they are in memory. */
enum { WF_NPY_HEAD = 128 };
int wf_npy_write_head(FILE *file, const char *name, int rank, const int64_t *shape) WF_MUST;
/* Writes a volume as .npy [D,H,W] or [D,H,W,C] of |u1 or <u2; depths are scaled as for PNG. */
int wf_image_write_npy(FILE *file, const char *name, const wf_image *image) WF_MUST;

/* -- editing ------------------------------------------------------------------------------------------------------- */

/* All change the image in place. All but the depth are for pictures only. `name` is used in messages. */

/* Keeps the H x W pixels in the middle; an odd row or column is cut below or to the right. WF_DATA: smaller than
 * that. */
int wf_image_crop(wf_image *image, const char *name, int H, int W) WF_MUST;
/* Keeps H x W pixels at a position chosen by a hash of seed and pixels, uniform over all positions. WF_DATA:
 * smaller. */
int wf_image_crop_anywhere(wf_image *image, const char *name, int H, int W, uint64_t seed) WF_MUST;
/* Fills H x W: keeps the largest part of that shape in the middle, whose edges may run through pixels, and averages it
 * over areas. Each pixel becomes the mean of the rectangle that it covers, where a pixel of the source counts by the
 * part of it inside; halves are rounded up. The result is exact, and the same on every machine. WF_DATA: smaller than
 * H x W, since this never enlarges. */
int wf_image_fit(wf_image *image, const char *name, int H, int W) WF_MUST;
#define WF_FIT_ADVICE "; --skip-bad N leaves up to N of these out" /* ends the message of wf_image_fit */
/* Resizes. An axis that shrinks by a whole factor is averaged over boxes of that factor. Any other axis is filtered
 * with a triangle whose half-width is a target pixel or, when growing, a source pixel. Alpha is filtered like a
 * colour. */
int wf_image_resize(wf_image *image, const char *name, int H, int W) WF_MUST;
/* Changes the number of channels: drops alpha or adds opaque alpha; copies grey to RGB; makes RGB grey if all pixels
 * are grey, else WF_DATA. */
int wf_image_channels(wf_image *image, const char *name, int C) WF_MUST;
/* Turns and mirrors a picture so that it is upright, by its orientation (EXIF 3.0, tag 274), which becomes 1:
 *
 *     1 upright                             5 mirrored at the diagonal from top left
 *     2 mirrored left to right              6 to be turned a quarter to the right
 *     3 to be turned half                   7 mirrored at the other diagonal
 *     4 mirrored top to bottom              8 to be turned a quarter to the left */
int wf_image_orient(wf_image *image, const char *name) WF_MUST;
/* Changes the depth to 1 to 16 bits: drops the lowest bits, or scales up and rounds. */
int wf_image_depth(wf_image *image, const char *name, int bits) WF_MUST;

WF_END

#endif
