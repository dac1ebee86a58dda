/* cli_record.c - the command line that provenance keeps, and the hash of a run */
#include <stdlib.h>
#include <string.h>

#include "../lib/base/version.h"
#include "cli.h"

/* Options that were given. */
typedef struct given {
    const cli_option *option;
    char *word, *text; /* of argv; text: the end of the word, or a word of its own; NULL: no argument */
} given;

static given *all;
static int count;

void cli_record(const cli_option *o, char *word, char *text)
{
    given *grown = realloc(all, ((size_t)count + 1) * sizeof *grown);
    if (!grown)
        die(WF_AGAIN, "out of memory");
    all = grown;
    all[count++] = (given){o, word, text};
}

/* -- the command line ---------------------------------------------------------------------------------------------- */

static bool is_left_out(const given *g)
{
    return g->option->type == CLI_PLACE || g->option->type == CLI_SHARD;
}

/* The flags in front of an option in one word, as in -qo: they stay. NULL: none. */
static char *flags_before(const given *g)
{
    size_t n = strlen(g->word);
    bool apart = g->text < g->word || g->text > g->word + n;
    const char *letter = (apart ? g->word + n : g->text) - 1;
    if (!strncmp(g->word, "--", 2) || letter <= g->word + 1)
        return NULL;
    char *flags = strndup(g->word, (size_t)(letter - g->word));
    if (!flags)
        die(WF_AGAIN, "out of memory");
    return flags;
}

/* Copies argv without options that are left out. Returns the number of words. */
static int keep_words(char **words)
{
    int n = 0;
    for (int i = 0; i < common.argc; i++) {
        char *word = common.argv[i];
        for (int k = 0; k < count && word; k++)
            if (is_left_out(&all[k]) && (common.argv[i] == all[k].word || common.argv[i] == all[k].text))
                word = common.argv[i] == all[k].word ? flags_before(&all[k]) : NULL;
        if (word)
            words[n++] = word;
    }
    return n;
}

/* Frees the words of flags_before, which are not in argv. */
static void free_flags(char **words, int n)
{
    for (int i = 0; i < n; i++) {
        int k = 0;
        while (k < common.argc && words[i] != common.argv[k])
            k++;
        if (k == common.argc)
            free(words[i]);
    }
}

/* -- the run ------------------------------------------------------------------------------------------------------- */

static bool is_path(const cli_option *o)
{
    static const char *const kinds[] = {"MODEL", "FILE", "DIR", "STORE"};
    for (size_t i = 0; o->arg && i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(o->arg, kinds[i]))
            return true;
    return false;
}

/* False for options that leave a run's pictures as they are, or whose texts differ between machines. */
static bool is_of_run(const cli_option *o)
{
    return !(o->type == CLI_PLACE || o->type == CLI_SHARD || is_path(o) || o->into == &common.threads ||
             o->into == &common.backend || o->into == &common.quiet || o->into == &common.seed);
}

/* Writes program, version, seed and options in the order of their table. */
static char *describe_run(void)
{
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (!file)
        die(WF_AGAIN, "out of memory");
    fprintf(file, "%s %s %llu", common.program->name, wf_version(), (unsigned long long)common.seed);
    const cli_option *o;
    for (int i = 0; (o = cli_option_at(common.program, i)); i++) {
        const given *last = NULL;
        for (int k = 0; k < count; k++)
            last = all[k].option == o ? &all[k] : last;
        if (last && is_of_run(o))
            fprintf(file, "\n%s=%s", o->name, last->text ? last->text : "");
    }
    if (fclose(file) || !text) /* glibc's fclose may lose the text and say nothing */
        die(WF_AGAIN, "out of memory");
    return text;
}

uint64_t cli_run(const char *model_hash, const char *data)
{
    char *text = describe_run();
    wf_meta meta = {.shard = {1, 1}};
    wf_meta_mark_run(&meta, data, model_hash);
    wf_meta_mark_run(&meta, text, NULL);
    free(text);
    return meta.run;
}

void cli_add_provenance(wf_meta *meta, const char *model_hash)
{
    char **words = must_allocate((size_t)common.argc + 1, sizeof *words, "the command line"), *text = describe_run();
    int n = keep_words(words);
    must(wf_meta_add_provenance(meta, common.program->name, n, words, common.seed, model_hash));
    wf_meta_mark_run(meta, text, model_hash);
    free(text);
    free_flags(words, n);
    free(words);
}
