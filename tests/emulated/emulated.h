/* emulated.h - the parts of the stand-in's files that the others use; cuda_runtime.h is what kernels/cuda sees */
#ifndef EMULATED_H
#define EMULATED_H

#include "cuda_runtime.h"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

/* Returns the number in an environment variable, or `standard`. */
long emulated_setting(const char *name, long standard);
/* True with WF_EMULATED_STRICT=1. */
bool emulated_strict();
/* Prints "emulated: " and the text as one line, and ends the program with status 70. */
[[noreturn]] void emulated_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Returns a number below n (n > 0), from a sequence that WF_EMULATED_SEED begins. */
size_t emulated_random(size_t n);
/* Returns a permutation of n numbers as i -> (first + i * step) mod n: with WF_EMULATED_STRICT a random one. */
struct emulated_order {
    size_t n, first, step;
    size_t operator[](size_t i) const
    {
        return (first + i * step) % n;
    }
};
emulated_order emulated_permutation(size_t n);

/* Host threads enter one at a time. */
extern std::recursive_mutex emulated_entry;
#define LOCK() std::lock_guard<std::recursive_mutex> locked(emulated_entry)

extern cudaError_t emulated_sticky;            /* of a lost device; every call returns it */
extern thread_local cudaError_t emulated_last; /* of cudaGetLastError */
extern thread_local int emulated_device;       /* of cudaSetDevice */
extern std::map<std::string, long> emulated_calls;
/* Starts every call: counts it, and refuses it once the device is lost. */
cudaError_t emulated_enter(const char *name);
#define ENTER()                                       \
    LOCK();                                           \
    do {                                              \
        cudaError_t lost_ = emulated_enter(__func__); \
        if (lost_)                                    \
            return lost_;                             \
    } while (0)

/* -- memory (memory.cpp) ------------------------------------------------------------------------------------------- */

/* Strict: complains unless `bytes` at `memory` lie in one live allocation of the device. */
void emulated_extent(const char *who, const char *what, const void *memory, size_t bytes, int device);
/* Strict: complains about a parameter of a kernel that points to host memory, to freed memory, or to another device. A
 * structure is searched for words that can only be such pointers. */
void emulated_check_parameter(const char *kernel, const emulated_parameter &p, int device);
/* Strict: complains if bytes around an allocation have changed, and blames `who`. */
void emulated_check_ends(const char *who);
/* Strict: device memory is accessible in the lifetime of an opening. */
struct emulated_opening {
    emulated_opening(const char *who);
    ~emulated_opening();
    const char *before; /* who ran before `who` */
};
bool emulated_is_device(const void *memory);
bool emulated_is_pinned(const void *memory);

/* -- streams (stream.cpp) ------------------------------------------------------------------------------------------ */

/* Runs all work of all streams. */
void emulated_run_all();
/* Complains if this thread records: `call` may wait for the device. */
void emulated_not_recording(const char *call);
int emulated_stream_device(cudaStream_t stream);
/* Counts a launch or a library call, and tests whether the device is lost from this one on (WF_EMULATED_LOST). Strict:
 * complains if this thread was told of the loss before. */
bool emulated_loses_device(const char *who);
/* Strict: complains if the thread's device is another one. */
void emulated_check_device(const char *who, int device);
/* Rounds a float to the 11 bits of a tensor core's operand. */
float emulated_tf32(float x);
/* Rounds a sum as way 0, 1 or 2 of computing it: to the nearest float, down, or up. */
float emulated_round(double value, int way);
/* Strict: complains if a kernel is launched for the first time into a recording. */
void emulated_know(const void *kernel, const char *name, cudaStream_t stream);

#endif
