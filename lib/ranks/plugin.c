/* plugin.c - loads libwf-mpi.so, so that programs do not need MPI
 *
 * It stays loaded. Its symbols are global, because an MPI loads parts of its own, and some of them are linked with
 * nothing. */
#include <dlfcn.h>
#include <string.h>

#include "../base/beside.h"
#include "private.h"

static const char name[] = "libwf-mpi.so";

int wf_transport_open(wf_transport **out)
{
    char path[PATH_MAX];
    wf_transport_opener *open;
    bool own = wf_find_library(name, path);
    void *plugin = dlopen(own ? path : name, RTLD_NOW | RTLD_GLOBAL);
    if (!plugin) {
        const char *why = dlerror();
        WF_CHECK(
            own, WF_UNAVAILABLE,
            "ranks need MPI, and the programs were built without it (no %s): install libopenmpi-dev, then run make",
            name);
        return wf_fail(WF_UNAVAILABLE, "MPI does not load: %s", why ? why : "no reason is given");
    }
    void *symbol = dlsym(plugin, "wf_mpi_open");
    WF_CHECK(symbol, WF_INTERNAL, "no wf_mpi_open in %s", name);
    memcpy(&open, &symbol, sizeof symbol); /* C has no cast from object to function pointer */
    return open(out);
}
