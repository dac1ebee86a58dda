/* groups.c - when each group of gradients is ready in a training step */
#include "groups.h"

#include <stdio.h>
#include <stdlib.h>

#include "../../lib/base/clock.h"

enum { MOST_GROUPS = 4096 };

void groups_reset(groups *g, wf_optimizer *optimizer)
{
    struct group *memory = g->group ? g->group : malloc(MOST_GROUPS * sizeof *memory);
    if (!memory)
        abort();
    *g = (groups){.optimizer = optimizer, .group = memory};
}

void groups_begin(groups *g)
{
    g->begin = wf_clock();
    g->at = 0;
}

void groups_forward(groups *g)
{
    g->forward += wf_clock() - g->begin;
}

int groups_sink(void *user, size_t offset, size_t count, const wf_real *grads)
{
    groups *g = user;
    if (g->at == MOST_GROUPS)
        abort();
    struct group *now = &g->group[g->at++];
    if (g->at > g->count) {
        *now = (struct group){.values = count};
        g->count = g->at;
    }
    now->ready += wf_clock() - g->begin;
    return wf_optimizer_sink(g->optimizer, offset, count, grads);
}

void groups_end(groups *g)
{
    g->step += wf_clock() - g->begin;
    g->steps++;
}

void groups_print(const groups *g)
{
    double n = (double)g->steps;
    printf("\"step_s\": %.6g, \"forward_s\": %.6g, \"groups\": [", g->step / n, g->forward / n);
    for (int i = 0; i < g->count; i++)
        printf("%s[%zu, %.6g]", i ? ", " : "", g->group[i].values, g->group[i].ready / n);
    printf("]");
}

void groups_clear(groups *g)
{
    free(g->group);
    *g = (groups){0};
}
