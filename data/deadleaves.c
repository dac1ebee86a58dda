/* deadleaves.c - pictures of overlapping discs, the simplest model with the statistics of natural images (Lee, Mumford
 * and Huang, "Occlusion models for natural images", IJCV 41, 2001).
 *
 * Discs of random radius, with density r^-3 between two limits, fall on one another. The picture is the view from
 * below: discs are drawn front to back until every pixel is covered, which makes it an exact sample. It is drawn at
 * four times the size and averaged. Picture i depends only on the seed and i. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../tools/cli.h"

enum { FINE = 4, MAX_SIDE = 4096 };

static int64_t count = 1;
static int side = 32;

static const cli_option options[] = {
    {'n', "number", "N", CLI_COUNT, &count, 1, 1e12, "Number of pictures; the default is 1."},
    {'s', "size", "S", CLI_INT, &side, 1, MAX_SIDE, "Height and width in pixels; the default is 32."},
    CLI_SEED,
    {.name = NULL},
};

static const cli_program program = {
    .name = "deadleaves",
    .summary = "generate pictures of overlapping discs",
    .synopsis = "-n N -s SIZE [--seed S]",
    .description =
        "Writes concatenated PPM pictures of the dead leaves model to standard output. The same seed gives the "
        "same pictures, however many are asked for.",
    .examples = "deadleaves -n 2000 -s 32 | wf-dwt -o train.store\n    a data set that needs no download\n",
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
    double low = FINE * 1.5, high = n > low ? n : low, u = uniform();
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
    return d;
}

typedef struct canvas {
    int n;            /* fine pixels along a side */
    float *pixels;    /* [n,n,3] */
    uint8_t *covered; /* [n,n] */
    int *left;        /* [n] pixels of each row not yet covered */
    int64_t total;    /* of all rows */
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
        c->left[y]--;
        c->total--;
    }
}

static void draw(canvas *c)
{
    memset(c->covered, 0, (size_t)c->n * (size_t)c->n);
    c->total = (int64_t)c->n * c->n;
    for (int y = 0; y < c->n; y++)
        c->left[y] = c->n;
    while (c->total) {
        disc d = new_disc(c->n);
        int from = (int)ceil(clamp(d.y - d.r - 0.5, 0, c->n)), to = (int)floor(clamp(d.y + d.r - 0.5, -1, c->n - 1));
        for (int y = from; y <= to; y++)
            if (c->left[y])
                cover_row(c, &d, y);
    }
}

/* Averages the fine pixels and adds a sensor's noise, about one and a half grey values. */
static void shrink(const canvas *c, uint8_t *bytes)
{
    int s = c->n / FINE;
    for (int y = 0; y < s; y++)
        for (int x = 0; x < s; x++)
            for (int k = 0; k < 3; k++) {
                double sum = 0;
                for (int i = 0; i < FINE * FINE; i++)
                    sum += (double)c->pixels[3 * ((size_t)(y * FINE + i / FINE) * (size_t)c->n +
                                                  (size_t)(x * FINE + i % FINE)) +
                                             (size_t)k];
                double v = 255 * sum / (FINE * FINE) + 1.5 * bell();
                *bytes++ = (uint8_t)(clamp(v, 0, 255) + 0.5);
            }
}

int main(int argc, char **argv)
{
    int first = cli_parse(&program, argc, argv);
    if (first < argc)
        die(WF_USAGE, "%s: takes no operands", argv[first]);
    canvas c = {.n = side * FINE};
    size_t fine = (size_t)c.n * (size_t)c.n, n = (size_t)side * (size_t)side * 3;
    c.pixels = malloc(3 * fine * sizeof *c.pixels);
    c.covered = malloc(fine);
    c.left = malloc((size_t)c.n * sizeof *c.left);
    uint8_t *bytes = malloc(n);
    if (!c.pixels || !c.covered || !c.left || !bytes)
        die(WF_AGAIN, "out of memory for a picture of %dx%d", side, side);
    for (int64_t i = 0; i < count; i++) {
        state = common.seed;
        state = next_random() + (uint64_t)i;
        state = next_random(); /* far from the states of neighbouring pictures */
        draw(&c);
        shrink(&c, bytes);
        if (printf("P6\n%d %d\n255\n", side, side) < 0 || fwrite(bytes, 1, n, stdout) != n)
            must(wf_fail_errno("standard output: cannot write"));
    }
    free(c.pixels);
    free(c.covered);
    free(c.left);
    free(bytes);
    finish_stdout();
    return 0;
}
