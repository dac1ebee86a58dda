/* lattice_number.h - private to lib/codec: one whole number by a mixture of logistic distributions, or by none
 *
 * A coder either writes numbers to a list of symbols or reads them from an encoded one. The same calls do both. */
#ifndef WF_LATTICE_NUMBER_H
#define WF_LATTICE_NUMBER_H

#include "rans.h"

typedef struct wf_coder {
    wf_rans_list *list;     /* writes; NULL: reads */
    wf_rans_reader *reader; /* reads */
} wf_coder;

enum { WF_COMPONENTS = 16 }; /* of a mixture at most; a chain has up to 10 */

/* Mixture with the distribution function F(t) = sum_i weight_i logistic((t - mean_i) sharpness_i). Components from
 * `count` on have no weight. */
typedef struct wf_mixture {
    int count;
    double weight[WF_COMPONENTS], mean[WF_COMPONENTS], sharpness[WF_COMPONENTS];
} wf_mixture;

/* The mixture of colour c of C, with K components, from a pixel's outputs of the net [3K + C - 1, C]: K logits, K
 * means, K log-scales and a coefficient for each earlier colour, whose numbers are t [c]. */
void wf_mixture_set(wf_mixture *mixture, const float *outputs, int K, int C, int c, const double *t);

/* Cells of numbers: cell i of `count` begins at x = low + i step, and the mixture is that of t = (x + shift) scale. */
typedef struct wf_cells {
    int64_t count;
    double low, step, shift, scale;
} wf_cells;

/* Codes the number i of a cell; when reading, sets it. The first cell has all that lies below, the last all above.
 *
 * Cells have the frequencies c(i+1) - c(i) of 2^24, c(i) = floor(F(begin of cell i) (2^24 - count)) + i, at least 1.
 * More than 2^20 cells are merged into groups of 2, 4, 8 .. neighbours, the least that leaves at most 2^20; the
 * place in a group is coded as uniform. WF_DATA: the code ends early. */
int wf_code_cell(wf_coder *coder, const wf_mixture *mixture, const wf_cells *cells, int64_t *i) WF_MUST;

/* Codes a number i of 0 .. count - 1, all equally likely. */
int wf_code_uniform(wf_coder *coder, int64_t count, int64_t *i) WF_MUST;

#endif
