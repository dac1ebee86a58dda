/* field_array.c - a NumPy array whose header gets the number of fields at the end */
#include "field_array.h"

#include "../lib/base/count.h"
#include "../lib/base/file.h"
#include "../lib/image/image.h"
#include "cli.h"

static struct {
    wf_outfile *file;
    const char *path;
    int64_t shape[4]; /* fields so far, H, W, C */
} array;

static void write_head(void)
{
    must(wf_npy_write_head(wf_outfile_stream(array.file), array.path, array.shape[3] > 1 ? 4 : 3, array.shape));
}

bool field_array_is_open(void)
{
    return array.file;
}

void field_array_begin(const char *path, const wf_meta *meta)
{
    array.path = path;
    array.shape[0] = 0;
    array.shape[1] = meta->H;
    array.shape[2] = meta->W;
    array.shape[3] = meta->C;
    must(wf_outfile_create(path, &array.file));
    write_head();
}

void field_array_put(const float *values)
{
    size_t n = wf_count3((int)array.shape[1], (int)array.shape[2], (int)array.shape[3]);
    if (fwrite(values, sizeof *values, n, wf_outfile_stream(array.file)) != n)
        must(wf_fail_write(array.path));
    array.shape[0]++;
}

void field_array_end(void)
{
    if (fseek(wf_outfile_stream(array.file), 0, SEEK_SET))
        must(wf_fail_errno("%s: cannot seek", array.path));
    write_head();
    must(wf_outfile_commit(array.file));
    array.file = NULL;
}
