/* wf-train-level.c - trains one level of a model */
#include <string.h>
#include <unistd.h>

#include "../lib/base/file.h"
#include "progress.h"
#include "words.h"

static int levels[2] = {-1, -1}; /* first and last */
static const char *model_path, *store_path, *validation_path;
static wf_train_options options;
static int precision, memory;
static char backend_name[16];
static progress state;

static const cli_option table[] = {
    {'l', "level", "L|L-M", CLI_RANGE, levels, 0, WF_MAX_LEVELS,
     "Level to train, 0 is the base; or several, side by side in this process."},
    {'m', "model", "DIR", CLI_STRING, &model_path, 0, 0, "Model folder, made if absent."},
    {'s', "store", "STORE", CLI_STRING, &store_path, 0, 0, "Coefficients to train on (default: a stream on stdin)."},
    {0, "val", "STORE", CLI_STRING, &validation_path, 0, 0,
     "Held-out store: selects the best checkpoint, stops early, and is `val` in the log."},
    {'f', "flow", "CHAIN|@FILE|best|help", CLI_STRING, &options.chain, 0, 0,
     "Chain of bijectors, or the file that holds it, with comments after #. best: the chain that learnt fastest in our "
     "comparisons. help prints the words. Default: official, the published chain."},
    {0, "dequantize", "CHAIN|@FILE", CLI_STRING, &options.dequantize, 0, 0,
     "Also learn the noise that is added to pixels, by this chain of bijectors; whole pictures only (wf-dwt --levels "
     "0)."},
    {0, "steps", "N", CLI_COUNT, &options.steps, 0, 1e12, "Stop after N steps, 0: no limit (default 5000000)."},
    {0, "minutes", "M", CLI_DOUBLE, &options.minutes, 0, 1e9, "Stop after M minutes of training, all runs together."},
    {0, "batch", "B", CLI_INT, &options.batch, 1, 1024, "Pictures per step (default 64)."},
    {0, "lr", "X", CLI_DOUBLE, &options.lr, 1e-12, 10, "Adamax learning rate (default 1e-3)."},
    {0, "warmup", "N", CLI_COUNT, &options.warmup, 0, 1e12,
     "Steps of linear warm-up (default 125000, but at most a twentieth of the run)."},
    {0, "decay", "X", CLI_DOUBLE, &options.decay, 0, 1,
     "Share of the run, at its end, in which the rate falls linearly to 0 (default 0: constant)."},
    {0, "ema", "X", CLI_DOUBLE, &options.ema, 0, 1,
     "Decay of the weights' moving average, less in the first steps (default 1-1/782)."},
    {0, "patch", "P", CLI_INT, &options.patch, 0, WF_MAX_SIDE,
     "Train on random P x P crops of the level, 0: whole pictures (default: as published, or 0 with your own chain)."},
    {0, "margin", "N", CLI_INT, &options.margin, 0, WF_MAX_SIDE,
     "Margin of a crop: the networks see its outer N pixels, but the loss leaves them out, so the pixels that count "
     "see their real neighbours. At the picture's border there is no margin (default P/8)."},
    {0, "flip", NULL, CLI_FLAG, &options.flip, 0, 0, "Mirror half of the pictures; Haar only."},
    {0, "precision", "fp32|bf16|tf32", CLI_CHOICE, &precision, 0, 0,
     "Precision of the coupling networks (default fp32)."},
    {0, "memory", "auto|store|reversible", CLI_CHOICE, &memory, 0, 0,
     "Keep activations, or rebuild them from the output to save memory (default auto)."},
    {0, "checkpoint-every", "N", CLI_COUNT, &options.checkpoint_every, 0, 1e12,
     "Steps between checkpoints (default: two minutes)."},
    {0, "validate-every", "N", CLI_COUNT, &options.validate_every, 0, 1e12,
     "Steps between validations (default: a twentieth of the run; with --minutes fewer validations, if they would take "
     "over a quarter of the time)."},
    {0, "validate-on", "N", CLI_COUNT, &options.validate_on, 1, 1e12,
     "Pictures per validation, at most (default 1000)."},
    {0, "patience", "N", CLI_INT, &options.patience, 0, 1e6,
     "Stop after N validations without a better one, 0: never (default 20)."},
    CLI_THREADS,
    CLI_SEED,
    CLI_BACKEND_AUTO,
    {0}};

static const cli_program program = {
    .name = "wf-train-level",
    .summary = "train one level of a Wavelet Flow model",
    .synopsis = "-l L -m MODEL [-s STORE] [--val STORE] [OPTION ...]",
    .description =
        "Trains the normalizing flow of one level on wavelet coefficients, from a store (wf-dwt -o) or a stream on "
        "stdin, into level-NN files of the model folder. Levels are independent: train all of them at once on "
        "different machines. A stream is first copied to the model folder.\n\n"
        "Small levels leave a GPU mostly idle: -l 0-4 trains five levels at once on one device. Each gets the result "
        "that it would get alone, and its share of --threads. A level that fails does not stop the others.\n\n"
        "Resuming is automatic. The same command continues where the last one stopped, bit for bit, with the same "
        "program, backend and number of threads; runs limited by --minutes depend on the clock. A finished level "
        "exits 0 at once. A level that another process trains exits 75. SIGINT and SIGTERM save and exit 75.\n\n"
        "A batch whose loss or gradient is not finite is logged; training returns to the last checkpoint and leaves "
        "that batch out. After 64 such batches it exits 70.\n\n"
        "A validation also sends held-out coefficients through the flow and back. Their error, in standard "
        "deviations, is round_trip in the log and in wf-info; the log also has the condition of the flow's matrices. "
        "A level whose error is over 0.01 cannot be sampled from.\n\n"
        "With --dequantize a second flow draws the noise for each picture, u = sigmoid(flow(e; x)). Both flows are "
        "trained to raise log p(x + u) - log q(u | x) (Flow++, arXiv 1902.00275). This is exact where the level is "
        "the whole picture. It would not be in a pyramid: a pixel's noise is in all levels, which train alone. A "
        "step takes two to three times as long, and learnt noise starts 0.0137 bits/dim behind uniform noise.\n\n"
        "wf-chain(7) has the words of chains, their options and the presets; --flow help prints the words.\n\n"
        "The rate has a linear warm-up, a constant part and, with --decay, a linear fall. At levels of a single "
        "pixel, 3x3 kernels are stored as their centre tap, the only one that acts. --precision tf32 differs from "
        "fp32 on a GPU only; bf16 applies to feature maps larger than 2x2.",
    .examples =
        "wf-dwt < pictures.tar | wf-train-level -l 5 -m model\n"
        "    train level 5 straight from pictures\n"
        "parallel wf-train-level -l {} -m model -s train.wf --val val.wf --minutes 60 --threads 1 ::: 5 4 3 2 1 0\n"
        "    all levels of a model side by side\n"
        "wf-train-level -l 0-4 -m model -s train.wf --val val.wf --backend cuda\n"
        "    the small levels together on one GPU\n"
        "wf-train-level -l 3 -m model -s train.wf -f '8*(actnorm, conv1x1:lu, affine:width=64), actnorm'\n"
        "    a chain of your own\n"
        "wf-train-level -l 0 -m glow -s whole.wf -f @glow.chain --dequantize "
        "'4*(affine:mask=checker:width=32:blocks=1, affine:mask=checker:swap=1:width=32:blocks=1)'\n"
        "    with noise that is learnt",
    .options = table};

static bool several(void)
{
    return levels[1] > levels[0];
}

static void remove_store(const char *path)
{
    static const char *const files[] = {"data.mdb", "lock.mdb"};
    char file[WF_PATH + 16];
    for (int i = 0; i < 2; i++) {
        snprintf(file, sizeof file, "%s/%s", path, files[i]);
        unlink(file);
    }
    rmdir(path);
}

/* Copies the records of the chosen levels from stdin into a store at `path`. */
static void spool(const char *path)
{
    wf_reader *reader;
    wf_store_writer *store;
    wf_record record;
    int64_t there;
    bool more = true;
    must(wf_reader_create(stdin, "stdin", &reader));
    wf_meta meta;
    must(wf_meta_copy(&meta, wf_reader_meta(reader)));
    meta.top = levels[1];
    if (levels[1] > wf_reader_meta(reader)->top)
        die(WF_DATA, "stdin: carries levels up to %d, not %d", wf_reader_meta(reader)->top, levels[1]);
    remove_store(path); /* left by an interrupted run */
    must(wf_store_writer_create(path, &meta, false, &store, &there));
    while (more) {
        must(wf_reader_next(reader, &record, &more));
        if (more && record.level >= levels[0] && record.level <= levels[1])
            must(wf_store_writer_put(store, &record));
    }
    must(wf_store_writer_seal(store));
    wf_store_writer_close(store);
    wf_reader_destroy(reader);
    wf_meta_clear(&meta);
}

/* Refuses a second stream that differs from the one the levels started with. */
static void expect_same(const char *path, const char *again)
{
    wf_store *a, *b;
    must(wf_store_open(path, &a));
    must(wf_store_open(again, &b));
    bool same = !strcmp(wf_store_hash(a), wf_store_hash(b));
    wf_store_close(a);
    wf_store_close(b);
    remove_store(again);
    if (!same)
        die(WF_DATA, "stdin: not the pictures that %s was spooled from; use another model folder", path);
}

/* A stream is read once, but trained on for many epochs: its levels are spooled into a store beside their files, which
 * stays until they are finished. Resuming, the stream may be given again or not. */
static void take_stream(const char *spooled)
{
    char part[WF_PATH], lock_path[WF_PATH];
    int lock;
    if (snprintf(part, WF_PATH, "%s.part", spooled) >= WF_PATH ||
        snprintf(lock_path, WF_PATH, "%s.lock", spooled) >= WF_PATH)
        die(WF_USAGE, "%s: path too long", model_path);
    if (!cli_stdin_has_data()) {
        if (access(spooled, F_OK))
            die(WF_USAGE, "no --store, and nothing on stdin: try wf-dwt < pictures | wf-train-level ...");
        return;
    }
    must(wf_mkdirs(model_path));
    must(wf_lock(lock_path, "trainer that reads a stream", &lock));
    bool there = access(spooled, F_OK) == 0;
    spool(part);
    if (there)
        expect_same(spooled, part);
    else if (rename(part, spooled))
        must(wf_fail_errno("%s", spooled));
    wf_unlock(lock);
}

/* Opens the backend before a long stream is spooled, and chooses what all levels open. */
static void choose_backend(void)
{
    wf_backend *backend = start_backend();
    start_device(backend, state.device);
    snprintf(backend_name, sizeof backend_name, "%s", backend->name);
    state.precision = start_precision(backend, (wf_precision)precision);
    backend->close(backend);
}

static void name_spool(char spooled[WF_PATH])
{
    int length = several() ? snprintf(spooled, WF_PATH, "%s/levels-%02d-%02d.spool", model_path, levels[0], levels[1])
                           : snprintf(spooled, WF_PATH, "%s/level-%02d.spool", model_path, levels[0]);
    if (length >= WF_PATH)
        die(WF_USAGE, "%s: path too long", model_path);
}

/* Returns the text given, or for @FILE the text of the file, read into `room`. */
static const char *chain_of(const char *given, char room[4096])
{
    if (!given || given[0] != '@')
        return given;
    must(wf_flow_text_read(given + 1, room, 4096));
    return room;
}

int main(int argc, char **argv)
{
    char spooled[WF_PATH];
    static char chain[4096], dequantize[4096];
    options = wf_train_defaults;
    int operand = cli_parse(&program, argc, argv);
    if (options.chain && !strcmp(options.chain, "help")) {
        words_print();
        finish_stdout();
        return WF_OK;
    }
    cli_stdin_operand(operand, "name the store with -s");
    if (cli_is_dash(store_path))
        store_path = NULL;
    if (levels[0] < 0 || !model_path)
        die(WF_USAGE, "-l LEVEL and -m MODEL are needed");
    options.chain = chain_of(options.chain, chain);
    options.dequantize = chain_of(options.dequantize, dequantize);
    wf_store *store, *validation = NULL;
    wf_model model;
    choose_backend();
    name_spool(spooled);
    if (!store_path)
        take_stream(spooled);
    must(wf_store_open(store_path ? store_path : spooled, &store));
    if (validation_path)
        must(wf_store_open(validation_path, &validation));
    must(wf_model_create(model_path, wf_store_meta(store), &model));

    wf_meta provenance;
    must(wf_meta_copy(&provenance, wf_store_meta(store)));
    cli_add_provenance(&provenance, NULL);
    options.level = levels[0];
    options.precision = (wf_precision)precision;
    options.memory = (wf_memory)memory;
    options.seed = common.seed;
    options.provenance = provenance.provenance;

    state.first = levels[0];
    state.last = levels[1];
    state.options = &options;
    state.model_path = model_path;
    state.interrupted = cli_catch_interrupts(); /* the current step is completed first */
    start_pictures(wf_store_count(store), wf_store_meta(store), state.pictures);
    progress_clear(&state);
    must(wf_train_levels(&model, backend_name, common.threads, store, validation, &options, levels[1] - levels[0] + 1,
                         progress_report, &state));
    progress_note_ends(&state);

    wf_meta_clear(&provenance);
    wf_model_clear(&model);
    wf_store_close(store);
    if (!store_path)
        remove_store(spooled);
    if (validation)
        wf_store_close(validation);
    return 0;
}
