/* score_maps.h - the files of wf-score --map */
#ifndef WF_SCORE_MAPS_H
#define WF_SCORE_MAPS_H

#include "../lib/score/statistics.h"

/* Fails now if maps cannot be made or written, not after the work, and creates those of the reference and of the
 * pictures to judge. Without a folder both are NULL. */
void score_maps_begin(const char *folder, const wf_meta *meta, wf_maps **reference, wf_maps **given);
/* Writes two files for each picture, and destroys the maps. Does nothing without a folder. */
void score_maps_end(const char *folder, const wf_meta *meta, int64_t reference_count, wf_maps *reference,
                    const wf_statistics *judged, wf_maps *given);

#endif
