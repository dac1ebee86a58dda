/* safetensors.c - headers and data of records and checkpoints */
#include "../../lib/base/safetensors.h"
#include "fuzz.h"

/* Reads every number, as loading a level does. */
static void read_numbers(const wf_safetensors *st)
{
    for (int i = 0; i < st->count; i++) {
        const wf_tensor *t = &st->tensors[i];
        size_t n = t->bytes / wf_dtype_size(t->dtype);
        float *values = malloc(n * sizeof *values + 1);
        if (values && wf_dtype_read(t->dtype, t->data, values, n) == (t->dtype == WF_U64))
            abort();
        free(values);
    }
}

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
        if (!status && !end)
            read_numbers(&st);
    }
    fuzz_check(status);
    wf_safetensors_clear(&st);
    fclose(file);
    return 0;
}
