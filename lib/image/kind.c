/* kind.c - kinds of files by their first bytes: those that are not read, with the remedy, and the search among all */
#include "kind.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../base/version.h"
#include "format_text.h"
#include "recognise.h"

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* -- kinds without a magic number ---------------------------------------------------------------------------------- */

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

/* A module and a name of it, each in a line, as protocols 0 and 1 begin with for an object. */
static bool is_global(const uint8_t *head, size_t n)
{
    size_t i = 1;
    for (int lines = 0; lines < 2; lines++, i++) {
        size_t begin = i;
        while (i < n && (isalnum(head[i]) || head[i] == '_' || head[i] == '.'))
            i++;
        if (i == begin || i >= n || head[i] != '\n')
            return false;
    }
    return n && head[0] == 'c' && i < n && strchr("pq(", head[i]) && head[i];
}

/* Protocols 2 to 5 begin with 0x80 and their number; then comes a frame, a container, a class, a number or text.
 * Protocols 0 and 1 begin with what comes first. */
static bool is_pickle(const uint8_t *head, size_t n)
{
    static const char *const first[] = {"}q\0", "]q\0", "(dp0", "(dp1", "(lp0", "(lp1", "(cnu"};
    if (n >= 3 && head[0] == 0x80)
        return (head[1] >= 4 && head[1] <= 5 && head[2] == 0x95) ||
               (head[1] >= 2 && head[1] <= 5 && strchr("}](cXUTCBKJMG", head[2]) && head[2]);
    for (size_t i = 0; i < COUNT(first) && n >= 4; i++)
        if (!memcmp(head, first[i], i < 2 ? 3 : 4))
            return true;
    return is_global(head, n);
}

/* The header of a frame: 11 bits of ones, a version, layer III, a bit rate and a sample rate that exist. */
static bool is_mp3(const uint8_t *head, size_t n)
{
    return n >= 4 && head[0] == 0xff && (head[1] & 0xe0) == 0xe0 && (head[1] >> 3 & 3) != 1 &&
           (head[1] >> 1 & 3) == 1 && (head[2] >> 4) != 15 && head[2] >> 4 && (head[2] >> 2 & 3) != 3;
}

/* Packets of 188 bytes, each of which begins with 0x47. */
static bool is_transport(const uint8_t *head, size_t n)
{
    return n > 376 && head[0] == 0x47 && head[188] == 0x47 && head[376] == 0x47;
}

/* A zip whose first file is NAME/data.pkl, as torch.save writes it. Its name of `length` bytes is at byte 30. */
bool wf_is_torch(const uint8_t *head, size_t n)
{
    size_t length = n > 30 ? head[26] + 256u * head[27] : 0;
    return n > 30 && !memcmp(head, "PK\3\4", 4) && length >= 9 && n >= 30 + length &&
           !memcmp(head + 30 + length - 9, "/data.pkl", 9);
}

static bool is_bmp(const uint8_t *head, size_t n)
{
    return n >= 10 && !memcmp(head, "BM", 2) && !memcmp(head + 6, "\0\0\0\0", 4); /* after the size: reserved, zero */
}

/* -- files of Wavelet Flow ----------------------------------------------------------------------------------------- */

/* The length of a header below 2^48, then a JSON object. */
static bool is_tensors(const uint8_t *head, size_t n)
{
    return n >= 10 && !memcmp(head + 6, "\0\0{", 3) && (head[9] == '"' || isspace(head[9]));
}

/* Finds text in the first header of safetensors. */
static bool has_text(const uint8_t *head, size_t n, const char *text)
{
    uint64_t end = 8;
    for (int i = 0; i < 6 && n >= 8; i++)
        end += (uint64_t)head[i] << 8 * i;
    return is_tensors(head, n) && memmem(head, n < end ? n : (size_t)end, text, strlen(text));
}

/* A key of that header. Quotes inside of a value have a backslash. */
static bool has_key(const uint8_t *head, size_t n, const char *key)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    return has_text(head, n, quoted);
}

static bool has_format(const uint8_t *head, size_t n, const char *format)
{
    return has_key(head, n, "format") && has_text(head, n, format);
}

static bool is_level(const uint8_t *head, size_t n)
{
    return has_format(head, n, WF_FORMAT) && has_key(head, n, "chain");
}

static bool is_state(const uint8_t *head, size_t n)
{
    return has_format(head, n, WF_FORMAT) && !has_key(head, n, "wavelet") && !has_key(head, n, "end");
}

static bool is_stream(const uint8_t *head, size_t n)
{
    return has_format(head, n, WF_FORMAT);
}

static bool is_latents(const uint8_t *head, size_t n)
{
    return has_format(head, n, WF_LATENTS_FORMAT);
}

#define TO_PNG "convert it, as by ffmpeg -i FILE file.png"
#define BY_MAGICK "convert it, as by ImageMagick: convert FILE file.png"
#define FLATTEN "convert it, as by ImageMagick: convert FILE -flatten file.png"
#define TO_WAV "convert it, as by ffmpeg -i FILE -c:a pcm_s16le file.wav"
#define TO_FRAMES "give its frames, as by ffmpeg -i FILE -f image2pipe -c:v ppm - | wf-dwt"
#define TO_HEIF "convert it, as by heif-convert FILE file.png"
#define TO_TIFF "convert it, as by tifftopnm FILE, a raw picture by dcraw -c FILE"
#define UNPACK "unpack it, as by bsdtar -cf - @FILE | wf-dwt"
#define MAKE_PICTURES "already coefficients: wf-idwt makes pictures of them"
#define TO_NPY "save its pictures in Python, as by numpy.save of uint8 [N,H,W,C]"
#define FROM_PICKLE \
    "save its pictures in Python, as by numpy.save('a.npy', pickle.load(open(FILE, 'rb'), encoding='bytes')[b'data'])"
#define FROM_TORCH "save its pictures in Python, as by numpy.save('a.npy', torch.load(FILE).numpy())"
#define FROM_MAT                                                                                     \
    "save its pictures in Python, as by numpy.save('a.npy', numpy.ascontiguousarray(numpy.moveaxis(" \
    "scipy.io.loadmat(FILE)['X'], -1, 0)))"
#define FROM_HDF5 "save its pictures in Python, as by numpy.save('a.npy', h5py.File(FILE)['images'][:])"
#define FROM_NIFTI                                                                                                  \
    "save its volume in Python, as by numpy.save('a.npy', numpy.ascontiguousarray(nibabel.load(FILE).get_fdata(), " \
    "'uint16')), for --dims 3"

/* The first row that fits counts. */
static const wf_foreign foreign[] = {
    {"a GIF", "convert a frame, as by giftopnm FILE | wf-dwt", WF_KIND_PICTURE, 0, 4, "GIF8", NULL},
    {"a TIFF or a camera's raw picture", TO_TIFF, WF_KIND_PICTURE, 0, 4, "II*\0", NULL},
    {"a TIFF or a camera's raw picture", TO_TIFF, WF_KIND_PICTURE, 0, 4, "MM\0*", NULL},
    {"a TIFF of over 4 GB", "convert it, as by vips copy FILE file.png", WF_KIND_PICTURE, 0, 4, "II+\0", NULL},
    {"a TIFF of over 4 GB", "convert it, as by vips copy FILE file.png", WF_KIND_PICTURE, 0, 4, "MM\0+", NULL},
    {"a JPEG XL", "convert it, as by djxl FILE file.png", WF_KIND_PICTURE, 0, 2, "\xff\x0a", NULL},
    {"a JPEG XL", "convert it, as by djxl FILE file.png", WF_KIND_PICTURE, 4, 4, "JXL ", NULL},
    {"a JPEG 2000", "convert it, as by opj_decompress -i FILE -o file.png", WF_KIND_PICTURE, 4, 4, "jP  ", NULL},
    {"a JPEG 2000", "convert it, as by opj_decompress -i FILE -o file.png", WF_KIND_PICTURE, 0, 4, "\xff\x4f\xff\x51",
     NULL},
    {"an AVIF", TO_HEIF, WF_KIND_PICTURE, 4, 7, "ftypavi", NULL},
    {"a HEIC or HEIF", TO_HEIF, WF_KIND_PICTURE, 4, 7, "ftyphei", NULL},
    {"a HEIC or HEIF", TO_HEIF, WF_KIND_PICTURE, 4, 7, "ftyphev", NULL},
    {"a HEIC or HEIF", TO_HEIF, WF_KIND_PICTURE, 4, 8, "ftypmif1", NULL},
    {"a HEIC or HEIF", TO_HEIF, WF_KIND_PICTURE, 4, 8, "ftypmif2", NULL},
    {"a HEIC or HEIF", TO_HEIF, WF_KIND_PICTURE, 4, 8, "ftypmsf1", NULL},
    {"a camera's raw picture (CR3)", "convert it, as by darktable-cli FILE file.png", WF_KIND_PICTURE, 4, 8, "ftypcrx ",
     NULL},
    {"a camera's raw picture (RAF)", "convert it, as by dcraw -c FILE | wf-dwt", WF_KIND_PICTURE, 0, 8, "FUJIFILM",
     NULL},
    {"a sound (M4A)", TO_WAV, WF_KIND_OTHER, 4, 7, "ftypM4A", NULL},
    {"a film (MP4 or MOV)", TO_FRAMES, WF_KIND_OTHER, 4, 4, "ftyp", NULL},
    {"a film (MOV)", TO_FRAMES, WF_KIND_OTHER, 4, 4, "moov", NULL},
    {"a film (MOV)", TO_FRAMES, WF_KIND_OTHER, 4, 4, "mdat", NULL},
    {"a film (Matroska or WebM)", TO_FRAMES, WF_KIND_OTHER, 0, 4, "\x1a\x45\xdf\xa3", NULL},
    {"a film (AVI)", TO_FRAMES, WF_KIND_OTHER, 8, 4, "AVI ", NULL},
    {"a film (MPEG)", TO_FRAMES, WF_KIND_OTHER, 0, 4, "\0\0\1\xba", NULL},
    {"a film (MPEG)", TO_FRAMES, WF_KIND_OTHER, 0, 4, "\0\0\1\xb3", NULL},
    {"a film (MPEG)", TO_FRAMES, WF_KIND_OTHER, 0, 0, NULL, is_transport},
    {"a film (FLV)", TO_FRAMES, WF_KIND_OTHER, 0, 4, "FLV\1", NULL},
    {"a film (Y4M)", TO_FRAMES, WF_KIND_OTHER, 0, 9, "YUV4MPEG2", NULL},
    {"a film or sound (ASF)", TO_FRAMES ", a sound to WAV", WF_KIND_OTHER, 0, 4, "\x30\x26\xb2\x75", NULL},
    {"a sound (Ogg)", TO_WAV, WF_KIND_OTHER, 0, 4, "OggS", NULL},
    {"a sound (MP3)", TO_WAV, WF_KIND_OTHER, 0, 0, NULL, is_mp3},
    {"a sound (Wave64)", TO_WAV, WF_KIND_OTHER, 0, 8, "riff\x2e\x91\xcf\x11", NULL},
    {"a sound (CAF)", TO_WAV, WF_KIND_OTHER, 0, 4, "caff", NULL},
    {"a sound (AU)", TO_WAV, WF_KIND_OTHER, 0, 4, ".snd", NULL},
    {"a MIDI file", "render it, as by timidity FILE -Ow -o file.wav", WF_KIND_OTHER, 0, 4, "MThd", NULL},
    {"IDX of other samples than bytes", TO_NPY " or of uint16", WF_KIND_PICTURE, 0, 3, "\0\0\x09", NULL},
    {"IDX of other samples than bytes", TO_NPY " or of uint16", WF_KIND_PICTURE, 0, 3, "\0\0\x0b", NULL},
    {"IDX of other samples than bytes", TO_NPY " or of uint16", WF_KIND_PICTURE, 0, 3, "\0\0\x0c", NULL},
    {"IDX of other samples than bytes", TO_NPY " or of uint16", WF_KIND_PICTURE, 0, 3, "\0\0\x0d", NULL},
    {"IDX of other samples than bytes", TO_NPY " or of uint16", WF_KIND_PICTURE, 0, 3, "\0\0\x0e", NULL},
    {"a PyTorch file", FROM_TORCH, WF_KIND_OTHER, 0, 0, NULL, wf_is_torch},
    {"a PyTorch file", FROM_TORCH, WF_KIND_OTHER, 0, 9, "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9", NULL},
    {"a Python pickle", FROM_PICKLE, WF_KIND_OTHER, 0, 0, NULL, is_pickle},
    {"a MATLAB file (v7.3, which is HDF5)",
     "save its pictures in Python, as by numpy.save('a.npy', "
     "h5py.File(FILE)['X'][:])",
     WF_KIND_OTHER, 0, 10, "MATLAB 7.3", NULL},
    {"a MATLAB file (v5)", FROM_MAT, WF_KIND_OTHER, 0, 8, "MATLAB 5", NULL},
    {"HDF5", FROM_HDF5, WF_KIND_OTHER, 0, 8, "\x89HDF\r\n\x1a\n", NULL},
    {"Parquet", "write the bytes of its pictures to files in Python, by pyarrow.parquet or datasets", WF_KIND_OTHER, 0,
     4, "PAR1", NULL},
    {"Arrow", "write the bytes of its pictures to files in Python, by pyarrow or datasets", WF_KIND_OTHER, 0, 6,
     "ARROW1", NULL},
    {"an SQLite database", "write its pictures to files, as by writefile() in sqlite3", WF_KIND_OTHER, 0, 15,
     "SQLite format 3", NULL},
    {"the lock of an LMDB", "the pictures are in data.mdb beside it", WF_KIND_OTHER, 0, 4, "\xde\xc0\xef\xbe", NULL},
    {"DICOM", "convert it, as by dcm2pnm FILE file.pgm, or slices to .npy for --dims 3", WF_KIND_PICTURE, 128, 4,
     "DICM", NULL},
    {"NIfTI", FROM_NIFTI, WF_KIND_OTHER, 344, 3, "n+1", NULL},
    {"NRRD", "save its volume in Python, as by numpy.save('a.npy', nrrd.read(FILE, index_order='C')[0]), for --dims 3",
     WF_KIND_OTHER, 0, 5, "NRRD0", NULL},
    {"FITS", "save its picture in Python, as by numpy.save('a.npy', astropy.io.fits.getdata(FILE).astype('uint16'))",
     WF_KIND_PICTURE, 0, 9, "SIMPLE  =", NULL},
    {"a BMP", "convert it, as by bmptopnm FILE | wf-dwt", WF_KIND_PICTURE, 0, 0, NULL, is_bmp},
    {"farbfeld", "convert it, as by ff2png < FILE | wf-dwt", WF_KIND_PICTURE, 0, 8, "farbfeld", NULL},
    {"PFM", "convert it, as by pfmtopam FILE | wf-dwt", WF_KIND_PICTURE, 0, 3, "PF\n", NULL},
    {"PFM", "convert it, as by pfmtopam FILE | wf-dwt", WF_KIND_PICTURE, 0, 3, "Pf\n", NULL},
    {"a QOI", TO_PNG, WF_KIND_PICTURE, 0, 4, "qoif", NULL},
    {"an OpenEXR", TO_PNG, WF_KIND_PICTURE, 0, 4, "\x76\x2f\x31\x01", NULL},
    {"a Radiance HDR", BY_MAGICK, WF_KIND_PICTURE, 0, 10, "#?RADIANCE", NULL},
    {"a DDS", TO_PNG, WF_KIND_PICTURE, 0, 4, "DDS ", NULL},
    {"a Photoshop file", FLATTEN, WF_KIND_PICTURE, 0, 4, "8BPS", NULL},
    {"a GIMP file", FLATTEN, WF_KIND_PICTURE, 0, 8, "gimp xcf", NULL},
    {"an icon", BY_MAGICK, WF_KIND_PICTURE, 0, 4, "\0\0\1\0", NULL},
    {"an SVG", "render it, as by rsvg-convert FILE -o file.png", WF_KIND_OTHER, 0, 0, NULL, is_svg},
    {"an HTML page", "save the picture itself in place of the page around it", WF_KIND_OTHER, 0, 0, NULL, is_html},
    {"a PDF", "extract its pictures, as by pdfimages -png FILE page", WF_KIND_OTHER, 0, 4, "%PDF", NULL},
    {"PostScript", "render it, as by gs -q -sDEVICE=ppmraw -o - FILE | wf-dwt", WF_KIND_OTHER, 0, 4, "%!PS", NULL},
    {"a pointer of Git LFS", "fetch the file itself by git lfs pull", WF_KIND_OTHER, 0, 27,
     "version https://git-lfs.git", NULL},
    {"7-Zip", UNPACK, WF_KIND_OTHER, 0, 6, "7z\xbc\xaf\x27\x1c", NULL},
    {"RAR", UNPACK, WF_KIND_OTHER, 0, 4, "Rar!", NULL},
    {"an archive of wf-pack", "wf-unpack -m MODEL makes pictures of it", WF_KIND_OTHER, 0, 8, "\x89WFP\r\n\x1a\n",
     NULL},
    {"a level of a model", "wf-sample -m FOLDER draws pictures from a model", WF_KIND_LEVEL, 0, 0, NULL, is_level},
    {"the state of a training or of Markov chains", "the command that wrote it goes on from there", WF_KIND_STATE, 0, 0,
     NULL, is_state},
    {"a stream of coefficients", MAKE_PICTURES, WF_KIND_STREAM, 0, 0, NULL, is_stream},
    {"a stream of latents", "wf-decode -m MODEL makes coefficients of them, and wf-idwt pictures", WF_KIND_LATENTS, 0,
     0, NULL, is_latents},
    {"safetensors", TO_NPY, WF_KIND_OTHER, 0, 0, NULL, is_tensors},
};
enum { FOREIGN_HEAD = 512, TENSORS_HEAD = 1 << 14 };

static const wf_foreign store = {.kind = "a store of coefficients", .advice = MAKE_PICTURES, .of = WF_KIND_STORE};

const wf_foreign *wf_foreign_store(void)
{
    return &store;
}

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
    bool tensors = is_tensors(head, have);
    if (tensors) /* provenance and chain of a model come early in the header */
        WF_TRY(wf_source_peek(source, TENSORS_HEAD, &head, &have));
    have = have < FOREIGN_HEAD || tensors ? have : FOREIGN_HEAD;
    for (size_t i = 0; i < COUNT(foreign) && !*found; i++) {
        const wf_foreign *f = &foreign[i];
        if (f->fits ? f->fits(head, have) : have >= f->at + f->length && !memcmp(head + f->at, f->bytes, f->length))
            *found = f;
    }
    return WF_OK;
}

const char *wf_foreign_text(const wf_foreign *kind, bool refused, char out[WF_FOREIGN_TEXT])
{
    if (kind->of == WF_KIND_STREAM || kind->of == WF_KIND_STORE)
        snprintf(out, WF_FOREIGN_TEXT, "%s", kind->advice);
    else
        snprintf(out, WF_FOREIGN_TEXT, "%s%s: %s", kind->kind,
                 refused && kind->of <= WF_KIND_PICTURE ? ", which this version does not read" : "", kind->advice);
    return out;
}

/* -- all ----------------------------------------------------------------------------------------------------------- */

/* Characters of UTF-8, the last of which may be cut off, and white space. */
static bool is_text(const uint8_t *head, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint8_t c = head[i++];
        int more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
        if (c == 0x7f || (c < ' ' && !isspace(c)) || (c >= 0x80 && c < 0xc2) || c > 0xf4)
            return false;
        for (; more && i < n; more--, i++)
            if ((head[i] & 0xc0) != 0x80)
                return false;
    }
    return n;
}

static int recognise(wf_source *source, const wf_format **format, wf_kind *out)
{
    const wf_foreign *other = NULL;
    const uint8_t *head;
    size_t have;
    WF_TRY(wf_format_find(source, format));
    if (*format) {
        out->is = WF_KIND_READ;
        out->name = wf_format_text_row(wf_format_row(*format))->kind;
        return WF_OK;
    }
    WF_TRY(wf_foreign_find(source, &other));
    if (other) {
        *out = (wf_kind){.is = other->of, .name = other->kind, .advice = other->advice};
        return WF_OK;
    }
    WF_TRY(wf_source_peek(source, FOREIGN_HEAD, &head, &have));
    have = have < FOREIGN_HEAD ? have : FOREIGN_HEAD;
    *out = !have                 ? (wf_kind){.is = WF_KIND_EMPTY, .name = "empty"}
           : is_text(head, have) ? (wf_kind){.is = WF_KIND_TEXT, .name = "text"}
                                 : (wf_kind){.is = WF_KIND_UNKNOWN, .name = "of an unknown kind"};
    return WF_OK;
}

int wf_kind_find(FILE *file, wf_kind *out)
{
    enum { MOST = 4 }; /* compressions of one another */
    wf_source *stack[MOST + 1];
    const wf_format *format;
    int depth = 0;
    *out = (wf_kind){.is = WF_KIND_UNKNOWN};
    WF_TRY(wf_source_open_file(NULL, file, WF_FROM_STREAM, &stack[depth++]));
    int status = recognise(stack[0], &format, out);
    while (!status && format && wf_format_compresses(format) && depth <= MOST) {
        wf_kind inner = {.is = WF_KIND_UNKNOWN};
        if (format->open(stack[depth - 1], &stack[depth]))
            break;
        if (recognise(stack[depth++], &format, &inner))
            break;
        inner.compressed = true;
        if (inner.is != WF_KIND_EMPTY && inner.is != WF_KIND_UNKNOWN)
            *out = inner;
    }
    while (depth)
        wf_source_destroy(stack[--depth]);
    return status;
}
