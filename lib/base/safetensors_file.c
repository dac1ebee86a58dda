/* safetensors_file.c - checkpoints: files that are replaced atomically and contain their checksum */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "file.h"
#include "safetensors.h"
#include "version.h"

static const char CHECKSUM[] = "checksum";

/* -- checksum ------------------------------------------------------------------------------------------------------ */

static int by_key(const void *a, const void *b)
{
    return strcmp(((const wf_pair *)a)->key, ((const wf_pair *)b)->key);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const wf_tensor *)a)->name, ((const wf_tensor *)b)->name);
}

static void *sorted_copy(const void *rows, size_t count, size_t size, int (*order)(const void *, const void *))
{
    void *copy = malloc((count + 1) * size);
    if (copy && count) {
        memcpy(copy, rows, count * size);
        qsort(copy, count, size, order);
    }
    return copy;
}

static void add_text(XXH3_state_t *state, const char *text)
{
    XXH3_64bits_update(state, text, strlen(text) + 1); /* cannot fail on an initialized state */
}

/* Computes XXH3-64 over the metadata, without the checksum, sorted by key: key and value with their zero bytes; then
 * over the tensors, sorted by name: name and dtype with their zero bytes, shape as i64, data. It does not depend on the
 * order in the file, so that a program may write the same contents in another order. */
static int make_checksum(const char *path, const wf_tensor *tensors, int count, const wf_pair *metadata, int pairs,
                         char text[17])
{
    XXH3_state_t *state = XXH3_createState();
    wf_pair *keys = sorted_copy(metadata, (size_t)pairs, sizeof *keys, by_key);
    wf_tensor *names = sorted_copy(tensors, (size_t)count, sizeof *names, by_name);
    bool good = state && keys && names;
    if (good)
        XXH3_64bits_reset(state);
    for (int i = 0; good && i < pairs; i++)
        if (strcmp(keys[i].key, CHECKSUM)) {
            add_text(state, keys[i].key);
            add_text(state, keys[i].value);
        }
    for (int i = 0; good && i < count; i++) {
        add_text(state, names[i].name);
        add_text(state, wf_dtype_name(names[i].dtype));
        XXH3_64bits_update(state, names[i].shape, (size_t)names[i].rank * sizeof *names[i].shape);
        XXH3_64bits_update(state, names[i].data, names[i].bytes);
    }
    if (good)
        snprintf(text, 17, "%016llx", (unsigned long long)XXH3_64bits_digest(state));
    XXH3_freeState(state);
    free(keys);
    free(names);
    WF_CHECK(good, WF_AGAIN, "%s: out of memory", path);
    return WF_OK;
}

int wf_safetensors_check(const wf_safetensors *st, const char *name)
{
    const char *have = wf_safetensors_meta(st, CHECKSUM), *format = wf_safetensors_meta(st, "format");
    char want[17];
    if (!have && !(format && !strcmp(format, WF_FORMAT)))
        return WF_OK; /* a file of another program, without a checksum */
    WF_TRY(make_checksum(name, st->tensors, st->count, st->metadata, st->pairs, want));
    WF_CHECK(have && !strcmp(have, want), WF_DATA, "%s: its checksum is %s, but %.20s in its metadata", name, want,
             have ? have : "nothing");
    return WF_OK;
}

/* -- writing ------------------------------------------------------------------------------------------------------- */

static void add_to_hash(void *user, const void *bytes, size_t n)
{
    XXH3_64bits_update(user, bytes, n); /* cannot fail on an initialized state */
}

/* Reads the file from its start and compares its hash with that of the bytes passed to fwrite. */
static int check_written(FILE *file, const char *path, XXH3_state_t *state)
{
    XXH64_hash_t want = XXH3_64bits_digest(state);
    XXH3_64bits_reset(state);
    WF_TRY(wf_flush(file, path));
    if (fseek(file, 0, SEEK_SET))
        return wf_fail_errno("%s: cannot read back", path);
    char buffer[32768];
    size_t got;
    while ((got = fread(buffer, 1, sizeof buffer, file)) > 0)
        XXH3_64bits_update(state, buffer, got);
    if (ferror(file))
        return wf_fail_errno("%s: cannot read back", path);
    WF_CHECK(XXH3_64bits_digest(state) == want, WF_IO, "%s: the bytes read back differ from those written", path);
    return WF_OK;
}

static int write_checked(wf_outfile *file, const char *path, const wf_tensor *tensors, int count,
                         const wf_pair *metadata, int pairs)
{
    XXH3_state_t *state = XXH3_createState();
    WF_CHECK(state, WF_AGAIN, "%s: out of memory", path);
    XXH3_64bits_reset(state);
    FILE *stream = wf_outfile_stream(file);
    int status = wf_safetensors_write(stream, path, tensors, count, metadata, pairs, add_to_hash, state);
    if (!status)
        status = check_written(stream, path, state);
    XXH3_freeState(state);
    return status;
}

int wf_safetensors_save(const char *path, const wf_tensor *tensors, int count, const wf_pair *metadata, int pairs)
{
    char checksum[17];
    wf_outfile *file = NULL;
    wf_pair *all = malloc(((size_t)pairs + 1) * sizeof *all);
    WF_CHECK(all, WF_AGAIN, "%s: out of memory", path);
    if (pairs)
        memcpy(all, metadata, (size_t)pairs * sizeof *all);
    all[pairs] = (wf_pair){CHECKSUM, checksum};
    int status = WF_OK;
    WF_GO(make_checksum(path, tensors, count, metadata, pairs, checksum));
    WF_GO(wf_outfile_create(path, &file));
    WF_GO(write_checked(file, path, tensors, count, all, pairs + 1));
    status = wf_outfile_commit(file);
    file = NULL;
out:
    wf_outfile_abort(file);
    free(all);
    return status;
}

/* -- reading ------------------------------------------------------------------------------------------------------- */

static int load_record(FILE *file, const char *path, wf_safetensors *out)
{
    struct stat info;
    if (fstat(fileno(file), &info))
        return wf_fail_errno("%s: cannot stat", path);
    bool end;
    size_t limit = S_ISREG(info.st_mode) ? (size_t)info.st_size : SIZE_MAX;
    out->offset = 0;
    WF_TRY(wf_safetensors_read(file, path, limit, out, &end, NULL, NULL));
    WF_CHECK(!end, WF_DATA, "%s: an empty file, want safetensors", path);
    WF_CHECK(fgetc(file) == EOF, WF_DATA, "%s: bytes after the record, which ends at byte %llu", path,
             (unsigned long long)out->offset);
    return wf_safetensors_check(out, path);
}

int wf_safetensors_load(const char *path, wf_safetensors *out)
{
    FILE *file = fopen(path, "rbe");
    if (!file)
        return wf_fail_errno("%s: cannot open", path);
    int status = load_record(file, path, out);
    fclose(file); /* only read from: closing cannot lose data */
    return status;
}
