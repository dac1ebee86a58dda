/* version.h - the version of this library, and the names of its formats */
#ifndef WF_VERSION_H
#define WF_VERSION_H

#include "linkage.h"

WF_BEGIN

/* The release that this source leads to; packaging/version.sh. */
#define WF_VERSION "0.1.0"
#define WF_FORMAT "wavelet-flow/1"
#define WF_LATENTS_FORMAT "wavelet-flow-latents/1"

/* Version of this build, as in "0.1.0" or, between releases, "0.1.0~12.gd2e229d"; valid for ever. */
const char *wf_version(void);

WF_END

#endif
