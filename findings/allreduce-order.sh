#!/usr/bin/env bash
# MPICH 5.0.2 (PyPI, mpich 5.0.2) and Open MPI 4.1.4 (Debian 12, libopenmpi3 4.1.4-3+b1): the order in which MPI_Allreduce adds.
#
# Guess: for one number of ranks a library adds floats in one order, however many there are and however often it is called.
# Seen: all ranks get the same bits, and a run those of the run before. But with MPICH at 6 ranks the same numbers give other bits from
# the fifth call on, so a training that begins anew from a checkpoint would not repeat an uninterrupted one. At 3 ranks Open MPI adds
# 12 and 120,000 floats in the order of the ranks, and 1,200 and 12,000 in another, so buckets of another size would change sums.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
export LC_ALL=C OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv mpich
mpich/bin/pip --disable-pip-version-check -q install mpich==5.0.2
mpirun.openmpi --version | grep -q '4\.1\.4$' || { echo "this needs openmpi-bin and libopenmpi-dev 4.1.4 of Debian 12" >&2; exit 2; }

cat > order.c << 'END'
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* Numbers of many sizes, so that the order of a sum shows. */
static float number(int rank, int i)
{
    unsigned x = (unsigned)(rank * 7919 + i + 1) * 2654435761u;
    x = (x ^ x >> 15) * 2246822519u;
    return ((float)(x >> 8) - 8388608) / 8388608 * (float)(1 << (x & 7));
}
/* Prints for each count the order of the first sum, that of the ranks or another, and whether later calls repeat its bits: = or !. */
int main(int argc, char **argv)
{
    static const int counts[] = {12, 1200, 12000, 120000};
    int rank, ranks;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    for (int c = 0; c < 4; c++) {
        size_t n = (size_t)counts[c], bytes = n * sizeof(float);
        float *own = malloc(bytes), *sum = malloc(bytes), *first = malloc(bytes), *order = malloc(bytes);
        MPI_Comm comm; /* a new one: calls are counted for each */
        MPI_Comm_dup(MPI_COMM_WORLD, &comm);
        for (size_t i = 0; i < n; i++) {
            own[i] = number(rank, (int)i);
            order[i] = number(0, (int)i);
            for (int r = 1; r < ranks; r++)
                order[i] += number(r, (int)i);
        }
        for (int call = 0; call < 8; call++) {
            MPI_Allreduce(own, sum, (int)n, MPI_FLOAT, MPI_SUM, comm);
            if (!call) {
                memcpy(first, sum, bytes);
                if (!rank)
                    printf("%s:", memcmp(sum, order, bytes) ? "other" : "ranks");
            } else if (!rank)
                putchar(memcmp(sum, first, bytes) ? '!' : '=');
        }
        if (!rank)
            putchar(' ');
        MPI_Comm_free(&comm);
    }
    MPI_Finalize();
    return 0;
}
END
mpicc.openmpi -O1 -o order-openmpi order.c
mpich/bin/mpicc -O1 -o order-mpich order.c
openmpi() { timeout 100 mpirun.openmpi --oversubscribe -n "$1" ./order-openmpi; }
mpich() { timeout 100 mpich/bin/mpiexec -n "$1" ./order-mpich; }
echo "12, 1200, 12000, 120000 floats: the order of the first of eight sums, and the seven later ones"
three=$(openmpi 3) six=$(mpich 6)
echo "Open MPI, 3 ranks: $three"
echo "MPICH, 6 ranks: $six"
[ "$three" = 'ranks:======= other:======= other:======= ranks:======= ' ] && [[ $six == *:===!!!!\ *:===!!!!\ *:===!!!!\ *:===!!!!\  ]]
