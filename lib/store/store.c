/* store.c - the part of a store that readers and writers share: path, lock, keys, errors of LMDB */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/file.h"
#include "private.h"

int wf_store_file_begin(wf_store_file *file, const char *path, char name[4096], int status)
{
    *file = (wf_store_file){.path = strdup(path), .data = -1};
    WF_CHECK(file->path, WF_AGAIN, "%s: out of memory", path);
    WF_CHECK((size_t)snprintf(name, 4096, "%s/data.mdb", path) < 4096, status, "%s: too long a path", path);
    return WF_OK;
}

int wf_store_check_folder(const wf_store_file *file)
{
    DIR *folder = opendir(file->path);
    struct dirent *entry;
    bool others = false, store_there = false;
    if (!folder)
        return wf_fail_errno("%s", file->path);
    while ((entry = readdir(folder))) {
        store_there = store_there || !strcmp(entry->d_name, "data.mdb");
        others = others || (entry->d_name[0] != '.' && strcmp(entry->d_name, "lock.mdb") != 0);
    }
    closedir(folder);
    WF_CHECK(!others || store_there, WF_USAGE, "%s: a folder with other files in it, want an empty one for a store",
             file->path);
    return WF_OK;
}

void wf_store_remove(const char *path)
{
    static const char *const files[] = {"data.mdb", "lock.mdb"};
    char file[4096];
    for (int i = 0; i < 2; i++)
        if ((size_t)snprintf(file, sizeof file, "%s/%s", path, files[i]) < sizeof file)
            unlink(file);
    rmdir(path);
}

void wf_store_file_end(wf_store_file *file)
{
    if (file->env)
        mdb_env_close(file->env);
    if (file->data >= 0)
        close(file->data); /* releases the lock, so after the environment */
    wf_meta_clear(&file->state.meta);
    free(file->path);
}

void wf_level_name(int level, char name[16])
{
    snprintf(name, 16, "level-%02d", level);
}

MDB_val wf_store_key(uint64_t index, unsigned char bytes[8])
{
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(index >> (56 - 8 * i));
    return (MDB_val){8, bytes};
}

int wf_store_index(const wf_store_file *file, MDB_val key, uint64_t *out)
{
    WF_CHECK(key.mv_size == 8, WF_DATA, "%s: a key of %zu bytes, want 8", file->path, key.mv_size);
    uint64_t index = 0;
    for (int i = 0; i < 8; i++)
        index = index << 8 | ((const unsigned char *)key.mv_data)[i];
    *out = index;
    return WF_OK;
}

int wf_fail_lmdb(const wf_store_file *file, int rc, const char *what)
{
    switch (rc) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
    case MDB_CURSOR_FULL:
    case MDB_BAD_VALSIZE:
        return wf_fail(WF_DATA, "%s: %s: %s", file->path, what, mdb_strerror(rc));
    case MDB_MAP_FULL:
        return wf_fail(WF_AGAIN, "%s: %s: no address space to grow", file->path, what);
    }
    if (rc < 0)
        return wf_fail(WF_INTERNAL, "%s: %s: %s", file->path, what, mdb_strerror(rc));
    char name[512];
    snprintf(name, sizeof name, "%s: %s", file->path, what);
    errno = rc;
    return wf_fail_write(name);
}
