#!/usr/bin/env bash
# packages.sh SUITE [SUITE ...] - the packages, on bare releases of Debian: packs the last commit with `make dist`; builds
# it there without git and without root, with `make check-fast` and `make deb`; installs it in a second bare system, where
# an ordinary user reads the manual, runs the demo, samples, and completes in bash and zsh; and removes it again. A second
# run for the same commit keeps what was built and passed. Needs git, mmdebstrap, and root or user namespaces with a range
# in /etc/subuid.
#
#     tests/packages.sh bookworm trixie
#
#   MIRROR   archive of the packages; without it, the one that apt uses on this machine
#   DIR      where systems, packages and logs are kept, 3 GB each: build-packages
#
# It ends with a line for each suite and the totals.
set -u -o pipefail
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1
DIR=$(realpath -m "${DIR:-build-packages}")

. tests/bare.sh
environment=(DEBIAN_FRONTEND=noninteractive OMP_WAIT_POLICY=passive)

# unpack SUITE NAME: a fresh system $DIR/SUITE/NAME with an ordinary user
unpack() {
    [ "$2" != build ] || rm -f "$DIR/$1"/built "$DIR/$1"/*.deb
    unpack_bare "$1" "$2"
}

# ok NAME COMMAND...: counts it; shows the end of its output if it fails
ok() {
    local what=$1
    shift
    if "$@" > "$DIR/$suite/log" 2>&1; then
        passed=$((passed + 1))
        [ -z "${V:-}" ] || echo "pass: $suite: $what"
    else
        failed=$((failed + 1))
        echo "FAIL: $suite: $what"
        tail -n 20 "$DIR/$suite/log" | sed 's/^/    /'
        return 1
    fi
}
build() { inside "$DIR/$suite/build" "$@"; }
user() { inside "$DIR/$suite/user" user "$1"; }
root() { inside "$DIR/$suite/user" root "$1"; }

# The last line of the log says whether all passed.
totals() { grep -q ' 0 failed, [0-9]* skipped$' <(tail -n 1 "$DIR/$suite/log"); }
check_fast() {
    build user "cd $name && make check-fast NVCC=" && totals
}

build_packages() {
    local needed
    needed=$(awk '!/^#/ && / (all|deb|check-fast)( |$)/ { print $1 }' packages.txt | xargs)
    ok "build packages" build root \
        "apt-get -qq update && apt-get -qq install -y --no-install-recommends $needed lintian pkg-config" || return
    ok "no git there" build user '! command -v git' || return
    cp "$tarball" "$DIR/$suite/build/home/user/" || return
    ok "the source unpacks" build user "tar xzf ${tarball##*/}" || return
    ok "make check-fast without git" check_fast
    ok "make deb" build user "cd $name && make deb" || return
    ok "the same bytes from another folder, under another umask and language" build user "umask 077; export LC_ALL=C TZ=Asia/Tokyo
        mkdir -p other/place && cd other/place && tar xzf ~/${tarball##*/} && cd $name && make deb &&
        cd build-dist/deb && for deb in *.deb; do cmp \$deb ~/$name/build-dist/deb/\$deb || exit; done"
    ok "lintian, without errors and warnings" build user \
        "lintian --fail-on error,warning $name/build-dist/deb/*.deb"
    ok "the library installs" build root "dpkg -i ~user/$name/build-dist/deb/wavelet-flow-dev_*.deb"
    ok "a program builds against it" build user 'printf "%s\n" "#include <wf/wf.h>" "#include <stdio.h>" \
        "int main(void) { return puts(wf_version()) < 0; }" > v.c && gcc -o v v.c $(pkg-config --cflags --libs wf) && ./v'
    cp "$DIR/$suite/build/home/user/$name"/build-dist/deb/wavelet-flow_*.deb "$DIR/$suite/"
}

# completes SHELL INIT TYPED WORDS: see tests/pipes/complete.py
completes() {
    user "printf '%s\n' \"$2\" > init && printf '%s\n' \"$3\" | python3 complete.py $1 \$PWD/init > said
        cat said; grep -qxF \"<wf-train-level>$4\" said"
}

use_packages() {
    local list='find / -xdev ! -path "/proc/*" ! -path "/home/*" ! -path "$HOME/*" ! -path "/var/*" | sort'
    cp "$deb" "$DIR/$suite/user/tmp/wavelet-flow.deb"
    cp tests/pipes/complete.py "$DIR/$suite/user/home/user/"
    ok "the shells" root 'apt-get -qq update && apt-get -qq install -y bash-completion zsh man-db python3 file' || return
    ok "apt install" root 'apt-get -qq install -y /tmp/wavelet-flow.deb' || return
    # The first removal leaves the libraries, so that what comes after it compares this package alone.
    ok "removal" root "dpkg --purge wavelet-flow && $list > ~/before && dpkg -i /tmp/wavelet-flow.deb"
    ok "--version" user "wf-dwt --version > said; cat said; grep -qxF 'wf-dwt (Wavelet Flow) $version' said"
    ok "man wf-dwt, man 7 wf, man 5 wf-stream" user \
        'man wf-dwt | grep -q "^SYNOPSIS" && man 7 wf | grep -q wf-train-level && man 5 wf-stream | grep -q hash'
    ok "the demo" user 'make -f /usr/share/wavelet-flow/pipelines/demo.mk QUICK=1'
    ok "its pictures" user 'file out/demo/{real,samples,curves,curve}.png && ! file out/demo/*.png | grep -v PNG'
    ok "its page" user 'make -f /usr/share/wavelet-flow/pipelines/demo.mk QUICK=1 report ROWS=3 TEMPERATURES="1 0.8" CHAINS=2 \
        ADAPT=2 DRAWS=3 && grep -q "bits per dimension" out/demo/report.html'
    ok "samples of its model" user 'wf-sample -m out/demo/model -n 4 | wf-idwt --grid four.png && file four.png | grep PNG'
    if [ -d data/leaves ]; then
        ok "samples of the model of the package" user 'wf-sample -m leaves -n 4 | wf-idwt --grid l.png && file l.png | grep PNG'
    fi
    local bash='. /usr/share/bash-completion/bash_completion' zsh='autoload -Uz compinit && compinit -D'
    ok "bash: choices" completes bash "$bash" 'wf-train-level --precision *' '<--precision><bf16><fp32><tf32>'
    ok "bash: words" completes bash "$bash" "wf-train-level -f '2*(actnorm, hous" '<-f><2*(actnorm, householder>'
    ok "bash: levels" completes bash "$bash" 'wf-train-level -m out/demo/model -l 0-' '<-m><out/demo/model><-l><0-3>'
    ok "zsh: choices" completes zsh "$zsh" 'wf-train-level --precision *' '<--precision><bf16><fp32><tf32>'
    ok "zsh: words" completes zsh "$zsh" "wf-train-level -f '2*(actnorm, hous" '<-f><2*(actnorm, householder>'
    ok "zsh: levels" completes zsh "$zsh" 'wf-train-level -m out/demo/model -l 0-' '<-m><out/demo/model><-l><0-3>'
    ok "removal leaves nothing" root "apt-get -qq purge -y wavelet-flow && $list > ~/after && diff ~/before ~/after &&
        [ -z \"\$(find / -xdev -name 'wf-*' ! -path '/home/*' ! -path '/proc/*' ! -path '/sys/*')\" ]"
}

tarball=$(packaging/dist.sh "$DIR") || exit
name=${tarball##*/} name=${name%.tar.gz} version=${name#wavelet-flow-}
total_passed=0 total_failed=0 lines=()
for suite; do
    passed=0 failed=0 built=$DIR/$suite/built
    mkdir -p "$DIR/$suite"
    if [ "$(cut -d ' ' -f 1 "$built" 2> /dev/null)" = "$version" ]; then
        passed=$(cut -d ' ' -f 2 "$built")
    elif ok "a bare system" unpack "$suite" build && build_packages && [ $failed = 0 ]; then
        echo "$version $passed" > "$built"
    fi
    deb=$(find "$DIR/$suite" -maxdepth 1 -name 'wavelet-flow_*.deb')
    if [ -n "$deb" ] && ok "another bare system" unpack "$suite" user; then
        use_packages
    fi
    lines+=("$suite: $(date +%F), $version: $passed passed, $failed failed, 0 skipped")
    total_passed=$((total_passed + passed)) total_failed=$((total_failed + failed))
done
printf '%s\n' "${lines[@]}"
echo "$total_passed passed, $total_failed failed, 0 skipped"
[ $total_failed = 0 ]
