/* save.c - a row for each signal: the formats that it is written in */
#include "save.h"

#include "../base/file.h"

typedef int write_image(FILE *file, const char *name, const wf_image *image);

static const struct {
    const char *suffix;
    write_image *write, *append;
} formats[] = {
    [WF_PICTURE] = {"png", wf_image_write_png, wf_image_write_pam},
    [WF_SOUND] = {"wav", wf_image_write_wav, NULL},
    [WF_VOLUME] = {"npy", wf_image_write_npy, wf_image_write_npy},
};

const char *wf_image_suffix(wf_signal signal)
{
    return formats[signal].suffix;
}

int wf_image_save(const char *path, const wf_image *image)
{
    wf_outfile *file;
    WF_TRY(wf_outfile_create(path, &file));
    int status = formats[image->signal].write(wf_outfile_stream(file), path, image);
    if (!status)
        return wf_outfile_commit(file);
    wf_outfile_abort(file);
    return status;
}

bool wf_image_appends(wf_signal signal)
{
    return formats[signal].append != NULL;
}

int wf_image_append(FILE *file, const char *name, const wf_image *image)
{
    WF_CHECK(formats[image->signal].append, WF_USAGE, "%s: a %s cannot follow others in one file", name,
             wf_signal_names[image->signal]);
    return formats[image->signal].append(file, name, image);
}
