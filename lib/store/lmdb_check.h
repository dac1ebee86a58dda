/* lmdb_check.h - checks that liblmdb can read a file without crashing
 *
 * LMDB has no checksums, maps its file, and follows page numbers and offsets without checking them. A cut-off file
 * leads to a SIGBUS, a flipped bit to a SIGSEGV or an abort. So the file is checked with plain reads before it is
 * mapped. */
#ifndef WF_LMDB_CHECK_H
#define WF_LMDB_CHECK_H

#include <stdint.h>

#include "../base/linkage.h"
#include "../base/status.h"

WF_BEGIN

typedef struct wf_lmdb_info {
    uint64_t page_size; /* bytes */
    uint64_t bytes;     /* size that the map needs: pages in use times page_size */
} wf_lmdb_info;

/* Checks every page that the newest snapshot of the file behind `descriptor` reaches: reads all branch and leaf pages,
 * and the first 16 bytes of each value that has pages of its own. The contents of values are not checked. No other
 * process may write the file meanwhile. WF_DATA names the page and the damage. Databases with duplicate keys
 * (MDB_DUPSORT) are refused. */
int wf_lmdb_check(int descriptor, const char *name, wf_lmdb_info *info) WF_MUST;

WF_END

#endif
