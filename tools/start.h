/* start.h - the backend of a program, and the line that says what a program runs on
 *
 * Programs that run a model print one line when they begin to compute, after every option and input was checked:
 *
 *     wf-sample: model faces on AMD EPYC (AVX2, oneDNN 2.6.3, 2 threads), fp32, chain '8*(actnorm, conv1x1,
 *     affine:width=128:blocks=3), actnorm', 0.614 M parameters in levels 0 to 5, 16 pictures of 32x32x3
 */
#ifndef WF_START_H
#define WF_START_H

#include "../lib/model/level.h"
#include "cli.h"

/* Opens --backend with --threads, or dies. Prints a line if "auto" computes on the CPU because a card does not work. */
wf_backend *start_backend(void);

/* "AMD EPYC (AVX2, oneDNN 2.6.3, 2 threads)" */
enum { START_DEVICE = 192 };
const char *start_device(const wf_backend *backend, char text[START_DEVICE]);

/* "bf16", or "bf16 (computed as fp32)" on a backend without it. */
const char *start_precision(const wf_backend *backend, wf_precision precision);
enum { START_PRECISION = 96 };

/* "chain official: '16*(actnorm, ..), actnorm'", cut off after 72 characters of the chain. name: NULL if it has
 * none. */
enum { START_CHAIN = 160 };
const char *start_chain(const char *name, const char *chain, char text[START_CHAIN]);

/* "1 parameter", "61440 parameters", "2.41 M parameters" */
enum { START_PARAMETERS = 48 };
const char *start_parameters(size_t n, char text[START_PARAMETERS]);

/* "16 pictures of 32x32x3"; n < 0: "pictures of 32x32x3", of a stream whose end is not known. */
enum { START_PICTURES = 96 };
const char *start_pictures(int64_t n, const wf_meta *meta, char text[START_PICTURES]);

/* Prints the line of a program that runs levels first .. last of a model, as far as they are trained, with the chain of
 * the highest. precision: of all levels; NULL: as they were trained. `job`: what is computed. */
void start_note(const wf_backend *backend, const wf_model *model, int first, int last, const wf_precision *precision,
                const char *job);

#endif
