/* product.h - matrix products of a few rows with a panel of columns, whose sums stay in registers
 *
 * Each sum runs over k in order, in stretches that k alone decides. The bits of a row therefore depend neither on its
 * place nor on the number of rows or columns. With fused multiply-add they are the same for any width of registers. */
#ifndef WF_CPU_PRODUCT_H
#define WF_CPU_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>

#include "vec.h"

/* The registers that a panel's row fills, and the rows whose sums stay in registers beside it: 20 of arm64's 32
 * registers of four, 28 of AVX-512's 32, or 12 of 16 registers of eight. gcc keeps vectors of eight in memory on
 * arm64. */
#ifdef __aarch64__
#include <arm_neon.h>
typedef float32x4_t wf_register;
enum { WF_REGISTER = 4, WF_PANEL = 16, WF_PRODUCT_ROWS = 5 };
#else
typedef wf_wide wf_register;
enum { WF_REGISTER = WF_WIDE, WF_PANEL = 2 * WF_WIDE, WF_PRODUCT_ROWS = WF_WIDE == 16 ? 14 : 6 };
#endif
enum { WF_PRODUCT_COLUMNS = 16 };

/* The arguments of a product: v [rows,k], `row` and `step` floats from one row and from one column to the next; u
 * [k,columns], contiguous. */
typedef struct wf_product {
    const float *v, *u;
    size_t k, row, step;
} wf_product;

WF_VEC void wf_register_load(wf_register *r, const float *p)
{
#ifdef __aarch64__
    *r = vld1q_f32(p);
#else
    wf_wide_load(r, p);
#endif
}

WF_VEC void wf_register_store(float *p, const wf_register *r)
{
#ifdef __aarch64__
    vst1q_f32(p, *r);
#else
    wf_wide_store(p, r);
#endif
}

WF_VEC void wf_register_add_scaled(wf_register *sum, const wf_register *r, float x)
{
#ifdef __aarch64__
    *sum = vfmaq_n_f32(*sum, *r, x);
#else
    wf_wide_add_scaled(sum, r, x);
#endif
}

/* m [rows,columns] = v u or, with `add`, m += v u, for the first `registers` of each row. Threes of rows share a
 * pointer: the processor adds once and twice the distance by itself. */
WF_VEC void wf_product_part(const wf_product *p, int rows, int registers, size_t columns, bool add, float *m)
{
    enum { MOST = WF_PANEL / WF_REGISTER };
    wf_register sum[WF_PRODUCT_ROWS][MOST];
    const float *threes[(WF_PRODUCT_ROWS + 2) / 3], *u = p->u;
    const size_t row = p->row, step = p->step;
    for (int r = 0; r < rows; r += 3)
        threes[r / 3] = p->v + (size_t)r * row;
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < registers; i++)
            sum[r][i] = (wf_register){0};
    for (size_t c = 0; c < p->k; c++, u += columns) {
        wf_register factor[MOST];
        for (int i = 0; i < registers; i++)
            wf_register_load(&factor[i], u + WF_REGISTER * i);
        for (int r = 0; r < rows; r++) {
            float x = threes[r / 3][(size_t)(r % 3) * row];
            for (int i = 0; i < registers; i++)
                wf_register_add_scaled(&sum[r][i], &factor[i], x);
        }
        for (int r = 0; r < rows; r += 3)
            threes[r / 3] += step;
    }
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < registers; i++) {
            float *to = m + (size_t)r * columns + WF_REGISTER * i;
            if (add) {
                wf_register old;
                wf_register_load(&old, to);
                sum[r][i] += old;
            }
            wf_register_store(to, &sum[r][i]);
        }
}

/* wf_product_part for any number of rows, at most `most` <= WF_PRODUCT_ROWS at a time. */
WF_VEC void wf_product_rows(wf_product p, int rows, int most, int registers, size_t columns, bool add, float *m)
{
    for (; rows >= most; rows -= most) {
        wf_product_part(&p, most, registers, columns, add, m);
        p.v += (size_t)most * p.row;
        m += (size_t)most * columns;
    }
    for (int part = 8; part; part /= 2) {
        if (!(rows & part))
            continue;
        switch (part) {
        case 8:
            wf_product_part(&p, most > 8 ? 8 : 1, registers, columns, add, m);
            break;
        case 4:
            wf_product_part(&p, 4, registers, columns, add, m);
            break;
        case 2:
            wf_product_part(&p, 2, registers, columns, add, m);
            break;
        default:
            wf_product_part(&p, 1, registers, columns, add, m);
        }
        p.v += (size_t)part * p.row;
        m += (size_t)part * columns;
    }
}

/* sum [n,16] += v u, u [k,16], for any n. */
static inline void wf_product_add(int n, wf_product p, float *sum)
{
    wf_product_rows(p, n, WF_PRODUCT_ROWS, WF_PRODUCT_COLUMNS / WF_REGISTER, WF_PRODUCT_COLUMNS, true, sum);
}

/* m [rows,WF_PANEL] = v u or, with `add`, m += v u, u [k,WF_PANEL]. The last columns of a row may stay unwritten where
 * the first `columns` do not need them. */
void wf_product_panel(const wf_product *p, int rows, int columns, bool add, float *m);

#endif
