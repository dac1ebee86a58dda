#!/usr/bin/env bash
# deb.sh - what `make deb` packs. It packs the plain build here, since compiling another takes minutes; tests/packages.sh
# builds, installs and runs the real packages.
. "$(dirname "$0")/lib.sh"
[ "${B:-build}" = build ] || { skip "the plain build only"; exit; }
for tool in dpkg-deb dpkg-shlibdeps strip; do
    command -v $tool > log || { skip "$tool is not installed"; exit; }
done
pack() { make_here deb-run NVCC= && mkdir -p "$1" && cp "$ROOT"/build/deb/*.deb "$1"; }
ok "packages are made without root's rights" pack first
deb=$(echo first/wavelet-flow_*.deb) dev=$(echo first/wavelet-flow-dev_*.deb)
dpkg-deb -c "$deb" | awk '{ print $2, $6 }' > files
dpkg-deb -c "$dev" | awk '{ print $2, $6 }' > dev-files
ok "everything belongs to root" test "$(cut -d ' ' -f 1 files dev-files | sort -u)" = root/root
for path in bin/wf-dwt bin/wf-decode libexec/wavelet-flow/deadleaves share/man/man1/wf-dwt.1.gz share/man/man7/wf-chain.7.gz \
    share/bash-completion/completions/wf-dwt share/zsh/vendor-completions/_wf share/wavelet-flow/pipelines/{demo.mk,report.css} \
    share/doc/wavelet-flow/{copyright,changelog.gz,changelog.Debian.gz}; do
    ok "$path" grep -qx "root/root ./usr/$path" files
done
for path in include/wf/wf.h "lib/$(gcc -print-multiarch)/"{libwf.a,pkgconfig/wf.pc}; do
    ok "$path" grep -qx "root/root ./usr/$path" dev-files
done
ok "nothing else is outside bin, libexec and share" bash -c '! grep -vE " \./(usr/((bin|libexec|share)/.*)?)?$" files'
field() { dpkg-deb -f "$1" "$2" | grep -q "$3"; }
for library in libdnnl liblmdb libpng libjpeg libwebp libsndfile libarchive libjansson libxxhash libdeflate zlib1g libc6 libgomp1; do
    ok "depends on $library" field "$deb" Depends "$library"
done
for library in libdnnl-dev liblmdb-dev libpng-dev libwebp-dev libarchive-dev zlib1g-dev libc6-dev; do
    ok "the library depends on $library" field "$dev" Depends "$library"
done
mpi=
if [ -e "$ROOT/build/libwf-mpi.so" ]; then
    mpi=$(echo first/wavelet-flow-mpi_*.deb)
    ok "the plugin is a package of its own" grep -qx 'root/root ./usr/lib/wavelet-flow/libwf-mpi.so' <(dpkg-deb -c "$mpi" | awk '{ print $2, $6 }')
    ok "which depends on MPI" field "$mpi" Depends 'libopenmpi\|libmpich'
    ok "and no other does" bash -c '! dpkg-deb -f "$1" Depends | grep -q mpi' - "$deb"
else
    skip "the programs were built without MPI"
fi
version=$(dpkg-deb -f "$deb" Version)
ok "the version is that of the build and the release" grep -qE "^$(sed 's/[+.]/\\&/g' "$ROOT/build/version")-1~[a-z]+[0-9.]*$" <<< "$version"
mkdir root && dpkg-deb -x "$deb" root
ok "pages are whole" bash -c 'for f in root/usr/share/man/*/*; do gzip -t "$f" || exit; done'
ok "the programs run" root/usr/bin/wf-decode --version
ok "no path of this tree is in the texts" bash -c '! grep -rlF "$1" root/usr/share' - "$ROOT"
umask 077
export TZ=Asia/Tokyo LC_ALL=C.UTF-8
ok "again, under another umask and time zone" pack second
ok "the same bytes" diff -r first second
export DEBFULLNAME='R&D/Pictures' DEBEMAIL=pictures@example.org
ok "for another maintainer" pack third
ok "whose name is as it was given" field "$(echo third/wavelet-flow_*.deb)" Maintainer "^$DEBFULLNAME <$DEBEMAIL>$"
if command -v lintian > log; then
    ok "lintian, without errors and warnings" lintian --fail-on error,warning "$deb" "$dev" ${mpi:+"$mpi"}
else
    skip "lintian"
fi
