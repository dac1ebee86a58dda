/* tfrecord.c - TFRecord files of pictures, raw, such as CelebA-HQ's, or encoded, such as those of ImageNet
 *
 * A record (https://www.tensorflow.org/tutorials/load_data/tfrecord) is, little endian, u64 length | masked CRC-32C of
 * these 8 bytes | data | masked CRC-32C of the data. The data is a tf.train.Example in the wire format of protocol
 * buffers (https://protobuf.dev/programming-guides/encoding):
 *
 *     Example {1: Features {1: entry {1: key, 2: Feature {1: BytesList {1: bytes ..} |
 *                                                         3: Int64List {1: int64 ..}}} ..}}
 *
 * Feature `shape` has three integers: [C,H,W], or [H,W,C] if the first is over 4. Feature `data` has the samples, a
 * byte each. Without these, the only feature with the bytes of a JPEG, PNG or WebP is the picture, or, of several, the
 * one called image/encoded or image. Other features, such as labels, are ignored. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../format.h"

enum { HEAD = 12 };

/* ---- records ----------------------------------------------------------------------------------------------------- */

/* CRC-32C (Castagnoli, polynomial 0x1EDC6F41, here with reversed bits), rotated and offset as TensorFlow does. */
static uint32_t masked_crc(const uint8_t *bytes, size_t n)
{
    uint32_t table[256], crc = ~0u;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0x82F63B78 : 0);
    }
    for (size_t i = 0; i < n; i++)
        crc = crc >> 8 ^ table[(crc ^ bytes[i]) & 255];
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8;
}

static uint64_t get_number(const uint8_t *bytes, int n)
{
    uint64_t value = 0;
    while (n--)
        value = value << 8 | bytes[n];
    return value;
}

bool wf_image_is_tfrecord(const uint8_t *head, size_t n)
{
    return n >= HEAD && masked_crc(head, 8) == get_number(head + 8, 4);
}

/* ---- the wire format --------------------------------------------------------------------------------------------- */

typedef struct span {
    const uint8_t *at, *end;
} span;

static bool take_varint(span *s, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 64 && s->at < s->end; shift += 7) {
        uint8_t byte = *s->at++;
        *value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return true;
    }
    return false;
}

typedef struct field {
    uint64_t id;
    bool text;      /* has a body, else a value */
    span body;      /* within the message */
    uint64_t value; /* of a varint; 0 for numbers of fixed size, which these messages do not use */
} field;

static bool take_field(span *s, field *f)
{
    enum { VARINT, FIXED64, BYTES, FIXED32 = 5 };
    uint64_t tag, size = 0;
    *f = (field){0};
    if (!take_varint(s, &tag))
        return false;
    f->id = tag >> 3;
    f->text = (tag & 7) == BYTES;
    switch (tag & 7) {
    case VARINT:
        return take_varint(s, &f->value);
    case FIXED64:
        size = 8;
        break;
    case FIXED32:
        size = 4;
        break;
    case BYTES:
        if (!take_varint(s, &size))
            return false;
        break;
    default:
        return false;
    }
    if (size > (uint64_t)(s->end - s->at))
        return false;
    f->body = (span){s->at, s->at + size};
    s->at += size;
    return true;
}

/* Finds the only field with this id, which must have a body. */
static bool find_field(span message, uint64_t id, span *body)
{
    bool found = false;
    field f;
    while (message.at < message.end) {
        if (!take_field(&message, &f) || (f.id == id && (!f.text || found)))
            return false;
        if (f.id == id) {
            *body = f.body;
            found = true;
        }
    }
    return found;
}

/* Finds the list of kind `kind` in the only feature called `name`. */
static bool find_feature(span features, const char *name, uint64_t kind, span *list)
{
    bool found = false;
    field f;
    while (features.at < features.end) {
        span key, feature;
        if (!take_field(&features, &f) || f.id != 1 || !f.text || !find_field(f.body, 1, &key))
            return false;
        if ((size_t)(key.end - key.at) != strlen(name) || memcmp(key.at, name, strlen(name)))
            continue;
        if (found || !find_field(f.body, 2, &feature) || !find_field(feature, kind, list))
            return false;
        found = true;
    }
    return found;
}

/* Parses three integers, packed or each in a field of its own. */
static bool take_shape(span list, uint64_t shape[3])
{
    int count = 0;
    field f;
    while (list.at < list.end) {
        if (!take_field(&list, &f) || f.id != 1)
            return false;
        span packed = f.body;
        do {
            if (count == 3 || (f.text && !take_varint(&packed, &f.value)))
                return false;
            shape[count++] = f.value;
        } while (packed.at < packed.end);
    }
    return count == 3;
}

/* ---- pictures ---------------------------------------------------------------------------------------------------- */

typedef struct coder {
    wf_is *is;
    int (*read)(wf_source *source, wf_image *image);
} coder;

static const coder *coder_of(span bytes)
{
    static const coder coders[] = {{wf_image_is_jpeg, wf_image_read_jpeg},
                                   {wf_image_is_png, wf_image_read_png},
                                   {wf_image_is_webp, wf_image_read_webp}};
    for (size_t i = 0; i < sizeof coders / sizeof *coders; i++)
        if (coders[i].is(bytes.at, (size_t)(bytes.end - bytes.at)))
            return &coders[i];
    return NULL;
}

static bool is_called(span key, const char *name)
{
    return (size_t)(key.end - key.at) == strlen(name) && !memcmp(key.at, name, strlen(name));
}

/* Finds the feature with an encoded picture. Returns how many could be it: 1, if it is found. */
static int find_encoded(span features, span *picture)
{
    int count = 0;
    bool named = false;
    field f;
    while (features.at < features.end) {
        span key = {0}, feature, list, bytes;
        if (!take_field(&features, &f) || f.id != 1 || !f.text || !find_field(f.body, 1, &key))
            return 0;
        if (!find_field(f.body, 2, &feature) || !find_field(feature, 1, &list) || !find_field(list, 1, &bytes) ||
            !coder_of(bytes))
            continue;
        bool this = is_called(key, "image/encoded") || is_called(key, "image");
        if (this || !named)
            *picture = bytes;
        count = this && !named ? 1 : count + (this || !named);
        named = named || this;
    }
    return count;
}

static int decode_encoded(const wf_source *source, span bytes, wf_image *image)
{
    wf_code code = {.bytes = (uint8_t *)bytes.at, .size = (size_t)(bytes.end - bytes.at)}; /* only read from */
    wf_source *one;
    WF_TRY(wf_source_open_code(source->name, &code, &one));
    int status = coder_of(bytes)->read(one, image);
    wf_source_destroy(one);
    return status;
}

static int take_raw(const wf_source *source, span data, const uint64_t shape[3], wf_image *image)
{
    bool planar = shape[0] <= WF_MAX_CHANNELS;
    int64_t size[3], most = WF_MAX_SIDE + 1; /* keeps products from overflowing */
    for (int i = 0; i < 3; i++)
        size[i] = shape[i] < (uint64_t)most ? (int64_t)shape[i] : most;
    int64_t C = size[planar ? 0 : 2], H = size[planar], W = size[1 + planar];
    WF_TRY(wf_image_reserve(image, source->name, H, W, C, 8));
    size_t pixels = (size_t)(H * W);
    WF_CHECK((size_t)(data.end - data.at) == pixels * (size_t)C, WF_DATA,
             "%s: %zu bytes of data, want %zu for a shape of [%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]", source->name,
             (size_t)(data.end - data.at), pixels * (size_t)C, shape[0], shape[1], shape[2]);
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < (size_t)C; c++)
            image->pixels[p * (size_t)C + c] = data.at[planar ? c * pixels + p : p * (size_t)C + c];
    return WF_OK;
}

static int take_picture(const wf_source *source, span example, wf_image *image)
{
    span features, ints, list, data, encoded = {0};
    uint64_t shape[3];
    bool good = find_field(example, 1, &features);
    if (good && find_feature(features, "shape", 3, &ints) && take_shape(ints, shape) &&
        find_feature(features, "data", 1, &list) && find_field(list, 1, &data))
        return take_raw(source, data, shape, image);
    int count = good ? find_encoded(features, &encoded) : 0;
    WF_CHECK(count <= 1, WF_DATA,
             "%s: the record before byte %" PRIu64 " has %d pictures, want one, or one called image/encoded or image",
             source->name, source->offset, count);
    WF_CHECK(count, WF_DATA,
             "%s: the record before byte %" PRIu64 " is not a tf.train.Example with the bytes of a JPEG, PNG or WebP, "
             "or with shape (3 integers) and data (bytes): write its pictures to files in Python, by "
             "tf.data.TFRecordDataset",
             source->name, source->offset);
    return decode_encoded(source, encoded, image);
}

int wf_image_read_tfrecord(wf_source *source, wf_image *image)
{
    enum { MOST = WF_MAX_PIXELS + (1 << 20) };
    uint8_t head[HEAD], sum[4], *bytes;
    WF_TRY(wf_source_read(source, head, HEAD));
    uint64_t n = get_number(head, 8);
    WF_CHECK(wf_image_is_tfrecord(head, HEAD), WF_DATA,
             "%s: damaged TFRecord before byte %" PRIu64 ": wrong checksum of a length", source->name, source->offset);
    WF_CHECK(n && n <= MOST, WF_DATA, "%s: a TFRecord of %" PRIu64 " bytes, want 1 to %d", source->name, n, MOST);
    WF_TRY(wf_source_take(source, (size_t)n, &bytes));
    int status = wf_source_read(source, sum, sizeof sum);
    if (!status && masked_crc(bytes, (size_t)n) != get_number(sum, 4))
        status = wf_fail(WF_DATA, "%s: damaged TFRecord before byte %" PRIu64 ": wrong checksum", source->name,
                         source->offset);
    if (!status)
        status = take_picture(source, (span){bytes, bytes + n}, image);
    free(bytes);
    return status;
}
