/* records.c - one source of records over streams and stores */
#include "records.h"

#include <stdlib.h>
#include <string.h>

#include "../base/file.h"
#include "../base/shuffle.h"
#include "../pyramid/meta_text.h"
#include "../pyramid/pyramid.h"
#include "join.h"
#include "names.h"

typedef wf_records_input input;

struct wf_records {
    input *inputs; /* [count] */
    int count, current;
    FILE *standard_input;
    wf_meta meta;   /* with the provenances of all */
    wf_join *join;  /* of all inputs, which are shards; NULL: they are not */
    wf_shard shard; /* whose pictures are given, of the only input; n = 0: all */
    /* of the current store: pictures [at,end), in batches of N of at most `rows`, at `level` */
    int64_t first, at, end;
    bool chosen, shuffled;
    uint64_t seed;
    bool begun; /* the current input */
    int rows, N, level;
    float *low, *detail; /* [rows], of the highest level */
    uint64_t *own;       /* [rows], their indices */
    wf_names names;
    const char *const *table;
    /* of several inputs */
    int64_t before;    /* pictures of all batches before this one */
    int last_level;    /* of the record before; -1: none */
    int64_t last_N;    /* its pictures */
    uint64_t *numbers; /* [numbers_room] */
    int64_t numbers_room;
    /* of a shard of a stream: the pictures of a record that it has */
    float *cut_low, *cut_detail;
    const char **cut_names;
};

/* -- opening ------------------------------------------------------------------------------------------------------- */

static int open_input(wf_records *r, const char *path, bool latents, input *in)
{
    bool standard = !strcmp(path, "-");
    *in = (input){.name = standard ? "standard input" : path};
    if (!standard && wf_is_folder(path))
        return wf_store_open(path, &in->store);
    in->file = standard ? r->standard_input : fopen(path, "rb");
    if (!in->file)
        return wf_fail_errno("%s: cannot open", path);
    return (latents ? wf_reader_create_any : wf_reader_create)(in->file, in->name, &in->reader);
}

/* WF_DATA unless pictures of `in` can follow those of the first input. */
static int check_same(const wf_records *r, const input *in)
{
    const input *first = &r->inputs[0];
    const wf_meta *have = wf_records_input_meta(in), *want = wf_records_input_meta(first);
    WF_TRY(wf_meta_expect(have, in->name, want, first->name));
    WF_CHECK(have->top == want->top, WF_DATA, "%s: top is %d, but %d in %s", in->name, have->top, want->top,
             first->name);
    WF_CHECK(have->latents == want->latents, WF_DATA, "%s: %s, but %s in %s", in->name,
             have->latents ? "latents" : "coefficients", want->latents ? "latents" : "coefficients", first->name);
    bool empty = in->store && first->store && !(wf_store_count(in->store) && wf_store_count(first->store));
    for (int level = 0; in->store && first->store && !empty && level <= want->top; level++)
        WF_CHECK(wf_store_has_level(in->store, level) == wf_store_has_level(first->store, level), WF_DATA,
                 "%s: %s level %d, but %s %s it", in->name, wf_store_has_level(in->store, level) ? "has" : "lacks",
                 level, first->name, wf_store_has_level(first->store, level) ? "has" : "lacks");
    return WF_OK;
}

static int join_shards(wf_records *r)
{
    WF_TRY(wf_join_create(r->inputs, r->count, &r->join));
    WF_TRY(wf_meta_copy(&r->meta, wf_join_meta(r->join)));
    r->meta.shard = (wf_shard){0};
    return WF_OK;
}

static int open_all(wf_records *r, char *const *paths, bool latents)
{
    bool dash = false, shards = false;
    for (int i = 0; i < r->count; i++) {
        WF_CHECK(strcmp(paths[i], "-") != 0 || !dash, WF_USAGE, "-: standard input can be read once");
        dash = dash || !strcmp(paths[i], "-");
        WF_TRY(open_input(r, paths[i], latents, &r->inputs[i]));
        if (i)
            WF_TRY(check_same(r, &r->inputs[i]));
        wf_shard shard = wf_records_input_meta(&r->inputs[i])->shard;
        shards = shards || (shard.n && (r->count > 1 || shard.n == 1));
    }
    if (shards)
        return join_shards(r);
    WF_TRY(wf_meta_copy(&r->meta, wf_records_input_meta(&r->inputs[0])));
    for (int i = 1; i < r->count; i++) {
        const char *more = wf_records_input_meta(&r->inputs[i])->provenance;
        if (more)
            WF_TRY(wf_meta_join_provenance(&r->meta, more));
    }
    return WF_OK;
}

int wf_records_open(char *const *paths, int count, FILE *standard_input, bool latents, wf_records **out)
{
    wf_records *r = calloc(1, sizeof *r);
    if (r)
        r->inputs = calloc((size_t)count, sizeof *r->inputs);
    int status = r && r->inputs ? WF_OK : wf_fail(WF_AGAIN, "out of memory for %d inputs", count);
    if (!status) {
        r->count = count;
        r->standard_input = standard_input;
        r->last_level = -1;
        status = open_all(r, paths, latents);
    }
    if (status)
        wf_records_close(r);
    else
        *out = r;
    return status;
}

static void close_input(const wf_records *r, input *in)
{
    wf_reader_destroy(in->reader);
    wf_store_close(in->store);
    if (in->file && in->file != r->standard_input)
        fclose(in->file); /* only read from: closing cannot lose data */
}

void wf_records_close(wf_records *r)
{
    if (!r)
        return;
    for (int i = 0; i < r->count; i++)
        close_input(r, &r->inputs[i]);
    wf_join_destroy(r->join);
    free(r->inputs);
    wf_meta_clear(&r->meta);
    free(r->low);
    free(r->detail);
    free(r->own);
    wf_names_clear(&r->names);
    free(r->numbers);
    free(r->cut_low);
    free(r->cut_detail);
    free(r->cut_names);
    free(r);
}

const wf_meta *wf_records_meta(const wf_records *r)
{
    return &r->meta;
}

const char *wf_records_name(const wf_records *r)
{
    return r->inputs[0].name;
}

int64_t wf_records_count(const wf_records *r)
{
    int64_t sum = 0;
    for (int i = 0; i < r->count; i++) {
        if (!r->inputs[i].store)
            return -1;
        sum += wf_store_count(r->inputs[i].store);
    }
    return wf_shard_count(r->shard, 0, sum);
}

wf_store *wf_records_store(const wf_records *r)
{
    return r->count == 1 && !r->join ? r->inputs[0].store : NULL;
}

void wf_records_choose(wf_records *r, int64_t first, int64_t end, bool shuffle, uint64_t seed)
{
    r->first = first;
    r->end = end;
    r->chosen = true;
    r->shuffled = shuffle;
    r->seed = seed;
}

int wf_records_shard(wf_records *r, wf_shard shard)
{
    wf_shard own = r->meta.shard;
    WF_CHECK(!own.n, WF_USAGE, "%s: shard %d of %d already, which cannot be cut into shards", r->inputs[0].name, own.i,
             own.n);
    WF_CHECK(r->count == 1 && !r->join, WF_USAGE, "%s: one of %d inputs, want one to cut into shards",
             r->inputs[0].name, r->count);
    r->shard = shard;
    return WF_OK;
}

bool wf_records_joined(const wf_records *r)
{
    return r->join != NULL;
}

/* -- stores -------------------------------------------------------------------------------------------------------- */

static int begin_store(wf_records *r, const wf_store *store)
{
    wf_level_shape shape = wf_meta_level(&r->meta, r->meta.top);
    size_t pixels = (size_t)shape.H * (size_t)shape.W;
    if (!r->chosen) {
        r->first = 0;
        r->end = wf_store_count(store);
    }
    r->at = r->first;
    r->N = 0;
    if (r->rows)
        return WF_OK;
    r->rows = wf_pyramid_rows(&r->meta, r->meta.top);
    r->low = malloc((size_t)r->rows * pixels * (size_t)shape.C * sizeof *r->low);
    r->detail = malloc((size_t)r->rows * pixels * (size_t)shape.K * sizeof *r->detail);
    r->own = malloc((size_t)r->rows * sizeof *r->own);
    WF_CHECK(r->low && r->detail && r->own, WF_AGAIN, "out of memory for %d pictures", r->rows);
    return WF_OK;
}

/* Place in the store of picture i. */
static int64_t place_of(const wf_records *r, int64_t i)
{
    return r->shuffled ? r->first + wf_shuffle(r->seed, 0, r->end - r->first, i - r->first) : i;
}

/* Pictures of the shard in a batch are its numbers first_own, first_own + step_own, .. */
static int first_own(const wf_records *r, int64_t place)
{
    return (int)(wf_shard_place(r->shard, place) - place);
}

static int step_own(const wf_records *r)
{
    return r->shard.n ? r->shard.n : 1;
}

static int load_names(wf_records *r, wf_store *store)
{
    if (!r->shuffled && !r->shard.n)
        return wf_store_names(store, r->at, r->N, &r->table);
    r->names.count = r->names.used = 0;
    for (int64_t n = first_own(r, r->at - r->first); n < r->N; n += step_own(r)) {
        const char *const *one, *name;
        WF_TRY(wf_store_names(store, place_of(r, r->at + n), 1, &one));
        name = one && one[0] ? one[0] : "";
        WF_TRY(wf_names_add(&r->names, name, strlen(name)));
    }
    return wf_names_table(&r->names, &r->table);
}

/* Reads a level of the batch, or of the next batch. N is 0 if the shard has none of its pictures. */
static int next_of_store(wf_records *r, wf_store *store, wf_record *record, bool *more)
{
    if (r->N && r->level > r->meta.top) {
        r->at += r->N;
        r->N = 0;
    }
    *more = r->at < r->end;
    if (!*more)
        return WF_OK;
    if (!r->N) {
        r->N = r->end - r->at < r->rows ? (int)(r->end - r->at) : r->rows;
        r->level = 0;
        WF_TRY(load_names(r, store));
    }
    while (!wf_store_has_level(store, r->level))
        r->level++;
    wf_level_shape shape = wf_meta_level(&r->meta, r->level);
    size_t pixels = (size_t)shape.H * (size_t)shape.W, lows = pixels * (size_t)shape.C,
           details = pixels * (size_t)shape.K;
    int64_t N = 0;
    for (int64_t n = first_own(r, r->at - r->first); n < r->N; n += step_own(r), N++) {
        WF_TRY(wf_store_get(store, r->level, place_of(r, r->at + n), r->low + (size_t)N * lows,
                            r->detail + (size_t)N * details, &r->own[N]));
        if (r->shuffled)
            r->own[N] = (uint64_t)(r->at - r->first + n);
    }
    *record = (wf_record){.level = r->level,
                          .N = N,
                          .low = r->low,
                          .detail = r->level ? r->detail : NULL,
                          .index = r->own,
                          .names = r->table,
                          .batch = r->at - r->first,
                          .each = r->shard.n > 0};
    r->level++;
    return WF_OK;
}

/* -- all ----------------------------------------------------------------------------------------------------------- */

/* Counts the pictures before a record's batch. A level that is not above the one before begins a batch. */
static void count_before(wf_records *r, const wf_record *record)
{
    if (record->level <= r->last_level)
        r->before += r->last_N;
    r->last_level = record->level;
    r->last_N = record->N;
}

static int reserve_numbers(wf_records *r, int64_t n)
{
    if (n <= r->numbers_room)
        return WF_OK;
    uint64_t *grown = realloc(r->numbers, (size_t)n * sizeof *grown);
    WF_CHECK(grown, WF_AGAIN, "out of memory for %lld pictures", (long long)n);
    r->numbers = grown;
    r->numbers_room = n;
    return WF_OK;
}

/* Numbers pictures over all inputs. */
static int number_pictures(wf_records *r, wf_record *record)
{
    count_before(r, record);
    WF_TRY(reserve_numbers(r, record->N));
    for (int64_t n = 0; n < record->N; n++)
        r->numbers[n] = (uint64_t)(r->before + n);
    record->index = r->numbers;
    return WF_OK;
}

/* Copies `own` rows of `size` values, the first of them number `first`, to *to. */
static int cut_values(const wf_records *r, const float *from, int64_t first, int64_t own, size_t size, float **to)
{
    float *grown = realloc(*to, (size_t)(own + 1) * size * sizeof *grown);
    WF_CHECK(grown, WF_AGAIN, "out of memory for %lld pictures", (long long)own);
    *to = grown;
    for (int64_t n = 0; n < own; n++)
        memcpy(grown + (size_t)n * size, from + (size_t)(first + n * step_own(r)) * size, size * sizeof *grown);
    return WF_OK;
}

/* Leaves the shard's pictures of a stream's record. */
static int cut_record(wf_records *r, wf_record *record)
{
    wf_level_shape s = wf_meta_level(&r->meta, record->level);
    size_t pixels = (size_t)s.H * (size_t)s.W;
    count_before(r, record);
    int64_t first = first_own(r, r->before), own = wf_shard_count(r->shard, r->before, r->before + record->N);
    WF_TRY(reserve_numbers(r, own + 1));
    const char **names = realloc(r->cut_names, (size_t)(own + 1) * sizeof *names);
    WF_CHECK(names, WF_AGAIN, "out of memory for the names of %lld pictures", (long long)own);
    r->cut_names = names;
    for (int64_t n = 0; n < own; n++) {
        r->numbers[n] = record->index[first + n * step_own(r)];
        names[n] = record->names ? record->names[first + n * step_own(r)] : NULL;
    }
    if (record->low)
        WF_TRY(cut_values(r, record->low, first, own, pixels * (size_t)s.C, &r->cut_low));
    if (record->detail)
        WF_TRY(cut_values(r, record->detail, first, own, pixels * (size_t)s.K, &r->cut_detail));
    *record = (wf_record){.level = record->level,
                          .N = own,
                          .low = record->low ? r->cut_low : NULL,
                          .detail = record->detail ? r->cut_detail : NULL,
                          .index = r->numbers,
                          .names = record->names ? names : NULL,
                          .batch = r->before,
                          .each = 1};
    return WF_OK;
}

/* Reads the next record of the inputs one after the other. */
static int next_of_inputs(wf_records *r, wf_record *record, bool *more)
{
    for (*more = false; r->current < r->count; r->current++) {
        const input *in = &r->inputs[r->current];
        if (in->store && !r->begun)
            WF_TRY(begin_store(r, in->store));
        r->begun = true;
        WF_TRY(in->store ? next_of_store(r, in->store, record, more) : wf_reader_next(in->reader, record, more));
        if (*more && r->count > 1)
            return number_pictures(r, record);
        if (*more)
            return r->shard.n && !in->store ? cut_record(r, record) : WF_OK;
        r->begun = false;
    }
    return WF_OK;
}

int wf_records_next(wf_records *r, wf_record *record, bool *more)
{
    if (r->join)
        return wf_join_next(r->join, record, more);
    do
        WF_TRY(next_of_inputs(r, record, more));
    while (*more && !record->N); /* a batch of which the shard has no picture */
    return WF_OK;
}
