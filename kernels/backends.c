/* backends.c - the table of backends */
#include "backend.h"
#include "card.h"
#include "plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int open_cuda(int device, int threads, wf_backend **out)
{
    wf_cuda_opener *open;
    bool built;
    WF_TRY(wf_plugin_load(&open, &built));
    return open(device, threads, out);
}

static int open_cpu(int device, int threads, wf_backend **out)
{
    (void)device;
    return wf_cpu_open(threads, out);
}

static int open_ref(int device, int threads, wf_backend **out)
{
    (void)device;
    return wf_ref_open(threads, out);
}

static const struct row {
    const char *name;
    int (*open)(int device, int threads, wf_backend **out);
    bool numbered; /* name:N picks a device */
} rows[] = {
    {"cpu", open_cpu, false},
    {"cuda", open_cuda, true},
    {"ref", open_ref, false},
};

enum { ROWS = sizeof rows / sizeof *rows };

/* Tests whether spec names this row; *device is then its number, 0 if none was given. */
static bool names(const char *spec, const struct row *row, int *device)
{
    size_t n = strlen(row->name);
    *device = 0;
    if (strncmp(spec, row->name, n))
        return false;
    if (spec[n] == '\0')
        return true;
    if (!row->numbered || spec[n] != ':' || spec[n + 1] < '0' || spec[n + 1] > '9')
        return false;
    char *end;
    long number = strtol(spec + n + 1, &end, 10);
    *device = (int)number;
    return *end == '\0' && number <= 1023;
}

/* Removes "NAME: " from the front of a message. */
static const char *without_name(const char *message, const char *name)
{
    size_t n = strlen(name);
    return strncmp(message, name, n) || strncmp(message + n, ": ", 2) ? message : message + n + 2;
}

/* Opens the first card, else the CPU. A card that is there and does not work gives the CPU a reason for users. A card
 * whose memory or time another process has gives WF_AGAIN: it works, and hours on the CPU would surprise. */
static int open_auto(int threads, wf_backend **out)
{
    wf_card card;
    wf_cuda_opener *open;
    bool built;
    char why[240];
    if (wf_card_hidden() || !wf_card_find(&card))
        return wf_cpu_open(threads, out);
    int status = wf_plugin_load(&open, &built);
    if (!status)
        status = open(0, threads, out);
    if (!status)
        return WF_OK;
    WF_CHECK(status != WF_AGAIN, WF_AGAIN, "%s; --backend cpu computes without the card", wf_error());
    snprintf(why, sizeof why, "%s", without_name(wf_error(), "cuda"));
    WF_TRY(wf_cpu_open(threads, out));
    if (built)
        snprintf((*out)->fallback, sizeof(*out)->fallback, "a card is there (%s), but CUDA does not start: %s",
                 card.name, why);
    else if (card.node)
        snprintf((*out)->fallback, sizeof(*out)->fallback,
                 "a card is there (%s), but the CUDA backend is not built: install CUDA and cuDNN, then run make",
                 card.name);
    return WF_OK;
}

int wf_backend_open(const char *spec, int threads, wf_backend **out)
{
    *out = NULL;
    WF_CHECK(threads >= 0, WF_USAGE, "threads: %d, expected 0 (all) or more", threads);
    if (!strcmp(spec, "auto"))
        return open_auto(threads, out);
    for (int i = 0; i < ROWS; i++) {
        int device;
        if (names(spec, &rows[i], &device))
            return rows[i].open(device, threads, out);
    }
    return wf_fail(WF_USAGE, "unknown backend '%s', expected auto, cpu, cuda, cuda:N or ref", spec);
}

bool wf_backend_describe(int i, const char **name, char text[256])
{
    if (i < 0 || i >= ROWS)
        return false;
    wf_backend *b;
    *name = rows[i].name;
    if (rows[i].open(0, 0, &b)) {
        snprintf(text, 256, "%s", without_name(wf_error(), rows[i].name));
        return true;
    }
    snprintf(text, 256, "%s", b->device);
    b->close(b);
    return true;
}
