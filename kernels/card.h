/* card.h - whether this machine has an NVIDIA card, asked without loading CUDA's libraries; private to kernels/
 *
 * A plugin with CUDA's libraries takes 190 MB and 70 ms to load: too much for every program on a machine without a
 * card. */
#ifndef WF_CARD_H
#define WF_CARD_H

#include <stdbool.h>

typedef struct wf_card {
    bool node;     /* its driver has made a device file, so that programs here may use the card */
    char name[80]; /* "NVIDIA H200"; "NVIDIA, PCI 10de:2335" or "NVIDIA" where only that is known */
} wf_card;

/* Tests whether CUDA_VISIBLE_DEVICES hides every card: it is empty, or begins with neither a number nor a UUID. */
bool wf_card_hidden(void);

/* Looks for a card: a device file of the driver, a PCI device, or else a card that the driver's library counts. A PCI
 * device without a driver is found too. The variable WF_FSROOT, for tests, is a folder that holds dev, proc, sys and
 * usr in place of the root. */
bool wf_card_find(wf_card *out);

#endif
