/* sampling.c - from options to a stream of drawn pictures */
#include "sampling.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "start.h"

void sampling_parse(sampling *s, const cli_program *program, int argc, char **argv)
{
    s->from_stdin = cli_stdin_operand(cli_parse(program, argc, argv), "it reads a stream from stdin");
    if (s->from_stdin + (s->count >= 0) + (s->from_path != NULL) > 1)
        die(WF_USAGE, "-n (draw from the base), --from (a file) and - (stdin) exclude each other");
    if (!s->model_path)
        die(WF_USAGE, "-m MODEL is needed");
    if (isatty(STDOUT_FILENO))
        die(WF_USAGE, "stdout is a terminal: pipe it into wf-idwt or a file");
}

void sampling_open(sampling *s)
{
    enum { DEFAULT_COUNT = 16 };
    must(wf_model_find(s->model_path, &s->model));
    s->backend = start_backend();
    if (s->from_path)
        must(wf_conditioning_images(&s->model, (char *const *)&s->from_path, 1, s->scale, &s->conditioning));
    else if (s->from_stdin || (s->count < 0 && cli_stdin_has_stream()))
        must(wf_conditioning_stream(&s->model, s->backend, stdin, "stdin", s->scale, &s->conditioning));
    else
        must(wf_conditioning_none(&s->model, s->count < 0 ? DEFAULT_COUNT : s->count, s->scale, &s->conditioning));
    s->drawn_count = wf_conditioning_level(s->conditioning) >= 0 ? -1 : s->count < 0 ? DEFAULT_COUNT : s->count;
}

void sampling_open_output(sampling *s, const wf_meta *meta, int first)
{
    char hash[20];
    int offset = wf_conditioning_offset(s->conditioning);
    s->meta = *meta;
    s->first = first;
    must(wf_model_hash(&s->model, first + offset, s->meta.top + offset, hash));
    cli_add_provenance(&s->meta, hash);
    must(wf_writer_create(stdout, "stdout", &s->meta, &s->writer));
}

void sampling_note(const sampling *s, const char *format, ...)
{
    char job[START_PICTURES + 128];
    int offset = wf_conditioning_offset(s->conditioning);
    wf_meta drawn = s->meta;
    wf_meta_shrink(&drawn, drawn.top);
    size_t n = strlen(start_pictures(s->drawn_count, &drawn, job));
    va_list ap;
    va_start(ap, format);
    vsnprintf(job + n, sizeof job - n, format, ap);
    va_end(ap);
    start_note(s->backend, &s->model, s->first + offset, s->meta.top + offset, job);
}

void sampling_run(sampling *s, int rows, sampling_draw *draw, void *user)
{
    uint64_t *index = must_allocate((size_t)rows, sizeof *index, "the numbers of pictures");
    for (;;) {
        int N;
        float *picture;
        must(wf_conditioning_next(s->conditioning, rows, &N, &picture, index));
        if (!N)
            break;
        must(draw(user, N, picture, index));
        free(picture);
    }
    free(index);
    must(wf_writer_finish(s->writer));
}

int sampling_write(void *user, const wf_record *record)
{
    const sampling *s = user;
    return wf_writer_put(s->writer, record);
}

void sampling_close(sampling *s)
{
    wf_writer_destroy(s->writer);
    wf_meta_clear(&s->meta);
    wf_conditioning_destroy(s->conditioning);
    wf_model_clear(&s->model);
    s->backend->close(s->backend);
}
