/* words.h - the words of chains as text, from the registries that parse them */
#ifndef WF_WORDS_H
#define WF_WORDS_H

/* Prints every bijector with its options, and every network, on stdout: `wf-train-level --flow help`. */
void words_print(void);

/* Prints the bijectors, or the networks, on stdout as entries of man(7). */
void words_roff_bijectors(void);
void words_roff_networks(void);

/* Prints "chain, bijector, options, -, summary" separated by tabs on stdout, a bijector a line, for tools/completion/.
 * Options are as in "width= mask=halves|checker". */
void words_completion(void);

#endif
