/* version.c - the version of this build
 *
 * No other object holds the version, so a commit alone compiles nothing else again. */
#include "version.h"

/* The Makefile defines it. */
#ifndef WF_BUILD_VERSION
#define WF_BUILD_VERSION WF_VERSION
#endif

const char *wf_version(void)
{
    return WF_BUILD_VERSION;
}
