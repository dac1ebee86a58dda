/* measuring.c - from options to a measurement */
#include "measuring.h"

#include <stdlib.h>

#include "../lib/mcmc/observed.h"

wf_measured *measuring_open(const measuring *m, const wf_meta *meta, int scale, double noise)
{
    wf_measured_spec spec = {.noise = noise, .scale = scale};
    wf_meta small = *meta;
    wf_measured *measured;
    uint8_t *missing = NULL;
    if (meta->H % scale || meta->W % scale)
        die(WF_USAGE, "--scale %d: pictures are %dx%d, expected a divisor of both", scale, meta->W, meta->H);
    small.H /= scale;
    small.W /= scale;
    if (m->blur_path)
        must(wf_psf_read(m->blur_path, &spec.psf));
    if (m->mask_path)
        must(wf_observed_read_mask(m->mask_path, &small, &missing));
    spec.missing = missing;
    must(wf_measured_create(meta, &spec, &measured));
    wf_psf_clear(&spec.psf);
    free(missing);
    return measured;
}
