/* wavelet.c - the table of wavelets */
#include "wavelet.h"

#include <stddef.h>
#include <string.h>

#define TAPS(id, ...) static const double id[] = {__VA_ARGS__};
WF_WAVELETS(TAPS)

static const wf_wavelet table[] = {
#define ROW(id, ...) {#id, id, (int)(sizeof id / sizeof *id)},
    WF_WAVELETS(ROW)};

const wf_wavelet *wf_wavelet_at(int i)
{
    return i >= 0 && i < (int)(sizeof table / sizeof *table) ? &table[i] : NULL;
}

const wf_wavelet *wf_wavelet_find(const char *name)
{
    const wf_wavelet *w;
    for (int i = 0; (w = wf_wavelet_at(i)); i++)
        if (!strcmp(w->name, name))
            return w;
    return NULL;
}
