#!/usr/bin/env bash
# deb.sh DIR VERSION - packs DIR/tree, where `make install PREFIX=/usr` has put everything, into DIR/*.deb: wavelet-flow
# with the programs, wavelet-flow-dev with library and headers, and wavelet-flow-mpi with the plugin, if there is one.
# `make deb` runs it, without root.
#
# A commit gives the same bytes whenever it is packed on one release of Debian. Names of libraries come from the machine that
# builds, so each release needs a build of its own, and the revision ends in the release: -1~deb12, -1~forky.
#
# DEBFULLNAME, DEBEMAIL   the maintainer, as for other tools of Debian
# SOURCE_DATE_EPOCH       date of the files; the last commit
set -eu -o pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)
version=$2
for tool in dpkg-deb dpkg-shlibdeps dpkg-gencontrol strip; do
    command -v $tool > /dev/null || { echo "deb.sh: $tool is not here: apt-get install dpkg-dev binutils" >&2; exit 69; }
done
cd "$1"
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$("$here/version.sh" --epoch)}
maintainer="${DEBFULLNAME:-Wavelet Flow authors} <${DEBEMAIL:-authors@wavelet-flow.invalid}>"
# shellcheck source=/dev/null # ID and VERSION_ID of the release; one that is not released has a codename only
version+=-1~$(. /etc/os-release && echo "${VERSION_ID:+${ID/debian/deb}}${VERSION_ID:-$VERSION_CODENAME}")
multiarch=$(dpkg-architecture -q DEB_HOST_MULTIARCH)
rm -rf debian wavelet-flow wavelet-flow-dev wavelet-flow-mpi ./*.deb
mkdir -p debian wavelet-flow/{DEBIAN,usr} wavelet-flow-dev/{DEBIAN,usr}
cp -a tree/usr/bin tree/usr/libexec tree/usr/share wavelet-flow/usr
cp -a tree/usr/include tree/usr/lib wavelet-flow-dev/usr
packages=(wavelet-flow wavelet-flow-dev)
plugin=wavelet-flow-dev/usr/lib/$multiarch/libwf-mpi.so
if [ -e "$plugin" ]; then
    packages+=(wavelet-flow-mpi)
    mkdir -p wavelet-flow-mpi/{DEBIAN,usr/lib/wavelet-flow}
    mv "$plugin" wavelet-flow-mpi/usr/lib/wavelet-flow
    strip --remove-section=.comment --remove-section=.note wavelet-flow-mpi/usr/lib/wavelet-flow/*.so
fi

strip --remove-section=.comment --remove-section=.note wavelet-flow/usr/bin/* wavelet-flow/usr/libexec/*/*
strip --strip-debug --remove-section=.comment --enable-deterministic-archives "wavelet-flow-dev/usr/lib/$multiarch"/*.a
find wavelet-flow/usr/share/man -type f -exec gzip -9n {} +

control=$(cat "$here/control")
printf '%s\n' "${control//@MAINTAINER@/"$maintainer"}" > debian/control
cat > debian/changelog << END
wavelet-flow ($version) unstable; urgency=medium

  * Build of version ${version%-*}; changelog.gz has the changes.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
for package in "${packages[@]}"; do
    doc=$package/usr/share/doc/$package
    mkdir -p "$doc"
    cp "$here/copyright" "$doc"
    gzip -9n < "$here/../CHANGELOG.md" > "$doc/changelog.gz"
    gzip -9n < debian/changelog > "$doc/changelog.Debian.gz"
done

# The library is static: a program that is built against it needs the same libraries with their headers. The package of
# each is the one that owns what the linker finds.
dpkg-shlibdeps -Tdebian/wavelet-flow.substvars wavelet-flow/usr/bin/* wavelet-flow/usr/libexec/*/*
[ ! -d wavelet-flow-mpi ] || dpkg-shlibdeps -Tdebian/wavelet-flow-mpi.substvars wavelet-flow-mpi/usr/lib/*/*.so
mapfile -t libraries < <(sed -n 's/^Libs: //p' "wavelet-flow-dev/usr/lib/$multiarch/pkgconfig/wf.pc" | xargs -n 1 |
    sed -n 's/^-l//p' | grep -vx wf)
owner() { # owner LIBRARY: the package with the file that the linker finds; releases differ in whether it has /usr
    local file
    for file in lib"$1".so lib"$1".a; do
        file=$(realpath -s "$(gcc -print-file-name="$file")")
        dpkg-query -S "$file" 2> /dev/null || dpkg-query -S "${file#/usr}" 2> /dev/null || continue
        return
    done | sed 's/:.*//'
}
owners=$(for library in "${libraries[@]}"; do owner "$library"; done | sort -u | paste -s -d , | sed 's/,/, /g')
echo "dev:Depends=$owners" > debian/wavelet-flow-dev.substvars

for package in "${packages[@]}"; do
    touch debian/files
    dpkg-gencontrol -p"$package" -P"$package" -Tdebian/"$package".substvars -fdebian/files
    (cd "$package" && find usr -type f -print0 | sort -z | xargs -0 md5sum > DEBIAN/md5sums)
    chmod -R u=rwX,go=rX "$package"
    dpkg-deb --root-owner-group -Zxz --build "$package" . > /dev/null
done
ls -- *.deb
