/* packer_private.h - private to lib/codec: the levels of a packer */
#ifndef WF_PACKER_PRIVATE_H
#define WF_PACKER_PRIVATE_H

#include "lattice_level.h"
#include "packer.h"

struct wf_packer {
    wf_lattice_level *levels; /* [n + 1], owned */
    uint64_t *hashes;         /* [n + 1], owned */
    int n, C, bits;
};

#endif
