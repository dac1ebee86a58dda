/* machine.c - what a static program of Linux needs to run alone on a machine without a system
 *
 * Reads the program from the disk, behind the first 64 sectors, and starts it with one thread. Answers the few calls
 * that the C library makes; standard output and error go to port 0xe9, which Bochs prints. Ends by Bochs' port for
 * that. */
#include <elf.h>
#include <stddef.h>
#include <stdint.h>

enum { IMAGE = 0x8000000, STACK = 0x3f000000, SECTOR = 512, FIRST = 64 };

void machine(void);
long system_call(uint64_t a, uint64_t b, uint64_t c, uint64_t number);
void exception(uint64_t number, uint64_t one, uint64_t two);
void enter(void *stack, uint64_t address);
extern char syscall_entry[], exceptions[];

static uint64_t heap, free_memory = 0x10000000; /* brk, mmap */

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void set_msr(uint32_t which, uint64_t value)
{
    __asm__ volatile("wrmsr" ::"c"(which), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static void print(const char *text)
{
    while (*text)
        out8(0xe9, (uint8_t)*text++);
}

static void print_hex(uint64_t value)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        out8(0xe9, (uint8_t) "0123456789abcdef"[value >> shift & 15]);
    print(" ");
}

static void end(void)
{
    print("\n");
    for (const char *p = "Shutdown"; *p; p++)
        out8(0x8900, (uint8_t)*p);
    for (;;)
        __asm__ volatile("hlt");
}

void exception(uint64_t number, uint64_t one, uint64_t two)
{
    print("machine: exception ");
    print_hex(number);
    print_hex(one);
    print_hex(two);
    end();
}

long system_call(uint64_t a, uint64_t b, uint64_t c, uint64_t number)
{
    enum { WRITE = 1, MMAP = 9, MPROTECT = 10, MUNMAP = 11, BRK = 12, EXIT = 60, ARCH_PRCTL = 158, EXIT_GROUP = 231 };
    enum { ARCH_SET_FS = 0x1002, ARCH_REQ_XCOMP_PERM = 0x1023, ENOSYS = 38 };
    switch (number) {
    case WRITE:
        for (uint64_t i = 0; i < c; i++)
            out8(0xe9, ((const uint8_t *)b)[i]);
        return (long)c;
    case MMAP:
        free_memory += (b + 4095) / 4096 * 4096;
        return (long)(free_memory - (b + 4095) / 4096 * 4096);
    case BRK:
        if (a)
            heap = a;
        return (long)heap;
    case ARCH_PRCTL:
        if (a == ARCH_SET_FS)
            set_msr(0xc0000100, b);
        return a == ARCH_SET_FS || a == ARCH_REQ_XCOMP_PERM ? 0 : -ENOSYS;
    case MPROTECT:
    case MUNMAP:
        return 0;
    case EXIT:
    case EXIT_GROUP:
        print("machine: exit ");
        print_hex(a);
        end();
    }
    return -ENOSYS;
}

static void read_sectors(uint32_t first, uint32_t count, uint8_t *to) /* ATA, LBA28, polled */
{
    for (; count; count--, first++) {
        out8(0x1f6, (uint8_t)(0xe0 | first >> 24));
        out8(0x1f2, 1);
        out8(0x1f3, (uint8_t)first);
        out8(0x1f4, (uint8_t)(first >> 8));
        out8(0x1f5, (uint8_t)(first >> 16));
        out8(0x1f7, 0x20);
        while ((in8(0x1f7) & 0x88) != 8)
            ;
        uint64_t words = SECTOR / 2;
        __asm__ volatile("rep insw" : "+D"(to), "+c"(words) : "d"(0x1f0) : "memory");
    }
}

static uint64_t load_program(Elf64_Ehdr *e)
{
    read_sectors(FIRST, 1, (uint8_t *)e);
    /* The section headers are the end of the file. */
    uint64_t size = e->e_shoff + (uint64_t)e->e_shnum * e->e_shentsize;
    read_sectors(FIRST, (uint32_t)((size + SECTOR - 1) / SECTOR), (uint8_t *)e);
    for (int i = 0; i < e->e_phnum; i++) {
        const Elf64_Phdr *p = (const Elf64_Phdr *)((char *)e + e->e_phoff) + i;
        if (p->p_type != PT_LOAD)
            continue;
        for (uint64_t k = 0; k < p->p_memsz; k++)
            ((uint8_t *)p->p_vaddr)[k] = k < p->p_filesz ? ((uint8_t *)e)[p->p_offset + k] : 0;
        if (heap < p->p_vaddr + p->p_memsz)
            heap = (p->p_vaddr + p->p_memsz + 4095) / 4096 * 4096;
    }
    return (uint64_t)((char *)e + e->e_phoff);
}

static void catch_exceptions(void)
{
    static struct gate {
        uint16_t low, segment, type, middle;
        uint32_t high, zero;
    } gates[32];
    static struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } table;
    for (int i = 0; i < 32; i++) {
        uint64_t at = (uint64_t)exceptions + 16 * (uint64_t)i;
        gates[i] = (struct gate){(uint16_t)at, 8, 0x8e00, (uint16_t)(at >> 16), (uint32_t)(at >> 32), 0};
    }
    table.limit = sizeof gates - 1;
    table.base = (uint64_t)gates;
    __asm__ volatile("lidt %0" ::"m"(table));
    set_msr(0xc0000081, 8ull << 32); /* STAR: SYSCALL gets the same segments */
    set_msr(0xc0000082, (uint64_t)syscall_entry);
    set_msr(0xc0000084, 0);
}

void machine(void)
{
    static const uint8_t seed[16] = {1, 2, 3};
    Elf64_Ehdr *e = (Elf64_Ehdr *)IMAGE;
    catch_exceptions();
    uint64_t headers = load_program(e);
    uint64_t start[] = {1,
                        (uint64_t) "program",
                        0, /* argc, argv */
                        (uint64_t) "OMP_THREAD_LIMIT=1",
                        0, /* environment */
                        AT_PHDR,
                        headers,
                        AT_PHENT,
                        e->e_phentsize,
                        AT_PHNUM,
                        e->e_phnum,
                        AT_PAGESZ,
                        4096,
                        AT_ENTRY,
                        e->e_entry,
                        AT_RANDOM,
                        (uint64_t)seed,
                        AT_SECURE,
                        0,
                        AT_NULL,
                        0};
    uint64_t *stack = (uint64_t *)STACK;
    for (size_t i = 0; i < sizeof start / sizeof *start; i++)
        stack[i] = start[i];
    enter(stack, e->e_entry);
}
