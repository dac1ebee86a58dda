/* clutter.c - files and folders that other programs leave among a user's pictures */
#include <string.h>
#include <strings.h>

#include "format.h"

/* True for one part of a path. A name that begins with a dot is hidden: .git, .ipynb_checkpoints, .DS_Store, and
 * ._x.png, where macOS keeps a file's attributes. */
static bool is_clutter(const char *part, size_t n)
{
    static const char *const names[] = {"__MACOSX",    "Thumbs.db",    "ehthumbs.db",
                                        "desktop.ini", "$RECYCLE.BIN", "@eaDir"};
    if (n && part[0] == '.')
        return n > 2 || (n == 2 && part[1] != '.');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == n && !strncasecmp(part, names[i], n))
            return true;
    return false;
}

bool wf_path_is_clutter(const char *path)
{
    for (;;) {
        size_t n = strcspn(path, "/");
        if (is_clutter(path, n))
            return true;
        if (!path[n])
            return false;
        path += n + 1;
    }
}
