/* product.c - matrix products whose rows have the same bits wherever they are */
#include "product.h"

#include "cpu.h"

enum { COLUMNS = WF_PRODUCT_COLUMNS, DEPTH = 256, ROWS = 8 * WF_PRODUCT_ROWS };

/* Copies rows [at, at + depth) of up to 16 columns of op(B) to u [depth,16], with zeros beyond them. */
static void pack(char tb, size_t at, size_t depth, size_t columns, const float *b, size_t ldb, float *u)
{
    for (size_t i = 0; i < depth; i++)
        for (size_t j = 0; j < COLUMNS; j++)
            u[i * COLUMNS + j] = j >= columns ? 0 : tb == 'T' ? b[j * ldb + at + i] : b[(at + i) * ldb + j];
}

/* Adds A [m,depth] u to up to 16 columns of C, whose old value counts beta times. */
static void add_rows(size_t m, size_t depth, size_t columns, const float *a, size_t lda, const float *u, float beta,
                     float *c, size_t ldc)
{
    for (size_t row = 0; row < m; row += ROWS) {
        size_t count = m - row < ROWS ? m - row : ROWS;
        float sum[ROWS * COLUMNS] = {0};
        for (size_t i = 0; i < count && beta != 0; i++)
            for (size_t j = 0; j < columns; j++)
                sum[i * COLUMNS + j] = beta * c[(row + i) * ldc + j];
        wf_product_add((int)count, (wf_product){a + row * lda, u, depth, lda, 1}, sum);
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < columns; j++)
                c[(row + i) * ldc + j] = sum[i * COLUMNS + j];
    }
}

void wf_product_all(char tb, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb,
                    float beta, float *c, size_t ldc)
{
#pragma omp parallel for schedule(static) if (m * n * k > 8 * WF_CPU_PARALLEL)
    for (size_t first = 0; first < n; first += COLUMNS)
        for (size_t at = 0; at < k; at += DEPTH) {
            float u[DEPTH * COLUMNS];
            size_t depth = k - at < DEPTH ? k - at : DEPTH, columns = n - first < COLUMNS ? n - first : COLUMNS;
            pack(tb, at, depth, columns, b + first * (tb == 'T' ? ldb : 1), ldb, u);
            add_rows(m, depth, columns, a + at, lda, u, at ? 1 : beta, c + first, ldc);
        }
}
