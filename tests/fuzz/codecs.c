/* codecs.c - the calls of libpng, libjpeg and libwebp; pictures cut out of a stream must decode to the same pixels */
#include "fuzz.h"

typedef struct tally {
    int64_t count;
    uint64_t sum;
} tally;

static int add(void *user, int worker, int64_t first, int i, wf_image *image, const char *name)
{
    tally *t = user;
    (void)worker;
    (void)first;
    (void)i;
    (void)name;
    t->count++;
    for (size_t k = 0; k < (size_t)(image->H * image->W * image->C); k++)
        t->sum = t->sum * 31 + image->pixels[k];
    return WF_OK;
}

static int batch(void *user, int worker, int count)
{
    (void)user;
    (void)worker;
    (void)count;
    return WF_OK;
}

static int deliver(void *user, int worker, int64_t first, int count)
{
    (void)first;
    return batch(user, worker, count);
}

static int never(void *user, int status)
{
    (void)user;
    return status;
}

/* With `skip`, decodes pictures inside the stream; without, cuts them out first. */
static int read_all(const uint8_t *bytes, size_t n, int (*skip)(void *, int), tally *t)
{
    FILE *file = fuzz_file(bytes, n);
    wf_images *images;
    int64_t count = 0;
    int status = wf_images_open(NULL, 0, file, &images);
    if (!status)
        status = wf_images_run(images, 1, 1, &(wf_image_work){add, batch, deliver, skip, t, NULL}, &count);
    fuzz_check(status);
    if (count != t->count)
        abort();
    wf_images_close(images);
    fclose(file);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    tally there = {0}, cut = {0};
    fuzz_images(bytes, n);
    if (read_all(bytes, n, never, &there) != read_all(bytes, n, NULL, &cut) || there.count != cut.count ||
        there.sum != cut.sum)
        abort();
    return 0;
}
