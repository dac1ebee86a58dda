/* ranks.h - a program that a launcher such as mpirun starts several times: its ranks begin, speak and end together
 *
 * Rank 0 prints what one process would; of a failure one rank prints the line, and all end with its code. */
#ifndef TOOLS_RANKS_H
#define TOOLS_RANKS_H

#include "../lib/ranks/ranks.h"
#include "cli.h"

/* The row of an option table. */
enum { RANKS_AUTO, RANKS_NONE, RANKS_MPI };
/* clang-format off */
#define CLI_RANKS(into) \
    {0, "ranks", "auto|none|mpi", CLI_CHOICE, into, 0, 0, \
     "One level in several processes over MPI: mpi; where a launcher (mpirun, srun) started several: auto, the " \
     "default; none: each process trains for itself."}
/* clang-format on */

/* Connects the ranks, or dies; NULL for a process that runs alone. Dies with 75 if the others have not come after a
 * minute. Ranks other than 0 are --quiet from now on. */
wf_ranks *ranks_begin(int choice);

/* True on rank 0, and in a process that runs alone. */
bool ranks_lead(void);
/* Returns when all ranks have come here, or dies. */
void ranks_meet(void);

/* Waits for all ranks at the end of a program. Dies if one has failed. */
void ranks_finish(void);

/* For die, also before ranks_begin: agrees on the status to exit with. Returns whether this rank prints its message: in
 * programs without --ranks and with --ranks none, each does. Then ranks_close. */
bool ranks_agree(int *status);
void ranks_close(void);

#endif
