/* evaluation.h - bits per dimension of many pictures under a model: by picture, by level, and in total
 *
 * Letters: N pictures, K draws of each picture's dequantization noise. All figures are in bits per dimension of the
 * whole picture, so the figures of levels add up. */
#ifndef WF_EVALUATION_H
#define WF_EVALUATION_H

#include <stdio.h>

#include "../base/linkage.h"
#include "../store/records.h"
#include "evaluate.h"

WF_BEGIN

typedef struct wf_evaluation_spec {
    uint64_t seed;                 /* of the noise; picture i gets noise by seed and i alone */
    int64_t count;                 /* pictures that are evaluated at most; 0: all */
    int64_t samples;               /* K of the importance-weighted figure; 0: one draw, and no such figure */
    const wf_precision *precision; /* of all levels; NULL: that of its file */
    wf_shard shard;                /* of the run that the pictures are; they may be none if n > 0 */
    uint64_t run;                  /* hash that its shards have in common */
    wf_watch watch;                /* of pictures, by level, each as often as it is drawn */
    bool infinite;                 /* a picture whose log density is not finite gets INFINITY bits and ends nothing */
    const wf_given *given;         /* of the pictures; NULL: nothing */
    wf_latent_sink *latents;       /* takes the latents of each level, pictures in their order; NULL: nobody */
    void *latents_user;
    wf_share_sink *shares; /* takes the shares of pixels at each level, pictures in their order; NULL: nobody */
    void *shares_user;
} wf_evaluation_spec;

typedef struct wf_evaluation wf_evaluation;

/* For pictures like `meta` (copied), read from `name`. The model and the backend are borrowed until destroy.
 * WF_DATA: the pictures are not like those of the model. */
int wf_evaluation_create(const wf_model *model, wf_backend *backend, const wf_meta *meta, const char *name,
                         const wf_evaluation_spec *spec, wf_evaluation **out) WF_MUST;
void wf_evaluation_destroy(wf_evaluation *e); /* NULL is allowed */

/* Evaluates the pictures of a record at its level, perhaps together with those of later records, so that batches are
 * full. A level's weights are loaded when its first record comes. WF_NOINPUT: the level is not trained. WF_INTERNAL: a
 * density is not finite. */
int wf_evaluation_put(wf_evaluation *e, const wf_record *record) WF_MUST;
/* Evaluates all levels of a store one after the other. Its metadata are those the evaluation was created with. */
int wf_evaluation_put_store(wf_evaluation *e, wf_store *store) WF_MUST;

/* Call after the last picture and before what follows. WF_DATA: no picture came, or levels had different pictures. */
int wf_evaluation_finish(wf_evaluation *e) WF_MUST;

/* Mean and standard error over the pictures, n = 0 where there is no such figure: one level's contribution; the sum
 * of all levels; and the bound from K draws (wf_importance_bits). Sums need every level of the model. */
wf_mean wf_evaluation_level(const wf_evaluation *e, int level);
wf_mean wf_evaluation_total(const wf_evaluation *e);
wf_mean wf_evaluation_weighted(const wf_evaluation *e);

/* Number of pictures, and of picture 0 <= n < count its index and its name (NULL: it has none, borrowed). */
int64_t wf_evaluation_count(const wf_evaluation *e);
uint64_t wf_evaluation_index(const wf_evaluation *e, int64_t n);
const char *wf_evaluation_name(const wf_evaluation *e, int64_t n);
/* Contribution of a level to each picture's bits/dim [count], borrowed; NULL: the level has no pictures. */
const double *wf_evaluation_bits(const wf_evaluation *e, int level);

/* Gives all these figures. */
void wf_evaluation_figures(const wf_evaluation *e, wf_figures *out);
/* Limits the functions below to the `count` pictures of most bits/dim (with samples, weighted), and sorts these: the
 * highest first, equal ones in their order. WF_AGAIN: out of memory. */
int wf_evaluation_rank(wf_evaluation *e, int64_t count) WF_MUST;
/* Writes one line a picture, separated by tabs: bits/dim and the name, below a line of heads. */
void wf_evaluation_write_ranks(const wf_evaluation *e, FILE *file);
/* Writes one line a picture, separated by tabs: index, total, weighted (with samples), each level, and the name, below
 * a line of heads. A picture without a name has its index there. Errors in writing show when the file is flushed or
 * closed (wf_close). */
void wf_evaluation_write_pictures(const wf_evaluation *e, FILE *file);
/* Writes one JSON object a line and picture: index, name if it has one, bpd, iw (with samples) and levels. WF_AGAIN:
 * out of memory. */
int wf_evaluation_write_picture_lines(const wf_evaluation *e, FILE *file) WF_MUST;

WF_END

#endif
