/* sampling.h - what wf-sample and wf-nuts share: a model, what its pictures begin from, and the stream that is
 * written */
#ifndef WF_SAMPLING_H
#define WF_SAMPLING_H

#include "../lib/sample/conditioning.h"
#include "cli_io.h"

typedef struct sampling {
    /* options */
    const char *model_path, *from_path, *output_path;
    int64_t count;      /* -1: not given */
    int to_level;       /* -1: not given */
    int scale;          /* 0: not given */
    int operand;        /* place in argv of the stream or store to continue; argc: none */
    wf_shard shard;     /* n = 0: not given */
    bool apart;         /* pictures drawn together are of one batch of the run; see wf_conditioning_share */
    bool keeps_numbers; /* each picture that comes in becomes one of its number, with its name */
    /* handles */
    wf_model model;
    wf_backend *backend;
    wf_records *input;             /* of the conditioning, or NULL */
    wf_conditioning *conditioning; /* the pictures to begin from */
    int64_t drawn_count;           /* pictures to be drawn; -1: as many as come in */
    wf_meta meta;                  /* of the stream that is written */
    int first;                     /* lowest level that is drawn, as numbered in meta */
    cli_output *output;
    const uint64_t *index;    /* [N], of the pictures being drawn */
    const char *const *names; /* [N]; NULL: none */
    int N;
} sampling;

/* clang-format off */
#define SAMPLING_DEFAULTS {.count = -1, .to_level = -1}

/* Rows of the option table for the sampling `s`. */
#define SAMPLING_OPTIONS(s) \
    CLI_MODEL(&(s).model_path), \
    {'n', "count", "N", CLI_COUNT, &(s).count, 0, 1e12, \
     "Draw N pictures from the base upward, without reading stdin."}, \
    {'l', "level", "L", CLI_INT, &(s).to_level, 0, WF_MAX_LEVELS, "Stop at level L (default: the model's highest)."}, \
    {0, "from", "FILE", CLI_STRING, &(s).from_path, 0, 0, \
     "Begin at the pictures of a file, folder or archive, and draw the levels above them."}, \
    {0, "scale", "2|4|8|16", CLI_INT, &(s).scale, 2, 1 << 14, \
     "Enlarge pictures of any size by this factor, with the model's highest levels."}, \
    CLI_SHARD_OF(&(s).shard, "wf-view joins the outputs of all N into that of the run, byte for byte."), \
    CLI_OUTPUT(&(s).output_path)
/* clang-format on */

/* Parses the command line and dies with 64 where its options exclude one another. */
void sampling_parse(sampling *s, const cli_program *program, int argc, char **argv);

/* Opens the model, the backend, and the pictures to begin from: none with -n, those of --from, else a stream or store,
 * by default on stdin. With nothing on stdin, 16 pictures are drawn from the base. */
void sampling_open(sampling *s);

/* Opens the output stream of pictures like `meta`, which the sampling then owns. Levels first to meta->top are
 * drawn, as numbered in `meta`; the weights of these levels go into the provenance. */
void sampling_open_output(sampling *s, const wf_meta *meta, int first);

/* Prints the line that says what the program runs on and draws; the text of `format` follows the pictures. */
void sampling_note(const sampling *s, const char *format, ...) WF_PRINTF(2, 3);

/* Draws what is above N pictures [N,H,W,C] (NULL: nothing to begin from), which are freed afterwards. */
typedef int sampling_draw(void *user, int N, const float *picture, const uint64_t *index);

/* Calls draw for all pictures, at most `rows` at a time, then ends the stream. */
void sampling_run(sampling *s, int rows, sampling_draw *draw, void *user);

/* A wf_record_sink that writes to the output; `user` is the sampling. */
int sampling_write(void *user, const wf_record *record);

/* Pictures to be drawn or continued; -1: not known. */
int64_t sampling_count(const sampling *s);

void sampling_close(sampling *s);

#endif
