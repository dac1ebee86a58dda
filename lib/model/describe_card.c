/* describe_card.c - the description of a model as a model card in Markdown */
#include <stdlib.h>
#include <string.h>

#include "../base/file.h"
#include "describe_private.h"

/* Writes the value for a table, where a bar would end the cell. */
static void put_in_cell(FILE *file, const json_t *value)
{
    const char *text = json_string_value(value);
    if (!text || !strchr(text, '|'))
        wf_description_put(file, value, "x");
    else
        for (; *text; text++)
            fprintf(file, *text == '|' ? "\\%c" : "%c", (unsigned char)*text < ' ' || *text == 127 ? '?' : *text);
}

/* Writes one row of the table of facts, if the model has that fact. */
static void put_fact(FILE *file, const json_t *root, const char *key, const char *title)
{
    const json_t *value = json_object_get(root, key);
    if (!value)
        return;
    fprintf(file, "| %s | ", title);
    put_in_cell(file, value);
    fputs(" |\n", file);
}

static void put_facts(FILE *file, const json_t *root)
{
    fputs("| | |\n|---|---|\n", file);
    put_fact(file, root, "shape", "size and channels");
    put_fact(file, root, "bits", "bits per sample");
    put_fact(file, root, "rate", "samples per second");
    put_fact(file, root, "wavelet", "wavelet");
    put_fact(file, root, "parameters", "parameters");
    put_fact(file, root, "dtype", "stored as");
    put_fact(file, root, "bpd", "held-out bits/dim");
    if (json_object_get(root, "licence"))
        put_fact(file, root, "licence", "licence");
    else
        fputs("| licence | not stated |\n", file);
}

/* Writes a cell of a level's row: its value under the key, or its metadata's; "-" where there is none. */
static void put_cell(FILE *file, const json_t *row, const char *key, const char *quote)
{
    const json_t *value = json_object_get(row, key);
    if (!value)
        value = json_object_get(json_object_get(row, "metadata"), key);
    bool none = !value || json_is_null(value);
    fprintf(file, " %s", none ? "-" : quote);
    if (!none)
        wf_description_put(file, value, "x");
    fprintf(file, "%s |", none ? "" : quote);
}

static bool is_dtype(const json_t *root, const char *name)
{
    const char *dtype = json_string_value(json_object_get(root, "dtype"));
    return dtype && !strcmp(dtype, name);
}

static void put_levels(FILE *file, const json_t *root)
{
    static const char *const keys[] = {"level", "bpd", "parameters", "step", "precision"};
    const json_t *row;
    size_t i;
    fputs("\n## Levels\n\n| level | held-out bits/dim | parameters | steps | computes in | chain |\n", file);
    fputs("|---|---|---|---|---|---|\n", file);
    json_array_foreach (json_object_get(root, "trained"), i, row) {
        putc('|', file);
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            put_cell(file, row, keys[k], "");
        put_cell(file, row, "chain", "`");
        putc('\n', file);
    }
    fputs("\nBits/dim are contributions to those of the whole picture, as validated in training", file);
    fputs(is_dtype(root, "F32") ? ".\n" : ", before numbers were rounded.\n", file);
}

static void put_use(FILE *file, const char *name, bool bfloat16)
{
    fprintf(file,
            "\n## Use\n\n"
            "Draw 16; evaluate others of this size; read the weights of a level in Python%s:\n\n"
            "    wf-sample -m %s -n 16 | wf-idwt --grid grid.png\n"
            "    wf-dwt FILES | wf-bpd -m %s\n"
            "    safetensors.numpy.load_file('%s/level-00.safetensors')\n\n"
            "Tensors `ema/NAME` are moving averages of the weights. There is no optimizer state: wf-train-level "
            "--init begins a training of its own from them.\n",
            bfloat16 ? " (NumPy has BF16 after `import ml_dtypes`)" : "", name, name, name);
}

int wf_description_write_card(const wf_description *d, const char *name, const char *note, FILE *file, const char *path)
{
    const char *kind = json_string_value(json_object_get(d->root, "kind"));
    WF_CHECK(kind && !strcmp(kind, "model"), WF_USAGE, "%s: a card is for a model", path);
    fprintf(file,
            "# %s\n\nA Wavelet Flow: a normalizing flow for each level of a wavelet pyramid, with exact densities and "
            "samples.\n\n",
            name);
    put_facts(file, d->root);
    if (note)
        fprintf(file, "\n%s%s", note, *note && note[strlen(note) - 1] == '\n' ? "" : "\n");
    put_levels(file, d->root);
    put_use(file, name, is_dtype(d->root, "BF16"));
    WF_TRY(wf_description_put_provenance(d, file, "\n## Provenance\n\nThe programs that led here, level by level:\n\n",
                                         "    ", path));
    return ferror(file) ? wf_fail_write(path) : WF_OK;
}
