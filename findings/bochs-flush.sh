#!/usr/bin/env bash
# Bochs 3.1 (Debian forky, bochs 3.1+dfsg-1): differences next to the least normal number, with MXCSR.FTZ.
#
# Guess: an emulator on Berkeley's softfloat flushes the same results to zero as a processor, which are the subnormal ones.
# Seen: 0x1.8p-124 - 0x1.2p-124 is 0x1.8p-126, a normal number, and Bochs gives 0. It does so where both operands have the same
# exponent and the difference has the least one. With other operands, 0x1.8p-125 - 0x1.8p-126, the same difference is right.
# TDPBF16PS, which always flushes, does it too. A processor gives 0x1.8p-126 for both.
#
# Needs root for chroot. Exits 0 while that is so, 1 when it has changed.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mmdebstrap --quiet --variant=extract ${APTOPT:+--aptopt="$APTOPT"} --include=bochs=3.1+dfsg-1,bochsbios=3.1+dfsg-1,vgabios forky root > /dev/null
for folder in bin lib lib64; do [ -e root/$folder ] || ln -s usr/$folder root/$folder; done

# A boot sector that subtracts twice and prints the bits on port 0xe9.
cat > boot.S << 'END'
    .code16
    .globl _start
_start:
    xor %ax, %ax
    mov %ax, %ds
    mov $0x7c00, %sp
    mov %cr0, %eax
    and $~4, %eax
    or $2, %eax
    mov %eax, %cr0
    mov %cr4, %eax
    or $0x600, %eax
    mov %eax, %cr4
    ldmxcsr control
    mov $pairs, %si
    mov $2, %cx
pair:
    movss (%si), %xmm0
    subss 4(%si), %xmm0
    movss %xmm0, result
    mov result, %edx
    mov $8, %di
digit:
    rol $4, %edx
    mov %dl, %bl
    and $15, %bx
    mov digits(%bx), %al
    out %al, $0xe9
    dec %di
    jnz digit
    mov $32, %al
    out %al, $0xe9
    add $8, %si
    loop pair
    mov $stop, %si
    mov $8, %cx
    mov $0x8900, %dx
    rep outsb
1:  hlt
    jmp 1b
control: .long 0x9f80
pairs: .long 0x01c00000, 0x01900000, 0x01400000, 0x00c00000
result: .long 0
digits: .ascii "0123456789abcdef"
stop: .ascii "Shutdown"
    .org 510
    .word 0xaa55
END
gcc -c boot.S && ld -Ttext 0x7c00 --oformat binary -o boot boot.o 2> /dev/null
cp boot root/disk
truncate -s $((32 * 16 * 63 * 512)) root/disk
cat > root/settings << 'END'
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
timeout 120 chroot root /usr/bin/bochs-bin -q -f /settings -unlock < /dev/null > screen 2>&1 || true
bochs=$(grep -aoE '([0-9a-f]{8} ){2}' screen)

cat > here.c << 'END'
#include <stdio.h>
#include <string.h>
#include <xmmintrin.h>
int main(void)
{
    static volatile float x[] = {0x1.8p-124f, 0x1.2p-124f, 0x1.8p-125f, 0x1.8p-126f};
    _mm_setcsr(0x9f80);
    for (int i = 0; i < 4; i += 2) {
        float d = x[i] - x[i + 1];
        unsigned bits;
        memcpy(&bits, &d, sizeof bits);
        printf("%08x ", bits);
    }
    return 0;
}
END
gcc -O1 -o here here.c
here=$(./here)
echo "processor $here"
echo "Bochs     $bochs"
[ "$here" = '00c00000 00c00000 ' ] && [ "$bochs" = '00000000 00c00000 ' ]
