/* built_for.c - the instructions that this build may use, from the compiler's predefined macros
 *
 * The table has what compilers emit by themselves. Left out are extensions that code reaches only by naming them, such
 * as AES, SHA, RDRAND or AMX: this program does not, and hypervisors often hide one. tests/pipes/cpus.sh looks for
 * extensions in neither list. */
#include "processor.h"

/* 1 if the compiler predefines the macro as 1, else 0: "MARK_1" becomes two arguments, and any other name is one. */
#define PREDEFINED(macro) PREDEFINED_AS(macro)
#define PREDEFINED_AS(value) SECOND_OF(MARK_##value 1, 0, 0)
#define MARK_1 0,
#define SECOND_OF(...) SECOND(__VA_ARGS__)
#define SECOND(a, b, ...) b

enum { A, B, C, D };
enum { NONE = 0, YMM = 0x06, ZMM = 0xe6, APX = 0x80000 };
#define FEATURE(name, macro, portable, leaf, subleaf, reg, bit, state) \
    {name, PREDEFINED(macro), portable, leaf, subleaf, reg, bit, state}

const processor_feature processor_features[] = {
#ifdef WF_PLANT_FEATURE /* for the tests: CPUID has no such leaf */
    {"no-such-thing", true, false, 0x7fffffff, 0, A, 0, NONE},
#endif
#ifdef __x86_64__
    FEATURE("sse3", __SSE3__, true, 1, 0, C, 0, NONE),
    FEATURE("ssse3", __SSSE3__, true, 1, 0, C, 9, NONE),
    FEATURE("sse4.1", __SSE4_1__, true, 1, 0, C, 19, NONE),
    FEATURE("sse4.2", __SSE4_2__, true, 1, 0, C, 20, NONE),
    FEATURE("popcnt", __POPCNT__, true, 1, 0, C, 23, NONE),
    FEATURE("cx16", __GCC_HAVE_SYNC_COMPARE_AND_SWAP_16, true, 1, 0, C, 13, NONE),
    FEATURE("lahf", __LAHF_SAHF__, true, 0x80000001, 0, C, 0, NONE),
    FEATURE("avx", __AVX__, true, 1, 0, C, 28, YMM),
    FEATURE("avx2", __AVX2__, true, 7, 0, B, 5, YMM),
    FEATURE("fma", __FMA__, true, 1, 0, C, 12, YMM),
    FEATURE("f16c", __F16C__, true, 1, 0, C, 29, YMM),
    FEATURE("bmi", __BMI__, true, 7, 0, B, 3, NONE),
    FEATURE("bmi2", __BMI2__, true, 7, 0, B, 8, NONE),
    FEATURE("lzcnt", __LZCNT__, true, 0x80000001, 0, C, 5, NONE),
    FEATURE("movbe", __MOVBE__, true, 1, 0, C, 22, NONE),
    FEATURE("avx512f", __AVX512F__, false, 7, 0, B, 16, ZMM),
    FEATURE("avx512bw", __AVX512BW__, false, 7, 0, B, 30, ZMM),
    FEATURE("avx512cd", __AVX512CD__, false, 7, 0, B, 28, ZMM),
    FEATURE("avx512dq", __AVX512DQ__, false, 7, 0, B, 17, ZMM),
    FEATURE("avx512vl", __AVX512VL__, false, 7, 0, B, 31, ZMM),
    FEATURE("avx512ifma", __AVX512IFMA__, false, 7, 0, B, 21, ZMM),
    FEATURE("avx512pf", __AVX512PF__, false, 7, 0, B, 26, ZMM),
    FEATURE("avx512er", __AVX512ER__, false, 7, 0, B, 27, ZMM),
    FEATURE("avx512vbmi", __AVX512VBMI__, false, 7, 0, C, 1, ZMM),
    FEATURE("avx512vbmi2", __AVX512VBMI2__, false, 7, 0, C, 6, ZMM),
    FEATURE("avx512vnni", __AVX512VNNI__, false, 7, 0, C, 11, ZMM),
    FEATURE("avx512bitalg", __AVX512BITALG__, false, 7, 0, C, 12, ZMM),
    FEATURE("avx512vpopcntdq", __AVX512VPOPCNTDQ__, false, 7, 0, C, 14, ZMM),
    FEATURE("avx5124vnniw", __AVX5124VNNIW__, false, 7, 0, D, 2, ZMM),
    FEATURE("avx5124fmaps", __AVX5124FMAPS__, false, 7, 0, D, 3, ZMM),
    FEATURE("avx512vp2intersect", __AVX512VP2INTERSECT__, false, 7, 0, D, 8, ZMM),
    FEATURE("avx512fp16", __AVX512FP16__, false, 7, 0, D, 23, ZMM),
    FEATURE("avx512bf16", __AVX512BF16__, false, 7, 1, A, 5, ZMM),
    FEATURE("avx512bmm", __AVX512BMM__, false, 0x80000021, 0, A, 23, ZMM),
    FEATURE("avxvnni", __AVXVNNI__, false, 7, 1, A, 4, YMM),
    FEATURE("avxifma", __AVXIFMA__, false, 7, 1, A, 23, YMM),
    FEATURE("avxvnniint8", __AVXVNNIINT8__, false, 7, 1, D, 4, YMM),
    FEATURE("avxneconvert", __AVXNECONVERT__, false, 7, 1, D, 5, YMM),
    FEATURE("avxvnniint16", __AVXVNNIINT16__, false, 7, 1, D, 10, YMM),
    FEATURE("avx10", __AVX10_1__, false, 7, 1, D, 19, ZMM),
    FEATURE("apx", __APX_F__, false, 7, 1, D, 21, APX),
    FEATURE("gfni", __GFNI__, false, 7, 0, C, 8, NONE),
    FEATURE("pclmul", __PCLMUL__, false, 1, 0, C, 1, NONE),
    FEATURE("sse4a", __SSE4A__, false, 0x80000001, 0, C, 6, NONE),
    FEATURE("xop", __XOP__, false, 0x80000001, 0, C, 11, YMM),
    FEATURE("fma4", __FMA4__, false, 0x80000001, 0, C, 16, YMM),
    FEATURE("tbm", __TBM__, false, 0x80000001, 0, C, 21, NONE),
#endif
    {.name = ""},
};
