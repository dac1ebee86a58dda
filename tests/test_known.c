/* test_known.c - partly observed pictures: coordinates of the missing part, and densities over them */
#include "../lib/pyramid/pyramid.h"
#include "anneal.h"

enum { LEVELS = 3, H = 8, W = 8, C = 3, D = H * W * C, LEVEL_SIZES = LEVELS + 1 };

static const double luma[3] = {0.299, 0.587, 0.114};

/* A mask with '#' for missing pixels (NULL: all are missing), and the grey of the others. */
typedef struct target {
    const char *what;
    const char *mask;
    bool grey;
} target;

static const target targets[] = {
    {"a square",
     "........"
     "........"
     "..####.."
     "..####.."
     "..####.."
     "..####.."
     "........"
     "........",
     false},
    {"a blot",
     "#......."
     "........"
     "...##..."
     "..######"
     "..######"
     ".#######"
     "....####"
     "#...####",
     false},
    {"all colours", NULL, true},
    {"the colours of half",
     "....####"
     "....####"
     "....####"
     "....####"
     "....####"
     "....####"
     "....####"
     "....####",
     true},
    {"everything", NULL, false},
};
enum { TARGETS = sizeof targets / sizeof *targets };

static wf_meta meta_of(void)
{
    return (wf_meta){.wavelet = "haar", .levels = LEVELS, .top = LEVELS, .H = H, .W = W, .C = C, .bits = 8};
}

static bool is_missing(const target *t, int pixel)
{
    return !t->mask || t->mask[pixel] == '#';
}

static wf_observed *open_known(const target *t, const wf_meta *meta)
{
    uint8_t missing[H * W];
    wf_observed *k;
    for (int i = 0; i < H * W; i++)
        missing[i] = is_missing(t, i);
    cr_assert_eq(wf_observed_create(meta, t->mask ? missing : NULL, t->grey, &k), 0, "%s", wf_error());
    return k;
}

static void random_picture(uint64_t seed, float picture[D])
{
    double *noise = normals(seed, 50, D);
    for (int i = 0; i < D; i++)
        picture[i] = (float)fmin(255, fmax(0, round(128 + noise[i])));
    free(noise);
}

/* Pixels [D] in the flows' units from coefficients x [D], by a Haar transform independent of the library: averages and
 * differences. */
static void pixels_of(const double *x, double *pixels)
{
    double low[D];
    memcpy(pixels, x, C * sizeof *x);
    x += C;
    for (int h = 1; h < H; x += 3 * h * h * C, h *= 2) {
        memcpy(low, pixels, (size_t)(h * h * C) * sizeof *low);
        for (int i = 0; i < h * h * C; i++) {
            int y = i / C / h, across = i / C % h, c = i % C;
            const double *d = x + 3 * i; /* channel 3 * colour + band */
            for (int q = 0; q < 4; q++) {
                double right = q & 1 ? -1 : 1, down = q & 2 ? -1 : 1;
                pixels[((2 * y + q / 2) * 2 * h + 2 * across + q % 2) * C + c] =
                    low[i] + (right * d[0] + down * d[1] + right * down * d[2]) / 2;
            }
        }
    }
}

static void expand(wf_observed *k, const float *picture, const double *v, double *pixels)
{
    double x[D];
    cr_assert_eq(wf_observed_apply(k, picture, v, x), 0, "%s", wf_error());
    pixels_of(x, pixels);
}

Test(known, what_is_known_stays)
{
    wf_meta meta = meta_of();
    float picture[D];
    double pixels[D];
    random_picture(1, picture);
    for (const target *t = targets; t < targets + TARGETS; t++) {
        wf_observed *k = open_known(t, &meta);
        double *v = normals(2, 1, wf_observed_size(k));
        int moved = 0;
        expand(k, picture, v, pixels);
        for (int i = 0; i < H * W; i++) {
            double have = 0, want = 0;
            for (int c = 0; c < C; c++) {
                double old = (picture[i * C + c] + 0.5) / 256 - 0.5, new = pixels[i * C + c];
                have += luma[c] * new;
                want += luma[c] * old;
                moved += fabs(new - old) > 1e-6;
                if (!is_missing(t, i))
                    cr_expect_float_eq(new, old, 1e-12, "%s: pixel %d", t->what, i);
            }
            if (t->grey)
                cr_expect_float_eq(have, want, 1e-12, "%s: the grey of pixel %d", t->what, i);
        }
        cr_expect_geq(moved, (int)wf_observed_size(k), "%s: %d values moved", t->what, moved);
        wf_observed_destroy(k);
        free(v);
    }
}

/* The columns of U, in pixels, are orthogonal, and the gradient by v is U' times the gradient by pixels. */
Test(known, coordinates_are_orthogonal)
{
    wf_meta meta = meta_of();
    float picture[D];
    double zero[D] = {0}, known[D];
    random_picture(3, picture);
    for (const target *t = targets; t < targets + TARGETS; t++) {
        wf_observed *k = open_known(t, &meta);
        size_t n = wf_observed_size(k);
        double *columns = malloc(n * D * sizeof *columns), *gx = normals(4, 1, D), *gv = malloc(n * sizeof *gv);
        double one[D] = {0}, x[D], base[D];
        expand(k, picture, zero, known);
        cr_assert_eq(wf_observed_apply(k, picture, zero, base), 0);
        cr_assert_eq(wf_observed_adjoint(k, gx, gv), 0);
        for (size_t i = 0; i < n; i++) {
            double *column = columns + i * D, along = 0;
            one[i] = 1;
            expand(k, picture, one, column);
            for (int j = 0; j < D; j++)
                column[j] -= known[j];
            cr_assert_eq(wf_observed_apply(k, picture, one, x), 0);
            for (int j = 0; j < D; j++)
                along += gx[j] * (x[j] - base[j]);
            cr_expect_float_eq(gv[i], along, 1e-11, "%s: gradient by %zu: %g, want %g", t->what, i, gv[i], along);
            one[i] = 0;
            for (size_t other = 0; other <= i; other++) {
                double dot = 0;
                for (int j = 0; j < D; j++)
                    dot += column[j] * columns[other * D + (size_t)j];
                double length = sqrt(dot) / 0.02; /* the side of a square: 1, 2, 4 or 8 */
                if (other < i)
                    cr_expect_float_eq(dot, 0, 1e-12, "%s: columns %zu and %zu", t->what, i, other);
                else
                    cr_expect(fabs(log2(length) - round(log2(length))) < 1e-9 && length > 0.5 && length < 8.5,
                              "%s: column %zu is %g squares long", t->what, i, length);
            }
        }
        wf_observed_destroy(k);
        free(columns);
        free(gx);
        free(gv);
    }
}

Test(known, chains_begin_near_what_is_known)
{
    wf_meta meta = meta_of();
    float picture[D], other[D];
    wf_observed *k = open_known(&targets[0], &meta);
    size_t n = wf_observed_size(k);
    double *v = malloc(3 * n * sizeof *v), pixels[D];
    random_picture(5, picture);
    memcpy(other, picture, sizeof other);
    for (int i = 0; i < D; i++)
        if (is_missing(&targets[0], i / C))
            other[i] = 200;
        else
            picture[i] = other[i] = 40;
    wf_observed_start(k, picture, 1, 7, v);
    wf_observed_start(k, other, 1, 7, v + n);
    cr_expect_eq(memcmp(v, v + n, n * sizeof *v), 0, "what is missing is not looked at");
    wf_observed_start(k, picture, 1, 8, v + 2 * n);
    cr_expect_neq(memcmp(v, v + 2 * n, n * sizeof *v), 0, "chains begin apart");
    expand(k, picture, v, pixels);
    for (int i = 0; i < D; i++)
        cr_expect_float_eq(pixels[i], 40.5 / 256 - 0.5, 0.05, "pixel %d: %g", i / C, pixels[i]);
    wf_observed_destroy(k);
    free(v);
}

/* -- densities ------------------------------------------------------------------------------------------------------- */

/* The density at v equals that of all coefficients, and its gradient is correct. */
static void check_density(const wf_model *model, const target *t, wf_backend *b)
{
    enum { CHAINS = 2 };
    const double h = 1e-4;
    wf_observed *k = open_known(t, &model->meta);
    wf_anneal_spec spec = {.last = LEVELS, .H = 1, .W = 1, .temperature = {1, 0.9, 0.8, 0.7}, .data = true};
    wf_anneal *whole = anneal(model, &spec, b, CHAINS);
    spec.known = k;
    wf_anneal *a = anneal(model, &spec, b, CHAINS);
    size_t n = wf_observed_size(k);
    float pictures[CHAINS * D];
    double *v = malloc(CHAINS * n * sizeof *v), *g = malloc(CHAINS * n * sizeof *g), x[CHAINS * D], unused[CHAINS * D];
    double logp[CHAINS], want[CHAINS];
    const int chains[] = {0, 1}, both[] = {1, 1};
    for (int c = 0; c < CHAINS; c++)
        random_picture(6 + (uint64_t)c, pictures + c * D);
    cr_assert_eq(wf_anneal_size(a), n);
    cr_assert_eq(wf_anneal_condition(a, CHAINS, NULL), WF_USAGE);
    cr_assert_eq(wf_anneal_condition(a, CHAINS, pictures), 0, "%s", wf_error());
    cr_assert_eq(wf_anneal_start(a, CHAINS, (uint64_t[]){3, 4}, 5, v), 0, "%s", wf_error());
    for (int c = 0; c < CHAINS; c++)
        cr_assert_eq(wf_observed_apply(k, pictures + c * D, v + (size_t)c * n, x + c * D), 0);
    cr_assert_eq(wf_anneal_density(whole, CHAINS, chains, x, want, unused), 0);
    cr_assert_eq(wf_anneal_density(a, CHAINS, chains, v, logp, g), 0);
    for (int c = 0; c < CHAINS; c++)
        cr_expect_float_eq(logp[c], want[c], 1e-9 * fabs(want[c]), "%s: %.12g, want %.12g", t->what, logp[c], want[c]);
    double *sides = malloc(2 * n * sizeof *sides), *sides_g = malloc(2 * n * sizeof *sides_g), *at = v + n;
    for (size_t i = 0; i < n; i += n / 20 + 1) {
        memcpy(sides, at, n * sizeof *sides);
        memcpy(sides + n, at, n * sizeof *sides);
        sides[i] += h;
        sides[n + i] -= h;
        cr_assert_eq(wf_anneal_density(a, 2, both, sides, logp, sides_g), 0);
        double numeric = (logp[0] - logp[1]) / (2 * h), have = g[n + i];
        cr_expect_lt(fabs(have - numeric), 1e-6 * (1 + fabs(numeric)), "%s: by %zu: %.9g, numeric %.9g", t->what, i,
                     have, numeric);
    }
    wf_anneal_destroy(a);
    wf_anneal_destroy(whole);
    wf_observed_destroy(k);
    free(v);
    free(g);
    free(sides);
    free(sides_g);
}

Test(known, densities_are_those_of_whole_pictures, .timeout = 60)
{
    shaking by = {0.15, 0.15};
    scratch_make();
    wf_model model = make_model("model", LEVELS, H, C);
    for (int level = 0; level <= LEVELS; level++)
        save_level(&model, level, "2*(actnorm, conv1x1, affine:width=6:blocks=1), actnorm", shake, &by);
    wf_backend *b = open_backend("ref", 1);
    for (const target *t = targets; t < targets + TARGETS; t++)
        check_density(&model, t, b);
    b->close(b);
    wf_model_clear(&model);
    scratch_remove();
}

Test(known, refusals)
{
    wf_observed *k;
    wf_meta meta = meta_of();
    uint8_t nothing[H * W] = {0};
    cr_assert_eq(wf_observed_create(&meta, nothing, false, &k), WF_USAGE);
    meta.C = 1;
    cr_assert_eq(wf_observed_create(&meta, NULL, true, &k), WF_USAGE);
}
