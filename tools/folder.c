/* folder.c - hands the job of wf-train to pipelines/folder.mk, step by step */
#include "folder.h"

#include <fcntl.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/base/file.h"
#include "../lib/model/level.h"
#include "../lib/model/presets.h"
#include "../lib/store/store.h"
#include "pipeline.h"

enum { PATH_SIZE = 4096 };

int folder_per_cent(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    bool is = digits && !strcmp(text + digits, "%");
    if (is && (digits > 2 || atoi(text) < 1 || atoi(text) > 50))
        die(WF_USAGE, "--val: found '%s', expected 1%% to 50%%, none, a store or pictures", text);
    return is ? atoi(text) : 0;
}

bool folder_is_store(const char *path)
{
    wf_store *store;
    bool is = !wf_store_open(path, &store);
    if (is)
        wf_store_close(store);
    return is;
}

/* Refuses a store of other pictures to measure with: all levels would. */
static void expect_alike(const char *path, const wf_store *store)
{
    wf_store *val;
    must(wf_store_open(path, &val));
    must(wf_meta_expect(wf_store_meta(val), path, wf_store_meta(store), "the pictures to train on"));
    wf_store_close(val);
}

/* The pictures to measure with were read by an earlier command. */
static bool has_val_store(const train_job *job)
{
    char path[PATH_SIZE];
    return snprintf(path, sizeof path, "%s/val.store", job->folder) < PATH_SIZE && folder_is_store(path);
}

/* Writes the VAL of folder.mk, and says what is held out. Names go by the environment and by a file. */
static void choose_val(const train_job *job, const wf_store *store, char out[16])
{
    char *val = (char *)(uintptr_t)job_value(job, "val");
    int percent = folder_per_cent(val);
    int64_t n = wf_store_count(store), held = 0;
    wf_store *part;
    if (percent && n * percent >= 100) { /* as wf-train-level has it */
        must(wf_store_open_part(store, percent, WF_PART_HELD_OUT, &part));
        held = wf_store_count(part);
        wf_store_close(part);
    }
    if (held)
        note("%lld of %lld pictures held out, to measure what training on the others gives", (long long)held,
             (long long)n);
    else if (percent || !strcmp(val, "none"))
        note("no picture is held out, of %lld: bits/dim will be of pictures that were trained on", (long long)n);
    const char *kind = held ? val : percent || !strcmp(val, "none") ? "none" : "pictures";
    if (*kind == 'p' && access(val, R_OK) && !has_val_store(job))
        must(wf_fail_errno("--val %s", val));
    if (*kind == 'p' && folder_is_store(val)) {
        expect_alike(val, store);
        setenv("WF_VAL", val, 1);
        kind = "store";
    } else if (*kind == 'p')
        job_write(job->folder, "held-out", &val, 1);
    snprintf(out, 16, "VAL=%s", kind);
}

/* Refuses a chain that does not suit a level: all levels would. */
static void check_chain(const char *chain, const wf_meta *meta)
{
    char preset[WF_PRESET_CHAIN];
    wf_backend *backend;
    wf_flow *flow;
    if (!*chain || wf_preset_chain(chain, meta, 0, preset))
        return;
    must(wf_backend_open("cpu", 1, &backend));
    for (int level = 0; level <= meta->levels; level++) {
        wf_level_spec spec = wf_level_spec_for(meta, level, chain, NULL, WF_FP32);
        must(wf_level_flow(&spec, backend, 1, 0, 0, WF_MEMORY_NONE, &flow));
        wf_flow_destroy(flow);
    }
    backend->close(backend);
}

/* Names are whole in the environment, where make does not take them apart. */
static void set_environment(const char *name, const char *value)
{
    if (*value ? setenv(name, value, 1) : unsetenv(name))
        die(WF_AGAIN, "out of memory for %s", name);
}

/* The model to begin with; "" if it is gone and each level has a state, because a resumed training does not read it. */
static const char *choose_init(const train_job *job, const wf_meta *meta)
{
    const char *init = job_value(job, "init");
    char path[PATH_SIZE];
    wf_model model;
    if (!*init)
        return init;
    if (!wf_model_open(init, &model)) {
        wf_model_clear(&model);
        return init;
    }
    for (int level = 0; level <= meta->levels; level++)
        if (snprintf(path, sizeof path, "%s/model/level-%02d.state.safetensors", job->folder, level) >= PATH_SIZE ||
            access(path, F_OK))
            die(WF_NOINPUT, "--init %s: cannot be opened, and level %d has not begun: put the model back", init, level);
    return "";
}

static void print_end(const train_job *job)
{
    printf("open %s/report.html\nmore pictures of the same kind, or more training:\n    wf-sample -m", job->folder);
    cli_print_quoted(job->folder);
    fputs(" -n 16 | wf-idwt --grid grid.png\n    wf-train -o", stdout);
    cli_print_quoted(job->folder);
    printf(" --minutes %g\n", 4 * atof(job_value(job, "minutes")));
}

/* Makes the store, and opens it. */
static wf_store *make_store(const train_job *job, const char *const *variables)
{
    char path[PATH_SIZE];
    wf_store *store;
    pipeline_run("folder", job->folder, "store", variables);
    if (snprintf(path, sizeof path, "%s/train.store", job->folder) >= PATH_SIZE)
        die(WF_USAGE, "-o %s: path too long", job->folder);
    must(wf_store_open(path, &store));
    return store;
}

void folder_train(const train_job *job)
{
    char path[PATH_SIZE], minutes[64], jobs[32], seed[64], dwt[320], val[16] = "VAL=none";
    const char *flags = strcmp(job_value(job, "flip"), "yes") != 0 ? "FLAGS=" : "FLAGS=--flip";
    const char *variables[] = {"SAY=:",
                               common.quiet ? "NOTES=-q" : "NOTES=",
                               minutes,
                               jobs,
                               seed,
                               dwt,
                               flags,
                               val,
                               job->begun ? "-otrain.store" : NULL,
                               job->begun ? "-oval.store" : NULL,
                               NULL};
    int lock;
    if (snprintf(path, sizeof path, "%s/lock", job->folder) >= PATH_SIZE)
        die(WF_USAGE, "-o %s: path too long", job->folder);
    must(wf_mkdirs(job->folder));
    must(wf_lock(path, "wf-train", &lock));
    fcntl(lock, F_SETFD, 0); /* processes that outlive this one hold it too */
    job_save(job);
    snprintf(minutes, sizeof minutes, "MINUTES=%s", job_value(job, "minutes"));
    snprintf(jobs, sizeof jobs, "JOBS=%d", common.threads ? common.threads : omp_get_max_threads());
    snprintf(seed, sizeof seed, "SEED=%s", job_value(job, "seed"));
    snprintf(dwt, sizeof dwt, "DWT=%s --skip-bad %s", job_value(job, "dwt"), job_value(job, "skip-bad"));
    set_environment("FLOW", job_value(job, "flow"));
    set_environment("WF_QUIET", common.quiet ? "1" : "");
    wf_store *store = make_store(job, variables);
    check_chain(job_value(job, "flow"), wf_store_meta(store));
    choose_val(job, store, val);
    set_environment("WF_INIT", choose_init(job, wf_store_meta(store)));
    wf_store_close(store);
    pipeline_run("folder", job->folder, "all", variables);
    print_end(job);
    wf_unlock(lock);
}
