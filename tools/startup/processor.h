/* processor.h - what a program was built for, and how to find out whether its machine has it */
#ifndef WF_PROCESSOR_H
#define WF_PROCESSOR_H

#include <stdbool.h>
#include <stdint.h>

/* One extension of the instruction set. Its place is the architecture's own:
 *   x86-64   a bit of one register that CPUID gives for a leaf and subleaf; the bits of XCR0 for the registers that the
 *            system must keep
 *   others   not read yet */
typedef struct processor_feature {
    char name[20];    /* "avx2"; "" ends the table */
    bool needed;      /* the compiler was allowed to use it */
    bool portable;    /* part of what make DIST=1 needs too */
    uint32_t leaf;    /* of CPUID */
    uint8_t subleaf;  /* of CPUID */
    uint8_t reg, bit; /* EAX, EBX, ECX, EDX: 0 to 3 */
    uint32_t state;   /* bits of XCR0 */
} processor_feature;

/* Compiled with the flags of the build, and data only. */
extern const processor_feature processor_features[];

/* Asks the processor, and the system whether it keeps the registers. */
bool processor_has(const processor_feature *f);

#endif
