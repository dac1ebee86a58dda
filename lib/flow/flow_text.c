/* flow_text.c - a recursive-descent parser that expands repetitions as it goes */
#include "flow_text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct parser {
    const char *text;
    int at;
    int depth;
    wf_flow_text *chain;
} parser;

int wf_flow_text_error(const char *text, int at, const char *format, ...)
{
    char what[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    return wf_fail(WF_USAGE, "chain: %s at character %d, before '%.24s%s'", what, at + 1, text + at,
                   strlen(text + at) > 24 ? "..." : "");
}

static void skip_space(parser *p)
{
    while (isspace((unsigned char)p->text[p->at]))
        p->at++;
}

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

static int parse_name(parser *p, const char *what, char out[24])
{
    int n = 0;
    while (is_name(p->text[p->at + n]))
        n++;
    if (n == 0)
        return wf_flow_text_error(p->text, p->at, "%s expected", what);
    if (n >= 24)
        return wf_flow_text_error(p->text, p->at, "%s longer than 23 characters", what);
    memcpy(out, p->text + p->at, (size_t)n);
    out[n] = 0;
    p->at += n;
    return WF_OK;
}

static int append_word(parser *p, const wf_word *word)
{
    wf_flow_text *c = p->chain;
    if (c->count == WF_FLOW_TEXT_MAX_WORDS)
        return wf_flow_text_error(p->text, word->at, "more than %d words", WF_FLOW_TEXT_MAX_WORDS);
    if (c->count == c->capacity) {
        int capacity = c->capacity ? 2 * c->capacity : 64;
        wf_word *words = realloc(c->words, (size_t)capacity * sizeof *words);
        WF_CHECK(words, WF_AGAIN, "chain: out of memory");
        c->words = words;
        c->capacity = capacity;
    }
    c->words[c->count++] = *word;
    return WF_OK;
}

static int parse_word(parser *p)
{
    wf_word word = {.at = p->at};
    WF_TRY(parse_name(p, "a bijector", word.name));
    while (p->text[p->at] == ':') {
        if (word.options == WF_FLOW_TEXT_MAX_OPTIONS)
            return wf_flow_text_error(p->text, p->at, "more than %d options", WF_FLOW_TEXT_MAX_OPTIONS);
        p->at++;
        word.option[word.options].at = p->at;
        WF_TRY(parse_name(p, "an option", word.option[word.options].key));
        strcpy(word.option[word.options].value, "1");
        if (p->text[p->at] == '=') {
            p->at++;
            WF_TRY(parse_name(p, "a value", word.option[word.options].value));
        }
        word.options++;
    }
    return append_word(p, &word);
}

/* Reads a count if digits and a star come next. Digits alone begin a name. */
static int parse_count(parser *p, int *count)
{
    int n = 0;
    while (isdigit((unsigned char)p->text[p->at + n]))
        n++;
    int star = p->at + n;
    while (isspace((unsigned char)p->text[star]))
        star++;
    *count = 1;
    if (n == 0 || p->text[star] != '*')
        return WF_OK;
    long value = n > 6 ? 0 : strtol(p->text + p->at, NULL, 10);
    if (value < 1 || value > WF_FLOW_TEXT_MAX_WORDS)
        return wf_flow_text_error(p->text, p->at, "a count from 1 to %d expected", WF_FLOW_TEXT_MAX_WORDS);
    *count = (int)value;
    p->at = star + 1;
    skip_space(p);
    return WF_OK;
}

static int parse_chain(parser *p);

static int parse_item(parser *p)
{
    int count = 1, first = p->chain->count;
    WF_TRY(parse_count(p, &count));
    if (p->text[p->at] == '(') {
        if (p->depth == WF_FLOW_TEXT_MAX_DEPTH)
            return wf_flow_text_error(p->text, p->at, "parentheses nested deeper than %d", WF_FLOW_TEXT_MAX_DEPTH);
        p->depth++;
        p->at++;
        WF_TRY(parse_chain(p));
        if (p->text[p->at] != ')')
            return wf_flow_text_error(p->text, p->at, "',' or ')' expected");
        p->at++;
        p->depth--;
    } else {
        WF_TRY(parse_word(p));
    }
    int length = p->chain->count - first;
    for (int i = 1; i < count; i++)
        for (int j = 0; j < length; j++) {
            wf_word word = p->chain->words[first + j]; /* append may move the array */
            WF_TRY(append_word(p, &word));
        }
    return WF_OK;
}

static int parse_chain(parser *p)
{
    for (;;) {
        skip_space(p);
        WF_TRY(parse_item(p));
        skip_space(p);
        if (p->text[p->at] != ',')
            return WF_OK;
        p->at++;
    }
}

int wf_flow_text_parse(const char *text, wf_flow_text *out)
{
    *out = (wf_flow_text){.text = strdup(text)};
    WF_CHECK(out->text, WF_AGAIN, "chain: out of memory");
    parser p = {.text = out->text, .chain = out};
    int status = parse_chain(&p);
    if (!status && p.text[p.at])
        status = wf_flow_text_error(p.text, p.at, "',' or the end expected");
    if (status)
        wf_flow_text_clear(out);
    return status;
}

int wf_flow_text_read(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "r");
    size_t used = 0;
    bool comment = false, space = false, fits = true;
    if (!file)
        return wf_fail_errno("%s", path);
    for (int c; (c = getc(file)) != EOF;) {
        comment = c == '#' || (comment && c != '\n');
        if (comment || isspace(c)) {
            space = used > 0;
            continue;
        }
        fits = fits && used + space + 1 < size;
        if (fits && space)
            out[used++] = ' ';
        if (fits)
            out[used++] = (char)c;
        space = false;
    }
    out[used] = 0;
    int status = ferror(file) ? wf_fail_errno("%s", path) : WF_OK;
    fclose(file);
    WF_TRY(status);
    WF_CHECK(fits, WF_USAGE, "%s: the chain is longer than %zu characters", path, size - 1);
    WF_CHECK(used, WF_USAGE, "%s: the file has no chain", path);
    return WF_OK;
}

/* Length of a count and its star with blanks around it, 0 if none begins here. Digits within a word have no star. */
static size_t count_length(const char *at)
{
    size_t digits = strspn(at, "0123456789"), star = digits + strspn(at + digits, " \t\n");
    return digits && at[star] == '*' ? star + 1 + strspn(at + star + 1, " \t\n") : 0;
}

bool wf_flow_text_round(const char *text, char *out, size_t size)
{
    size_t n = 0, skipped;
    while (*text && n + 1 < size) {
        bool blank = isspace((unsigned char)*text);
        if ((skipped = count_length(text)) != 0) {
            text += skipped;
            continue;
        }
        if (!blank || (n && out[n - 1] != ' '))
            out[n++] = blank ? ' ' : *text;
        text++;
    }
    out[n] = '\0';
    return !*text;
}

void wf_flow_text_clear(wf_flow_text *chain)
{
    free(chain->words);
    free(chain->text);
    *chain = (wf_flow_text){0};
}
