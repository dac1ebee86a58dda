/* cifar.c - the binary versions of CIFAR-10 and CIFAR-100 (https://www.cs.toronto.edu/~kriz/cifar.html): records of
 * one label byte, or a coarse one of 20 and a fine one of 100, and a 32x32 picture in three planes, red, green and blue.
 * There is no magic: a file is recognised by its labels standing at the right places. Labels are not kept. */
#include "../format.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, MAX_LABELS = 2, LOOK = 16 };

typedef struct kind {
    const char *name;
    int labels;                /* bytes before the picture */
    uint8_t limit[MAX_LABELS]; /* highest of each */
} kind;

static const kind ten = {"CIFAR-10", 1, {9}}, hundred = {"CIFAR-100", 2, {19, 99}};

static bool labelled(const kind *k, const uint8_t *record)
{
    for (int i = 0; i < k->labels; i++)
        if (record[i] > k->limit[i])
            return false;
    return true;
}

static bool is_cifar(const kind *k, const uint8_t *head, size_t n)
{
    size_t record = (size_t)k->labels + 3 * PLANE;
    if (n < record || (n < LOOK * record && n % record))
        return false;
    for (size_t at = 0; at + record <= n; at += record)
        if (!labelled(k, head + at))
            return false;
    return true;
}

static int read_cifar(const kind *k, wf_source *source, wf_image *image)
{
    uint8_t record[MAX_LABELS + 3 * PLANE];
    uint64_t offset = source->offset;
    WF_TRY(wf_source_read(source, record, (size_t)k->labels + 3 * PLANE));
    WF_CHECK(labelled(k, record), WF_DATA, "%s: no %s label at byte %llu: 0x%02x is too high", source->name, k->name,
             (unsigned long long)offset, record[record[0] <= k->limit[0]]);
    WF_TRY(wf_image_reserve(image, source->name, SIDE, SIDE, 3, 8));
    for (int i = 0; i < PLANE; i++)
        for (int c = 0; c < 3; c++)
            image->pixels[3 * i + c] = record[k->labels + c * PLANE + i];
    return WF_OK;
}

bool wf_image_is_cifar10(const uint8_t *head, size_t n)
{
    return is_cifar(&ten, head, n);
}

int wf_image_read_cifar10(wf_source *source, wf_image *image)
{
    return read_cifar(&ten, source, image);
}

bool wf_image_is_cifar100(const uint8_t *head, size_t n)
{
    return is_cifar(&hundred, head, n);
}

int wf_image_read_cifar100(wf_source *source, wf_image *image)
{
    return read_cifar(&hundred, source, image);
}
