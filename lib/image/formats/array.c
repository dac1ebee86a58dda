/* array.c - pictures one after the other without anything between them, as IDX and NumPy keep them */
#include <stdlib.h>

#include "../format.h"

/* Sample i of the picture as stored. */
static uint16_t sample(const wf_array *array, const uint8_t *raw, size_t i)
{
    if (array->bytes == 1)
        return raw[i];
    const uint8_t *two = raw + 2 * i;
    return (uint16_t)(array->big_endian ? two[0] << 8 | two[1] : two[1] << 8 | two[0]);
}

int wf_image_read_array(wf_source *source, wf_image *image)
{
    wf_array *array = &source->array;
    WF_TRY(wf_image_reserve(image, source->name, array->H, array->W, array->C, 8 * array->bytes));
    image->signal = array->D ? WF_VOLUME : WF_PICTURE;
    image->D = (int)array->D;
    size_t pixels = (size_t)(array->H * array->W), C = (size_t)array->C;
    uint8_t *raw = malloc(pixels * C * (size_t)array->bytes);
    WF_CHECK(raw, WF_AGAIN, "%s: out of memory", source->name);
    int status = wf_source_read(source, raw, pixels * C * (size_t)array->bytes);
    for (size_t p = 0; p < pixels && !status; p++)
        for (size_t c = 0; c < C; c++)
            image->pixels[p * C + c] = sample(array, raw, array->planar ? c * pixels + p : p * C + c);
    free(raw);
    array->left--;
    return status;
}

int wf_image_no_pictures(wf_source *source, const char *what)
{
    WF_CHECK(source->origin == WF_FROM_LIST, WF_DATA, "%s: %s", source->name, what);
    source->beside = true;
    return WF_OK;
}
