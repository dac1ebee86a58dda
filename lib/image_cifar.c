/* image_cifar.c - the binary version of CIFAR-10 (https://www.cs.toronto.edu/~kriz/cifar.html): records of one label
 * byte and a 32x32 picture in three planes, red, green and blue. There is no magic: a file is recognised by its labels
 * standing at the right places. The label is not kept. */
#include "image_format.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, RECORD = 1 + 3 * PLANE, MAX_LABEL = 9 };

bool wf_image_is_cifar(const uint8_t *head, size_t n)
{
    if (n < RECORD || (n < (size_t)16 * RECORD && n % RECORD))
        return false;
    for (size_t at = 0; at < n; at += RECORD)
        if (head[at] > MAX_LABEL)
            return false;
    return true;
}

int wf_image_read_cifar(wf_source *source, wf_image *image)
{
    uint8_t record[RECORD];
    uint64_t offset = source->offset;
    WF_TRY(wf_source_read(source, record, sizeof record));
    WF_CHECK(record[0] <= MAX_LABEL, WF_DATA, "%s: CIFAR-10 label %d at byte %llu, want 0 to %d", source->name,
             record[0], (unsigned long long)offset, MAX_LABEL);
    WF_TRY(wf_image_reserve(image, source->name, SIDE, SIDE, 3, 8));
    for (int i = 0; i < PLANE; i++)
        for (int c = 0; c < 3; c++)
            image->pixels[3 * i + c] = record[1 + c * PLANE + i];
    return WF_OK;
}
