/* beside.c - finds files that are installed or built with the running program */
#include "beside.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool wf_find_library(const char *name, char path[PATH_MAX])
{
    static const char *const folders[] = {"../lib", "../lib/wavelet-flow", "../build", ".", ".."};
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
        if (snprintf(path, PATH_MAX, "%s/%s/%s", program, folders[i], name) < PATH_MAX && access(path, F_OK) == 0)
            return true;
    return false;
}
