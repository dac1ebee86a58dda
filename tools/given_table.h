/* given_table.h - log likelihoods of pictures under each row of a grid, and what follows by Bayes' rule */
#ifndef WF_TOOLS_GIVEN_TABLE_H
#define WF_TOOLS_GIVEN_TABLE_H

#include "../lib/model/evaluation.h"

/* Evaluates all pictures, each given the row given->row. */
typedef wf_evaluation *given_evaluate(void *user, const wf_given *given);

/* Evaluates the pictures under each row of the grid that `text` names (given_grid), and prints a line a picture, below
 * a line of heads: name, best row, its probability if all rows are equally likely before, with a truth (NULL: not
 * known) also the picture's own row, and the log likelihood under each row in nats. json: as objects. Notes how often
 * the best row is the true one. */
void given_table_print(const wf_model *model, const wf_meta *pictures, const char *text, const wf_given *truth,
                       bool json, given_evaluate *evaluate, void *user);

#endif
