/* cli.c - option parsing, help in its three forms, and the ways a program ends */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/base/file.h"
#include "../lib/pyramid/meta.h"
#include "../lib/base/version.h"

enum { MAX_OPTIONS = 64, LINE = 100, COLUMN = 30 }; /* COLUMN: where the sentence of an option begins in --help */

cli_common common = {.backend = "auto"};
static const cli_program *program;
static bool version;
static const char *help;

/* --help takes an optional word, =man or =completion; it is the build that asks for those, so --help hides them. */
static const cli_option common_options[] = {
    {'q', "quiet", NULL, CLI_FLAG, &common.quiet, 0, 0, "Print nothing on standard error but errors."},
    {0, "threads", "N", CLI_INT, &common.threads, 0, 4096,
     "Use N threads in total; 0, the default, uses all cores, or as many as OMP_NUM_THREADS says."},
    {0, "seed", "N", CLI_UINT64, &common.seed, 0, 0, "Seed of everything random; the default is 0."},
    {0, "backend", "B", CLI_STRING, &common.backend, 0, 0,
     "Compute with auto, cpu, cuda, cuda:N or ref; the default is auto, cuda where there is a device, else cpu, and cpu in "
     "wf-dwt and wf-idwt."},
    {'h', "help", NULL, CLI_STRING, &help, 0, 0, "Print this help and exit."},
    {0, "version", NULL, CLI_FLAG, &version, 0, 0, "Print the version and exit."},
    {.name = NULL},
};

static const struct {
    int code;
    const char *text;
} exit_codes[] = {
    {WF_OK, "Complete."},
    {WF_USAGE, "Wrong flags or arguments."},
    {WF_DATA, "Bad data: truncated, corrupt or mismatched."},
    {WF_NOINPUT, "An input is missing or cannot be opened."},
    {WF_INTERNAL, "An internal error, or a numerical limit was reached."},
    {WF_IO, "Reading or writing failed."},
    {WF_AGAIN, "Try again: disk or memory full, locked by another process, or interrupted after saving."},
};

/* Row i of the program's table followed by the common one; NULL past the end. */
static const cli_option *option_at(int i)
{
    int own = 0;
    while (program->options && program->options[own].name)
        own++;
    const cli_option *o = i < own ? &program->options[i] : &common_options[i - own];
    return o->name ? o : NULL;
}

/* -- ends ------------------------------------------------------------------------------------------------------------ */

static void say(const char *format, va_list ap)
{
    char text[2048];
    vsnprintf(text, sizeof text, format, ap);
    for (char *p = text; *p; p++)
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    fprintf(stderr, "%s: %s\n", program ? program->name : program_invocation_short_name, text);
}

void die(int status, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    say(format, ap);
    va_end(ap);
    exit(status);
}

void must(int status)
{
    if (status)
        die(status, "%s", wf_error());
}

void note(const char *format, ...)
{
    if (common.quiet)
        return;
    va_list ap;
    va_start(ap, format);
    say(format, ap);
    va_end(ap);
}

void finish_stdout(void)
{
    must(wf_close(stdout, "standard output"));
}

/* -- help ------------------------------------------------------------------------------------------------------------ */

/* Prints text in words, starting in column `at`, with the lines that follow indented by `indent`. */
static void print_wrapped(const char *text, int at, int indent)
{
    bool first = true; /* on its line */
    while (*text) {
        int word = (int)strcspn(text, " \n");
        if (!first && at + 1 + word > LINE) {
            printf("\n%*s", indent, "");
            at = indent;
            first = true;
        }
        at += printf("%s%.*s", first ? "" : " ", word, text);
        first = false;
        text += word;
        if (text[0] == '\n' && text[1] == '\n') {
            printf("\n\n%*s", indent, "");
            at = indent;
            first = true;
        }
        text += strspn(text, " \n");
    }
    putchar('\n');
}

static void print_option(const cli_option *o)
{
    char left[128];
    const char *arg = o->arg ? o->arg : "";
    int n = o->letter ? snprintf(left, sizeof left, "  -%c, --%s %s", o->letter, o->name, arg)
                      : snprintf(left, sizeof left, "      --%s %s", o->name, arg);
    if (n + 1 > COLUMN)
        printf("%s\n%*s", left, COLUMN, "");
    else
        printf("%-*s", COLUMN, left);
    print_wrapped(o->help, COLUMN, COLUMN);
}

static void print_help(void)
{
    printf("%s - %s\n\nUsage: %s %s\n\n", program->name, program->summary, program->name, program->synopsis);
    print_wrapped(program->description, 0, 0);
    puts("\nOptions:");
    for (int i = 0; option_at(i); i++)
        print_option(option_at(i));
    if (program->examples && *program->examples) {
        puts("\nExamples:");
        for (const char *line = program->examples; *line; line += strspn(line, "\n")) {
            int n = (int)strcspn(line, "\n");
            printf("  %.*s\n", n, line);
            line += n;
        }
    }
}

/* Text in roff: hyphens that can be copied as minus signs, and nothing taken for a request. */
static void roff(const char *text)
{
    for (const char *p = text; *p; p++) {
        if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
            fputs("\\&", stdout);
        if (*p == '\n' && p[1] == '\n') {
            fputs("\n.PP", stdout);
            continue;
        }
        fputs(*p == '-' ? "\\-" : *p == '\\' ? "\\e" : (char[]){*p, 0}, stdout);
    }
}

static void roff_section(const char *title, const char *text)
{
    printf(".SH %s\n", title);
    roff(text);
    putchar('\n');
}

static void roff_option(const cli_option *o)
{
    puts(".TP");
    if (o->letter)
        printf("\\fB\\-%c\\fR, ", o->letter);
    fputs("\\fB\\-\\-", stdout);
    roff(o->name);
    fputs("\\fR", stdout);
    if (o->arg) {
        fputs(" \\fI", stdout);
        roff(o->arg);
        fputs("\\fR", stdout);
    }
    putchar('\n');
    roff(o->help);
    putchar('\n');
}

void cli_roff_exits(void)
{
    for (size_t i = 0; i < sizeof exit_codes / sizeof *exit_codes; i++)
        printf(".TP\n.B %d\n%s\n", exit_codes[i].code, exit_codes[i].text);
}

static void print_manual(void)
{
    printf(".TH %s 1 \"\" \"Wavelet Flow %s\" \"User Commands\"\n.SH NAME\n", program->name, WF_VERSION);
    roff(program->name);
    fputs(" \\- ", stdout);
    roff(program->summary);
    printf("\n.SH SYNOPSIS\n.B %s\n", program->name);
    roff(program->synopsis);
    putchar('\n');
    roff_section("DESCRIPTION", program->description);
    puts(".SH OPTIONS");
    for (int i = 0; option_at(i); i++)
        roff_option(option_at(i));
    puts(".SH EXIT STATUS");
    cli_roff_exits();
    if (program->examples && *program->examples) {
        puts(".SH EXAMPLES\n.nf");
        roff(program->examples);
        puts("\n.fi");
    }
}

static void print_completion(void)
{
    for (int i = 0; option_at(i); i++) {
        const cli_option *o = option_at(i);
        if (o->letter)
            printf("%s-%c", i ? " " : "", o->letter);
        printf("%s--%s", i || o->letter ? " " : "", o->name);
    }
    putchar('\n');
}

static void show(const char *form)
{
    if (!*form)
        print_help();
    else if (!strcmp(form, "man"))
        print_manual();
    else if (!strcmp(form, "completion"))
        print_completion();
    else
        die(WF_USAGE, "--help: found '%s', expected nothing", form);
    finish_stdout();
    exit(WF_OK);
}

/* -- parsing --------------------------------------------------------------------------------------------------------- */

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

/* The strto family skips blanks, and takes "" for 0 and hexadecimal for a real number: a number begins with a digit, a
 * point or a sign, and nothing follows it. */
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
    case CLI_STRING:
        *(const char **)o->into = text ? text : "";
        break;
    case CLI_CHOICE:
        parse_choice(o, text);
        break;
    }
}

/* getopt's two descriptions of the table: val of a long option is its row after the letters' range, of a letter itself. */
static void describe(char *letters, struct option *names)
{
    *letters++ = ':';
    int i = 0;
    for (const cli_option *o; (o = option_at(i)); i++) {
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

static const cli_option *find_option(int value)
{
    if (value >= 256)
        return option_at(value - 256);
    for (int i = 0; option_at(i); i++)
        if (option_at(i)->letter == value)
            return option_at(i);
    return NULL;
}

/* Were a standard descriptor closed, the next file opened would take its place and be written over. */
static void hold_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
            exit(WF_IO);
}

int cli_parse(const cli_program *which, int argc, char **argv)
{
    char letters[2 * MAX_OPTIONS + 2];
    struct option names[MAX_OPTIONS + 1];
    program = which;
    hold_standard_descriptors();
    signal(SIGPIPE, SIG_DFL); /* a parent may have left it ignored; dying of it is how a pipe ends */
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is then a failed write, as a full disk is */
    common.argc = argc;
    common.argv = argv;
    describe(letters, names);
    opterr = 0;
    for (int value; (value = getopt_long(argc, argv, letters, names, NULL)) != -1;) {
        if (value == ':')
            die(WF_USAGE, "%s: an argument is missing; see --help", argv[optind - 1]);
        if (value == '?' && optopt > 0 && optopt < 256)
            die(WF_USAGE, "-%c: no such option; see --help", optopt);
        if (value == '?')
            die(WF_USAGE, "%s: %s; see --help", argv[optind - 1],
                optopt ? "takes no argument" : "no such option, or short for several");
        set_option(find_option(value), optarg);
    }
    if (help)
        show(help);
    if (version) {
        printf("%s (Wavelet Flow) %s\n", program->name, WF_VERSION);
        finish_stdout();
        exit(WF_OK);
    }
    return optind;
}

bool cli_stdin_speaks(void)
{
    int c = isatty(STDIN_FILENO) ? EOF : getc(stdin);
    if (c == EOF && ferror(stdin))
        must(wf_fail_errno("stdin: cannot read"));
    if (c == EOF)
        return false;
    ungetc(c, stdin);
    return true;
}

bool cli_stream_comes(void)
{
    struct stat info;
    bool speaks = cli_stdin_speaks();
    if (!speaks && !fstat(STDIN_FILENO, &info) && S_ISFIFO(info.st_mode))
        die(WF_DATA, "stdin: a pipe that ended before its first byte, want a stream (-n N begins from nothing)");
    return speaks;
}

bool cli_stdin_operand(int first, const char *instead)
{
    int count = common.argc - first;
    if (count > 1 || (count == 1 && strcmp(common.argv[first], "-")))
        die(WF_USAGE, "%s: takes no operand but -: %s", common.argv[first], instead);
    return count == 1;
}
