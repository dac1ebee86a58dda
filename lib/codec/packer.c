/* packer.c - the sums of a picture's blocks, level by level */
#include "packer.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "lattice_load.h"
#include "packer_private.h"

/* Sums of blocks after `halvings` halvings, [h,w,C]. */
typedef struct plane {
    int32_t *sums;
    size_t room;
    int h, w;
} plane;

struct wf_packer_work {
    wf_lattice_work lattice;
    wf_rans_list list;
    plane planes[WF_MAX_LEVELS + 1];
    int32_t *detail;
    size_t detail_room;
};

static int load_level(wf_packer *p, const wf_model *model, wf_backend *backend, int level)
{
    wf_level trained;
    WF_TRY(wf_level_load(model, level, backend, &trained));
    int halvings = level ? p->n - level + 1 : p->n;
    uint64_t chain = XXH3_64bits(trained.spec.chain, strlen(trained.spec.chain));
    p->hashes[level] = XXH3_64bits_withSeed(trained.params, trained.size * sizeof(float), chain);
    int status = wf_lattice_load(&model->meta, &trained, halvings, &p->levels[level]);
    if (status)
        status = wf_fail(status, "%s: level %d: %s", model->path, level, wf_error());
    wf_level_clear(&trained);
    return status;
}

int wf_packer_create(const wf_model *model, wf_packer **out)
{
    wf_backend *backend = NULL;
    int n = model->meta.levels, status = WF_OK;
    wf_packer *p = calloc(1, sizeof *p);
    WF_CHECK(p, WF_AGAIN, "%s: out of memory", model->path);
    *p = (wf_packer){.n = n, .C = model->meta.C, .bits = model->meta.bits};
    p->levels = calloc((size_t)n + 1, sizeof *p->levels);
    p->hashes = calloc((size_t)n + 1, sizeof *p->hashes);
    if (!p->levels || !p->hashes)
        WF_GO(wf_fail(WF_AGAIN, "%s: out of memory", model->path));
    WF_GO(wf_backend_open("cpu", 1, &backend));
    for (int level = n; level >= 0; level--)
        WF_GO(load_level(p, model, backend, level));
out:
    if (backend)
        backend->close(backend);
    if (status)
        wf_packer_destroy(p);
    else
        *out = p;
    return status;
}

void wf_packer_destroy(wf_packer *p)
{
    for (int i = 0; p && p->levels && i <= p->n; i++)
        wf_lattice_level_clear(&p->levels[i]);
    if (p) {
        free(p->levels);
        free(p->hashes);
    }
    free(p);
}

int wf_packer_channels(const wf_packer *p)
{
    return p->C;
}

int wf_packer_bits(const wf_packer *p)
{
    return p->bits;
}

int wf_packer_levels(const wf_packer *p)
{
    return p->n;
}

uint64_t wf_packer_hash(const wf_packer *p, int level)
{
    return p->hashes[level];
}

int wf_packer_work_create(wf_packer_work **out)
{
    *out = calloc(1, sizeof **out);
    WF_CHECK(*out, WF_AGAIN, "out of memory");
    return WF_OK;
}

void wf_packer_work_destroy(wf_packer_work *work)
{
    if (!work)
        return;
    wf_lattice_work_clear(&work->lattice);
    wf_rans_clear(&work->list);
    for (int i = 0; i <= WF_MAX_LEVELS; i++)
        free(work->planes[i].sums);
    free(work->detail);
    free(work);
}

static int grow(int32_t **memory, size_t *room, size_t n)
{
    if (*room >= n)
        return WF_OK;
    free(*memory);
    *room = 0;
    *memory = malloc(n * sizeof **memory);
    WF_CHECK(*memory, WF_AGAIN, "out of memory for %zu numbers", n);
    *room = n;
    return WF_OK;
}

/* Sets the sides of all planes of an H x W picture of C channels. *halvings: as many as there are. */
static int reserve(const wf_packer *p, wf_packer_work *work, int H, int W, int *halvings)
{
    int k = 0;
    for (int h = H, w = W;; k++, h = (h + 1) / 2, w = (w + 1) / 2) {
        plane *to = &work->planes[k];
        size_t n = (size_t)h * (size_t)w * (size_t)p->C;
        WF_TRY(grow(&to->sums, &to->room, n));
        to->h = h;
        to->w = w;
        if (k == 1)
            WF_TRY(grow(&work->detail, &work->detail_room, 3 * n));
        if (k == p->n || (h == 1 && w == 1))
            break;
    }
    *halvings = k;
    return WF_OK;
}

/* Gives the four numbers of block (row, column) of a plane, colour c; the last row or column stands in for the next. */
static void get_block(const plane *from, int C, int row, int column, int c, int32_t block[4])
{
    for (int i = 0; i < 4; i++) {
        int y = 2 * row + i / 2, x = 2 * column + i % 2;
        y = y < from->h ? y : from->h - 1;
        x = x < from->w ? x : from->w - 1;
        block[i] = from->sums[((size_t)y * (size_t)from->w + (size_t)x) * (size_t)C + (size_t)c];
    }
}

static void halve(const plane *from, int C, plane *to)
{
    int32_t *sum = to->sums, b[4];
    for (int row = 0; row < to->h; row++)
        for (int column = 0; column < to->w; column++)
            for (int c = 0; c < C; c++) {
                get_block(from, C, row, column, c, b);
                *sum++ = b[0] + b[1] + b[2] + b[3];
            }
}

/* Makes the details [h,w,3C] between a plane and its halves [h,w]. */
static void make_details(const plane *from, int C, int h, int w, int32_t *detail)
{
    int32_t b[4];
    for (int row = 0; row < h; row++)
        for (int column = 0; column < w; column++, detail += 3 * C)
            for (int c = 0; c < C; c++) {
                get_block(from, C, row, column, c, b);
                detail[c] = b[0] - b[1] + b[2] - b[3];
                detail[C + c] = b[0] + b[1] - b[2] - b[3];
                detail[2 * C + c] = b[0] - b[1] - b[2] + b[3];
            }
}

/* Undoes halve and make_details. WF_DATA: the details are those of no plane with numbers of 0 .. most. */
static int join(const plane *low, const int32_t *detail, int C, int64_t most, plane *to)
{
    static const int signs[4][3] = {{1, 1, 1}, {-1, 1, -1}, {1, -1, -1}, {-1, -1, 1}};
    for (int row = 0; row < to->h; row++)
        for (int column = 0; column < to->w; column++)
            for (int c = 0; c < C; c++) {
                size_t at = (size_t)(row / 2) * (size_t)low->w + (size_t)(column / 2);
                const int *sign = signs[row % 2 * 2 + column % 2];
                const int32_t *d = detail + at * 3 * (size_t)C + c;
                int64_t four = low->sums[at * (size_t)C + (size_t)c];
                four += (int64_t)sign[0] * d[0] + (int64_t)sign[1] * d[C] + (int64_t)sign[2] * d[2 * C];
                WF_CHECK(four >= 0 && four / 4 <= most, WF_DATA, "the code gives numbers that no pixels have");
                to->sums[((size_t)row * (size_t)to->w + (size_t)column) * (size_t)C + (size_t)c] = (int32_t)(four / 4);
            }
    return WF_OK;
}

/* Codes the sums that are left after all halvings: by the base, or one pixel as uniform. */
static int code_lowest(const wf_packer *p, wf_packer_work *work, wf_coder *coder, int halvings)
{
    plane *lowest = &work->planes[halvings];
    if (halvings == p->n)
        return wf_lattice_code_base(&p->levels[0], coder, (int64_t)lowest->h * lowest->w, lowest->sums);
    for (int c = 0; c < p->C; c++) {
        int64_t i = coder->list ? lowest->sums[c] : 0, count = (((INT64_C(1) << p->bits) - 1) << 2 * halvings) + 1;
        WF_TRY(wf_code_uniform(coder, count, &i));
        lowest->sums[c] = (int32_t)i;
    }
    return WF_OK;
}

/* Codes all levels. When reading, plane 0 is the result. */
static int code_levels(const wf_packer *p, wf_packer_work *work, wf_coder *coder, int halvings)
{
    WF_TRY(code_lowest(p, work, coder, halvings));
    for (int k = halvings; k > 0; k--) {
        plane *low = &work->planes[k], *fine = &work->planes[k - 1];
        wf_lattice_numbers numbers = {low->h, low->w, fine->h, fine->w, low->sums, work->detail};
        if (coder->list)
            make_details(fine, p->C, low->h, low->w, work->detail);
        else
            memset(work->detail, 0, (size_t)low->h * (size_t)low->w * 3 * (size_t)p->C * sizeof(int32_t));
        WF_TRY(wf_lattice_code_details(&p->levels[p->n - k + 1], &work->lattice, coder, &numbers));
        if (!coder->list)
            WF_TRY(join(low, work->detail, p->C, ((INT64_C(1) << p->bits) - 1) << 2 * (k - 1), fine));
    }
    return WF_OK;
}

static size_t samples_of(const wf_image *image)
{
    return (size_t)image->H * (size_t)image->W * (size_t)image->C;
}

/* Hash of seed, sides and samples. */
static uint64_t hash_pixels(const wf_image *image, uint64_t seed)
{
    uint64_t shape = (uint64_t)image->H << 32 | (uint64_t)image->W << 8 | (uint64_t)(image->C << 5 | image->bits);
    return XXH3_64bits_withSeed(image->pixels, samples_of(image) * sizeof *image->pixels, seed ^ shape);
}

int wf_pack(const wf_packer *p, wf_packer_work *work, const wf_image *image, const char *name, uint64_t seed,
            uint8_t **bytes, size_t *n)
{
    int halvings;
    wf_coder coder = {.list = &work->list};
    WF_CHECK(image->signal == WF_PICTURE, WF_USAGE, "%s: not a picture", name);
    WF_CHECK(image->C == p->C, WF_USAGE, "%s: %d channel%s, and the model has %d", name, image->C,
             image->C == 1 ? "" : "s", p->C);
    WF_CHECK(image->bits == p->bits, WF_USAGE, "%s: %d bits a sample, and the model has %d", name, image->bits,
             p->bits);
    WF_TRY(reserve(p, work, image->H, image->W, &halvings));
    for (size_t i = 0; i < samples_of(image); i++)
        work->planes[0].sums[i] = image->pixels[i];
    for (int k = 1; k <= halvings; k++)
        halve(&work->planes[k - 1], p->C, &work->planes[k]);
    work->list.count = 0;
    WF_TRY(code_levels(p, work, &coder, halvings));
    return wf_rans_finish(&work->list, (uint32_t)hash_pixels(image, seed), bytes, n);
}

int wf_unpack(const wf_packer *p, wf_packer_work *work, const uint8_t *bytes, size_t n, uint64_t seed, wf_image *image)
{
    int halvings;
    wf_rans_reader reader;
    wf_coder coder = {.reader = &reader};
    WF_CHECK(image->C == p->C && image->bits == p->bits, WF_DATA, "%d channels of %d bits, and the model has %d of %d",
             image->C, image->bits, p->C, p->bits);
    WF_TRY(wf_rans_open(bytes, n, &reader));
    WF_TRY(reserve(p, work, image->H, image->W, &halvings));
    WF_TRY(code_levels(p, work, &coder, halvings));
    for (size_t i = 0; i < samples_of(image); i++)
        image->pixels[i] = (uint16_t)work->planes[0].sums[i];
    return wf_rans_end(&reader, (uint32_t)hash_pixels(image, seed));
}
