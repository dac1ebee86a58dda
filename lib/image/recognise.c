/* recognise.c - formats and other kinds of files by their first bytes */
#include "recognise.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "format_text.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* ---- formats that are read --------------------------------------------------------------------------------------- */

static const wf_format formats[] = {
#define READ(id, name, head, follow) {name, head, follow, wf_image_is_##id, wf_image_read_##id, NULL, NULL, NULL},
#define CODE(id, name, head, follow) \
    {name, head, follow, wf_image_is_##id, wf_image_read_##id, wf_image_cut_##id, NULL, NULL},
#define SERIES(id, name, head, follow) {name, head, follow, wf_image_is_##id, NULL, NULL, wf_image_begin_##id, NULL},
#define OPEN(id, head) {#id, head, WF_PICTURES, wf_image_is_##id, NULL, NULL, NULL, wf_image_open_##id},
    WF_IMAGE_FORMATS(READ, CODE, SERIES, OPEN)
#undef READ
#undef CODE
#undef SERIES
#undef OPEN
};

int wf_format_find(wf_source *source, const wf_format **found)
{
    const wf_format *last = source->last;
    *found = source->series || (last && last->follow == WF_SAME) ? last : NULL;
    for (size_t i = 0; i < COUNT(formats) && !*found; i++) {
        const uint8_t *head;
        size_t have;
        WF_TRY(wf_source_peek(source, formats[i].head, &head, &have));
        if (formats[i].is(head, have))
            *found = &formats[i];
    }
    return WF_OK;
}

/* ---- kinds that are not ------------------------------------------------------------------------------------------ */

static size_t skip_space(const uint8_t *head, size_t n)
{
    size_t i = n >= 3 && !memcmp(head, "\xef\xbb\xbf", 3) ? 3 : 0; /* the byte order mark of UTF-8 */
    while (i < n && isspace(head[i]))
        i++;
    return i;
}

static bool begins_with(const uint8_t *head, size_t n, const char *word)
{
    size_t at = skip_space(head, n), length = strlen(word);
    return n - at >= length && !strncasecmp((const char *)head + at, word, length);
}

static bool is_svg(const uint8_t *head, size_t n)
{
    return begins_with(head, n, "<svg") || (begins_with(head, n, "<?xml") && memmem(head, n, "<svg", 4));
}

static bool is_html(const uint8_t *head, size_t n)
{
    return begins_with(head, n, "<!doctype html") || begins_with(head, n, "<html");
}

/* Protocols 2 to 5 begin with 0x80 and their number; then comes a frame, a container, a class or text. Protocols 0
 * and 1 begin with what comes first. */
static bool is_pickle(const uint8_t *head, size_t n)
{
    if (n >= 3 && head[0] == 0x80)
        return (head[1] >= 4 && head[1] <= 5 && head[2] == 0x95) ||
               (head[1] >= 2 && head[1] <= 5 && strchr("}](cXUT", head[2]) && head[2]);
    return n >= 4 && (!memcmp(head, "}q\0", 3) || !memcmp(head, "]q\0", 3) || !memcmp(head, "(dp0", 4) ||
                      !memcmp(head, "(lp0", 4) || !memcmp(head, "cnum", 4));
}

/* The header of a frame: 11 bits of ones, a version, layer III, a bit rate and a sample rate that exist. */
static bool is_mp3(const uint8_t *head, size_t n)
{
    return n >= 4 && head[0] == 0xff && (head[1] & 0xe0) == 0xe0 && (head[1] >> 3 & 3) != 1 &&
           (head[1] >> 1 & 3) == 1 && (head[2] >> 4) != 15 && head[2] >> 4 && (head[2] >> 2 & 3) != 3;
}

static bool is_bmp(const uint8_t *head, size_t n)
{
    return n >= 10 && !memcmp(head, "BM", 2) && !memcmp(head + 6, "\0\0\0\0", 4); /* after the size: reserved, zero */
}

static bool is_coefficients(const uint8_t *head, size_t n)
{
    return n >= 10 && head[8] == '{' && memmem(head, n, "wavelet-flow/1", 14);
}

static bool is_tensors(const uint8_t *head, size_t n)
{
    return n >= 10 && !memcmp(head + 6, "\0\0{\"", 4);
}

#define TO_PNG "convert it to PNG, PNM or PAM"
#define TO_WAV "convert it, as by ffmpeg -i FILE -c:a pcm_s16le file.wav"
#define TO_FRAMES "give its frames, as by ffmpeg -i FILE -f image2pipe -c:v ppm - | wf-dwt"
#define TO_HEIF "convert it, as by heif-dec FILE file.png"
#define TO_NPY "save its pictures in Python, as by numpy.save of uint8 [N,H,W,C]"

/* The first row that fits counts. */
static const wf_foreign foreign[] = {
    {"a GIF", "convert a frame, as by giftopnm", true, 0, 4, "GIF8", NULL},
    {"a TIFF or a camera's raw picture", "convert it, as by tifftopnm", true, 0, 4, "II*\0", NULL},
    {"a TIFF or a camera's raw picture", "convert it, as by tifftopnm", true, 0, 4, "MM\0*", NULL},
    {"a TIFF of over 4 GB", "convert it, as by vips copy FILE file.png", true, 0, 4, "II+\0", NULL},
    {"a TIFF of over 4 GB", "convert it, as by vips copy FILE file.png", true, 0, 4, "MM\0+", NULL},
    {"a JPEG XL", "convert it, as by djxl FILE file.png", true, 0, 2, "\xff\x0a", NULL},
    {"a JPEG XL", "convert it, as by djxl FILE file.png", true, 4, 4, "JXL ", NULL},
    {"a JPEG 2000", "convert it, as by opj_decompress -i FILE -o file.png", true, 4, 4, "jP  ", NULL},
    {"a JPEG 2000", "convert it, as by opj_decompress -i FILE -o file.png", true, 0, 4, "\xff\x4f\xff\x51", NULL},
    {"an AVIF", TO_HEIF, true, 4, 7, "ftypavi", NULL},
    {"a HEIC or HEIF", TO_HEIF, true, 4, 7, "ftyphei", NULL},
    {"a HEIC or HEIF", TO_HEIF, true, 4, 7, "ftyphev", NULL},
    {"a HEIC or HEIF", TO_HEIF, true, 4, 8, "ftypmif1", NULL},
    {"a HEIC or HEIF", TO_HEIF, true, 4, 8, "ftypmif2", NULL},
    {"a HEIC or HEIF", TO_HEIF, true, 4, 8, "ftypmsf1", NULL},
    {"a camera's raw picture (CR3)", TO_PNG, true, 4, 8, "ftypcrx ", NULL},
    {"a camera's raw picture (RAF)", TO_PNG, true, 0, 8, "FUJIFILM", NULL},
    {"a sound (M4A)", TO_WAV, false, 4, 7, "ftypM4A", NULL},
    {"a film (MP4 or MOV)", TO_FRAMES, false, 4, 4, "ftyp", NULL},
    {"a film (MOV)", TO_FRAMES, false, 4, 4, "moov", NULL},
    {"a film (MOV)", TO_FRAMES, false, 4, 4, "mdat", NULL},
    {"a film (Matroska or WebM)", TO_FRAMES, false, 0, 4, "\x1a\x45\xdf\xa3", NULL},
    {"a film (AVI)", TO_FRAMES, false, 8, 4, "AVI ", NULL},
    {"a film (MPEG)", TO_FRAMES, false, 0, 4, "\0\0\1\xba", NULL},
    {"a film or sound (ASF)", "convert it by ffmpeg", false, 0, 4, "\x30\x26\xb2\x75", NULL},
    {"a sound (Ogg)", TO_WAV, false, 0, 4, "OggS", NULL},
    {"a sound (MP3)", TO_WAV, false, 0, 0, NULL, is_mp3},
    {"a sound (Wave64)", TO_WAV, false, 0, 8, "riff\x2e\x91\xcf\x11", NULL},
    {"a sound (CAF)", TO_WAV, false, 0, 4, "caff", NULL},
    {"a sound (AU)", TO_WAV, false, 0, 4, ".snd", NULL},
    {"a MIDI file", "render it to WAV", false, 0, 4, "MThd", NULL},
    {"IDX of other samples than bytes", TO_NPY " or of uint16", true, 0, 3, "\0\0\x09", NULL},
    {"IDX of other samples than bytes", TO_NPY " or of uint16", true, 0, 3, "\0\0\x0b", NULL},
    {"IDX of other samples than bytes", TO_NPY " or of uint16", true, 0, 3, "\0\0\x0c", NULL},
    {"IDX of other samples than bytes", TO_NPY " or of uint16", true, 0, 3, "\0\0\x0d", NULL},
    {"IDX of other samples than bytes", TO_NPY " or of uint16", true, 0, 3, "\0\0\x0e", NULL},
    {"a Python pickle", TO_NPY, false, 0, 0, NULL, is_pickle},
    {"a MATLAB file (v7.3, which is HDF5)", "save its pictures in Python, as by numpy.save of h5py.File(FILE)['X'][:]",
     false, 0, 10, "MATLAB 7.3", NULL},
    {"a MATLAB file (v5)", "save its pictures in Python, as by numpy.save of scipy.io.loadmat(FILE)['X'] with N first",
     false, 0, 8, "MATLAB 5", NULL},
    {"HDF5", "save its pictures in Python, as by numpy.save of h5py.File(FILE)['images'][:]", false, 0, 8,
     "\x89HDF\r\n\x1a\n", NULL},
    {"Parquet", "write the bytes of its pictures to files in Python, by pyarrow.parquet or datasets", false, 0, 4,
     "PAR1", NULL},
    {"Arrow", "write the bytes of its pictures to files in Python, by pyarrow or datasets", false, 0, 6, "ARROW1",
     NULL},
    {"an SQLite database", "write its pictures to files", false, 0, 15, "SQLite format 3", NULL},
    {"DICOM", "convert it, as by dcm2pnm FILE file.pgm, or slices to .npy for --dims 3", true, 128, 4, "DICM", NULL},
    {"NIfTI", "save its volume in Python, as by nibabel and numpy.save, for --dims 3", false, 344, 3, "n+1", NULL},
    {"NRRD", "save its volume in Python, as by nrrd and numpy.save, for --dims 3", false, 0, 5, "NRRD0", NULL},
    {"FITS", "save its picture in Python, as by astropy and numpy.save of uint16", true, 0, 9, "SIMPLE  =", NULL},
    {"a BMP", "convert it, as by bmptopnm", true, 0, 0, NULL, is_bmp},
    {"farbfeld", "convert it, as by ff2png", true, 0, 8, "farbfeld", NULL},
    {"PFM", "convert it, as by pfmtopam", true, 0, 3, "PF\n", NULL},
    {"PFM", "convert it, as by pfmtopam", true, 0, 3, "Pf\n", NULL},
    {"a QOI", TO_PNG, true, 0, 4, "qoif", NULL},
    {"an OpenEXR", TO_PNG, true, 0, 4, "\x76\x2f\x31\x01", NULL},
    {"a Radiance HDR", TO_PNG, true, 0, 10, "#?RADIANCE", NULL},
    {"a DDS", TO_PNG, true, 0, 4, "DDS ", NULL},
    {"a Photoshop file", TO_PNG, true, 0, 4, "8BPS", NULL},
    {"a GIMP file", TO_PNG, true, 0, 8, "gimp xcf", NULL},
    {"an icon", TO_PNG, true, 0, 4, "\0\0\1\0", NULL},
    {"an SVG", "render it, as by rsvg-convert FILE -o file.png", false, 0, 0, NULL, is_svg},
    {"an HTML page", "save the picture itself in place of the page around it", false, 0, 0, NULL, is_html},
    {"a PDF", "extract its pictures, as by pdfimages -png FILE page", false, 0, 4, "%PDF", NULL},
    {"PostScript", "render it, as by gs", false, 0, 4, "%!PS", NULL},
    {"a pointer of Git LFS", "fetch the file itself by git lfs pull", false, 0, 27, "version https://git-lfs.git",
     NULL},
    {"7-Zip", "unpack it", false, 0, 6, "7z\xbc\xaf\x27\x1c", NULL},
    {"RAR", "unpack it", false, 0, 4, "Rar!", NULL},
    {"a stream or model of Wavelet Flow", "wf-idwt makes pictures of coefficients", false, 0, 0, NULL, is_coefficients},
    {"safetensors", TO_NPY, false, 0, 0, NULL, is_tensors},
};
enum { FOREIGN_HEAD = 512 };

const char *wf_image_unsupported(int i)
{
    return i >= 0 && (size_t)i < COUNT(foreign) ? foreign[i].kind : NULL;
}

const char *wf_image_unsupported_advice(int i)
{
    return i >= 0 && (size_t)i < COUNT(foreign) ? foreign[i].advice : NULL;
}

int wf_foreign_find(wf_source *source, const wf_foreign **found)
{
    const uint8_t *head;
    size_t have;
    *found = NULL;
    WF_TRY(wf_source_peek(source, FOREIGN_HEAD, &head, &have));
    have = have < FOREIGN_HEAD ? have : FOREIGN_HEAD;
    for (size_t i = 0; i < COUNT(foreign) && !*found; i++) {
        const wf_foreign *f = &foreign[i];
        if (f->is ? f->is(head, have) : have >= f->at + f->length && !memcmp(head + f->at, f->bytes, f->length))
            *found = f;
    }
    return WF_OK;
}

bool wf_named_like_picture(const char *name)
{
    static const char *const suffixes[] = {
        "png", "apng", "pnm", "pbm",        "pgm",  "ppm",  "pam",      "bin",      "gz",   "tgz", "tar",
        "jpg", "jpeg", "jpe", "jxl",        "webp", "gif",  "bmp",      "tif",      "tiff", "jp2", "avif",
        "npy", "npz",  "zip", "ff",         "pfm",  "heic", "ico",      "txz",      "xz",   "zst", "bz2",
        "wav", "flac", "aif", "idx3-ubyte", "jfif", "heif", "mpo",      "hif",      "rf64", "dng", "cr2",
        "cr3", "wave", "nef", "arw",        "aiff", "bw64", "tfrecord", "tfrecords"};
    const char *base = name + strlen(name);
    while (base > name && base[-1] != '/' && base[-1] != ':') /* "a.tar:b.png" */
        base--;
    const char *dot = strrchr(base, '.');
    if (!dot || !strncmp(base, "._", 2)) /* "._x.png": macOS keeps a file's attributes there */
        return false;
    for (size_t i = 0; i < COUNT(suffixes); i++)
        if (!strcasecmp(dot + 1, suffixes[i]))
            return true;
    return false;
}

/* Text has no control characters but white space. Only the first bytes of a long value are examined. */
int wf_is_note(wf_source *source, bool *note)
{
    enum { NUMBER = 16, LOOK = 4096 };
    const uint8_t *bytes;
    size_t have;
    WF_TRY(wf_source_peek(source, LOOK, &bytes, &have));
    bool text = true;
    for (size_t i = 0; i < have && i < LOOK; i++)
        text = text && bytes[i] != 0x7f && (bytes[i] >= ' ' || isspace(bytes[i]));
    *note = have <= NUMBER || text;
    return WF_OK;
}
