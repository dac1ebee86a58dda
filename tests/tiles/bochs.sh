#!/usr/bin/env bash
# bochs.sh - runs check-tiles on the tile registers of Bochs 3, an emulator of a whole machine that has AMX, and compares the bits of
# all results with those of tiles emulated in C. qemu has no AMX. Without a system: bochs/start.S and bochs/machine.c start the
# program, which is linked statically, with one thread.
#
# Needs mmdebstrap, root, and two minutes; outside CI. SUITE=forky is the Debian that Bochs comes from. The last line is
# "N passed, N failed, N skipped".
set -eu -o pipefail
export LC_ALL=C
cd "$(dirname "$0")/../.."
[ "$(uname -m)" = x86_64 ] || { printf '%s\n' "skip: no x86-64" "0 passed, 0 failed, 1 skipped"; exit 0; }
command -v mmdebstrap > /dev/null || { echo "bochs.sh: no mmdebstrap: apt-get install mmdebstrap" >&2; exit 69; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mmdebstrap --quiet --variant=extract ${APTOPT:+--aptopt="$APTOPT"} --include=bochs,bochsbios,vgabios "${SUITE:-forky}" "$root" > /dev/null
for folder in bin lib lib64; do [ -e "$root/$folder" ] || ln -s "usr/$folder" "$root/$folder"; done

here=tests/tiles/bochs
flags=(-std=c11 -D_GNU_SOURCE -O3 -fopenmp -ffp-contract=off -fno-trapping-math -w -s)
sources=(kernels/cpu/amx_*.c tests/tiles/check_tiles.c)
gcc "${flags[@]}" -DWF_TILES_EMULATED "${sources[@]}" -lm -o "$work/emulated"
gcc "${flags[@]}" -march=x86-64-v4 -mamx-tile -mamx-bf16 -static "${sources[@]}" -lm -o "$work/program" 2> "$work/log" ||
    { cat "$work/log" >&2; exit 1; }
gcc -c -o "$work/start.o" $here/start.S
gcc -std=gnu11 -O2 -ffreestanding -fno-pic -mno-red-zone -mgeneral-regs-only -fno-stack-protector -Wall -Werror -c \
    -o "$work/machine.o" $here/machine.c
ld --no-warn-rwx-segments -T $here/machine.ld -o "$work/machine.elf" "$work/start.o" "$work/machine.o"
objcopy -O binary --set-section-flags .rest=alloc,load,contents "$work/machine.elf" "$work/machine"
[ "$(stat -c %s "$work/machine")" -le 32768 ] || { echo "bochs.sh: the machine's code has over 64 sectors" >&2; exit 1; }

# The disk: 64 sectors of code, then the program.
cp "$work/machine" "$root/disk"
truncate -s 32768 "$root/disk"
cat "$work/program" >> "$root/disk"
truncate -s $((32 * 16 * 63 * 512)) "$root/disk"
cat > "$root/settings" << 'END'
cpu: model=sapphire_rapids, count=1
memory: guest=1024, host=1024
romimage: file=/usr/share/bochs/BIOS-bochs-legacy
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
display_library: rfb, options="timeout=0"
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path=/disk, mode=flat, cylinders=32, heads=16, spt=63
boot: disk
port_e9_hack: enabled=1
panic: action=fatal
log: /log
END
timeout 600 chroot "$root" /usr/bin/bochs-bin -q -f /settings -unlock < /dev/null > "$work/screen" 2>&1 || true
grep -aoE '(FAIL |skip: |bits of |machine: exc|[0-9]+ passed).*' "$work/screen" > "$work/there" || { tail -n 20 "$work/screen" >&2; exit 1; }
"$work/emulated" > "$work/here"
cat "$work/there"
if ! diff <(grep bits "$work/here") <(grep bits "$work/there"); then
    echo "FAIL: the tiles of Bochs and those in C give other bits"
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
fi
grep -q ' 0 failed, 0 skipped$' "$work/there"
