/* archive.h - packed pictures in one file, .wfp, that is written and read as a stream or by name
 *
 *     header   24 bytes: 8 bytes 89 'W' 'F' 'P' 0D 0A 1A 0A | u8 version 2 | u8 channels | u8 bits | u8 halvings |
 *              u64 hash of the model | u32 hash of these bytes
 *     picture  varint 1 + 2 bytes of the name + same | name | unless `same`: varint H, varint W |
 *              varint bytes of code | code | u16 hash of this record, its seed the picture's number from 0
 *     index    varint 0 | varint pictures | an entry for each | u64 hash of all records | u64 hash of the index |
 *              u64 bytes of the index and this end | 8 bytes 0D 0A 'W' 'F' 'P' 1A 0A 89
 *     entry    varint 2 bytes of the record + differs | if `differs`: varint H, varint W | u16 hash of the name
 *
 * `same`: the sides are those of the picture before. `differs` is the opposite, and 1 for the first picture.
 *
 * A picture among others of its size costs, beside its name:
 *
 *     1 length of the name and `same` (2 from 63 bytes on)    1 to 3 length of the code
 *     2 hash of the record                                    1 to 3 length of the record, in the index
 *     2 hash of the name, in the index                        4.1 on average of the code: the coder's state, in which
 *                                                             31 bits are a hash of pixels, sides and name (packer.h)
 *
 * which is 13 bytes for a code of 128 to 8000. Another size costs 4 to 12 more.
 *
 * Numbers have the lowest byte first. A varint has 7 bits a byte, lowest first, and bit 7 set in all bytes but the
 * last. Hashes are XXH3 of 64 bits, or their lowest 32 or 16. The hash of the model is that of the hashes of level
 * 0 .. n, 8 bytes each (wf_packer_hash). The hash of all records begins as that of the 24 bytes of the header. After
 * each record it is that of the 8 bytes of the record's hash, with the hash so far as the seed.
 *
 * Everything is read with a hash, so a damaged file gives WF_DATA. Memory is that of one picture; a writer, and a
 * reader by name, also hold the index, 3 to 7 bytes a picture, and more where sizes differ. */
#ifndef WF_ARCHIVE_H
#define WF_ARCHIVE_H

#include <stdio.h>

#include "packer.h"

WF_BEGIN

enum { WF_ARCHIVE_NAME = 4096 }; /* bytes of a name at most */

/* A packed picture. code, name: owned; name "": it has none. */
typedef struct wf_packed {
    char *name;
    int H, W;
    uint8_t *code;
    size_t n;
    int64_t number, bytes; /* in the archive: from 0; of its record */
} wf_packed;
void wf_packed_clear(wf_packed *packed);

/* Packs a picture for an archive. */
int wf_packed_make(const wf_packer *packer, wf_packer_work *work, const wf_image *image, const char *name,
                   wf_packed *out) WF_MUST;
/* Unpacks it. WF_DATA: the code is not that of the picture. */
int wf_packed_image(const wf_packer *packer, wf_packer_work *work, const wf_packed *packed, wf_image *image) WF_MUST;

typedef struct wf_archive_writer wf_archive_writer;

/* Begins an archive in `file`, which is borrowed and called `name` in messages. */
int wf_archive_create(FILE *file, const char *name, const wf_packer *packer, wf_archive_writer **out) WF_MUST;
int wf_archive_put(wf_archive_writer *writer, const wf_packed *packed) WF_MUST;
/* Writes the index. *bytes: of the whole archive. */
int wf_archive_finish(wf_archive_writer *writer, int64_t *bytes) WF_MUST;
void wf_archive_writer_destroy(wf_archive_writer *writer); /* NULL is allowed */

typedef struct wf_archive wf_archive;

/* Begins to read an archive from `file`, which is borrowed. packer NULL: of any model, for readers that do not unpack.
 * WF_DATA: not an archive, damaged, or of another model. */
int wf_archive_open(FILE *file, const char *name, const wf_packer *packer, wf_archive **out) WF_MUST;
int wf_archive_channels(const wf_archive *archive);
int wf_archive_bits(const wf_archive *archive); /* a sample */
/* From now on only pictures of these names come, in the archive's order; they are found by the index if the file can
 * seek. Names are borrowed; found [count] is set as pictures come. */
int wf_archive_choose(wf_archive *archive, char *const *names, int count, bool *found) WF_MUST;
/* Reads the next picture into *out. *more = false at the end, when the index was read and compared, too. */
int wf_archive_next(wf_archive *archive, wf_packed *out, bool *more) WF_MUST;
void wf_archive_close(wf_archive *archive); /* NULL is allowed */

WF_END

#endif
