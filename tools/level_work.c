/* level_work.c - adds up the work of levels */
#include "level_work.h"

#include <stdio.h>
#include <string.h>

#include "../lib/model/level.h"
#include "progress.h"

static level_work work;
static double each[WF_MAX_LEVELS + 1]; /* work of one picture at each level of the model; its sum is 1 */
static double done;
static int64_t runs;   /* of the level that runs, or all that count */
static int level = -1; /* that runs */

static void weigh(void)
{
    double sum = 0;
    wf_level_summary summary;
    memset(each, 0, sizeof each);
    for (int l = work.first; l <= work.last; l++) {
        wf_level_shape s = wf_meta_level(work.meta, l);
        if (!wf_level_summarize(work.model, l + work.offset, &summary))
            each[l + work.offset] = (double)summary.parameters * s.H * s.W;
        sum += each[l + work.offset];
    }
    for (int l = work.first; l <= work.last && sum > 0; l++)
        each[l + work.offset] /= sum;
    if (work.counts == LEVEL_WORK_JOINT)
        each[work.last + work.offset] = 1;
}

static void add(void *user, int of_level, int64_t count)
{
    char detail[32] = "";
    (void)user;
    if (of_level != level && work.counts == LEVEL_WORK_EACH)
        runs = 0;
    level = of_level;
    if (work.counts != LEVEL_WORK_LAST || of_level == work.last + work.offset)
        runs += count;
    done += each[of_level] * (double)count;
    bool resumed = work.counts >= LEVEL_WORK_ALL && count > 1; /* draws of a saved state */
    if (work.last > work.first)
        snprintf(detail, sizeof detail, "level %d", of_level);
    double all = (double)work.pictures * (double)work.times;
    double fraction = all > 0 ? done / all : -1;
    if (resumed)
        progress_from(runs, fraction);
    progress_at(work.counts < LEVEL_WORK_ALL ? runs / work.times : runs, fraction, detail);
}

wf_watch level_work_begin(const level_work *begun)
{
    work = *begun;
    done = 0;
    runs = 0;
    level = -1;
    weigh();
    int64_t total = work.pictures;
    if (total >= 0 && work.counts >= LEVEL_WORK_ALL)
        total *= work.times * (work.counts == LEVEL_WORK_ALL ? work.last - work.first + 1 : 1);
    progress_begin(work.kind ? work.kind : wf_signal_names[work.meta->signal], total);
    return (wf_watch){.call = add};
}
