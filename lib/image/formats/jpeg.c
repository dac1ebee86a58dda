/* jpeg.c - JPEG by libjpeg-turbo: sequential and progressive, Huffman and arithmetic coding, 8 bits a sample */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#include "../format.h"

/* Real files have about ten scans. Each scan takes as long to decode as a whole baseline picture. */
enum { TEMPORARY = 1 }; /* TEM, a marker without contents, as the restart markers are */
enum { EXIF = JPEG_APP0 + 1, MULTI = JPEG_APP0 + 2, LARGEST_MARKER = 65533 };

bool wf_image_is_jpeg(const uint8_t *head, size_t n)
{
    return n >= 3 && !memcmp(head, "\xff\xd8\xff", 3);
}

/* State that must survive libjpeg's longjmp, which local variables do not. */
typedef struct job {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr from;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    const char *name;
    const wf_code *code;
    uint64_t offset; /* of its first byte in the item */
    int status;      /* set before every longjmp */
} job;

static job *job_of(j_common_ptr jpeg)
{
    return jpeg->client_data;
}

static int fail_rare(const char *name, const char *why)
{
    return wf_fail(WF_DATA,
                   "%s: a rare kind of JPEG, which this version does not read (%s): convert it to PNG, PNM or PAM",
                   name, why);
}

static void give_up(j_common_ptr jpeg)
{
    job *j = job_of(jpeg);
    int code = jpeg->err->msg_code;
    bool rare = code == JERR_BAD_PRECISION || code == JERR_SOF_UNSUPPORTED || code == JERR_UNKNOWN_MARKER;
    char why[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, why);
    if (rare) /* 12 bits, JPEG-LS, and for libjpeg-turbo 2 lossless */
        j->status = fail_rare(j->name, why);
    else
        j->status = wf_fail(code == JERR_OUT_OF_MEMORY ? WF_AGAIN : WF_DATA, "%s: damaged JPEG: %s", j->name, why);
    longjmp(j->failed, 1);
}

/* Fails on warnings, which libjpeg could continue after, if samples are missing or wrong. Others are about headers that
 * do not change what is decoded: filler before a marker, parameters of a scan that a sequential JPEG does not use, and
 * a progressive JPEG that refines its coefficients in an unusual order. */
static void handle_message(j_common_ptr jpeg, int level)
{
    static const int harmless[] = {JWRN_EXTRANEOUS_DATA, JWRN_JFIF_MAJOR, JWRN_ADOBE_XFORM, JWRN_NOT_SEQUENTIAL,
                                   JWRN_BOGUS_PROGRESSION};
    if (level >= 0)
        return;
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (jpeg->err->msg_code == harmless[i])
            return;
    give_up(jpeg);
}

static void check_scans(j_common_ptr jpeg)
{
    job *j = job_of(jpeg);
    if (j->jpeg.input_scan_number <= WF_MAX_SCANS)
        return;
    j->status = wf_fail(WF_DATA, "%s: JPEG of over %d scans, want at most %d", j->name, WF_MAX_SCANS, WF_MAX_SCANS);
    longjmp(j->failed, 1);
}

static void do_nothing(j_decompress_ptr jpeg)
{
    (void)jpeg;
}

/* All bytes are in memory: libjpeg asks for more only if there is no end. */
static boolean give_bytes(j_decompress_ptr jpeg)
{
    job *j = jpeg->client_data;
    j->status = wf_fail(WF_DATA, "%s: cut off at byte %llu: the JPEG has no end", j->name,
                        (unsigned long long)(j->offset + j->code->size));
    longjmp(j->failed, 1);
}

static void pass_bytes(j_decompress_ptr jpeg, long n)
{
    job *j = jpeg->client_data;
    if (n > 0 && (size_t)n > j->from.bytes_in_buffer)
        give_bytes(jpeg);
    if (n > 0) {
        j->from.next_input_byte += n;
        j->from.bytes_in_buffer -= (size_t)n;
    }
}

/* Converts CMYK to RGB without profiles: R = (1 - C) (1 - K). With Adobe's marker, samples are 255 - ink. */
static void to_rgb(const uint8_t *inks, int W, bool inverted, uint8_t *rgb)
{
    for (int x = 0; x < W; x++)
        for (int c = 0; c < 3; c++) {
            int light = inks[4 * x + c], black = inks[4 * x + 3];
            if (!inverted) {
                light = 255 - light;
                black = 255 - black;
            }
            rgb[3 * x + c] = (uint8_t)((light * black + 127) / 255);
        }
}

static int start_decoder(job *j, wf_image *image)
{
    j_decompress_ptr jpeg = &j->jpeg;
    (void)jpeg_read_header(jpeg, TRUE);
    if (jpeg->data_precision != 8) /* libjpeg-turbo 3 reads them with other functions */
        return fail_rare(j->name, jpeg->data_precision == 12 ? "12 bits" : "not 8 bits");
    switch (jpeg->jpeg_color_space) {
    case JCS_GRAYSCALE:
        jpeg->out_color_space = JCS_GRAYSCALE;
        break;
    case JCS_RGB:
    case JCS_YCbCr:
        jpeg->out_color_space = JCS_RGB;
        break;
    case JCS_CMYK:
    case JCS_YCCK:
        jpeg->out_color_space = JCS_CMYK;
        break;
    default:
        return wf_fail(WF_DATA, "%s: JPEG of %d components in an unknown colour space", j->name, jpeg->num_components);
    }
    int C = jpeg->out_color_space == JCS_GRAYSCALE ? 1 : 3;
    WF_TRY(wf_image_reserve(image, j->name, jpeg->image_height, jpeg->image_width, C, 8));
    for (jpeg_saved_marker_ptr m = jpeg->marker_list; m && !image->orientation; m = m->next)
        if (m->data_length >= 6 && !memcmp(m->data, "Exif\0\0", 6))
            image->orientation = wf_exif_orientation(m->data, m->data_length);
    (void)jpeg_start_decompress(jpeg);
    return WF_OK;
}

static int decode_rows(job *j, wf_image *image)
{
    j_decompress_ptr jpeg = &j->jpeg;
    if (setjmp(j->failed))
        return j->status;
    jpeg_create_decompress(jpeg);
    jpeg->src = &j->from;
    jpeg->progress = &j->progress;
    jpeg->mem->max_memory_to_use = 1L << 30; /* coefficients of the largest picture in three colours take 0.8 GB */
    jpeg_save_markers(jpeg, EXIF, LARGEST_MARKER);
    WF_TRY(start_decoder(j, image));
    size_t row = (size_t)image->W * (size_t)image->C;
    JSAMPROW inks = NULL;
    if (jpeg->out_color_space == JCS_CMYK)
        inks = jpeg->mem->alloc_large((j_common_ptr)jpeg, JPOOL_IMAGE, (size_t)image->W * 4);
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW to = wf_image_bytes(image) + row * jpeg->output_scanline, line = inks ? inks : to;
        (void)jpeg_read_scanlines(jpeg, &line, 1);
        if (inks)
            to_rgb(inks, image->W, jpeg->saw_Adobe_marker, to);
    }
    (void)jpeg_finish_decompress(jpeg); /* reads to the end, whose absence is an error */
    wf_image_spread(image);
    return WF_OK;
}

/* -- cutting ------------------------------------------------------------------------------------------------------- */

static uint32_t number(const uint8_t *bytes, int n, bool big)
{
    uint32_t value = 0;
    for (int i = 0; i < n; i++)
        value = value << 8 | bytes[big ? i : n - 1 - i];
    return value;
}

/* Finds the companions that a table of several pictures lists: offsets from the table, ascending. Returns their number;
 * -1: none is listed, or too many. The table (CIPA DC-007, 5.2) is a TIFF structure. Entry B002 of its directory gives
 * u32 bytes and u32 offset of a list of u32 kind | u32 size | u32 offset | u32 for each picture. The size is not used:
 * Pillow writes a wrong one for every picture after the second. */
static int find_companions(const uint8_t *table, size_t n, uint64_t offsets[WF_MAX_COMPANIONS])
{
    enum { HEAD = 8, ENTRY = 12, PICTURES = 0xb002, PICTURE = 16 };
    int count = 0;
    if (n < HEAD)
        return -1;
    bool big = *table == 'M';
    size_t at = number(table + 4, 4, big);
    if (at > n || n - at < 2)
        return -1;
    uint32_t entries = number(table + at, 2, big);
    for (at += 2; entries && n - at >= ENTRY && number(table + at, 2, big) != PICTURES; entries--)
        at += ENTRY;
    if (!entries || n - at < ENTRY)
        return -1;
    size_t bytes = number(table + at + 4, 4, big), list = number(table + at + 8, 4, big);
    for (size_t i = 0; i + PICTURE <= bytes && list <= n && n - list >= i + PICTURE; i += PICTURE) {
        uint64_t from = number(table + list + i + 8, 4, big);
        if (!from) /* the picture with this table */
            continue;
        if (count == WF_MAX_COMPANIONS)
            return -1;
        int k = count++;
        for (; k && offsets[k - 1] > from; k--)
            offsets[k] = offsets[k - 1];
        offsets[k] = from;
    }
    return count ? count : -1;
}

/* Looks into an APP1 or APP2 marker, whose n bytes of contents end the code, for a file of several pictures. Companions
 * come after the first picture: another eye's view, or a map of brightness. In a file of its own all that follows
 * belongs to the picture. In a stream another picture may follow the companions, so their place must be known. */
static void check_companions(wf_source *source, const wf_code *code, uint64_t start, size_t n)
{
    static const char xmp[] = "http://ns.adobe.com/xap/1.0/", iso[] = "urn:iso:std:iso:ts:21496:-1";
    static const char *const words[] = {"ns.google.com/photos/1.0/container", "ns.adobe.com/hdr-gain-map"};
    const uint8_t *contents = code->bytes + code->size - n;
    bool listed = n >= 4 && !memcmp(contents, "MPF", 4), several = listed;
    several = several || (n >= sizeof iso && !memcmp(contents, iso, sizeof iso));
    for (size_t i = 0; i < sizeof words / sizeof *words && n >= sizeof xmp && !memcmp(contents, xmp, sizeof xmp); i++)
        several = several || memmem(contents, n, words[i], strlen(words[i]));
    if (source->origin != WF_FROM_STREAM) {
        source->single = source->single || several;
    } else if (listed) {
        source->companions = find_companions(contents + 4, n - 4, source->companion);
        for (int i = 0; i < source->companions; i++)
            source->companion[i] += start + code->size - n + 4;
    } else if (several && !source->companions) {
        source->companions = -1;
    }
}

/* Cuts to the next marker that has contents or ends the picture. Before it may come filler, and the data of a scan, in
 * which 0xff is followed by 0 or by a restart marker. */
static int cut_to_marker(wf_source *source, wf_code *code, int *marker, bool *whole)
{
    do {
        const uint8_t *bytes, *mark = NULL;
        size_t have;
        for (*whole = true; *whole && !mark;) {
            WF_TRY(wf_source_peek(source, 1, &bytes, &have));
            mark = memchr(bytes, 0xff, have);
            WF_TRY(wf_code_take(code, source, mark ? (size_t)(mark - bytes) + 1 : have + !have, whole));
        }
        do {
            WF_TRY(*whole ? wf_code_take(code, source, 1, whole) : WF_OK);
            *marker = *whole ? code->bytes[code->size - 1] : JPEG_EOI;
        } while (*marker == 0xff);
    } while (*marker <= TEMPORARY || (*marker >= JPEG_RST0 && *marker <= JPEG_RST0 + 7));
    return WF_OK;
}

/* Cuts SOI and all markers to EOI. A marker has a u16 length, which includes itself, and contents; see ITU-T T.81,
 * annex B. */
int wf_image_cut_jpeg(wf_source *source, wf_code *code)
{
    enum { SOI = 0xd8, SOS = 0xda, START = 2, LENGTH = 2 };
    bool whole, scanned = false;
    int marker = 0;
    uint64_t start = source->offset - code->size;
    source->companions = 0;
    WF_TRY(wf_code_take(code, source, START, &whole));
    while (whole) {
        WF_TRY(cut_to_marker(source, code, &marker, &whole));
        if (!whole || marker == JPEG_EOI || marker == SOI)
            break;
        WF_TRY(wf_code_take(code, source, LENGTH, &whole));
        size_t n = whole ? (size_t)code->bytes[code->size - 2] << 8 | code->bytes[code->size - 1] : 0;
        n = n > LENGTH ? n - LENGTH : 0;
        WF_TRY(whole ? wf_code_take(code, source, n, &whole) : WF_OK);
        if (whole && (marker == EXIF || marker == MULTI) && !scanned)
            check_companions(source, code, start, n);
        scanned = scanned || marker == SOS;
    }
    return WF_OK;
}

static int decode_code(const wf_code *code, const char *name, uint64_t offset, wf_image *image)
{
    job j = {.name = name,
             .code = code,
             .offset = offset,
             .progress = {.progress_monitor = check_scans},
             .from = {.next_input_byte = code->bytes,
                      .bytes_in_buffer = code->size,
                      .init_source = do_nothing,
                      .fill_input_buffer = give_bytes,
                      .skip_input_data = pass_bytes,
                      .resync_to_restart = jpeg_resync_to_restart,
                      .term_source = do_nothing}};
    j.jpeg.err = jpeg_std_error(&j.errors);
    j.jpeg.client_data = &j;
    j.errors.error_exit = give_up;
    j.errors.emit_message = handle_message;
    int status = decode_rows(&j, image);
    jpeg_destroy_decompress(&j.jpeg);
    return status;
}

int wf_image_read_jpeg(wf_source *source, wf_image *image)
{
    if (source->code)
        return decode_code(source->code, source->name, source->offset, image);
    wf_code code = {0};
    uint64_t offset = source->offset;
    int status = wf_image_cut_jpeg(source, &code);
    if (!status)
        status = decode_code(&code, source->name, offset, image);
    free(code.bytes);
    return status;
}
