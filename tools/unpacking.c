/* unpacking.c - reads pictures in turn, chooses their files, and unpacks a batch side by side */
#include "unpacking.h"

#include <inttypes.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/base/file.h"
#include "../lib/image/save.h"
#include "interrupt.h"
#include "picture_files.h"
#include "progress.h"

/* A picture on its way; failures are kept, since messages belong to threads. */
typedef struct slot {
    wf_packer_work *work;
    wf_packed packed;
    wf_image image;
    char path[4096];
    int status;
    char message[1024];
} slot;

static struct {
    unpacking from;
    slot *slots;
    int64_t count;
} job;

/* Writes PNG, or PAM of depths that PNG would scale to 8 or 16 bits. */
static int save(const slot *s)
{
    wf_outfile *file;
    if (wf_packer_bits(job.from.packer) % 8 == 0)
        return wf_image_save(s->path, &s->image);
    WF_TRY(wf_outfile_create(s->path, &file));
    int status = wf_image_append(wf_outfile_stream(file), s->path, &s->image);
    if (!status)
        return wf_outfile_commit(file);
    wf_outfile_abort(file);
    return status;
}

static int unpack(slot *s)
{
    int status = wf_packed_image(job.from.packer, s->work, &s->packed, &s->image);
    if (status)
        return wf_fail(status, "%s: picture %" PRId64 "%s%.200s: %s", job.from.name, s->packed.number,
                       *s->packed.name ? ", " : "", s->packed.name, wf_error());
    return save(s);
}

/* Chooses the file of the slot's picture. */
static int choose_file(slot *s)
{
    char number[32]; /* a name like any other: another picture may have it */
    const char *path;
    snprintf(number, sizeof number, "%08" PRId64, s->packed.number);
    WF_TRY(wf_mkdirs(job.from.folder)); /* now that there is a picture for it */
    WF_TRY(picture_files_path(job.from.folder, (uint64_t)s->packed.number, *s->packed.name ? s->packed.name : number,
                              wf_packer_bits(job.from.packer) % 8 ? "pam" : "png", job.from.replace, &path));
    snprintf(s->path, sizeof s->path, "%s", path);
    return WF_OK;
}

/* Reads the next pictures, one a thread at most. Returns their number: those before the first failure, *status. */
static int fill_slots(bool *more, int *status)
{
    int n = 0;
    for (; n < common.threads && *more; n++) {
        *status = wf_archive_next(job.from.archive, &job.slots[n].packed, more);
        if (!*status && *more)
            *status = choose_file(&job.slots[n]);
        if (*status || !*more)
            break;
    }
    return n;
}

/* Unpacks the pictures of n slots, and dies of the first that failed. */
static void empty_slots(int n)
{
#pragma omp parallel for num_threads(common.threads) schedule(dynamic, 1)
    for (int i = 0; i < n; i++) {
        slot *s = &job.slots[i];
        s->status = unpack(s);
        if (s->status)
            snprintf(s->message, sizeof s->message, "%s", wf_error());
    }
    for (int i = 0; i < n; i++) {
        if (job.slots[i].status)
            die(job.slots[i].status, "%s", job.slots[i].message);
        wf_packed_clear(&job.slots[i].packed);
        progress_at(++job.count, -1, NULL);
    }
}

int64_t unpacking_run(const unpacking *from)
{
    bool more = true;
    job.from = *from;
    int status = WF_OK;
    common.threads = common.threads ? common.threads : omp_get_max_threads();
    job.slots = must_allocate((size_t)common.threads, sizeof *job.slots, "pictures");
    for (int i = 0; i < common.threads; i++)
        must(wf_packer_work_create(&job.slots[i].work));
    progress_begin("picture", -1);
    interrupt_ends("their files stay in %s", job.from.folder);
    while (more && !status) {
        int n = fill_slots(&more, &status);
        char message[1024];
        snprintf(message, sizeof message, "%s", wf_error());
        empty_slots(n); /* pictures before the failure are written */
        if (status)
            die(status, "%s", message);
    }
    progress_end();
    for (int i = 0; i < common.threads; i++) {
        wf_packer_work_destroy(job.slots[i].work);
        wf_image_clear(&job.slots[i].image);
    }
    free(job.slots);
    return job.count;
}
