#!/usr/bin/env bash
# lint.sh - what `make lint` holds the sources to. `lint.sh --format` formats the C files in place and does nothing else.
set -u -o pipefail
shopt -s lastpipe # so that complain, at the end of a pipe, can count
cd "$(dirname "$0")/.." || exit 1

files() { # files NAME-PATTERN...: sources below this folder, without what was built
    local names=() pattern
    for pattern; do names+=(-o -name "$pattern"); done
    find . \( -path './build*' -o -path ./bin -o -path ./out -o -path ./.git \) -prune -o \
        -type f \( "${names[@]:1}" \) -print | sort
}
mapfile -t c_files < <(files '*.c' '*.h' '*.cu' '*.cpp')
mapfile -t scripts < <({ files '*.sh' && grep -lE '^#!.*\b(ba)?sh\b' bootstrap .ci/run; } | sort -u)
mapfile -t texts < <(files '*.c' '*.h' '*.cu' '*.cpp' '*.sh' '*.py' '*.mk' '*.gp' '*.md' Makefile bootstrap run)

if [ "${1:-}" = --format ]; then
    exec clang-format -i "${c_files[@]}"
fi

failed=0
complain() { # complain WHAT < LINES: each line is one finding
    local line
    while IFS= read -r line; do
        echo "lint: $1: $line"
        failed=$((failed + 1))
    done
}

# Code without comments and what strings hold, each line after the name of its file.
code() {
    local f
    for f; do
        gcc -fpreprocessed -dD -E -P "$f" 2> /dev/null | sed "s/\"\([^\"\\\\]\|\\\\.\)*\"/\"\"/g; s|^|$f: |"
    done
}

# Includes point down: tools -> lib -> kernels/backend.h -> ref | cpu | cuda. Tests may look anywhere.
# includes FOLDER ALLOWED: quoted includes of the folder's files that are not allowed, an extended regular expression.
includes() {
    grep -rnE '^ *# *include *"' --include='*.[ch]' --include='*.cu' "$1" | grep -vE "include *\"($2)\""
}
includes tools '\.\./lib/[a-z0-9_]+\.h|\.\./kernels/backend\.h|[a-z0-9_]+\.h' | complain 'tools include lib and kernels/backend.h only'
includes lib '(\.\./)+kernels/backend\.h|(\.\./)?[a-z0-9_]+\.h' | complain 'lib includes lib and kernels/backend.h only'
includes kernels '(\.\./)+lib/(status|safetensors|philox)\.h|(\.\./)?([a-z]+/)?[a-z0-9_]+\.h' |
    complain 'kernels include kernels, lib/status.h, lib/safetensors.h and lib/philox.h only'
for backend in ref cpu cuda; do
    [ ! -d "kernels/$backend" ] || grep -rnE '^ *# *include *"\.\./(ref|cpu|cuda)/' "kernels/$backend" |
        complain 'backends do not include one another'
done
grep -rnE '^ *# *include *[<"](cuda|cudnn|cublas|nccl|dnnl|oneapi|cblas|openblas|mkl)' lib tools |
    complain 'compute libraries are included in kernels only'

# The library never prints, exits, aborts or asserts.
mapfile -t library < <(printf '%s\n' "${c_files[@]}" | grep -E '^\./(lib|kernels)/.*\.[ch]u?$')
code "${library[@]}" |
    grep -E '(^|[^A-Za-z0-9_])((v?printf|puts|putchar|perror|exit|_exit|_Exit|abort|assert) *\(|std(out|err)\b)' |
    complain 'the library does not print, exit, abort or assert'

clang-format --dry-run -Werror "${c_files[@]}" 2>&1 | sed -n 's/:[0-9]*:[0-9]*: error:.*//p' | sort -u |
    complain 'run make format'
wc -l "${texts[@]}" | awk '$1 > 600 && $2 != "total" { print $2 " has " $1 " lines" }' | complain 'a file has at most 600 lines'
shellcheck -x -P SCRIPTDIR -f gcc "${scripts[@]}" | complain shellcheck
grep -nE '\b(TO''DO|FIX''ME|X''XX)\b' "${texts[@]}" | complain 'unfinished'
grep -nE '[[:blank:]]+$' "${texts[@]}" | complain 'blanks at the end of a line'

mapfile -t pages < <(files '*.md')
for page in "${pages[@]}"; do
    grep -oE '\]\([^)#: ]+[)#]' "$page" | sed 's/^](//; s/[)#]$//' | while read -r link; do
        [ -e "$(dirname "$page")/$link" ] || echo "$page: $link"
    done
done | complain 'a link leads nowhere'

[ $failed = 0 ] && echo "lint: ${#c_files[@]} C files, ${#scripts[@]} scripts, ${#pages[@]} pages: nothing found"
[ $failed = 0 ]
