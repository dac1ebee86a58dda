/* measuring.h - what wf-nuts and wf-coverage share: how pictures are measured */
#ifndef WF_MEASURING_H
#define WF_MEASURING_H

#include "../lib/mcmc/measured.h"
#include "cli.h"

typedef struct measuring {
    double noise; /* 0: not given */
    const char *blur_path, *mask_path;
} measuring;

/* clang-format off */
/* Rows of the option table for the measuring `m`; the row of --mask is each program's own. */
#define MEASURING_OPTIONS(m) \
    {0, "noise", "SIGMA", CLI_DOUBLE, &(m).noise, 1e-3, 1e6, \
     "Pictures are measured with normal noise of this standard deviation, in grey values; see above."}, \
    {0, "blur", "FILE", CLI_STRING, &(m).blur_path, 0, 0, \
     "Pictures are blurred before the noise: a grey picture of odd sides is the point spread function, divided by " \
     "its sum. Beyond its borders a picture is mirrored."}
/* clang-format on */

/* Opens the measurement of pictures like `meta`, averaged over squares of side `scale`, with noise `noise`. */
wf_measured *measuring_open(const measuring *m, const wf_meta *meta, int scale, double noise);

#endif
