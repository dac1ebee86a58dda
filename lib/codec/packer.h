/* packer.h - one picture to bytes and back, by a trained model of whole numbers
 *
 * A picture is halved as often as the model has levels, or until it is one pixel. An odd side is first extended by its
 * last row or column, at every level. Then the base is coded, or the one pixel that is left, and the details of each
 * level, coarse to fine. A picture may have any size; levels are those that are nearest to the pixels. */
#ifndef WF_PACKER_H
#define WF_PACKER_H

#include "../base/linkage.h"
#include "../image/image.h"
#include "../model/level.h"

WF_BEGIN

/* A model, ready to pack. Any number of threads may use it. */
typedef struct wf_packer wf_packer;

/* Loads all levels. WF_USAGE: a level's chain is not of `lattice`; WF_NOINPUT: a level is not trained. */
int wf_packer_create(const wf_model *model, wf_packer **out) WF_MUST;
void wf_packer_destroy(wf_packer *packer); /* NULL is allowed */
int wf_packer_channels(const wf_packer *packer);
int wf_packer_bits(const wf_packer *packer);
int wf_packer_levels(const wf_packer *packer); /* halvings of the model */
/* Hash of a level's chain and weights: equal where the packed bytes mean the same. */
uint64_t wf_packer_hash(const wf_packer *packer, int level);

/* Memory of one thread. */
typedef struct wf_packer_work wf_packer_work;
int wf_packer_work_create(wf_packer_work **out) WF_MUST;
void wf_packer_work_destroy(wf_packer_work *work); /* NULL is allowed */

/* Packs a picture into *bytes [*n], which the caller frees. WF_USAGE: its channels or bits are not the model's. */
int wf_pack(const wf_packer *packer, wf_packer_work *work, const wf_image *image, const char *name, uint64_t seed,
            uint8_t **bytes, size_t *n) WF_MUST;
/* Unpacks bytes [n] into a picture whose shape wf_image_reserve has set. WF_DATA: the bytes are not of such a picture,
 * or were packed with another seed. They hold 31 bits of a hash of seed, sides and pixels, which is compared. */
int wf_unpack(const wf_packer *packer, wf_packer_work *work, const uint8_t *bytes, size_t n, uint64_t seed,
              wf_image *image) WF_MUST;

WF_END

#endif
