/* spool.c - a stream that is trained on: a store beside the levels' files */
#include "spool.h"

#include <string.h>
#include <unistd.h>

#include "../lib/base/file.h"
#include "../lib/store/store.h"
#include "cli_io.h"
#include "interrupt.h"

/* Copies the records of the chosen levels into a store at `path`. */
static void spool(wf_records *input, const char *path, const int levels[2])
{
    wf_meta meta;
    must(wf_meta_copy(&meta, wf_records_meta(input)));
    int first = levels[0] < 0 ? 0 : levels[0], last = levels[0] < 0 ? meta.top : levels[1];
    if (last > meta.top)
        die(WF_DATA, "%s: carries levels up to %d, not %d", wf_records_name(input), meta.top, last);
    meta.top = last;
    wf_store_remove(path); /* left by an interrupted run */
    interrupt_removes(path);
    interrupt_ends("nothing was trained");
    cli_copy_records(input, path, &meta, first);
    interrupt_removes(NULL);
    wf_meta_clear(&meta);
}

/* Refuses a second stream that differs from the one the levels started with. */
static void expect_same(const char *name, const char *path, const char *again)
{
    wf_store *a, *b;
    must(wf_store_open(path, &a));
    must(wf_store_open(again, &b));
    bool same = !strcmp(wf_store_hash(a), wf_store_hash(b));
    wf_store_close(a);
    wf_store_close(b);
    wf_store_remove(again);
    if (!same)
        die(WF_DATA, "%s: not the pictures that %s was spooled from; use another model folder", name, path);
}

void spool_name(const char *model_path, const int levels[2], char out[WF_PATH])
{
    int length = levels[0] < 0 ? snprintf(out, WF_PATH, "%s/levels.spool", model_path)
                 : levels[1] > levels[0]
                     ? snprintf(out, WF_PATH, "%s/levels-%02d-%02d.spool", model_path, levels[0], levels[1])
                     : snprintf(out, WF_PATH, "%s/level-%02d.spool", model_path, levels[0]);
    if (length >= WF_PATH)
        die(WF_USAGE, "%s: path too long", model_path);
}

void spool_stream(const char *model_path, const int levels[2], const char *stream, char spooled[WF_PATH])
{
    char part[WF_PATH], lock_path[WF_PATH];
    int lock;
    const int no_operand = common.argc;
    spool_name(model_path, levels, spooled);
    if (snprintf(part, WF_PATH, "%s.part", spooled) >= WF_PATH ||
        snprintf(lock_path, WF_PATH, "%s.lock", spooled) >= WF_PATH)
        die(WF_USAGE, "%s: path too long", model_path);
    if (!stream && !found_on_stdin()) {
        if (access(spooled, F_OK))
            found_stdin(FOUND_COEFFICIENTS); /* says what is missing */
        return;
    }
    wf_records *input = cli_open_store_or_input(stream, no_operand); /* before anything is made */
    found_expect_pictures_of(model_path, wf_records_meta(input), wf_records_name(input));
    must(wf_mkdirs(model_path));
    must(wf_lock(lock_path, "trainer that reads a stream", &lock));
    bool there = access(spooled, F_OK) == 0;
    spool(input, part, levels);
    if (there)
        expect_same(wf_records_name(input), spooled, part);
    else if (rename(part, spooled))
        must(wf_fail_errno("%s", spooled));
    wf_records_close(input);
    wf_unlock(lock);
}
