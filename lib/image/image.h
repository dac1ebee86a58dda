/* image.h - pictures, and other signals (signal.h), in and out; formats are recognised by content, one row each in a registry */
#ifndef WF_IMAGE_H
#define WF_IMAGE_H

#include <stdio.h>

#include "../pyramid/meta.h"

/* Samples are host uint16 whatever the depth, [H,W,C] interleaved, in 0 .. 2^bits - 1.
 * C: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha; of sounds, channels. Zero-initialize before the first use. */
typedef struct wf_image {
    int H, W, C;
    int bits;
    wf_signal signal;
    int D;            /* slices of a volume, which together have H rows; else 0 */
    int rate;         /* samples a second of a sound; else 0 */
    uint16_t *pixels; /* owned */
    size_t capacity;  /* samples allocated, so that reading a stream reuses memory */
} wf_image;

/* No picture larger than this is read, so that a few bytes of header cannot ask for all memory. */
enum { WF_MAX_PIXELS = 1 << 27 };

void wf_image_clear(wf_image *image);

/* Sets the shape, of a picture, and makes room for it; pixels are not initialized. WF_DATA, with `name` in the message, when a side,
 * the channels or the number of pixels are out of range; WF_AGAIN out of memory. */
int wf_image_reserve(wf_image *image, const char *name, int64_t H, int64_t W, int64_t C, int bits) WF_MUST;

/* Pictures from files, folders (recursive, sorted by name in byte order), tar and zip archives, LMDB environments whose
 * values are pictures, arrays of pictures (IDX, NumPy, CIFAR-10 and -100, TFRecord) and concatenated PNG, JPEG, WebP, PNM and PAM, one
 * after the other; any of them but LMDB may be compressed (gzip, xz, Zstandard, bzip2). Memory does not grow with their number
 * but for the names in a folder. A path "-" is standard_input, which is borrowed. The paths are borrowed until close.
 *
 * Every picture is decoded as it is: no colour management, no gamma, no rotation that a camera asks for; palettes become
 * RGB, a transparent colour alpha, CMYK RGB, and fewer than 8 bits 8. NumPy arrays are bytes or 16-bit numbers in C order:
 * [N,H,W,C], else [N,C,H,W] where the last dimension is over 4; [H,W,C] with C <= 4, else [N,H,W]; [N,3072] and [N,12288],
 * N flat pictures in three planes of 32x32 or 64x64, else [H,W].
 *
 * Sounds (WAV, FLAC, AIFF of 8 or 16 bits) come the same way, as pictures of one row, and so do volumes in NumPy arrays, where
 * wf_images_set_options says so. */
typedef struct wf_images wf_images;

/* How what can be taken in more than one way is taken. */
typedef struct wf_images_options {
    int64_t length; /* sounds: cut in pieces of so many samples, one after the other; 0: whole */
    bool pictures;  /* sounds in folders and archives are passed over, as other files there are */
    bool volumes;   /* NumPy arrays: [D,H,W], [D,H,W,C] with C <= 4, else [N,D,H,W], and [N,D,H,W,C] */
} wf_images_options;
void wf_images_set_options(wf_images *images, wf_images_options how);
int wf_images_open(char *const *paths, int count, FILE *standard_input, wf_images **out) WF_MUST; /* count 0: stdin */

/* More paths, from the file at `path` ("-": standard input), one a line or, with `null`, each with a zero byte behind it.
 * They come after those given at open; when none were, standard input is not read for pictures. */
int wf_images_add_list(wf_images *images, const char *path, bool null) WF_MUST;

/* The end comes after so many pictures, if not before. */
void wf_images_limit(wf_images *images, int64_t most);

/* *more = false at the end. `name` (valid until the next call) says where the picture came from: "a.tar:b/c.png", or
 * "a.ppm#2" for the third picture of a file. WF_DATA: damaged, of an unsupported kind, or no picture at all.
 * WF_NOINPUT: missing. After a failure only skip and close are allowed. */
int wf_images_next(wf_images *images, wf_image *image, const char **name, bool *more) WF_MUST;

/* After next has failed: goes on behind the bad picture, if it is the first of a file, or of an archive's entry, whose end
 * can be found. Otherwise *skipped = false, and only close is allowed. */
int wf_images_skip(wf_images *images, bool *skipped) WF_MUST;
void wf_images_close(wf_images *images);

/* What is done with all pictures, in batches, by several workers at once. */
typedef struct wf_image_work {
    /* Takes picture i of a worker's batch, before which are `first` pictures; `image` may be changed and is lent for the
     * call. */
    int (*picture)(void *user, int worker, int64_t first, int i, wf_image *image, const char *name);
    /* All `count` of them were taken. */
    int (*batch)(void *user, int worker, int count);
    /* The same batch, when its turn has come: one at a time, in the order of the pictures. */
    int (*deliver)(void *user, int worker, int64_t first, int count);
    /* After a picture that could not be read (`status`; the source is at it, wf_images_skip may pass over it): WF_OK to go on.
     * NULL: its failure is the run's. With it, pictures are decoded one after the other. */
    int (*skip)(void *user, int status);
    void *user;
} wf_image_work;

/* Reads to the end, in batches of `size` pictures that do not depend on the number of workers. Pictures are cut out of
 * their files one after the other and decoded by the workers, each of which holds one batch at most. *count: pictures
 * delivered; after a failure those before the batch that failed, or before the picture that could not be read. */
int wf_images_run(wf_images *images, int size, int workers, const wf_image_work *work, int64_t *count) WF_MUST;
/* Gives back the picture that was read last, which becomes empty: it is the next to be read. */
int wf_images_unread(wf_images *images, wf_image *image, const char *name) WF_MUST;
/* Passes over n pictures, which are not decoded where that takes time; *count: fewer at the end. */
int wf_images_pass(wf_images *images, int64_t n, int64_t *count) WF_MUST;

/* What was passed over so far. `skipped`: files in folders and archives that are no pictures by name and by content, and
 * labels, and links in archives: those are not followed, as links in folders are. `trailing`: files with one PNG, JPEG or WebP
 * picture and bytes after it that are no picture, or companions of it (another eye's view, a map of brightness). `rests`: sounds whose last samples, `rest` in all, are fewer than a piece. */
typedef struct wf_images_passed {
    int64_t skipped, trailing, rests, rest;
} wf_images_passed;
wf_images_passed wf_images_passed_over(const wf_images *images);

/* PNG has 8 or 16 bits: other depths are scaled up to the next of them, rounded. */
int wf_image_write_png(FILE *file, const char *name, const wf_image *image) WF_MUST;
/* PAM keeps every depth: its MAXVAL is 2^bits - 1. */
int wf_image_write_pam(FILE *file, const char *name, const wf_image *image) WF_MUST;
/* Sounds as WAV, into a regular file with nothing in it yet; other depths are scaled as for PNG. No rate is 44100. */
int wf_image_write_wav(FILE *file, const char *name, const wf_image *image) WF_MUST;
/* Volumes as .npy [D,H,W] or [D,H,W,C] of |u1 or <u2; other depths are scaled as for PNG. */
int wf_image_write_npy(FILE *file, const char *name, const wf_image *image) WF_MUST;

/* Changes in place, all but the depth of pictures only. `name` is used in messages. */

/* The H x W pixels in the middle, the odd row or column left over below and to the right. WF_DATA if smaller. */
int wf_image_crop(wf_image *image, const char *name, int H, int W) WF_MUST;
/* H x W pixels at a place that seed and pixels decide, every one of them as likely. WF_DATA if smaller. */
int wf_image_crop_anywhere(wf_image *image, const char *name, int H, int W, uint64_t seed) WF_MUST;
/* An axis that shrinks by a whole factor is averaged over boxes of that factor; any other is filtered with a triangle
 * that is as wide as a target pixel, or as a source pixel when growing. Alpha is filtered like a colour. */
int wf_image_resize(wf_image *image, const char *name, int H, int W) WF_MUST;
/* Alpha is dropped or added opaque; grey is replicated to RGB; RGB to grey only when all pixels are grey, else WF_DATA. */
int wf_image_channels(wf_image *image, const char *name, int C) WF_MUST;
/* Samples of 1 to 16 bits: the highest of those it has, or, for more than it has, scaled and rounded. */
int wf_image_depth(wf_image *image, const char *name, int bits) WF_MUST;

#endif
