# start.S - boot sector of a machine that runs one static Linux program: loads machine.c behind it, switches to 64 bits, keeps the
# registers of AMX, and calls machine()
    .code16
    .section .boot, "ax"
    .globl _start
_start:
    cli
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7c00, %sp
    sti
    mov $packet, %si # the BIOS reads the 63 sectors behind this one; %dl is the disk
    mov $0x42, %ah
    int $0x13
    cli
    in $0x92, %al # A20
    or $2, %al
    out %al, $0x92
    # Identity map of 1 GB in pages of 2 MB: tables at 0x1000, 0x2000, 0x3000.
    mov $0x1000, %edi
    xor %eax, %eax
    mov $0x0c00, %ecx
    rep stosl
    movl $0x2003, 0x1000
    movl $0x3003, 0x2000
    mov $0x3000, %edi
    mov $0x83, %eax
    mov $512, %ecx
1:  mov %eax, (%edi)
    add $0x200000, %eax
    add $8, %edi
    loop 1b
    mov $0x40620, %eax # CR4: PAE, OSFXSR, OSXMMEXCPT, OSXSAVE
    mov %eax, %cr4
    mov $0x1000, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx # EFER: SCE, LME
    rdmsr
    or $0x101, %eax
    wrmsr
    mov $0x80000023, %eax # CR0: PG, NE, MP, PE
    mov %eax, %cr0
    lgdt table
    ljmp $8, $long_mode
packet:
    .byte 16, 0
    .word 63, 0x7e00, 0
    .quad 1
    .balign 8
segments:
    .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff
table:
    .word table - segments - 1
    .long segments
    .org 510
    .word 0xaa55

    .code64
long_mode:
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $0x7c00, %esp
    xor %ecx, %ecx
    xgetbv
    or $0x600e7, %eax # x87, SSE, AVX, AVX-512, XTILECFG, XTILEDATA
    xsetbv
    call machine
1:  hlt
    jmp 1b

# Enters the program: stack in %rdi, address in %rsi.
    .globl enter
enter:
    mov %rdi, %rsp
    xor %edx, %edx
    jmp *%rsi

# SYSCALL comes here at the same privilege, so its way back is a jump. The stack is the caller's; below it is its red zone.
    .globl syscall_entry
syscall_entry:
    lea -128(%rsp), %rsp
    push %rcx
    push %r11
    push %rdi
    push %rsi
    push %rdx
    push %r8
    push %r9
    push %r10
    mov %rax, %rcx
    call system_call # (first, second, third, number)
    pop %r10
    pop %r9
    pop %r8
    pop %rdx
    pop %rsi
    pop %rdi
    pop %r11
    pop %rcx
    lea 128(%rsp), %rsp
    jmp *%rcx

# Exceptions end the machine with their number.
    .globl exceptions
exceptions:
    .set n, 0
    .rept 32
    push $n
    jmp 2f
    .balign 16
    .set n, n + 1
    .endr
2:  pop %rdi
    mov (%rsp), %rsi
    mov 8(%rsp), %rdx
    call exception
    .section .note.GNU-stack, "", @progbits
