/* cli.h - what all programs share: one option table each, from which parsing, --help, the manual page and the shell
 * completion are made */
#ifndef WF_CLI_H
#define WF_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "../lib/base/status.h"

typedef enum cli_type {
    CLI_FLAG,
    CLI_INT,
    CLI_RANGE,
    CLI_COUNT,
    CLI_UINT64,
    CLI_DOUBLE,
    CLI_DOUBLES,
    CLI_STRING,
    CLI_CHOICE
} cli_type;

typedef struct cli_option {
    char letter;      /* 0: none */
    const char *name; /* long name without dashes; NULL ends the table */
    const char *arg;  /* "L", "FILE", or for CLI_CHOICE "fp32|bf16"; NULL for a flag */
    cli_type
        type; /* into: bool*, int*, int[2] (first and last of "L" or "L-M"), int64_t*, uint64_t*, double*, cli_doubles*, const char**, int* (place of the choice) */
    void *into;
    double low, high; /* inclusive range of numbers; 0, 0: any */
    const char *help; /* one sentence; defaults are told here */
} cli_option;

/* A list as in "1,1,0.97": one number for each level, from 0 up; the last holds for all levels after it. */
typedef struct cli_doubles {
    int count;
    double value[32];
} cli_doubles;

double cli_nth(const cli_doubles *list, int i);

typedef struct cli_program {
    const char *name;        /* "wf-dwt" */
    const char *summary;     /* one line, for NAME in the manual */
    const char *synopsis;    /* "[-l L] [FILE|DIR ...]" */
    const char *description; /* paragraphs separated by blank lines */
    const char *examples;    /* lines: "command\n    what it does" */
    const cli_option *options;
} cli_program;

/* Options of every program: --help, --version, -q --quiet, --threads, --seed, --backend. */
typedef struct cli_common {
    bool quiet;
    int threads; /* 0: all */
    uint64_t seed;
    const char *backend; /* "auto" */
    int argc;
    char **argv;
} cli_common;
extern cli_common common;

/* Parses, handles --help (stdout, exit 0), --version, --help=man, --help=completion; dies with 64 on a wrong flag.
 * Returns the index of the first operand; operands come after all options have been moved before them. "-" is an
 * operand; "--" ends the options. */
int cli_parse(const cli_program *program, int argc, char **argv);

/* For programs whose only operand is a lone "-", standard input: whether it is there. Dies with 64 and `instead` when
 * the operands from `first` on are anything else. */
bool cli_stdin_operand(int first, const char *instead);

/* Whether a program that reads stdin only if there is something finds it there: not on a terminal, and not at its end.
 * Waits for a pipe's first byte; dies where stdin cannot be read. */
bool cli_stdin_speaks(void);
/* The same for programs that else begin from nothing (-n), which is not what an empty pipe wants: it dies of that. */
bool cli_stream_comes(void);

/* Prints the exit codes of all programs on stdout as entries of man(7). */
void cli_roff_exits(void);

/* Prints "wf-dwt: message" as one line on stderr and exits with status. */
void die(int status, const char *format, ...) WF_PRINTF(2, 3) __attribute__((noreturn));
/* Dies with the library's own message unless status is 0. */
void must(int status);
/* One line on stderr unless --quiet. */
void note(const char *format, ...) WF_PRINTF(1, 2);
/* Flushes, closes and checks stdout; dies with 74 (75 on a full disk). The last call of every main. */
void finish_stdout(void);

#endif
