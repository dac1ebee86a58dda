/* edits.c - the edits of a command, and agreement with the first picture */
#include "edits.h"

static int check_same(const wf_image *image, const char *name, const wf_meta *m)
{
    static const char *const advice[] = {"; --fit HxW makes pictures one size", "; --length N cuts sounds", ""};
    char want[WF_SIZE_TEXT], have[WF_SIZE_TEXT];
    bool small = m->C <= 2 && image->C >= 3;
    WF_CHECK(image->signal == m->signal, WF_DATA, "%s: a %s, want a %s as those before; give one kind alone", name,
             wf_signal_names[image->signal], wf_signal_names[m->signal]);
    WF_CHECK(image->H == m->H && image->W == m->W && image->D == m->D, WF_DATA, "%s: %s, want %s as the %ss before%s",
             name, wf_size_text(image->signal, image->D, image->H, image->W, have),
             wf_size_text(m->signal, m->D, m->H, m->W, want), wf_signal_names[m->signal], advice[m->signal]);
    WF_CHECK(image->rate == m->rate, WF_DATA, "%s: %d samples a second, want %d as the sounds before", name,
             image->rate, m->rate);
    WF_CHECK(image->C == m->C, WF_DATA, "%s: %d channels, want %d as the %ss before%s", name, image->C, m->C,
             wf_signal_names[m->signal],
             image->signal != WF_PICTURE ? ""
             : small                     ? "; -c 3 makes all of them RGB"
                                         : "; -c 3 drops alpha, -c 4 adds it");
    WF_CHECK(image->bits == m->bits, WF_DATA, "%s: %d bits, want %d as the %ss before; --bits %d makes them agree",
             name, image->bits, m->bits, wf_signal_names[m->signal], image->bits < m->bits ? image->bits : m->bits);
    return WF_OK;
}

/* True if the last channel is alpha and is opaque in every pixel. */
static bool is_opaque(const wf_image *image)
{
    size_t C = (size_t)image->C, samples = (size_t)image->H * (size_t)image->W * C;
    uint16_t most = (uint16_t)((1u << image->bits) - 1);
    for (size_t i = C - 1; i < samples; i += C)
        if (image->pixels[i] != most)
            return false;
    return C == 2 || C == 4;
}

static int agree_channels(wf_image *image, const char *name, const wf_meta *first, wf_edited *edited)
{
    if (is_opaque(image)) {
        WF_TRY(wf_image_channels(image, name, image->C - 1));
        edited->opaque++;
    }
    if (first && first->C == 3 && image->C == 1) {
        WF_TRY(wf_image_channels(image, name, 3));
        edited->greys++;
    }
    return WF_OK;
}

int wf_image_edit(wf_image *image, const char *name, const wf_edits *e, const wf_meta *first, wf_edited *edited)
{
    bool picture = image->signal == WF_PICTURE;
    WF_CHECK(picture || !(*e->crop || *e->fit || *e->resize || *e->random_crop || e->channels), WF_USAGE,
             "%s: a %s: --crop, --fit, --resize, --random-crop and --channels are for pictures", name,
             wf_signal_names[image->signal]);
    WF_CHECK(image->bits || !(*e->crop || *e->fit || *e->resize || *e->random_crop || e->channels || e->bits), WF_USAGE,
             "%s: a field: --crop, --fit, --resize, --random-crop, --channels and --bits are for pictures", name);
    if (*e->crop)
        WF_TRY(wf_image_crop(image, name, e->crop[0], e->crop[1]));
    if (*e->fit)
        WF_TRY(wf_image_fit(image, name, e->fit[0], e->fit[1]));
    if (*e->resize)
        WF_TRY(wf_image_resize(image, name, e->resize[0], e->resize[1]));
    if (*e->random_crop)
        WF_TRY(wf_image_crop_anywhere(image, name, e->random_crop[0], e->random_crop[1], e->seed));
    if (e->channels)
        WF_TRY(wf_image_channels(image, name, e->channels));
    else if (picture && image->bits)
        WF_TRY(agree_channels(image, name, first, edited));
    if (e->bits)
        WF_TRY(wf_image_depth(image, name, e->bits));
    return first ? check_same(image, name, first) : WF_OK;
}
