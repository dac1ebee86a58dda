/* test_processor.c - the places of CPUID in tools/startup/built_for.c, against what Linux reads there */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../tools/startup/processor.h"

/* Names that Linux spells in another way. "" is not in /proc/cpuinfo, or only of late. */
static const struct {
    const char *ours, *linux_name;
} spelt[] = {
    {"sse3", "pni"},
    {"sse4.1", "sse4_1"},
    {"sse4.2", "sse4_2"},
    {"lahf", "lahf_lm"},
    {"bmi", "bmi1"},
    {"lzcnt", "abm"},
    {"pclmul", "pclmulqdq"},
    {"avx512vbmi2", "avx512_vbmi2"},
    {"avx512vnni", "avx512_vnni"},
    {"avx512bitalg", "avx512_bitalg"},
    {"avx512vpopcntdq", "avx512_vpopcntdq"},
    {"avx5124vnniw", "avx512_4vnniw"},
    {"avx5124fmaps", "avx512_4fmaps"},
    {"avx512vp2intersect", "avx512_vp2intersect"},
    {"avx512bf16", "avx512_bf16"},
    {"avx512fp16", ""},
    {"avx512bmm", ""},
    {"avxvnni", ""},
    {"avxifma", ""},
    {"avxvnniint8", ""},
    {"avxneconvert", ""},
    {"avxvnniint16", ""},
    {"avx10", ""},
    {"apx", ""},
};

static const char *linux_name(const char *ours)
{
    for (size_t i = 0; i < sizeof spelt / sizeof *spelt; i++)
        if (!strcmp(spelt[i].ours, ours))
            return spelt[i].linux_name;
    return ours;
}

/* The flags of the first processor, with a blank before and after each. */
static bool read_flags(char *line, int size)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    bool found = false;
    while (file && !found && fgets(line, size, file))
        found = !strncmp(line, "flags", 5);
    if (file)
        fclose(file);
    line[strcspn(line, "\n")] = ' ';
    return found;
}

Test(processor, has_what_linux_says)
{
    char flags[8192] = "", word[32];
    int compared = 0;
    if (!read_flags(flags, sizeof flags - 1))
        cr_skip_test("no flags in /proc/cpuinfo");
    for (const processor_feature *f = processor_features; f->name[0]; f++) {
        const char *name = linux_name(f->name);
        snprintf(word, sizeof word, " %s ", name);
        if (!*name)
            continue;
        compared++;
        cr_expect_eq(processor_has(f), strstr(flags, word) != NULL, "%s: we say %d", f->name, processor_has(f));
    }
    cr_assert_geq(compared, 30);
}

