/* level_work.h - progress of programs that run pictures through the levels of a model
 *
 * The work of a level is taken as its parameters times its pixels, as for convolutions. */
#ifndef WF_LEVEL_WORK_H
#define WF_LEVEL_WORK_H

#include "../lib/base/watch.h"
#include "../lib/model/model.h"

typedef struct level_work {
    const wf_model *model;
    const wf_meta *meta; /* of the pictures; its level l is level l + offset of the model */
    int offset;          /* to the model's levels */
    int first, last;     /* levels that run, as numbered in `meta` */
    int64_t pictures;    /* -1: not known */
    int64_t times;       /* that each picture runs through each level */
    const char *kind;    /* of things that are counted; NULL: pictures */
    enum {
        LEVEL_WORK_LAST,  /* counts a picture when it has run through the last level, as often as `times` */
        LEVEL_WORK_EACH,  /* counts the pictures of one level after the other */
        LEVEL_WORK_ALL,   /* counts every run of every picture through every level */
        LEVEL_WORK_JOINT, /* the same, of runs through all levels at once */
    } counts;
} level_work;

/* The work begins; everything is borrowed until its end. Returns what the library calls after each part of it. */
wf_watch level_work_begin(const level_work *work);

#endif
