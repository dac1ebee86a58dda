/* webp.c - WebP, lossy and lossless, by libwebp: still, or the first frame of an animation
 *
 * The container is described at https://developers.google.com/speed/webp/docs/riff_container. */
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

static size_t number(const uint8_t *bytes, int n)
{
    size_t value = 0;
    while (n--)
        value = value << 8 | bytes[n];
    return value;
}

/* Chunks of a WebP that libwebp does not interpret. */
typedef struct notes {
    int orientation;      /* in EXIF; 1: none */
    int frames;           /* of an animation */
    const uint8_t *frame; /* the first of them, behind the header of its chunk, or NULL */
    size_t frame_size;
} notes;

/* A chunk is four letters | u32 size | contents, and a byte if the size is odd. */
static notes find_notes(const uint8_t *bytes, size_t n)
{
    enum { HEADER = 8 };
    notes found = {.orientation = 1};
    for (size_t at = HEAD; at <= n && n - at >= HEADER;) {
        size_t size = number(bytes + at + 4, 4);
        const uint8_t *contents = bytes + at + HEADER;
        if (size > n - at - HEADER)
            break;
        if (!memcmp(bytes + at, "EXIF", 4) && found.orientation == 1)
            found.orientation = wf_exif_orientation(contents, size);
        if (!memcmp(bytes + at, "ANMF", 4) && !found.frames++) {
            found.frame = contents;
            found.frame_size = size;
        }
        at += HEADER + size + size % 2;
    }
    return found;
}

/* Decodes into the image, whose top left pixel of these is at y, x. libwebp refuses more pixels than there is room. */
static VP8StatusCode decode_at(WebPDecoderConfig *config, const uint8_t *bytes, size_t n, const wf_image *image, int y,
                               int x)
{
    size_t C = (size_t)image->C, row = (size_t)image->W * C, before = (size_t)y * row + (size_t)x * C;
    config->output.colorspace = C == 4 ? MODE_RGBA : MODE_RGB;
    config->output.is_external_memory = 1;
    config->output.u.RGBA.rgba = wf_image_bytes(image) + before;
    config->output.u.RGBA.stride = (int)row;
    config->output.u.RGBA.size = (size_t)image->H * row - before;
    VP8StatusCode code = WebPDecode(bytes, n, config);
    WebPFreeDecBuffer(&config->output);
    return code;
}

/* Decodes the first frame of an animation onto a transparent canvas. A frame is u24 x/2 | u24 y/2 | u24 width-1 |
 * u24 height-1 | u24 milliseconds | flags | the chunks of a still picture. */
static int decode_frame(const wf_source *source, WebPDecoderConfig *config, const notes *found, wf_image *image)
{
    enum { HEADER = 16 };
    WebPBitstreamFeatures canvas = config->input, *frame = &config->input;
    WF_CHECK(found->frame_size > HEADER, WF_DATA, "%s: damaged WebP: an animation without frames", source->name);
    int x = 2 * (int)number(found->frame, 3), y = 2 * (int)number(found->frame + 3, 3);
    const uint8_t *bytes = found->frame + HEADER;
    size_t n = found->frame_size - HEADER;
    VP8StatusCode code = WebPGetFeatures(bytes, n, frame);
    WF_CHECK(code == VP8_STATUS_OK && !frame->has_animation && x + frame->width <= canvas.width &&
                 y + frame->height <= canvas.height,
             WF_DATA, "%s: damaged WebP: the first frame of an animation is beyond its canvas or cannot be read",
             source->name);
    bool whole = frame->width == canvas.width && frame->height == canvas.height;
    WF_TRY(wf_image_reserve(image, source->name, canvas.height, canvas.width, canvas.has_alpha || !whole ? 4 : 3, 8));
    memset(wf_image_bytes(image), 0, (size_t)image->H * (size_t)image->W * (size_t)image->C);
    code = decode_at(config, bytes, n, image, y, x);
    return code == VP8_STATUS_OK ? WF_OK : fail_decode(source, code, image);
}

static int decode_still(const wf_source *source, WebPDecoderConfig *config, const uint8_t *bytes, size_t n,
                        wf_image *image)
{
    WF_TRY(wf_image_reserve(image, source->name, config->input.height, config->input.width,
                            config->input.has_alpha ? 4 : 3, 8));
    VP8StatusCode code = decode_at(config, bytes, n, image, 0, 0);
    return code == VP8_STATUS_OK ? WF_OK : fail_decode(source, code, image);
}

static int decode_bytes(const wf_source *source, const uint8_t *bytes, size_t n, wf_image *image)
{
    WebPDecoderConfig config;
    WF_CHECK(WebPInitDecoderConfig(&config), WF_INTERNAL, "%s: this libwebp is another version than it was built with",
             source->name);
    VP8StatusCode code = WebPGetFeatures(bytes, n, &config.input);
    WF_CHECK(code == VP8_STATUS_OK, WF_DATA, "%s: damaged WebP: its header cannot be read", source->name);
    notes found = find_notes(bytes, n);
    WF_TRY(config.input.has_animation ? decode_frame(source, &config, &found, image)
                                      : decode_still(source, &config, bytes, n, image));
    wf_image_spread(image);
    image->orientation = found.orientation;
    image->frames = found.frames;
    return WF_OK;
}

/* Reads the length of the file from its header. */
static int read_length(wf_source *source, size_t *n)
{
    const uint8_t *head;
    size_t have;
    WF_TRY(wf_source_peek(source, HEAD, &head, &have));
    *n = 8 + number(head + 4, 4);
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
