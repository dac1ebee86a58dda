#!/usr/bin/env bash
# version.sh - versions follow the commits, and a tarball carries its version
. "$(dirname "$0")/lib.sh"
for tool in git dpkg; do
    command -v $tool > log || { skip "$tool is not installed"; exit; }
done
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b.c GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b.c GIT_CONFIG_GLOBAL=/dev/null
mkdir -p tree/packaging tree/lib/base
cp "$ROOT"/packaging/{version,dist}.sh tree/packaging
release() { printf '#define WF_VERSION "%s"\n' "$1" > tree/lib/base/version.h; }
commit() { echo "$RANDOM" >> tree/file && git -C tree add -A && git -C tree commit -qm "$1"; }
versions=()
take() { versions+=("$(tree/packaging/version.sh)"); }
is() { test "$(tree/packaging/version.sh "${@:2}")" = "$1"; }
hash() { git -C tree rev-parse --short=7 HEAD; }

release 0.1.0
ok "without a history: the release" is 0.1.0
git init -q tree
commit one && take
ok "before the first release" is "0.1.0~1.g$(hash)"
commit two && take
ok "a commit later" is "0.1.0~2.g$(hash)"
git -C tree tag v0.1.0 && take
ok "the release" is 0.1.0
commit three && take
ok "a commit after it" is "0.1.0+1.g$(hash)"
echo more >> tree/file
ok "with changes" is "0.1.0+1.g$(hash).dirty"
ok "which --commit leaves out" is "0.1.0+1.g$(hash)" --commit
git -C tree tag v0.2.0-rc1
commit candidate && take
ok "a candidate's tag does not count" is "0.1.0+2.g$(hash)"
if [ "$(id -u)" = 0 ]; then
    want=0.1.0+2.g$(hash)
    chown -R nobody tree
    ok "a clone of another user's" is "$want"
    ok "can be packed" tree/packaging/dist.sh "$WORK/other"
    chown -R root tree
else
    skip "a clone of another user's: only root can make one"
fi
ok "a shallow clone" git clone -q --depth 1 "file://$WORK/tree" shallow
ok "says that it cannot count" bash -c 'shallow/packaging/dist.sh out 2> err && grep -q "^dist.sh: .*git fetch --unshallow" err'
rm -rf shallow
release 0.2.0
commit four && take
ok "before the next release" is "0.2.0~3.g$(hash)"
git -C tree tag -a -m release v0.2.0 && take
ok "the next release" is 0.2.0
ascending() {
    local i
    for ((i = 1; i < ${#versions[@]}; i++)); do
        dpkg --compare-versions "${versions[i - 1]}" lt "${versions[i]}" || { echo "${versions[@]:i - 1:2}"; return 1; }
    done
    dpkg --validate-version "${versions[1]}-1~deb12"
}
ok "dpkg sorts them so" ascending
ok "the date of the last commit" is "$(git -C tree log -1 --format=%ct)" --epoch

ok "a tarball" tree/packaging/dist.sh "$WORK/out"
ok "the same one, again" bash -c 'cp out/*.gz first && sleep 1.1 && tree/packaging/dist.sh "$0" && cmp first out/*.gz' "$WORK/out"
tar xzf out/wavelet-flow-0.2.0.tar.gz && epoch=$(git -C tree log -1 --format=%ct) && rm -rf tree && mv wavelet-flow-0.2.0 tree
ok "it carries its version" is 0.2.0
ok "and its date" is "$epoch" --epoch
git init -q .
mv tree/VERSION .
ok "the history of a tree around it is not its own" is 0.2.0
ok "without a history there is no tarball" bash -c '! tree/packaging/dist.sh out 2> err && grep -q "^dist.sh: .*expected" err'
