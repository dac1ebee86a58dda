#!/usr/bin/env bash
# libpng 1.6.39 (Debian 12, 1.6.39-2+deb12u5) and 1.6.48 (Debian 13, 1.6.48-1+deb13u6): the checksum of IEND.
#
# Guess: by default a wrong checksum of a critical chunk is an error in every release of 1.6, as the manual of png_set_crc_action()
# has it. IEND is critical.
# Seen: 1.6.39 fails with "IEND: CRC error". 1.6.48 only warns, and the picture is read.
# So a program that leaves checksums to libpng takes a file with damaged last bytes for whole, where it did not before.
#
# Exits 0 while that is so, 1 when it has changed.
set -eu
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
# shellcheck disable=SC2016 # for apt to expand
archive=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sed -n '/^Debian /{s///p;q}')
for name in libpng-dev_1.6.39-2+deb12u5 libpng16-16_1.6.39-2+deb12u5 libpng16-16t64_1.6.48-1+deb13u6; do
    /usr/lib/apt/apt-helper -qq -o APT::Sandbox::User=root download-file "${archive%/}/pool/main/libp/libpng1.6/${name}_amd64.deb" "$name.deb"
    dpkg -x "$name.deb" "${name%%_*}"
done
cat > read.c <<'END'
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
static void fail(png_structp png, png_const_charp text) { printf("error: %s\n", text); png_longjmp(png, 1); }
static void warn(png_structp png, png_const_charp text) { (void)png; printf("warning: %s\n", text); }
int main(int argc, char **argv)
{
    FILE *file = fopen(argv[argc - 1], "rb");
    png_structp png = png_create_read_struct("1.6.39", NULL, fail, warn);
    png_infop info = png_create_info_struct(png);
    png_byte row[3];
    if (!file || setjmp(png_jmpbuf(png)))
        return 1;
    png_init_io(png, file);
    png_read_info(png, info);
    png_read_row(png, row, NULL);
    png_read_end(png, NULL);
    return puts("read") < 0;
}
END
# One black pixel; the file's last byte, of the checksum of IEND, is 0x82 in a whole file.
base64 -d > damaged.png <<'END'
iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNgYGAAAAAEAAH2FzhVAAAAAElFTkSuQmCD
END
lib=usr/lib/x86_64-linux-gnu
gcc -Ilibpng-dev/usr/include -o read read.c libpng16-16/$lib/libpng16.so.16 -Wl,--allow-shlib-undefined
old=$(LD_LIBRARY_PATH=libpng16-16/$lib ./read damaged.png || true)
new=$(LD_LIBRARY_PATH=libpng16-16t64/$lib ./read damaged.png || true)
printf '1.6.39: %s\n1.6.48: %s\n' "$old" "${new//$'\n'/, }"
[ "$old" = 'error: IEND: CRC error' ] && [ "$new" = $'warning: IEND: CRC error\nread' ]
