/* json.c - leaves jansson at the first call for memory that fails */
#include "json.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>

static pthread_once_t watched = PTHREAD_ONCE_INIT;
static _Thread_local jmp_buf *way_out; /* NULL: jansson is told, as usual */

static void *allocate(size_t n)
{
    void *memory = malloc(n);
    if (!memory && way_out)
        longjmp(*way_out, 1);
    return memory;
}

static void watch_memory(void)
{
    json_malloc_t get;
    json_free_t drop;
    json_get_alloc_funcs(&get, &drop);
    if (get == malloc && drop == free)
        json_set_alloc_funcs(allocate, free);
}

/* Parses the text, or the file if that is not NULL. */
static json_t *parse(const char *text, size_t n, FILE *file, json_error_t *error)
{
    jmp_buf here;
    pthread_once(&watched, watch_memory);
    if (setjmp(here)) {
        way_out = NULL;
        errno = ENOMEM;
        return NULL;
    }
    way_out = &here;
    errno = 0;
    json_t *root =
        file ? json_loadf(file, JSON_REJECT_DUPLICATES, error) : json_loadb(text, n, JSON_REJECT_DUPLICATES, error);
    way_out = NULL;
    return root;
}

char *wf_json_text(const json_t *value, size_t flags)
{
    jmp_buf here;
    pthread_once(&watched, watch_memory);
    if (setjmp(here)) {
        way_out = NULL;
        errno = ENOMEM;
        return NULL;
    }
    way_out = &here;
    char *text = json_dumps(value, flags);
    way_out = NULL;
    return text;
}

json_t *wf_json_parse(const char *text, size_t n, json_error_t *error)
{
    return parse(text, n, NULL, error);
}

json_t *wf_json_parse_file(FILE *file, json_error_t *error)
{
    return parse(NULL, 0, file, error);
}
