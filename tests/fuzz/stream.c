/* stream.c - streams of records, and the metadata in them */
#include "../../lib/store/stream.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    FILE *file = fuzz_file(bytes, n);
    wf_reader *reader = NULL;
    wf_record record;
    bool more = true;
    int status = wf_reader_create_any(file, "fuzz", &reader);
    while (!status && more)
        status = wf_reader_next(reader, &record, &more);
    fuzz_check(status);
    wf_reader_destroy(reader);
    fclose(file);
    return 0;
}
