/* workload.h - counts what the calls on a backend have to compute and to move, for floors of their time */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include "../../kernels/backend.h"

/* Of the calls since workload_begin:
 *   flop   multiplications and additions of convolutions, products and attention. A tap that falls on the padding of a
 *          picture does not count, elementwise work neither. Winograd makes fewer: it can run faster than this floor.
 *   bytes  of memory that the optimizer reads and writes: it visits every parameter once a step */
typedef struct workload {
    double flop, bytes;
} workload;

/* Puts functions that count into the slots of b, and calls those that were there. One backend at a time; convolutions
 * are to be created between begin and end, and counts are made from then on. Aborts without memory. */
void workload_begin(wf_backend *b, workload *count);

/* Restores the slots. Convolutions that were created before go on to work. */
void workload_end(wf_backend *b);

#endif
