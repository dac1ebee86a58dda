/* array.c - pictures that follow one another without anything between them, as in IDX and NumPy files */
#include <stdlib.h>
#include <string.h>

#include "../../base/dtype.h"
#include "../../base/finite.h"
#include "../format.h"

typedef struct array_series {
    wf_series series; /* first, so that a pointer to either is a pointer to both */
    wf_array array;
} array_series;

/* Sample i of the picture as stored. */
static uint16_t sample_at(const wf_array *array, const uint8_t *raw, size_t i)
{
    if (array->bytes == 1)
        return raw[i];
    const uint8_t *two = raw + 2 * i;
    return (uint16_t)(array->big_endian ? two[0] << 8 | two[1] : two[1] << 8 | two[0]);
}

double wf_array_number(const uint8_t *at, char kind, int bytes, bool big_endian)
{
    uint64_t bits = 0;
    for (int k = 0; k < bytes; k++)
        bits = bits << 8 | at[big_endian ? k : bytes - 1 - k];
    uint32_t word = (uint32_t)bits;
    int unused = 64 - 8 * bytes;
    double wide;
    float value;
    memcpy(&wide, &bits, sizeof wide);
    memcpy(&value, &word, sizeof value);
    if (kind == 'f')
        return bytes == 2 ? (double)wf_widen_f16((uint16_t)bits) : bytes == 4 ? (double)value : wide;
    return kind == 'i' ? (double)((int64_t)(bits << unused) >> unused) : (double)bits;
}

/* Turns bytes into the values of a field. WF_DATA: one is not finite. */
static int read_values(const wf_array *array, const wf_source *source, const uint8_t *raw, wf_image *image)
{
    size_t n = (size_t)(array->H * array->W * array->C);
    float *values = wf_image_values(image);
    for (size_t i = 0; i < n; i++) {
        values[i] = (float)wf_array_number(raw + i * (size_t)array->bytes, 'f', array->bytes, array->big_endian);
        WF_CHECK(wf_is_finite(values[i]), WF_DATA,
                 "%s: value %zu of a field is not a finite number of 32 bits, want no NaN and no infinity",
                 source->name, i);
    }
    return WF_OK;
}

static int read_from_array(wf_series *series, wf_source *source, wf_image *image)
{
    const wf_array *array = &((array_series *)series)->array;
    WF_TRY(wf_image_reserve(image, source->name, array->H, array->W, array->C, array->floats ? 0 : 8 * array->bytes));
    image->signal = array->D ? WF_VOLUME : WF_PICTURE;
    image->D = (int)array->D;
    size_t pixels = (size_t)(array->H * array->W), C = (size_t)array->C;
    uint8_t *raw = malloc(pixels * C * (size_t)array->bytes);
    WF_CHECK(raw, WF_AGAIN, "%s: out of memory", source->name);
    int status = wf_source_read(source, raw, pixels * C * (size_t)array->bytes);
    if (!status && array->floats)
        status = read_values(array, source, raw, image);
    for (size_t p = 0; p < pixels && !status && !array->floats; p++)
        for (size_t c = 0; c < C; c++)
            image->pixels[p * C + c] = sample_at(array, raw, array->planar ? c * pixels + p : p * C + c);
    free(raw);
    return status;
}

static void close_array(wf_series *series)
{
    free(series);
}

int wf_image_begin_array(const wf_source *source, int64_t count, const wf_array *array, wf_series **series)
{
    array_series *a = malloc(sizeof *a);
    WF_CHECK(a, WF_AGAIN, "%s: out of memory", source->name);
    *a = (array_series){.series = {.left = count, .read = read_from_array, .close = close_array}, .array = *array};
    *series = &a->series;
    return WF_OK;
}

int wf_image_not_image(wf_source *source, const char *what)
{
    snprintf(source->other, sizeof source->other, "%s", what);
    WF_CHECK(source->origin == WF_FROM_LIST, WF_DATA, "%s: %s", source->name, what);
    return WF_OK;
}
