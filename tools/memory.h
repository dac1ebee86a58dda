/* memory.h - what a program does when a library that it uses ends without memory
 *
 * The project's own library returns WF_AGAIN, and the program prints the message. Libraries of C++, as oneDNN, throw an
 * exception that no C function catches, or use NULL; libgomp exits with 1. */
#ifndef WF_MEMORY_H
#define WF_MEMORY_H

/* From now on the program ends with WF_AGAIN in these cases, without the files that are not complete. The line of
 * libgomp is its own. */
void memory_watch(void);

#endif
