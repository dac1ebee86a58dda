/* given.h - what is given to a flow beside the low-pass: a label, or a vector of numbers, of each picture
 *
 * Every pixel of the flow's condition gets the same further channels: for labels as many as there are classes, 1 for
 * the picture's class and 0 for the others; else the numbers, less their means and divided by their deviations. */
#ifndef WF_GIVEN_H
#define WF_GIVEN_H

#include <stdbool.h>
#include <stdint.h>

#include "../base/linkage.h"
#include "../base/status.h"

WF_BEGIN

enum { WF_MAX_GIVEN = 64, WF_GIVEN_TEXT = 4096 };

/* Kind of what a level was trained with; all 0: nothing is given. */
typedef struct wf_given_kind {
    int classes; /* labels 0 .. classes - 1 */
    int numbers; /* or so many numbers, with these means and deviations */
    double mean[WF_MAX_GIVEN], deviation[WF_MAX_GIVEN];
} wf_given_kind;

/* Rows of what is given, in memory of the caller. */
typedef struct wf_given {
    const char *name; /* for messages */
    bool labels;      /* whole numbers, one a row */
    int64_t rows;
    int columns;
    const double *values; /* [rows,columns] */
    int64_t row;          /* that every picture is given; -1: picture i is given row i */
} wf_given;

int wf_given_channels(const wf_given_kind *kind);
/* Hash of the rows and of what they are, labels or numbers: 16 hex digits. */
void wf_given_hash(const wf_given *given, char out[20]);
bool wf_given_same(const wf_given_kind *a, const wf_given_kind *b);

/* Makes the kind of rows to train on. WF_DATA: a label is not from 0 to WF_MAX_GIVEN - 1, a number is not finite, or
 * there are more than WF_MAX_GIVEN columns, or no row. */
int wf_given_measure(const wf_given *given, wf_given_kind *out) WF_MUST;
/* WF_USAGE: rows are given (NULL: none are) and `kind` is of none, or the reverse. WF_DATA: rows are of another kind,
 * or hold a label that was not trained. who: what was trained, for messages. */
int wf_given_check(const wf_given *given, const wf_given_kind *kind, const char *who) WF_MUST;
/* Writes the channels of picture number `picture`. WF_DATA: it has no row. */
int wf_given_write(const wf_given *given, const wf_given_kind *kind, uint64_t picture, float *channels) WF_MUST;

/* "labels 10", "numbers MEAN:DEVIATION MEAN:DEVIATION"; "" for nothing. Returns `out`. */
const char *wf_given_text(const wf_given_kind *kind, char out[WF_GIVEN_TEXT]);
/* Reads that text; NULL is nothing. WF_DATA: malformed; the message begins with `who`. */
int wf_given_parse(const char *text, const char *who, wf_given_kind *out) WF_MUST;

WF_END

#endif
