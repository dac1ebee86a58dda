/* map.c - feature maps: their layout, pack and unpack, and the gradient of relu */
#include "lanes.h"

wf_cpu_layout wf_cpu_layout_of(const wf_cpu *cpu, const wf_map_shape *shape)
{
    wf_cpu_layout l;
    l.pixels = (size_t)shape->H * (size_t)shape->W;
    l.blocked = l.pixels > 4;
    l.bf16 = l.blocked && cpu->base.bf16 && shape->precision == WF_BF16;
    l.nhwc = l.bf16 && cpu->nhwc;
    l.channels = l.blocked ? (shape->C + cpu->block - 1) / cpu->block * cpu->block : shape->C;
    l.block = l.blocked && !l.nhwc ? cpu->block : l.channels;
    l.count = (size_t)shape->N * l.pixels * (size_t)l.channels;
    return l;
}

static size_t map_bytes(wf_backend *b, const wf_map_shape *shape)
{
    wf_cpu_layout l = wf_cpu_layout_of((wf_cpu *)b, shape);
    return l.count * (l.bf16 ? sizeof(uint16_t) : sizeof(float));
}

size_t wf_cpu_block_offset(const wf_cpu_layout *l, int n, int block)
{
    return ((size_t)n * (size_t)(l->channels / l->block) + (size_t)block) * l->pixels * (size_t)l->block;
}

/* One vector of channels of all pixels of a picture: its place in the map, and the lanes of each of two tensors. */
typedef struct column {
    size_t at, pixels, step;     /* numbers of the map from one pixel to the next */
    wf_lanes row;                /* lanes that the map has */
    wf_lanes kept, given;        /* lanes of x and of the condition; for unpack all are kept */
    ptrdiff_t kept_at, given_at; /* offset in a pixel of the tensor for lane 0, which may lie before the tensor */
} column;

/* The vector at channel c of a block; the map has `take` channels of one tensor, then C of another. */
static column column_of(const wf_cpu_layout *l, int n, int block, int c, int take, int C)
{
    int channel = block * l->block + c;
    return (column){.at = wf_cpu_block_offset(l, n, block) + (size_t)c,
                    .pixels = l->pixels,
                    .step = (size_t)l->block,
                    .row = wf_lanes_between(0, l->block - c),
                    .kept = wf_lanes_between(0, l->block - c) & wf_lanes_between(0, take - channel),
                    .given = wf_lanes_between(0, l->block - c) & wf_lanes_between(take - channel, take + C - channel),
                    .kept_at = channel,
                    .given_at = channel - take};
}

/* A tensor and its channels. */
typedef struct tensor {
    float *x; /* first pixel of a picture */
    ptrdiff_t channels;
} tensor;

static tensor tensor_of(const wf_cpu_layout *l, int n, const wf_real *x, int channels)
{
    return (tensor){x ? (float *)x + (size_t)n * l->pixels * (size_t)channels : NULL, channels};
}

WF_VEC void write_column(const column *col, bool bf16, tensor kept, tensor given, void *map)
{
    for (size_t p = 0; p < col->pixels; p++) {
        wf_wide v = {0}; /* the channels that pad C must be zero */
        if (col->kept)
            wf_wide_load_lanes(&v, kept.x + ((ptrdiff_t)p * kept.channels + col->kept_at), col->kept);
        if (col->given)
            wf_wide_load_lanes(&v, given.x + ((ptrdiff_t)p * given.channels + col->given_at), col->given);
        wf_map_store(map, bf16, col->at + p * col->step, &v, col->row);
    }
}

enum { TOGETHER = 8 }; /* pixels whose sums are loaded before the first is stored */

/* Adds some lanes of `count` vectors to pixels of a tensor. Pixels lie closer than a vector is long, so that a load
 * right after the store of the pixel before would wait for it. */
WF_VEC void add_pixels(float *to, ptrdiff_t channels, const wf_wide *v, int count, wf_lanes lanes)
{
    wf_wide sum[TOGETHER];
    for (int i = 0; i < count; i++) {
        sum[i] = (wf_wide){0};
        wf_wide_load_lanes(&sum[i], to + i * channels, lanes);
    }
    for (int i = 0; i < count; i++) {
        sum[i] += v[i];
        wf_wide_store_lanes(to + i * channels, &sum[i], lanes);
    }
}

WF_VEC void read_pixels(const column *col, bool bf16, const void *map, size_t p, int count, tensor kept, tensor given)
{
    wf_wide v[TOGETHER];
    for (int i = 0; i < count; i++) {
        v[i] = (wf_wide){0};
        wf_map_load(&v[i], map, bf16, col->at + (p + (size_t)i) * col->step, col->row);
    }
    if (col->kept)
        add_pixels(kept.x + ((ptrdiff_t)p * kept.channels + col->kept_at), kept.channels, v, count, col->kept);
    if (col->given)
        add_pixels(given.x + ((ptrdiff_t)p * given.channels + col->given_at), given.channels, v, count, col->given);
}

WF_VEC void read_column(const column *col, bool bf16, const void *map, tensor kept, tensor given)
{
    size_t p = 0;
    for (; p + TOGETHER <= col->pixels; p += TOGETHER)
        read_pixels(col, bf16, map, p, TOGETHER, kept, given);
    for (; p < col->pixels; p++)
        read_pixels(col, bf16, map, p, 1, kept, given);
}

WF_VEC void unpack_column(const column *col, bool bf16, const void *map, tensor x)
{
    for (size_t p = 0; p < col->pixels; p++) {
        wf_wide v = {0};
        wf_map_load(&v, map, bf16, col->at + p * col->step, col->row);
        wf_wide_store_lanes(x.x + ((ptrdiff_t)p * x.channels + col->kept_at), &v, col->kept);
    }
}

static int check_pack(const wf_map_shape *shape, int take, int K, int C)
{
    WF_CHECK(take >= 0 && take <= K && C >= 0 && shape->C == take + C, WF_INTERNAL,
             "map: %d channels, expected %d of %d plus %d", shape->C, take, K, C);
    return WF_OK;
}

static int pack(wf_backend *b, const wf_map_shape *shape, int take, int K, const wf_real *x, int C, const wf_real *cond,
                wf_map *map)
{
    WF_TRY(check_pack(shape, take, K, C));
    wf_cpu_layout l = wf_cpu_layout_of((wf_cpu *)b, shape);
    int blocks = l.channels / l.block;
#pragma omp parallel for schedule(static) if (l.count > WF_CPU_PARALLEL)
    for (int n = 0; n < shape->N; n++)
        for (int block = 0; block < blocks; block++)
            for (int c = 0; c < l.block; c += WF_WIDE) {
                column col = column_of(&l, n, block, c, take, C);
                tensor kept = tensor_of(&l, n, x, K), given = tensor_of(&l, n, cond, C);
                if (l.bf16)
                    write_column(&col, true, kept, given, map);
                else
                    write_column(&col, false, kept, given, map);
            }
    return WF_OK;
}

static int pack_backward(wf_backend *b, const wf_map_shape *shape, int take, int K, wf_real *dx, int C, wf_real *dcond,
                         const wf_map *map)
{
    WF_TRY(check_pack(shape, take, K, C));
    wf_cpu_layout l = wf_cpu_layout_of((wf_cpu *)b, shape);
    int blocks = l.channels / l.block;
#pragma omp parallel for schedule(static) if (l.count > WF_CPU_PARALLEL)
    for (int n = 0; n < shape->N; n++)
        for (int block = 0; block < blocks; block++)
            for (int c = 0; c < l.block; c += WF_WIDE) {
                column col = column_of(&l, n, block, c, take, dcond ? C : 0);
                tensor kept = tensor_of(&l, n, dx, K), given = tensor_of(&l, n, dcond, C);
                if (l.bf16)
                    read_column(&col, true, map, kept, given);
                else
                    read_column(&col, false, map, kept, given);
            }
    return WF_OK;
}

static int unpack(wf_backend *b, const wf_map_shape *shape, const wf_map *map, wf_real *x)
{
    wf_cpu_layout l = wf_cpu_layout_of((wf_cpu *)b, shape);
    int blocks = l.channels / l.block;
#pragma omp parallel for schedule(static) if (l.count > WF_CPU_PARALLEL)
    for (int n = 0; n < shape->N; n++)
        for (int block = 0; block < blocks; block++)
            for (int c = 0; c < l.block; c += WF_WIDE) {
                column col = column_of(&l, n, block, c, shape->C, 0);
                if (l.bf16)
                    unpack_column(&col, true, map, tensor_of(&l, n, x, shape->C));
                else
                    unpack_column(&col, false, map, tensor_of(&l, n, x, shape->C));
            }
    return WF_OK;
}

static void relu_backward_float(size_t count, const float *y, const float *add, float *dy)
{
    if (add) {
#pragma omp parallel for simd schedule(static) if (count > WF_CPU_PARALLEL)
        for (size_t i = 0; i < count; i++)
            dy[i] = y[i] > 0 ? dy[i] + add[i] : 0;
    } else {
#pragma omp parallel for simd schedule(static) if (count > WF_CPU_PARALLEL)
        for (size_t i = 0; i < count; i++)
            dy[i] = y[i] > 0 ? dy[i] : 0;
    }
}

/* dy where y > 0, else 0. A positive number is an integer from 1 to infinity's 0x7f80 in its bits; larger ones are NaN
 * or negative. */
WF_VEC void keep_positive(const uint16_t *y, wf_wide_bits *dy)
{
    wf_pairs_bf16 result = (wf_pairs_bf16) * (const wf_wide_bits_in_memory *)y;
    *dy &= (wf_wide_bits)(result - 1 < 0x7f80);
}

/* A bf16 map ends with half a vector at most, since its channels are padded to sixteen. */
static void relu_backward_end(const uint16_t *y, const uint16_t *add, uint16_t *dy, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (add)
            dy[i] = wf_bf16_from_float(wf_bf16_to_float(dy[i]) + wf_bf16_to_float(add[i]));
        if (!(wf_bf16_to_float(y[i]) > 0))
            dy[i] = 0;
    }
}

static void relu_backward_bf16(size_t count, const uint16_t *y, const uint16_t *add, uint16_t *dy)
{
    const size_t step = 2 * WF_WIDE, whole = count / step * step;
#pragma omp parallel for schedule(static) if (count > WF_CPU_PARALLEL)
    for (size_t i = 0; i < whole; i += step) {
        wf_wide_bits sum = *(const wf_wide_bits_in_memory *)(dy + i);
        if (add) {
            wf_wide_bits other = *(const wf_wide_bits_in_memory *)(add + i);
            wf_pairs_add(&sum, &sum, &other);
        }
        keep_positive(y + i, &sum);
        *(wf_wide_bits_in_memory *)(dy + i) = sum;
    }
    relu_backward_end(y + whole, add ? add + whole : NULL, dy + whole, count - whole);
}

void wf_cpu_relu_backward(const wf_cpu_layout *l, const wf_map *y, const wf_map *add, wf_map *dy)
{
    if (l->bf16)
        relu_backward_bf16(l->count, (const uint16_t *)y, (const uint16_t *)add, (uint16_t *)dy);
    else
        relu_backward_float(l->count, (const float *)y, (const float *)add, (float *)dy);
}

static int relu_backward(wf_backend *b, const wf_map_shape *shape, const wf_map *y, const wf_map *add, wf_map *dy)
{
    wf_cpu_layout l = wf_cpu_layout_of((wf_cpu *)b, shape);
    wf_cpu_relu_backward(&l, y, add, dy);
    return WF_OK;
}

void wf_cpu_map_slots(wf_backend *b)
{
    b->map_bytes = map_bytes;
    b->pack = pack;
    b->pack_backward = pack_backward;
    b->unpack = unpack;
    b->relu_backward = relu_backward;
}
