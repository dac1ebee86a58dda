/* test_patches.c - patches with a margin: their shares add up to the whole, and minibatches hold the pixels they
 * name */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "../lib/train/minibatch.h"
#include "../lib/flow/flow.h"
#include "scratch.h"

enum { SIDE = 12, PATCH = 4, K = 3, C = 2, MOST = 4096 };
static const char chain[] =
    "2*(actnorm, conv1x1, affine:width=3:blocks=1), actnorm"; /* its networks see 4 pixels in every direction */

static double number(uint64_t i)
{
    return (double)wf_shuffle(7, 0, 1 << 20, (int64_t)i) / (1 << 19) - 1;
}

/* A field of the picture as a flow takes it, with its log density and the density's gradient by the parameters. */
typedef struct part {
    double x[SIDE * SIDE * K], cond[SIDE * SIDE * C], weight[SIDE * SIDE], density, grads[MOST];
} part;

static int add_grads(void *user, size_t offset, size_t count, const wf_real *grads)
{
    for (size_t i = 0; i < count; i++)
        ((double *)user)[offset + i] += ((const double *)grads)[i];
    return WF_OK;
}

static void run(wf_backend *b, const wf_window *field, const wf_window *patch, part *p)
{
    double params[MOST], density;
    for (int y = 0; y < field->h; y++)
        for (int x = 0; x < field->w; x++) {
            int i = y * field->w + x, row = y + field->y, column = x + field->x;
            for (int k = 0; k < K; k++)
                p->x[i * K + k] = number((uint64_t)((row * SIDE + column) * K + k));
            for (int c = 0; c < C; c++)
                p->cond[i * C + c] = number((uint64_t)(5000 + (row * SIDE + column) * C + c));
            p->weight[i] =
                row >= patch->y && row < patch->y + patch->h && column >= patch->x && column < patch->x + patch->w;
        }
    wf_flow_spec spec = {1, field->h, field->w, K, C, 3, WF_FP32, WF_MEMORY_REVERSIBLE, WF_PICTURE, 0, 0, 0};
    wf_flow *f;
    cr_assert_eq(wf_flow_create(b, chain, &spec, &f), WF_OK, "%s", wf_error());
    cr_assert_leq(wf_flow_size(f), MOST);
    for (size_t i = 0; i < wf_flow_size(f); i++)
        params[i] = 0.3 * number(9000 + i);
    cr_assert_eq(wf_flow_weigh(f, (wf_real *)p->weight, patch->h * patch->w), WF_OK);
    cr_assert_eq(wf_flow_forward(f, (wf_real *)params, (wf_real *)p->x, (wf_real *)p->cond), WF_OK);
    cr_assert_eq(wf_flow_log_density(f, &density), WF_OK);
    cr_assert_eq(wf_flow_backward(f, (wf_real *)params, (wf_real *)p->cond, 1, add_grads, p->grads, NULL, NULL), WF_OK);
    p->density += density;
    wf_flow_destroy(f);
}

/* Largest difference between the whole picture and the sum of its patches, each seen with `context` pixels around
 * it. */
static double difference(int context)
{
    static part whole, parts;
    wf_backend *b;
    wf_window all = {0, 0, SIDE, SIDE};
    memset(&whole, 0, sizeof whole);
    memset(&parts, 0, sizeof parts);
    cr_assert_eq(wf_ref_open(1, &b), WF_OK);
    run(b, &all, &all, &whole);
    for (int y = 0; y < SIDE; y += PATCH)
        for (int x = 0; x < SIDE; x += PATCH) {
            int top = y < context ? 0 : y - context, left = x < context ? 0 : x - context;
            int bottom = y + PATCH + context < SIDE ? y + PATCH + context : SIDE;
            int right = x + PATCH + context < SIDE ? x + PATCH + context : SIDE;
            wf_window field = {top, left, bottom - top, right - left}, patch = {y, x, PATCH, PATCH};
            run(b, &field, &patch, &parts);
        }
    double worst = fabs(whole.density - parts.density);
    for (int i = 0; i < MOST; i++)
        worst = fmax(worst, fabs(whole.grads[i] - parts.grads[i]));
    b->close(b);
    return worst;
}

/* The sum is exact with the margin that the networks see, and off with a smaller one or none. */
Test(patches, shares_add_up_to_the_whole)
{
    double exact = difference(4), less = difference(3), none = difference(0);
    cr_assert_lt(exact, 1e-9, "%g", exact);
    cr_assert_gt(less, 1e-6, "%g", less);
    cr_assert_gt(none, 1e-2, "%g", none);
}

TestSuite(batches, .init = scratch_make, .fini = scratch_remove);

/* A store of one picture whose values encode their place: low is 1000 y + x, detail is 1000 y + x + band / 4. */
static wf_store *store_of_places(int H, int W)
{
    wf_meta m = {.wavelet = "haar", .levels = 1, .top = 1, .H = 2 * H, .W = 2 * W, .C = 1, .bits = 8};
    float *low = malloc((size_t)(H * W) * 4 * sizeof *low), *detail = low + H * W;
    uint64_t index = 0;
    wf_store *store;
    wf_store_writer *writer;
    int64_t count;
    for (int i = 0; i < H * W; i++) {
        low[i] = (float)(1000 * (i / W) + i % W);
        for (int k = 0; k < 3; k++)
            detail[3 * i + k] = low[i] + (float)k / 4;
    }
    wf_record base = {.level = 0, .N = 1, .low = low, .index = &index};
    wf_record record = {.level = 1, .N = 1, .low = low, .detail = detail, .index = &index};
    cr_assert_eq(wf_store_writer_create(scratch_path("s"), &m, false, &writer, &count), WF_OK, "%s", wf_error());
    cr_assert(!wf_store_writer_put(writer, &base) && !wf_store_writer_put(writer, &record) &&
                  !wf_store_writer_seal(writer),
              "%s", wf_error());
    wf_store_writer_close(writer);
    free(low);
    cr_assert_eq(wf_store_open(scratch_path("s"), &store), WF_OK, "%s", wf_error());
    return store;
}

/* The pixels of a field are neighbours. The weights mark the patch, which has its full margin except at the picture's
 * border. Pixels near the border count as often as others. */
Test(batches, context)
{
    enum { H = 90, W = 75, P = 16, AROUND = 7, N = 64, F = P + 2 * AROUND, STEPS = 40 };
    wf_store *store = store_of_places(H, W);
    wf_minibatch with;
    int borders = 0, mirrored = 0, outer = 0;
    cr_assert_eq(wf_minibatch_create(store, 1, N, F, AROUND, true, 5, &with), WF_OK, "%s", wf_error());
    cr_assert(with.H == F && with.W == F && wf_minibatch_counted(&with) == P * P);
    for (int64_t step = 0; step < STEPS; step++) {
        cr_assert_eq(wf_minibatch_load(&with, step), WF_OK, "%s", wf_error());
        for (int n = 0; n < N; n++) {
            const float *low = with.low + n * F * F, *detail = with.detail + n * F * F * 3,
                        *weight = with.weight + n * F * F;
            bool flipped = low[1] < low[0];
            int counted = 0, top = -1, left = -1;
            for (int i = 0; i < F * F; i++) {
                float place = low[0] + (float)(1000 * (i / F)) + (float)(flipped ? -(i % F) : i % F);
                float sign = flipped ? -1 : 1;
                cr_assert(low[i] == place && detail[3 * i] == sign * place && detail[3 * i + 1] == place + 0.25f &&
                          detail[3 * i + 2] == sign * (place + 0.5f));
                if (weight[i] != 1)
                    continue;
                top = top < 0 ? i / F : top;
                left = left < 0 ? i % F : left;
                int row = (int)place / 1000;
                outer += row < P || row >= H - P;
                counted++;
            }
            cr_assert_eq(counted, P * P);
            int y = (int)low[0] / 1000, x = (int)(flipped ? low[F - 1] : low[0]) % 1000;
            int before = flipped ? F - P - left : left;
            cr_assert(top == AROUND || (top < AROUND ? y == 0 : y == H - F));
            cr_assert(before == AROUND || (before < AROUND ? x == 0 : x == W - F));
            borders += top != AROUND || before != AROUND;
            mirrored += flipped;
        }
    }
    double share = (double)outer / ((double)STEPS * N * P * P);
    cr_assert(fabs(share - 2.0 * P / H) < 0.03, "%g of the counted pixels near a border", share);
    cr_assert(borders > N * STEPS / 4 && mirrored > N * STEPS / 3 && mirrored < N * STEPS * 2 / 3);
    wf_minibatch_clear(&with);
    wf_store_close(store);
}

/* Patches without a margin begin at every position equally often, the first and the last included. The count at one of
 * p positions after n draws has deviation sqrt(n/p). */
Test(batches, positions_are_uniform)
{
    enum { H = 10, W = 13, P = 6, N = 64, STEPS = 100, DRAWS = N * STEPS };
    wf_store *store = store_of_places(H, W);
    wf_minibatch b;
    int rows[H] = {0}, columns[W] = {0};
    cr_assert_eq(wf_minibatch_create(store, 1, N, P, 0, false, 5, &b), WF_OK, "%s", wf_error());
    for (int64_t step = 0; step < STEPS; step++) {
        cr_assert_eq(wf_minibatch_load(&b, step), WF_OK, "%s", wf_error());
        for (int n = 0; n < N; n++) {
            int first = (int)b.low[n * P * P];
            rows[first / 1000]++;
            columns[first % 1000]++;
        }
    }
    for (int y = 0; y < H; y++) {
        double want = y <= H - P ? DRAWS / (H - P + 1.0) : 0;
        cr_expect(fabs(rows[y] - want) <= 5 * sqrt(want), "row %d begins %d patches, want %g", y, rows[y], want);
    }
    for (int x = 0; x < W; x++) {
        double want = x <= W - P ? DRAWS / (W - P + 1.0) : 0;
        cr_expect(fabs(columns[x] - want) <= 5 * sqrt(want), "column %d begins %d patches, want %g", x, columns[x],
                  want);
    }
    wf_minibatch_clear(&b);
    wf_store_close(store);
}
