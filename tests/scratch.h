/* scratch.h - a scratch folder for one test, and whole files as bytes */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch[256];

__attribute__((unused)) static void scratch_make(void)
{
    const char *base = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%s/wf-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(scratch)) {
        perror(scratch);
        abort();
    }
}

__attribute__((unused)) static void scratch_remove(void)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", scratch);
    if (system(command))
        perror(command);
}

/* Path of `name` in the folder; valid until the fourth call after this one. */
__attribute__((unused)) static const char *scratch_path(const char *name)
{
    static char paths[4][512];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, 512, "%s/%s", scratch, name);
    return path;
}

__attribute__((unused)) static char *scratch_read(const char *path, size_t *n)
{
    *n = 0;
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    char *bytes = NULL;
    size_t got = 1;
    while (got) {
        bytes = realloc(bytes, *n + 65536);
        got = bytes ? fread(bytes + *n, 1, 65536, file) : 0;
        *n += got;
    }
    fclose(file);
    return bytes;
}

__attribute__((unused)) static void scratch_write(const char *path, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, n, file) != n || fclose(file))
        perror(path);
}

#endif
