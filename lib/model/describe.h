/* describe.h - what a stream, store, checkpoint or model holds, and what this build can do, as text, JSON or a card */
#ifndef WF_DESCRIBE_H
#define WF_DESCRIBE_H

#include <stdbool.h>
#include <stdio.h>

#include "../base/linkage.h"
#include "../base/watch.h"
#include "../base/status.h"

WF_BEGIN

/* One JSON object. "kind" is stream, latents, store, checkpoint or model; provenance is a list, oldest entry first. */
typedef struct wf_description wf_description;

/* Describes the file or folder at `path`; "-" is a stream on standard_input, which is borrowed. Streams are read to
 * their end. verify: also reads and checks every value of a store, checkpoint or model. watch: of values of streams and
 * stores, a level of a picture each; NULL: none. WF_NOINPUT: missing. WF_DATA: of an unknown kind, cut off or
 * damaged. */
int wf_describe_path(const char *path, FILE *standard_input, bool verify, const wf_watch *watch,
                     wf_description **out) WF_MUST;

/* Describes the library: version, stream format, and the backends of this build and machine. */
int wf_describe_build(wf_description **out) WF_MUST;

void wf_description_destroy(wf_description *d); /* NULL is allowed */

/* Writes everything as one JSON object in one line. */
int wf_description_write_json(const wf_description *d, FILE *file, const char *name) WF_MUST;
/* Writes it for people: scalars, then a table for each list, then the provenance. Control characters become '?'. */
int wf_description_write_text(const wf_description *d, FILE *file, const char *name) WF_MUST;
/* Writes the description of a model as a model card in Markdown: facts, the text `note` (NULL: none), levels, use and
 * provenance. `name`: of the model. WF_USAGE: it describes something else. */
int wf_description_write_card(const wf_description *d, const char *name, const char *note, FILE *file,
                              const char *path) WF_MUST;

WF_END

#endif
