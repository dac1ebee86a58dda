/* laws.c - runs the laws, and holds their shared helpers */
#include "laws.h"

void fill(double *x, size_t n, int number, double size)
{
    for (size_t i = 0; i < n; i++)
        x[i] = input_value(number, 7, i, size, WF_FP32);
}

wf_real *R(const double *x)
{
    return (wf_real *)x;
}

wf_map *M(const double *x)
{
    return (wf_map *)x;
}

double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

int near(const char *what, size_t i, double have, double want, double tolerance)
{
    WF_CHECK(fabs(have - want) <= tolerance * (1 + fabs(want)), WF_INTERNAL, "%s[%zu] is %.12g, want %.12g", what, i,
             have, want);
    return WF_OK;
}

int check_gradient(const char *what, loss_fn *loss, void *user, double *x, const double *g, size_t n)
{
    const double h = 1e-5;
    for (size_t i = 0; i < n; i++) {
        double kept = x[i], up, down;
        x[i] = kept + h;
        WF_TRY(loss(user, &up));
        x[i] = kept - h;
        WF_TRY(loss(user, &down));
        x[i] = kept;
        WF_TRY(near(what, i, g[i], (up - down) / (2 * h), 1e-7));
    }
    return WF_OK;
}

bool law(int i, const char **name, int *status)
{
    static const struct row {
        const char *name;
        int (*check)(void);
    } laws[] = {
#define LAW(name) {#name, law_##name},
        LAWS(LAW)};
    if ((size_t)i >= sizeof laws / sizeof *laws)
        return false;
    *name = laws[i].name;
    *status = laws[i].check();
    return true;
}
