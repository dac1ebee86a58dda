/* names.c - names of pictures: JSON in records, and blocks in stores
 *
 * The first byte is the number of names that the JSON text should have. The bytes are read as a text, and as a block
 * with their checksum corrected. Names that were read are written and read again. */
#include <xxhash.h>

#include "../../lib/store/names.h"
#include "fuzz.h"

static void expect_same(const wf_names *a, const wf_names *b)
{
    if (a->count != b->count)
        abort();
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->bytes + a->at[i], b->bytes + b->at[i]) != 0)
            abort();
}

/* Writes the names as a block, and reads it. */
static void encode_again(wf_names *names)
{
    wf_names again = {0};
    const char *texts[WF_NAME_BLOCK];
    unsigned char *bytes = NULL;
    size_t room = 0, size;
    for (size_t i = 0; i < names->count; i++)
        texts[i] = names->bytes + names->at[i];
    int status = wf_names_encode("fuzz", 7, texts, (int)names->count, &bytes, &room, &size);
    if (status || (names->count && wf_names_decode("fuzz", 7, bytes, size, &again)))
        abort();
    expect_same(names, &again);
    wf_names_clear(&again);
    free(bytes);
}

/* Writes the names as text, and reads that. */
static void format_again(wf_names *names)
{
    wf_names again = {0};
    const char *const *table;
    char *text;
    if (wf_names_table(names, &table) || wf_names_format("fuzz", table, (int64_t)names->count, &text))
        abort();
    if (text && wf_names_parse("fuzz", text, (int64_t)names->count, &again))
        abort();
    if (text && names->used < WF_NAME_BYTES)
        expect_same(names, &again);
    wf_names_clear(&again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    wf_names names = {0};
    if (n < 2)
        return 0;
    char *text = strndup((const char *)bytes + 1, n - 1);
    uint8_t *block = malloc(n + 7);
    if (!text || !block)
        abort();
    int status = wf_names_parse("fuzz", text, bytes[0], &names);
    fuzz_check(status);
    if (!status)
        format_again(&names);
    uint64_t checksum = XXH3_64bits_withSeed(bytes + 1, n - 1, 7);
    memcpy(block, &checksum, 8);
    memcpy(block + 8, bytes + 1, n - 1);
    status = wf_names_decode("fuzz", 7, block, n + 7, &names);
    fuzz_check(status);
    if (!status)
        encode_again(&names);
    fuzz_check(wf_names_decode("fuzz", 7, bytes, n, &names));
    wf_names_clear(&names);
    free(text);
    free(block);
    return 0;
}
