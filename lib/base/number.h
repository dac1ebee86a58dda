/* number.h - numbers in files and messages have a point, whatever locale the program that links the library has set */
#ifndef WF_BASE_NUMBER_H
#define WF_BASE_NUMBER_H

#include "status.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

WF_BEGIN

/* Stand in for strtod, snprintf, vsnprintf, fprintf and vfprintf, and use the C locale. The locale of the process and
 * that of other threads stay unchanged. */
double wf_strtod(const char *text, char **end);
int wf_snprintf(char *out, size_t size, const char *format, ...) WF_PRINTF(3, 4);
int wf_vsnprintf(char *out, size_t size, const char *format, va_list ap) WF_PRINTF(3, 0);
int wf_fprintf(FILE *file, const char *format, ...) WF_PRINTF(2, 3);
int wf_vfprintf(FILE *file, const char *format, va_list ap) WF_PRINTF(2, 0);

WF_END

#endif
