/* job.c - reads, compares and writes what a folder of wf-train was begun with */
#include "job.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/base/file.h"

enum { PATH_SIZE = 4096 };

static void name_file(const char *folder, const char *name, char out[PATH_SIZE])
{
    if (snprintf(out, PATH_SIZE, "%s/%s", folder, name) >= PATH_SIZE)
        die(WF_USAGE, "-o %s: path too long", folder);
}

char *job_absolute(const char *path)
{
    char folder[PATH_SIZE];
    if (*path != '/' && !getcwd(folder, sizeof folder))
        must(wf_fail_errno("%s: cannot read the name of the current folder", path));
    char *out = must_allocate(strlen(path) + sizeof folder + 2, 1, path);
    sprintf(out, *path == '/' ? "%s%s" : "%s/%s", *path == '/' ? "" : folder, path);
    return out;
}

/* Strings of a file, each with a zero byte; NULL: there is no such file. The caller frees them and the list. */
static char **read_strings(const char *folder, const char *name, int *count)
{
    char path[PATH_SIZE], *line = NULL, **list = must_allocate(1, sizeof *list, name);
    size_t room = 0;
    name_file(folder, name, path);
    *count = 0;
    FILE *file = fopen(path, "r");
    if (!file && errno != ENOENT && errno != ENOTDIR)
        must(wf_fail_errno("%s", path));
    while (file && getdelim(&line, &room, '\0', file) >= 0) {
        list = realloc(list, ((size_t)*count + 2) * sizeof *list);
        if (!list || !(list[*count] = strdup(line)))
            die(WF_AGAIN, "out of memory for %s", path);
        list[++*count] = NULL;
    }
    free(line);
    if (file && ferror(file))
        must(wf_fail_errno("%s", path));
    if (file)
        fclose(file);
    return list;
}

static void free_strings(char **list, int count)
{
    for (int i = 0; i < count; i++)
        free(list[i]);
    free(list);
}

void job_write(const char *folder, const char *name, char *const *strings, int n)
{
    char path[PATH_SIZE];
    wf_outfile *out;
    name_file(folder, name, path);
    must(wf_outfile_create(path, &out));
    for (int i = 0; i < n; i++)
        fwrite(strings[i], 1, strlen(strings[i]) + 1, wf_outfile_stream(out));
    must(wf_outfile_commit(out));
}

static bool has_trained(const char *folder)
{
    char path[PATH_SIZE], *escaped = must_allocate(2 * strlen(folder) + 1, 1, folder), *to = escaped;
    glob_t found;
    for (const char *p = folder; *p; *to++ = *p++)
        if (strchr("*?[\\", *p))
            *to++ = '\\';
    name_file(escaped, "model/level-*.safetensors", path); /* weights, or the state of a training */
    bool some = !glob(path, GLOB_NOSORT, NULL, &found);
    globfree(&found);
    free(escaped);
    return some;
}

/* Refuses a folder with files that are not of wf-train. A command that found no room has left a lock alone. */
static void expect_own(const char *folder)
{
    DIR *files = opendir(folder);
    if (!files && errno == ENOTDIR)
        die(WF_USAGE, "-o %s: a file, expected a folder or a new name", folder);
    if (!files && errno != ENOENT)
        must(wf_fail_errno("-o %s", folder));
    for (const struct dirent *entry; files && (entry = readdir(files));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && strcmp(entry->d_name, "lock") != 0)
            die(WF_USAGE, "-o %s: has files of another program, such as %s; expected a new folder", folder,
                entry->d_name);
    if (files)
        closedir(files);
}

/* Appends to a list of differences. */
static void add_difference(char list[1024], const char *name, const char *before, const char *now)
{
    size_t used = strlen(list);
    snprintf(list + used, 1024 - used, "%s%s was %.200s, now %.200s", used ? "; " : "", name,
             *before ? before : "not given", *now ? now : "not given");
}

/* The value that `strings` of the form KEY=VALUE have for a key, or NULL. */
static const char *find(char *const *strings, int count, const char *key)
{
    size_t n = strlen(key);
    for (int i = 0; i < count; i++)
        if (!strncmp(strings[i], key, n) && strings[i][n] == '=')
            return strings[i] + n + 1;
    return NULL;
}

static void settle_pictures(train_job *job, char list[1024])
{
    int count;
    char **before = read_strings(job->folder, "pictures", &count), text[2][128];
    if (job->begun && !job->count) {
        job->pictures = before;
        job->count = count;
        return;
    }
    bool same = count == job->count;
    for (int i = 0; same && i < count; i++)
        same = !strcmp(before[i], job->pictures[i]);
    for (int k = 0; k < 2 && job->begun && !same && count; k++) {
        char **names = k ? job->pictures : before;
        int n = k ? job->count : count, at = snprintf(text[k], 128, "%.90s", names[0]);
        if (n > 1)
            snprintf(text[k] + at, 128 - (size_t)at, " and %d more", n - 1);
    }
    if (job->begun && !same && count)
        add_difference(list, "PICTURES", text[0], text[1]);
    free_strings(before, count);
}

void job_settle(train_job *job)
{
    char list[1024] = "";
    int count;
    char **strings = read_strings(job->folder, "settings", &count);
    if (!count)
        expect_own(job->folder);
    job->begun = has_trained(job->folder);
    settle_pictures(job, list);
    for (job_setting *s = job->settings; s->key; s++) {
        char name[32];
        const char *before = job->begun ? find(strings, count, s->key) : NULL;
        const char *now = s->given ? s->given : before ? before : s->usual;
        s->value = strdup(now);
        if (!s->value)
            die(WF_AGAIN, "out of memory for settings");
        snprintf(name, sizeof name, "--%s", s->key);
        if (before && strcmp(before, now) != 0 && !s->may_change)
            add_difference(list, name, before, now);
    }
    free_strings(strings, count);
    if (*list)
        die(WF_DATA, "%s: %s; use another -o, with --init %s to go on from its weights", job->folder, list,
            job->folder);
}

const char *job_value(const train_job *job, const char *key)
{
    const job_setting *s = job->settings;
    while (strcmp(s->key, key) != 0)
        s++;
    return s->value;
}

void job_save(const train_job *job)
{
    char path[PATH_SIZE], *strings[32];
    int n = 0;
    must(wf_mkdirs(job->folder));
    for (const job_setting *s = job->settings; s->key; s++, n++)
        if (asprintf(&strings[n], "%s=%s", s->key, s->value) < 0)
            die(WF_AGAIN, "out of memory for settings");
    name_file(job->folder, "model/wf.json", path);
    if (!job->begun)
        unlink(path);
    job_write(job->folder, "settings", strings, n);
    job_write(job->folder, "pictures", job->pictures, job->count);
    while (n)
        free(strings[--n]);
}
