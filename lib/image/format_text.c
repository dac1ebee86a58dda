/* format_text.c - the registry of formats as text; a row of the registry without a text here does not compile */
#include "format_text.h"

#include "format.h"

static const wf_format_text text_gzip = {"gzip", "a gzip file", "bytes 1f 8b 08",
                                         "Any other format, compressed; the CRC of the contents is checked.",
                                         "A damaged or cut file."};
static const wf_format_text text_pnm = {
    "PNM", "a PNM picture", "P1 to P6 and a blank",
    "PBM, PGM and PPM, binary and plain, grey or RGB. MAXVAL up to 255 gives 8 bits. A MAXVAL of 2^n - 1 "
    "above gives n bits; any other is scaled to 16 bits.",
    "A sample above MAXVAL; MAXVAL 0."};
static const wf_format_text text_pam = {"PAM", "a PAM picture", "P7 and a line feed",
                                        "1 to 4 channels: grey, grey and alpha, RGB, RGB and alpha. Depths "
                                        "as in PNM.",
                                        "More than 4 channels."};
static const wf_format_text text_jpeg = {
    "JPEG", "a JPEG picture", "bytes ff d8 ff",
    "Sequential and progressive, Huffman and arithmetic, 8 bits. Grey stays grey, CMYK becomes RGB. Turned "
    "upright by its EXIF. Companions (MPF, gain maps) and a film behind it are passed over.",
    "Missing or damaged samples; more than 200 scans; in a stream, companions whose place is not listed: give the "
    "file by name."};
static const wf_format_text text_idx = {
    "IDX", "an IDX array", "bytes 00 00 08 and 1 to 4 dimensions",
    "Arrays of bytes, as in MNIST: [N,H,W] or [N,H,W,C]. An array of labels, [N], is passed over in a "
    "folder or archive.",
    "Samples other than bytes: convert them to NumPy's uint16."};
static const wf_format_text text_zip = {"zip", "a zip archive", "PK and 03 04, or 05 06 for an empty one",
                                        "An archive of pictures, in its order; .npz is a zip of .npy files, see NumPy.",
                                        "An encrypted entry."};
static const wf_format_text text_compressed = {"xz, Zstandard, bzip2", "a file compressed by xz, Zstandard or bzip2",
                                               "fd 37 7a 58 5a 00; 28 b5 2f fd; BZh", "Any other format, compressed.",
                                               "A damaged or cut file."};
static const wf_format_text text_npy = {
    "NumPy", "a NumPy array", "byte 93 and NUMPY",
    "uint8 or uint16 in C order: [N,H,W,C]; [N,C,H,W] where the last dimension is over 4; [H,W,C] with up "
    "to 4 channels, else [N,H,W]; [N,3072] and [N,12288] are N pictures in three planes; any other [H,W] is "
    "one grey picture. With --dims 3: volumes [D,H,W], [N,D,H,W] or [N,D,H,W,C]. A .npz has one array of pictures, or "
    "FILE.npz:NAME chooses; NAME may be a pattern, as '*_images'. Labels are passed over: one dimension, one column, "
    "or in a .npz as many rows as there are pictures.",
    "Other types and Fortran order: save numpy.ascontiguousarray of it as uint8 or uint16. Shapes with two "
    "readings: save 4 dimensions. Several arrays of pictures in a .npz: choose one."};
static const wf_format_text text_png = {
    "PNG", "a PNG picture", "its 8 bytes, 89 PNG ..",
    "All colour types of 1 to 16 bits. Fewer than 8 bits become 8. Palettes become RGB, with alpha if an "
    "entry is transparent; a transparent colour becomes alpha. Gamma and profiles are not applied. Turned "
    "upright by its eXIf. Of an animation, the picture that comes first, which is counted.",
    "A damaged or cut file."};
static const wf_format_text text_tfrecord = {
    "TFRecord", "a TFRecord", "a length and its masked CRC-32C",
    "Examples with features `shape`, three integers, and `data`, bytes: [C,H,W], or [H,W,C] where the first "
    "is over 4, as CelebA-HQ. Else examples with one JPEG, PNG or WebP, or one of several called `image/encoded` or "
    "`image`, as ImageNet.",
    "Examples of several pictures, none of them so called."};
static const wf_format_text text_webp = {
    "WebP", "a WebP picture", "RIFF .. WEBP",
    "Lossy and lossless, 8 bits, RGB or RGB and alpha. Turned upright by its EXIF. Of an animation, the first frame, "
    "which is counted.",
    "A damaged or cut file."};
static const wf_format_text text_sound = {
    "sound", "a sound", "RIFF, RF64 or BW64 .. WAVE, fLaC, or FORM .. AIFF",
    "WAV, FLAC and AIFF of 8 or 16 bits and 1 to 4 channels, also behind an ID3 tag. The size of the samples counts, "
    "not that of the file, which recorders leave wrong; if it is 0, samples go on to the next sound or the end. "
    "--length cuts sounds in pieces. With --bits, also samples of 24 or 32 bits and numbers of -1 to 1, of which the "
    "highest bits are taken.",
    "Samples of over 16 bits without --bits; numbers beyond -1 to 1: scale them. More than 65536 samples without "
    "--length."};
static const wf_format_text text_lmdb = {
    "LMDB", "an LMDB environment", "the magic of a meta page",
    "An environment whose values are pictures, as LSUN, in the order of the keys. Values that are text, pickles or at "
    "most 16 bytes, and those of keys such as __keys__, are passed over. The file is checked before it is mapped.",
    "An environment in a pipe or an archive; keys with several values."};
static const wf_format_text text_tar = {
    "tar", "a tar archive", "the checksum of the header",
    "An archive of pictures, in its order, also compressed. Links in it are not followed.", "A cut archive."};
static const wf_format_text text_cifar10 = {
    "CIFAR-10", "a CIFAR-10 batch", "labels of 0 to 9 at every 3073rd byte",
    "The binary version: a label byte and 32x32 pixels in three planes. Labels are dropped.",
    "A file that ends inside a record."};
static const wf_format_text text_cifar100 = {"CIFAR-100", "a CIFAR-100 batch",
                                             "labels of 0 to 19 and 0 to 99 at every 3074th byte",
                                             "As CIFAR-10, with two label bytes.",
                                             "A file that ends inside "
                                             "a record."};

static const wf_format_text *const texts[] = {
#define TEXT_READ(id, name, head, follow) &text_##id,
#define TEXT_SERIES(id, name, head, follow) &text_##id,
#define TEXT_OPEN(id, head) &text_##id,
    WF_IMAGE_FORMATS(TEXT_READ, TEXT_READ, TEXT_SERIES, TEXT_OPEN)};

const wf_format_text *wf_format_text_row(int i)
{
    return i >= 0 && (size_t)i < sizeof texts / sizeof *texts ? texts[i] : NULL;
}
