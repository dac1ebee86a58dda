/* faults.h - the parts of planted faults that faults.cpp and faults_libraries.cpp share */
#ifndef EMULATED_FAULTS_H
#define EMULATED_FAULTS_H

#include "cuda_runtime.h"

enum { N = 256 };

extern cudaStream_t stream;

/* Ends the program with status 71 where the stand-in refuses a call that should succeed. */
void must(cudaError_t e);
/* Ends the program with status 70 and one line: its fault shows in its results. */
[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Compares N numbers of the device with first, first + step, .. */
void expect(const float *device, float first, float step, const char *what);

template <typename T> static T *on_device(size_t n)
{
    void *memory;
    must(cudaMalloc(&memory, n * sizeof(T)));
    return (T *)memory;
}

/* Faults in calls of cuBLASLt and cuDNN (faults_libraries.cpp). */
void short_operand(bool bad);
void short_workspace(bool bad);
void no_workspace(bool bad);
void kept_workspace(bool bad);
void unordered(bool bad);
void unsupported(bool bad);
void lost(bool bad);
void short_result(bool bad);
void short_room(bool bad);
void unordered_engine(bool bad);

#endif
