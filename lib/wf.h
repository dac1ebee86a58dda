/* wf.h - Wavelet Flow: all of the library in one include
 *
 * Letters, the same everywhere:
 *
 *     N  pictures of a batch
 *     H W  height and width;  P = H*W  pixels
 *     C  image channels
 *     K  coefficient channels: B*C details, with B = 3 bands of a picture, or C at the base
 *     L  level, of n levels
 *     D  coefficients of a picture; in a shape: slices of a volume
 *
 * Tensors are [N,H,W,C], innermost last, in memory and on disk.
 *
 *     pictures   image.h     wf_images_open, wf_images_next           formats recognised by content
 *     records    decompose.h wf_decomposer_look, _run                 pictures to a stream or store
 *     pyramid    pyramid.h   wf_pyramid_split, wf_pyramid_join        pictures <-> coefficients of all levels
 *     streams    stream.h    wf_reader_next, wf_writer_put            records through pipes
 *     stores     store.h     wf_store_writer_put, wf_store_get        LMDB, many readers
 *     flows      flow.h      wf_flow_forward, _backward, _inverse     a chain of bijectors on a backend
 *     models     model.h     wf_model_open, wf_level_load             a folder, one file per level
 *     passing on export.h    wf_model_export                          weights and a card, without optimizer state
 *     training   train.h     wf_train, wf_train_levels                resumes by itself
 *     ranks      ranks.h     wf_ranks_open, wf_ranks_agree            processes that train one level together
 *     figures    evaluate.h  wf_evaluator_run, wf_importance_bits     bits per dimension
 *     noise      dequantizer.h, pixel_noise.h                         learnt; one draw for all levels
 *     running    level_runner.h  wf_level_runner_load, _forward       one level, with noise, ready to run
 *     samples    sample.h    wf_sampler_run                           draws the details of a level
 *     shards     shard.h     wf_conditioning_share, wf_store_open_shard   every n-th picture; wf_records_open joins
 *     latents    codec.h     wf_codec_encode, wf_codec_decode         whole pictures to latents and back
 *     archives   packer.h, archive.h   wf_pack, wf_archive_put          pictures without loss, by whole numbers
 *     annealing  annealed_sampler.h  wf_annealed_sampler_run          annealed pictures by NUTS
 *     strangers  score.h     wf_score_compare, wf_conformal_p         pictures that do not belong
 *     neighbours nearest.h   wf_nearest_search                        the most similar pictures of a store
 *
 * Every call that can fail returns a status (status.h); nothing prints or exits. ..._create and ..._open make handles,
 * ..._destroy, _close and _clear end them. A pointer that a call hands out is borrowed; its comment says how long it is
 * valid. One thread at a time may use a handle, except for wf_store_get. */
#ifndef WF_H
#define WF_H

#include "base/file.h"
#include "base/version.h"
#include "codec/archive.h"
#include "image/decompose.h"
#include "image/grid.h"
#include "image/survey.h"
#include "mcmc/annealed_sampler.h"
#include "model/evaluate.h"
#include "model/export.h"
#include "model/level_runner.h"
#include "model/presets.h"
#include "pyramid/pyramid.h"
#include "pyramid/wavelet.h"
#include "sample/codec.h"
#include "sample/coarse_to_fine.h"
#include "sample/sample.h"
#include "score/conformal.h"
#include "score/score.h"
#include "store/nearest.h"
#include "store/store.h"
#include "train/train.h"

#endif
