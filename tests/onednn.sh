#!/usr/bin/env bash
# onednn.sh FOLDER - unpacks oneDNN 3.2 from PyPI into FOLDER/include and FOLDER/lib, for make ONEDNN=FOLDER. Prints one line and
# exits 69 if the packages cannot be had. They are for x86-64 and any glibc from 2.17 on, so that Debian 12, which has oneDNN 2,
# tests both versions.
set -eu -o pipefail
export LC_ALL=C
[ $# = 1 ] || { echo "onednn.sh: usage: onednn.sh FOLDER" >&2; exit 64; }
to=$1
[ ! -e "$to/lib/libdnnl.so" ] || exit 0 # the last file to come

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/wanted" << 'END'
onednn-cpu-gomp==2023.2.0 --hash=sha256:2f22a54d6a890ed14bfa185d42a4be65d8b5b1df85dc1f0f3a9abe31620416fb
onednn-devel-cpu-gomp==2023.2.0 --hash=sha256:9763c69e8c907e119056bd52ad918ca84ac9ba939d130a99dfa95ccca3e5e284
END
if ! python3 -m pip --version > /dev/null 2>&1; then
    echo "onednn.sh: no pip: install python3-pip" >&2
    exit 69
fi
if ! python3 -m pip --disable-pip-version-check --retries 1 download -q --no-deps --only-binary :all: --require-hashes -d "$work" \
    -r "$work/wanted" > "$work/log" 2>&1; then
    echo "onednn.sh: pip cannot download oneDNN 3.2: $(grep -m 1 ERROR "$work/log")" >&2
    exit 69
fi
for wheel in "$work"/*.whl; do python3 -m zipfile -e "$wheel" "$work"; done
rm -rf "$to"
mkdir -p "$to/lib"
mv "$work"/*devel*.data/data/include "$to"
mv "$work"/onednn_cpu*.data/data/lib/libdnnl.so.3 "$to/lib"
ln -s libdnnl.so.3 "$to/lib/libdnnl.so"
