/* font.h - letters of 5 x 7 points for labels in pictures: digits, capitals and some signs */
#ifndef WF_FONT_H
#define WF_FONT_H

#include "../base/linkage.h"
#include "image.h"

WF_BEGIN

enum { WF_FONT_WIDTH = 6, WF_FONT_HEIGHT = 7 }; /* points of a letter; the sixth column keeps letters apart */

/* Width in pixels of a text whose points are scale x scale pixels. */
int wf_text_width(const char *text, int scale);

/* Draws a text with its upper left corner at x, y: sets its points to `value`, except outside the picture. Small
 * letters are drawn as capitals, characters that the font lacks as question marks. */
void wf_text_draw(wf_image *image, int x, int y, int scale, const char *text, uint16_t value);

WF_END

#endif
