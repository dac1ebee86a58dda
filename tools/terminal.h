/* terminal.h - the terminal at standard error, and which of several programs may draw on it
 *
 * Programs of a pipeline agree by locks on the terminal, which end with their processes. */
#ifndef WF_TERMINAL_H
#define WF_TERMINAL_H

#include <stdbool.h>

/* Moves to the beginning of the line and clears it. */
#define TERMINAL_CLEAR "\r\033[K"

/* True on a terminal that can do that, unless --quiet is given. */
bool terminal_can_clear(void);
/* True if this program is in the foreground; one in the background would draw over the shell. */
bool terminal_in_foreground(void);
/* Columns of the window now; 80 if they are not known. */
int terminal_columns(void);

/* Takes the right to draw; false: another program of this pipeline has it. */
bool terminal_take(void);
void terminal_leave(void);
bool terminal_is_taken(void); /* by this program */

/* Says that this program's line is on the terminal, or not any longer. */
void terminal_note_drawn(bool drawn);
bool terminal_is_drawn(void);       /* by this program */
bool terminal_other_is_drawn(void); /* by another program of this pipeline */

bool terminal_is_pipe(int descriptor);
/* True if a read from this pipe (event POLLIN) or a write to it (POLLOUT) would wait. */
bool terminal_would_wait(int descriptor, short event);

#endif
