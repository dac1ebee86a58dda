/* fuzz.h - helpers of the fuzz targets
 *
 * A target is tests/fuzz/NAME.c with the function below. libFuzzer calls it with bytes that it derives from those in
 * tests/fuzz/corpus/NAME: `make fuzz`. The library returns a status for any bytes. A signal, a sanitizer's finding, a
 * leak, 10 seconds or 2 GB are failures. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

__attribute__((unused)) static FILE *fuzz_file(const uint8_t *bytes, size_t n)
{
    return fmemopen((void *)(uintptr_t)bytes, n, "rb");
}

/* Checks that a failure has a message of one line. */
__attribute__((unused)) static void fuzz_check(int status)
{
    if (status && (!*wf_error() || strchr(wf_error(), '\n')))
        abort();
}

/* Reads the bytes as a stream of pictures of any kind. */
__attribute__((unused)) static void fuzz_images(const uint8_t *bytes, size_t n)
{
    FILE *file = fuzz_file(bytes, n);
    wf_images *images;
    wf_image image = {0};
    const char *name;
    bool more = true;
    int status = wf_images_open(NULL, 0, file, &images);
    for (uint64_t sum = 0; !status && more;) {
        status = wf_images_next(images, &image, &name, &more);
        for (size_t i = 0; !status && more && i < (size_t)(image.H * image.W * image.C); i++)
            sum += image.pixels[i];
        if (!status && more && sum >> 63)
            abort(); /* uses the sum, so that the compiler cannot leave out reading the pixels */
        if (status == WF_DATA) {
            bool skipped;
            status = wf_images_skip(images, &skipped);
            if (!status && !skipped)
                break;
        }
    }
    fuzz_check(status);
    wf_images_close(images);
    wf_image_clear(&image);
    fclose(file);
}

#endif
