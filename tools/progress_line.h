/* progress_line.h - the text of a line of progress (progress.h) */
#ifndef WF_PROGRESS_LINE_H
#define WF_PROGRESS_LINE_H

#include <stdint.h>

typedef struct progress_figures {
    const char *kind;    /* of things; NULL: they are not counted */
    int64_t done, total; /* total -1: not known */
    double fraction;     /* of the work that is done; -1: not known */
    /* over the last half minute */
    double seconds, advance; /* advance of the fraction */
    int64_t things;
    const char *detail; /* parts separated by ", "; NULL: none */
} progress_figures;

enum { PROGRESS_LINE = 512 }; /* columns at most */

/* Writes a line of at most `width` columns. Parts that do not fit are left out, except the first, which is cut off. */
void progress_line(const progress_figures *figures, int width, char text[PROGRESS_LINE + 1]);

#endif
