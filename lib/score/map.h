/* map.h - maps of bits: where in a picture its bits/dim are
 *
 * Each level gives every pixel of its low-pass a share of the picture's bits/dim: the log density of the pixel's
 * latents, and the pixel's log-determinants. A low-pass pixel stands for a square of the picture. The value of the map
 * at a pixel is the sum, over levels, of its square's bits per sample, so that the mean of the map is the picture's
 * bits/dim. A picture without a finite density has a map of INFINITY. Wavelets longer than Haar's reach beyond that
 * square. Maps are host [H,W]. */
#ifndef WF_MAP_H
#define WF_MAP_H

#include "../base/linkage.h"
#include "../pyramid/meta.h"

WF_BEGIN

typedef struct wf_maps wf_maps;

/* For pictures like meta, which is borrowed. WF_USAGE: the signal is not a picture. */
int wf_maps_create(const wf_meta *meta, wf_maps **out) WF_MUST;
void wf_maps_destroy(wf_maps *maps); /* NULL is allowed */

/* A wf_share_sink (evaluate.h); user: the wf_maps. Keeps 4 bytes for each pixel of the level's low-pass. */
int wf_maps_put(void *user, int level, int count, const double *bits) WF_MUST;

/* Writes the map of picture n, of which all levels came, to out [H,W]. */
void wf_maps_picture(const wf_maps *maps, int64_t n, float *out);
/* Gives mean and standard deviation of all finite values of pictures 0 to N - 1. WF_AGAIN: out of memory. */
int wf_maps_range(const wf_maps *maps, int64_t N, double *mean, double *deviation) WF_MUST;

/* Writes a map as .npy of float32 [H,W]. */
int wf_map_write_npy(const char *path, int H, int W, const float *map) WF_MUST;
/* Writes it as a PNG of H x W: black at the mean and below, over red and yellow to white at WF_MAP_SPAN
 * deviations above. */
enum { WF_MAP_SPAN = 8 };
int wf_map_write_png(const char *path, int H, int W, const float *map, double mean, double deviation) WF_MUST;

WF_END

#endif
