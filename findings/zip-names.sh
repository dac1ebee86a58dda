#!/usr/bin/env bash
# libarchive 3.6.2 (Debian 12, 3.6.2-1+deb12u5): names outside ASCII in tar and zip, read in the plain locale.
#
# Guess: where the locale cannot show a name, libarchive still gives its bytes or its UTF-8, from a tar and from a zip alike.
# Seen: bsdtar in the locale C lists the entries of a tar whose header says that names are UTF-8. Those of a zip that says so it
# leaves out with "empty or unreadable filename": the name is lost before a program can ask for it, and one entry is as nameless as
# the next. In C.UTF-8 it lists both.
# So a program that sets no locale gives every file of such a zip the same name, or none.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq libarchive-tools=3.6.2-1+deb12u5 libarchive13=3.6.2-1+deb12u5 libacl1 libbz2-1.0 libicu72 liblz4-1 liblzma5 \
    libnettle8 libxml2 libzstd1 zlib1g
for deb in *.deb; do dpkg -x "$deb" root; done
cat > pack.py <<'END'
import io, tarfile, zipfile

with zipfile.ZipFile("names.zip", "w") as out:
    for name in "plain", "K\u00e4se", "\u732b":
        out.writestr(name, "")
with tarfile.open("names.tar", "w", format=tarfile.PAX_FORMAT) as out:
    for name in "plain", "K\u00e4se", "\u732b":
        out.addfile(tarfile.TarInfo(name), io.BytesIO())
END
python3 pack.py
lib=$PWD/root/usr/lib/x86_64-linux-gnu:$PWD/root/lib/x86_64-linux-gnu
for locale in C C.UTF-8; do
    for kind in tar zip; do
        count=$( (LD_LIBRARY_PATH=$lib LC_ALL=$locale root/usr/bin/bsdtar -tf names.$kind 2>> said || true) | wc -l)
        echo "$locale $kind $count of 3 names"
    done
done | tee seen
grep -q 'empty or unreadable filename' said
diff seen - <<'END'
C tar 3 of 3 names
C zip 1 of 3 names
C.UTF-8 tar 3 of 3 names
C.UTF-8 zip 3 of 3 names
END
