/* step.c - one step: its batch, its gradients, its results */
#include <math.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/count.h"
#include "trainer.h"

void wf_trainer_count_seconds(wf_trainer *t)
{
    double at = wf_clock();
    t->seconds += at - t->counted_at;
    t->counted_at = at;
}

double wf_run_fraction(const wf_trainer *t)
{
    const wf_train_options *o = t->options;
    double by_steps = o->steps ? (double)t->step / (double)o->steps : 0;
    double by_time = o->minutes > 0 ? t->seconds / (60 * o->minutes) : 0;
    return fmin(1, fmax(by_steps, by_time));
}

double wf_learning_rate(const wf_trainer *t)
{
    const wf_train_options *o = t->options;
    double part = wf_run_fraction(t), rise, fall = 1;
    if (o->warmup >= 0)
        rise = o->warmup ? (double)(t->step + 1) / (double)o->warmup : 1;
    else
        rise = fmax((double)(t->step + 1) / 125000, part / 0.05);
    if (o->decay > 0 && part > 1 - o->decay)
        fall = (1 - part) / o->decay;
    return o->lr * fmin(1, rise) * fall;
}

/* Computes a step on the batch that is on the device: densities, gradients, update. Captured, unless gradients leave
 * the device to be summed over ranks. */
static int compute_step(void *trainer)
{
    wf_trainer *t = trainer;
    double pixels = wf_minibatch_counted(&t->batches);
    /* a loss in bits per coefficient gives the rate the same meaning at every level and patch size */
    double scale = -1 / (t->options->batch * pixels * t->runner.K * log(2));
    WF_TRY(wf_level_runner_compute(&t->runner));
    WF_TRY(wf_level_runner_guard(&t->runner, t->optimizer.bad));
    if (!t->parallel.ranks) {
        WF_TRY(wf_level_runner_backward(&t->runner, scale, wf_optimizer_sink, &t->optimizer));
        return wf_optimizer_finish(&t->optimizer);
    }
    WF_TRY(wf_parallel_begin(t));
    WF_TRY(wf_level_runner_backward(&t->runner, scale, wf_parallel_sink, t));
    WF_TRY(wf_parallel_finish(t));
    return wf_optimizer_finish(&t->optimizer);
}

/* Drops the results of one step. */
static void drop_step(wf_trainer *t, struct wf_enqueued *step)
{
    wf_level_runner_drop(&t->runner, &step->densities);
    if (step->bad)
        (void)t->backend->readback_end(t->backend, step->bad, NULL);
}

static int load_batch(wf_trainer *t)
{
    const wf_minibatch *b = &t->batches;
    WF_TRY(wf_minibatch_load(&t->batches, t->step));
    WF_TRY(wf_level_runner_load(&t->runner, b->N, b->low, b->detail, t->slots));
    return t->weight ? t->backend->upload(t->backend, t->weight, b->weight, WF_F32, wf_count3(b->N, b->H, b->W))
                     : WF_OK;
}

int wf_step_begin(wf_trainer *t)
{
    struct wf_enqueued *step = &t->enqueued[t->enqueued_count];
    t->runner.noise = (wf_random){t->options->seed, WF_PURPOSE_NOISE, (uint64_t)t->step};
    wf_optimizer_begin(&t->optimizer, t->step, wf_learning_rate(t));
    WF_TRY(load_batch(t));
    WF_TRY(t->parallel.ranks ? compute_step(t) : wf_capture_run(t->backend, &t->capture, compute_step, t));
    *step = (struct wf_enqueued){.step = t->step};
    int status = wf_level_runner_readback_begin(&t->runner, &step->densities);
    if (!status)
        status = t->backend->readback_begin(t->backend, t->optimizer.bad, 1, &step->bad);
    if (status)
        drop_step(t, step);
    else
        t->enqueued_count++;
    return status;
}

/* Waits for the oldest step. *bad: its loss or a gradient was not finite. */
static int wait_step(wf_trainer *t, bool *bad)
{
    wf_level_shape s = wf_meta_level(t->meta, t->options->level);
    double density[WF_MAX_BATCH], mean = 0, flag = 0;
    struct wf_enqueued first = t->enqueued[0];
    t->enqueued_count--;
    memmove(t->enqueued, t->enqueued + 1, (size_t)t->enqueued_count * sizeof *t->enqueued);
    int status = wf_level_runner_readback_end(&t->runner, &first.densities, density);
    int later = t->backend->readback_end(t->backend, first.bad, &flag);
    WF_TRY(status ? status : later);
    if (t->parallel.ranks)
        WF_TRY(wf_parallel_results(t, density, &flag));
    for (int n = 0; n < t->options->batch; n++)
        mean += density[n] / t->options->batch;
    *bad = flag != 0 || !isfinite(mean);
    if (*bad) {
        t->step = first.step;
        return WF_OK;
    }
    t->sum += wf_bits_per_dim(t->meta, t->options->level, /* a patch stands for the whole level */
                              mean * s.H * s.W / wf_minibatch_counted(&t->batches));
    t->sum_count++;
    return WF_OK;
}

void wf_steps_drop(wf_trainer *t)
{
    while (t->enqueued_count)
        drop_step(t, &t->enqueued[--t->enqueued_count]);
}

int wf_steps_wait(wf_trainer *t, int ahead, bool *bad)
{
    *bad = false;
    while (t->enqueued_count > ahead && !*bad)
        WF_TRY(wait_step(t, bad));
    if (*bad)
        wf_steps_drop(t);
    return WF_OK;
}
