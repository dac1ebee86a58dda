/* field_array.c - a NumPy array whose header gets the number of fields at the end */
#include "field_array.h"

#include <string.h>

#include "../lib/base/file.h"
#include "cli.h"

static struct {
    wf_outfile *file;
    const char *path;
    wf_image *image; /* one field */
    int64_t count;
} array;

bool field_array_is_open(void)
{
    return array.file;
}

void field_array_begin(const char *path, wf_image *image)
{
    array.path = path;
    array.image = image;
    must(wf_outfile_create(path, &array.file));
    must(wf_image_write_field_header(wf_outfile_stream(array.file), path, image, 0));
}

void field_array_put(const float *values)
{
    size_t n = (size_t)array.image->H * (size_t)array.image->W * (size_t)array.image->C;
    memcpy(wf_image_values(array.image), values, n * sizeof *values);
    must(wf_image_write_field(wf_outfile_stream(array.file), array.path, array.image));
    array.count++;
}

void field_array_end(void)
{
    FILE *file = wf_outfile_stream(array.file);
    if (fseek(file, 0, SEEK_SET))
        must(wf_fail_errno("%s: cannot seek", array.path));
    must(wf_image_write_field_header(file, array.path, array.image, array.count));
    must(wf_outfile_commit(array.file));
    array.file = NULL;
}
