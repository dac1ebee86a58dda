/* coherence.c - how far the finest details of a picture agree over a distance
 *
 * Details at two points of one disc of `deadleaves --grain` agree, those of two discs do not. The grain at a point are
 * the details there, g, 3C numbers. For all pairs of points p, q at one distance along rows and columns
 *
 *     correlation = 2 sum <g_p, g_q> / sum (|g_p|^2 + |g_q|^2)
 *
 * Sums are over pairs of one disc, or of two, and over pictures. The ratio of two sums over independent pictures has
 * the standard error sqrt(n / (n - 1) sum (a_i - r b_i)^2) / sum b_i (Cochran, Sampling Techniques, 1977, 2.46).
 *
 * Samples of a model have no labels. Discs of such pictures are flat, so colours of the low-pass picture stand for
 * them: within a tolerance the disc is one, beyond twice that there are two, and pairs in between do not count. Only
 * points count whose eight neighbours have the point's own colour. */
#include <math.h>
#include <stdlib.h>

#include "../tools/cli_io.h"
#include "../tools/progress.h"

static double tolerance = 4;
static const char *segments_path;

static const cli_option options[] = {
    {0, "tolerance", "X", CLI_DOUBLE, &tolerance, 0, 255,
     "Largest difference of a channel between low-pass colours of one disc; the default is 4."},
    {0, "segments", "FILE|STORE", CLI_STRING, &segments_path, 0, 0,
     "Take discs from the low-pass pictures of another stream or store, such as that of deadleaves --labels."},
    {.name = NULL},
};

static const cli_program program = {
    .name = "coherence",
    .summary = "how far the finest details of pictures agree over a distance",
    .synopsis = "[--tolerance X] [--segments FILE|STORE] [FILE|STORE]",
    .description =
        "Reads a coefficient stream, as wf-dwt and wf-sample write it, from a file, a store or standard input, and "
        "prints a tab-separated line for each distance: pixels; pairs of points of one disc, the correlation of "
        "their details in the highest level, and its standard error over pictures; the same of two discs. A disc is a "
        "colour of the low-pass picture.",
    .examples = "deadleaves -n 2000 -s 64 --radius 10 --grain 10 | wf-dwt | coherence\n"
                "    the truth: nearly 1 in one disc, nearly 0 in two\n"
                "wf-view -l 0-5 test.store | wf-sample -m model | coherence\n"
                "    a model's finest level on true low-pass pictures\n",
    .options = options,
};

/* Sums of a numerator a and a denominator b over pictures. */
typedef struct ratio {
    int64_t pairs;
    double a, b;             /* of the picture at hand */
    double A, B, AA, AB, BB; /* over pictures */
    int64_t pictures;
} ratio;

enum { SAME, DIFFERENT, KINDS };

static struct {
    int H, W, C, K;
    bool *inner;  /* [H,W] the eight neighbours have the point's colour */
    ratio *found; /* [distances,KINDS], distances 1 to W - 1 or H - 1 points */
    int distances;
} job;

/* Pictures of the highest level of a stream or store, one by one. */
typedef struct pictures {
    wf_records *records;
    wf_record record;
    int64_t at;
    const float *low, *detail; /* [H,W,C], [H,W,K] of the last one taken */
} pictures;

static bool take(pictures *p)
{
    int top = wf_records_meta(p->records)->top;
    while (p->at == p->record.N) {
        p->at = 0;
        do {
            if (!cli_next(p->records, &p->record))
                return false;
        } while (p->record.level != top);
    }
    size_t points = (size_t)p->at++ * (size_t)job.H * (size_t)job.W;
    p->low = p->record.low + points * (size_t)job.C;
    p->detail = p->record.detail + points * (size_t)job.K;
    return true;
}

static double colour_distance(const float *p, const float *q)
{
    double most = 0;
    for (int k = 0; k < job.C; k++)
        most = fmax(most, fabs((double)p[k] - (double)q[k]));
    return most;
}

static double product(const float *p, const float *q)
{
    double sum = 0;
    for (int k = 0; k < job.K; k++)
        sum += (double)p[k] * (double)q[k];
    return sum;
}

static bool is_inner(const float *low, int y, int x)
{
    const float *p = low + (y * job.W + x) * job.C;
    for (int v = y > 0 ? y - 1 : 0; v <= y + 1 && v < job.H; v++)
        for (int u = x > 0 ? x - 1 : 0; u <= x + 1 && u < job.W; u++)
            if (colour_distance(p, low + (v * job.W + u) * job.C) > tolerance)
                return false;
    return true;
}

static void add_pair(const float *low, const float *detail, int p, int q, int distance)
{
    double apart = colour_distance(low + p * job.C, low + q * job.C);
    if (!job.inner[p] || !job.inner[q] || (apart > tolerance && apart <= 2 * tolerance))
        return;
    const float *g = detail + p * job.K, *h = detail + q * job.K;
    ratio *r = &job.found[KINDS * (distance - 1) + (apart > tolerance ? DIFFERENT : SAME)];
    r->pairs++;
    r->a += 2 * product(g, h);
    r->b += product(g, g) + product(h, h);
}

static void end_picture(ratio *r)
{
    r->pictures += r->b > 0;
    r->A += r->a;
    r->B += r->b;
    r->AA += r->a * r->a;
    r->AB += r->a * r->b;
    r->BB += r->b * r->b;
    r->a = r->b = 0;
}

static void add_picture(const float *low, const float *detail)
{
    for (int y = 0; y < job.H; y++)
        for (int x = 0; x < job.W; x++)
            job.inner[y * job.W + x] = is_inner(low, y, x);
    for (int y = 0; y < job.H; y++)
        for (int x = 0; x < job.W; x++)
            for (int n = 1, p = y * job.W + x; n <= job.distances; n++) {
                if (x + n < job.W)
                    add_pair(low, detail, p, p + n, n);
                if (y + n < job.H)
                    add_pair(low, detail, p, p + n * job.W, n);
            }
    for (int i = 0; i < KINDS * job.distances; i++)
        end_picture(&job.found[i]);
}

/* Prints pairs, correlation and standard error; "-" where there are too few pairs. */
static void print(const ratio *r)
{
    double n = (double)r->pictures, c = r->A / r->B,
           error = sqrt(fmax(0, r->AA - 2 * c * r->AB + c * c * r->BB)) / r->B;
    printf("\t%lld", (long long)r->pairs);
    r->B > 0 ? printf("\t%.4f", c) : printf("\t-");
    n > 1 ? printf("\t%.4f", sqrt(n / (n - 1)) * error) : printf("\t-");
}

static void open_job(const wf_records *input, const wf_records *segments)
{
    const wf_meta *meta = wf_records_meta(input);
    const char *name = wf_records_name(input);
    if (segments)
        must(wf_meta_expect(wf_records_meta(segments), wf_records_name(segments), meta, name));
    if (meta->signal != WF_PICTURE || meta->top == 0)
        die(WF_DATA, "%s: found %s, expected pictures with details", name,
            meta->top ? "sounds or volumes" : "level 0 alone");
    wf_level_shape s = wf_meta_level(meta, meta->top);
    job.H = s.H, job.W = s.W, job.C = s.C, job.K = s.K;
    job.distances = (s.H > s.W ? s.H : s.W) - 1;
    job.inner = must_allocate((size_t)s.H * (size_t)s.W, sizeof *job.inner, "a picture");
    job.found = must_allocate((size_t)(KINDS * job.distances), sizeof *job.found, "sums");
}

int main(int argc, char **argv)
{
    int first = cli_parse(&program, argc, argv);
    if (cli_is_dash(segments_path) && cli_reads_stdin(NULL, first))
        die(WF_USAGE, "standard input cannot be both the segments and the pictures");
    char *path = (char *)segments_path;
    pictures segments = {.records = path ? found_open_records(&path, 1, false, FOUND_COEFFICIENTS) : NULL};
    pictures input = {.records = cli_open_input(first)};
    int64_t count = 0;
    open_job(input.records, segments.records);
    for (; take(&input); count++) {
        if (segments.records && !take(&segments))
            die(WF_DATA, "%s: found %lld picture%s, expected as many as %s has", segments_path, (long long)count,
                plural(count), wf_records_name(input.records));
        add_picture(segments.records ? segments.low : input.low, input.detail);
    }
    if (!count)
        die(WF_DATA, "%s: has no details of its highest level", wf_records_name(input.records));
    printf("pixels\tpairs_same\tsame\tsame_error\tpairs_different\tdifferent\tdifferent_error\n");
    for (int n = 1; n <= job.distances; n++) {
        printf("%d", 2 * n);
        for (int kind = 0; kind < KINDS; kind++)
            print(&job.found[KINDS * (n - 1) + kind]);
        printf("\n");
    }
    wf_records_close(input.records);
    wf_records_close(segments.records);
    free(job.inner);
    free(job.found);
    finish_stdout();
    return WF_OK;
}
