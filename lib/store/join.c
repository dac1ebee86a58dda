/* join.c - joins shards: streams batch by batch, stores picture by picture */
#include "join.h"

#include <stdlib.h>
#include <string.h>

#include "../pyramid/pyramid.h"
#include "names.h"

/* A shard, and how much of it was joined. */
typedef struct part {
    const wf_records_input *in;
    wf_record head; /* of a stream; N = 0: it ended */
    bool used;      /* the head was joined */
    int64_t taken;  /* pictures of the head, or of the store, that were joined */
} part;

struct wf_join {
    part *parts; /* [n], by shard */
    int n;
    const wf_meta *meta;
    bool stores;
    int64_t first, places; /* of the batch that was joined last */
    /* the batch */
    int64_t N, room;
    float *low, *detail;
    uint64_t *index;
    const char **names;
    /* of stores */
    int level;
    const part **from; /* [room] */
    int64_t *at;       /* [room], positions in the stores */
    wf_names own;
    const char *const *table;
};

const wf_meta *wf_records_input_meta(const wf_records_input *in)
{
    return in->store ? wf_store_meta(in->store) : wf_reader_meta(in->reader);
}

const wf_meta *wf_join_meta(const wf_join *j)
{
    return j->meta;
}

/* -- opening ------------------------------------------------------------------------------------------------------- */

/* Puts an input into the place of its shard. */
static int place_input(wf_join *j, const wf_records_input *in, const wf_records_input *other)
{
    const wf_meta *meta = wf_records_input_meta(in), *others = wf_records_input_meta(other);
    WF_CHECK(meta->shard.n, WF_DATA, "%s: not a shard, but %s is shard %d of %d", in->name, other->name,
             others->shard.i, others->shard.n);
    WF_TRY(wf_meta_expect_run(meta, in->name, others, other->name));
    WF_CHECK(!in->store == !other->store, WF_DATA, "%s: a %s, but %s is a %s: shards are joined if all are of one kind",
             in->name, in->store ? "store" : "stream", other->name, other->store ? "store" : "stream");
    part *p = &j->parts[meta->shard.i - 1];
    WF_CHECK(!p->in, WF_DATA, "%s: shard %d of %d, which %s is too", in->name, meta->shard.i, meta->shard.n,
             p->in->name);
    p->in = in;
    return WF_OK;
}

static int check_complete(const wf_join *j)
{
    char list[200] = "";
    int missing = 0;
    for (int i = 0; i < j->n; i++)
        if (!j->parts[i].in) {
            size_t used = strlen(list);
            if (used < sizeof list - 32)
                snprintf(list + used, sizeof list - used, "%s%d", missing ? ", " : "", i + 1);
            else if (list[used - 1] != '.')
                strcpy(list + used, " ..");
            missing++;
        }
    WF_CHECK(!missing, WF_DATA, "shard%s %s of %d %s missing", missing == 1 ? "" : "s", list, j->n,
             missing == 1 ? "is" : "are");
    return WF_OK;
}

/* WF_DATA unless stores that are not empty have the same levels, and counts of which the first shards have more. */
static int check_stores(const wf_join *j)
{
    int64_t most = wf_store_count(j->parts[0].in->store), least = wf_store_count(j->parts[j->n - 1].in->store);
    for (int i = 1; i < j->n; i++) {
        const wf_records_input *in = j->parts[i].in, *before = j->parts[i - 1].in;
        int64_t count = wf_store_count(in->store), more = wf_store_count(before->store);
        WF_CHECK(count <= more && (count == most || count == least), WF_DATA,
                 "%s: %lld pictures, but %lld in %s: not all pictures of one run", in->name, (long long)count,
                 (long long)more, before->name);
        for (int level = 0; count && level <= j->meta->top; level++)
            WF_CHECK(wf_store_has_level(in->store, level) == wf_store_has_level(before->store, level), WF_DATA,
                     "%s and %s: only one has level %d", before->name, in->name, level);
    }
    return WF_OK;
}

static int open_join(wf_join *j, const wf_records_input *inputs, int count)
{
    const wf_records_input *shard = inputs;
    for (int i = 0; i < count && !wf_records_input_meta(shard)->shard.n; i++)
        shard = &inputs[i];
    j->n = wf_records_input_meta(shard)->shard.n;
    WF_CHECK(j->n <= 1 << 20, WF_DATA, "%s: one of %d shards, at most %d can be joined", shard->name, j->n, 1 << 20);
    j->parts = calloc((size_t)j->n, sizeof *j->parts);
    WF_CHECK(j->parts, WF_AGAIN, "out of memory for %d shards", j->n);
    for (int i = 0; i < count; i++)
        WF_TRY(place_input(j, &inputs[i], shard));
    WF_TRY(check_complete(j));
    j->meta = wf_records_input_meta(j->parts[0].in);
    j->stores = j->parts[0].in->store != NULL;
    for (int i = 0; i < j->n; i++)
        j->parts[i].used = true; /* nothing was read */
    return j->stores ? check_stores(j) : WF_OK;
}

int wf_join_create(const wf_records_input *inputs, int count, wf_join **out)
{
    wf_join *j = calloc(1, sizeof *j);
    WF_CHECK(j, WF_AGAIN, "out of memory for %d shards", count);
    int status = open_join(j, inputs, count);
    if (status)
        wf_join_destroy(j);
    else
        *out = j;
    return status;
}

void wf_join_destroy(wf_join *j)
{
    if (!j)
        return;
    free(j->parts);
    free(j->low);
    free(j->detail);
    free(j->index);
    free(j->names);
    free(j->from);
    free(j->at);
    wf_names_clear(&j->own);
    free(j);
}

/* pointer: the address of any pointer */
static int grow(void *pointer, int64_t n, size_t size)
{
    void *block;
    memcpy(&block, pointer, sizeof block);
    block = realloc(block, (size_t)n * size);
    WF_CHECK(block, WF_AGAIN, "out of memory for %lld pictures", (long long)n);
    memcpy(pointer, &block, sizeof block);
    return WF_OK;
}

/* Makes room for n pictures of the highest level, which takes most. */
static int reserve(wf_join *j, int64_t n)
{
    wf_level_shape s = wf_meta_level(j->meta, j->meta->top);
    size_t pixels = (size_t)s.H * (size_t)s.W;
    if (n <= j->room)
        return WF_OK;
    WF_TRY(grow(&j->low, n, pixels * (size_t)s.C * sizeof *j->low));
    WF_TRY(grow(&j->detail, n, pixels * (size_t)s.K * sizeof *j->detail));
    WF_TRY(grow(&j->index, n, sizeof *j->index));
    WF_TRY(grow(&j->names, n, sizeof *j->names));
    WF_TRY(grow(&j->from, n, sizeof *j->from));
    WF_TRY(grow(&j->at, n, sizeof *j->at));
    j->room = n;
    return WF_OK;
}

/* -- streams ------------------------------------------------------------------------------------------------------- */

/* Reads the next record of the streams whose last one was joined. */
static int read_heads(wf_join *j)
{
    for (part *p = j->parts; p < j->parts + j->n; p++) {
        bool more;
        if (!p->used)
            continue;
        p->used = false;
        p->taken = 0;
        WF_TRY(wf_reader_next(p->in->reader, &p->head, &more));
        if (!more)
            p->head = (wf_record){0};
        WF_CHECK(
            !more || p->head.each, WF_DATA,
            "%s: records that do not say which batch they are of: make a store of each shard by wf-view -o, and join "
            "the stores",
            p->in->name);
    }
    return WF_OK;
}

/* Finds the streams whose heads are of the lowest batch, and marks them as used. Returns one; NULL: all ended. */
static const part *choose_heads(wf_join *j)
{
    const part *lowest = NULL;
    for (part *p = j->parts; p < j->parts + j->n; p++)
        if (p->head.N && (!lowest || p->head.batch < lowest->head.batch))
            lowest = p;
    for (part *p = j->parts; p < j->parts + j->n; p++)
        p->used = p->head.N && p->head.batch == lowest->head.batch;
    return lowest;
}

/* WF_DATA unless the heads in use are all pictures of one batch, which follows on the last one, or has more levels or
 * draws of it. */
static int check_batch(wf_join *j, const part *lowest)
{
    const wf_record *r = &lowest->head;
    int64_t places = 0;
    for (const part *p = j->parts; p < j->parts + j->n; p++)
        places += p->used ? p->head.N / p->head.each : 0;
    bool again = r->batch == j->first && places == j->places;
    WF_CHECK(again || r->batch == j->first + j->places, WF_DATA,
             "%s: a batch from place %lld on, want %lld: shards lack pictures", lowest->in->name, (long long)r->batch,
             (long long)(j->first + j->places));
    for (int i = 0; i < j->n; i++) {
        const part *p = &j->parts[i];
        int64_t want = wf_shard_count((wf_shard){i + 1, j->n}, r->batch, r->batch + places),
                have = p->used ? p->head.N / p->head.each : 0;
        WF_CHECK(have == want && (!have || (p->head.each == r->each && p->head.level == r->level)), WF_DATA,
                 "%s: %lld of the %lld pictures from place %lld on, want %lld at level %d, %d each", p->in->name,
                 (long long)have, (long long)places, (long long)r->batch, (long long)want, r->level, r->each);
    }
    j->first = r->batch;
    j->places = places;
    return WF_OK;
}

/* Copies the pictures of the next place of a shard. */
static void take_place(wf_join *j, part *p)
{
    const wf_record *r = &p->head;
    wf_level_shape s = wf_meta_level(j->meta, r->level);
    size_t pixels = (size_t)s.H * (size_t)s.W, lows = pixels * (size_t)s.C, details = pixels * (size_t)s.K;
    size_t from = (size_t)p->taken, to = (size_t)j->N, n = (size_t)r->each;
    if (r->low)
        memcpy(j->low + to * lows, r->low + from * lows, n * lows * sizeof *j->low);
    if (r->detail)
        memcpy(j->detail + to * details, r->detail + from * details, n * details * sizeof *j->detail);
    memcpy(j->index + to, r->index + from, n * sizeof *j->index);
    for (size_t i = 0; i < n; i++)
        j->names[to + i] = r->names ? r->names[from + i] : NULL;
    p->taken += r->each;
    j->N += r->each;
}

static int next_of_streams(wf_join *j, wf_record *record, bool *more)
{
    WF_TRY(read_heads(j));
    const part *lowest = choose_heads(j);
    *more = lowest != NULL;
    if (!lowest)
        return WF_OK;
    WF_TRY(check_batch(j, lowest));
    WF_TRY(reserve(j, j->places * lowest->head.each));
    j->N = 0;
    bool named = false;
    for (int64_t place = j->first; place < j->first + j->places; place++) {
        part *p = &j->parts[place % j->n];
        take_place(j, p);
        named = named || p->head.names;
    }
    const wf_record *r = &lowest->head;
    *record = (wf_record){.level = r->level,
                          .N = j->N,
                          .low = r->low ? j->low : NULL,
                          .detail = r->detail ? j->detail : NULL,
                          .index = j->index,
                          .names = named ? j->names : NULL};
    return WF_OK;
}

/* -- stores -------------------------------------------------------------------------------------------------------- */

static uint64_t next_number(const part *p)
{
    return wf_store_number(p->in->store, p->taken);
}

/* Chooses the pictures of the next batch, in the order of their indices. */
static int choose_pictures(wf_join *j, int rows)
{
    for (j->N = 0; j->N < rows; j->N++) {
        part *lowest = NULL;
        for (part *p = j->parts; p < j->parts + j->n; p++)
            if (p->taken < wf_store_count(p->in->store) && (!lowest || next_number(p) < next_number(lowest)))
                lowest = p;
        if (!lowest)
            return WF_OK;
        for (const part *p = j->parts; p < j->parts + j->n; p++)
            WF_CHECK(p == lowest || p->taken == wf_store_count(p->in->store) || next_number(p) != next_number(lowest),
                     WF_DATA, "%s and %s: both have picture %llu", lowest->in->name, p->in->name,
                     (unsigned long long)next_number(p));
        j->from[j->N] = lowest;
        j->at[j->N] = lowest->taken++;
    }
    return WF_OK;
}

static int load_names(wf_join *j)
{
    j->own.count = j->own.used = 0;
    for (int64_t n = 0; n < j->N; n++) {
        const char *const *one, *name;
        WF_TRY(wf_store_names(j->from[n]->in->store, j->at[n], 1, &one));
        name = one && one[0] ? one[0] : "";
        WF_TRY(wf_names_add(&j->own, name, strlen(name)));
    }
    return wf_names_table(&j->own, &j->table);
}

static int next_of_stores(wf_join *j, wf_record *record, bool *more)
{
    int rows = wf_pyramid_rows(j->meta, j->meta->top);
    WF_TRY(reserve(j, rows));
    if (!j->N || j->level > j->meta->top) {
        WF_TRY(choose_pictures(j, rows));
        WF_TRY(load_names(j));
        j->level = 0;
    }
    *more = j->N > 0;
    if (!j->N)
        return WF_OK;
    while (!wf_store_has_level(j->from[0]->in->store, j->level))
        j->level++;
    wf_level_shape s = wf_meta_level(j->meta, j->level);
    size_t pixels = (size_t)s.H * (size_t)s.W;
    for (int64_t n = 0; n < j->N; n++)
        WF_TRY(wf_store_get(j->from[n]->in->store, j->level, j->at[n], j->low + (size_t)n * pixels * (size_t)s.C,
                            j->detail + (size_t)n * pixels * (size_t)s.K, &j->index[n]));
    *record = (wf_record){.level = j->level,
                          .N = j->N,
                          .low = j->low,
                          .detail = j->level ? j->detail : NULL,
                          .index = j->index,
                          .names = j->table};
    j->level++;
    return WF_OK;
}

int wf_join_next(wf_join *j, wf_record *record, bool *more)
{
    return j->stores ? next_of_stores(j, record, more) : next_of_streams(j, record, more);
}
