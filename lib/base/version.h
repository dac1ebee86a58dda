/* version.h - the version of this library, and the names of its formats */
#ifndef WF_VERSION_H
#define WF_VERSION_H

#define WF_VERSION "0.1.0"
#define WF_FORMAT "wavelet-flow/1"
#define WF_LATENTS_FORMAT "wavelet-flow-latents/1"

#endif
