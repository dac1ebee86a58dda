#!/usr/bin/env bash
# systems.sh SUITE [SUITE ...] - what the README promises, on bare releases of Debian or Ubuntu: unpacks each, copies a
# clone of HEAD in, and runs ./bootstrap there as an ordinary user with sudo. Needs mmdebstrap, and root or user
# namespaces with a range in /etc/subuid. A run that was cut off continues; a step that passed is not run again for the
# same commit.
#
#     tests/systems.sh bookworm trixie forky
#     MIRROR=ARCHIVE COMPONENTS=main,universe tests/systems.sh noble
#
#   MIRROR      archive of the packages; without it, the one that apt uses on this machine
#   COMPONENTS  of the archive;   APTOPT  an option of apt, such as 'Acquire::Check-Valid-Until "false"' for a snapshot
#   DIR         where systems and logs are kept, 4 GB each: build-systems
#
# It ends with a line for each suite and the totals. A step without tests of its own counts as one.
set -u -o pipefail
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1
DIR=$(realpath -m "${DIR:-build-systems}")
steps=('demo QUICK=1' 'all CC=clang' 'check')

. tests/bare.sh
commit=$(git rev-parse --short HEAD) || die 65 "not in a clone of the repository"
[ -z "$(git status --porcelain)" ] || echo "systems.sh: runs $commit, without what is not committed"

# in_clone SUITE COMMAND: runs it as the ordinary user of that system, in the clone
in_clone() { inside "$DIR/$1/root" user "cd wavelet-flow && $2"; }

# unpack SUITE: a fresh system with an ordinary user and a clone
unpack() {
    local at=$DIR/$1
    unpack_bare "$1" root sudo || return
    rm -rf "$at/clone"
    git clone --quiet --no-hardlinks . "$at/clone" || return
    # shellcheck disable=SC2016
    "${enter[@]}" sh -ec 'cd "$1"
        echo "user ALL=(ALL) NOPASSWD: ALL" > root/etc/sudoers.d/user
        cp -r clone root/home/user/wavelet-flow
        chroot root chown -R user:user /home/user' - "$at" || return
    rm -rf "$at/clone" "$at"/*.passed "$at"/*.log
    echo "$commit" > "$at/commit"
}

# step SUITE ARGUMENTS: ./bootstrap ARGUMENTS; adds its totals to those of the suite
step() {
    local name=${2%% *} log rc=0 p=0 f=0 s=0
    [[ $2 != *clang* ]] || name=clang
    log=$DIR/$1/$name
    if [ ! -e "$log.passed" ]; then
        echo "$1: ./bootstrap $2"
        in_clone "$1" "./bootstrap $2" > "$log.log" 2>&1 || rc=$?
        # make has the last word when tests fail
        read -r p f s < <(sed -n 's/^\([0-9]\+\) passed, \([0-9]\+\) failed, \([0-9]\+\) skipped$/\1 \2 \3/p' "$log.log" |
            tail -n 1; echo)
        [ -n "$p" ] || { p=$((rc == 0)) f=0 s=0; }
        [ "$rc" = 0 ] || [ "$f" != 0 ] || f=1
        if [ "$f" = 0 ]; then
            echo "$p 0 $s" > "$log.passed"
        else
            grep -aE 'FAIL|[Ee]rror' "$log.log" | head -n 20 || tail -n 20 "$log.log"
            echo "$1: ./bootstrap $2 failed: $log.log"
        fi
    else
        read -r p f s < "$log.passed"
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# versions SUITE: of compilers and libraries, in one line
versions() {
    # shellcheck disable=SC2016
    in_clone "$1" 'echo "$(uname -sr) on $(sed -n "s/^model name.*: //p" /proc/cpuinfo | head -n 1), gcc $(gcc -dumpfullversion 2> /dev/null)$(
        for pair in clang:clang oneDNN:libdnnl-dev libpng:libpng-dev; do
            v=$(dpkg-query -W -f "\${Version}" "${pair#*:}" 2> /dev/null) && v=${v#*:} && echo -n ", ${pair%:*} ${v%%[-+]*}"
        done)"'
}

# Read whole before it runs, for hours: an edit in the meantime does no harm.
main() {
    local suite arguments about lines=() total_passed=0 total_failed=0 total_skipped=0
    for suite; do
        passed=0 failed=0 skipped=0
        if [ "$(cat "$DIR/$suite/commit" 2> /dev/null)" = "$commit" ] || unpack "$suite"; then
            for arguments in "${steps[@]}"; do step "$suite" "$arguments"; done
            about=$(versions "$suite")
        else
            failed=1 about="not unpacked from $MIRROR"
        fi
        lines+=("$suite: $(date +%F), $about: $passed passed, $failed failed, $skipped skipped")
        total_passed=$((total_passed + passed)) total_failed=$((total_failed + failed)) total_skipped=$((total_skipped + skipped))
    done
    printf '%s\n' "${lines[@]}"
    echo "$total_passed passed, $total_failed failed, $total_skipped skipped"
    [ $total_failed = 0 ]
}
main "$@"
exit
