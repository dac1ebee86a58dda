/* shape.c - looks at some pictures and chooses options of wf-dwt that make all of them alike */
#include "shape.h"

#include <stdio.h>
#include <string.h>

#include "../lib/image/survey.h"
#include "survey.h"

enum { LOOKED_AT = 20 };

static void parse_size(const char *text, int fit[2])
{
    char rest;
    int n = sscanf(text, "%5dx%5d%c", &fit[0], &fit[1], &rest);
    if (n == 1 && strlen(text) <= 5 && strspn(text, "0123456789") == strlen(text))
        fit[1] = fit[0];
    else if (n != 2)
        fit[0] = 0;
    if (fit[0] < 1 || fit[1] < 1 || fit[0] > WF_MAX_SIDE || fit[1] > WF_MAX_SIDE)
        die(WF_USAGE, "--size: found '%s', expected pixels as in 64, or height and width as in 64x96", text);
}

/* Takes the shape of a model. A smaller size must be one of its pyramid, because its lower levels begin there. */
static int take_model(const wf_model *init, wf_edits *edits)
{
    const wf_meta *m = &init->meta;
    int levels = m->levels;
    if (m->signal != WF_PICTURE)
        die(WF_USAGE, "--init %s: a model of %ss, expected one of pictures", init->path, wf_signal_names[m->signal]);
    edits->channels = m->C;
    edits->bits = m->bits;
    while (*edits->fit && levels &&
           (m->H >> (m->levels - levels) != edits->fit[0] || m->W >> (m->levels - levels) != edits->fit[1]))
        levels--;
    if (*edits->fit && (m->H >> (m->levels - levels) != edits->fit[0] || m->W >> (m->levels - levels) != edits->fit[1]))
        die(WF_USAGE, "--size %dx%d: --init %s has pictures of %dx%d, expected that size or a half, a quarter, ..",
            edits->fit[0], edits->fit[1], init->path, m->H, m->W);
    edits->fit[0] = m->H >> (m->levels - levels);
    edits->fit[1] = m->W >> (m->levels - levels);
    return levels;
}

/* Sets what is still 0 by the first pictures, and says which size it chose. */
static void look(char *const *pictures, int count, wf_edits *edits)
{
    wf_images *images;
    wf_survey survey;
    bool sized = *edits->fit;
    must(wf_images_open(pictures, count, stdin, &images));
    wf_images_limit(images, LOOKED_AT);
    must(wf_survey_run(images, (wf_images_options){0}, &(wf_edits){0}, &(wf_watch){0}, &survey));
    if (survey.pictures)
        survey_choose(&survey, edits);
    else if (!sized) /* wf-dwt says what is wrong with them */
        edits->fit[0] = edits->fit[1] = 64;
    bool whole =
        survey.kind_count == 1 && survey.kinds[0].shape.H == edits->fit[0] && survey.kinds[0].shape.W == edits->fit[1];
    if (survey.pictures && !sized)
        note(whole ? "pictures stay %dx%d (--size makes them smaller)"
                   : "pictures become %dx%d (--size chooses another size)",
             edits->fit[0], edits->fit[1]);
    wf_survey_clear(&survey);
    wf_images_close(images);
}

char *shape_choose(char *const *pictures, int count, const char *size, const wf_model *init, const char *wavelet)
{
    enum { ROOM = 256 };
    wf_edits edits = {0};
    int levels = -1;
    char *out = must_allocate(ROOM, 1, "options");
    if (*size)
        parse_size(size, edits.fit);
    if (init && *wavelet && strcmp(wavelet, init->meta.wavelet) != 0)
        die(WF_USAGE, "--wavelet %s: --init %s has %s", wavelet, init->path, init->meta.wavelet);
    if (init)
        levels = take_model(init, &edits);
    look(pictures, count, &edits);
    int n = snprintf(out, ROOM, "--fit %dx%d -w %s", edits.fit[0], edits.fit[1],
                     init       ? init->meta.wavelet
                     : *wavelet ? wavelet
                                : "haar");
    if (edits.channels)
        n += snprintf(out + n, ROOM - (size_t)n, " -c %d", edits.channels);
    if (edits.bits)
        n += snprintf(out + n, ROOM - (size_t)n, " --bits %d", edits.bits);
    if (levels >= 0)
        snprintf(out + n, ROOM - (size_t)n, " --levels %d", levels);
    return out;
}
