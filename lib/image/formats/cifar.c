/* cifar.c - the binary versions of CIFAR-10 and CIFAR-100 (https://www.cs.toronto.edu/~kriz/cifar.html)
 *
 * A record is a label byte (CIFAR-100: a coarse label of 20 and a fine one of 100), then a 32x32 picture in three
 * planes, red, green and blue. The format has no magic: a file is recognised by valid labels at the right offsets.
 * Labels are not kept. */
#include "../format.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, MAX_LABELS = 2, LOOK = 16 };

typedef struct kind {
    const char *name;
    int labels;                /* bytes before the picture */
    uint8_t limit[MAX_LABELS]; /* highest of each */
} kind;

static const kind ten = {"CIFAR-10", 1, {9}}, hundred = {"CIFAR-100", 2, {19, 99}};

static bool has_labels(const kind *k, const uint8_t *record)
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
        if (!has_labels(k, head + at))
            return false;
    return true;
}

static int read_cifar(const kind *k, wf_source *source, wf_image *image)
{
    uint8_t record[MAX_LABELS + 3 * PLANE];
    uint64_t offset = source->offset;
    WF_TRY(wf_source_read(source, record, (size_t)k->labels + 3 * PLANE));
    int bad = record[0] <= k->limit[0]; /* index of a label that is too high, if one is */
    WF_CHECK(has_labels(k, record), WF_DATA, "%s: the %s label at byte %llu is %d, want at most %d", source->name,
             k->name, (unsigned long long)offset + (unsigned)bad, record[bad], k->limit[bad]);
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
