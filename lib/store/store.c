/* store.c - what a handle knows without reading, and its end */
#include <stdlib.h>
#include <unistd.h>

#include "private.h"

void wf_store_close(wf_store *store)
{
    if (!store)
        return;
    wf_store_abandon(store);
    if (store->env)
        mdb_env_close(store->env);
    if (store->data >= 0)
        close(store->data); /* the lock goes with it, so after the environment */
    wf_meta_clear(&store->state.meta);
    free(store->indices);
    free(store->path);
    free(store);
}

const wf_meta *wf_store_meta(const wf_store *store)
{
    return &store->state.meta;
}

int64_t wf_store_count(const wf_store *store)
{
    return store->state.count;
}

int64_t wf_store_unsealed(const wf_store *store)
{
    return store->unsealed;
}

bool wf_store_has_level(const wf_store *store, int level)
{
    return level >= 0 && level <= WF_MAX_LEVELS && (store->state.mask >> level & 1);
}

const char *wf_store_hash(const wf_store *store)
{
    return store->state.hash;
}
