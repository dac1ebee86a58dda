#!/usr/bin/env bash
# lint.sh - what `make lint` holds the sources to. `lint.sh --format` formats the C files in place and does nothing else.
set -u -o pipefail
export LC_ALL=C
shopt -s lastpipe # so that complain, at the end of a pipe, can count
cd "$(dirname "$0")/.." || exit 1

files() { # files NAME-PATTERN...: sources below this folder, without what was built
    local names=() pattern
    for pattern; do names+=(-o -name "$pattern"); done
    find . \( -path './build*' -o -path ./bin -o -path ./out -o -path ./.git \) -prune -o \
        -type f \( "${names[@]:1}" \) -print | sort
}
mapfile -t c_files < <(files '*.c' '*.h' '*.cu' '*.cpp')
mapfile -t scripts < <({ files '*.sh' '*.bash' && grep -lE '^#!.*\b(ba)?sh\b' bootstrap .ci/run; } | sort -u)
mapfile -t texts < <(files '*.c' '*.h' '*.cu' '*.cpp' '*.sh' '*.bash' '*.py' '*.mk' '*.gp' '*.md' Makefile bootstrap run)

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

# Includes point down. A room includes itself and the rooms of its row, all of which have a row above. "kernels" is backend.h
# alone, and "lib" is wf.h; tests may look anywhere.
rooms='
lib/base
kernels       lib/base
lib/pyramid   lib/base kernels
lib/store     lib/base lib/pyramid
lib/image     lib/base kernels lib/pyramid lib/store
lib/flow      lib/base kernels lib/pyramid
lib/model     lib/base kernels lib/pyramid lib/store lib/flow
lib/ranks     lib/base
lib/train     lib/base kernels lib/pyramid lib/store lib/flow lib/model lib/ranks
lib/sample    lib/base kernels lib/pyramid lib/store lib/image lib/flow lib/model
lib/mcmc      lib/base kernels lib/pyramid lib/store lib/image lib/flow lib/model lib/sample
lib/codec     lib/base kernels lib/pyramid lib/store lib/image lib/flow lib/model
lib/score     lib/base kernels lib/pyramid lib/store lib/image lib/flow lib/model
lib           lib/base kernels lib/pyramid lib/store lib/image lib/flow lib/model lib/ranks lib/train lib/sample lib/mcmc lib/codec lib/score
tools         lib lib/base kernels lib/pyramid lib/store lib/image lib/flow lib/model lib/ranks lib/train lib/sample lib/mcmc lib/codec lib/score'
room_of='function room_of(path) { return match(path, /^lib\/[a-z]+\//) ? substr(path, 1, RLENGTH - 1) : substr(path, 1, index(path, "/") - 1) }'

# A row that names a room without a row above it would be an arrow up.
awk 'NF { for (i = 2; i <= NF; i++) if (!($i in above)) print $1 " includes " $i; above[$1] }' <<< "$rooms" |
    complain 'a room includes only rooms below it'
# includes FILE...: "FILE INCLUDED" for every quoted include, both from this folder.
includes() {
    grep -HoE '^ *# *include *"[^"]+"' "$@" | awk -F '[:"]' '{
        n = split($1, part, "/") - 1
        m = split($3, more, "/")
        for (i = 1; i <= m; i++)
            if (more[i] == "..") n--; else part[++n] = more[i]
        path = part[1]
        for (i = 2; i <= n; i++) path = path "/" part[i]
        print $1, path
    }'
}
mapfile -t housed < <(printf '%s\n' "${c_files[@]#./}" | grep -E '^(lib|kernels|tools)/.*\.[ch]u?$')
includes "${housed[@]}" | awk "$room_of"'
    NR == FNR { known[$1]; for (i = 2; i <= NF; i++) below[$1, $i]; next }
    { from = room_of($1); to = room_of($2) }
    !(from in known) { print $1 ": no row for the room " from; next }
    from != to && !((from, to) in below) || from != to && to == "kernels" && $2 != "kernels/backend.h" { print $1 " includes " $2 }
    ' <(echo "$rooms") - | complain 'a room includes only rooms below it'
# Headers that stay at home when the library is installed say so in their first line.
mapfile -t private < <(grep -lE '^/\* [a-z_]+\.h - private to lib/' lib/*/*.h)
includes "${housed[@]}" | awk -v private=" ${private[*]} " "$room_of"'
    index(private, " " $2 " ") && room_of($1) != room_of($2) { print $1 " includes " $2 }' |
    complain 'a private header is for its own room'
# Every other header compiles alone, as C and as C++, and its functions have C linkage.
mapfile -t public < <(printf '%s\n' lib/wf.h lib/*/*.h kernels/backend.h kernels/body/*.h | grep -vxF "$(printf '%s\n' "${private[@]}")")
for header in "${public[@]}"; do
    gcc -std=c11 -D_GNU_SOURCE -Wall -fsyntax-only -x c "$header" 2> /dev/null || echo "$header as C"
    [[ $header == kernels/body/* ]] || g++ -std=c++17 -Wall -fsyntax-only -x c++ "$header" 2> /dev/null || echo "$header as C++"
done | complain 'a header compiles alone'
for header in "${public[@]}"; do
    [[ $header == kernels/body/* ]] || ! grep -qE '^[a-z].*\bwf_[a-z0-9_]+\(|^extern ' <(grep -v '^static inline\|^typedef' "$header") ||
        { grep -qx WF_BEGIN "$header" && grep -qx WF_END "$header"; } || echo "$header"
done | complain 'functions of a public header stand between WF_BEGIN and WF_END'
includes "${housed[@]}" |
    awk 'match($1, /^kernels\/(ref|cpu|cuda)\//) { own = substr($1, 1, RLENGTH)
        if (match($2, /^kernels\/(ref|cpu|cuda)\//) && substr($2, 1, RLENGTH) != own) print $1 " includes " $2 }' |
    complain 'backends do not include one another'
grep -rnE '^ *# *include *[<"](cuda|cudnn|cublas|nccl|dnnl|oneapi|cblas|openblas|mkl)' lib tools |
    complain 'compute libraries are included in kernels only'

# The library never prints, exits, aborts or asserts.
mapfile -t library < <(printf '%s\n' "${c_files[@]}" | grep -E '^\./(lib|kernels)/.*\.[ch]u?$')
code "${library[@]}" |
    grep -E '(^|[^A-Za-z0-9_])((v?printf|puts|putchar|perror|exit|_exit|_Exit|abort|assert) *\(|std(out|err)\b)' |
    complain 'the library does not print, exit, abort or assert'

clang-format --dry-run -Werror "${c_files[@]}" 2>&1 | sed -n 's/:[0-9]*:[0-9]*: error:.*//p' | sort -u |
    complain 'run make format'
# wavelet_flow.py is one file because users copy it.
wc -l "${texts[@]}" | awk '$1 > ($2 ~ /wavelet_flow.py/ ? 1480 : 600) && $2 != "total" { print $2 " has " $1 " lines" }' |
    complain 'a file has at most 600 lines'
# A tool is wiring. These are longer, and none grows beyond its number: half of wf-dwt, wf-train-level and wf-nuts is help text;
# wf-idwt and wf-nearest lay out pictures; a quarter of wf-view, wf-bpd, wf-pack and wf-score is help text; cli.c parses the options of all.
declare -A most=([wf-dwt.c]=355 [wf-train-level.c]=325 [cli.c]=315 [wf-idwt.c]=325 [wf-nuts.c]=400 [wf-nearest.c]=295 [wf-view.c]=255 [wf-bpd.c]=290 [wf-score.c]=235 [wf-pack.c]=205 [picture_files.c]=220 [cli_io.c]=250 [cli_found.c]=230)
for tool in tools/*.c; do
    [ "$(wc -l < "$tool")" -le "${most[${tool#tools/}]:-200}" ] || echo "$tool has $(wc -l < "$tool") lines, at most ${most[${tool#tools/}]:-200}"
done | complain 'a tool is wiring'
awk 'length > 120 { print FILENAME ":" FNR ": " length " columns" }' "${c_files[@]}" | complain 'a line has at most 120 columns'
shellcheck -x -P SCRIPTDIR -f gcc "${scripts[@]}" | complain shellcheck
# Comments begin with their subject or a verb.
opening='(Of|What|Where|Who|Whether|Those|As|How|Which|The same) '
{
    grep -nE "^ *(/\*|//) $opening" "${c_files[@]}"
    awk -v opening="^ *#+ $opening" 'FNR == 1 { before = "" } $0 ~ opening && before !~ /^ *#/ { print FILENAME ":" FNR ":" $0 } { before = $0 }' \
        "${scripts[@]}" Makefile pipelines/*.mk pipelines/*.awk
} | complain 'a comment begins with its subject or a verb'
# awk, sort, printf and globs follow the locale of whoever runs a script or a pipeline.
for script in "${scripts[@]#./}"; do
    [[ $script == findings/* || $script == tools/completion/* ]] || grep -qE '^export LC_ALL=C|/lib\.sh"$|exec bash' "$script" || echo "$script"
done | complain 'a script sets LC_ALL, or sources lib.sh'
grep -nE '\$\(shell.*\bawk\b' Makefile pipelines/*.mk | grep -v 'LC_ALL=C awk' | complain 'make does not export LC_ALL to $(shell)'
grep -nE '\b(TO''DO|FIX''ME|X''XX)\b' "${texts[@]}" | complain 'unfinished'
grep -nE '[[:blank:]]+$' "${texts[@]}" | complain 'blanks at the end of a line'

# Subjects of commits, since there is a list of changes.
first=$(git log --diff-filter=A --format=%H -1 -- CHANGELOG.md 2> /dev/null)
[ -z "$first" ] || git log --no-merges --format=%s "$first..HEAD" | tests/subject.sh | complain 'the subject of a commit'

mapfile -t pages < <(files '*.md')
for page in "${pages[@]}"; do
    grep -oE '\]\([^)#: ]+[)#]' "$page" | sed 's/^](//; s/[)#]$//' | while read -r link; do
        [ -e "$(dirname "$page")/$link" ] || echo "$page: $link"
    done
done | complain 'a link leads nowhere'

[ $failed = 0 ] && echo "lint: ${#c_files[@]} C files, ${#scripts[@]} scripts, ${#pages[@]} pages: nothing found"
[ $failed = 0 ]
