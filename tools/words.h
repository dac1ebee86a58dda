/* words.h - the words of chains as text, from the registries that parse them */
#ifndef WF_WORDS_H
#define WF_WORDS_H

#include <stdbool.h>

/* If a chain or an optimizer (NULL: none) is "help", prints every bijector with its options and every network, or every
 * optimizer, on stdout, and returns true. */
bool words_help(const char *chain, const char *optimizer);

/* Prints the bijectors, the networks or the optimizers on stdout as entries of man(7). */
void words_roff_bijectors(void);
void words_roff_networks(void);
void words_roff_optimizers(void);

/* Prints "chain, bijector, options, -, summary" separated by tabs on stdout, a bijector a line, for tools/completion/.
 * Options are as in "width= mask=halves|checker". */
void words_completion(void);

#endif
