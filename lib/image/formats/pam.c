/* pam.c - PAM, the netpbm format for any number of channels (https://netpbm.sourceforge.net/doc/pam.html) */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "../../base/file.h"
#include "../format.h"

bool wf_image_is_pam(const uint8_t *head, size_t n)
{
    return n >= 3 && head[0] == 'P' && head[1] == '7' && head[2] == '\n';
}

static int read_line(wf_source *source, char line[WF_MAX_PAM_LINE])
{
    int n = 0, byte;
    for (;;) {
        WF_TRY(wf_source_byte(source, &byte));
        WF_CHECK(byte != -1, WF_DATA, "%s: cut off inside the PAM header", source->name);
        if (byte == '\n')
            break;
        WF_CHECK(n < WF_MAX_PAM_LINE - 1, WF_DATA, "%s: PAM header line of over %d bytes, want fewer", source->name,
                 WF_MAX_PAM_LINE - 1);
        line[n++] = (char)byte;
    }
    line[n] = '\0';
    return WF_OK;
}

enum { WIDTH, HEIGHT, DEPTH, MAXVAL, FIELDS };
static const struct field {
    const char *name;
    long limit;
} fields[FIELDS] = {{"WIDTH", WF_MAX_SIDE}, {"HEIGHT", WF_MAX_SIDE}, {"DEPTH", WF_MAX_CHANNELS}, {"MAXVAL", 65535}};

/* Parses a line, which has a keyword and, unless it is ENDHDR or a comment, a value. TUPLTYPE adds nothing to DEPTH. */
static int parse_line(const wf_source *source, const char *line, int64_t values[FIELDS])
{
    for (int i = 0; i < FIELDS; i++) {
        size_t n = strlen(fields[i].name);
        if (strncmp(line, fields[i].name, n) || !isspace((unsigned char)line[n]))
            continue;
        char *end;
        long value = strtol(line + n, &end, 10);
        while (isspace((unsigned char)*end))
            end++;
        WF_CHECK(end > line + n && !*end && value >= 1 && value <= fields[i].limit && !values[i], WF_DATA,
                 "%s: PAM header has \"%.40s\", want one %s of 1 to %ld", source->name, line, fields[i].name,
                 fields[i].limit);
        values[i] = value;
        return WF_OK;
    }
    WF_CHECK(!*line || *line == '#' || !strncmp(line, "TUPLTYPE", 8), WF_DATA,
             "%s: PAM header has \"%.40s\", want a known keyword", source->name, line);
    return WF_OK;
}

int wf_image_read_pam(wf_source *source, wf_image *image)
{
    char line[WF_MAX_PAM_LINE];
    int64_t values[FIELDS] = {0};
    WF_TRY(read_line(source, line)); /* the magic */
    for (int lines = 0;; lines++) {
        WF_CHECK(lines < WF_MAX_PAM_LINES, WF_DATA, "%s: PAM header of over %d lines, want fewer", source->name,
                 WF_MAX_PAM_LINES);
        WF_TRY(read_line(source, line));
        if (!strcmp(line, "ENDHDR"))
            break;
        WF_TRY(parse_line(source, line, values));
    }
    for (int i = 0; i < FIELDS; i++)
        WF_CHECK(values[i], WF_DATA, "%s: PAM header has no %s", source->name, fields[i].name);
    return wf_image_read_samples(source, image, values[HEIGHT], values[WIDTH], values[DEPTH], values[MAXVAL]);
}

int wf_image_write_pam(FILE *file, const char *name, const wf_image *image)
{
    static const char *const types[] = {"", "GRAYSCALE", "GRAYSCALE_ALPHA", "RGB", "RGB_ALPHA"};
    size_t size = image->bits > 8 ? 2 : 1, row = (size_t)image->W * (size_t)image->C;
    uint8_t *bytes = malloc(row * size);
    WF_CHECK(bytes, WF_AGAIN, "%s: out of memory", name);
    bool good = fprintf(file, "P7\nWIDTH %d\nHEIGHT %d\nDEPTH %d\nMAXVAL %d\nTUPLTYPE %s\nENDHDR\n", image->W, image->H,
                        image->C, (1 << image->bits) - 1, types[image->C]) > 0;
    for (int y = 0; y < image->H && good; y++) {
        const uint16_t *from = image->pixels + (size_t)y * row;
        for (size_t i = 0; i < row; i++) {
            if (size == 2)
                bytes[2 * i] = (uint8_t)(from[i] >> 8);
            bytes[size * i + size - 1] = (uint8_t)from[i];
        }
        good = fwrite(bytes, size, row, file) == row;
    }
    int status = good ? WF_OK : wf_fail_write(name);
    free(bytes);
    return status;
}
