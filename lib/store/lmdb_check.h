/* lmdb_check.h - is this file an LMDB environment that liblmdb can read without crashing?
 *
 * LMDB has no checksums, maps its file and follows the page numbers and offsets in it unchecked: a cut-off file is a
 * SIGBUS, a flipped bit a SIGSEGV or an abort. So the file is judged before it is mapped, with plain reads. */
#ifndef WF_LMDB_CHECK_H
#define WF_LMDB_CHECK_H

#include <stdint.h>

#include "../base/linkage.h"
#include "../base/status.h"

WF_BEGIN

typedef struct wf_lmdb_info {
    uint64_t page_size; /* bytes */
    uint64_t bytes;     /* that the map must hold: pages in use times page_size */
} wf_lmdb_info;

/* Walks every page that the newest snapshot of the file behind `descriptor` reaches. Not for files that another process
 * is writing. Reads all branch and leaf pages and the first 16 bytes of each value that has pages of its own; what the
 * values hold is not looked at. WF_DATA names the page and what is wrong with it. Databases with duplicate keys
 * (MDB_DUPSORT) are refused. */
int wf_lmdb_check(int descriptor, const char *name, wf_lmdb_info *info) WF_MUST;

WF_END

#endif
