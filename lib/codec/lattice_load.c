/* lattice_load.c - chain and parameters of a level to nets */
#include "lattice_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../flow/net.h"
#include "exact_math.h"

/* The words of a level being loaded. */
typedef struct loader {
    const wf_meta *meta;
    const wf_level *trained;
    wf_flow *flow; /* lists the parameters */
    wf_flow_text text;
    const wf_bijector_option *options; /* of a word, and their values */
    int values[WF_BIJECTOR_MAX_OPTIONS];
    wf_lattice_level *to;
} loader;

/* Reads the options of a word, for option_of. */
static int read_options(loader *l, int word)
{
    l->options = wf_bijector_find(l->text.words[word].name)->options;
    return wf_bijector_values(l->text.text, &l->text.words[word], l->values);
}

/* The value of an option as the flow takes it: a number, or the place of a name. */
static int option_of(const loader *l, const char *key)
{
    int i = 0;
    while (i + 1 < WF_BIJECTOR_MAX_OPTIONS && strcmp(l->options[i].key, key))
        i++;
    return l->values[i];
}

/* The parameters called NAME of the word, or NULL. */
static const float *find_param(const loader *l, int word, const char *name, size_t count)
{
    char whole[128], listed[64];
    const wf_param *param;
    size_t where;
    snprintf(whole, sizeof whole, "%03d.%s.%s", word, l->text.words[word].name, name);
    for (int i = 0; wf_flow_param(l->flow, i, listed, &param, &where); i++)
        if (!strcmp(listed, whole))
            return param->count == count ? (const float *)l->trained->params + where : NULL;
    return NULL;
}

static int find_layer(const loader *l, int word, const char *prefix, const wf_net_layer *layer, wf_exact_layer *out)
{
    static const char *const suffixes[] = {"w", "b", "l"};
    const float *found[3];
    size_t taps = (size_t)(layer->k * layer->k * layer->in), n = (size_t)layer->out;
    for (int i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s.%s", prefix, layer->name, suffixes[i]);
        found[i] = find_param(l, word, name, i ? n : n * taps);
        WF_CHECK(found[i], WF_USAGE, "the level has no parameters %03d.%s.%s of the shape expected", word,
                 l->text.words[word].name, name);
    }
    *out = (wf_exact_layer){layer->in,   layer->out, layer->k, layer->relu, layer->residual,
                            layer->gate, found[0],   found[1], found[2]};
    return WF_OK;
}

/* Makes the net of a word whose parameters begin with `prefix`. C: channels of its condition. */
static int make_net(const loader *l, int word, const char *prefix, const wf_net_spec *spec, int C, wf_exact_net **out)
{
    wf_net_layer *listed = NULL;
    int count = 0;
    WF_TRY(wf_net_list(l->trained->backend, spec, C, l->trained->spec.kernel, &listed, &count));
    wf_exact_layer *layers = calloc((size_t)count, sizeof *layers);
    int status = layers ? WF_OK : wf_fail(WF_AGAIN, "out of memory for a net");
    for (int i = 0; !status && i < count; i++)
        status = find_layer(l, word, prefix, &listed[i], &layers[i]);
    if (!status)
        status = wf_exact_net_create(layers, count, out);
    free(listed);
    free(layers);
    return status;
}

static int load_conds(loader *l)
{
    wf_lattice_level *to = l->to;
    int count = l->text.count - 1;
    to->conds = calloc((size_t)count + 1, sizeof *to->conds);
    WF_CHECK(to->conds, WF_AGAIN, "out of memory for nets");
    for (int i = 0; i < count; i++) {
        WF_TRY(read_options(l, i));
        wf_net_spec spec = {.kind = option_of(l, "net"), .out = option_of(l, "channels")};
        spec.width = option_of(l, "width");
        spec.blocks = option_of(l, "blocks");
        WF_TRY(make_net(l, i, "", &spec, to->features, &to->conds[to->cond_count]));
        to->cond_count++;
        to->features += spec.out;
    }
    return WF_OK;
}

static int load_groups(loader *l)
{
    static const char bands[] = "hvd";
    wf_lattice_level *to = l->to;
    int word = l->text.count - 1;
    WF_TRY(read_options(l, word));
    for (int i = 0; i < 3 * to->phases; i++) {
        char prefix[24];
        int band = i / to->phases, phase = i % to->phases;
        wf_net_spec spec = {.kind = option_of(l, "net"), .out = wf_lattice_outputs(to)};
        spec.K = spec.take = (band + phase) * to->C;
        spec.width = option_of(l, "width");
        spec.blocks = option_of(l, "blocks");
        if (to->phases == 1)
            snprintf(prefix, sizeof prefix, "%c.", bands[band]);
        else
            snprintf(prefix, sizeof prefix, "%c%d.", bands[band], phase);
        WF_TRY(make_net(l, word, prefix, &spec, to->features, &to->nets[i]));
    }
    return WF_OK;
}

/* Runs the base's net, whose input is zero: its output is the same for all pixels. */
static int load_base(loader *l)
{
    wf_lattice_level *to = l->to;
    wf_net_spec spec = {.kind = wf_net_kind("conv"), .K = 1, .take = 1, .out = wf_lattice_outputs(to)};
    wf_exact_part zero = {NULL, 1, 1};
    wf_exact_scratch scratch = {0};
    wf_exact_net *net;
    to->base = calloc((size_t)spec.out, sizeof *to->base);
    WF_CHECK(to->base, WF_AGAIN, "out of memory for the base");
    WF_TRY(make_net(l, l->text.count - 1, "base.", &spec, 0, &net));
    int status = wf_exact_net_run(net, &zero, 1, 1, 1, 0, 1, &scratch, to->base);
    wf_exact_clear(&scratch);
    wf_exact_net_destroy(net);
    return status;
}

/* Reads shift and scale of each channel, band-major. */
static int load_scales(const loader *l)
{
    int word = l->text.count - 1;
    size_t n = (size_t)l->trained->spec.K;
    const float *b = find_param(l, word, "b", n), *logs = find_param(l, word, "l", n);
    WF_CHECK(b && logs, WF_USAGE, "the level has no parameters %03d.lattice.b and .l of %zu channels", word, n);
    for (size_t i = 0; i < n; i++) {
        l->to->shift[i] = (double)b[i];
        l->to->scale[i] = wf_exact_exp(3 * (double)logs[i]);
    }
    return WF_OK;
}

static int check_chain(const loader *l, const char *chain)
{
    bool good = l->text.count > 0;
    for (int i = 0; i < l->text.count; i++)
        good = good && !strcmp(l->text.words[i].name, i + 1 < l->text.count ? "cond" : "lattice");
    WF_CHECK(good, WF_USAGE, "the chain is '%.60s': only 'lattice', after any 'cond', gives whole numbers", chain);
    WF_CHECK(l->meta->signal == WF_PICTURE && !strcmp(l->meta->wavelet, "haar"), WF_USAGE,
             "a model of %ss under %s, expected one of pictures under haar", wf_signal_names[l->meta->signal],
             l->meta->wavelet);
    WF_CHECK(l->meta->bits + 2 * l->to->k <= WF_LATTICE_MAX_BITS, WF_USAGE,
             "%d bits after %d halvings are too many digits: bits + 2 halvings is at most %d", l->meta->bits, l->to->k,
             WF_LATTICE_MAX_BITS);
    return WF_OK;
}

static int load_parts(loader *l)
{
    wf_lattice_level *to = l->to;
    const wf_level_spec *spec = &l->trained->spec;
    wf_flow_spec shape = wf_level_flow_spec(spec, 1, 0, 0, WF_MEMORY_NONE);
    WF_TRY(wf_flow_text_parse(spec->chain, &l->text));
    WF_TRY(check_chain(l, spec->chain));
    WF_TRY(wf_flow_create(l->trained->backend, spec->chain, &shape, &l->flow));
    WF_TRY(read_options(l, l->text.count - 1));
    to->components = option_of(l, "components");
    to->phases = option_of(l, "phases");
    WF_CHECK(to->components >= 1 && to->components <= WF_COMPONENTS && to->phases >= 1 && to->phases <= 2, WF_USAGE,
             "a lattice of %d components and %d phases", to->components, to->phases);
    WF_TRY(load_scales(l));
    if (!spec->C)
        return load_base(l);
    WF_TRY(load_conds(l));
    return load_groups(l);
}

int wf_lattice_load(const wf_meta *meta, const wf_level *trained, int halvings, wf_lattice_level *out)
{
    loader l = {.meta = meta, .trained = trained, .to = out};
    *out = (wf_lattice_level){.C = meta->C, .bits = meta->bits, .k = halvings, .features = meta->C};
    int status = load_parts(&l);
    wf_flow_destroy(l.flow);
    wf_flow_text_clear(&l.text);
    if (status)
        wf_lattice_level_clear(out);
    return status;
}
