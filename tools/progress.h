/* progress.h - one line of the terminal that says how far a program has come
 *
 *     wf-sample: 12 / 64 pictures, ETA 1m20s, 19%, 0.65/s, level 5
 *
 * It is drawn if standard error is a terminal that is not dumb (TERM), the program is in the foreground, and --quiet is
 * not given: from the first second of work on, at most four times a second. Parts that do not fit into the window are
 * left out. Rate and ETA are those of the last half minute.
 *
 * Programs of one pipeline share a terminal. One of them draws at a time: the first that has worked for a second, until
 * it waits for another or ends.
 *
 * Any thread may call. */
#ifndef WF_PROGRESS_H
#define WF_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* Work begins, on `total` things of this kind ("picture"); -1: not known. kind NULL: nothing is counted. The text is
 * borrowed. */
void progress_begin(const char *kind, int64_t total);
/* Rate and ETA count from here: what an earlier run did is done. */
void progress_from(int64_t done, double fraction);
/* True if progress_at would draw: for callers whose `detail` takes time to make. */
bool progress_due(void);
/* Says how much is done: things, and the fraction of the work, 0 to 1; -1: not known but by `total`. detail: more, in
 * parts separated by ", "; NULL: nothing. */
void progress_at(int64_t done, double fraction, const char *detail);

/* Prints text on standard error in place of the line, that of another program too. */
void progress_print(const char *text);
/* Clears it before something is printed on standard output. */
void progress_clear(void);
/* Let another program of the pipeline draw: before something is written to standard output, and before something is
 * read from standard input, if that is an empty pipe. */
void progress_yield_output(void);
void progress_yield_input(void);
/* Clears the line for good. */
void progress_end(void);

/* The figures now; may be called in a signal handler. kind NULL: nothing is counted. */
void progress_now(const char **kind, int64_t *done, int64_t *total);

#endif
