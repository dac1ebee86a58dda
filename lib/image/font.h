/* font.h - small letters for labels in pictures: 5 x 7 points each, digits, capitals and some signs */
#ifndef WF_FONT_H
#define WF_FONT_H

#include "../base/linkage.h"
#include "image.h"

WF_BEGIN

enum { WF_FONT_WIDTH = 6, WF_FONT_HEIGHT = 7 }; /* points of a letter; the sixth column keeps letters apart */

/* Width in pixels of text whose points are scale x scale. */
int wf_text_width(const char *text, int scale);

/* Sets the points of text to `value`, its upper left corner at x, y; what lies outside the picture is left out. Small letters
 * are drawn as capitals, and characters that the font has not as question marks. */
void wf_text_draw(wf_image *image, int x, int y, int scale, const char *text, uint16_t value);

WF_END

#endif
