/* cli_io.c - opens streams and stores by the name that the user gave */
#include "cli_io.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/base/file.h"
#include "interrupt.h"
#include "progress.h"

/* -- input --------------------------------------------------------------------------------------------------------- */

static wf_records *open_records(const char *path, bool latents)
{
    return found_open_records((char *const *)&path, 1, latents, latents ? FOUND_LATENTS : FOUND_COEFFICIENTS);
}

static wf_records *open_operand(int first, bool latents)
{
    if (common.argc - first > 1)
        die(WF_USAGE, "%s: one stream or store at a time; wf-view joins several", common.argv[first + 1]);
    return open_records(first < common.argc ? common.argv[first] : "-", latents);
}

wf_records *cli_open_input(int first)
{
    return open_operand(first, false);
}

wf_records *cli_open_latents(int first)
{
    return open_operand(first, true);
}

wf_records *cli_open_store_or_input(const char *path, int first)
{
    bool same = cli_is_dash(path) && first < common.argc && cli_is_dash(common.argv[first]);
    if (path && first < common.argc && !same)
        die(WF_USAGE, "-s %s and %s exclude each other", path, common.argv[first]);
    return path ? open_records(path, false) : cli_open_input(first);
}

bool cli_reads_stdin(const char *path, int first)
{
    const char *operand = first < common.argc ? common.argv[first] : "-";
    return cli_is_dash(path ? path : operand);
}

bool cli_next(wf_records *records, wf_record *record)
{
    bool more;
    progress_yield_input();
    must(wf_records_next(records, record, &more));
    return more;
}

/* -- stores of streams --------------------------------------------------------------------------------------------- */

static char temporary[4096]; /* store being made; "": none */

static void remove_temporary(void)
{
    if (*temporary)
        wf_store_remove(temporary);
    *temporary = '\0';
    interrupt_removes(NULL);
}

static void make_temporary(void)
{
    const char *folder = getenv("TMPDIR");
    int n = snprintf(temporary, sizeof temporary, "%s/wf-XXXXXX", folder && *folder ? folder : "/tmp");
    if (n < 0 || (size_t)n >= sizeof temporary || !mkdtemp(temporary)) {
        *temporary = '\0';
        must(wf_fail_errno("TMPDIR: cannot make a folder in %s", folder && *folder ? folder : "/tmp"));
    }
    static bool registered;
    if (!registered)
        atexit(remove_temporary);
    registered = true;
    interrupt_removes(temporary);
    interrupt_ends("nothing is written");
}

void cli_copy_records(wf_records *records, const char *path, const wf_meta *meta, int first)
{
    wf_store_writer *writer;
    wf_record record;
    int64_t there, count = 0;
    if (meta->latents)
        die(WF_DATA, "%s: latents, which no store holds, expected coefficients", wf_records_name(records));
    must(wf_store_writer_create(path, meta, false, &writer, &there));
    progress_begin(wf_signal_names[meta->signal], wf_records_count(records));
    while (cli_next(records, &record)) {
        if (record.level >= first && record.level <= meta->top)
            must(wf_store_writer_put(writer, &record));
        count += record.level == meta->top ? record.N : 0;
        progress_at(count, -1, "copied");
    }
    progress_end();
    must(wf_store_writer_seal(writer));
    wf_store_writer_close(writer);
}

static void spool(wf_records *records)
{
    make_temporary();
    cli_copy_records(records, temporary, wf_records_meta(records), 0);
    wf_records_close(records);
}

wf_records *cli_spool(wf_records *records)
{
    wf_records *spooled;
    spool(records);
    char *path = temporary;
    must(wf_records_open(&path, 1, stdin, false, &spooled));
    remove_temporary(); /* the names: the files live while they are open */
    return spooled;
}

bool cli_is_store(const char *path)
{
    return !cli_is_dash(path) && (access(path, F_OK) || wf_is_folder(path));
}

wf_store *cli_open_store(const char *path)
{
    wf_store *store;
    bool stream = !cli_is_store(path);
    if (stream)
        spool(open_records(path, false));
    found_must(wf_store_open(stream ? temporary : path, &store), path, FOUND_COEFFICIENTS);
    found_expect_no_fields(wf_store_meta(store), path);
    remove_temporary();
    return store;
}

/* -- output -------------------------------------------------------------------------------------------------------- */

struct cli_output {
    const char *path;
    wf_outfile *file; /* of `writer`; NULL: standard output */
    wf_writer *writer;
    wf_store_writer *store; /* or */
    cli_output *next;       /* of those that are open */
};

static cli_output *open_outputs;

/* Files that are not complete are removed, however the program ends. */
static void abort_outputs(void)
{
    for (; open_outputs; open_outputs = open_outputs->next)
        wf_outfile_abort(open_outputs->file);
}

static bool names_store(const char *path)
{
    size_t n = strlen(path);
    return wf_is_folder(path) || path[n - 1] == '/' || (n > 6 && !strcmp(path + n - 6, ".store"));
}

/* Pictures of an interrupted command are dropped: this one writes all again. */
static void open_store(cli_output *o, const wf_meta *meta)
{
    int64_t there;
    if (meta->latents)
        die(WF_USAGE, "-o %s: a store holds no latents, expected the name of a file", o->path);
    must(wf_store_writer_create(o->path, meta, false, &o->store, &there));
    if (there)
        must(wf_store_writer_restart(o->store, meta));
}

cli_output *cli_open_output(const char *path, const wf_meta *meta, const char *advice)
{
    static bool registered;
    cli_output *o = must_allocate(1, sizeof *o, "the output");
    o->path = path;
    if (!path || cli_is_dash(path)) {
        if (isatty(STDOUT_FILENO))
            die(WF_USAGE, "stdout is a terminal: %s", advice);
        must(wf_writer_create(stdout, "stdout", meta, &o->writer));
        return o;
    }
    if (!*path)
        die(WF_USAGE, "-o: found no name, expected a file or a store");
    if (names_store(path)) {
        open_store(o, meta);
        return o;
    }
    must(wf_outfile_create(path, &o->file));
    o->next = open_outputs;
    open_outputs = o;
    if (!registered)
        atexit(abort_outputs);
    registered = true;
    must(wf_writer_create(wf_outfile_stream(o->file), path, meta, &o->writer));
    return o;
}

int cli_put(void *output, const wf_record *record)
{
    cli_output *o = output;
    if (!o->store && !o->file)
        progress_yield_output();
    return o->store ? wf_store_writer_put(o->store, record) : wf_writer_put(o->writer, record);
}

void cli_close_output(cli_output *o)
{
    cli_output **at = &open_outputs;
    must(o->store ? wf_store_writer_seal(o->store) : wf_writer_finish(o->writer));
    wf_writer_destroy(o->writer);
    wf_store_writer_close(o->store);
    while (*at && *at != o)
        at = &(*at)->next;
    if (*at)
        *at = o->next;
    if (o->file)
        must(wf_outfile_commit(o->file));
    free(o);
}

const char *cli_output_left(const char *path)
{
    static char text[4200];
    if (!path || cli_is_dash(path))
        return "the stream is incomplete";
    snprintf(text, sizeof text,
             names_store(path) ? "%s is incomplete: the same command writes it anew" : "%s is not written", path);
    return text;
}
