/* file.c - complete files, locks and folders; see file.h */
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct wf_outfile {
    FILE *stream;
    char *path;
    char *temporary;
    struct place *place; /* NULL: none was free */
};

int wf_fail_write(const char *name)
{
    bool limited = errno == EFBIG; /* a limit on file sizes is to the user what a full disk is */
    int status = wf_fail_errno("%s: cannot write", name);
    return limited ? WF_AGAIN : status == WF_NOINPUT ? WF_IO : status;
}

int wf_flush(FILE *file, const char *name)
{
    errno = 0;
    if (fflush(file))
        return wf_fail_write(name);
    WF_CHECK(!ferror(file), WF_IO, "%s: an earlier write failed", name);
    return WF_OK;
}

int wf_close(FILE *file, const char *name)
{
    int status = wf_flush(file, name);
    if (fclose(file) && !status)
        status = wf_fail_write(name);
    return status;
}

/* -- complete files ------------------------------------------------------------------------------------------------ */

/* Names of temporary files, where a signal handler finds them: in memory that is never freed. */
static struct place {
    atomic_bool taken, there; /* there: `path` is that of a temporary file */
    char path[4096];
} places[32];

static void remember(wf_outfile *file)
{
    size_t count = sizeof places / sizeof *places;
    for (struct place *p = places; p < places + count && strlen(file->temporary) < sizeof p->path; p++)
        if (!atomic_exchange(&p->taken, true)) {
            strcpy(p->path, file->temporary);
            p->there = true;
            file->place = p;
            return;
        }
}

static void forget(wf_outfile *file)
{
    if (!file->place)
        return;
    file->place->there = false;
    file->place->taken = false;
}

void wf_outfiles_unlink(void)
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (places[i].there)
            unlink(places[i].path);
}

static void free_outfile(wf_outfile *file)
{
    forget(file);
    free(file->temporary);
    free(file->path);
    free(file);
}

/* Creates the temporary file. mkstemp would ignore the umask and make the file private to its owner. */
static int open_temporary(wf_outfile *file)
{
    for (int attempt = 0; attempt < 100; attempt++) {
        uint64_t word;
        if (getrandom(&word, sizeof word, 0) != (ssize_t)sizeof word)
            return wf_fail_errno("%s: no random name", file->path);
        free(file->temporary);
        if (asprintf(&file->temporary, "%s.%016llx.tmp", file->path, (unsigned long long)word) < 0) {
            file->temporary = NULL;
            return wf_fail(WF_AGAIN, "%s: out of memory", file->path);
        }
        int descriptor = open(file->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor < 0 && errno == EEXIST)
            continue;
        if (descriptor < 0)
            return wf_fail_write(file->path);
        file->stream = fdopen(descriptor, "w+");
        if (file->stream) {
            remember(file);
            return WF_OK;
        }
        int status = wf_fail_write(file->path);
        close(descriptor);
        unlink(file->temporary);
        return status;
    }
    return wf_fail(WF_IO, "%s: found no free name for a temporary file in its folder", file->path);
}

int wf_outfile_create(const char *path, wf_outfile **out)
{
    struct stat info;
    WF_CHECK(*path, WF_USAGE, "found no name, expected that of a file");
    /* The rename in commit would replace a device or pipe by a plain file. */
    WF_CHECK(stat(path, &info) || S_ISREG(info.st_mode), WF_USAGE, "%s: not a regular file, want one or nothing there",
             path);
    wf_outfile *file = calloc(1, sizeof *file);
    WF_CHECK(file, WF_AGAIN, "%s: out of memory", path);
    int status = WF_OK;
    file->path = strdup(path);
    if (!file->path)
        WF_GO(wf_fail(WF_AGAIN, "%s: out of memory", path));
    WF_GO(open_temporary(file));
    *out = file;
    return WF_OK;
out:
    free_outfile(file);
    return status;
}

FILE *wf_outfile_stream(wf_outfile *file)
{
    return file->stream;
}

/* Syncs the folder of `path`: a rename survives a crash only after that. */
static int sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = !slash ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
    WF_CHECK(folder, WF_AGAIN, "%s: out of memory", path);
    int status = WF_OK;
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* EINVAL: some network file systems cannot sync folders */
    if (descriptor < 0 || (fsync(descriptor) && errno != EINVAL))
        status = wf_fail_write(folder);
    if (descriptor >= 0)
        close(descriptor);
    free(folder);
    return status;
}

int wf_outfile_commit(wf_outfile *file)
{
    int status = wf_flush(file->stream, file->path);
    if (!status && fsync(fileno(file->stream)))
        status = wf_fail_write(file->path);
    if (fclose(file->stream) && !status)
        status = wf_fail_write(file->path);
    if (!status && rename(file->temporary, file->path))
        status = wf_fail_write(file->path);
    if (status)
        unlink(file->temporary);
    else
        status = sync_folder_of(file->path);
    free_outfile(file);
    return status;
}

void wf_outfile_abort(wf_outfile *file)
{
    if (!file)
        return;
    fclose(file->stream); /* the contents are discarded, so a failure does not matter */
    unlink(file->temporary);
    free_outfile(file);
}

/* -- locks and folders --------------------------------------------------------------------------------------------- */

int wf_save_copy(FILE *temporary, const char *path)
{
    char part[65536];
    wf_outfile *file = NULL;
    int status = fflush(temporary) || fseek(temporary, 0, SEEK_SET) ? wf_fail_write(path) : WF_OK;
    if (!status)
        status = wf_outfile_create(path, &file);
    for (size_t n; !status && (n = fread(part, 1, sizeof part, temporary)) > 0;)
        if (fwrite(part, 1, n, wf_outfile_stream(file)) < n)
            status = wf_fail_write(path);
    if (!status && ferror(temporary))
        status = wf_fail_errno("temporary file for %s", path);
    fclose(temporary);
    if (status)
        wf_outfile_abort(file);
    return status ? status : wf_outfile_commit(file);
}

void wf_sweep(const char *folder, const char *prefix)
{
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        size_t n = strlen(entry->d_name);
        if (!strncmp(entry->d_name, prefix, strlen(prefix)) && n > 4 && !strcmp(entry->d_name + n - 4, ".tmp"))
            unlinkat(dirfd(entries), entry->d_name, 0);
    }
    if (entries)
        closedir(entries);
}

int wf_lock(const char *path, const char *who, int *descriptor)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return wf_fail_write(path);
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        int status = errno == EWOULDBLOCK ? wf_fail(WF_AGAIN, "%s: locked by another %s", path, who)
                                          : wf_fail_errno("%s: cannot lock", path);
        close(fd);
        return status;
    }
    *descriptor = fd;
    return WF_OK;
}

void wf_unlock(int descriptor)
{
    close(descriptor);
}

static int make_folder(const char *path, mode_t mode)
{
    struct stat info;
    if (!mkdir(path, mode))
        return WF_OK;
    int reason = errno;
    bool there = !stat(path, &info);
    if (there && S_ISDIR(info.st_mode))
        return WF_OK;
    WF_CHECK(!there, WF_USAGE, "%s: is a file, want a folder or nothing", path);
    errno = reason;
    return wf_fail_write(path);
}

bool wf_program_prefix(char *out, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", out, size - 1);
    out[n < 0 ? 0 : n] = '\0';
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(out, '/');
        if (!slash)
            return false;
        *slash = '\0';
    }
    return true;
}

bool wf_is_folder(const char *path)
{
    struct stat info;
    return !stat(path, &info) && S_ISDIR(info.st_mode);
}

static int make_folders(const char *path, mode_t mode)
{
    char *copy = strdup(path);
    WF_CHECK(copy, WF_AGAIN, "%s: out of memory", path);
    int status = WF_OK;
    for (char *p = copy + 1; *copy && *p && !status; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        status = make_folder(copy, mode);
        *p = '/';
    }
    if (!status)
        status = make_folder(copy, mode);
    free(copy);
    return status;
}

int wf_mkdirs(const char *path)
{
    WF_CHECK(*path, WF_USAGE, "found no name, expected that of a folder");
    return make_folders(path, 0777);
}

void wf_cache_path(const char *name, char *out, size_t size)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    bool named = cache && *cache;
    int folder = -1;
    if (named)
        folder = snprintf(out, size, "%s", cache);
    else if (home && *home && wf_is_folder(home))
        folder = snprintf(out, size, "%s/.cache", home);
    if (folder < 0 || (size_t)folder + strlen(name) + 2 > size) {
        out[0] = '\0';
        return;
    }
    (void)!make_folders(out, 0700);
    snprintf(out + folder, size - (size_t)folder, "/%s", name);
}
