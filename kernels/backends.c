/* backends.c - the table of backends, and the loader of the CUDA plugin */
#include "backend.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The symbol in libwf-cuda.so: opens card number `device`. */
typedef int cuda_open(int device, int threads, wf_backend **out);

static const char plugin_name[] = "libwf-cuda.so";

/* Finds the plugin installed or built with the running program: /usr/bin and /usr/lib, bin/ and build/, both in build/
 * as for the tests, or build-dist/bin and build-dist. */
static bool own_plugin(char path[PATH_MAX])
{
    static const char *const folders[] = {"../lib", "../build", ".", ".."};
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0)
        return false;
    program[n] = '\0';
    char *slash = strrchr(program, '/');
    if (!slash)
        return false;
    *slash = '\0';
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (snprintf(path, PATH_MAX, "%s/%s/%s", program, folders[i], plugin_name) < PATH_MAX &&
            access(path, F_OK) == 0)
            return true;
    return false;
}

/* Loads the plugin once and never unloads it, since CUDA does not survive that. WF_USAGE if the plugin or a library
 * that it needs is missing, as on a machine without a card. WF_INTERNAL if the plugin is present and does not load. */
static int load_cuda(cuda_open **open)
{
    char path[PATH_MAX];
    bool own = own_plugin(path);
    void *plugin = dlopen(own ? path : plugin_name, RTLD_NOW | RTLD_LOCAL);
    if (!plugin) {
        const char *why = dlerror();
        WF_CHECK(own || (why && strncmp(why, plugin_name, sizeof plugin_name - 1)), WF_USAGE,
                 "cuda: not built (%s not found)", plugin_name);
        bool missing = why && strstr(why, "cannot open shared object file: No such file");
        return wf_fail(missing ? WF_USAGE : WF_INTERNAL, "cuda: %s", why ? why : "the plugin does not load");
    }
    void *symbol = dlsym(plugin, "wf_cuda_open");
    WF_CHECK(symbol, WF_INTERNAL, "cuda: no wf_cuda_open in %s", plugin_name);
    memcpy(open, &symbol, sizeof symbol); /* C has no cast from object to function pointer */
    return WF_OK;
}

static int open_cuda(int device, int threads, wf_backend **out)
{
    cuda_open *open;
    WF_TRY(load_cuda(&open));
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

int wf_backend_open(const char *spec, int threads, wf_backend **out)
{
    *out = NULL;
    WF_CHECK(threads >= 0, WF_USAGE, "threads: %d, expected 0 (all) or more", threads);
    if (!strcmp(spec, "auto")) {
        int status = open_cuda(0, threads, out);
        return status == WF_USAGE ? wf_cpu_open(threads, out) : status;
    }
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
        size_t prefix = strlen(rows[i].name);
        const char *why = wf_error();
        bool named = !strncmp(why, rows[i].name, prefix) && !strncmp(why + prefix, ": ", 2);
        snprintf(text, 256, "%s", named ? why + prefix + 2 : why);
        return true;
    }
    snprintf(text, 256, "%s", b->device);
    b->close(b);
    return true;
}
