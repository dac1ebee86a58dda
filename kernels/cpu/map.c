/* map.c - feature maps: their layout, pack and unpack, the gradient of relu, gates, and layer normalization */
#include "cpu.h"

#include "../body/pointwise.h"

#include <string.h>

wf_cpu_layout wf_cpu_layout_of(const wf_cpu *cpu, const wf_map_shape *shape)
{
    wf_cpu_layout l;
    l.pixels = (size_t)shape->H * (size_t)shape->W;
    l.blocked = l.pixels > 4;
    l.bf16 = l.blocked && cpu->base.bf16 && shape->precision == WF_BF16;
    l.block = l.blocked ? cpu->block : shape->C;
    l.channels = l.blocked ? (shape->C + l.block - 1) / l.block * l.block : shape->C;
    l.count = (size_t)shape->N * l.pixels * (size_t)l.channels;
    return l;
}

static size_t map_bytes(wf_backend *b, const wf_map_shape *shape)
{
    wf_cpu_layout l = wf_cpu_layout_of((wf_cpu *)b, shape);
    return l.count * (l.bf16 ? sizeof(uint16_t) : sizeof(float));
}

/* The offset of one block of channels of picture n: rows of l->block channels, one for each pixel. */
static size_t block_offset(const wf_cpu_layout *l, int n, int block)
{
    return ((size_t)n * (size_t)(l->channels / l->block) + (size_t)block) * l->pixels * (size_t)l->block;
}

/* Contiguous channels of a plain tensor that correspond to channels [first, first + count) of a map. */
typedef struct run {
    int first, count;
    size_t stride; /* channels of a pixel of the plain tensor */
} run;

/* Intersects `part` with channels [c0, c0 + block). Returns the number of common channels; *from is the first, counted
 * from c0. */
static int meet(const run *part, int c0, int block, int *from)
{
    int begin = part->first > c0 ? part->first : c0;
    int end = part->first + part->count < c0 + block ? part->first + part->count : c0 + block;
    *from = begin - c0;
    return end > begin ? end - begin : 0;
}

static void write_run(const wf_cpu_layout *l, const run *part, int n, int block, const float *x, void *map)
{
    int from, width = l->block, count = meet(part, block * width, width, &from);
    size_t at = block_offset(l, n, block) + (size_t)from;
    const float *source = x + (size_t)n * l->pixels * part->stride + (block * width + from - part->first);
    for (size_t p = 0; p < l->pixels; p++)
        for (int c = 0; c < count; c++) {
            float value = source[p * part->stride + (size_t)c];
            size_t i = at + p * (size_t)width + (size_t)c;
            if (l->bf16)
                ((uint16_t *)map)[i] = wf_bf16_from_float(value);
            else
                ((float *)map)[i] = value;
        }
}

static void read_run(const wf_cpu_layout *l, const run *part, int n, int block, const void *map, bool add, float *x)
{
    int from, width = l->block, count = meet(part, block * width, width, &from);
    size_t at = block_offset(l, n, block) + (size_t)from;
    float *to = x + (size_t)n * l->pixels * part->stride + (block * width + from - part->first);
    for (size_t p = 0; p < l->pixels; p++)
        for (int c = 0; c < count; c++) {
            size_t i = at + p * (size_t)width + (size_t)c;
            float value = l->bf16 ? wf_bf16_to_float(((const uint16_t *)map)[i]) : ((const float *)map)[i];
            float *y = to + p * part->stride + c;
            *y = add ? *y + value : value;
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
    run kept = {0, take, (size_t)K}, given = {take, C, (size_t)C};
    int blocks = l.channels / l.block;
    size_t size = l.pixels * (size_t)l.block * (l.bf16 ? sizeof(uint16_t) : sizeof(float));
#pragma omp parallel for schedule(static) if (l.count > WF_CPU_PARALLEL)
    for (int n = 0; n < shape->N; n++)
        for (int block = 0; block < blocks; block++) {
            if ((block + 1) * l.block > shape->C) /* the channels that pad C must be zero */
                memset((char *)map + ((size_t)n * (size_t)blocks + (size_t)block) * size, 0, size);
            if (take)
                write_run(&l, &kept, n, block, (const float *)x, map);
            if (C)
                write_run(&l, &given, n, block, (const float *)cond, map);
        }
    return WF_OK;
}

static int pack_backward(wf_backend *b, const wf_map_shape *shape, int take, int K, wf_real *dx, int C, wf_real *dcond,
                         const wf_map *map)
{
    WF_TRY(check_pack(shape, take, K, C));
    wf_cpu_layout l = wf_cpu_layout_of((wf_cpu *)b, shape);
    run kept = {0, take, (size_t)K}, given = {take, C, (size_t)C};
    int blocks = l.channels / l.block;
#pragma omp parallel for schedule(static) if (l.count > WF_CPU_PARALLEL)
    for (int n = 0; n < shape->N; n++)
        for (int block = 0; block < blocks; block++) {
            if (take)
                read_run(&l, &kept, n, block, map, true, (float *)dx);
            if (C && dcond)
                read_run(&l, &given, n, block, map, true, (float *)dcond);
        }
    return WF_OK;
}

static int unpack(wf_backend *b, const wf_map_shape *shape, const wf_map *map, wf_real *x)
{
    wf_cpu_layout l = wf_cpu_layout_of((wf_cpu *)b, shape);
    run all = {0, shape->C, (size_t)shape->C};
    int blocks = l.channels / l.block;
#pragma omp parallel for schedule(static) if (l.count > WF_CPU_PARALLEL)
    for (int n = 0; n < shape->N; n++)
        for (int block = 0; block < blocks; block++)
            read_run(&l, &all, n, block, map, false, (float *)x);
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

static void relu_backward_bf16(size_t count, const uint16_t *y, const uint16_t *add, uint16_t *dy)
{
#pragma omp parallel for simd schedule(static) if (count > WF_CPU_PARALLEL)
    for (size_t i = 0; i < count; i++) {
        float sum = wf_bf16_to_float(dy[i]) + (add ? wf_bf16_to_float(add[i]) : 0);
        dy[i] = wf_bf16_to_float(y[i]) > 0 ? wf_bf16_from_float(sum) : 0;
    }
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

static inline float load(const void *map, bool bf16, size_t i)
{
    return bf16 ? wf_bf16_to_float(((const uint16_t *)map)[i]) : ((const float *)map)[i];
}

static inline void store(void *map, bool bf16, size_t i, float value)
{
    if (bf16)
        ((uint16_t *)map)[i] = wf_bf16_from_float(value);
    else
        ((float *)map)[i] = value;
}

/* `count` contiguous numbers of a map of C channels, at `at`, and the same pixels and channels in the two halves of a
 * map of 2C. */
typedef struct stretch {
    size_t at, first, last, count;
} stretch;

static inline void gate_stretch(const stretch *s, bool bf16, const void *ab, const void *x, void *y)
{
#pragma omp simd
    for (size_t i = 0; i < s->count; i++)
        store(y, bf16, s->at + i,
              wf_gate_one(load(ab, bf16, s->first + i), load(ab, bf16, s->last + i), load(x, bf16, s->at + i)));
}

static inline void vjp_stretch(const stretch *s, bool bf16, const void *ab, const void *dy, void *dab)
{
#pragma omp simd
    for (size_t i = 0; i < s->count; i++) {
        float da, db;
        wf_gate_vjp(load(ab, bf16, s->first + i), load(ab, bf16, s->last + i), load(dy, bf16, s->at + i), &da, &db);
        store(dab, bf16, s->first + i, da);
        store(dab, bf16, s->last + i, db);
    }
}

/* Returns the offset of channel c of pixel p of picture n. */
static size_t offset_of(const wf_cpu_layout *l, int n, size_t p, int c)
{
    return block_offset(l, n, c / l->block) + p * (size_t)l->block + (size_t)(c % l->block);
}

/* Runs over a whole map, the first half of the channels with the second: by blocks where they align, else by numbers.
 * With `vjp`, m is dy and to is dab; without, m is x and to is y. */
static void gate_all(wf_backend *b, const wf_map_shape *shape, bool vjp, const void *ab, const void *m, void *to)
{
    wf_map_shape twice = *shape;
    twice.C = 2 * shape->C;
    wf_cpu_layout l = wf_cpu_layout_of((wf_cpu *)b, shape), both = wf_cpu_layout_of((wf_cpu *)b, &twice);
    bool whole = l.blocked && shape->C % l.block == 0;
    size_t length = whole ? l.pixels * (size_t)l.block : 1, pixels = whole ? 1 : l.pixels;
    int step = whole ? l.block : 1, rest = vjp ? both.channels - twice.C : l.channels - shape->C;
#pragma omp parallel for schedule(static) if (l.count > WF_CPU_PARALLEL)
    for (int n = 0; n < shape->N; n++)
        for (size_t p = 0; p < pixels; p++) {
            for (int c = 0; c < shape->C; c += step) {
                stretch s = {offset_of(&l, n, p, c), offset_of(&both, n, p, c), offset_of(&both, n, p, shape->C + c),
                             length};
                if (vjp && l.bf16)
                    vjp_stretch(&s, true, ab, m, to);
                else if (vjp)
                    vjp_stretch(&s, false, ab, m, to);
                else if (l.bf16)
                    gate_stretch(&s, true, ab, m, to);
                else
                    gate_stretch(&s, false, ab, m, to);
            }
            for (int c = 0; c < rest; c++) /* the channels that pad C must be zero */
                store(to, l.bf16, vjp ? offset_of(&both, n, p, twice.C + c) : offset_of(&l, n, p, shape->C + c), 0);
        }
}

static int gate(wf_backend *b, const wf_map_shape *shape, const wf_map *ab, const wf_map *x, wf_map *y)
{
    gate_all(b, shape, false, ab, x, y);
    return WF_OK;
}

static int gate_backward(wf_backend *b, const wf_map_shape *shape, const wf_map *ab, const wf_map *dy, wf_map *dab)
{
    gate_all(b, shape, true, ab, dy, dab);
    return WF_OK;
}

/* Returns the number of channels of a block that are not padding. */
static int lanes(const wf_cpu_layout *l, int C, int block)
{
    int left = C - block * l->block;
    return left < l->block ? left : l->block;
}

/* Sums over the channels of pixel p of picture n: x - mean, or with `squares` its square. */
static inline float spread(const wf_cpu_layout *l, bool bf16, int C, int n, size_t p, const void *x, bool squares,
                           float mean)
{
    float sum = 0;
    for (int block = 0; block < l->channels / l->block; block++) {
        size_t at = block_offset(l, n, block) + p * (size_t)l->block;
        int count = lanes(l, C, block);
#pragma omp simd reduction(+ : sum)
        for (int c = 0; c < count; c++) {
            float v = load(x, bf16, at + (size_t)c) - mean;
            sum += squares ? v * v : v;
        }
    }
    return sum;
}

/* Writes y of one pixel if dy is NULL, else the gradient by x from dy, plus `add`. */
static inline void norm_pixel(const wf_cpu_layout *l, bool bf16, int C, int n, size_t p, const void *x, const void *dy,
                              const void *add, void *to)
{
    float mean = spread(l, bf16, C, n, p, x, false, 0) / (float)C;
    float rate = wf_norm_rate(spread(l, bf16, C, n, p, x, true, mean) / (float)C), sum = 0, products = 0;
    for (int block = 0; block < l->channels / l->block && dy; block++) {
        size_t at = block_offset(l, n, block) + p * (size_t)l->block;
        int count = lanes(l, C, block);
#pragma omp simd reduction(+ : sum, products)
        for (int c = 0; c < count; c++) {
            float g = load(dy, bf16, at + (size_t)c);
            sum += g;
            products += g * (load(x, bf16, at + (size_t)c) - mean) * rate;
        }
    }
    for (int block = 0; block < l->channels / l->block; block++) {
        size_t at = block_offset(l, n, block) + p * (size_t)l->block;
        int count = lanes(l, C, block);
#pragma omp simd
        for (int c = 0; c < count; c++) {
            size_t i = at + (size_t)c;
            float y = (load(x, bf16, i) - mean) * rate;
            if (dy)
                y = wf_norm_vjp(y, rate, load(dy, bf16, i), sum / (float)C, products / (float)C) +
                    (add ? load(add, bf16, i) : 0);
            store(to, bf16, i, y);
        }
        for (int c = count; c < l->block; c++) /* the channels that pad C must be zero */
            store(to, bf16, at + (size_t)c, 0);
    }
}

static int norm_all(wf_backend *b, const wf_map_shape *shape, const void *x, const void *dy, const void *add, void *to)
{
    wf_cpu_layout l = wf_cpu_layout_of((wf_cpu *)b, shape);
#pragma omp parallel for collapse(2) schedule(static) if (l.count > WF_CPU_PARALLEL)
    for (int n = 0; n < shape->N; n++)
        for (size_t p = 0; p < l.pixels; p++)
            if (l.bf16)
                norm_pixel(&l, true, shape->C, n, p, x, dy, add, to);
            else
                norm_pixel(&l, false, shape->C, n, p, x, dy, add, to);
    return WF_OK;
}

static int norm(wf_backend *b, const wf_map_shape *shape, const wf_map *x, wf_map *y)
{
    return norm_all(b, shape, x, NULL, NULL, y);
}

static int norm_backward(wf_backend *b, const wf_map_shape *shape, const wf_map *x, const wf_map *dy, const wf_map *add,
                         wf_map *dx)
{
    return norm_all(b, shape, x, dy, add, dx);
}

void wf_cpu_map_slots(wf_backend *b)
{
    b->norm = norm;
    b->norm_backward = norm_backward;
    b->gate = gate;
    b->gate_backward = gate_backward;
    b->map_bytes = map_bytes;
    b->pack = pack;
    b->pack_backward = pack_backward;
    b->unpack = unpack;
    b->relu_backward = relu_backward;
}
