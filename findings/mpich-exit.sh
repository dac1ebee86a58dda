#!/usr/bin/env bash
# MPICH 4.0.2 (Debian 12, libmpich12 4.0.2-3+b1) and 5.0.2 (PyPI, mpich 5.0.2): the exit code of mpiexec.
#
# Guess: when one of three ranks leaves by exit without MPI_Finalize, mpiexec ends the others and exits with that rank's code, or with
# an error for code 0; when ranks exit with 65 and 66 after MPI_Finalize, it exits with one of the two.
# Seen: the others get SIGKILL at once, without SIGTERM. mpiexec then exits with the rank's code or with 9, by chance; so after exit(0)
# it often says 0 although two ranks were killed. After MPI_Abort it is always the code that was given. Codes of ranks that ended
# well are joined bit by bit: 65 and 66 give 67.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq libmpich12=4.0.2-3+b1 libmpich-dev=4.0.2-3+b1 mpich=4.0.2-3+b1
for deb in *.deb; do dpkg -x "$deb" four; done
python3 -m venv five
five/bin/pip --disable-pip-version-check -q install mpich==5.0.2

cat > leave.c << 'END'
#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* leave HOW CODE: rank 1 leaves, the others wait for it; codes: rank 1 ends with 65, rank 2 with 66 */
int main(int argc, char **argv)
{
    int rank, code = atoi(argv[2]), one = 1, all;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Barrier(MPI_COMM_WORLD);
    if (!strcmp(argv[1], "codes")) {
        MPI_Finalize();
        return rank ? 64 + rank : 0;
    }
    if (rank == 1) {
        usleep(100000);
        if (!strcmp(argv[1], "abort"))
            MPI_Abort(MPI_COMM_WORLD, code);
        _exit(code);
    }
    MPI_Allreduce(&one, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    return 99;
}
END
lib=$PWD/four/usr/lib/x86_64-linux-gnu
gcc -I"$lib/mpich/include" -o leave4 leave.c "$lib/libmpich.so" -Wl,-rpath-link,"$lib"
five/bin/mpicc -o leave5 leave.c
# codes VERSION HOW CODE: the exit codes of twelve runs, each code once
codes() {
    local run=("$PWD/four/usr/bin/mpiexec.hydra" -n 3)
    [ "$1" = 4 ] || run=(five/bin/mpiexec -n 3)
    for _ in {1..12}; do
        LD_LIBRARY_PATH=$([ "$1" = 4 ] && echo "$lib" || echo) timeout 60 "${run[@]}" "./leave$1" "$2" "$3" > /dev/null 2>&1 && echo 0 || echo $?
    done | sort -nu | tr '\n' ' '
}
result=0
for version in 4 5; do
    zero=$(codes $version exit 0) data=$(codes $version exit 65) abort=$(codes $version abort 75) joined=$(codes $version codes 0)
    echo "MPICH $version: exit(0) without MPI_Finalize gives ${zero% }; exit(65) gives ${data% }; MPI_Abort(75) gives ${abort% }; 65 and 66 give ${joined% }"
    [ "$zero,$data,$abort,$joined" = '0 9 ,9 65 ,75 ,67 ' ] || result=1
done
exit $result
