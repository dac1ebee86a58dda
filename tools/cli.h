/* cli.h - the command line that all programs share
 *
 * Each program has one table of options. Parsing, --help, the manual page and the shell completion are made from the
 * table. cli.c parses, cli_help.c prints help, cli_end.c prints messages and ends the program. */
#ifndef WF_CLI_H
#define WF_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "../lib/pyramid/meta.h"

/* Kinds of arguments, and the variable that `into` points to. */
typedef enum cli_type {
    CLI_FLAG,    /* bool, set to true */
    CLI_INT,     /* int */
    CLI_RANGE,   /* int[2]: first and last of "L" or "L-M" */
    CLI_COUNT,   /* int64_t, not negative */
    CLI_UINT64,  /* uint64_t */
    CLI_DOUBLE,  /* double, finite */
    CLI_DOUBLES, /* cli_doubles */
    CLI_STRING,  /* const char *, borrowed from argv */
    CLI_PLACE,   /* const char *, likewise: where an output goes, which provenance leaves out */
    CLI_SHARD,   /* wf_shard, of "I/N"; provenance leaves it out */
    CLI_CHOICE   /* int: place of the word in `arg` */
} cli_type;

typedef struct cli_option {
    char letter;      /* 0: none */
    const char *name; /* long name without dashes; NULL ends the table */
    const char *arg;  /* "L", "FILE", or for CLI_CHOICE "fp32|bf16"; NULL for a flag */
    cli_type type;
    void *into;
    double low, high; /* inclusive range of numbers; 0, 0: any */
    const char *help; /* one sentence, and the default */
} cli_option;

/* A list as in "1,1,0.97": one number for each level, from 0 up. The last number holds for all levels above. */
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
    bool fields; /* it takes fields; others refuse them where they open a model, a stream or a store */
} cli_program;

/* The command line, and the values of options that several programs share. */
typedef struct cli_common {
    const cli_program *program;
    bool quiet;
    int threads; /* 0: all */
    uint64_t seed;
    const char *backend; /* "auto" */
    int argc;
    char **argv;
} cli_common;
extern cli_common common;

/* Rows for the tables of programs that read these options. Other programs do not have them: an option without effect
 * is a usage error. Every program has --help, --version and --quiet. `usual` is the default backend in words. */
/* clang-format off */
#define CLI_MODEL(into) \
    {'m', "model", "MODEL", CLI_STRING, into, 0, 0, \
     "Model folder, or that of wf-train, or the name of an installed model or of one in a folder of WF_MODELS."}
#define CLI_THREADS \
    {0, "threads", "N", CLI_INT, &common.threads, 0, 4096, \
     "Use N threads in total. 0, the default: all cores, or OMP_NUM_THREADS if that variable is set."}
#define CLI_SEED \
    {0, "seed", "N", CLI_UINT64, &common.seed, 0, 0, "Seed of the random numbers; the default is 0."}
#define CLI_BACKEND(usual) \
    {0, "backend", "auto|cpu|cuda|cuda:N|ref", CLI_STRING, &common.backend, 0, 0, \
     "Compute with the processor, with a card (cuda:N: device N), or with ref: slow, double precision. Default: " usual}
#define CLI_BACKEND_AUTO CLI_BACKEND("auto, which is cuda where a card works, else cpu.")
/* `rest`: what the shards' outputs become, and how. */
#define CLI_SHARD_OF(into, rest) \
    {0, "shard", "I/N", CLI_SHARD, into, 0, 0, \
     "Do the share I of N, I from 1 to N: pictures I-1, I-1+N, I-1+2N, .. of the run, counted from 0. " rest}
/* Transforming pictures on the CPU takes less time than bringing them to a device. */
#define CLI_BACKEND_CPU CLI_BACKEND("cpu, since bringing pictures to a device takes longer than transforming them.")
/* clang-format on */

/* Parses the options into the table's variables. Handles --help and --version (standard output, exit code 0),
 * --help=man and --help=completion. Dies with 64 on a wrong option.
 * Returns the index of the first operand: operands
 * are moved behind all options. "-" is an operand, "--" ends the options. */
int cli_parse(const cli_program *program, int argc, char **argv);

/* For programs whose only operand is "-", standard input. Returns whether it was given. Dies with 64 and the advice
 * `instead` on any other operand from `first` on. */
bool cli_stdin_operand(int first, const char *instead);

bool cli_is_dash(const char *path); /* false for NULL */

/* Adds this program, its command line and --seed to the provenance. The command line lacks options of the types
 * CLI_PLACE and CLI_SHARD, so that the bytes do not depend on where they go. A shard gets the hash of its run, by
 * options other than paths, --threads and --backend. model_hash: of the weights used, or NULL. */
void cli_add_provenance(wf_meta *meta, const char *model_hash);

/* Prints the exit codes of all programs on stdout as entries of man(7). */
void cli_roff_exits(void);

/* Prints "wf-dwt: message" as one line on stderr and exits with status. */
void die(int status, const char *format, ...) WF_PRINTF(2, 3) __attribute__((noreturn));
/* Dies with the library's message unless status is 0. */
void must(int status);
/* Memory for n values of `size` bytes, all zero. Dies with 75 and "out of memory for WHAT" if there is none. */
void *must_allocate(size_t n, size_t size, const char *what);
/* The ending of a noun: "" for 1, else "s". */
const char *plural(int64_t n);
/* Prints one line on stderr unless --quiet. */
void note(const char *format, ...) WF_PRINTF(1, 2);
/* Prints a blank and an argument on stdout, so that a shell reads it back. */
void cli_print_quoted(const char *word);
/* Flushes, closes and checks stdout; dies with 74, or 75 on a full disk. The last call of every main. */
void finish_stdout(void);

/* -- between cli.c and cli_help.c ---------------------------------------------------------------------------------- */

/* Remembers an option that was given, for the provenance. `word` is its word in argv, and `text` its argument: the end
 * of the word, or a word of its own. */
void cli_record(const cli_option *o, char *word, char *text);
/* Hash of the options that a run's figures depend on, and of --seed. */
uint64_t cli_run(const char *model_hash, const char *data);
/* Row i of the program's options followed by those of every program; NULL past the end. */
const cli_option *cli_option_at(const cli_program *program, int i);
/* Prints --help in the form "", "man" or "completion", and exits. */
void cli_show_help(const cli_program *program, const char *form) __attribute__((noreturn));

#endif
