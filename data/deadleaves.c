/* deadleaves.c - pictures of overlapping discs, the simplest model with the statistics of natural images (Lee, Mumford
 * and Huang, "Occlusion models for natural images", IJCV 41, 2001).
 *
 * Discs of random radius, with density r^-3 between two limits, fall on one another. The picture is the view from
 * below: discs are drawn front to back until every pixel is covered, which makes it an exact sample. It is drawn at
 * four times the size and averaged. Picture i depends only on the seed and i.
 *
 * With --grain each disc has a texture that only the finest details of a Haar wavelet hold: one tile of 2x2 pixels,
 *
 *     h + v + d    h - v - d        times the grey values of --grain, times a tint for each channel
 *     v - h - d    d - h - v
 *
 * repeated over the disc. h, v, d and the tint are drawn for the disc. Each tile sums to zero, so low-pass pictures
 * have nothing of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../tools/cli.h"

enum { FINE = 4, MAX_SIDE = 4096 };
static const double LEAST_TINT = 0.5, MOST_TINT = 1.5;

static int64_t count = 1;
static int side = 32;
static double grain_size, radius = 1.5;
static bool shuffled, labels;

static const cli_option options[] = {
    {'n', "number", "N", CLI_COUNT, &count, 1, 1e12, "Number of pictures; the default is 1."},
    {'s', "size", "S", CLI_INT, &side, 1, MAX_SIDE, "Height and width in pixels; the default is 32."},
    {0, "radius", "R", CLI_DOUBLE, &radius, 0.5, MAX_SIDE,
     "Radius of the smallest discs in pixels; the default is 1.5."},
    {0, "grain", "X", CLI_DOUBLE, &grain_size, 0, 20,
     "Give each disc a flat colour and a grain of its own: h, v and d of a 2x2 tile, each at most X grey values before "
     "a tint of 0.5 to 1.5 for each channel."},
    {0, "shuffled", NULL, CLI_FLAG, &shuffled, 0, 0,
     "Draw the grain of each 2x2 block of pixels alone, in place of one for each disc."},
    {0, "labels", NULL, CLI_FLAG, &labels, 0, 0,
     "Write the discs of each 2x2 block in place of pictures: a random colour for each disc, the same wherever it is "
     "seen."},
    CLI_SEED,
    {.name = NULL},
};

static const cli_program program = {
    .name = "deadleaves",
    .summary = "generate pictures of overlapping discs",
    .synopsis = "-n N -s SIZE [--radius R] [--grain X [--shuffled]] [--labels] [--seed S]",
    .description =
        "Writes concatenated PPM pictures of the dead leaves model to standard output. The same seed gives the "
        "same pictures, however many are asked for.",
    .examples = "deadleaves -n 2000 -s 32 | wf-dwt -o train.store\n    a data set that needs no download\n"
                "deadleaves -n 2000 -s 64 --radius 10 --grain 10 | wf-dwt | build/coherence\n"
                "    how well the grain of a disc agrees over distance\n",
    .options = options,
};

/* SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t state;

static uint64_t next_random(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double uniform(void)
{
    return (double)(next_random() >> 11) * 0x1p-53;
}

/* Nearly normal, which is enough for colours, and the same on every machine, unlike log and cos. */
static double bell(void)
{
    return (uniform() + uniform() + uniform() + uniform() - 2) * 1.7320508;
}

static double clamp(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

typedef struct disc {
    double x, y, r;          /* fine pixels */
    double colour[3];        /* at the centre, 0..1 */
    double slope_x, slope_y; /* of the brightness, per radius */
} disc;

/* Channels share the brightness and differ little, as in nature. */
static disc new_disc(int n)
{
    double low = FINE * radius, high = n > low ? n : low, u = uniform();
    disc d;
    d.r = 1 / sqrt((1 - u) / (low * low) + u / (high * high)); /* inverse of the distribution of density r^-3 */
    d.x = uniform() * (n + 2 * high) - high;                   /* beyond this range no disc reaches the picture */
    d.y = uniform() * (n + 2 * high) - high;
    double light = 0.08 + 0.84 * uniform(), warm = 0.09 * bell(), green = 0.04 * bell();
    d.colour[0] = light + warm;
    d.colour[1] = light + green;
    d.colour[2] = light - warm;
    d.slope_x = 0.05 * bell();
    d.slope_y = 0.05 * bell();
    if (grain_size > 0) { /* flat, with room for the grain on both sides */
        double room = MOST_TINT * 3 * grain_size / 255;
        for (int k = 0; k < 3; k++)
            d.colour[k] = room + (1 - 2 * room) * clamp(d.colour[k], 0, 1);
        d.slope_x = d.slope_y = 0;
    }
    return d;
}

typedef struct grain {
    double h, v, d, tint[3];
} grain;

/* The grain that a number names within a picture. The picture's own random numbers stay as they are. */
static grain new_grain(uint64_t picture, uint64_t number)
{
    uint64_t kept = state;
    state = picture + number;
    state = next_random() ^ 0x677261696eu;
    grain g = {.h = 2 * uniform() - 1, .v = 2 * uniform() - 1, .d = 2 * uniform() - 1};
    for (int k = 0; k < 3; k++)
        g.tint[k] = LEAST_TINT + (MOST_TINT - LEAST_TINT) * uniform();
    state = kept;
    return g;
}

typedef struct canvas {
    int n;            /* fine pixels along a side */
    float *pixels;    /* [n,n,3] */
    uint8_t *covered; /* [n,n] */
    uint32_t *disc;   /* [n,n] numbers of discs, front to back; NULL: nothing asks for them */
    uint32_t discs;   /* drawn so far */
    int *left;        /* [n] pixels of each row not yet covered */
    int64_t total;    /* of all rows */
    uint64_t key;     /* of the picture's grains */
} canvas;

static void cover_row(canvas *c, const disc *d, int y)
{
    double dy = y + 0.5 - d->y, half = sqrt(d->r * d->r - dy * dy);
    int from = (int)ceil(clamp(d->x - half - 0.5, 0, c->n)), to = (int)floor(clamp(d->x + half - 0.5, -1, c->n - 1));
    for (int x = from; x <= to; x++) {
        size_t at = (size_t)y * (size_t)c->n + (size_t)x;
        if (c->covered[at])
            continue;
        double shade = (d->slope_x * (x + 0.5 - d->x) + d->slope_y * dy) / d->r;
        for (int k = 0; k < 3; k++)
            c->pixels[3 * at + (size_t)k] = (float)clamp(d->colour[k] + shade, 0, 1);
        c->covered[at] = 1;
        if (c->disc)
            c->disc[at] = c->discs;
        c->left[y]--;
        c->total--;
    }
}

static void draw(canvas *c)
{
    memset(c->covered, 0, (size_t)c->n * (size_t)c->n);
    c->total = (int64_t)c->n * c->n;
    c->key = state;
    c->discs = 0;
    for (int y = 0; y < c->n; y++)
        c->left[y] = c->n;
    while (c->total) {
        disc d = new_disc(c->n);
        c->discs++;
        int from = (int)ceil(clamp(d.y - d.r - 0.5, 0, c->n)), to = (int)floor(clamp(d.y + d.r - 0.5, -1, c->n - 1));
        for (int y = from; y <= to; y++)
            if (c->left[y])
                cover_row(c, &d, y);
    }
}

/* The disc in the middle of the 2x2 block that pixel (x, y) is in. */
static uint32_t disc_of(const canvas *c, int x, int y)
{
    return c->disc[(size_t)((y | 1) * FINE) * (size_t)c->n + (size_t)((x | 1) * FINE)];
}

/* Grey values of channel k of the tile at pixel (x, y). */
static double tile_at(const grain *g, int x, int y, int k)
{
    double h = y % 2 ? -g->h : g->h, v = x % 2 ? -g->v : g->v, d = (x + y) % 2 ? -g->d : g->d;
    return grain_size * g->tint[k] * (h + v + d);
}

static grain grain_at(const canvas *c, int x, int y)
{
    uint64_t block = (uint64_t)(y / 2) * MAX_SIDE + (uint64_t)(x / 2);
    return new_grain(c->key, shuffled ? block << 32 : disc_of(c, x, y));
}

static void write_labels(const canvas *c, uint8_t *bytes)
{
    int s = c->n / FINE;
    for (int y = 0; y < s; y++)
        for (int x = 0; x < s; x++) {
            state = c->key + disc_of(c, x, y);
            uint64_t colour = next_random();
            for (int k = 0; k < 3; k++)
                *bytes++ = (uint8_t)(colour >> 8 * k);
        }
}

/* Averages the fine pixels and adds the grain and a sensor's noise, about one and a half grey values. */
static void shrink(const canvas *c, uint8_t *bytes)
{
    int s = c->n / FINE;
    for (int y = 0; y < s; y++)
        for (int x = 0; x < s; x++) {
            grain g = {0};
            if (grain_size > 0)
                g = grain_at(c, x, y);
            for (int k = 0; k < 3; k++) {
                double sum = 0;
                for (int i = 0; i < FINE * FINE; i++)
                    sum += (double)c->pixels[3 * ((size_t)(y * FINE + i / FINE) * (size_t)c->n +
                                                  (size_t)(x * FINE + i % FINE)) +
                                             (size_t)k];
                double v = 255 * sum / (FINE * FINE) + 1.5 * bell();
                if (grain_size > 0)
                    v += tile_at(&g, x, y, k);
                *bytes++ = (uint8_t)(clamp(v, 0, 255) + 0.5);
            }
        }
}

int main(int argc, char **argv)
{
    int first = cli_parse(&program, argc, argv);
    if (first < argc)
        die(WF_USAGE, "%s: takes no operands", argv[first]);
    bool blocks = grain_size > 0 || labels;
    if (shuffled && grain_size <= 0)
        die(WF_USAGE, "--shuffled: needs --grain X, the grain to shuffle");
    if (blocks && side % 2)
        die(WF_USAGE, "-s %d: --grain and --labels need an even size, whole blocks of 2x2", side);
    canvas c = {.n = side * FINE};
    size_t fine = (size_t)c.n * (size_t)c.n, n = (size_t)side * (size_t)side * 3;
    c.pixels = malloc(3 * fine * sizeof *c.pixels);
    c.covered = malloc(fine);
    c.disc = blocks ? malloc(fine * sizeof *c.disc) : NULL;
    c.left = malloc((size_t)c.n * sizeof *c.left);
    uint8_t *bytes = malloc(n);
    if (!c.pixels || !c.covered || (blocks && !c.disc) || !c.left || !bytes)
        die(WF_AGAIN, "out of memory for a picture of %dx%d", side, side);
    for (int64_t i = 0; i < count; i++) {
        state = common.seed;
        state = next_random() + (uint64_t)i;
        state = next_random(); /* far from the states of neighbouring pictures */
        draw(&c);
        labels ? write_labels(&c, bytes) : shrink(&c, bytes);
        if (printf("P6\n%d %d\n255\n", side, side) < 0 || fwrite(bytes, 1, n, stdout) != n)
            must(wf_fail_errno("standard output: cannot write"));
    }
    free(c.pixels);
    free(c.covered);
    free(c.disc);
    free(c.left);
    free(bytes);
    finish_stdout();
    return 0;
}
