#!/usr/bin/env bash
# dist.sh DIR - packs the last commit into DIR/wavelet-flow-VERSION.tar.gz, with its version in the file VERSION in place
# of the history. The same commit gives the same bytes. The tarball builds with `make` and passes `make check-fast`.
set -eu -o pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."
git() { command git -c safe.directory="$(pwd -P)" "$@"; }
if [ -f VERSION ] || ! git rev-parse --quiet --verify HEAD > /dev/null 2>&1; then
    echo "dist.sh: $PWD: not a clone of the repository, expected one" >&2
    exit 66
fi
git diff-index --quiet HEAD -- || echo "dist.sh: packs the last commit, without the changes since" >&2
[ "$(git rev-parse --is-shallow-repository)" = false ] ||
    echo "dist.sh: a shallow clone, whose version counts only the commits that it has: run git fetch --unshallow first" >&2
version=$(packaging/version.sh --commit)
mkdir -p "$1"
file=$1/wavelet-flow-$version.tar.gz
git -c tar.umask=0022 archive --format=tar --prefix="wavelet-flow-$version/" --add-virtual-file="wavelet-flow-$version/VERSION:$version
" HEAD | gzip -9n > "$file.part"
mv "$file.part" "$file"
echo "$file"
