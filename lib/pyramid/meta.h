/* meta.h - what every record, store and model says about the pictures it comes from */
#ifndef WF_META_H
#define WF_META_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/signal.h"
#include "../base/status.h"

/* Pyramid of pictures [H,W,C], or other signals (signal.h): level `levels` is the picture, each level below has half of it along
 * every axis. Level 0 is the base: low-pass I_0 alone. Level L >= 1 is the pair (low-pass I_{L-1}, detail D_L), both of what
 * levels-L+1 halvings leave, with C and B*C channels. Detail channel = B*colour + band, of a picture's B = 3 bands in the
 * order horizontal, vertical, diagonal difference.
 *
 * Values are in pixel units: with Haar, whole pixels transform to exact coefficients while bits + 2 * halvings <= 24, the
 * digits of a float; all others are rounded to one. A sampled value v stands for the dequantized value v + 1/2, so rounding to the
 * nearest integer gives the pixel in both cases. */
typedef struct wf_meta {
    char wavelet[16]; /* row of the wavelet table: "haar" */
    int levels;       /* wavelet levels; the pyramid has levels + 1 flows */
    int top;          /* highest level carried by this stream or store */
    int H, W, C;      /* the picture at level `levels` */
    wf_signal signal; /* what stands for "picture" here and elsewhere */
    int D;            /* slices of a volume, which together have H rows; else 0 */
    int rate;         /* of sounds: samples a second, 0 if not known; else 0 */
    int bits;         /* bits per sample, 1 to 16 */
    bool latents;     /* a stream of what a model's flows make of the coefficients, in place of them */
    char *provenance; /* JSON array text, one object per tool, oldest first; owned; NULL: empty */
} wf_meta;

enum { WF_MAX_LEVELS = 16, WF_MAX_CHANNELS = 4, WF_MAX_SIDE = 65536, WF_MAX_RATE = 1 << 24 };

/* Height, width and detail channels K of `level` (K = C at the base). */
typedef struct wf_level_shape {
    int H, W;
    int C; /* low-pass channels */
    int K; /* channels that the flow of this level models: B*C details, or C at the base */
} wf_level_shape;

wf_level_shape wf_meta_level(const wf_meta *meta, int level);
/* Makes it describe the pictures of `level`, which becomes the highest level. */
void wf_meta_shrink(wf_meta *meta, int level);
/* Slices of that height, of volumes; else 0. */
int wf_meta_slices(const wf_meta *meta, int level);

/* Sides of a level's low-pass, first axis first, and behind them `channels`; how many numbers that is. */
int wf_meta_sides(const wf_meta *meta, int level, int channels, int64_t sides[4]);

/* "64x64x3": sides, first axis first, and channels. Their number tells the signal. */
const char *wf_meta_shape_text(const wf_meta *meta, char text[WF_SIZE_TEXT]);
/* "32x32x9", of a level: sides and what its flow models. */
const char *wf_meta_level_text(const wf_meta *meta, int level, char text[WF_SIZE_TEXT]);
/* Sets signal, D, H, W and C by such numbers; false: too many, too few or out of range. */
bool wf_meta_set_shape(wf_meta *meta, int n, const int64_t sides[4]) WF_MUST;

/* Deep copy; `to` needs no initialization. */
int wf_meta_copy(wf_meta *to, const wf_meta *from) WF_MUST;
void wf_meta_clear(wf_meta *meta);

/* WF_DATA with a message that names the first field out of range, prefixed by `who`. */
int wf_meta_check(const wf_meta *meta, const char *who) WF_MUST;

/* WF_DATA unless wavelet, levels, signal, sides, channels, bits and rate agree; the message names the first difference. */
int wf_meta_match(const wf_meta *have, const char *who, const wf_meta *want, const char *whom) WF_MUST;

/* Appends one object {"tool","version","argv","seed","model"} to the provenance; model may be NULL. */
int wf_meta_add_provenance(wf_meta *meta, const char *tool, int argc, char *const *argv, uint64_t seed,
                           const char *model) WF_MUST;

/* "model" of the last tool, "" if it names none. WF_DATA: the provenance is none. */
int wf_meta_model(const wf_meta *meta, char out[20]) WF_MUST;

#endif
