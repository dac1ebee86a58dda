/* plugin.c - finds the CUDA plugin, and the libraries of CUDA that the loader does not find
 *
 * The loader compares the names that a library needs with the names of those already loaded, whatever their folders
 * (ld.so(8)). So a missing library is loaded by its path, and the plugin then loads. cuDNN finds its own parts beside
 * itself. */
#include "plugin.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/base/beside.h"
#include "../lib/base/choices.h"

enum { MOST_LIBRARIES = 8, MOST_LINKS = 8 };

static const char plugin_name[] = "libwf-cuda.so";

/* The plugin calls these in the program. The linker takes from libwf.a only files with a symbol that is named. */
__attribute__((used)) static void (*const called[])(void) = {(void (*)(void))wf_fail, (void (*)(void))wf_choice_find,
                                                             (void (*)(void))wf_choice_keep};

/* Copies the next folder of a list like PATH. Returns its rest, or NULL after the last one. */
static const char *next_folder(const char *list, char folder[PATH_MAX])
{
    size_t n = list ? strcspn(list, ":") : 0;
    if (!list)
        return NULL;
    snprintf(folder, PATH_MAX, "%.*s", n < PATH_MAX ? (int)n : 0, list);
    return list[n] ? list + n + 1 : "";
}

static _Thread_local char refusal[256]; /* why the last library that is there does not load; "": none was there */

/* Loads a library by its path. It stays loaded. */
static bool load(const char *path)
{
    if (access(path, F_OK) != 0)
        return false;
    if (dlopen(path, RTLD_NOW | RTLD_LOCAL))
        return true;
    const char *why = dlerror();
    snprintf(refusal, sizeof refusal, "%.255s", why ? why : path);
    return false;
}

static bool load_from_list(const char *list, const char *library)
{
    char folder[PATH_MAX], path[PATH_MAX];
    while (list && *list) {
        list = next_folder(list, folder);
        if (*folder && snprintf(path, sizeof path, "%s/%s", folder, library) < PATH_MAX && load(path))
            return true;
    }
    return false;
}

/* Loads nvidia/NAME/lib/LIBRARY of the packages of a Python in the folder `bin`: pip's and Debian's two. */
static bool load_from_packages(const char *bin, const char *library)
{
    static const char *const roots[] = {"lib", "local/lib"};
    bool loaded = false;
    for (size_t i = 0; i < sizeof roots / sizeof *roots && !loaded; i++) {
        char pattern[PATH_MAX];
        glob_t found = {0};
        if (snprintf(pattern, sizeof pattern, "%s/../%s/python3*/*-packages/nvidia/*/lib/%s", bin, roots[i], library) <
                PATH_MAX &&
            !glob(pattern, 0, NULL, &found))
            for (size_t k = 0; k < found.gl_pathc && !loaded; k++)
                loaded = load(found.gl_pathv[k]);
        globfree(&found);
    }
    return loaded;
}

/* Finds the first python3 on PATH. */
static bool find_python(char python[PATH_MAX])
{
    char folder[PATH_MAX];
    const char *list = getenv("PATH");
    while (list && *list) {
        list = next_folder(list, folder);
        if (snprintf(python, PATH_MAX, "%s/python3", *folder ? folder : ".") < PATH_MAX && access(python, X_OK) == 0)
            return true;
    }
    return false;
}

/* Replaces a symbolic link by what it points to. Returns false for anything else. */
static bool follow(char path[PATH_MAX])
{
    char to[PATH_MAX], joined[PATH_MAX];
    ssize_t n = readlink(path, to, sizeof to - 1);
    if (n <= 0)
        return false;
    to[n] = '\0';
    const char *slash = strrchr(path, '/');
    int folder = *to == '/' || !slash ? 0 : (int)(slash + 1 - path);
    return snprintf(joined, sizeof joined, "%.*s%s", folder, path, to) < PATH_MAX &&
           snprintf(path, PATH_MAX, "%s", joined) < PATH_MAX;
}

/* A virtual environment's python3 is a link, and its packages lie beside the link: each link of the chain is tried. */
static bool load_from_python(const char *python, const char *library)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", python);
    for (int i = 0; i < MOST_LINKS; i++) {
        char bin[PATH_MAX];
        const char *slash = strrchr(path, '/');
        snprintf(bin, sizeof bin, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
        if (load_from_packages(bin, library))
            return true;
        if (!follow(path))
            return false;
    }
    return false;
}

static int find_library(const char *library)
{
    char python[PATH_MAX] = "";
    const char *list = getenv("WF_CUDA_LIBS");
    bool any = find_python(python);
    refusal[0] = '\0';
    if (load_from_list(list, library) || (any && load_from_python(python, library)))
        return WF_OK;
    WF_CHECK(!refusal[0], WF_USAGE, "cuda: %s does not load: %s", library, refusal);
    return wf_fail(WF_USAGE,
                   "cuda: %s is not installed: looked where the loader does, in WF_CUDA_LIBS (%.60s), in packages of "
                   "python3 (%.70s)",
                   library, list && *list ? list : "not set", any ? python : "none on PATH");
}

/* Copies the name of the missing library out of dlerror's text. Returns false if that text says something else. */
static bool missing_library(const char *why, char name[NAME_MAX])
{
    const char *end = strstr(why, ": cannot open shared object file: No such file");
    return end && !memchr(why, '/', (size_t)(end - why)) &&
           snprintf(name, NAME_MAX, "%.*s", (int)(end - why), why) < NAME_MAX;
}

/* Opens the plugin, after each library that the loader misses. */
static int open_plugin(const char *path, bool own, void **plugin, bool *built)
{
    char library[NAME_MAX];
    for (int i = 0; i <= MOST_LIBRARIES; i++) {
        *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (*plugin)
            return WF_OK;
        const char *why = dlerror();
        why = why ? why : "no reason is given";
        *built = own || strncmp(why, plugin_name, sizeof plugin_name - 1) != 0;
        WF_CHECK(*built, WF_USAGE, "cuda: not built (no %s): install CUDA and cuDNN, then run make", plugin_name);
        WF_CHECK(missing_library(why, library), WF_INTERNAL, "cuda: the plugin does not load: %s", why);
        WF_TRY(find_library(library));
    }
    return wf_fail(WF_INTERNAL, "cuda: the plugin does not load: %s was loaded, but its SONAME is another", library);
}

int wf_plugin_load(wf_cuda_opener **open, bool *built)
{
    char path[PATH_MAX];
    void *plugin;
    bool own = wf_find_library(plugin_name, path);
    *built = true;
    WF_TRY(open_plugin(own ? path : plugin_name, own, &plugin, built));
    void *symbol = dlsym(plugin, "wf_cuda_open");
    WF_CHECK(symbol, WF_INTERNAL, "cuda: no wf_cuda_open in %s", plugin_name);
    memcpy(open, &symbol, sizeof symbol); /* C has no cast from object to function pointer */
    return WF_OK;
}
