/* jpeg.c - JPEG by libjpeg-turbo: sequential and progressive, Huffman and arithmetic coding, 8 bits a sample */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#include "../format.h"

/* Real files have about ten scans. Each scan takes as long to decode as a whole baseline picture. */
enum { MAX_SCANS = 200 };
enum { TEMPORARY = 1 }; /* TEM, a marker without contents, as the restart markers are */

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
    wf_source *source;
    size_t lent; /* bytes of the source's buffer lent to libjpeg */
    int status;  /* set before every longjmp */
} job;

static job *job_of(j_common_ptr jpeg)
{
    return jpeg->client_data;
}

static void give_up(j_common_ptr jpeg)
{
    job *j = job_of(jpeg);
    char why[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, why);
    j->status = wf_fail(jpeg->err->msg_code == JERR_OUT_OF_MEMORY ? WF_AGAIN : WF_DATA, "%s: damaged JPEG: %s",
                        j->source->name, why);
    longjmp(j->failed, 1);
}

/* Fails on warnings, which libjpeg could continue after, because most of them leave wrong pixels. Exceptions are filler
 * before a marker, which some cameras write, and unusual headers. */
static void handle_message(j_common_ptr jpeg, int level)
{
    int code = jpeg->err->msg_code;
    if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_JFIF_MAJOR && code != JWRN_ADOBE_XFORM)
        give_up(jpeg);
}

static void check_scans(j_common_ptr jpeg)
{
    job *j = job_of(jpeg);
    if (j->jpeg.input_scan_number <= MAX_SCANS)
        return;
    j->status = wf_fail(WF_DATA, "%s: JPEG of over %d scans, want at most %d", j->source->name, MAX_SCANS, MAX_SCANS);
    longjmp(j->failed, 1);
}

static void do_nothing(j_decompress_ptr jpeg)
{
    (void)jpeg;
}

static boolean give_bytes(j_decompress_ptr jpeg)
{
    job *j = jpeg->client_data;
    const uint8_t *bytes;
    wf_source_skip(j->source, j->lent);
    j->lent = 0;
    j->status = wf_source_peek(j->source, 1, &bytes, &j->lent);
    if (!j->status && !j->lent)
        j->status = wf_fail(WF_DATA, "%s: cut off at byte %llu: the JPEG has no end", j->source->name,
                            (unsigned long long)j->source->offset);
    if (j->status)
        longjmp(j->failed, 1);
    j->from.next_input_byte = bytes;
    j->from.bytes_in_buffer = j->lent;
    return TRUE;
}

static void pass_bytes(j_decompress_ptr jpeg, long n)
{
    job *j = jpeg->client_data;
    while (n > 0 && (size_t)n > j->from.bytes_in_buffer) {
        n -= (long)j->from.bytes_in_buffer;
        give_bytes(jpeg);
    }
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

/* Looks for a camera's file of several pictures (CIPA DC-007, "MPF") in the contents of an APP2 marker. Companions come
 * after the first picture: another eye's view, or a map of brightness. */
static int check_companions(wf_source *source, const uint8_t *contents, size_t n)
{
    if (n < 4 || memcmp(contents, "MPF", 4))
        return WF_OK;
    WF_CHECK(source->origin != WF_FROM_STREAM, WF_DATA,
             "%s: a JPEG with companions (MPF), which look like further pictures in a stream: name the file instead",
             source->name);
    source->single = true;
    return WF_OK;
}

static int start_decoder(job *j, wf_image *image)
{
    j_decompress_ptr jpeg = &j->jpeg;
    (void)jpeg_read_header(jpeg, TRUE);
    for (jpeg_saved_marker_ptr m = jpeg->marker_list; m; m = m->next)
        WF_TRY(check_companions(j->source, m->data, m->data_length));
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
        return wf_fail(WF_DATA, "%s: JPEG of %d components in an unknown colour space", j->source->name,
                       jpeg->num_components);
    }
    int C = jpeg->out_color_space == JCS_GRAYSCALE ? 1 : 3;
    WF_TRY(wf_image_reserve(image, j->source->name, jpeg->image_height, jpeg->image_width, C, 8));
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
    jpeg_save_markers(jpeg, JPEG_APP0 + 2, 4);
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
    (void)jpeg_finish_decompress(jpeg); /* reads to the last byte of the picture, so that another may follow */
    wf_source_skip(j->source, j->lent - j->from.bytes_in_buffer);
    wf_image_spread(image);
    return WF_OK;
}

int wf_image_read_jpeg(wf_source *source, wf_image *image)
{
    job j = {.source = source,
             .progress = {.progress_monitor = check_scans},
             .from = {.init_source = do_nothing,
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
    WF_TRY(wf_code_take(code, source, START, &whole));
    while (whole) {
        WF_TRY(cut_to_marker(source, code, &marker, &whole));
        if (!whole || marker == JPEG_EOI || marker == SOI)
            break;
        WF_TRY(wf_code_take(code, source, LENGTH, &whole));
        size_t n = whole ? (size_t)code->bytes[code->size - 2] << 8 | code->bytes[code->size - 1] : 0;
        n = n > LENGTH ? n - LENGTH : 0;
        WF_TRY(whole ? wf_code_take(code, source, n, &whole) : WF_OK);
        if (whole && marker == JPEG_APP0 + 2 && !scanned)
            WF_TRY(check_companions(source, code->bytes + code->size - n, n));
        scanned = scanned || marker == SOS;
    }
    return WF_OK;
}
