/* processor.c - ends a program on a machine that lacks instructions that it was built for
 *
 * The line on standard error and exit code 70 stand in for SIGILL, and for wrong results: processors without LZCNT and
 * TZCNT run them as BSR and BSF. The check runs from .preinit_array, before the constructors of the program and of its
 * libraries. The Makefile compiles this file for the oldest machine and without sanitizers. Code here calls no other
 * code of this repository, which may hold the instructions in question. It calls the system directly, because
 * sanitizers replace functions of the C library and have not started yet. */
#include "processor.h"

#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../lib/base/status.h"

#ifdef __x86_64__
#include <cpuid.h>

/* The registers that the system keeps, as bits of XCR0; none if it does not use XSAVE. */
static unsigned kept_state(void)
{
    unsigned a, b, c, d, low, high;
    const unsigned osxsave = 1u << 27;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & osxsave))
        return 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

bool processor_has(const processor_feature *f)
{
    unsigned r[4];
    return __get_cpuid_count(f->leaf, f->subleaf, &r[0], &r[1], &r[2], &r[3]) && (r[f->reg] >> f->bit & 1) &&
           (kept_state() & f->state) == f->state;
}
#elif defined __aarch64__
#include <sys/auxv.h>

bool processor_has(const processor_feature *f)
{
    return getauxval(f->leaf) >> f->bit & 1;
}
#else
bool processor_has(const processor_feature *f)
{
    (void)f;
    return false; /* a table with rows needs their test here */
}
#endif

typedef struct line {
    size_t n;
    char text[512];
} line;

/* Appends what fits, at most `most` characters. */
static void add_most(line *l, const char *text, size_t most)
{
    for (size_t i = 0; text[i] && i < most && l->n < sizeof l->text; i++)
        l->text[l->n++] = text[i];
}

static void add(line *l, const char *text)
{
    add_most(l, text, sizeof l->text);
}

static void add_count(line *l, unsigned n)
{
    char digits[] = {(char)('0' + n / 10), (char)('0' + n % 10), '\0'};
    add(l, n < 10 ? digits + 1 : digits);
}

static const char *own_name(int argc, char **argv)
{
    const char *name = argc > 0 ? argv[0] : "wf";
    for (const char *p = name; *p; p++)
        if (*p == '/' && p[1])
            name = p + 1;
    return name;
}

static void check(int argc, char **argv, char **environment)
{
    enum { NAMED = 4, MOST_NAME = 64 };
    line l = {.n = 0};
    unsigned lacking = 0;
    bool portable = false;
    (void)environment;
    for (const processor_feature *f = processor_features; f->name[0]; f++) {
        if (!f->needed || processor_has(f))
            continue;
        if (lacking == 0) {
            add_most(&l, own_name(argc, argv), MOST_NAME);
            add(&l, ": built for a processor with ");
        }
        if (lacking < NAMED) {
            add(&l, lacking ? ", " : "");
            add(&l, f->name);
        }
        lacking++;
        portable = portable || f->portable;
    }
    if (lacking == 0)
        return;
    if (lacking > NAMED) {
        add(&l, " and ");
        add_count(&l, lacking - NAMED);
        add(&l, lacking == NAMED + 1 ? " more extension" : " more extensions");
    }
    add(&l, ", which this machine lacks: build it here with make clean all");
    add(&l, portable ? "\n" : ", or for every machine with make DIST=1\n");
    syscall(SYS_write, STDERR_FILENO, l.text, l.n);
    syscall(SYS_exit_group, WF_INTERNAL);
}

/* Programs have this array of functions, and shared libraries cannot. */
__attribute__((section(".preinit_array"), used)) static void (*const before_all)(int, char **, char **) = check;
