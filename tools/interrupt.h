/* interrupt.h - what Ctrl-C (SIGINT) and SIGTERM do
 *
 * They are answered at once, by one line unless --quiet is given. A signal that the parent process ignores, as nohup
 * does, stays ignored. */
#ifndef WF_INTERRUPT_H
#define WF_INTERRUPT_H

#include <signal.h>

#include "../lib/base/status.h"

/* From now on the signals end the program, which dies of them after the line "interrupted after 12 of 64 pictures;
 * LEFT" (progress.h). `left` says what stays; "": nothing was begun, as after cli_parse. Files that are not complete
 * are removed; stores are not. */
void interrupt_ends(const char *left, ...) WF_PRINTF(1, 2);

/* From now on the signals set the flag that is returned, for a program that saves first. The line is "interrupted:
 * DOING", with the number of the thing after those that are done in place of INTERRUPT_NEXT. SIGTERM may come again,
 * as from timeout(1), which signals the program and its group. A second SIGINT ends the program. */
#define INTERRUPT_NEXT "\1"
const volatile sig_atomic_t *interrupt_saves(const char *doing, ...) WF_PRINTF(1, 2);

/* A program that the signals end removes the store at `path`; NULL: none. */
void interrupt_removes(const char *path);

/* Removes what such a program leaves: files that are not complete, and that store. A signal handler may call it. */
void interrupt_remove_files(void);

#endif
