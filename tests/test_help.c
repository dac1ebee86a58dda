/* test_help.c - the defaults that `wf-train-level --help` names are the library's
 *
 * tests/pipes/defaults.sh tries the defaults of the other programs. */
#include <criterion/criterion.h>
#include <ctype.h>
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/mcmc/nuts.h"
#include "../lib/train/train.h"

/* The programs of this build: bin/ beside build/, else in the build's own folder. */
static const char *program(const char *name)
{
    static char path[1024];
    char self[512] = "", *folder;
    cr_assert_gt(readlink("/proc/self/exe", self, sizeof self - 1), 0);
    folder = dirname(self);
    bool plain = !strcmp(strrchr(folder, '/'), "/build");
    snprintf(path, sizeof path, "%s/%sbin/%s", folder, plain ? "../" : "", name);
    return path;
}

/* Text of an option in the program's help, joined to one line; owned by the caller. */
static char *text_of(const char *help, const char *option)
{
    char *text = calloc(strlen(help) + 1, 1), line[512], *copy = strdup(help), *rest = copy, *next;
    bool inside = false;
    for (; (next = strsep(&rest, "\n"));) {
        snprintf(line, sizeof line, "%s ", next);
        const char *first = line + strspn(line, " ");
        const char *named = strstr(line, option);
        if (*first == '-' && named - line < 10) {
            char after = named ? named[strlen(option)] : 'x';
            inside = named && (after == ' ' || after == ',');
        } else if (first - line < 20) {
            inside = false;
        }
        if (inside)
            strcat(text, first);
    }
    free(copy);
    return text;
}

/* Parses a number with or without commas between thousands, or a difference such as 1-1/782. */
static double number(const char *text)
{
    char digits[64];
    size_t n = 0;
    for (; n < 63 && (isdigit((unsigned char)*text) || strchr(".,e+-/", *text)) && *text; text++)
        if (*text != ',' || !isdigit((unsigned char)text[1]))
            digits[n++] = *text;
    digits[n] = 0;
    double a, b, c;
    if (sscanf(digits, "%lf-%lf/%lf", &a, &b, &c) == 3)
        return a - b / c;
    return atof(digits);
}

static char *help_of(const char *name)
{
    size_t room = 1 << 16;
    char command[1100], *help = calloc(room, 1);
    snprintf(command, sizeof command, "'%s' --help", program(name));
    FILE *out = popen(command, "r");
    cr_assert(out && fread(help, 1, room - 1, out) > 1000, "%s: no help", command);
    cr_assert_eq(pclose(out), 0);
    return help;
}

static void expect_default(const char *help, const char *option, double want)
{
    char *text = text_of(help, option), *says = strstr(text, "default");
    cr_assert(says, "%s: the help names no default: %s", option, text);
    says += strcspn(says, "0123456789");
    cr_expect_float_eq(number(says), want, 1e-12 * fmax(1, fabs(want)), "%s: the help says %.20s, the default is %.12g",
                       option, says, want);
    free(text);
}

Test(help, defaults_of_training)
{
    if (access(program("wf-train-level"), X_OK))
        cr_skip_test("%s is not built", program("wf-train-level"));
    const wf_train_options *o = &wf_train_defaults;
    char *help = help_of("wf-train-level");
    expect_default(help, "--steps", (double)o->steps);
    expect_default(help, "--batch", wf_train_published.batch);
    expect_default(help, "--lr", wf_train_published.lr);
    expect_default(help, "--ema", wf_train_published.ema);
    expect_default(help, "--decay", wf_train_published.decay);
    expect_default(help, "--val", WF_HELD_OUT);
    expect_default(help, "--validate-on", (double)o->validate_on);
    expect_default(help, "--patience", o->patience);
    expect_default(help, "--seed", (double)o->seed);
    /* -1 stands for the published warm-up, whose schedule numbers::learning_rate tries */
    cr_expect_eq(o->warmup, -1);
    expect_default(help, "--warmup", 125000);
    free(help);
}

Test(help, default_depth_of_trees)
{
    if (access(program("wf-nuts"), X_OK))
        cr_skip_test("%s is not built", program("wf-nuts"));
    char *help = help_of("wf-nuts");
    expect_default(help, "--max-depth", wf_nuts_defaults.max_depth);
    free(help);
}
