/* packed.c - archives of wf-pack. Hashes in the bytes are mended first, so that what lies behind them is reached. */
#include "../../lib/codec/archive_private.h"
#include "../pack.h"
#include "fuzz.h"

/* Replaces the hashes of header and records where the bytes have room for them. */
static void mend(uint8_t *bytes, size_t n, const wf_packer *packer)
{
    wf_bytes header = {0};
    pack_need(!wf_archive_header(packer, &header));
    size_t at = header.n;
    if (n >= at)
        memcpy(bytes, header.bytes, at);
    free(header.bytes);
    for (uint64_t number = 0; at + 8 < n && bytes[at]; number++) {
        size_t begin = at, tag = bytes[at] - 1u;
        at += 1 + tag / 2 + (tag % 2 ? 0 : 2);
        if (tag > 126 || at + 2 > n || (!(tag % 2) && (bytes[at - 1] | bytes[at - 2]) > 127))
            return;
        size_t length = bytes[at++];
        if (length > 127)
            length = (length & 127) + ((size_t)(bytes[at++] & 127) << 7);
        at += length;
        if (at + 2 > n)
            return;
        uint64_t hash = wf_archive_hash(bytes + begin, at - begin, number);
        memcpy(bytes + at, &hash, 2);
        at += 2;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static wf_packer *packer;
    packer = packer ? packer : pack_make(3, 8, 2, 2, 2, 1);
    uint8_t *copy = malloc(n + 1);
    wf_packer_work *work;
    wf_archive *archive = NULL;
    wf_image image = {0};
    bool more = true;
    pack_need(copy && !wf_packer_work_create(&work));
    memcpy(copy, bytes, n);
    mend(copy, n, packer);
    FILE *file = n ? fuzz_file(copy, n) : fopen("/dev/null", "rb");
    int status = wf_archive_open(file, "fuzz", packer, &archive);
    while (!status && more) {
        wf_packed packed;
        status = wf_archive_next(archive, &packed, &more);
        if (!status && more && (int64_t)packed.H * packed.W < 4096)
            status = wf_packed_image(packer, work, &packed, &image);
        wf_packed_clear(&packed);
    }
    fuzz_check(status);
    wf_archive_close(archive);
    wf_packer_work_destroy(work);
    wf_image_clear(&image);
    fclose(file);
    free(copy);
    return 0;
}
