/* summaries.c - keeps the draws of a batch of pictures, and writes their means, deviations and quantiles */
#include "summaries.h"

#include <stdlib.h>
#include <string.h>

#include "../lib/base/number.h"
#include "../lib/mcmc/summary.h"
#include "../lib/pyramid/pyramid.h"
#include "cli.h"
#include "start.h"

enum { WORDS = 32, DRAWS = -1 };

struct summaries {
    struct {
        int kind; /* a wf_summary_kind, or DRAWS */
        double p;
    } word[WORDS];
    int count;
    wf_meta meta;
    wf_backend *backend;
    wf_pyramid *pyramid;
    int rows, chains;
    size_t kept, each; /* draws of a chain; numbers of a picture */
    size_t taken;      /* draws of each chain so far */
    float *draws;      /* [rows,chains * kept,each], the kept draws of a chain one after the other */
    float *pictures;   /* [rows * chains,each] */
};

static void parse_word(summaries *s, const char *word)
{
    char *end;
    double percent = wf_strtod(word + (*word != 0), &end);
    int kind = !strcmp(word, "mean") ? WF_MEAN : !strcmp(word, "std") ? WF_DEVIATION : WF_QUANTILE;
    if (s->count == WORDS)
        die(WF_USAGE, "--out has more than %d words", WORDS);
    if (!strcmp(word, "draws"))
        kind = DRAWS;
    else if (kind == WF_QUANTILE &&
             (*word != 'q' || !word[1] || *end || word[1] == '-' || !(percent >= 0 && percent <= 100)))
        die(WF_USAGE, "--out %s: expected mean, std, draws, or q and per cent as in q05", word);
    s->word[s->count].kind = kind;
    s->word[s->count++].p = percent / 100;
}

summaries *summaries_parse(const char *list)
{
    summaries *s = must_allocate(1, sizeof *s, "summaries");
    char *words = must_allocate(strlen(list) + 1, 1, "summaries"), *next = words;
    strcpy(words, list);
    for (char *word; (word = strsep(&next, ","));)
        parse_word(s, word);
    free(words);
    return s;
}

void summaries_open(summaries *s, const wf_meta *meta, int rows, int chains, int64_t kept)
{
    s->meta = *meta;
    s->rows = rows;
    s->chains = chains;
    s->kept = (size_t)kept;
    s->each = (size_t)meta->H * (size_t)meta->W * (size_t)meta->C;
    size_t all = (size_t)rows * (size_t)chains;
    must(wf_backend_open("cpu", common.threads, &s->backend));
    must(wf_pyramid_create(s->backend, meta, (int)all, &s->pyramid));
    s->draws = must_allocate(all * s->kept * s->each, sizeof *s->draws, "draws");
    s->pictures = must_allocate(all * s->each, sizeof *s->pictures, "pictures");
}

int summaries_take(void *user, const wf_record *r)
{
    summaries *s = user;
    WF_TRY(wf_pyramid_join(s->pyramid, r->level, (int)r->N, r->low, r->detail, s->pictures));
    for (size_t c = 0; c < (size_t)r->N; c++)
        memcpy(s->draws + (c * s->kept + s->taken) * s->each, s->pictures + c * s->each, s->each * sizeof *s->draws);
    s->taken++;
    return WF_OK;
}

/* Writes pictures [N,each] as one record. Picture i has the number index[i / per] * slots + slot + i % per. */
static int write_pictures(summaries *s, const float *pictures, int64_t N, wf_record *r, const uint64_t *index,
                          uint64_t slots, uint64_t slot, int per, wf_record_sink *sink, void *user)
{
    const float *low = NULL, *detail = NULL;
    uint64_t *number = must_allocate((size_t)N, sizeof *number, "numbers");
    for (int64_t i = 0; i < N; i++)
        number[i] = index[i / per] * slots + slot + (uint64_t)(i % per) * s->kept;
    r->level = s->meta.top;
    r->N = N;
    r->index = number;
    int status = wf_pyramid_split(s->pyramid, (int)N, pictures, s->meta.top);
    if (!status)
        status = wf_pyramid_level(s->pyramid, s->meta.top, &low, &detail);
    r->low = low;
    r->detail = detail;
    if (!status)
        status = sink(user, r);
    free(number);
    return status;
}

/* Writes the kept draws, a record for each of all chains. */
static int write_draws(summaries *s, int N, const uint64_t *index, uint64_t slots, uint64_t slot, wf_record_sink *sink,
                       void *user)
{
    size_t all = (size_t)N * (size_t)s->chains;
    for (size_t k = 0; k < s->kept; k++) {
        wf_record r = {0};
        for (size_t c = 0; c < all; c++)
            memcpy(s->pictures + c * s->each, s->draws + (c * s->kept + k) * s->each, s->each * sizeof *s->draws);
        WF_TRY(write_pictures(s, s->pictures, (int64_t)all, &r, index, slots, slot + k, s->chains, sink, user));
    }
    return WF_OK;
}

int summaries_write(summaries *s, int N, const uint64_t *index, const char *const *names, wf_record_sink *sink,
                    void *user)
{
    size_t draws = (size_t)s->chains * s->kept;
    uint64_t slots = 0, slot = 0;
    for (int w = 0; w < s->count; w++)
        slots += s->word[w].kind == DRAWS ? draws : 1;
    for (int w = 0; w < s->count; w++) {
        wf_record r = {.names = names};
        int kind = s->word[w].kind;
        for (int n = 0; n < N && kind != DRAWS; n++)
            WF_TRY(wf_summarize((wf_summary_kind)kind, s->word[w].p, draws, s->each,
                                s->draws + (size_t)n * draws * s->each, s->pictures + (size_t)n * s->each));
        if (kind == DRAWS)
            WF_TRY(write_draws(s, N, index, slots, slot, sink, user));
        else
            WF_TRY(write_pictures(s, s->pictures, N, &r, index, slots, slot, 1, sink, user));
        slot += kind == DRAWS ? draws : 1;
    }
    s->taken = 0;
    return WF_OK;
}

void summaries_close(summaries *s)
{
    if (!s)
        return;
    free(s->draws);
    free(s->pictures);
    wf_pyramid_destroy(s->pyramid);
    if (s->backend)
        s->backend->close(s->backend);
    free(s);
}
