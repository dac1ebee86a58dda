/* cli_io.h - what programs read coefficients from and write them to
 *
 * Wherever a program takes a stream, it takes FILE, STORE or -, standard input. -o FILE writes a stream, which appears
 * when it is complete; -o STORE, a name that ends in ".store" or "/" or is a folder, writes a store. */
#ifndef WF_CLI_IO_H
#define WF_CLI_IO_H

#include "../lib/store/records.h"
#include "cli.h"
#include "cli_found.h"

/* clang-format off */
#define CLI_OUTPUT(into) \
    {'o', "output", "FILE", CLI_PLACE, into, 0, 0, \
     "Write the stream to FILE, or a store to a name that ends in .store or /; - is standard output, the default."}
/* clang-format on */

/* Opens the one operand from `first` on, or standard input if there is none. Dies with 64 on a second operand. */
wf_records *cli_open_input(int first);
/* Opens the operand of a program that reads latents, likewise. */
wf_records *cli_open_latents(int first);
/* Opens the argument `path` of -s, or the operand if it is NULL. Dies with 64 if both are given. */
wf_records *cli_open_store_or_input(const char *path, int first);
/* True if cli_open_store_or_input would read standard input. */
bool cli_reads_stdin(const char *path, int first);

/* Reads the next record; false at the end. Dies as wf_records_next fails. */
bool cli_next(wf_records *records, wf_record *record);

/* True if `path` does not name a file with a stream, nor standard input: it is a store or missing. */
bool cli_is_store(const char *path);

/* Opens `path` for reading at any place. A stream is copied into a store in TMPDIR first, which is gone when the
 * program ends. */
wf_store *cli_open_store(const char *path);
/* Copies records, which are closed, into such a store. */
wf_records *cli_spool(wf_records *records);
/* Copies the records of levels first .. meta->top into a new store at `path`, with progress. */
void cli_copy_records(wf_records *records, const char *path, const wf_meta *meta, int first);

typedef struct cli_output cli_output;
/* NULL or "-": standard output; dies with 64 and `advice` if that is a terminal. Dies with 64 if a store is there. */
cli_output *cli_open_output(const char *path, const wf_meta *meta, const char *advice);
int cli_put(void *output, const wf_record *record) WF_MUST; /* a wf_record_sink */
/* Ends the stream or seals the store, which appear now. */
void cli_close_output(cli_output *output);
/* Says what a signal leaves of an output to `path`, for interrupt_ends. Valid until the next call. */
const char *cli_output_left(const char *path);

#endif
