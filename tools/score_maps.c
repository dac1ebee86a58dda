/* score_maps.c - maps of bits as pictures and as arrays */
#include "score_maps.h"

#include <stdlib.h>
#include <unistd.h>

#include "../lib/base/count.h"
#include "../lib/base/file.h"
#include "cli.h"
#include "picture_files.h"
#include "progress.h"

void score_maps_begin(const char *folder, const wf_meta *meta, wf_maps **reference, wf_maps **given)
{
    *reference = *given = NULL;
    if (!folder)
        return;
    must(wf_mkdirs(folder));
    if (access(folder, W_OK))
        must(wf_fail_write(folder));
    must(wf_maps_create(meta, reference));
    must(wf_maps_create(meta, given));
}

/* Writes the map of picture n under its name. */
static void write_map(const char *folder, const wf_meta *meta, const wf_statistics *judged, int64_t n, const float *map,
                      double mean, double deviation)
{
    const char *path, *name = wf_statistics_name(judged, n);
    uint64_t index = wf_statistics_index(judged, n);
    must(picture_files_path(folder, index, name, "map.png", true, &path));
    if (path)
        must(wf_map_write_png(path, meta->H, meta->W, map, mean, deviation));
    must(picture_files_path(folder, index, name, "map.npy", true, &path));
    if (path)
        must(wf_map_write_npy(path, meta->H, meta->W, map));
}

void score_maps_end(const char *folder, const wf_meta *meta, int64_t reference_count, wf_maps *reference,
                    const wf_statistics *judged, wf_maps *given)
{
    double mean, deviation;
    int64_t N = wf_statistics_count(judged);
    if (!folder)
        return;
    float *map = must_allocate(wf_count3(meta->H, meta->W, 1), sizeof *map, "a map");
    must(wf_maps_range(reference, reference_count, &mean, &deviation));
    progress_begin("map", N);
    for (int64_t n = 0; n < N; n++) {
        wf_maps_picture(given, n, map);
        write_map(folder, meta, judged, n, map, mean, deviation);
        progress_at(n + 1, -1, NULL);
    }
    progress_end();
    picture_files_note(folder, NULL, true);
    picture_files_clear();
    free(map);
    wf_maps_destroy(reference);
    wf_maps_destroy(given);
}
