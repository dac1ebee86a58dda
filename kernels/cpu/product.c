/* product.c - matrix products whose rows have the same bits wherever they are */
#include "product.h"

enum { DEPTH = 128 }; /* rows of u that stay in the nearest cache */

void wf_product_panel(const wf_product *p, int rows, int columns, bool add, float *m)
{
    enum { ALL = WF_PANEL / WF_REGISTER };
    wf_product part = *p;
    for (size_t at = 0; at < p->k; at += DEPTH) {
        part.k = p->k - at < DEPTH ? p->k - at : DEPTH;
        if (2 * columns > WF_PANEL)
            wf_product_rows(part, rows, WF_PRODUCT_ROWS, ALL, WF_PANEL, add || at, m);
        else
            wf_product_rows(part, rows, WF_PRODUCT_ROWS, ALL / 2, WF_PANEL, add || at, m);
        part.v += part.k * part.step;
        part.u += part.k * WF_PANEL;
    }
}
