/* exact_math.h - private to lib/codec: exp and the logistic function from + - * / alone
 *
 * The C library's exp differs between systems. These functions give the same bits on every processor whose
 * arithmetic is IEEE 754, if no compiler contracts or reorders it: -ffp-contract=off, and neither -ffast-math nor
 * flushed denormals. They have no branches, so that loops over them become vectors. */
#ifndef WF_EXACT_MATH_H
#define WF_EXACT_MATH_H

#include <stdint.h>
#include <string.h>

#if defined(__FAST_MATH__) || (defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0 && __FLT_EVAL_METHOD__ != 16)
#error "archives need IEEE 754: no -ffast-math or -Ofast, and on i386 -mfpmath=sse"
#endif

/* Limits x to low .. high; NaN becomes low. */
static inline double wf_exact_clamp(double x, double low, double high)
{
    x = x > low ? x : low;
    return x < high ? x : high;
}

/* e^x to 2e-15, relatively; x is limited to -700 .. 700. With n = round(x / ln 2) and r = x - n ln 2, |r| < 0.35, the
 * Taylor polynomial of degree 13 leaves out less than 2e-16. */
static inline double wf_exact_exp(double x)
{
    const double round = 6755399441055744.0; /* 1.5 * 2^52: a sum with it has no digits behind the point */
    x = wf_exact_clamp(x, -700, 700);
    double shifted = x * 1.4426950408889634 + round, n = shifted - round;
    double r = x - n * 6.93147180369123816490e-01; /* ln 2 in two parts, the first with 21 zero bits at its end */
    r -= n * 1.90821492927058770002e-10;
    double r2 = r * r, r4 = r2 * r2; /* Estrin's order: short chains of operations that wait for one another */
    double p0 = (1 + r) + (0.5 + r * (1.0 / 6)) * r2,
           p4 = (1.0 / 24 + r * (1.0 / 120)) + (1.0 / 720 + r * (1.0 / 5040)) * r2;
    double p8 = (1.0 / 40320 + r * (1.0 / 362880)) + (1.0 / 3628800 + r * (1.0 / 39916800)) * r2;
    double p = (p0 + p4 * r4) + (p8 + (1.0 / 479001600 + r * (1.0 / 6227020800)) * r4) * (r4 * r4);
    uint64_t bits, power;
    memcpy(&bits, &p, sizeof bits);
    memcpy(&power, &shifted, sizeof power);
    bits += power << 52; /* n stands in the lowest bits of the sum, and is added to the exponent */
    memcpy(&p, &bits, sizeof p);
    return p;
}

/* The double rounded to a float. */
static inline float wf_exact_expf(float x)
{
    return (float)wf_exact_exp((double)x);
}

/* 1 / (1 + e^-x) to 1e-12. It never falls as x grows, for any two doubles: x is first rounded to a multiple of
 * 2^-40, so exponentials of two different arguments differ by 2^-40 at least, a thousand times their error. All else
 * is one rounded operation of a monotone argument. */
static inline double wf_exact_logistic(double x)
{
    const double round = 6144; /* 1.5 * 2^12: the last digit of a sum with it is 2^-40 */
    x = (wf_exact_clamp(x, -600, 600) + round) - round;
    return 1 / (1 + wf_exact_exp(-x));
}

#endif
