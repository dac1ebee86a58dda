/* webp.c - still WebP, lossy and lossless, by libwebp (https://developers.google.com/speed/webp/docs/riff_container) */
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>

#include "../format.h"

enum { HEAD = 12 };

bool wf_image_is_webp(const uint8_t *head, size_t n)
{
    return n >= HEAD && !memcmp(head, "RIFF", 4) && !memcmp(head + 8, "WEBP", 4);
}

/* libwebp 1.5.0 says "out of memory" of damaged tables of codes too, so memory is asked: for a picture and its rows. */
static int fail_decode(const wf_source *source, VP8StatusCode code, const wf_image *image)
{
    size_t some = ((size_t)image->H + 64) * ((size_t)image->W + 64) * 8;
    void *volatile room = NULL; /* volatile, as compilers take out an allocation that is not used */
    if (code == VP8_STATUS_OUT_OF_MEMORY)
        room = malloc(some);
    WF_CHECK(code != VP8_STATUS_OUT_OF_MEMORY || room, WF_AGAIN, "%s: out of memory", source->name);
    free(room);
    return wf_fail(WF_DATA, "%s: damaged WebP: its pixels cannot be decoded", source->name);
}

static size_t number(const uint8_t *bytes)
{
    return (size_t)bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 24;
}

/* The orientation in the EXIF chunk. A chunk is four letters | u32 size | contents, and a byte if the size is odd. */
static int orientation_of(const uint8_t *bytes, size_t n)
{
    enum { HEADER = 8 };
    for (size_t at = HEAD; at <= n && n - at >= HEADER;) {
        size_t size = number(bytes + at + 4);
        if (size > n - at - HEADER)
            break;
        if (!memcmp(bytes + at, "EXIF", 4))
            return wf_exif_orientation(bytes + at + HEADER, size);
        at += HEADER + size + size % 2;
    }
    return 1;
}

static int decode_bytes(const wf_source *source, const uint8_t *bytes, size_t n, wf_image *image)
{
    WebPDecoderConfig config;
    WF_CHECK(WebPInitDecoderConfig(&config), WF_INTERNAL, "%s: this libwebp is another version than it was built with",
             source->name);
    VP8StatusCode code = WebPGetFeatures(bytes, n, &config.input);
    WF_CHECK(code == VP8_STATUS_OK, WF_DATA, "%s: damaged WebP: its header cannot be read", source->name);
    WF_CHECK(!config.input.has_animation, WF_DATA, "%s: an animated WebP, want a still one", source->name);
    int C = config.input.has_alpha ? 4 : 3;
    WF_TRY(wf_image_reserve(image, source->name, config.input.height, config.input.width, C, 8));
    config.output.colorspace = C == 4 ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = wf_image_bytes(image);
    config.output.u.RGBA.stride = image->W * C;
    config.output.u.RGBA.size = (size_t)image->H * (size_t)image->W * (size_t)C;
    code = WebPDecode(bytes, n, &config);
    WebPFreeDecBuffer(&config.output);
    if (code != VP8_STATUS_OK)
        return fail_decode(source, code, image);
    wf_image_spread(image);
    image->orientation = orientation_of(bytes, n);
    return WF_OK;
}

/* Reads the length of the file from its header. */
static int read_length(wf_source *source, size_t *n)
{
    const uint8_t *head;
    size_t have;
    WF_TRY(wf_source_peek(source, HEAD, &head, &have));
    *n = 8 + number(head + 4);
    return WF_OK;
}

int wf_image_cut_webp(wf_source *source, wf_code *code)
{
    size_t n;
    bool whole;
    WF_TRY(read_length(source, &n));
    return wf_code_take(code, source, n, &whole);
}

int wf_image_read_webp(wf_source *source, wf_image *image)
{
    size_t n;
    uint8_t *bytes;
    WF_TRY(read_length(source, &n));
    WF_TRY(wf_source_take(source, n, &bytes));
    int status = decode_bytes(source, bytes, n, image);
    free(bytes);
    return status;
}
