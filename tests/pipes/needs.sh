#!/usr/bin/env bash
# needs.sh: a build without a compiler, header, library or version that it needs says so in one line, before the first compile.
. "$(dirname "$0")/lib.sh"

# refuses WANTED COMMAND...: the command exits with 2, as make does, and prints one line beside make's own, which holds WANTED.
refuses() {
    local wanted=$1 rc=0
    shift
    "$@" > out 2> err || rc=$?
    [ $rc = 2 ] && [ "$(grep -cv '^make' err)" = 1 ] && grep -q "^needs.sh: .*$wanted" err && ! grep -q '^cc ' out && return
    cat out err
    return 1
}
build() { env -u MAKEFLAGS make -C "$ROOT" --no-print-directory NVCC= SAN= B="$WORK/built" BIN="$WORK/built/bin" "$@"; }

# The compiler of a machine that lacks headers and libraries: "cc NAME ... --" has all but these.
cat > cc <<'END'
#!/bin/sh
while [ "$1" != -- ]; do
    lacks="$lacks|$1"
    shift
done
shift
for word; do
    case $word in
    *.c) grep -qE "<(${lacks#|})>" "$word" && echo "$word:1:10: fatal error: No such file or directory" >&2 && exit 1 ;;
    -l*) echo "$word" | grep -qE "^-l(${lacks#|})$" && echo "ld: cannot find $word" >&2 && exit 1 ;;
    esac
done
exec gcc "$@"
END
chmod +x cc

ok "nothing is missing" build CC=gcc "$WORK/built/needs-all" "$WORK/built/needs-check"
ok "one header is missing" refuses 'png.h: install libpng-dev ' build "CC=$WORK/cc png.h --" all
ok "two headers and a library are" refuses 'lmdb.h webp/decode.h libz: install liblmdb-dev libwebp-dev zlib1g-dev ' \
    build "CC=$WORK/cc lmdb.h webp/decode.h z --" all
ok "Criterion is missing, which the tests need" refuses 'criterion/criterion.h: install libcriterion-dev ' \
    build "CC=$WORK/cc criterion/criterion.h --" "$WORK/built/needs-check"
ok "the compiler is missing" refuses 'no-such-cc: not found: install gcc' build CC=no-such-cc all
ok "the compiler does not know the processor" refuses 'cannot build an empty program' build CC=gcc ARCH=no-such-processor all

# Folders of oneDNN that cannot serve. Each has the headers of this machine, which say that they are of another version.
header=$(echo '#include <oneapi/dnnl/dnnl_version.h>' | gcc -E -x c - | sed -n 's/^# 1 "\(.*dnnl_version\.h\)".*/\1/p' | head -n 1)
onednn() { # onednn FOLDER MAJOR
    mkdir -p "$1/include/oneapi" "$1/lib"
    cp -r "$(dirname "$header")" "$1/include/oneapi/"
    sed -i "s/\(DNNL_VERSION_MAJOR\) .*/\1 $2/" "$1/include/oneapi/dnnl/dnnl_version.h"
    ln -s "$(gcc -print-file-name=libdnnl.so)" "$1/lib/libdnnl.so"
}
onednn one 1
onednn four 4
onednn mixed "$(sed -n 's/.*DNNL_VERSION_MAJOR //p' "$header")"
echo 'int dnnl_version;' | gcc -shared -x c -o mixed/none.so -
ln -sf ../none.so mixed/lib/libdnnl.so
ok "a folder without oneDNN" refuses 'ONEDNN=/nowhere: include/oneapi/dnnl/dnnl.h or lib/libdnnl.so is not there' \
    build CC=gcc ONEDNN=/nowhere all
ok "oneDNN 1" refuses 'oneDNN 1\.[0-9]*: version 2 or 3 is needed: install libdnnl-dev' build CC=gcc ONEDNN="$WORK/one" all
ok "oneDNN 4" refuses 'oneDNN 4\.[0-9]*: version 2 or 3 is needed: install libdnnl-dev' build CC=gcc ONEDNN="$WORK/four" all
ok "a library of another version than its headers" refuses 'libdnnl is not of the version of its headers' \
    build CC=gcc ONEDNN="$WORK/mixed" all

# make check-onednn fetches a package. One line and 69 without the net; without pip, its own line.
fetch() { PIP_INDEX_URL=http://127.0.0.1:9/ PIP_NO_CACHE_DIR=1 "$ROOT/tests/onednn.sh" "$WORK/none" > out 2> err; }
away() {
    local rc=0
    fetch || rc=$?
    [ $rc = 69 ] && [ "$(wc -l < err)" = 1 ] && grep -qE '^onednn.sh: (pip cannot download oneDNN 3.2: ERROR|no pip: install python3-pip)' err && [ ! -e none ] && return
    cat err
    return 1
}
ok "oneDNN 3.2 cannot be fetched" away

# The names of source files must not have blanks; that of their folder may.
mkdir "it's a tree"
cp -r "$ROOT"/{Makefile,needs.sh,packaging,kernels,lib,tools} "it's a tree"
object=build-dist/tools/startup/processor.o
ok "a folder with a blank and a quote builds" env -u MAKEFLAGS make -s -C "it's a tree" NVCC= SAN= CC=gcc DIST=1 $object
ok "and is not named in what it built" bash -c '[ -s "$0" ] && ! grep -aF "a tree" "$0"' "it's a tree/$object"
