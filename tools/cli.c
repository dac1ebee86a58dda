/* cli.c - option parsing, and what an operand may be */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/base/version.h"
#include "interrupt.h"
#include "memory.h"

enum { MAX_OPTIONS = 64 };

cli_common common = {.backend = "auto"};
static bool version;
static const char *help;

/* Options of every program. --help also takes =man and =completion, for the build; --help does not mention them. */
static const cli_option common_options[] = {
    {'q', "quiet", NULL, CLI_FLAG, &common.quiet, 0, 0, "Print nothing on standard error but errors."},
    {'h', "help", NULL, CLI_STRING, &help, 0, 0, "Print this help and exit."},
    {0, "version", NULL, CLI_FLAG, &version, 0, 0, "Print the version and exit."},
    {.name = NULL},
};

const cli_option *cli_option_at(const cli_program *program, int i)
{
    int own = 0;
    while (program->options && program->options[own].name)
        own++;
    const cli_option *o = i < own ? &program->options[i] : &common_options[i - own];
    return o->name ? o : NULL;
}

/* -- arguments ----------------------------------------------------------------------------------------------------- */

static bool in_range(const cli_option *o, double value)
{
    return (o->low == 0 && o->high == 0) || (value >= o->low && value <= o->high);
}

static void wrong_number(const cli_option *o, const char *text)
{
    const char *kind = o->type == CLI_DOUBLE    ? "a number"
                       : o->type == CLI_DOUBLES ? "numbers separated by commas, each"
                                                : "a whole number";
    if (o->low == 0 && o->high == 0)
        die(WF_USAGE, "--%s: found '%s', expected %s%s", o->name, text, kind,
            o->type == CLI_COUNT || o->type == CLI_UINT64 ? " that is not negative" : "");
    if (o->high >= INT32_MAX)
        die(WF_USAGE, "--%s: found '%s', expected %s of at least %g", o->name, text, kind, o->low);
    die(WF_USAGE, "--%s: found '%s', expected %s from %g to %g", o->name, text, kind, o->low, o->high);
}

/* Only digits, points, signs and exponents: strtod and strtoll also take leading blanks, hexadecimal, and "" for 0. */
static bool plain_number(const char *text)
{
    return *text && !text[strspn(text, "+-.0123456789eE")];
}

static void parse_whole(const cli_option *o, const char *text)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    int64_t low = o->type == CLI_COUNT ? 0 : INT32_MIN, high = o->type == CLI_COUNT ? INT64_MAX : INT32_MAX;
    if (!plain_number(text) || errno || end == text || *end || value < low || value > high ||
        !in_range(o, (double)value))
        wrong_number(o, text);
    if (o->type == CLI_COUNT)
        *(int64_t *)o->into = value;
    else
        *(int *)o->into = (int)value;
}

static void parse_range(const cli_option *o, const char *text)
{
    int *range = o->into, end = 0;
    bool one = sscanf(text, "%d%n", &range[0], &end) == 1 && !text[end];
    if (one)
        range[1] = range[0];
    bool two = !one && sscanf(text, "%d-%d%n", &range[0], &range[1], &end) == 2 && !text[end];
    if (!strchr("0123456789", *text) || !(one || two) || range[0] > range[1] || !in_range(o, range[0]) ||
        !in_range(o, range[1]))
        die(WF_USAGE, "--%s: found '%s', expected a whole number from %g to %g, or two as in 0-4", o->name, text,
            o->low, o->high);
}

static void parse_uint64(const cli_option *o, const char *text)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (!plain_number(text) || *text == '-' || errno || end == text || *end || !in_range(o, (double)value))
        wrong_number(o, text);
    *(uint64_t *)o->into = value;
}

static bool real_number(const cli_option *o, const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return plain_number(text) && end != text && !*end && isfinite(*value) && in_range(o, *value);
}

static void parse_double(const cli_option *o, const char *text)
{
    double value;
    if (!real_number(o, text, &value))
        wrong_number(o, text);
    *(double *)o->into = value;
}

static void parse_doubles(const cli_option *o, const char *text)
{
    cli_doubles *list = o->into;
    char *copy = strdup(text), *rest = copy, *word;
    if (!copy)
        die(WF_AGAIN, "out of memory");
    for (list->count = 0; (word = strsep(&rest, ",")); list->count++) {
        if (list->count == sizeof list->value / sizeof *list->value)
            die(WF_USAGE, "--%s: more than %d numbers", o->name, list->count);
        if (!real_number(o, word, &list->value[list->count]))
            wrong_number(o, text);
    }
    free(copy);
}

double cli_nth(const cli_doubles *list, int i)
{
    return list->value[i < list->count ? i : list->count - 1];
}

static void parse_choice(const cli_option *o, const char *text)
{
    size_t length = strlen(text);
    int place = 0;
    for (const char *word = o->arg; *word; place++) {
        size_t n = strcspn(word, "|");
        if (n == length && !memcmp(word, text, n)) {
            *(int *)o->into = place;
            return;
        }
        word += n + (word[n] == '|');
    }
    die(WF_USAGE, "--%s: found '%s', expected %s", o->name, text, o->arg);
}

static void parse_shard(const cli_option *o, const char *text)
{
    const char *end = wf_shard_parse(text, o->into);
    if (!end || *end)
        die(WF_USAGE, "--%s: found '%s', expected I/N, I from 1 to N, as in 1/8 to 8/8 (a Slurm array: 1-8)", o->name,
            text);
}

static void set_option(const cli_option *o, const char *text)
{
    switch (o->type) {
    case CLI_FLAG:
        *(bool *)o->into = true;
        break;
    case CLI_INT:
    case CLI_COUNT:
        parse_whole(o, text);
        break;
    case CLI_RANGE:
        parse_range(o, text);
        break;
    case CLI_UINT64:
        parse_uint64(o, text);
        break;
    case CLI_DOUBLE:
        parse_double(o, text);
        break;
    case CLI_DOUBLES:
        parse_doubles(o, text);
        break;
    case CLI_SHARD:
        parse_shard(o, text);
        break;
    case CLI_STRING:
    case CLI_PLACE:
        *(const char **)o->into = text ? text : "";
        break;
    case CLI_CHOICE:
        parse_choice(o, text);
        break;
    }
}

/* -- parsing ------------------------------------------------------------------------------------------------------- */

/* Describes the table for getopt_long, which returns a letter, or 256 + i for the long name in row i. */
static void describe_options(const cli_program *program, char *letters, struct option *names)
{
    *letters++ = ':';
    int i = 0;
    for (const cli_option *o; (o = cli_option_at(program, i)); i++) {
        if (i == MAX_OPTIONS)
            die(WF_INTERNAL, "more than %d options", MAX_OPTIONS);
        int takes = o->into == &help ? optional_argument : o->arg ? required_argument : no_argument;
        names[i] = (struct option){o->name, takes, NULL, 256 + i};
        if (o->letter)
            *letters++ = o->letter;
        if (o->letter && takes == required_argument)
            *letters++ = ':';
    }
    *letters = 0;
    names[i] = (struct option){0};
}

static const cli_option *find_option(const cli_program *program, int value)
{
    if (value >= 256)
        return cli_option_at(program, value - 256);
    for (int i = 0; cli_option_at(program, i); i++)
        if (cli_option_at(program, i)->letter == value)
            return cli_option_at(program, i);
    return NULL;
}

/* Opens /dev/null for standard descriptors that are closed: the next file opened would take their place and be
 * written to. */
static void hold_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
            exit(WF_IO);
}

int cli_parse(const cli_program *program, int argc, char **argv)
{
    char letters[2 * MAX_OPTIONS + 2];
    struct option names[MAX_OPTIONS + 1];
    common.program = program;
    common.argc = argc;
    common.argv = argv;
    hold_standard_descriptors();
    memory_watch();
    signal(SIGPIPE,
           SIG_DFL); /* end quietly when the reader of a pipe has gone, even if the parent ignores the signal */
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes becomes a failed write, like a full disk */
    describe_options(program, letters, names);
    opterr = 0;
    for (int value; (value = getopt_long(argc, argv, letters, names, NULL)) != -1;) {
        if (value == ':')
            die(WF_USAGE, "%s: an argument is missing; see --help", argv[optind - 1]);
        if (value == '?' && optopt > 0 && optopt < 256)
            die(WF_USAGE, "-%c: no such option; see --help", optopt);
        if (value == '?')
            die(WF_USAGE, "%s: %s; see --help", argv[optind - 1],
                optopt ? "takes no argument" : "no such option, or short for several");
        const cli_option *o = find_option(program, value);
        set_option(o, optarg);
        cli_record(o, optarg && optarg == argv[optind - 1] ? argv[optind - 2] : argv[optind - 1], optarg);
    }
    if (help)
        cli_show_help(program, help);
    if (version) {
        printf("%s (Wavelet Flow) %s\n", program->name, wf_version());
        finish_stdout();
        exit(WF_OK);
    }
    interrupt_ends("%s", "");
    return optind;
}

/* -- operands and standard input ----------------------------------------------------------------------------------- */

bool cli_is_dash(const char *path)
{
    return path && !strcmp(path, "-");
}

bool cli_stdin_operand(int first, const char *instead)
{
    int count = common.argc - first;
    if (count > 1 || (count == 1 && !cli_is_dash(common.argv[first])))
        die(WF_USAGE, "%s: takes no operand but -: %s", common.argv[first], instead);
    return count == 1;
}
