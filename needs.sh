#!/usr/bin/env bash
# needs.sh TARGET CC [FLAG ...] - prints one line and exits 69 if the compiler, a header or a library that the programs (TARGET
# all) or their tests (check) are built with is missing, or if oneDNN has a version that the programs cannot use. FLAGs are those
# of compiler and linker. The Makefile runs this before it compiles the first file of a build folder. ONEDNN=DIR: as for make.
set -u -o pipefail
cd "$(dirname "$0")" || exit 1
target=$1 cc=$2
shift 2

# Header, library, and the package that has both in Debian, as in packages.txt.
headers='
oneapi/dnnl/dnnl.h    dnnl      libdnnl-dev
omp.h                 -         libomp-dev
lmdb.h                lmdb      liblmdb-dev
png.h                 png       libpng-dev
jpeglib.h             jpeg      libjpeg62-turbo-dev
webp/decode.h         webp      libwebp-dev
sndfile.h             sndfile   libsndfile1-dev
archive.h             archive   libarchive-dev
jansson.h             jansson   libjansson-dev
xxhash.h              xxhash    libxxhash-dev
libdeflate.h          deflate   libdeflate-dev
zlib.h                z         zlib1g-dev'
[ "$target" != check ] || headers='
criterion/criterion.h criterion libcriterion-dev'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { # fail WHAT...
    echo "needs.sh: $*" >&2
    exit 69
}
compiles() { # compiles HEADER... - after stdio.h, which jpeglib.h expects before it
    printf '#include <%s>\n' stdio.h "$@" > "$work/program.c"
    echo 'int main(void) { return 0; }' >> "$work/program.c"
    $cc "${flags[@]}" -c -o "$work/program.o" "$work/program.c" 2> "$work/log"
}
links() { # links FILE-OR-LIBRARY... - the program that was compiled last
    $cc "${flags[@]}" -o "$work/program" "$work/program.o" "$@" 2> "$work/log"
}
flags=() libraries=()
for flag; do
    case $flag in -l*) libraries+=("$flag") ;; *) flags+=("$flag") ;; esac
done

# shellcheck disable=SC2086 # CC may hold options
set -- $cc
command -v "$1" > /dev/null || fail "$1: not found: install gcc, or make CC=clang"
if [ -n "${ONEDNN:-}" ] && ! [[ -e $ONEDNN/include/oneapi/dnnl/dnnl.h && -e $ONEDNN/lib/libdnnl.so ]]; then
    fail "ONEDNN=$ONEDNN: include/oneapi/dnnl/dnnl.h or lib/libdnnl.so is not there: name a folder that has both, or leave ONEDNN out"
fi
# onednn.c calls functions that only one version of oneDNN has, and so links with a library of its headers' version alone.
onednn=()
builds_onednn() {
    $cc "${flags[@]}" -c -o "$work/onednn.o" kernels/cpu/onednn.c 2> "$work/onednn.log" && onednn=("$work/onednn.o")
}
mapfile -t all < <(awk 'NF { print $1 }' <<< "$headers")
if { [ "$target" = check ] || builds_onednn; } && compiles "${all[@]}" && links "${onednn[@]}" "${libraries[@]}"; then
    exit 0
fi

# Something is wrong: one header and one library after the other.
first_error() { grep -m 1 -iE 'error|undefined' "$1" || head -n 1 "$1"; }
{ compiles && links; } || fail "$cc cannot build an empty program (libc6-dev?): $(first_error "$work/log")"
missing=() packages=()
while read -r header library package; do
    [ -n "$header" ] || continue
    if ! compiles "$header"; then
        missing+=("$header")
    elif [ "$library" != - ] && ! links "-l$library"; then
        missing+=("lib$library")
    else
        continue
    fi
    packages+=("$package")
done <<< "$headers"
[ ${#missing[@]} = 0 ] ||
    fail "not found: ${missing[*]}: install ${packages[*]} (Debian's names; ./bootstrap does), or set CPATH and LIBRARY_PATH"
compiles "${all[@]}" || fail "$cc: $(first_error "$work/log")"
if [ "$target" = all ]; then
    version=$(printf 'DNNL_VERSION_MAJOR DNNL_VERSION_MINOR\n' |
        $cc "${flags[@]}" -E -P -include oneapi/dnnl/dnnl_version.h -x c - 2> /dev/null | tail -n 1 | tr ' ' .)
    why=$(sed -n 's/.*#error "\(.*\)"$/\1/p' "$work/onednn.log")
    [ -z "$why" ] || fail "oneDNN $version: $why"
    links "${onednn[@]}" -ldnnl -lm || fail "libdnnl is not of the version of its headers, oneDNN $version: install both from one package"
fi
links "${libraries[@]}"
fail "$cc: $(first_error "$work/log")"
