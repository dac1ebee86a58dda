/* tfrecord.c - TFRecord: the bytes as they are, and as one record with right checksums */
#include "fuzz.h"

static uint32_t masked_crc(const uint8_t *bytes, size_t n)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < 8 * n; i++)
        crc = crc >> 1 ^ ((crc ^ (uint32_t)(bytes[i / 8] >> i % 8)) & 1 ? 0x82F63B78 : 0);
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    fuzz_images(bytes, n);
    uint8_t *record = malloc(n + 16);
    uint64_t length = n;
    memcpy(record, &length, 8);
    uint32_t sums[2] = {masked_crc(record, 8), masked_crc(bytes, n)};
    memcpy(record + 8, &sums[0], 4);
    memcpy(record + 12, bytes, n);
    memcpy(record + 12 + n, &sums[1], 4);
    fuzz_images(record, n + 16);
    free(record);
    return 0;
}
