/* card.c - looks for an NVIDIA card by the files of Linux, and asks the driver's library where these show none */
#include "card.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool wf_card_hidden(void)
{
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    return visible && !(*visible >= '0' && *visible <= '9') && strncmp(visible, "GPU-", 4) != 0 &&
           strncmp(visible, "MIG-", 4) != 0;
}

/* Lists the files of a pattern below WF_FSROOT. Returns their number; the caller frees `files`. */
static size_t list(const char *pattern, glob_t *files)
{
    char path[PATH_MAX];
    const char *root = getenv("WF_FSROOT");
    *files = (glob_t){0};
    if (snprintf(path, sizeof path, "%s%s", root ? root : "", pattern) >= PATH_MAX || glob(path, 0, NULL, files))
        return 0;
    return files->gl_pathc;
}

static bool is_there(const char *pattern)
{
    glob_t files;
    bool any = list(pattern, &files) > 0;
    globfree(&files);
    return any;
}

/* Device files of a PC or server, of Windows' Linux (any maker's card: hence the driver's library), and of Jetson. */
static bool has_node(void)
{
    return is_there("/dev/nvidia[0-9]*") || (is_there("/dev/dxg") && is_there("/usr/lib/wsl/lib/libcuda.so.1")) ||
           is_there("/dev/nvgpu") || is_there("/dev/nvhost-gpu") || is_there("/dev/nvhost-ctrl-gpu");
}

/* Reads the first line of a file that begins with `key`, without the key and the blanks after it. */
static bool read_line(const char *path, const char *key, char *out, size_t size)
{
    char line[256];
    bool found = false;
    FILE *file = fopen(path, "r");
    while (file && !found && fgets(line, sizeof line, file)) {
        const char *value = line + strlen(key);
        if (strncmp(line, key, strlen(key)) != 0)
            continue;
        value += strspn(value, " \t");
        found = snprintf(out, size, "%.*s", (int)strcspn(value, "\n"), value) > 0;
    }
    if (file)
        fclose(file);
    return found;
}

/* The name that the driver gives the first card in /proc. */
static bool read_model(char *name, size_t size)
{
    glob_t files;
    bool found = list("/proc/driver/nvidia/gpus/*/information", &files) > 0 &&
                 read_line(files.gl_pathv[0], "Model:", name, size);
    globfree(&files);
    return found;
}

static unsigned long read_number(const char *folder, const char *file)
{
    char path[PATH_MAX], text[32];
    if (snprintf(path, sizeof path, "%s/%s", folder, file) >= PATH_MAX || !read_line(path, "", text, sizeof text))
        return 0;
    return strtoul(text, NULL, 16);
}

/* Finds a display or 3D controller of NVIDIA among the PCI devices. */
static bool read_pci(char *name, size_t size)
{
    enum { NVIDIA = 0x10de, DISPLAY = 0x03 };
    glob_t folders;
    bool found = false;
    size_t n = list("/sys/bus/pci/devices/*", &folders);
    for (size_t i = 0; i < n && !found; i++) {
        const char *folder = folders.gl_pathv[i];
        found = read_number(folder, "vendor") == NVIDIA && read_number(folder, "class") >> 16 == DISPLAY;
        if (found)
            snprintf(name, size, "NVIDIA, PCI %04x:%04lx", NVIDIA, read_number(folder, "device"));
    }
    globfree(&folders);
    return found;
}

/* Asks the driver's library, which stays loaded: CUDA does not survive its end. C has no cast from object to function
 * pointer, hence the copies. */
static bool ask_driver(char *name, size_t size)
{
    static const char *const names[] = {"cuInit", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetName"};
    enum { CALLS = sizeof names / sizeof *names };
    int (*init)(unsigned flags), (*get_count)(int *count), (*get)(int *card, int number);
    int (*get_name)(char *name, int length, int card), count = 0, card = 0;
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL), *symbols[CALLS];
    for (int i = 0; i < CALLS; i++) {
        symbols[i] = driver ? dlsym(driver, names[i]) : NULL;
        if (!symbols[i])
            return false;
    }
    memcpy(&init, &symbols[0], sizeof init);
    memcpy(&get_count, &symbols[1], sizeof get_count);
    memcpy(&get, &symbols[2], sizeof get);
    memcpy(&get_name, &symbols[3], sizeof get_name);
    if (init(0) || get_count(&count) || count < 1)
        return false;
    if (get(&card, 0) || get_name(name, (int)size, card))
        snprintf(name, size, "NVIDIA");
    return true;
}

bool wf_card_find(wf_card *out)
{
    *out = (wf_card){.node = has_node()};
    bool pci = read_pci(out->name, sizeof out->name);
    if (!out->node && !pci)
        return ask_driver(out->name, sizeof out->name);
    char model[sizeof out->name];
    if (read_model(model, sizeof model))
        snprintf(out->name, sizeof out->name, "%s", model);
    else if (!pci)
        snprintf(out->name, sizeof out->name, "NVIDIA");
    return true;
}
