/* read.c - the one picture of a file */
#include "image.h"

int wf_image_read(const char *path, wf_image *image)
{
    wf_images *images;
    const char *name;
    bool more;
    WF_TRY(wf_images_open((char *const *)&path, 1, stdin, &images));
    int status = wf_images_next(images, image, &name, &more);
    if (!status && !more)
        status = wf_fail(WF_DATA, "%s: no picture", path);
    wf_images_close(images);
    return status;
}
