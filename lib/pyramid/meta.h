/* meta.h - metadata of records, stores and models: size, pyramid, depth and provenance of the pictures */
#ifndef WF_META_H
#define WF_META_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/linkage.h"
#include "../base/shard.h"
#include "../base/signal.h"
#include "../base/status.h"

WF_BEGIN

/* The pyramid of pictures [H,W,C] or other signals (signal.h). I_n, n = levels, is the picture; I_L has half the sides
 * of I_{L+1}. Level 0, the base, is I_0 alone. Level L >= 1 is the pair of low-pass I_{L-1}, with C channels, and
 * detail D_L, with B*C channels; both have the sides of I_{L-1}. Detail channel = B*colour + band. A picture has B = 3
 * bands: horizontal, vertical and diagonal difference.
 *
 * Values are in pixel units. With Haar, whole pixels have exact coefficients while bits + 2 * halvings <= 24, the
 * digits of a float; beyond that, and with other wavelets, coefficients are rounded to floats. A sampled value v stands
 * for the dequantized value v + 1/2. Rounding to the nearest integer gives the pixel, for samples and for data. */
typedef struct wf_meta {
    char wavelet[16]; /* row of the wavelet table: "haar" */
    int levels;       /* wavelet levels; the pyramid has levels + 1 flows */
    int top;          /* highest level carried by this stream or store */
    int H, W, C;      /* the picture at level `levels` */
    wf_signal signal; /* what "picture" means here and elsewhere */
    int D;            /* slices of a volume, which together have H rows; else 0 */
    int rate;         /* samples a second of sounds, 0 if unknown; else 0 */
    int bits;         /* bits per sample, 1 to 16; 0: values of a field, which are floats and not quantized */
    int exponent;     /* of a model of fields: its flows see (value - mean) / 2^exponent; else 0 */
    float mean;       /* of a model of fields: what is subtracted from low-pass values; else 0 */
    bool latents;     /* a stream of latents, which a model's flows compute from coefficients (codec.h) */
    wf_shard shard;   /* of a run's pictures, which this stream or store has */
    uint64_t run;     /* of a shard: hash of what the run's pictures depend on; shards of one run have the same */
    char *provenance; /* text of a JSON array, one object per tool, oldest first; owned; NULL: empty */
} wf_meta;

enum { WF_MAX_FIELD_CHANNELS = 64 };
enum { WF_MAX_LEVELS = 16, WF_MAX_CHANNELS = 4, WF_MAX_SIDE = 65536, WF_MAX_RATE = 1 << 24 };
enum { WF_MAX_EXPONENT = 100 }; /* of the unit of a model of fields */

/* True: fields, whose densities are in nats per dimension of their own unit, without dequantization. */
bool wf_meta_is_field(const wf_meta *meta);
/* "bits/dim", or "nats/dim" for fields. */
const char *wf_meta_unit(const wf_meta *meta);

/* Height, width and detail channels K of `level` (K = C at the base). */
typedef struct wf_level_shape {
    int H, W;
    int C; /* low-pass channels */
    int K; /* channels that the flow of this level models: B*C details, or C at the base */
} wf_level_shape;

wf_level_shape wf_meta_level(const wf_meta *meta, int level);
/* Makes meta describe the pictures of `level`, which becomes the highest level. */
void wf_meta_shrink(wf_meta *meta, int level);
/* Slices of a volume at a level, which together have the level's H rows; else 0. */
int wf_meta_slices(const wf_meta *meta, int level);

/* Gives the sides of a level's low-pass, first axis first, then `channels`. Returns their number, 2 to 4. */
int wf_meta_sides(const wf_meta *meta, int level, int channels, int64_t sides[4]);

/* "64x64x3": sides, first axis first, and channels. The signal follows from their number. */
const char *wf_meta_shape_text(const wf_meta *meta, char text[WF_SIZE_TEXT]);
/* "32x32x9": sides of a level and channels that its flow models. */
const char *wf_meta_level_text(const wf_meta *meta, int level, char text[WF_SIZE_TEXT]);
/* Sets signal, D, H, W and C from n sides and channels. False: n is not 2 to 4, or a number is out of range. */
bool wf_meta_set_shape(wf_meta *meta, int n, const int64_t sides[4]) WF_MUST;

/* Deep copy; `to` needs no initialization. */
int wf_meta_copy(wf_meta *to, const wf_meta *from) WF_MUST;
void wf_meta_clear(wf_meta *meta);

/* WF_DATA if a field is out of range; the message begins with `who` and names the field. */
int wf_meta_check(const wf_meta *meta, const char *who) WF_MUST;

/* WF_DATA unless wavelet, levels, signal, sides, channels, bits and rate agree. The message names each
 * difference with both values. */
int wf_meta_match(const wf_meta *have, const char *who, const wf_meta *want, const char *whom) WF_MUST;
/* The options of wf-dwt by which pictures like `have` become like `want`: ": wf-dwt --fit 32x32 -c 3"; "" if there are
 * none. Returns `out`. */
enum { WF_REMEDY_TEXT = 400 };
const char *wf_meta_remedy(const wf_meta *have, const wf_meta *want, char out[WF_REMEDY_TEXT]);
/* wf_meta_match; the message ends with these options. */
int wf_meta_expect(const wf_meta *have, const char *who, const wf_meta *want, const char *whom) WF_MUST;

/* Appends an object {"tool","version","argv","seed","model"} to the provenance; without "model" if it is NULL. Of a
 * long command line about 3 kB are kept; "... and N more arguments" stands for the rest. */
int wf_meta_add_provenance(wf_meta *meta, const char *tool, int argc, char *const *argv, uint64_t seed,
                           const char *model) WF_MUST;

/* Makes a shard also depend on `settings`, options as text, and on the model's hash (NULL: none). Does nothing to what
 * is not a shard. */
void wf_meta_mark_run(wf_meta *meta, const char *settings, const char *model);
/* WF_DATA: the two are not shards of one run. The message names what differs. */
int wf_meta_expect_run(const wf_meta *have, const char *who, const wf_meta *want, const char *whom) WF_MUST;

/* Gives "model" of the last tool; "" if it has none. WF_DATA: the provenance is malformed. */
int wf_meta_model(const wf_meta *meta, char out[20]) WF_MUST;

WF_END

#endif
