/* survey.c - prints what wf-dwt finds in a set of pictures, and how to take it */
#include "survey.h"

#include <string.h>

#include "progress.h"

enum { KINDS = 20 }; /* rows of the table */

void survey_note_passed(const wf_images_passed *passed)
{
    if (passed->skipped)
        note("left out %lld file%s without a picture", (long long)passed->skipped, plural(passed->skipped));
    if (passed->clutter)
        note("left out %lld hidden file%s or folder%s", (long long)passed->clutter, plural(passed->clutter),
             plural(passed->clutter));
    if (passed->labels)
        note("left out %lld array%s of labels", (long long)passed->labels, plural(passed->labels));
    if (passed->turned)
        note("turned %lld picture%s upright, as EXIF says", (long long)passed->turned, plural(passed->turned));
    if (passed->animated)
        note("took the first picture of %lld animation%s", (long long)passed->animated, plural(passed->animated));
    if (passed->trailing)
        note("left out bytes after the picture or sound in %lld file%s", (long long)passed->trailing,
             plural(passed->trailing));
    if (passed->partial)
        note("left out the last samples of %lld sound%s, %lld in all, which are less than a piece",
             (long long)passed->partial, plural(passed->partial), (long long)passed->remainder);
}

void survey_die_of_nothing(const wf_images_passed *passed, int64_t length, const char *why)
{
    int64_t others = passed->skipped + passed->clutter + passed->labels;
    if (why)
        die(WF_DATA, "no picture in the input: %s", why);
    if (passed->partial)
        die(WF_DATA, "no picture in the input: %lld sound%s shorter than --length %lld", (long long)passed->partial,
            plural(passed->partial), (long long)length);
    die(WF_DATA, "no picture in the input (%lld other file%s%s%s)", (long long)others, plural(others),
        *passed->first ? ", among them " : "", passed->first);
}

static void print_kinds(const wf_survey *s)
{
    int64_t rest = s->pictures;
    char size[WF_SIZE_TEXT];
    puts("count\tkind\tsize\tchannels\tbits");
    for (int i = 0; i < s->kind_count && i < KINDS; i++) {
        const wf_meta *m = &s->kinds[i].shape;
        rest -= s->kinds[i].count;
        printf("%lld\t%s\t%s\t%d\t%d\n", (long long)s->kinds[i].count, wf_signal_names[m->signal],
               wf_size_text(m->signal, m->D, m->H, m->W, size), m->C, m->bits);
    }
    if (rest)
        printf("%lld\tof %d other sizes, channels or bits\n", (long long)rest, s->kind_count - KINDS);
}

/* Pictures with a side below `least`. */
static int64_t count_smaller(const wf_survey *s, int least)
{
    int64_t n = 0;
    for (int i = 0; i < s->kind_count; i++) {
        const wf_survey_kind *k = &s->kinds[i];
        n += k->shape.H < least || k->shape.W < least ? k->count : 0;
    }
    return n;
}

/* The largest power of two up to 64 that at most one picture in twenty is too small for; else one for the smallest. */
static int choose_side(const wf_survey *s)
{
    int side = 64;
    while (side > 8 && count_smaller(s, side) * 20 > s->pictures)
        side /= 2;
    while (side > 1 && count_smaller(s, side) * 20 > s->pictures)
        side /= 2;
    return side;
}

typedef struct ranges {
    bool pictures, sizes, channels, colour, bits; /* only pictures; several sizes, channels, depths; RGB among them */
    int least_bits;
} ranges;

static ranges find_ranges(const wf_survey *s)
{
    ranges r = {.pictures = true, .least_bits = 16};
    const wf_meta *first = &s->kinds[0].shape;
    for (int i = 0; i < s->kind_count; i++) {
        const wf_meta *m = &s->kinds[i].shape;
        r.pictures = r.pictures && m->signal == WF_PICTURE;
        r.sizes = r.sizes || m->H != first->H || m->W != first->W;
        r.channels = r.channels || m->C != first->C;
        r.colour = r.colour || m->C >= 3;
        r.bits = r.bits || m->bits != first->bits;
        r.least_bits = m->bits < r.least_bits ? m->bits : r.least_bits;
    }
    return r;
}

void survey_choose(const wf_survey *s, wf_edits *out)
{
    enum { LARGEST = 64 };
    ranges r = find_ranges(s);
    const wf_meta *first = &s->kinds[0].shape;
    if (!r.pictures)
        die(WF_USAGE, "sounds or volumes: wf-dwt and wf-train-level take them, "
                      " this program takes pictures");
    bool whole = !r.sizes && first->H <= LARGEST && first->W <= LARGEST && first->H % 4 == 0 && first->W % 4 == 0;
    if (!*out->fit && whole) {
        out->fit[0] = first->H;
        out->fit[1] = first->W;
    } else if (!*out->fit)
        out->fit[0] = out->fit[1] = choose_side(s);
    if (!out->channels && (r.channels || first->C == 3))
        out->channels = r.colour ? 3 : 1;
    if (!out->bits && r.bits)
        out->bits = r.least_bits;
}

/* Prints this command with the options that it lacks. */
static void print_command(const wf_survey *s, const wf_decompose_options *work)
{
    const wf_edits *e = &work->edits;
    ranges r = find_ranges(s);
    bool sized = *e->crop || *e->fit || *e->resize || *e->random_crop;
    int side = r.pictures && r.sizes && !sized ? choose_side(s) : 0;
    int64_t left_out = s->bad + (side ? count_smaller(s, side) : sized ? s->refused : 0);
    bool store = false;
    fputs("use:", stdout);
    cli_print_quoted(common.program->name);
    if (side)
        printf(" --fit %dx%d", side, side);
    if (r.pictures && r.channels && !e->channels)
        printf(" -c %d", r.colour ? 3 : 1);
    if (r.bits && !e->bits)
        printf(" --bits %d", r.least_bits);
    if (left_out && !work->skip_bad)
        printf(" --skip-bad %lld", (long long)left_out);
    for (int i = 1; i < common.argc; i++)
        store = store || !strncmp(common.argv[i], "-o", 2) || !strncmp(common.argv[i], "--output", 8);
    if (!store)
        fputs(" -o pictures.store", stdout);
    for (int i = 1; i < common.argc; i++)
        if (strcmp(common.argv[i], "--dry-run") != 0)
            cli_print_quoted(common.argv[i]);
    putchar('\n');
}

static void print_problems(const char *kind, int64_t count, char *const *messages)
{
    printf("%s: %lld\n", kind, (long long)count);
    for (int i = 0; i < WF_SURVEY_MESSAGES && messages[i]; i++)
        printf("    %s\n", messages[i]);
    if (count > WF_SURVEY_MESSAGES)
        printf("    and %lld more\n", (long long)count - WF_SURVEY_MESSAGES);
}

void survey_print(wf_images *images, const wf_decompose_options *work)
{
    wf_survey s;
    wf_images_options options = {
        .length = work->length, .stored = work->stored, .deeper = work->edits.bits != 0, .volumes = work->volumes};
    must(wf_survey_run(images, options, &work->edits, &work->watch, &s));
    progress_end();
    wf_images_passed passed = wf_images_passed_over(images);
    survey_note_passed(&passed);
    if (*wf_images_remark(images))
        note("%s", wf_images_remark(images));
    if (!s.pictures)
        survey_die_of_nothing(&passed, work->length, s.bad ? s.why_bad[0] : NULL);
    print_kinds(&s);
    print_problems("bad", s.bad, s.why_bad);
    if (!s.ended)
        puts("    which ends the input: nothing behind it can be found");
    print_problems("refused", s.refused, s.why_refused);
    print_command(&s, work);
    wf_survey_clear(&s);
}
