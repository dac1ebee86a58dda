/* product.h - products of a few rows with sixteen columns, for processors where oneDNN has only plain loops
 *
 * Each sum runs over k in order. The bits of a row therefore depend neither on its place nor on the number of rows. */
#ifndef WF_CPU_PRODUCT_H
#define WF_CPU_PRODUCT_H

#include <stddef.h>

#include "vec.h"

#ifdef __aarch64__
#include <arm_neon.h>
#endif

/* The rows whose sums stay in registers: 20 of arm64's 32 registers of four, or 12 of 16 registers of eight. */
#ifdef __aarch64__
enum { WF_PRODUCT_ROWS = 5 };
#else
enum { WF_PRODUCT_ROWS = 6 };
#endif
enum { WF_PRODUCT_COLUMNS = 16 };

/* Two arguments of a product: v [n,k], `row` and `step` floats from one row and from one column to the next; u [k,16],
 * contiguous. */
typedef struct wf_product {
    const float *v, *u;
    size_t k, row, step;
} wf_product;

#ifdef __aarch64__

/* gcc keeps vectors of eight floats in memory here, so these are the registers of the machine. */
WF_VEC void wf_product_part(int n, const wf_product *p, float *sum)
{
    float32x4_t s[WF_PRODUCT_ROWS][4];
    const float *v = p->v, *u = p->u;
    for (int r = 0; r < n; r++)
        for (int i = 0; i < 4; i++)
            s[r][i] = vld1q_f32(sum + 16 * r + 4 * i);
    for (size_t c = 0; c < p->k; c++, u += 16, v += p->step) {
        float32x4_t a[4];
        for (int i = 0; i < 4; i++)
            a[i] = vld1q_f32(u + 4 * i);
        for (int r = 0; r < n; r++)
            for (int i = 0; i < 4; i++)
                s[r][i] = vfmaq_n_f32(s[r][i], a[i], v[(size_t)r * p->row]);
    }
    for (int r = 0; r < n; r++)
        for (int i = 0; i < 4; i++)
            vst1q_f32(sum + 16 * r + 4 * i, s[r][i]);
}

#else

WF_VEC void wf_product_part(int n, const wf_product *p, float *sum)
{
    wf_eight s[WF_PRODUCT_ROWS][2];
    const float *v = p->v, *u = p->u;
    for (int r = 0; r < n; r++)
        for (int i = 0; i < 2; i++)
            wf_eight_load(&s[r][i], sum + 16 * r + 8 * i);
    for (size_t c = 0; c < p->k; c++, u += 16, v += p->step) {
        wf_eight a[2];
        for (int i = 0; i < 2; i++)
            wf_eight_load(&a[i], u + 8 * i);
        for (int r = 0; r < n; r++)
            for (int i = 0; i < 2; i++)
                wf_eight_add_scaled(&s[r][i], &a[i], v[(size_t)r * p->row]);
    }
    for (int r = 0; r < n; r++)
        for (int i = 0; i < 2; i++)
            wf_eight_store(sum + 16 * r + 8 * i, &s[r][i]);
}

#endif

/* sum [n,16] += v u, for any n. */
static inline void wf_product_add(int n, wf_product p, float *sum)
{
    for (; n >= WF_PRODUCT_ROWS; n -= WF_PRODUCT_ROWS) {
        wf_product_part(WF_PRODUCT_ROWS, &p, sum);
        p.v += WF_PRODUCT_ROWS * p.row;
        sum += WF_PRODUCT_ROWS * WF_PRODUCT_COLUMNS;
    }
    switch (n) {
    case 1:
        wf_product_part(1, &p, sum);
        break;
    case 2:
        wf_product_part(2, &p, sum);
        break;
    case 3:
        wf_product_part(3, &p, sum);
        break;
    case 4:
        wf_product_part(4, &p, sum);
        break;
#ifndef __aarch64__
    case 5:
        wf_product_part(5, &p, sum);
        break;
#endif
    }
}

/* Row-major C [m,n] = A op(B) + beta C. A row of A has k numbers, lda apart from the next; op(B) [k,n] is the transpose
 * of B with tb 'T'. */
void wf_product_all(char tb, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb,
                    float beta, float *c, size_t ldc);

#endif
