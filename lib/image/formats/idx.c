/* idx.c - IDX, the format of MNIST (http://yann.lecun.com/exdb/mnist)
 *
 * Two zero bytes, the type of the samples, the number of dimensions, each dimension as 32 bits, most significant byte
 * first, then the samples. Pictures are bytes of [N,H,W] or [N,H,W,C]. Labels, [N], are passed over. */
#include <stdio.h>

#include "../format.h"

enum { BYTES = 8, MAX_RANK = 4 };

bool wf_image_is_idx(const uint8_t *head, size_t n)
{
    return n >= 4 && !head[0] && !head[1] && head[2] == BYTES && head[3] >= 1 && head[3] <= MAX_RANK;
}

int wf_image_begin_idx(wf_source *source, const wf_images_options *options, wf_series **series)
{
    (void)options;
    uint8_t head[4 + 4 * MAX_RANK] = {0};
    WF_TRY(wf_source_read(source, head, 4));
    int rank = head[3];
    WF_TRY(wf_source_read(source, head + 4, (size_t)rank * 4));
    int64_t size[MAX_RANK];
    for (int i = 0; i < rank; i++) {
        const uint8_t *p = head + 4 + 4 * i;
        size[i] = (int64_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
    }
    *series = NULL;
    source->labels = rank < 3;
    if (rank < 3)
        return wf_image_not_image(source, "IDX of labels, want pictures: 3 or 4 dimensions");
    WF_CHECK(size[0], WF_DATA, "%s: IDX of 0 pictures, want 1 or more", source->name);
    const wf_array array = {.H = size[1], .W = size[2], .C = rank == 4 ? size[3] : 1, .bytes = 1};
    return wf_image_begin_array(source, size[0], &array, series);
}
