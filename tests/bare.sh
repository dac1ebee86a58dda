# shellcheck shell=bash
# bare.sh - bare releases of Debian or Ubuntu, for the scripts that source it: unpacks them and runs commands in them. The
# script has set DIR and has the suites as arguments. Needs mmdebstrap, and root or user namespaces with a range in
# /etc/subuid.
#
#   MIRROR      archive of the packages; without it, the one that apt uses on this machine
#   COMPONENTS  of the archive;   APTOPT  an option of apt, such as 'Acquire::Check-Valid-Until "false"' for a snapshot
export LC_ALL=C
COMPONENTS=${COMPONENTS:-main}
environment=() # VAR=VALUE for commands inside

die() { # die STATUS MESSAGE
    echo "${0##*/}: $2" >&2
    exit "$1"
}
[ $# != 0 ] || die 64 "expected SUITE [SUITE ...], such as bookworm trixie"
for tool in git mmdebstrap unshare; do
    command -v $tool > /dev/null || die 69 "$tool is not here: apt-get install git mmdebstrap util-linux"
done
# shellcheck disable=SC2016 # for apt to expand
MIRROR=${MIRROR:-$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2> /dev/null |
    sed -n '/^Debian \|^Ubuntu /{s/^[^ ]* //p;q}')}
[ -n "$MIRROR" ] || die 64 "apt on this machine names no archive of Debian or Ubuntu: set MIRROR="
mkdir -p "$DIR" || exit 73

# Mounts belong to a namespace of their own, so that nothing stays mounted.
enter=(unshare --mount --pid --fork --kill-child)
[ "$(id -u)" = 0 ] || enter+=(--map-root-user --map-auto)

# inside ROOT USER COMMAND: runs it in the system at ROOT, in the home of root or of the ordinary user
inside() {
    # shellcheck disable=SC2016 # for the inner shell
    "${enter[@]}" sh -c '
        mount -t proc proc "$1/proc" && mount --rbind /sys "$1/sys" && mount --rbind /dev "$1/dev" || exit
        cp /etc/resolv.conf /etc/hosts "$1/etc/"
        root=$1 user=$2 command=$3 home=/home/user
        [ "$user" = user ] || home=/root
        shift 3
        exec chroot --userspec="$user:$user" "$root" env -i HOME="$home" USER="$user" LANG=C.UTF-8 \
            PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin "$@" bash -c "cd && $command"
        ' - "$1" "$2" "$3" "${environment[@]}" < /dev/null
}

# unpack_bare SUITE NAME [PACKAGES]: a fresh system $DIR/SUITE/NAME with an ordinary user
unpack_bare() {
    local at=$DIR/$1
    mkdir -p "$at"
    if [ ! -e "$at/system.tar" ]; then
        mmdebstrap --quiet --variant=minbase --include="${3:-}" --components="$COMPONENTS" ${APTOPT:+--aptopt="$APTOPT"} \
            "$1" "$at/system.part.tar" "$MIRROR" && mv "$at/system.part.tar" "$at/system.tar" || return
    fi
    # shellcheck disable=SC2016
    "${enter[@]}" sh -ec 'cd "$1"
        rm -rf --one-file-system "$2"
        mkdir "$2"
        tar -x -f system.tar -C "$2" --exclude "./dev/*"
        chroot "$2" useradd --create-home --shell /bin/bash user' - "$at" "$2"
}
