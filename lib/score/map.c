/* map.c - keeps the shares of pixels by level, and adds them up at the pixels of a picture */
#include "map.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/count.h"
#include "../base/file.h"
#include "../base/number.h"
#include "../image/save.h"

/* Values of one level, pictures in the order of arrival. */
typedef struct level_values {
    float *of; /* [n,h,w], bits per sample */
    int64_t n, room;
} level_values;

struct wf_maps {
    const wf_meta *meta;
    level_values levels[WF_MAX_LEVELS + 1];
};

int wf_maps_create(const wf_meta *meta, wf_maps **out)
{
    WF_CHECK(meta->signal == WF_PICTURE, WF_USAGE, "maps are of pictures, not of %ss", wf_signal_names[meta->signal]);
    *out = calloc(1, sizeof **out);
    WF_CHECK(*out, WF_AGAIN, "maps: out of memory");
    (*out)->meta = meta;
    return WF_OK;
}

void wf_maps_destroy(wf_maps *m)
{
    for (int l = 0; m && l <= WF_MAX_LEVELS; l++)
        free(m->levels[l].of);
    free(m);
}

int wf_maps_put(void *user, int level, int count, const double *bits)
{
    wf_maps *m = user;
    level_values *v = &m->levels[level];
    wf_level_shape s = wf_meta_level(m->meta, level);
    size_t each = wf_count3(s.H, s.W, 1);
    if (v->n + count > v->room) {
        int64_t room = 2 * v->room + count;
        float *grown = realloc(v->of, (size_t)room * each * sizeof *grown);
        WF_CHECK(grown, WF_AGAIN, "out of memory for maps of %lld pictures", (long long)room);
        v->of = grown;
        v->room = room;
    }
    float *to = v->of + (size_t)v->n * each;
    for (size_t i = 0; i < (size_t)count * each; i++)
        to[i] = (float)(bits[i] * (double)each);
    v->n += count;
    return WF_OK;
}

void wf_maps_picture(const wf_maps *m, int64_t n, float *out)
{
    int H = m->meta->H, W = m->meta->W;
    memset(out, 0, wf_count3(H, W, 1) * sizeof *out);
    for (int l = 0; l <= m->meta->levels; l++) {
        wf_level_shape s = wf_meta_level(m->meta, l);
        const float *own = m->levels[l].of + (size_t)n * wf_count3(s.H, s.W, 1);
        int side = H / s.H;
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                out[(size_t)y * (size_t)W + (size_t)x] += own[(size_t)(y / side) * (size_t)s.W + (size_t)(x / side)];
    }
}

int wf_maps_range(const wf_maps *m, int64_t N, double *mean, double *deviation)
{
    size_t each = wf_count3(m->meta->H, m->meta->W, 1);
    double sum = 0, squares = 0, count = 0;
    float *map = malloc(each * sizeof *map);
    WF_CHECK(map, WF_AGAIN, "maps: out of memory");
    for (int64_t n = 0; n < N; n++) {
        wf_maps_picture(m, n, map);
        for (size_t i = 0; i < each; i++) {
            double value = (double)map[i];
            sum += isfinite(value) ? value : 0;
            squares += isfinite(value) ? value * value : 0;
            count += isfinite(value) ? 1 : 0;
        }
    }
    free(map);
    *mean = count > 0 ? sum / count : 0;
    *deviation = count > 0 ? sqrt(fmax(0, squares / count - *mean * *mean)) : 0;
    return WF_OK;
}

/* -- files --------------------------------------------------------------------------------------------------------- */

int wf_map_write_npy(const char *path, int H, int W, const float *map)
{
    wf_outfile *file;
    size_t n = wf_count3(H, W, 1);
    WF_TRY(wf_outfile_create(path, &file));
    FILE *to = wf_outfile_stream(file);
    int status = wf_npy_write_head(to, path, 2, (const int64_t[]){H, W});
    if (!status && fwrite(map, sizeof *map, n, to) != n)
        status = wf_fail_write(path);
    if (!status)
        return wf_outfile_commit(file);
    wf_outfile_abort(file);
    return status;
}

static uint16_t brightness(double t)
{
    return (uint16_t)lrint(255 * fmin(fmax(t, 0), 1));
}

int wf_map_write_png(const char *path, int H, int W, const float *map, double mean, double deviation)
{
    wf_image image = {0};
    WF_TRY(wf_image_reserve(&image, path, H, W, 3, 8));
    for (size_t i = 0; i < wf_count3(H, W, 1); i++) {
        double t = deviation > 0 ? 3 * ((double)map[i] - mean) / (WF_MAP_SPAN * deviation) : 0;
        for (int c = 0; c < 3; c++)
            image.pixels[3 * i + (size_t)c] = brightness(t - c);
    }
    int status = wf_image_save(path, &image);
    wf_image_clear(&image);
    return status;
}
