/* exif.c - the orientation in EXIF, which is a TIFF structure (EXIF 3.0, 4.6)
 *
 * II or MM, which gives the byte order | u16 42 | u32 offset of the first directory. A directory is u16 count, then
 * entries of 12 bytes: u16 tag | u16 type | u32 count | value, or its offset. Some writers give the
 * orientation twice in one entry. */
#include <string.h>

#include "format.h"

static uint32_t number(const uint8_t *bytes, int n, bool big)
{
    uint32_t value = 0;
    for (int i = 0; i < n; i++)
        value = value << 8 | bytes[big ? i : n - 1 - i];
    return value;
}

int wf_exif_orientation(const uint8_t *bytes, size_t n)
{
    enum { NAME = 6, HEAD = 8, ENTRY = 12, ORIENTATION = 0x112, SHORT = 3, LONG = 4, INLINE = 4 };
    if (n >= NAME && !memcmp(bytes, "Exif\0\0", NAME)) {
        bytes += NAME;
        n -= NAME;
    }
    if (n < HEAD || (memcmp(bytes, "II*\0", 4) && memcmp(bytes, "MM\0*", 4)))
        return 1;
    bool big = *bytes == 'M';
    size_t at = number(bytes + 4, 4, big);
    if (at > n || n - at < 2)
        return 1;
    uint32_t count = number(bytes + at, 2, big);
    at += 2;
    for (uint32_t i = 0; i < count && n - at >= ENTRY; i++, at += ENTRY) {
        const uint8_t *entry = bytes + at;
        uint32_t type = number(entry + 2, 2, big);
        if (number(entry, 2, big) != ORIENTATION)
            continue;
        uint32_t value = type == SHORT ? number(entry + 8, 2, big) : type == LONG ? number(entry + 8, 4, big) : 1;
        return value >= 1 && value <= 8 && number(entry + 4, 4, big) <= INLINE / (type == SHORT ? 2 : 4) ? (int)value
                                                                                                         : 1;
    }
    return 1;
}
