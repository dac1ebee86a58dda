/* cli_help.c - --help as text, as a manual page, and as a table for shell completion */
#include <stdlib.h>
#include <string.h>

#include "../lib/base/version.h"
#include "../lib/pyramid/wavelet.h"
#include "cli.h"

enum { LINE = 100, COLUMN = 30 }; /* COLUMN: where the sentence of an option begins in --help */

static const struct {
    int code;
    const char *text;
} exit_codes[] = {
    {WF_OK, "Complete."},
    {WF_USAGE, "Wrong options or operands."},
    {WF_DATA, "Bad data: truncated, corrupt or mismatched."},
    {WF_NOINPUT, "An input is missing or cannot be opened."},
    {WF_UNAVAILABLE, "A program that is needed is not installed."},
    {WF_INTERNAL, "An internal error, or a numerical limit was reached."},
    {WF_IO, "Reading or writing failed."},
    {WF_AGAIN, "Try again: disk or memory full, locked by another process, or interrupted after saving."},
};

/* -- text ---------------------------------------------------------------------------------------------------------- */

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

static void print_text(const cli_program *program)
{
    printf("%s - %s\n\nUsage: %s %s\n\n", program->name, program->summary, program->name, program->synopsis);
    print_wrapped(program->description, 0, 0);
    puts("\nOptions:");
    for (int i = 0; cli_option_at(program, i); i++)
        print_option(cli_option_at(program, i));
    if (program->examples && *program->examples) {
        puts("\nExamples:");
        for (const char *line = program->examples; *line; line += strspn(line, "\n")) {
            int n = (int)strcspn(line, "\n");
            printf("  %.*s\n", n, line);
            line += n;
        }
    }
}

/* -- manual page --------------------------------------------------------------------------------------------------- */

/* Prints text for roff: hyphens become minus signs, which can be copied, and no line is taken for a request. */
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

static void print_manual(const cli_program *program)
{
    printf(".TH %s 1 \"\" \"Wavelet Flow %s\" \"User Commands\"\n.SH NAME\n", program->name, wf_version());
    roff(program->name);
    fputs(" \\- ", stdout);
    roff(program->summary);
    printf("\n.SH SYNOPSIS\n.B %s\n", program->name);
    roff(program->synopsis);
    putchar('\n');
    roff_section("DESCRIPTION", program->description);
    puts(".SH OPTIONS");
    for (int i = 0; cli_option_at(program, i); i++)
        roff_option(cli_option_at(program, i));
    puts(".SH EXIT STATUS");
    cli_roff_exits();
    if (program->examples && *program->examples) {
        puts(".SH EXAMPLES\n.nf");
        roff(program->examples);
        puts("\n.fi");
    }
}

/* -- completion ---------------------------------------------------------------------------------------------------- */

/* Prints an argument as --help shows it: words in small letters are choices, and in capitals stand for what they name,
 * as FILE does. The wavelets take the place of WAVELET. */
static void print_argument(const char *arg)
{
    if (strcmp(arg, "WAVELET") != 0) {
        fputs(arg, stdout);
        return;
    }
    static const char names[] = WF_WAVELET_NAMES;
    for (const char *p = names + 1; *p; p++) /* the first is a space */
        putchar(*p == ' ' ? '|' : *p);
}

/* Prints "PROGRAM, letter, name, argument, sentence" separated by tabs, an option a line, and "-" for what is absent;
 * and the operands under the name "operand". tools/completion/ reads these lines. */
static void print_completion(const cli_program *program)
{
    const char *operand = strrchr(program->synopsis, '[') + 1; /* the last in brackets, unless that is an option */
    if (operand[0] == '-' && operand[1] != ']')
        operand = "-";
    printf("%s\t-\toperand\t%.*s\t-\n", program->name, (int)strcspn(operand, " ]"), operand);
    for (int i = 0; cli_option_at(program, i); i++) {
        const cli_option *o = cli_option_at(program, i);
        const char *end = strstr(o->help, ". ");
        char letter[3] = {'-', o->letter, 0};
        printf("%s\t%s\t--%s\t", program->name, letter, o->name);
        print_argument(o->arg ? o->arg : "-");
        printf("\t%.*s\n", end ? (int)(end - o->help) : (int)strlen(o->help) - 1, o->help);
    }
}

void cli_show_help(const cli_program *program, const char *form)
{
    static char room[1 << 16]; /* one write, whose error finish_stdout sees */
    setvbuf(stdout, room, _IOFBF, sizeof room);
    if (!*form)
        print_text(program);
    else if (!strcmp(form, "man"))
        print_manual(program);
    else if (!strcmp(form, "completion"))
        print_completion(program);
    else
        die(WF_USAGE, "--help: found '%s', expected nothing", form);
    finish_stdout();
    exit(WF_OK);
}
