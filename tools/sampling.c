/* sampling.c - from options to a stream of drawn pictures */
#include "sampling.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"
#include "start.h"

void sampling_parse(sampling *s, const cli_program *program, int argc, char **argv)
{
    s->operand = cli_parse(program, argc, argv);
    if ((s->operand < argc) + (s->count >= 0) + (s->from_path != NULL) > 1)
        die(WF_USAGE, "-n (draw from the base), --from (pictures) and %s exclude each other",
            s->operand < argc ? argv[s->operand] : "a stream");
    if (!s->model_path)
        die(WF_USAGE, "-m MODEL is needed");
    if (cli_is_dash(s->output_path))
        s->output_path = NULL;
    if (!s->output_path && isatty(STDOUT_FILENO))
        die(WF_USAGE, "stdout is a terminal: pipe it into wf-idwt or a file");
}

void sampling_open(sampling *s)
{
    enum { DEFAULT_COUNT = 16 };
    found_open_model(s->model_path, &s->model);
    s->backend = start_backend();
    if (s->from_path)
        found_expect_no_coefficients("--from", s->from_path);
    if (s->from_path)
        must(wf_conditioning_images(&s->model, (char *const *)&s->from_path, 1, s->scale, &s->conditioning));
    else if (s->operand < common.argc || (s->count < 0 && found_stream_on_stdin())) {
        s->input = cli_open_input(s->operand);
        must(wf_conditioning_records(&s->model, s->backend, s->input, s->scale, &s->conditioning));
    } else
        must(wf_conditioning_none(&s->model, s->count < 0 ? DEFAULT_COUNT : s->count, s->scale, &s->conditioning));
    must(wf_conditioning_share(s->conditioning, s->shard, s->apart));
    s->drawn_count = wf_conditioning_level(s->conditioning) >= 0 ? -1 : s->count < 0 ? DEFAULT_COUNT : s->count;
    if (s->drawn_count >= 0)
        s->drawn_count = wf_shard_count(s->shard, 0, s->drawn_count);
}

void sampling_open_output(sampling *s, const wf_meta *meta, int first)
{
    char hash[20];
    int offset = wf_conditioning_offset(s->conditioning);
    s->meta = *meta;
    s->first = first;
    must(wf_model_hash(&s->model, first + offset, s->meta.top + offset, hash));
    cli_add_provenance(&s->meta, hash);
    s->output = cli_open_output(s->output_path, &s->meta, "pipe it into wf-idwt, or use -o");
}

void sampling_note(const sampling *s, const char *format, ...)
{
    char job[START_PICTURES + 128];
    int offset = wf_conditioning_offset(s->conditioning);
    wf_meta drawn = s->meta;
    wf_meta_shrink(&drawn, drawn.top);
    size_t n = strlen(start_pictures(s->drawn_count, &drawn, job));
    if (s->meta.shard.n)
        n += (size_t)snprintf(job + n, sizeof job - n, ", shard %d of %d", s->meta.shard.i, s->meta.shard.n);
    va_list ap;
    va_start(ap, format);
    vsnprintf(job + n, sizeof job - n, format, ap);
    va_end(ap);
    start_note(s->backend, &s->model, s->first + offset, s->meta.top + offset, NULL, job);
}

void sampling_run(sampling *s, int rows, sampling_draw *draw, void *user)
{
    uint64_t *index = must_allocate((size_t)rows, sizeof *index, "the numbers of pictures");
    for (;;) {
        int N;
        float *picture;
        progress_yield_input();
        must(wf_conditioning_next(s->conditioning, rows, &N, &picture, index));
        if (!N)
            break;
        s->index = index;
        s->names = wf_conditioning_names(s->conditioning);
        s->N = N;
        must(draw(user, N, picture, index));
        free(picture);
    }
    free(index);
    progress_end();
    cli_close_output(s->output);
}

int64_t sampling_count(const sampling *s)
{
    return s->drawn_count >= 0 || !s->input ? s->drawn_count : wf_records_count(s->input);
}

/* Writes a record of a shard in parts, each of one batch of the run. */
static int write_shard(const sampling *s, const wf_record *r)
{
    const wf_conditioning_batch *batch = wf_conditioning_batches(s->conditioning);
    wf_level_shape shape = wf_meta_level(&s->meta, r->level);
    size_t pixels = (size_t)shape.H * (size_t)shape.W;
    int each = (int)(r->N / s->N);
    for (int first = 0, end; first < s->N; first = end) {
        wf_record part = *r;
        size_t at = (size_t)first * (size_t)each;
        for (end = first + 1;
             end < s->N && batch[end].place == batch[first].place && batch[end].record == batch[first].record;)
            end++;
        part.N = (int64_t)(end - first) * each;
        part.low = r->low ? r->low + at * pixels * (size_t)shape.C : NULL;
        part.detail = r->detail ? r->detail + at * pixels * (size_t)shape.K : NULL;
        part.index = r->index + at;
        part.names = r->names ? r->names + at : NULL;
        part.batch = batch[first].place;
        part.each = batch[first].each * each;
        WF_TRY(cli_put(s->output, &part));
    }
    return WF_OK;
}

int sampling_write(void *user, const wf_record *record)
{
    const sampling *s = user;
    wf_record named = *record;
    if (s->keeps_numbers && record->N == s->N && !memcmp(record->index, s->index, (size_t)s->N * sizeof *s->index))
        named.names = s->names;
    return wf_conditioning_batches(s->conditioning) ? write_shard(s, &named) : cli_put(s->output, &named);
}

void sampling_close(sampling *s)
{
    wf_meta_clear(&s->meta);
    wf_conditioning_destroy(s->conditioning);
    wf_records_close(s->input);
    wf_model_clear(&s->model);
    s->backend->close(s->backend);
}
