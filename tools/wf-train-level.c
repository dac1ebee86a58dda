/* wf-train-level.c - trains one level of a model */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/base/file.h"
#include "../lib/model/field_unit.h"
#include "../lib/train/optimizer.h"
#include "cli_io.h"
#include "given.h"
#include "ranks.h"
#include "spool.h"
#include "training.h"
#include "words.h"

static int levels[2] = {-1, -1}; /* first and last */
static const char *model_path, *store_path, *init_path, *given_path;
static const char *held_out; /* a store, per cents or none; NULL: the default */
static wf_train_options options;
static int precision, memory, ranks_choice;
static char backend_name[16];
static training state;

static const cli_option table[] = {
    {'l', "level", "L|L-M", CLI_RANGE, levels, 0, WF_MAX_LEVELS,
     "Level to train, 0 is the base; or several, side by side in this process (default: all levels of the store)."},
    {'m', "model", "DIR", CLI_STRING, &model_path, 0, 0, "Model folder, made if absent."},
    {'s', "store", "STORE", CLI_STRING, &store_path, 0, 0,
     "Coefficients to train on: a store, a file with a stream, or -, a stream on stdin, the default."},
    {0, "val", "P%|none|STORE", CLI_STRING, &held_out, 0, 0,
     "Held-out pictures: they select the best checkpoint, stop early, and are `val` in the log. P%, 1 to 50: that part "
     "of the store, which is then not trained on; or another store (default 5%)."},
    {0, "given", "FILE.npy", CLI_STRING, &given_path, 0, 0,
     "Learn densities that depend on a label or numbers of each picture: an array of whole numbers from 0 on, or of "
     "floats [pictures] or [pictures,numbers], in the order of the store. Give all levels the same."},
    {0, "init", "MODEL", CLI_STRING, &init_path, 0, 0,
     "Begin with the averaged weights of this model's level, in place of random ones; without --flow also with its "
     "chain. May be an exported or installed model."},
    {0, "init-level", "L", CLI_INT, &options.init_level, 0, WF_MAX_LEVELS,
     "Begin with the weights of level L of --init, whose training has ended (default: the level to train)."},
    {'f', "flow", "CHAIN|@FILE|best|exact|help", CLI_STRING, &options.chain, 0, 0,
     "Chain of bijectors, or the file that holds it, with comments after #. official: the published chain. best: fewer "
     "bits/dim in the same time. exact: probabilities of whole numbers, as wf-pack needs them. help prints the words. "
     "By default minutes, cores and the level choose the chain."},
    {0, "dequantize", "CHAIN|@FILE", CLI_STRING, &options.dequantize, 0, 0,
     "Also learn the noise that is added to pixels, by this chain of bijectors; whole pictures only (wf-dwt --levels "
     "0)."},
    {0, "steps", "N", CLI_COUNT, &options.steps, 0, 1e12, "Stop after N steps, 0: no limit (default 5000000)."},
    {0, "minutes", "M", CLI_DOUBLE, &options.minutes, 0, 1e9, "Stop after M minutes of training, all runs together."},
    {0, "batch", "B", CLI_INT, &options.batch, 1, 1024,
     "Pictures per step (default 64, but chosen along with the chain by default)."},
    {0, "lr", "X", CLI_DOUBLE, &options.lr, 1e-12, 10, "Learning rate (default 1e-3, or chosen)."},
    {0, "optimizer", "NAME|help", CLI_STRING, &options.optimizer, 0, 0,
     "Rule of a step: adamax, as published, or muon, which learns more in a step; help prints them (default adamax, or "
     "chosen)."},
    {0, "warmup", "N", CLI_COUNT, &options.warmup, 0, 1e12,
     "Steps of linear warm-up (default 125000, but at most a twentieth of the run)."},
    {0, "decay", "X", CLI_DOUBLE, &options.decay, 0, 1,
     "Share of the run, at its end, in which the rate falls linearly to 0 (default 0: constant, or chosen)."},
    {0, "ema", "X", CLI_DOUBLE, &options.ema, 0, 1,
     "Decay of the weights' moving average, less in the first steps (default 1-1/782, or chosen)."},
    {0, "patch", "P", CLI_INT, &options.patch, 0, WF_MAX_SIDE,
     "Train on random P x P crops of the level, 0: whole pictures (default: as published, or 0 with your own chain)."},
    {0, "margin", "N", CLI_INT, &options.margin, 0, WF_MAX_SIDE,
     "Margin of a crop: the networks see its outer N pixels, but the loss leaves them out, so the pixels that count "
     "see their real neighbours. At the picture's border there is no margin (default P/8)."},
    {0, "flip", NULL, CLI_FLAG, &options.flip, 0, 0, "Mirror half of the pictures; Haar only."},
    {0, "precision", "auto|fp32|bf16|tf32", CLI_CHOICE, &precision, 0, 0,
     "Precision of the coupling networks (default auto, see above)."},
    {0, "memory", "auto|store|reversible|lean", CLI_CHOICE, &memory, 0, 0,
     "Keep activations (store), or rebuild them from the output to save memory; lean keeps about half and computes the "
     "rest again, for the bits of store (default auto)."},
    {0, "checkpoint-every", "N", CLI_COUNT, &options.checkpoint_every, 0, 1e12,
     "Steps between checkpoints (default: two minutes)."},
    {0, "validate-every", "N", CLI_COUNT, &options.validate_every, 0, 1e12,
     "Steps between validations (default: a twentieth of the run, and ten epochs where these are less; with --minutes "
     "fewer validations, if they would take over a quarter of the time)."},
    {0, "validate-on", "N", CLI_COUNT, &options.validate_on, 1, 1e12,
     "Pictures per validation, at most (default 1000)."},
    {0, "patience", "N", CLI_INT, &options.patience, 0, 1e6,
     "Stop after N validations without a better one, 0: never; ten epochs do not count (default 20)."},
    CLI_RANKS(&ranks_choice),
    CLI_THREADS,
    CLI_SEED,
    CLI_BACKEND_AUTO,
    {0}};

static const cli_program program = {
    .name = "wf-train-level",
    .summary = "train one level of a Wavelet Flow model",
    .synopsis = "[-l L] -m MODEL [-s STORE] [OPTION ...] [FILE|STORE]",
    .description =
        "Trains the normalizing flow of one level on wavelet coefficients, from a store (wf-dwt -o) or a stream, "
        "into level-NN files of the model folder. Levels are independent: train all of them at once on "
        "different machines. A stream is first copied to the model folder.\n\n"
        "One picture in twenty is held out, by its index alone: the same ones at every level, after an interruption, "
        "and when pictures are appended to the store. wf-bpd --split val evaluates them. A store of fewer than 20 "
        "pictures is trained on as a whole.\n\n"
        "Without --flow, minutes, cores and the level choose chain, optimizer, batch, rate, averages and patches: the "
        "largest nets that make enough steps by an estimate; no --minutes counts as an hour. When a training is "
        "resumed they stay as they were.\n\n"
        "--init begins a training in a folder of its own with a fresh optimizer. Chain, wavelet and channels must be "
        "those of MODEL; sizes may differ. MODEL's weights are validated first, and only better ones take their "
        "place; of 2 to 19 pictures one is held out at least.\n\n"
        "--init-level begins with another level of MODEL, which may be the model to train: details of photographs are "
        "alike at all sizes, so the level below is a better start than random weights. It brings most to short "
        "trainings. The base fits no other level, nor does a level of a single pixel.\n\n"
        "Small levels leave a GPU mostly idle: -l 0-4 trains five levels at once on one device. Each gets the result "
        "that it would get alone, and its share of --threads. A level that fails does not stop the others.\n\n"
        "One level in several processes, also on several machines, over MPI: mpirun -n 4 wf-train-level -l 6 .. Each "
        "rank computes its part of every batch; rank 0 writes the files, and a stream is read by rank 0. Another "
        "number of ranks may resume: weights then differ by rounding alone.\n\n"
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
        "fp32 on a GPU only; bf16 applies to feature maps larger than 2x2.\n\n"
        "--precision auto trains in bf16 on processors where a short measurement finds it half as fast again, with "
        "couplings whose bits/dim were then within 0.002 of fp32; else in fp32, as on a GPU. A resumed training keeps "
        "its precision. Other programs compute such a level in fp32: bf16 inverts too coarsely. wf-info tells it.",
    .examples =
        "wf-dwt < pictures.tar | wf-train-level -l 5 -m model\n"
        "    train level 5 straight from pictures\n"
        "parallel wf-train-level -l {} -m model -s train.wf --val val.wf --minutes 60 --threads 1 ::: 5 4 3 2 1 0\n"
        "    all levels of a model side by side\n"
        "wf-train-level -m model -s train.wf --minutes 10\n"
        "    all levels in one process, one picture in twenty held out\n"
        "wf-train-level -m mine -s mine.wf --init leaves --minutes 2\n"
        "    from the weights of the model that comes with the programs\n"
        "wf-train-level -l 5 -m model -s train.wf --init model --init-level 4 --minutes 10\n"
        "    level 5 from the weights of level 4, once this is finished\n"
        "wf-train-level -l 0-4 -m model -s train.wf --val val.wf --backend cuda\n"
        "    the small levels together on one GPU\n"
        "mpirun -n 2 wf-train-level -l 6 -m model -s train.wf --threads 1\n"
        "    one level in two processes\n"
        "wf-train-level -l 3 -m model -s train.wf -f '8*(actnorm, conv1x1:lu, affine:width=64), actnorm'\n"
        "    a chain of your own\n"
        "wf-train-level -l 0 -m glow -s whole.wf -f @glow.chain --dequantize "
        "'4*(affine:mask=checker:width=32:blocks=1, affine:mask=checker:swap=1:width=32:blocks=1)'\n"
        "    with noise that is learnt",
    .options = table,
    .fields = true};

/* Opens the backend before a long stream is spooled, and chooses what all levels open. */
static void choose_backend(void)
{
    wf_backend *backend = start_backend();
    snprintf(backend_name, sizeof backend_name, "%s", backend->name);
    options.precision_auto = precision == 0;
    options.precision = precision ? (wf_precision)(precision - 1) : WF_FP32;
    training_device(&state, backend, options.precision_auto);
    backend->close(backend);
}

/* Returns the text given, or for @FILE the text of the file, read into `room`. */
static const char *chain_of(const char *given, char room[4096])
{
    if (!given || given[0] != '@')
        return given;
    must(wf_flow_text_read(given + 1, room, 4096));
    return room;
}

/* Takes --val apart: sets the per cents, or returns the path of a store. */
static const char *take_held_out(void)
{
    char *end;
    if (!held_out)
        return NULL;
    long percent = strtol(held_out, &end, 10);
    bool number = end > held_out && !strcmp(end, "%");
    options.held_out = !strcmp(held_out, "none") ? 0 : number ? (int)percent : -1;
    if (number && (percent < 1 || percent > 50))
        die(WF_USAGE, "--val %s: expected 1%% to 50%%, none or a store", held_out);
    return options.held_out < 0 ? held_out : NULL;
}

/* All levels that the store has, unless --level names some. */
static void choose_levels(const wf_store *store)
{
    if (levels[0] >= 0)
        return;
    levels[0] = 0;
    levels[1] = wf_store_meta(store)->top;
    while (levels[0] < levels[1] && !wf_store_has_level(store, levels[0]))
        levels[0]++;
}

/* Dies before a folder is made if the model of --init lacks a level that is trained. */
static void check_init(const wf_meta *pictures, const wf_model *init)
{
    const wf_meta *m = &init->meta;
    if (options.init_level > m->levels)
        die(WF_USAGE, "--init-level %d: %s has levels 0 to %d", options.init_level, init_path, m->levels);
    if (options.init_level >= 0 && levels[0] != levels[1])
        die(WF_USAGE, "--init-level %d: for one level at a time: -l L", options.init_level);
    char ours[WF_SIZE_TEXT], theirs[WF_SIZE_TEXT];
    if (options.init_level < 0 && levels[1] > m->levels)
        die(WF_USAGE, "--init %s: %ss of %s, and those to train on are of %s; wf-dwt --like %s makes them of its size",
            init_path, wf_signal_names[m->signal], wf_size_text(m->signal, m->D, m->H, m->W, theirs),
            wf_size_text(pictures->signal, pictures->D, pictures->H, pictures->W, ours), init_path);
}

/* Adds this command to the provenance of the pictures, with the hash of the weights that it begins with. */
static void add_provenance(wf_meta *provenance, const wf_store *store, const wf_model *init)
{
    char hash[20];
    must(wf_meta_copy(provenance, wf_store_meta(store)));
    const int one = options.init_level;
    if (init->path)
        must(wf_model_hash(init, one < 0 ? levels[0] : one, one < 0 ? levels[1] : one, hash));
    cli_add_provenance(provenance, init->path ? hash : NULL);
}

int main(int argc, char **argv)
{
    char spooled[WF_PATH], place[WF_PATH];
    static char chain[4096], dequantize[4096];
    options = wf_train_defaults;
    int operand = cli_parse(&program, argc, argv);
    if (words_help(options.chain, options.optimizer))
        return WF_OK;
    must(wf_optimizer_check(options.optimizer));
    if (operand < argc && !store_path && !cli_is_dash(argv[operand]))
        store_path = argv[operand++];
    else if (operand < argc && !store_path)
        operand++;
    if (operand < argc)
        die(WF_USAGE, "%s: one stream or store at a time; wf-view joins several", argv[operand]);
    if (cli_is_dash(store_path))
        store_path = NULL;
    bool streams = !store_path || !cli_is_store(store_path);
    if (!model_path || !*model_path)
        die(WF_USAGE, "-m MODEL is needed");
    options.ranks = ranks_begin(ranks_choice);
    bool leads = ranks_lead();
    found_expect_model_folder(model_path);
    must(wf_model_place(model_path, place));
    model_path = place;
    const char *validation_path = take_held_out();
    options.chain = chain_of(options.chain, chain);
    options.dequantize = chain_of(options.dequantize, dequantize);
    options.given = given_read(given_path);
    wf_store *store, *validation = NULL;
    wf_model model, init = {0};
    wf_meta shape; /* with the unit of fields */
    if (init_path)
        found_open_model(init_path, &init);
    else if (options.init_level >= 0)
        die(WF_USAGE, "--init-level %d: of which model? Give --init MODEL", options.init_level);
    choose_backend();
    if (streams && leads)
        spool_stream(model_path, levels, store_path, spooled);
    ranks_meet();
    if (streams && !leads)
        spool_name(model_path, levels, spooled);
    if (streams)
        must(wf_store_open(spooled, &store));
    else
        store = cli_open_store(store_path);
    const char *name = store_path ? store_path : "standard input";
    found_expect_pictures_of(model_path, wf_store_meta(store), name);
    if (validation_path)
        validation = cli_open_store(validation_path);
    if (validation)
        must(wf_meta_expect(wf_store_meta(validation), validation_path, wf_store_meta(store), name));
    choose_levels(store);
    if (init_path)
        check_init(wf_store_meta(store), &init);
    given_expect_training(options.given, wf_store_count(store), name);
    if (!leads) /* rank 0 makes the folder */
        ranks_meet();
    must(wf_meta_copy(&shape, wf_store_meta(store)));
    must(wf_field_unit_measure(store, levels[0], &shape));
    must(wf_model_create(model_path, &shape, &model));
    wf_meta_clear(&shape);
    if (leads)
        ranks_meet();

    wf_meta provenance;
    add_provenance(&provenance, store, &init);
    options.init = init_path ? &init : NULL;
    options.level = levels[0];
    options.memory = (wf_memory)memory;
    options.seed = common.seed;
    options.provenance = provenance.provenance;

    state.first = levels[0];
    state.last = levels[1];
    state.options = &options;
    state.model_path = model_path;
    state.count = wf_store_count(store);
    state.signal = wf_store_meta(store)->signal;
    state.unit = wf_meta_unit(wf_store_meta(store));
    start_pictures(wf_store_count(store), wf_store_meta(store), state.pictures);
    training_begin(&state);
    must(wf_train_levels(&model, backend_name, common.threads, store, validation, &options, levels[1] - levels[0] + 1,
                         training_report, &state));
    training_note_ends(&state);
    ranks_finish();

    wf_meta_clear(&provenance);
    wf_model_clear(&model);
    wf_store_close(store);
    if (streams && leads)
        wf_store_remove(spooled);
    wf_model_clear(&init);
    if (validation)
        wf_store_close(validation);
    return 0;
}
