/* variants.h - chains of one word, each option at several values */
#ifndef TESTS_VARIANTS_H
#define TESTS_VARIANTS_H

#include <stdio.h>
#include <string.h>

#include "../lib/flow/flow.h"

/* Combinations of options that the walk takes besides each of them alone. */
static const struct combination {
    const char *word, *options;
} combinations[] = {
    {"affine", "mask=checker:swap"}, {"rqspline", "mask=checker:bound=1"}, {"mixlogistic", "components=1"},
    {"sos", "swap:degree=1"},        {"lattice", "components=1:phases=2"},
};

static inline int names_of(const wf_bijector_option *o)
{
    int count = 0;
    while (o->names && o->names[count])
        count++;
    return count;
}

/* A small value of an option, because walks are long. */
static inline int small_value(const wf_bijector_option *o)
{
    return !strcmp(o->key, "width") ? 6 : !strcmp(o->key, "blocks") ? 1 : o->low > 0 ? o->low + 1 : o->standard;
}

/* Chain `i` of a type: all options small, then each in turn at its other names or one higher, then the combinations.
 * Returns false past the end. The last `bare` of the options whose default is the word's own choice are left out,
 * because some nets have no blocks. */
static inline bool variant(const wf_bijector_type *type, int i, int bare, char text[128])
{
    int other = i - 1, own = 0, undecided = -bare;
    for (int k = 0; k < WF_BIJECTOR_MAX_OPTIONS && type->options[k].key; k++)
        undecided += type->options[k].standard < type->options[k].low;
    snprintf(text, 128, "%s", type->name);
    for (int k = 0; k < WF_BIJECTOR_MAX_OPTIONS && type->options[k].key; k++) {
        const wf_bijector_option *o = &type->options[k];
        int value = small_value(o), others = o->names ? names_of(o) - 1 : value < o->high, length = (int)strlen(text);
        bool turn = other >= 0 && other < others;
        if (o->names && turn)
            snprintf(text + length, 128 - (size_t)length, ":%s=%s", o->key, o->names[1 + other]);
        else if (!o->names && (o->standard >= o->low || own++ < undecided))
            snprintf(text + length, 128 - (size_t)length, ":%s=%d", o->key, value + turn);
        other -= others;
    }
    if (other < 0)
        return true;
    for (size_t c = 0; c < sizeof combinations / sizeof *combinations; c++)
        if (!strcmp(combinations[c].word, type->name) && other-- == 0) {
            snprintf(text + strlen(text), 128 - strlen(text), ":%s", combinations[c].options);
            return true;
        }
    return false;
}

#endif
