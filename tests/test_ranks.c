/* Ranks: sums in one order, failures that all agree on, and trainings that do not depend on the number of ranks. */
#include "ranks.h"

#include "../lib/base/safetensors.h"
#include "training.h"

/* -- sums ---------------------------------------------------------------------------------------------------------- */

enum { VECTOR = 1000, PIECES = 7 };
static const size_t piece_ends[PIECES + 1] = {0, 1, 18, 250, 251, 600, 993, VECTOR};

typedef struct summing {
    float own[HUB_MOST][VECTOR], sums[HUB_MOST][VECTOR];
    size_t bucket;
    int pieces[HUB_MOST];
} summing;

typedef struct sink_of {
    summing *all;
    int rank;
} sink_of;

static int take_sum(void *user, size_t offset, size_t count, const void *sum)
{
    const sink_of *s = user;
    memcpy(s->all->sums[s->rank] + offset, sum, count * sizeof(float));
    s->all->pieces[s->rank]++;
    return WF_OK;
}

static void sum_twice(wf_ranks *ranks, int rank, void *user)
{
    summing *all = user;
    sink_of to = {all, rank};
    wf_sums *s;
    bool speaks;
    void *room;
    cr_assert_eq(wf_sums_create(ranks, sizeof(float), all->bucket, take_sum, &to, &s), 0);
    for (int round = 0; round < 2; round++) {
        memset(all->sums[rank], 0, sizeof all->sums[rank]);
        for (int i = PIECES - 1; i >= 0; i--) { /* as a backward pass: the last parameters first */
            size_t at = piece_ends[i], n = piece_ends[i + 1] - at;
            cr_assert_eq(wf_sums_room(s, at, n, &room), 0, "%s", wf_error());
            memcpy(room, all->own[rank] + at, n * sizeof(float));
            cr_assert_eq(wf_sums_add(s), 0, "%s", wf_error());
        }
        cr_assert_eq(wf_sums_finish(s), 0, "%s", wf_error());
    }
    wf_sums_destroy(s);
    cr_assert_eq(wf_ranks_agree(ranks, WF_OK, &speaks), WF_OK, "%s", wf_error());
    wf_ranks_close(ranks);
}

static void check_sums(int count, size_t bucket, int lagging)
{
    summing *all = calloc(1, sizeof *all);
    all->bucket = bucket;
    for (int r = 0; r < count; r++)
        for (int i = 0; i < VECTOR; i++)
            all->own[r][i] = (float)((r + 1) * 0.1 + i * 1e-3 + (i % 7 == r ? 1e6 : 0)); /* where the order counts */
    run_ranks(count, lagging, sum_twice, all);
    for (int r = 0; r < count; r++) {
        cr_expect_eq(all->pieces[r], 2 * PIECES);
        for (int i = 0; i < VECTOR; i++) {
            double sum = 0;
            for (int k = 0; k < count; k++)
                sum += (double)all->own[k][i];
            cr_assert_eq(all->sums[r][i], (float)sum, "%d ranks, bucket %zu: rank %d has %.9g at %d, not %.9g", count,
                         bucket, r, (double)all->sums[r][i], i, (double)(float)sum);
        }
    }
    free(all);
}

Test(ranks, sums_are_those_in_the_order_of_the_ranks, .timeout = 60)
{
    static const size_t buckets[] = {4, 256, 1500, 0};
    for (int count = 1; count <= HUB_MOST; count++)
        for (int i = 0; i < 4; i++)
            check_sums(count, buckets[i], 2 * i);
}

/* -- failures ------------------------------------------------------------------------------------------------------ */

typedef struct ending {
    int failure[HUB_MOST], status[HUB_MOST];
    bool speaks[HUB_MOST];
} ending;

static void end_with(wf_ranks *ranks, int rank, void *user)
{
    ending *e = user;
    int status = e->failure[rank];
    if (!status) {
        status = wf_ranks_meet(ranks); /* which the others do not come to */
        cr_expect_eq(status, WF_AGAIN, "rank %d: %s", rank, wf_error());
    }
    e->status[rank] = wf_ranks_agree(ranks, status, &e->speaks[rank]);
    wf_ranks_close(ranks);
}

static void check_ending(int count, const ending *start, int status, int speaker)
{
    ending e = *start;
    run_ranks(count, 3, end_with, &e);
    for (int r = 0; r < count; r++) {
        cr_expect_eq(e.status[r], status, "rank %d of %d ends with %d", r, count, e.status[r]);
        cr_expect_eq(e.speaks[r], r == speaker, "rank %d of %d: %d", r, count, e.speaks[r]);
    }
}

Test(ranks, all_end_with_the_failure_of_the_lowest_that_has_one, .timeout = 60)
{
    check_ending(3, &(ending){.failure = {0, WF_DATA, 0}}, WF_DATA, 1);
    check_ending(4, &(ending){.failure = {0, 0, WF_NOINPUT, WF_DATA}}, WF_NOINPUT, 2);
    check_ending(2, &(ending){.failure = {WF_AGAIN, 0}}, WF_AGAIN, 0);
    check_ending(2, &(ending){.failure = {WF_USAGE, WF_USAGE}}, WF_USAGE, 0);
}

/* A sum that fails on rank 1, and what each rank knows then. */
typedef struct sum_end {
    ending end;
    bool sink_fails, leaves;
    int own[HUB_MOST];
    bool keeps[HUB_MOST]; /* memory that a call may use */
} sum_end;

enum { LAST_PIECE = 20 }; /* summed in wf_sums_finish */

typedef struct sum_rank {
    const sum_end *all;
    int rank;
} sum_rank;

static int refuse_sum(void *user, size_t offset, size_t count, const void *sum)
{
    const sum_rank *s = user;
    (void)count, (void)sum;
    return s->all->sink_fails && s->rank == 1 && offset == LAST_PIECE ? wf_fail(WF_INTERNAL, "the sink refuses")
                                                                      : WF_OK;
}

/* Sums pieces that come slowly, so that the thread has them first. */
static int sum_slowly(wf_sums *s, bool leaves)
{
    const struct timespec pause = {0, 20000000};
    void *room;
    for (size_t at = 0; at <= LAST_PIECE; at += 10) {
        WF_TRY(wf_sums_room(s, at, 10, &room));
        memset(room, 0, 10 * sizeof(float));
        WF_TRY(wf_sums_add(s));
        WF_CHECK(!leaves, WF_DATA, "a failure between two pieces");
        nanosleep(&pause, NULL);
    }
    return wf_sums_finish(s);
}

static void fail_sum(wf_ranks *ranks, int rank, void *user)
{
    sum_end *e = user;
    sum_rank of = {e, rank};
    wf_sums *s;
    cr_assert_eq(wf_sums_create(ranks, sizeof(float), 4, refuse_sum, &of, &s), 0);
    if (e->leaves && rank == 0) /* rank 1 leaves before */
        nanosleep(&(struct timespec){0, 100000000}, NULL);
    int status = sum_slowly(s, e->leaves && rank == 1);
    wf_sums_destroy(s);
    e->own[rank] = status ? status : wf_ranks_meet(ranks);
    e->keeps[rank] = ranks->kept_count > 0;
    e->end.status[rank] = wf_ranks_agree(ranks, e->own[rank], &e->end.speaks[rank]);
    wf_ranks_close(ranks);
}

static void check_sum_end(sum_end e, bool fails, int status)
{
    hub *h = calloc(1, sizeof *h);
    h->count = 3;
    h->fails = fails;
    h->lagging = fails ? 0 : 2;
    run_hub(h, fail_sum, &e);
    cr_expect_eq(e.own[1], status, "rank 1: %d", e.own[1]);
    cr_expect(e.keeps[1]);
    for (int r = 0; r < 3; r++) {
        cr_expect_eq(e.end.status[r], status, "rank %d ends with %d", r, e.end.status[r]);
        cr_expect_eq(e.end.speaks[r], fails ? r == 0 : r == 1, "rank %d: %d", r, e.end.speaks[r]);
    }
}

/* An optimizer or device that fails on one rank is the failure of all, although the others are waited for. */
Test(ranks, a_sum_fails_with_the_status_of_its_sink, .timeout = 60)
{
    check_sum_end((sum_end){.sink_fails = true}, false, WF_INTERNAL);
}

Test(ranks, a_sum_that_is_left_keeps_the_memory_of_its_calls, .timeout = 60)
{
    check_sum_end((sum_end){.leaves = true}, false, WF_DATA);
}

Test(ranks, a_sum_fails_with_the_thread_that_moves_it, .timeout = 60)
{
    check_sum_end((sum_end){0}, true, WF_AGAIN);
}

/* -- training ------------------------------------------------------------------------------------------------------ */

typedef struct trained {
    wf_model model;
    wf_store *store;
    wf_train_options options;
    const char *backend;
    run watched[HUB_MOST];
    int status[HUB_MOST];
    int other_batch; /* of rank 1; 0: the same */
    char error[512]; /* of the rank that speaks */
} trained;

static void train_rank(wf_ranks *ranks, int rank, void *user)
{
    trained *t = user;
    wf_backend *b = open_backend(t->backend);
    wf_train_options o = t->options;
    bool speaks;
    o.ranks = ranks;
    if (rank == 1 && t->other_batch)
        o.batch = t->other_batch;
    int status = wf_train(&t->model, b, t->store, t->store, &o, watch, &t->watched[rank]);
    char error[512];
    snprintf(error, sizeof error, "%s", wf_error());
    t->status[rank] = wf_ranks_agree(ranks, status, &speaks);
    wf_ranks_close(ranks);
    if (speaks && status)
        strcpy(t->error, error);
    b->close(b);
}

/* Trains in `folder` on ranks, which share the store. */
static void train_ranks(int count, const char *folder, trained *t)
{
    cr_assert_eq(wf_model_create(scratch_path(folder), wf_store_meta(t->store), &t->model), 0, "%s", wf_error());
    run_ranks(count, 2, train_rank, t);
    wf_model_clear(&t->model);
}

static trained begin(const char *backend, int level)
{
    scratch_make();
    wf_backend *b = open_backend("cpu");
    trained t = {.options = small_options(level), .backend = backend};
    store_planes(b, scratch_path("store"), 40, 8, 3);
    b->close(b);
    cr_assert_eq(wf_store_open(scratch_path("store"), &t.store), 0, "%s", wf_error());
    t.options.steps = 20;
    t.options.validate_every = 10;
    return t;
}

static void end(trained *t)
{
    wf_store_close(t->store);
    scratch_remove();
}

static void load_state(const char *folder, int level, wf_safetensors *st)
{
    char name[64];
    *st = (wf_safetensors){0};
    snprintf(name, sizeof name, "%s/level-%02d.state.safetensors", folder, level);
    cr_assert_eq(wf_safetensors_load(scratch_path(name), st), 0, "%s", wf_error());
}

static double real_at(const wf_tensor *t, size_t i)
{
    return t->dtype == WF_F64 ? ((const double *)t->data)[i] : (double)((const float *)t->data)[i];
}

/* The largest difference of the weights of two trainings, relative to the largest weight. */
static double weights_differ(const char *a, const char *b, int level)
{
    wf_safetensors x, y;
    double most = 0, scale = 0;
    load_state(a, level, &x);
    load_state(b, level, &y);
    const wf_tensor *w = wf_safetensors_find(&x, "w"), *v = wf_safetensors_find(&y, "w");
    cr_assert(w && v && w->bytes == v->bytes);
    for (int64_t i = 0; i < w->shape[0]; i++) {
        most = fmax(most, fabs(real_at(w, (size_t)i) - real_at(v, (size_t)i)));
        scale = fmax(scale, fabs(real_at(w, (size_t)i)));
    }
    wf_safetensors_clear(&x);
    wf_safetensors_clear(&y);
    return most / scale;
}

/* True if the files of two trainings are the same, byte by byte. */
static bool same_file(const char *a, const char *b, const char *file)
{
    char first[96], second[96];
    size_t n, m;
    snprintf(first, sizeof first, "%s/%s", a, file);
    snprintf(second, sizeof second, "%s/%s", b, file);
    char *x = scratch_read(scratch_path(first), &n), *y = scratch_read(scratch_path(second), &m);
    bool same = x && y && n == m && !memcmp(x, y, n);
    free(x);
    free(y);
    return same;
}

/* The reference computes in double precision, where only the order of sums is left to differ. */
Test(ranks, weights_do_not_depend_on_their_number, .timeout = 300)
{
    static const int counts[] = {2, 3, 4};
    trained t = begin("ref", 2);
    train_ranks(1, "m1", &t);
    for (int i = 0; i < 3; i++) {
        char folder[8];
        snprintf(folder, sizeof folder, "m%d", counts[i]);
        train_ranks(counts[i], folder, &t);
        for (int r = 0; r < counts[i]; r++)
            cr_expect_eq(t.status[r], 0, "%d ranks: rank %d ends with %d: %s", counts[i], r, t.status[r], t.error);
        cr_expect_lt(weights_differ("m1", folder, 2), 1e-12, "%d ranks: %g", counts[i],
                     weights_differ("m1", folder, 2));
        for (int r = 0; r < counts[i]; r++)
            cr_expect_float_eq(t.watched[r].last, t.watched[0].last, 0, "rank %d knows another result", r);
    }
    end(&t);
}

/* A step of Muon takes matrices apart, whose gradients come in pieces. */
Test(ranks, take_the_same_steps_with_muon, .timeout = 300)
{
    trained t = begin("ref", 2);
    t.options.optimizer = "muon";
    train_ranks(1, "one", &t);
    train_ranks(3, "three", &t);
    cr_expect_eq(t.status[2], 0, "%s", t.error);
    cr_expect_lt(weights_differ("one", "three", 2), 1e-9, "%g", weights_differ("one", "three", 2));
    t.backend = "cpu";
    train_ranks(3, "a", &t);
    train_ranks(3, "b", &t);
    cr_expect_eq(weights_differ("a", "b", 2), 0, "%g", weights_differ("a", "b", 2));
    end(&t);
}

Test(ranks, give_the_same_bits_run_after_run, .timeout = 300)
{
    trained t = begin("cpu", 3);
    t.options.steps = 12;
    train_ranks(3, "a", &t);
    train_ranks(3, "b", &t);
    train_ranks(1, "one", &t);
    cr_expect_eq(weights_differ("a", "b", 3), 0, "%g", weights_differ("a", "b", 3));
    cr_expect(same_file("a", "b", "level-03.safetensors"));
    cr_expect_lt(weights_differ("a", "one", 3), 1e-6, "%g", weights_differ("a", "one", 3));
    end(&t);
}

/* Patches with a margin and flips depend on the place in the whole batch. */
Test(ranks, divide_patches_and_a_batch_that_they_do_not_divide, .timeout = 300)
{
    trained t = begin("ref", 3);
    t.options.steps = 8;
    t.options.batch = 7;
    t.options.patch = 4;
    t.options.margin = 1;
    train_ranks(1, "one", &t);
    train_ranks(3, "three", &t);
    cr_expect_lt(weights_differ("one", "three", 3), 1e-12, "%g", weights_differ("one", "three", 3));
    end(&t);
}

Test(ranks, another_number_resumes, .timeout = 300)
{
    trained t = begin("ref", 2);
    train_ranks(1, "straight", &t);
    t.options.steps = 11;
    train_ranks(3, "parts", &t);
    t.options.steps = 20;
    train_ranks(2, "parts", &t);
    cr_expect_lt(weights_differ("straight", "parts", 2), 1e-12, "%g", weights_differ("straight", "parts", 2));
    end(&t);
}

/* A level that begins with the weights of another: its first weights are these, and all ranks go on from them alike. */
Test(ranks, begin_with_another_level, .timeout = 300)
{
    trained t = begin("ref", 2);
    wf_model near;
    train_ranks(1, "near", &t);
    cr_assert_eq(t.status[0], 0, "%s", t.error);
    cr_assert_eq(wf_model_open(scratch_path("near"), &near), 0, "%s", wf_error());
    t.options.level = 3;
    t.options.init = &near;
    t.options.init_level = 2;
    train_ranks(1, "one", &t);
    cr_expect_eq(t.status[0], 0, "%s", t.error);
    train_ranks(3, "three", &t);
    for (int r = 0; r < 3; r++)
        cr_expect_eq(t.status[r], 0, "rank %d ends with %d: %s", r, t.status[r], t.error);
    cr_expect_lt(weights_differ("one", "three", 3), 1e-12, "%g", weights_differ("one", "three", 3));
    wf_model_clear(&near);
    end(&t);
}

/* One rank is asked to stop: all stop after one step, with 75, and go on from it. */
Test(ranks, stop_together, .timeout = 300)
{
    trained t = begin("ref", 2);
    train_ranks(1, "straight", &t);
    t.watched[1].stop_at = 5;
    train_ranks(2, "stopped", &t);
    cr_expect_eq(t.status[0], WF_AGAIN);
    cr_expect_eq(t.status[1], WF_AGAIN);
    cr_expect(strstr(t.error, "interrupted at step 6;"), "%s", t.error);
    t.watched[1].stop_at = 0;
    train_ranks(2, "stopped", &t);
    cr_expect_eq(t.status[0], 0, "%s", t.error);
    cr_expect_lt(weights_differ("straight", "stopped", 2), 1e-12);
    end(&t);
}

Test(ranks, leave_out_the_same_batches, .timeout = 300)
{
    trained t = begin("cpu", 2);
    t.options.lr = 1000; /* diverges */
    t.options.warmup = 0;
    t.options.steps = 400;
    t.options.validate_every = 10000;
    train_ranks(2, "model", &t);
    cr_expect_eq(t.status[0], WF_INTERNAL, "%d", t.status[0]);
    cr_expect_eq(t.status[1], WF_INTERNAL, "%d", t.status[1]);
    cr_expect_gt(t.watched[0].skipped, 10);
    cr_expect_eq(t.watched[0].skipped, t.watched[1].skipped);
    cr_expect(strstr(t.error, "batches without finite gradients"), "%s", t.error);
    end(&t);
}

Test(ranks, refuse_other_options, .timeout = 60)
{
    trained t = begin("cpu", 2);
    t.other_batch = 8;
    train_ranks(3, "model", &t);
    for (int r = 0; r < 3; r++)
        cr_expect_eq(t.status[r], WF_USAGE, "rank %d: %d", r, t.status[r]);
    cr_expect_str_eq(t.error, "rank 1 has --batch 8, rank 0 16: all need the same");
    t.other_batch = 0;
    t.options.batch = 2;
    train_ranks(3, "model", &t);
    cr_expect_eq(t.status[2], WF_USAGE);
    cr_expect(strstr(t.error, "a batch of 2 for 3 ranks: give --batch 3 or more"), "%s", t.error);
    end(&t);
}

/* A validation of none has no last batch, whose round trip is measured. */
Test(ranks, refuse_a_validation_of_no_picture, .timeout = 60)
{
    trained t = begin("cpu", 2);
    t.options.validate_on = 0;
    train_ranks(1, "one", &t);
    cr_expect_eq(t.status[0], WF_DATA, "%d", t.status[0]);
    train_ranks(2, "two", &t);
    cr_expect_eq(t.status[0], WF_DATA, "%d", t.status[0]);
    cr_expect(strstr(t.error, "no picture"), "%s", t.error);
    end(&t);
}
