/* pixels.c - the memory of one picture */
#include <stdlib.h>
#include <string.h>

#include "format.h"

void wf_image_clear(wf_image *image)
{
    free(image->pixels);
    free(image->name);
    memset(image, 0, sizeof *image);
}

int wf_image_reserve(wf_image *image, const char *name, int64_t H, int64_t W, int64_t C, int bits)
{
    WF_CHECK(H >= 1 && W >= 1 && H <= WF_MAX_SIDE && W <= WF_MAX_SIDE && H * W <= WF_MAX_PIXELS, WF_DATA,
             "%s: %lldx%lld pixels, want sides of 1 to %d and at most %d pixels", name, (long long)H, (long long)W,
             WF_MAX_SIDE, WF_MAX_PIXELS);
    int most = bits ? WF_MAX_CHANNELS : WF_MAX_FIELD_CHANNELS;
    WF_CHECK(C >= 1 && C <= most, WF_DATA, "%s: %lld channels, want 1 to %d", name, (long long)C, most);
    size_t samples = (size_t)(H * W * C) * (bits ? 1 : sizeof(float) / sizeof *image->pixels);
    if (samples > image->capacity) {
        free(image->pixels);
        image->capacity = 0;
        image->pixels = malloc(samples * sizeof *image->pixels);
        WF_CHECK(image->pixels, WF_AGAIN, "%s: out of memory for %lldx%lld pixels", name, (long long)H, (long long)W);
        image->capacity = samples;
    }
    image->H = (int)H;
    image->W = (int)W;
    image->C = (int)C;
    image->bits = bits;
    image->signal = WF_PICTURE;
    image->D = image->rate = image->orientation = image->frames = 0;
    return WF_OK;
}

float *wf_image_values(const wf_image *image)
{
    return (float *)(void *)image->pixels;
}

static size_t samples_of(const wf_image *image)
{
    return (size_t)image->H * (size_t)image->W * (size_t)image->C;
}

uint8_t *wf_image_bytes(const wf_image *image)
{
    return (uint8_t *)image->pixels + samples_of(image);
}

void wf_image_spread(wf_image *image)
{
    const uint8_t *bytes = wf_image_bytes(image);
    size_t n = samples_of(image);
    for (size_t i = 0; i < n; i++) /* ascending: byte i is read before it is overwritten */
        image->pixels[i] = bytes[i];
}
