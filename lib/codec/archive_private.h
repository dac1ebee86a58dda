/* archive_private.h - private to lib/codec: marks of an archive, and bytes that grow */
#ifndef WF_ARCHIVE_PRIVATE_H
#define WF_ARCHIVE_PRIVATE_H

#include "archive.h"

enum { WF_MARK = 8, WF_ARCHIVE_VERSION = 2, WF_VARINT = 10 };
extern const uint8_t wf_archive_mark[WF_MARK], wf_archive_end[WF_MARK];

/* Zero-initialize; the owner frees `bytes`. */
typedef struct wf_bytes {
    uint8_t *bytes;
    size_t n, room;
} wf_bytes;

int wf_bytes_add(wf_bytes *to, const void *from, size_t n) WF_MUST;
/* Adds the lowest `n` bytes of a number, lowest first. */
int wf_bytes_add_number(wf_bytes *to, uint64_t number, int n) WF_MUST;
int wf_bytes_add_varint(wf_bytes *to, uint64_t number) WF_MUST;
uint64_t wf_bytes_number(const uint8_t *bytes, int n);

/* The header of an archive by this packer, and hashes as the file has them. */
int wf_archive_header(const wf_packer *packer, wf_bytes *out) WF_MUST;
uint16_t wf_archive_name_hash(const char *name);
/* The hash of all records, after one more with the hash `record`. */
uint64_t wf_archive_chain(uint64_t all, uint64_t record);
/* Adds an entry of the index: bytes of a record, and its sides unless they are those before. */
int wf_archive_entry(wf_bytes *index, uint64_t bytes, bool same, const wf_packed *packed) WF_MUST;
uint64_t wf_archive_hash(const void *bytes, size_t n, uint64_t seed);

#endif
