/* lattice.c - exact probabilities of whole-number wavelet coefficients, which need no dequantization noise
 *
 * The three bands of a level come in turn, H, V, D (lib/base/lattice.h). A net sees the low-pass picture, its features
 * and the bands before; its output is, for each pixel and colour, a mixture of logistics (wf_lattice in backend.h;
 * PixelCNN++, Salimans et al. 2017, which also ties colours by linear terms). A cell's probability is a difference of
 * the mixture's distribution function, so the log-density of x is that of whole numbers, spread evenly over the cell.
 *
 *     components=K        logistics of each mixture
 *     width, blocks, net  of the nets (net.h)
 *     phases=2            pixels of even row + column come before the others of a band, and the net of the others sees
 *                         them
 *
 * At the base a mixture is the same for all pixels. x must lie on the lattice: the level's input is not dequantized. z
 * is the normal's value at the middle of the cell's share, and the inverse gives the cell that holds z. */
#include <stdio.h>
#include <stdlib.h>

#include "../../base/count.h"
#include "../actnorm_init.h"
#include "../bijector.h"
#include "../net.h"
#include "../shares.h"

enum { BANDS = 3, GROUPS = 2 * BANDS };

/* The pixels of one band that come at once. */
typedef struct group {
    wf_net *net;
    wf_lattice of;
    size_t tape_at; /* of the net's tape */
    bool masked;    /* the net also sees this band's earlier pixels */
} group;

typedef struct lattice {
    group groups[GROUPS];
    int count, colours, bands, taken; /* taken: nets made, for destroy */
    size_t state_bytes;               /* of a state; the tape begins with x by bands, z by bands, and the nets' input */
    size_t dparams_bytes;             /* of the gradient by the largest group's parameters, the work's first part */
} lattice;

static size_t pixels_of(const wf_stage_shape *c)
{
    return wf_count3(c->N, c->H, c->W);
}

/* Checks what the shape must be for whole numbers. */
static int check_shape(const wf_stage_shape *c)
{
    WF_CHECK(!c->H || c->bits, WF_USAGE,
             "lattice: is for levels of whole numbers: pictures under the Haar wavelet, without learnt noise");
    WF_CHECK(c->bits + 2 * c->halvings <= WF_LATTICE_MAX_BITS, WF_USAGE,
             "lattice: pixels of %d bits after %d halvings are too many numbers: bits + 2 halvings is at most %d; a "
             "flow can model this level",
             c->bits, c->halvings, WF_LATTICE_MAX_BITS);
    int colours = c->C ? c->K / BANDS : c->K;
    WF_CHECK(!c->C || (c->K % BANDS == 0 && c->C >= colours), WF_USAGE,
             "lattice: %d channels under a low-pass of %d: want 3 bands of each of its channels", c->K, c->C);
    WF_CHECK(colours <= WF_LATTICE_MAX_COLOURS, WF_USAGE, "lattice: pictures of %d channels: at most %d", colours,
             WF_LATTICE_MAX_COLOURS);
    return WF_OK;
}

/* Creates group `place`'s net. values: of the word's options. */
static int create_group(wf_bijector *self, lattice *own, int place, const int *values)
{
    static const char *const bands[] = {"h", "v", "d"};
    const wf_stage_shape *c = self->shape;
    int phases = c->C ? values[4] : 1, band = place / phases, phase = place % phases;
    group *g = &own->groups[place];
    char prefix[24] = "base.";
    g->masked = phase == 1;
    g->of = (wf_lattice){.H = c->H,
                         .W = c->W,
                         .C = own->colours,
                         .cond = c->C,
                         .band = c->C ? band : WF_LATTICE_BASE,
                         .components = values[0],
                         .pixels = phases == 1 ? WF_EVERY_PIXEL
                                   : phase     ? WF_ODD_PIXELS
                                               : WF_EVEN_PIXELS,
                         .bits = c->bits,
                         .halvings = c->halvings};
    wf_net_spec spec = {.kind = values[3],
                        .K = c->K,
                        .take = (band + g->masked) * own->colours,
                        .out = wf_lattice_parameters(&g->of) * own->colours,
                        .width = values[1],
                        .blocks = values[2],
                        .prefix = prefix};
    if (c->C && phases == 1)
        snprintf(prefix, sizeof prefix, "%s.", bands[band]);
    else if (c->C)
        snprintf(prefix, sizeof prefix, "%s%d.", bands[band], phase);
    else
        spec = (wf_net_spec){.kind = wf_net_kind("conv"), .K = 1, .take = 1, .out = spec.out, .prefix = prefix};
    g->tape_at = self->tape_bytes;
    own->taken++;
    WF_TRY(wf_net_create(self, &spec, &g->net));
    self->tape_bytes = wf_round64(self->tape_bytes);
    return WF_OK;
}

static int create(wf_bijector *self, const int *values)
{
    const wf_stage_shape *c = self->shape;
    int64_t channels = c->K;
    WF_TRY(check_shape(c));
    lattice *own = calloc(1, sizeof *own);
    WF_CHECK(own, WF_AGAIN, "lattice: out of memory");
    self->own = own;
    own->bands = c->C ? BANDS : 1;
    own->colours = c->K / own->bands;
    own->count = c->C ? BANDS * values[4] : 1;
    own->state_bytes = wf_round64(pixels_of(c) * (size_t)c->K * c->backend->real);
    self->tape_bytes = 3 * own->state_bytes;
    WF_CHECK(wf_bijector_param(self, "b", 1, &channels) >= 0 && wf_bijector_param(self, "l", 1, &channels) >= 0,
             WF_AGAIN, "lattice: out of memory");
    size_t largest = 0;
    for (int i = 0; i < own->count; i++) {
        self->work_bytes = 0;
        WF_TRY(create_group(self, own, i, values));
        largest = self->work_bytes > largest ? self->work_bytes : largest;
    }
    size_t parameters = (size_t)wf_lattice_parameters(&own->groups[0].of) * (size_t)own->colours;
    own->dparams_bytes = wf_round64(pixels_of(c) * parameters * c->backend->real);
    self->work_bytes = own->dparams_bytes + own->state_bytes + largest;
    return WF_OK;
}

static void destroy(wf_bijector *self)
{
    lattice *own = self->own;
    if (!own)
        return;
    for (int i = 0; i < own->taken; i++)
        wf_net_destroy(own->groups[i].net);
    free(own);
}

static void init(const wf_bijector *self, uint64_t seed, double *values)
{
    const lattice *own = self->own;
    for (int i = 0; i < own->count; i++)
        wf_net_init(own->groups[i].net, seed, self->offset, values);
}

/* Copies a state to one ordered by bands, channel band * C + colour; back: from it, to channel 3 colour + band. */
static int order(const wf_bijector *self, bool back, const wf_real *from, wf_real *to)
{
    const lattice *own = self->own;
    wf_backend *b = self->shape->backend;
    size_t bands = (size_t)own->bands, colours = (size_t)own->colours;
    for (size_t band = 0; band < bands; band++) {
        wf_runs runs = {.outer = pixels_of(self->shape),
                        .inner = colours,
                        .run = 1,
                        .from_outer = bands * colours,
                        .from_inner = back ? 1 : bands,
                        .to_outer = bands * colours,
                        .to_inner = back ? bands : 1};
        size_t mixed = band, ordered = band * colours;
        WF_TRY(b->copy_runs(b, &runs, wf_at(b, to, back ? mixed : ordered), wf_at(b, from, back ? ordered : mixed)));
    }
    return WF_OK;
}

/* Tape: x by bands, z by bands, and the net's input where it is masked. */
static wf_real *part_of(const wf_bijector *self, void *tape, int i)
{
    const lattice *own = self->own;
    return (wf_real *)((char *)tape + (size_t)i * own->state_bytes);
}

static void *tape_of(const group *g, void *tape)
{
    return (char *)tape + g->tape_at;
}

/* Sets *seen to the net's input: x by bands, or a copy without the pixels that are still to come; at the base zeros. */
static int show_net(const wf_bijector *self, const group *g, void *tape, const wf_real **seen)
{
    const wf_stage_shape *c = self->shape;
    wf_backend *b = c->backend;
    wf_real *x = part_of(self, tape, 0), *copy = part_of(self, tape, 2);
    *seen = g->masked || !c->C ? copy : x;
    if (!c->C)
        return b->zero(b, copy, pixels_of(c) * b->real);
    wf_coupling hidden = {c->H, c->W, c->K, g->of.band * g->of.C, g->of.C, WF_ODD_PIXELS, {0}};
    return g->masked ? b->mask(b, &hidden, c->N, x, false, copy) : WF_OK;
}

static int run_net(const wf_bijector *self, const group *g, const wf_real *params, const wf_real *cond, void *tape,
                   wf_real **out)
{
    const wf_real *seen;
    WF_TRY(show_net(self, g, tape, &seen));
    return wf_net_forward(g->net, params, seen, cond, tape_of(g, tape), out);
}

static int data_init(wf_bijector *self, wf_real *params, const wf_real *x, const wf_real *cond, void *tape)
{
    const lattice *own = self->own;
    const wf_stage_shape *c = self->shape;
    const wf_real *seen;
    WF_TRY(order(self, false, x, part_of(self, tape, 0)));
    WF_TRY(wf_actnorm_init(c, c->K, part_of(self, tape, 0), params, wf_at(c->backend, params, (size_t)c->K)));
    for (int i = 0; i < own->count; i++) {
        WF_TRY(show_net(self, &own->groups[i], tape, &seen));
        WF_TRY(wf_net_data_init(own->groups[i].net, params, seen, cond, tape_of(&own->groups[i], tape)));
    }
    return WF_OK;
}

static int forward(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond, wf_real *y,
                   double *logdet, void *tape)
{
    const lattice *own = self->own;
    const wf_stage_shape *c = self->shape;
    wf_real *bands = part_of(self, tape, 0), *z = part_of(self, tape, 1), *mixtures;
    WF_TRY(order(self, false, x, bands));
    for (int i = 0; i < own->count; i++) {
        const group *g = &own->groups[i];
        WF_TRY(run_net(self, g, params, cond, tape, &mixtures));
        WF_TRY(wf_shared_lattice(c, &g->of, bands, cond, params, mixtures, z, logdet));
    }
    return order(self, true, z, y);
}

static int inverse(wf_bijector *self, const wf_real *params, const wf_real *y, const wf_real *cond, wf_real *x,
                   double *logdet, void *tape)
{
    const lattice *own = self->own;
    const wf_stage_shape *c = self->shape;
    wf_backend *b = c->backend;
    wf_real *bands = part_of(self, tape, 0), *z = part_of(self, tape, 1), *mixtures;
    WF_TRY(order(self, false, y, z));
    WF_TRY(b->zero(b, bands, own->state_bytes));
    for (int i = 0; i < own->count; i++) {
        const group *g = &own->groups[i];
        WF_TRY(run_net(self, g, params, cond, tape, &mixtures));
        WF_TRY(b->lattice_inverse(b, &g->of, c->N, z, cond, params, mixtures, bands, logdet));
    }
    return order(self, true, bands, x);
}

/* x is discrete and has no gradient: g becomes 0. b and l have none either. */
static int backward(wf_bijector *self, const wf_real *params, const wf_real *x, const wf_real *cond, wf_real *g_,
                    wf_real *dcond, double dlogdet, wf_real *grads, void *tape, void *work)
{
    (void)x;
    const lattice *own = self->own;
    const wf_stage_shape *c = self->shape;
    wf_backend *b = c->backend;
    wf_real *dparams = work, *dseen = (wf_real *)((char *)work + own->dparams_bytes);
    void *inner = (char *)dseen + own->state_bytes;
    size_t elements = pixels_of(c) * (size_t)c->K;
    if (grads)
        WF_TRY(b->zero(b, grads, 2 * (size_t)c->K * b->real));
    for (int i = own->count - 1; i >= 0; i--) {
        const group *g = &own->groups[i];
        wf_real *mixtures = wf_net_output(g->net, tape_of(g, tape));
        WF_TRY(b->lattice_backward(b, &g->of, c->N, part_of(self, tape, 0), cond, params, mixtures, c->weight, dlogdet,
                                   dparams));
        WF_TRY(b->zero(b, dseen, elements * b->real));
        WF_TRY(wf_net_backward(g->net, params, dparams, grads, dseen, dcond, tape_of(g, tape), inner));
    }
    return b->zero(b, g_, elements * b->real);
}

static int inverse_backward(wf_bijector *self, const wf_real *params, const wf_real *x, wf_real *g, wf_real *dcond,
                            double dlogdet, void *tape, void *work)
{
    (void)self, (void)params, (void)x, (void)g, (void)dcond, (void)dlogdet, (void)tape, (void)work;
    return wf_fail(WF_USAGE, "lattice: whole numbers have no gradient by z");
}

const wf_bijector_type wf_bijector_lattice = {
    .name = "lattice",
    .summary = "exact probabilities of whole-number coefficients in place of a density: bands in turn, each a mixture "
               "of discretized logistics whose parameters a network finds from the low-pass picture and the bands "
               "before (after PixelCNN++, 2017); only cond may stand before it, and nothing after it",
    .pictures_only = true,
    .discrete = true,
    .options = {{"components", 5, 1, WF_LATTICE_MAX_COMPONENTS, NULL, "logistics in each mixture", 0},
                {"width", 0, 1, 4096, NULL, "channels of hidden maps", "the network's"},
                {"blocks", 0, 1, 16, NULL, "blocks of the network", "the network's"},
                {"net", 0, 0, 0, wf_net_names, "the network, see NETWORKS", 0},
                {"phases", 1, 1, 2, NULL, "2: half of a band's pixels, as a checkerboard, come before the other half",
                 0}},
    .create = create,
    .destroy = destroy,
    .init = init,
    .data_init = data_init,
    .forward = forward,
    .inverse = inverse,
    .backward = backward,
    .inverse_backward = inverse_backward,
};
