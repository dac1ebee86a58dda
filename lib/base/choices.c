/* choices.c - choices of this process in a list, those of all processes in lines of a file; see choices.h */
#include "choices.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

enum { PATH = 4096 }; /* a path of "" opens nothing */

/* Newest first, kept to the end of the process. */
static struct known {
    struct known *next;
    const char *file;
    char *value; /* behind the key */
    char key[];
} * all_known;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Without memory, the next search looks at the file again. */
static void remember(const wf_choice *c, const char *value)
{
    size_t n = strlen(c->key) + 1;
    struct known *k = malloc(sizeof *k + n + strlen(value) + 1);
    if (!k)
        return;
    k->next = all_known;
    k->file = c->file;
    k->value = k->key + n;
    strcpy(k->key, c->key);
    strcpy(k->value, value);
    all_known = k;
}

bool wf_choice_list(const char *file, wf_choice_each *each, void *user)
{
    char path[PATH], *line = NULL;
    size_t size = 0;
    bool ended = false;
    wf_cache_path(file, path, sizeof path);
    FILE *in = fopen(path, "re");
    while (in && !ended && getline(&line, &size, in) > 0) {
        char *tab = strchr(line, '\t'), *end = strchr(line, '\n');
        if (!tab || !end)
            continue; /* foreign, or written in part */
        *tab = *end = '\0';
        ended = each(user, line, tab + 1);
    }
    free(line);
    if (in)
        fclose(in);
    return ended;
}

/* Appends a line in one call: lines of several processes do not mix. */
static void append(const wf_choice *c, const char *value)
{
    char path[PATH], *line;
    int n = asprintf(&line, "%s\t%s\n", c->key, value);
    if (n < 0)
        return;
    wf_cache_path(c->file, path, sizeof path);
    int out = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (out >= 0) {
        (void)!write(out, line, (size_t)n);
        close(out);
    }
    free(line);
}

static bool take(void *user, const char *key, const char *value)
{
    const wf_choice *c = user;
    bool taken = !strcmp(key, c->key) && c->read(c->user, value);
    if (taken)
        remember(c, value);
    return taken;
}

/* Finds a choice while the caller holds the lock. */
static bool find(const wf_choice *c)
{
    for (const struct known *k = all_known; k; k = k->next)
        if (!strcmp(k->file, c->file) && !strcmp(k->key, c->key) && c->read(c->user, k->value))
            return true;
    return wf_choice_list(c->file, take, (void *)c);
}

bool wf_choice_find(const wf_choice *choice)
{
    pthread_mutex_lock(&lock);
    bool found = find(choice);
    pthread_mutex_unlock(&lock);
    return found;
}

void wf_choice_keep(const wf_choice *choice, const char *value)
{
    pthread_mutex_lock(&lock);
    append(choice, value);
    if (!find(choice) && choice->read(choice->user, value))
        remember(choice, value);
    pthread_mutex_unlock(&lock);
}
