#!/usr/bin/env bash
# version.sh [--commit|--epoch] - prints the version of this tree. dpkg sorts versions as their commits follow one another:
#
#   0.2.0                  the commit that the tag v0.2.0 names
#   0.2.0+3.gd2e229d       3 commits later
#   0.2.0~12.gd2e229d      before there is that tag: 12 commits after the tag before, or in all
#   ... .dirty             with changes that are not committed, unless --commit
#
# lib/base/version.h says 0.2.0. Tags of candidates, such as v0.2.0-rc1, do not count. A shallow clone without the tag
# counts only the commits that it has. A tree that `make dist` packed has the file VERSION in place of its history; a
# tree with neither has the version of version.h. --epoch prints the seconds since 1970 of the last commit instead;
# without a history, those of a file, which a tarball dates like its commit.
set -eu -o pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."
# git reads a clone of another user's only if it is told to.
git() { command git -c safe.directory="$(pwd -P)" "$@"; }
if [ "${1:-}" = --epoch ]; then
    { [ -e .git ] && git log -1 --format=%ct 2> /dev/null; } || stat -c %Y lib/base/version.h
    exit
fi
if [ -f VERSION ]; then
    exec cat VERSION
fi
release=$(sed -n 's/^.define WF_VERSION "\(.*\)"/\1/p' lib/base/version.h)
# A tree that lies in another repository has no .git of its own.
if [ ! -e .git ] || ! commit=$(git rev-parse --short=7 HEAD 2> /dev/null); then
    echo "$release"
    exit
fi
sign='~' since=HEAD
if tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' --exclude '*-*' 2> /dev/null); then
    since=$tag..HEAD
    [ "$tag" != "v$release" ] || sign=+
fi
count=$(git rev-list --count "$since")
git update-index -q --refresh > /dev/null 2>&1 || :
dirty=$([ "${1:-}" = --commit ] || git diff-index --quiet HEAD -- || echo .dirty)
if [ "$sign$count$dirty" = +0 ]; then
    echo "$release"
else
    echo "$release$sign$count.g$commit$dirty"
fi
