/* bpd_shards.c - hashes runs and joins tables */
#include "bpd_shards.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

uint64_t bpd_run(const wf_model *model, const wf_meta *meta, const wf_store *store)
{
    char weights[(WF_MAX_LEVELS + 1) * 20] = "", hash[20], shape[WF_SIZE_TEXT];
    for (int level = 0; level <= meta->top; level++) /* levels that are not trained have no figure */
        if (!wf_model_hash(model, level, level, hash))
            strcat(weights, hash);
    return cli_run(weights, store ? wf_store_hash(store) : wf_meta_shape_text(meta, shape));
}

static void read_table(const char *name, wf_figures *out)
{
    FILE *file = cli_is_dash(name) ? stdin : fopen(name, "re");
    if (!file)
        die(errno == ENOENT ? WF_NOINPUT : WF_IO, "%s: cannot open: %s", name, strerror(errno));
    must(wf_figures_read(file, cli_is_dash(name) ? "standard input" : name, out));
    if (file != stdin)
        fclose(file); /* only read from: closing cannot lose data */
}

void bpd_join(int first, wf_figures *out)
{
    int count = common.argc - first;
    if (!count)
        die(WF_USAGE, "--join: found no table, expected those of all shards, as files");
    wf_figures *shards = must_allocate((size_t)count, sizeof *shards, "the tables");
    for (int i = 0; i < count; i++)
        read_table(common.argv[first + i], &shards[i]);
    must(wf_figures_join(shards, (const char *const *)common.argv + first, count, out));
    free(shards);
}

void bpd_print(const wf_figures *figures, bool json)
{
    if (json)
        wf_figures_write_json(figures, stdout);
    else
        wf_figures_write_table(figures, stdout, isatty(STDOUT_FILENO));
}
