/* plugin.h - loads the CUDA plugin and the libraries that it needs; private to kernels/ */
#ifndef WF_PLUGIN_H
#define WF_PLUGIN_H

#include "backend.h"

/* The symbol wf_cuda_open of the plugin: opens card number `device`. */
typedef int wf_cuda_opener(int device, int threads, wf_backend **out);

/* Loads the plugin once and never unloads it, since CUDA does not survive that. *built: there is a plugin. WF_USAGE if
 * there is none, or a library that it needs is missing: the message says where it was looked for. WF_INTERNAL if it
 * does not load for another reason.
 *
 * Libraries that the loader does not find are looked for in the folders of WF_CUDA_LIBS, separated by colons, and then
 * in nvidia/NAME/lib among the packages of the first python3 on PATH, where pip installs them. */
int wf_plugin_load(wf_cuda_opener **open, bool *built) WF_MUST;

#endif
