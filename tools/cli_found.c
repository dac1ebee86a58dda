/* cli_found.c - names what came in place of coefficients or of a model */
#include "cli_found.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/base/file.h"
#include "../lib/image/kind.h"

static const struct expectation {
    const char *what, *makers;
} expectations[] = {
    [FOUND_COEFFICIENTS] = {"coefficients", "wf-dwt"},
    [FOUND_LATENTS] = {"latents", "wf-dwt and wf-encode"},
    [FOUND_ANY] = {"a stream, store or model", "wf-dwt"},
};

static bool has_file(const char *folder, const char *name)
{
    char path[WF_PATH];
    return snprintf(path, sizeof path, "%s/%s", folder, name) < WF_PATH && !access(path, F_OK);
}

/* -- streams and stores -------------------------------------------------------------------------------------------- */

/* Dies of bytes that wf-dwt reads. path: NULL for standard input. */
static void die_of_pictures(const char *path, const wf_kind *kind, const struct expectation *e)
{
    if (!path || e->what == expectations[FOUND_LATENTS].what)
        die(WF_DATA, "%s: %s, expected %s: put %s before", path ? path : "standard input", kind->name, e->what,
            e->makers);
    die(WF_DATA, "%s: %s, expected %s: put wf-dwt before, as in wf-dwt %s | %s, or wf-dwt -o STORE %s", path,
        kind->name, e->what, path, common.program->name, path);
}

void found_die_of_kind(const char *path, const wf_kind *kind, found_expected expected)
{
    const struct expectation *e = &expectations[expected];
    const char *name = path ? path : "standard input";
    bool piped = kind->advice && strstr(kind->advice, "| wf-dwt");
    switch (kind->is) {
    case WF_KIND_READ:
        die_of_pictures(path, kind, e);
        break;
    case WF_KIND_OTHER:
    case WF_KIND_PICTURE:
        die(WF_DATA, "%s: %s, expected %s: %s%s%s%s", name, kind->name, e->what, kind->advice,
            piped ? "" : "; then put ", piped ? "" : e->makers, piped ? "" : " before");
    case WF_KIND_LEVEL:
    case WF_KIND_STATE:
        die(WF_DATA, "%s: %s, expected %s: -m takes the folder of the model", name, kind->name, e->what);
    case WF_KIND_TEXT:
        die(WF_DATA, "%s: text, expected %s, which %s make%s; wf-dwt --files-from reads names of pictures", name,
            e->what, e->makers, expected == FOUND_LATENTS ? "" : "s");
    case WF_KIND_EMPTY:
        die(WF_DATA, "%s: %s, expected %s", name,
            path ? "empty" : "nothing came: the program before it may have failed", e->what);
    case WF_KIND_UNKNOWN:
        die(WF_DATA, "%s: of an unknown kind, expected %s: put %s before pictures", name, e->what, e->makers);
    default:
        if (kind->compressed)
            die(WF_DATA, "%s: %s, compressed: unpack it, as by %s%s | %s", name, kind->name,
                path ? "bsdcat " : ".. | bsdcat", path ? path : "", common.program->name);
    }
}

void found_die_of_terminal(found_expected expected)
{
    const struct expectation *e = &expectations[expected];
    die(WF_USAGE, "waiting for %s: nothing is piped in: put %s before, or name a file%s", e->what, e->makers,
        expected == FOUND_LATENTS ? "" : " or store");
}

static void die_of_folder(int status, const char *path, found_expected expected)
{
    const struct expectation *e = &expectations[expected];
    if (has_file(path, "wf.json") && expected != FOUND_ANY)
        die(WF_DATA, "%s: a model, expected %s: -m takes models", path, e->what);
    if (!has_file(path, "data.mdb") && !has_file(path, "wf.json"))
        die(status, "%s: a folder without data.mdb, expected %s: wf-dwt -o STORE %s makes a store of pictures in it",
            path, e->what, path);
}

/* Examines a plain file: the bytes of a pipe are gone once they were read. */
static bool find_kind(const char *path, wf_kind *kind)
{
    struct stat info;
    FILE *file = !stat(path, &info) && S_ISREG(info.st_mode) ? fopen(path, "rbe") : NULL;
    bool found = file && !wf_kind_find(file, kind);
    if (file)
        fclose(file); /* only read from: closing cannot lose data */
    return found;
}

void found_must(int status, const char *path, found_expected expected)
{
    char message[1024];
    wf_kind kind;
    if (!status)
        return;
    snprintf(message, sizeof message, "%s", wf_error());
    if (cli_is_dash(path) || (status != WF_DATA && status != WF_NOINPUT))
        die(status, "%s", message);
    if (access(path, F_OK))
        die(status, "%s: cannot open: %s", path, strerror(errno));
    if (wf_is_folder(path))
        die_of_folder(status, path, expected);
    else if (find_kind(path, &kind))
        found_die_of_kind(path, &kind, expected);
    die(status, "%s", message);
}

void found_expect_no_fields(const wf_meta *meta, const char *path)
{
    if (wf_meta_is_field(meta) && !common.program->fields)
        die(WF_DATA, "%s: fields of floats, expected pictures of 1 to 16 bits", path);
}

wf_records *found_open_records(char *const *paths, int count, bool latents, found_expected expected)
{
    wf_records *records;
    FILE *standard_input = NULL;
    for (int i = 0; i < count; i++)
        standard_input = cli_is_dash(paths[i]) ? found_stdin(expected) : standard_input;
    int status = wf_records_open(paths, count, standard_input, latents, &records);
    for (int i = 0; status && i < count - 1; i++) /* the first that cannot be opened alone explains it */
        if (!cli_is_dash(paths[i]))
            wf_records_close(found_open_records(paths + i, 1, latents, expected));
    found_must(status, paths[count - 1], expected);
    found_expect_no_fields(wf_records_meta(records), wf_records_name(records));
    return records;
}

void found_expect_no_coefficients(const char *option, const char *path)
{
    wf_kind kind = {.is = WF_KIND_UNKNOWN};
    wf_store *store = NULL;
    if (wf_is_folder(path) && has_file(path, "data.mdb") && !wf_store_open(path, &store))
        kind.is = WF_KIND_STORE;
    wf_store_close(store);
    if (kind.is != WF_KIND_STORE && (cli_is_dash(path) || !find_kind(path, &kind)))
        return;
    if (kind.is == WF_KIND_STREAM || kind.is == WF_KIND_STORE)
        die(WF_DATA, "%s %s: already coefficients, expected pictures: leave out %s", option, path, option);
}

/* -- models -------------------------------------------------------------------------------------------------------- */

static void die_of_file_for_model(const char *name)
{
    wf_kind kind;
    if (!find_kind(name, &kind))
        return;
    if (kind.is == WF_KIND_LEVEL || kind.is == WF_KIND_STATE)
        die(WF_DATA, "%s: %s, expected the folder that it is in", name, kind.name);
    if (kind.is == WF_KIND_STREAM || kind.is == WF_KIND_LATENTS)
        die(WF_DATA, "%s: %s, expected a model, which is a folder: give the stream as FILE", name, kind.name);
    die(WF_DATA, "%s: %s, expected a model: a folder that wf-train-level wrote", name, kind.name);
}

void found_open_model(const char *name, wf_model *out)
{
    char message[1024];
    int status = wf_model_find(name, out);
    if (!status) {
        found_expect_no_fields(&out->meta, name);
        return;
    }
    snprintf(message, sizeof message, "%s", wf_error());
    if (wf_is_folder(name) && has_file(name, "data.mdb") && !has_file(name, "wf.json"))
        die(WF_DATA, "%s: a store, expected a model: wf-train-level -s %s -m MODEL trains one", name, name);
    if (wf_is_folder(name) && !has_file(name, "wf.json"))
        die(status, "%s: a folder without wf.json, expected a model: a folder that wf-train-level wrote", name);
    if (!wf_is_folder(name))
        die_of_file_for_model(name);
    die(status, "%s", message);
}

void found_expect_model_folder(const char *path)
{
    wf_kind kind;
    if (!wf_is_folder(path) && find_kind(path, &kind))
        die(WF_USAGE, "%s: %s, expected a folder for the model or a new name", path, kind.name);
    if (has_file(path, "data.mdb"))
        die(WF_USAGE, "%s: a store, expected a folder for the model or a new name: -s takes stores", path);
}

void found_expect_pictures_of(const char *path, const wf_meta *meta, const char *name)
{
    wf_model model;
    if (!has_file(path, "wf.json"))
        return;
    must(wf_model_open(path, &model));
    must(wf_meta_expect(meta, name, &model.meta, path));
    wf_model_clear(&model);
}
