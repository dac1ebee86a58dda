/* model.c - model folders */
#include "model.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "../base/file.h"
#include "../base/finite.h"
#include "../base/json.h"
#include "../base/version.h"
#include "../pyramid/wavelet.h"

int wf_model_file(const wf_model *model, int level, const char *suffix, char out[WF_PATH])
{
    int n = snprintf(out, WF_PATH, "%s/level-%02d%s", model->path, level, suffix);
    WF_CHECK(n < WF_PATH, WF_USAGE, "%s: path too long", model->path);
    return WF_OK;
}

static int read_integer(json_t *root, const char *key, const char *path, int *out)
{
    json_t *value = json_object_get(root, key);
    WF_CHECK(json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) <= WF_MAX_SIDE,
             WF_DATA, "%s: \"%s\" is not a number in range", path, key);
    *out = (int)json_integer_value(value);
    return WF_OK;
}

/* Reads by what a model of fields scales values. */
static int read_unit(json_t *root, const char *path, wf_meta *meta)
{
    json_t *exponent = json_object_get(root, "exponent"), *mean = json_object_get(root, "mean");
    json_int_t power = json_integer_value(exponent);
    WF_CHECK(json_is_integer(exponent) && power >= -WF_MAX_EXPONENT && power <= WF_MAX_EXPONENT, WF_DATA,
             "%s: exponent is not a whole number from -%d to %d, as a model of fields has", path, WF_MAX_EXPONENT,
             WF_MAX_EXPONENT);
    meta->exponent = (int)power;
    meta->mean = (float)json_number_value(mean);
    WF_CHECK(json_is_number(mean) && wf_is_finite(meta->mean), WF_DATA,
             "%s: mean is not a number, as a model of fields has", path);
    return WF_OK;
}

static int read_meta(json_t *root, const char *path, wf_meta *meta)
{
    const char *format = json_string_value(json_object_get(root, "format"));
    const char *wavelet = json_string_value(json_object_get(root, "wavelet"));
    WF_CHECK(format && !strcmp(format, WF_FORMAT), WF_DATA, "%s: format is not " WF_FORMAT, path);
    WF_CHECK(wavelet && strlen(wavelet) < sizeof meta->wavelet, WF_DATA, "%s: no wavelet", path);
    WF_CHECK(wf_wavelet_find(wavelet), WF_DATA, "%s: wavelet \"%s\" is not known", path, wavelet);
    *meta = (wf_meta){0};
    strcpy(meta->wavelet, wavelet);
    json_t *shape = json_object_get(root, "shape");
    int64_t sides[4] = {0};
    int n = (int)json_array_size(shape);
    WF_CHECK(n >= 2 && n <= 4, WF_DATA, "%s: shape is not [W,C], [H,W,C] or [D,H,W,C]", path);
    for (int i = 0; i < n; i++)
        sides[i] = json_integer_value(json_array_get(shape, (size_t)i)); /* 0 if not an integer */
    WF_CHECK(wf_meta_set_shape(meta, n, sides), WF_DATA, "%s: shape is out of range", path);
    json_t *rate = json_object_get(root, "rate");
    WF_CHECK(!rate || (json_integer_value(rate) > 0 && json_integer_value(rate) <= WF_MAX_RATE), WF_DATA,
             "%s: rate is not a number in range", path);
    meta->rate = (int)json_integer_value(rate);
    WF_TRY(read_integer(root, "levels", path, &meta->levels));
    WF_TRY(read_integer(root, "bits", path, &meta->bits));
    meta->top = meta->levels;
    WF_TRY(wf_meta_check(meta, path));
    return wf_meta_is_field(meta) ? read_unit(root, path, meta) : WF_OK;
}

/* Writes the checksum of a model's members to `out`: XXH3 of their compact text, sorted by key, without the member
 * "checksum". */
static int checksum_of(json_t *root, char out[17])
{
    errno = 0; /* json_copy leaves out what it has no memory for */
    json_t *others = json_copy(root);
    json_object_del(others, "checksum");
    char *text = wf_json_text(others, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(others);
    if (!text || errno == ENOMEM) {
        free(text);
        return wf_fail(WF_AGAIN, "out of memory for the text of a model");
    }
    snprintf(out, 17, "%016llx", (unsigned long long)XXH3_64bits(text, strlen(text)));
    free(text);
    return WF_OK;
}

/* WF_DATA: the file is not as it was written. One without a checksum is taken as it is. */
static int compare_checksum(json_t *root, const char *path)
{
    char want[17];
    const json_t *found = json_object_get(root, "checksum");
    if (!found)
        return WF_OK;
    WF_TRY(checksum_of(root, want));
    WF_CHECK(json_is_string(found) && !strcmp(json_string_value(found), want), WF_DATA,
             "%s: damaged, or changed by hand: its checksum is not %s", path, want);
    return WF_OK;
}

static int model_json(const char *path, char out[WF_PATH])
{
    WF_CHECK(snprintf(out, WF_PATH, "%s/wf.json", path) < WF_PATH, WF_USAGE, "%s: path too long", path);
    return WF_OK;
}

int wf_model_open(const char *path, wf_model *out)
{
    char file[WF_PATH];
    json_error_t error;
    WF_TRY(model_json(path, file));
    *out = (wf_model){0};
    FILE *text = fopen(file, "rbe");
    if (!text)
        return wf_fail_errno("%s", file);
    json_t *root = wf_json_parse_file(text, &error);
    fclose(text);
    WF_CHECK_PARSED(root, file, WF_DATA, "%s: line %d: %s", file, error.line, error.text);
    int status = compare_checksum(root, file);
    if (!status)
        status = read_meta(root, file, &out->meta);
    const json_t *licence = json_object_get(root, "licence");
    if (!status && licence && !json_is_string(licence))
        status = wf_fail(WF_DATA, "%s: \"licence\" is not a string", file);
    if (!status && licence)
        out->licence = strdup(json_string_value(licence));
    out->path = strdup(path);
    if (!status && (!out->path || (licence && !out->licence)))
        status = wf_fail(WF_AGAIN, "%s: out of memory", path);
    json_decref(root);
    if (status)
        wf_model_clear(out);
    return status;
}

int wf_model_place(const char *path, char out[WF_PATH])
{
    char file[WF_PATH];
    WF_TRY(model_json(path, file));
    WF_CHECK(snprintf(out, WF_PATH, "%s/model", path) < WF_PATH, WF_USAGE, "%s: path too long", path);
    bool outer = !access(file, F_OK);
    WF_TRY(model_json(out, file));
    if (outer || access(file, F_OK))
        strcpy(out, path); /* shorter than path/wf.json, which fits */
    return WF_OK;
}

static int open_at(const char *path, wf_model *out)
{
    char place[WF_PATH];
    WF_TRY(wf_model_place(path, place));
    return wf_model_open(place, out);
}

/* Opens FOLDER/NAME if that is a model or has one, and adds FOLDER to the list of places. *found: it is one. */
static int look_in(const char *folder, const char *name, char places[WF_PATH], wf_model *out, bool *found)
{
    char path[WF_PATH], place[WF_PATH], file[WF_PATH];
    size_t used = strlen(places);
    WF_CHECK(snprintf(path, sizeof path, "%s/%s", folder, name) < WF_PATH, WF_USAGE, "%s: path too long", name);
    WF_TRY(wf_model_place(path, place));
    WF_TRY(model_json(place, file));
    *found = !access(file, F_OK);
    snprintf(places + used, WF_PATH - used, "%s%s", used ? ", " : "", folder);
    return *found ? wf_model_open(place, out) : WF_OK;
}

int wf_model_find(const char *name, wf_model *out)
{
    static const char *const beside[] = {"share/wavelet-flow/models", "data"};
    char program[WF_PATH], folder[2 * WF_PATH], places[WF_PATH] = "";
    const char *list = getenv("WF_MODELS");
    bool found = false;
    WF_CHECK(*name, WF_USAGE, "the name of the model is empty");
    if (strchr(name, '/') || !access(name, F_OK))
        return open_at(name, out);
    for (size_t n; list && *list && !found; list += n + (list[n] == ':')) {
        n = strcspn(list, ":");
        WF_CHECK(n < WF_PATH, WF_USAGE, "WF_MODELS: path too long");
        snprintf(folder, sizeof folder, "%.*s", (int)n, list);
        if (n)
            WF_TRY(look_in(folder, name, places, out, &found));
    }
    for (size_t i = 0; i < sizeof beside / sizeof *beside && wf_program_prefix(program, sizeof program) && !found;
         i++) {
        snprintf(folder, sizeof folder, "%s/%s", program, beside[i]);
        WF_TRY(look_in(folder, name, places, out, &found));
    }
    WF_CHECK(found, WF_NOINPUT, "%s: not a folder here, and there is no model of that name in %s", name, places);
    return WF_OK;
}

/* The members of a model's wf.json, without the checksum. NULL: out of memory, or the licence is not UTF-8. */
static json_t *members_of(const wf_meta *m, const char *licence)
{
    int64_t sides[4];
    int axes = wf_sides(m->signal, m->D, m->H, m->W, sides), failed = 0;
    json_t *root = json_object(), *shape = json_array();
    failed |= json_object_set_new(root, "format", json_string(WF_FORMAT));
    failed |= json_object_set_new(root, "wavelet", json_string(m->wavelet));
    failed |= json_object_set_new(root, "levels", json_integer(m->levels));
    for (int i = 0; i < axes; i++)
        failed |= json_array_append_new(shape, json_integer(sides[i]));
    failed |= json_array_append_new(shape, json_integer(m->C));
    failed |= json_object_set_new(root, "shape", shape);
    failed |= json_object_set_new(root, "bits", json_integer(m->bits));
    if (wf_meta_is_field(m)) {
        failed |= json_object_set_new(root, "exponent", json_integer(m->exponent));
        failed |= json_object_set_new(root, "mean", json_real((double)m->mean));
    }
    if (m->rate)
        failed |= json_object_set_new(root, "rate", json_integer(m->rate));
    if (licence)
        failed |= json_object_set_new(root, "licence", json_string(licence));
    if (!failed)
        return root;
    json_decref(root);
    return NULL;
}

/* Writes under a name of this process, then links the final name, which fails if it exists: of two first processes
 * one wins. Processes of two machines may share a number and so a name; it only matters that the final name exists. */
static int write_text(const char *file, const char *text)
{
    char mine[WF_PATH];
    wf_outfile *out;
    WF_CHECK(snprintf(mine, sizeof mine, "%s.%ld", file, (long)getpid()) < WF_PATH, WF_USAGE, "%s: path too long",
             file);
    WF_TRY(wf_outfile_create(mine, &out));
    fprintf(wf_outfile_stream(out), "%s\n", text);
    WF_TRY(wf_outfile_commit(out));
    int status = link(mine, file) ? wf_fail_errno("%s", file) : WF_OK;
    if (status && !access(file, F_OK))
        status = WF_OK;
    unlink(mine);
    return status;
}

static int write_model_json(const char *file, const wf_meta *m, const char *licence)
{
    char checksum[17];
    errno = 0;
    json_t *root = members_of(m, licence);
    WF_CHECK_PARSED(root, file, WF_USAGE, "the licence is not UTF-8");
    int status = checksum_of(root, checksum);
    char *text = NULL;
    if (!status) {
        bool added = !json_object_set_new(root, "checksum", json_string(checksum));
        text = added ? wf_json_text(root, 0) : NULL;
        status = text ? write_text(file, text) : wf_fail(WF_AGAIN, "%s: out of memory", file);
    }
    free(text);
    json_decref(root);
    return status;
}

int wf_model_write(const wf_model *model)
{
    char file[WF_PATH];
    WF_TRY(model_json(model->path, file));
    WF_TRY(wf_mkdirs(model->path));
    return access(file, F_OK) ? write_model_json(file, &model->meta, model->licence) : WF_OK;
}

int wf_model_create(const char *path, const wf_meta *meta, wf_model *out)
{
    const wf_model made = {.path = (char *)(uintptr_t)path, .meta = *meta};
    WF_TRY(wf_model_write(&made));
    WF_TRY(wf_model_open(path, out));
    int status = wf_meta_expect(meta, "the data", &out->meta, path);
    if (status)
        wf_model_clear(out);
    return status;
}

void wf_model_clear(wf_model *model)
{
    free(model->path);
    free(model->licence);
    wf_meta_clear(&model->meta);
    *model = (wf_model){0};
}
