/* cli_found.h - what came in place of coefficients or of a model, and what to do with it
 *
 * The kind of a file follows from its first bytes (kind.h), that of a folder from the files in it. */
#ifndef WF_CLI_FOUND_H
#define WF_CLI_FOUND_H

#include "../lib/image/kind.h"
#include "../lib/model/model.h"
#include "../lib/store/records.h"
#include "cli.h"

typedef enum found_expected { FOUND_COEFFICIENTS, FOUND_LATENTS, FOUND_ANY } found_expected;

/* True unless standard input is a terminal or at its end. Waits for the first byte of a pipe. */
bool found_on_stdin(void);
/* Answers likewise, but dies with 65 of an empty pipe: the program before it must have failed. */
bool found_stream_on_stdin(void);
/* Standard input as a stream. Its first bytes were examined, so this FILE alone has all of them. Dies with 64 if it is
 * a terminal, with 65 if it is empty or holds anything but a stream. */
FILE *found_stdin(found_expected expected);

/* Returns if `status` is 0. Else dies: the library gave it for the file, store or stream at `path`. The message names
 * the kind of what is there if that explains the failure, else it is the library's. */
void found_must(int status, const char *path, found_expected expected);

/* Dies with 65 if `meta`, of what is at `path`, is of fields and the program does not take them. */
void found_expect_no_fields(const wf_meta *meta, const char *path);

/* Opens inputs as wf_records_open does; dies of a wrong one, which the message names. latents: accepts them too. */
wf_records *found_open_records(char *const *paths, int count, bool latents, found_expected expected);

/* Dies with 65 if the argument of an option that takes pictures is a stream or a store. */
void found_expect_no_coefficients(const char *option, const char *path);

/* Opens the model of -m, --init or --like as wf_model_find does; dies likewise. */
void found_open_model(const char *name, wf_model *out);
/* Dies with 64 if a model cannot be made at `path`, since a file or a store is there. */
void found_expect_model_folder(const char *path);
/* Dies with 65 if there is a model at `path` and it is for other pictures than those of `meta`, which come from
 * `name`. */
void found_expect_pictures_of(const char *path, const wf_meta *meta, const char *name);

/* -- between cli_found.c and cli_stdin.c --------------------------------------------------------------------------- */

/* Dies of bytes that are not a stream, NULL: on standard input. Returns if they are one, which the library examines. */
void found_die_of_kind(const char *path, const wf_kind *kind, found_expected expected);
void found_die_of_terminal(found_expected expected) __attribute__((noreturn));

#endif
