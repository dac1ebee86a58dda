/* manual.c - manual pages of sections 5 and 7, and completion: a page from tools/man/ or tools/completion/ with its
 * tables filled in from the registries
 *
 *     manual PAGE.in < PROGRAMS           PROGRAMS: lines "wf-dwt - what it does"
 *     manual completion/FILE < OPTIONS    OPTIONS: what the programs print for --help=completion
 *
 * A line "@NAME" of the page stands for a table; an unknown name is an error. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/base/safetensors.h"
#include "../lib/base/version.h"
#include "../lib/flow/flow_text.h"
#include "../lib/image/format_text.h"
#include "../lib/image/image.h"
#include "../lib/model/level_runner.h"
#include "../lib/model/presets.h"
#include "../lib/pyramid/wavelet.h"
#include "cli.h"
#include "words.h"

static void print_programs(void)
{
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        char *dash = strstr(line, " - ");
        if (dash)
            printf(".TP\n.BR %.*s (1)\n%s", (int)(dash - line), line, dash + 3);
    }
}

static void print_options(void)
{
    for (int c; (c = getchar()) != EOF;)
        putchar(c);
}

static void print_formats(void)
{
    const wf_format_text *f;
    for (int i = 0; (f = wf_format_text_row(i)); i++)
        printf(".TP\n.B %s\nRecognised by %s. %s\n.br\nRefused: %s\n", f->name, f->sign, f->content, f->refused);
}

static void print_unsupported(void)
{
    const char *name, *last = "";
    for (int i = 0; (name = wf_image_unsupported(i)); last = name, i++)
        if (strcmp(name, last) != 0)
            printf(".TP\n.B %s\n%c%s.\n", name, toupper((unsigned char)*wf_image_unsupported_advice(i)),
                   wf_image_unsupported_advice(i) + 1);
}

/* Prints what each preset stands for, in the pyramids of the two publications. */
static void print_presets(void)
{
    static const char *const names[] = {"official", "best", "exact"};
    static const int levels[] = {6, 10};
    char chain[WF_PRESET_CHAIN], last[WF_PRESET_CHAIN];
    for (size_t n = 0; n < sizeof names / sizeof *names; n++)
        for (size_t p = 0; p < sizeof levels / sizeof *levels; p++) {
            int side = 1 << levels[p];
            wf_meta meta = {.levels = levels[p], .top = levels[p], .H = side, .W = side, .C = 3};
            printf(".TP\n.BR %s \", %d levels%s\"\n", names[n], levels[p],
                   p ? " and all from 8 up" : " and all below 8");
            *last = 0;
            for (int level = 0; level <= levels[p]; level++) {
                if (!wf_preset_chain(names[n], &meta, level, chain))
                    die(WF_INTERNAL, "%s is not a preset", names[n]);
                if (strcmp(chain, last) != 0)
                    printf("%sfrom level %d up: %s\n", level ? ".br\n" : "", level, chain);
                strcpy(last, chain);
            }
        }
}

static void print_wavelets(void)
{
    puts(WF_WAVELET_NAMES ".");
}

/* Prints what is accepted at most, and what exceeds it ends a program with. */
static void print_limits(void)
{
    static const struct limit {
        const char *what;
        long long most;
        const char *why;
    } limits[] = {
        {"Pixels of a side", WF_MAX_SIDE, "a sound has as many samples at most: --length cuts longer ones"},
        {"Pixels of a picture", WF_MAX_PIXELS, "counted before memory is taken for them"},
        {"Channels", WF_MAX_CHANNELS, "of a picture, a sound or a volume"},
        {"Channels of a field", WF_MAX_FIELD_CHANNELS, "of floats"},
        {"Channels given to a flow", WF_MAX_GIVEN, "classes, or numbers of a picture"},
        {"Bits of a sample", 16, "deeper PNM and PAM are refused"},
        {"Samples a second", WF_MAX_RATE, "of a sound"},
        {"Levels", WF_MAX_LEVELS, "above the base"},
        {"Archives in one another", WF_MAX_ARCHIVES, "a tar in a gzip is two"},
        {"Scans of a JPEG", WF_MAX_SCANS, "each is a pass over all pixels"},
        {"Bytes of the header of a .npy", WF_MAX_ARRAY_HEADER, "without the magic and the length before it"},
        {"Bytes of a line of a PAM header", WF_MAX_PAM_LINE, "with its newline"},
        {"Lines of a PAM header", WF_MAX_PAM_LINES, "behind the magic, ENDHDR among them"},
        {"Bytes of the header of a record or a checkpoint", WF_MAX_TENSORS_HEADER, "of safetensors"},
        {"Bijectors of a chain", WF_FLOW_TEXT_MAX_WORDS, "repeated ones counted as often"},
        {"Parentheses in one another", WF_FLOW_TEXT_MAX_DEPTH, "in a chain"},
        {"Pictures of a batch", WF_MAX_BATCH, "of wf\\-train\\-level and of other programs that run a model"},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        printf(".TP\n.B %s\nat most %lld: %s.\n", limits[i].what, limits[i].most, limits[i].why);
}

static const struct table {
    const char *name;
    void (*print)(void);
} tables[] = {
    {"programs", print_programs},       {"exits", cli_roff_exits},    {"bijectors", words_roff_bijectors},
    {"networks", words_roff_networks},  {"presets", print_presets},   {"formats", print_formats},
    {"unsupported", print_unsupported}, {"wavelets", print_wavelets}, {"limits", print_limits},
    {"options", print_options},         {"words", words_completion},  {"optimizers", words_roff_optimizers},
};

static void print_table(const char *page, const char *name)
{
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (!strcmp(tables[i].name, name)) {
            tables[i].print();
            return;
        }
    die(WF_DATA, "%s: there is no table @%s", page, name);
}

int main(int argc, char **argv)
{
    char line[1024];
    FILE *page = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (!page)
        die(WF_NOINPUT, "want one page, tools/man/NAME.in");
    while (fgets(line, sizeof line, page)) {
        line[strcspn(line, "\n")] = 0;
        if (*line == '@')
            print_table(argv[1], line + 1);
        else if (!strncmp(line, ".TH ", 4))
            printf("%s \"\" \"Wavelet Flow %s\" \"Wavelet Flow\"\n", line, wf_version());
        else
            puts(line);
    }
    fclose(page);
    finish_stdout();
    return WF_OK;
}
