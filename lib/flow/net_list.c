/* net_list.c - the layers of a net, for programs that compute it themselves */
#include <stdlib.h>
#include <string.h>

#include "net_private.h"

static int copy_layers(const wf_net *net, const wf_bijector *owner, wf_net_layer **layers, int *count)
{
    int n = owner->param_count / 3; /* NAME.w, NAME.b and NAME.l of each */
    *layers = calloc((size_t)n, sizeof **layers);
    WF_CHECK(*layers, WF_AGAIN, "net: out of memory");
    for (int i = 0; i < n; i++) {
        const layer *l = &net->layers[i];
        const char *name = owner->params[3 * i].name;
        (*layers)[i] =
            (wf_net_layer){"", l->spec.in, l->spec.out, l->spec.k, l->spec.relu, l->spec.residual, l->tail == GATE};
        memcpy((*layers)[i].name, name, strlen(name) - strlen(".w"));
    }
    *count = n;
    return WF_OK;
}

int wf_net_list(wf_backend *backend, const wf_net_spec *spec, int C, int kernel, wf_net_layer **layers, int *count)
{
    wf_spare spare = {0};
    wf_stage_shape shape = {.backend = backend, .N = 1, .K = spec->K, .C = C, .kernel = kernel, .spare = &spare};
    wf_bijector owner = {.shape = &shape};
    wf_net *net = NULL;
    WF_CHECK(!wf_net_describe(spec->kind).heads, WF_USAGE, "net=%s has attention, which has no exact form",
             wf_net_names[spec->kind]);
    int status = wf_net_create(&owner, spec, &net);
    if (!status)
        status = copy_layers(net, &owner, layers, count);
    wf_net_destroy(net);
    free(owner.params);
    free(owner.convs);
    return status;
}
