/* conv_tiny.c - convolutions of one to four pixels as matrix products
 *
 * Maps are [N,P,C]. Output pixel p reads input pixel q through one tap of the kernel. The pixels q of one input row
 * meet taps that are contiguous in w [out,taps,in]. Each pair (p, input row) is therefore one product with a slice of
 * w, nothing is gathered, and taps that meet only padding cost nothing. The scale exp(3 logs) is applied to y going
 * forward and to dy going backward, not to w.
 *
 * Compared with oneDNN's convolutions: N 64, 128 to 128 channels, 3x3, ms forward / both gradients on two cores with
 * AVX-512:
 *     2x2   this .15 / .33, direct .25 / .67, Winograd .68 / 1.19
 *     1x1   this .016 / .05, direct .04 / .19 */
#include "conv.h"

#include "product.h"

#include <math.h>
#include <string.h>

/* Row-major C [m,n] = op(A) op(B) + beta C. */
static int sgemm(char ta, char tb, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb,
                 float beta, float *c, size_t ldc)
{
    dnnl_status_t status = dnnl_sgemm(ta, tb, (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)k, 1.0f, a, (dnnl_dim_t)lda, b,
                                      (dnnl_dim_t)ldb, beta, c, (dnnl_dim_t)ldc);
    WF_CHECK(status == dnnl_success, status == dnnl_out_of_memory ? WF_AGAIN : WF_INTERNAL,
             "conv: dnnl_sgemm fails with %d", (int)status);
    return WF_OK;
}

/* C [m,n] = A op(B) + beta C in slices of 16 rows, or of 4. The bits of a row then depend neither on its place nor on
 * the number of rows or threads. One product over all rows would treat the rows beyond whole tiles differently: with
 * AVX2, the last two of 6 i + 2 rows are summed in another order. oneDNN's plain loops, as on arm64, treat the rows
 * beyond whole tiles of 6 differently in slices too: product.c serves there. */
static int sgemm_rows(char tb, size_t m, size_t n, size_t k, const float *a, size_t lda, const float *b, size_t ldb,
                      float beta, float *c, size_t ldc)
{
    if (WF_CPU_DIRECT) {
        wf_product_all(tb, m, n, k, a, lda, b, ldb, beta, c, ldc);
        return WF_OK;
    }
    size_t slice = m >= 16 ? 16 : 4, whole = m - m % slice;
    int status = WF_OK;
#pragma omp parallel for schedule(static) reduction(max : status) if (m * n * k > 8 * WF_CPU_PARALLEL)
    for (size_t i = 0; i < whole; i += slice) {
        int s = sgemm('N', tb, slice, n, k, a + i * lda, lda, b, ldb, beta, c + i * ldc, ldc);
        status = s > status ? s : status;
    }
    WF_CHECK(!status, status, "conv: a matrix product fails"); /* the failing thread has its own message */
    if (whole == m)
        return WF_OK;
    if (slice == 16)
        return sgemm_rows(tb, m - whole, n, k, a + whole * lda, lda, b, ldb, beta, c + whole * ldc, ldc);
    return sgemm('N', tb, m - whole, n, k, a + whole * lda, lda, b, ldb, beta, c + whole * ldc, ldc);
}

/* One product of a tiny convolution: output pixel p with `count` neighbouring input pixels from q on, through the taps
 * from t on. */
typedef struct link {
    size_t p, q, t, count;
} link;

/* The state of one call. A 1x1 kernel has no neighbours, so all its pixels are rows of one product. */
typedef struct tiny {
    size_t rows, pixels, taps, in, out;
    size_t from_tap, to_tap; /* all taps that meet a pixel are in [from_tap, to_tap) */
    link links[16];          /* ordered by p */
    int count;
    float *scale, *shift; /* [out] */
    float *work;          /* [rows,pixels,out] */
} tiny;

static void find_links(const wf_conv_spec *s, tiny *t)
{
    wf_conv_box b = wf_conv_box_of(s);
    int H = s->k == 1 ? 1 : s->H, W = s->k == 1 ? 1 : s->W, radius = s->k / 2;
    t->taps = (size_t)wf_conv_taps(s);
    t->pixels = (size_t)H * (size_t)W;
    t->rows = (size_t)s->N * (size_t)s->H * (size_t)s->W / t->pixels;
    t->from_tap = t->taps;
    t->to_tap = 0;
    t->count = 0;
    for (int p = 0; p < H * W; p++)
        for (int row = 0; row < H; row++) {
            int px = p % W, py = p / W, left = px > radius ? px - radius : 0;
            int right = px + radius < W - 1 ? px + radius : W - 1;
            int dz = row / b.H - py / b.H + b.d / 2, dy = row % b.H - py % b.H + b.h / 2;
            if (dz < 0 || dz >= b.d || dy < 0 || dy >= b.h)
                continue;
            int tap = (dz * b.h + dy) * b.w + left - px + radius, count = right - left + 1;
            t->links[t->count++] =
                (link){.p = (size_t)p, .q = (size_t)(row * W + left), .t = (size_t)tap, .count = (size_t)count};
            t->from_tap = (size_t)tap < t->from_tap ? (size_t)tap : t->from_tap;
            t->to_tap = (size_t)(tap + count) > t->to_tap ? (size_t)(tap + count) : t->to_tap;
        }
}

static int tiny_open(wf_cpu *cpu, const wf_conv_spec *s, const float *bias, const float *logs, tiny *t)
{
    find_links(s, t);
    t->in = (size_t)s->in;
    t->out = (size_t)s->out;
    void *memory;
    WF_TRY(wf_cpu_scratch(cpu, (t->rows * t->pixels + 2) * t->out * sizeof(float), &memory));
    t->work = memory;
    t->scale = t->work + t->rows * t->pixels * t->out;
    t->shift = t->scale + t->out;
    for (size_t o = 0; o < t->out; o++) {
        t->scale[o] = expf(3.0f * logs[o]);
        t->shift[o] = bias[o] * t->scale[o];
    }
    return WF_OK;
}

int wf_cpu_tiny_forward(wf_cpu *cpu, const wf_conv_spec *spec, const float *w, const float *bias, const float *logs,
                        const float *x, const float *residual, float *y)
{
    tiny t;
    WF_TRY(tiny_open(cpu, spec, bias, logs, &t));
    for (int i = 0; i < t.count; i++) {
        const link *l = &t.links[i];
        bool first = i == 0 || l[-1].p != l->p;
        WF_TRY(sgemm_rows('T', t.rows, t.out, l->count * t.in, x + l->q * t.in, t.pixels * t.in, w + l->t * t.in,
                          t.taps * t.in, first ? 0 : 1, t.work + l->p * t.out, t.pixels * t.out));
    }
    size_t rows = t.rows * t.pixels;
#pragma omp parallel for schedule(static) if (rows * t.out > WF_CPU_PARALLEL)
    for (size_t r = 0; r < rows; r++) {
        const float *sum = t.work + r * t.out, *add = residual ? residual + r * t.out : NULL;
        float *to = y + r * t.out;
        for (size_t o = 0; o < t.out; o++) {
            float v = sum[o] * t.scale[o] + t.shift[o] + (add ? add[o] : 0);
            to[o] = spec->relu && v < 0 ? 0 : v;
        }
    }
    return WF_OK;
}

/* Computes dw [out,taps,in], dbias and dlogs from x and the scaled dy in t->work. */
static int parameter_gradients(const tiny *t, const float *w, const float *bias, const float *x, float *dw,
                               float *dbias, float *dlogs)
{
    memset(dw, 0, t->out * t->taps * t->in * sizeof *dw);
    for (int i = 0; i < t->count; i++) {
        const link *l = &t->links[i];
        WF_TRY(sgemm('T', 'N', t->out, l->count * t->in, t->rows, t->work + l->p * t->out, t->pixels * t->out,
                     x + l->q * t->in, t->pixels * t->in, 1, dw + l->t * t->in, t->taps * t->in));
    }
    memset(dbias, 0, t->out * sizeof *dbias);
    for (size_t r = 0; r < t->rows * t->pixels; r++)
        for (size_t o = 0; o < t->out; o++)
            dbias[o] += t->work[r * t->out + o];
    for (size_t o = 0; o < t->out; o++) {
        size_t begin = (o * t->taps + t->from_tap) * t->in, end = (o * t->taps + t->to_tap) * t->in;
        float dot = bias[o] * dbias[o];
#pragma omp simd reduction(+ : dot)
        for (size_t i = begin; i < end; i++)
            dot += w[i] * dw[i];
        dlogs[o] = 3.0f * dot;
    }
    return WF_OK;
}

int wf_cpu_tiny_backward(wf_cpu *cpu, const wf_conv_spec *spec, const float *w, const float *bias, const float *logs,
                         const float *x, const float *dy, float *dx, float *dw, float *dbias, float *dlogs)
{
    tiny t;
    WF_TRY(tiny_open(cpu, spec, bias, logs, &t));
    size_t rows = t.rows * t.pixels;
    for (size_t r = 0; r < rows; r++)
        for (size_t o = 0; o < t.out; o++)
            t.work[r * t.out + o] = dy[r * t.out + o] * t.scale[o];
    if (dx) {
        memset(dx, 0, rows * t.in * sizeof *dx);
        for (int i = 0; i < t.count; i++) {
            const link *l = &t.links[i];
            WF_TRY(sgemm_rows('N', t.rows, l->count * t.in, t.out, t.work + l->p * t.out, t.pixels * t.out,
                              w + l->t * t.in, t.taps * t.in, 1, dx + l->q * t.in, t.pixels * t.in));
        }
    }
    return dw ? parameter_gradients(&t, w, bias, x, dw, dbias, dlogs) : WF_OK;
}
