/* summaries.h - the list of --out: what wf-nuts writes of the draws of each picture that comes in */
#ifndef WF_SUMMARIES_H
#define WF_SUMMARIES_H

#include "../lib/store/stream.h"

typedef struct summaries summaries;

/* Parses a list such as "mean,std,q05,draws"; dies with 64 on another word. */
summaries *summaries_parse(const char *list);

/* Begins: of pictures like `meta`, at most `rows` at once, `chains` chains each keep `kept` draws. */
void summaries_open(summaries *s, const wf_meta *meta, int rows, int chains, int64_t kept);

/* Takes the k-th kept draw of all chains, a wf_record_sink; `user` is the summaries. */
int summaries_take(void *user, const wf_record *draws);

/* Passes what the list asks for of N pictures to `sink`, a record for each word and draw. Picture number i of index [N]
 * becomes numbers i * words and up, where `draws` counts as many words as there are draws. names [N] or NULL. */
int summaries_write(summaries *s, int N, const uint64_t *index, const char *const *names, wf_record_sink *sink,
                    void *user) WF_MUST;

void summaries_close(summaries *s); /* NULL is allowed */

#endif
