/* export.c - model folders without optimizer state, with a card */
#include "export.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/file.h"
#include "describe.h"

/* The name of the model in its card: the last part of the path. *length is without slashes at the end. */
static const char *name_of(const char *path, int *length)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin && path[begin - 1] != '/')
        begin--;
    *length = (int)(end - begin);
    return path + begin;
}

/* Refuses a place where files would be lost. */
static int check_free(const char *to)
{
    DIR *folder = opendir(to);
    if (!folder)
        return errno == ENOENT ? WF_OK
                               : wf_fail(WF_USAGE, "%s: %s, expected the name of a new folder", to, strerror(errno));
    int entries = 0;
    while (readdir(folder))
        entries++;
    closedir(folder);
    WF_CHECK(entries <= 2, WF_USAGE, "%s: not empty; a model is exported to a new folder", to);
    return WF_OK;
}

/* Removes the files of an export that failed, or of a killed one whose process had the same number. */
static int clear_part(const wf_model *part)
{
    char path[WF_PATH];
    wf_sweep(part->path, "");
    for (int level = 0; level <= WF_MAX_LEVELS; level++) {
        WF_TRY(wf_model_file(part, level, ".safetensors", path));
        unlink(path);
    }
    static const char *const others[] = {"wf.json", "README.md"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (snprintf(path, sizeof path, "%s/%s", part->path, others[i]) < WF_PATH)
            unlink(path);
    return WF_OK;
}

static int write_card(const wf_model *part, const char *to, const char *note)
{
    char path[WF_PATH], name[256];
    int length;
    const char *last = name_of(to, &length);
    wf_description *description = NULL;
    wf_outfile *out;
    WF_CHECK(snprintf(name, sizeof name, "%.*s", length, last) < (int)sizeof name, WF_USAGE, "%s: name too long", to);
    WF_CHECK(snprintf(path, sizeof path, "%s/README.md", part->path) < WF_PATH, WF_USAGE, "%s: path too long", to);
    WF_TRY(wf_describe_path(part->path, NULL, false, NULL, &description));
    int status = wf_outfile_create(path, &out);
    if (!status) {
        status = wf_description_write_card(description, name, note, wf_outfile_stream(out), path);
        if (status)
            wf_outfile_abort(out);
        else
            status = wf_outfile_commit(out);
    }
    wf_description_destroy(description);
    return status;
}

static int write_part(const wf_model *model, const wf_model *part, const char *to, const wf_export_options *o)
{
    WF_TRY(wf_model_write(part));
    for (int level = 0; level <= model->meta.levels; level++)
        WF_TRY(wf_level_export(model, level, o->dtype, part, o->add, o->user));
    return write_card(part, to, o->note);
}

int wf_model_export(const wf_model *model, const char *to, const wf_export_options *options)
{
    char path[WF_PATH];
    int length;
    const char *last = name_of(to, &length);
    wf_model part = {.path = path, .meta = model->meta, .licence = model->licence};
    if (options->licence)
        part.licence = (char *)(uintptr_t)options->licence; /* borrowed */
    WF_CHECK(!options->licence || *options->licence, WF_USAGE, "the licence is empty");
    WF_TRY(check_free(to));
    WF_CHECK(length && strcmp(last, ".") && strcmp(last, ".."), WF_USAGE, "%s: not a name for a folder", to);
    WF_CHECK(snprintf(path, sizeof path, "%.*s.part-%ld", (int)(last - to) + length, to, (long)getpid()) < WF_PATH,
             WF_USAGE, "%s: path too long", to);
    WF_TRY(wf_mkdirs(path));
    WF_TRY(clear_part(&part));
    int status = write_part(model, &part, to, options);
    if (!status && rename(path, to))
        status = wf_fail_write(to);
    if (status && !clear_part(&part))
        rmdir(path);
    return status;
}
