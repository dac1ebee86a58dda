/* safetensors.c - headers and data of records and checkpoints */
#include "../../lib/base/safetensors.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    FILE *file = fuzz_file(bytes, n);
    wf_safetensors st = {0};
    bool end = false;
    int status = WF_OK;
    while (!status && !end) {
        status = wf_safetensors_read(file, "fuzz", 1 << 24, &st, &end, NULL, NULL);
        if (!status && !end)
            status = wf_safetensors_check(&st, "fuzz");
    }
    fuzz_check(status);
    wf_safetensors_clear(&st);
    fclose(file);
    return 0;
}
