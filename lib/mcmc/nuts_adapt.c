/* nuts_adapt.c - dual averaging of the step size (Hoffman & Gelman 2014, section 3.2), masses from windows (Stan) */
#include "nuts_adapt.h"

#include <math.h>
#include <string.h>

void wf_nuts_adapt_restart(wf_nuts_chain *c)
{
    c->step_pull = log(10 * c->step); /* rather too large at first: small steps cost more to try */
    c->step_error = c->log_step_mean = 0;
    c->step_count = 0;
}

/* Equation 6 and algorithm 5, with their gamma, t0 and kappa. */
static void average_step(wf_nuts_chain *c, double target, double acceptance)
{
    const double gamma = 0.05, t0 = 10, kappa = 0.75;
    double t = (double)++c->step_count, weight = pow(t, -kappa);
    c->step_error += (target - acceptance - c->step_error) / (t + t0);
    double log_step = c->step_pull - sqrt(t) / gamma * c->step_error;
    c->log_step_mean += weight * (log_step - c->log_step_mean);
    c->step = exp(log_step);
}

/* Iterations of adaptation: `first` of the step alone, windows for the masses that double in length from `window`, `last` of
 * the step alone. Stan's 75, 25 and 50, or 15%, 75% and 10% of short ones. */
typedef struct schedule {
    uint64_t first, window, last;
} schedule;

static schedule schedule_of(uint64_t adapt)
{
    if (adapt >= 150)
        return (schedule){75, 25, 50};
    schedule s = {adapt * 15 / 100, 0, adapt / 10};
    s.window = adapt - s.first - s.last;
    return s;
}

/* Whether `iteration` lies in a window, and (out) the iteration after that window's last. A window that would leave no room
 * for the next, twice as long, takes what is left. */
static bool in_window(uint64_t iteration, uint64_t adapt, uint64_t *end)
{
    schedule s = schedule_of(adapt);
    uint64_t stop = adapt - s.last;
    *end = s.first;
    for (uint64_t window = s.window; *end <= iteration && *end < stop;) {
        *end += window;
        window *= 2;
        if (*end + window > stop)
            *end = stop;
    }
    return iteration >= s.first && iteration < stop;
}

/* Welford's running mean and sum of squared deviations. */
static void add_to_window(wf_nuts_chain *c, size_t D)
{
    double n = (double)++c->mass_count;
    for (size_t i = 0; i < D; i++) {
        double off = c->x[i] - c->mean[i];
        c->mean[i] += off / n;
        c->square[i] += off * (c->x[i] - c->mean[i]);
    }
}

/* The window's variances, shrunk a little towards 1e-3 as in Stan, become the inverse masses. */
static void set_masses(wf_nuts_chain *c, size_t D)
{
    double n = (double)c->mass_count;
    for (size_t i = 0; i < D && n > 1; i++)
        c->variance[i] = n / (n + 5) * (c->square[i] / (n - 1)) + 1e-3 * (5 / (n + 5));
    memset(c->mean, 0, D * sizeof *c->mean);
    memset(c->square, 0, D * sizeof *c->square);
    c->mass_count = 0;
}

void wf_nuts_adapt(wf_nuts_chain *c, size_t D, const wf_nuts_options *o, double acceptance)
{
    uint64_t end;
    if (c->iteration > o->adapt)
        return;
    average_step(c, o->target, acceptance);
    if (o->diagonal_mass && o->adapt >= 20 && in_window(c->iteration - 1, o->adapt, &end)) {
        add_to_window(c, D);
        if (c->iteration == end) {
            set_masses(c, D);
            c->seek_step = 1;
        }
    }
    if (c->iteration == o->adapt)
        c->step = exp(c->log_step_mean);
}
