/* laws.h - the laws that ref must satisfy, since no other backend tests it
 *
 * Gradients are compared with central differences, inverses with the identity, results with published values. ref's
 * memory is host memory and its numbers are doubles; the laws use both directly. */
#ifndef WF_LAWS_H
#define WF_LAWS_H

#include <math.h>
#include <string.h>

#include "../../kernels/ref/ref.h"
#include "ops.h"

/* clang-format off */
#define LAWS(row) \
    row(linear_gradient) \
    row(linear_inverse) \
    row(linear_values) \
    row(matvec_gradient) \
    row(transform_gradient) \
    row(transform_inverse) \
    row(transform_values) \
    row(lattice_gradient) \
    row(lattice_inverse) \
    row(lattice_sum) \
    row(conv_gradient) \
    row(conv_orientation) \
    row(pack_gradient) \
    row(gaussian) \
    row(sigmoid) \
    row(philox) \
    row(normal_moments) \
    row(dequantize) \
    row(dequantize_transformed) \
    row(white_noise) \
    row(noise_variance) \
    row(wavelet) \
    row(axis) \
    row(haar_bands) \
    row(gate_gradient) \
    row(norm) \
    row(attend)
/* clang-format on */

#define LAW(name) int law_##name(void);
LAWS(LAW)
#undef LAW

void fill(double *x, size_t n, int number, double size);
wf_real *R(const double *x);
wf_map *M(const double *x);
double dot(const double *a, const double *b, size_t n);
int near(const char *what, size_t i, double have, double want, double tolerance);

/* Computes the loss from everything in `user`. */
typedef int loss_fn(void *user, double *loss);
/* Compares g [n] with central differences of the loss by x [n], a part of `user`. */
int check_gradient(const char *what, loss_fn *loss, void *user, double *x, const double *g, size_t n);

#endif
