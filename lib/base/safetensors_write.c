/* safetensors_write.c - writing one record */
#include "safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

/* -- header -------------------------------------------------------------------------------------------------------- */

static int check_tensor(const char *name, const wf_tensor *tensor)
{
    size_t bytes = wf_dtype_size(tensor->dtype);
    bool good = tensor->rank >= 0 && tensor->rank <= 8;
    for (int i = 0; good && i < tensor->rank; i++)
        good = tensor->shape[i] >= 0 && WF_MUL(bytes, (size_t)tensor->shape[i], &bytes);
    WF_CHECK(good && bytes == tensor->bytes, WF_INTERNAL, "%s: tensor %s: shape and size disagree", name, tensor->name);
    return WF_OK;
}

static int add_tensor(json_t *root, const char *name, const wf_tensor *tensor, size_t *at)
{
    WF_TRY(check_tensor(name, tensor));
    WF_CHECK(!json_object_get(root, tensor->name) && strcmp(tensor->name, "__metadata__"), WF_INTERNAL,
             "%s: tensor %s: name is used already", name, tensor->name);
    json_t *shape = json_array();
    for (int i = 0; i < tensor->rank; i++)
        if (json_array_append_new(shape, json_integer(tensor->shape[i]))) {
            json_decref(shape);
            return wf_fail(WF_AGAIN, "%s: out of memory", name);
        }
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", wf_dtype_name(tensor->dtype), "shape", shape,
                              "data_offsets", (json_int_t)*at, (json_int_t)(*at + tensor->bytes));
    *at += tensor->bytes;
    WF_CHECK(entry && !json_object_set_new(root, tensor->name, entry), WF_AGAIN,
             "%s: tensor %s: its name is not UTF-8, or out of memory", name, tensor->name);
    return WF_OK;
}

static int add_metadata(json_t *root, const char *name, const wf_pair *metadata, int pairs)
{
    json_t *object = json_object();
    WF_CHECK(object && !json_object_set_new(root, "__metadata__", object), WF_AGAIN, "%s: out of memory", name);
    errno = 0;
    for (int i = 0; i < pairs; i++)
        WF_CHECK_PARSED(!json_object_get(object, metadata[i].key) &&
                            !json_object_set_new(object, metadata[i].key, json_string(metadata[i].value)),
                        name, WF_INTERNAL, "%s: metadata %s is given twice or not UTF-8", name, metadata[i].key);
    return WF_OK;
}

/* Bytes per element, widest first. Data are in this order, so that each tensor is aligned to its dtype. */
static const size_t widths[] = {8, 4, 2};

/* Makes the header, *text, which the caller frees. *length includes blanks that align the data to 8 bytes, as in the
 * reference implementation. */
static int make_header(const char *name, const wf_tensor *tensors, int count, const wf_pair *metadata, int pairs,
                       char **text, size_t *length)
{
    json_t *root = json_object();
    int status = WF_OK;
    size_t at = 0;
    if (pairs)
        WF_GO(add_metadata(root, name, metadata, pairs));
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (int i = 0; i < count; i++)
            if (wf_dtype_size(tensors[i].dtype) == widths[w])
                WF_GO(add_tensor(root, name, &tensors[i], &at));
    *length = json_dumpb(root, NULL, 0, JSON_COMPACT);
    size_t padded = (*length + 7) / 8 * 8;
    *text = *length ? malloc(padded) : NULL;
    if (!*text)
        WF_GO(wf_fail(WF_AGAIN, "%s: out of memory", name));
    if (json_dumpb(root, *text, padded, JSON_COMPACT) != *length)
        WF_GO(wf_fail(WF_AGAIN, "%s: out of memory", name));
    memset(*text + *length, ' ', padded - *length);
    *length = padded;
out:
    json_decref(root);
    if (status) {
        free(*text);
        *text = NULL;
    }
    return status;
}

/* -- bytes --------------------------------------------------------------------------------------------------------- */

static int write_bytes(FILE *file, const char *name, const void *bytes, size_t n, wf_byte_sink *seen, void *user)
{
    if (n && fwrite(bytes, 1, n, file) != n)
        return wf_fail_write(name);
    if (seen && n)
        seen(user, bytes, n);
    return WF_OK;
}

int wf_safetensors_write(FILE *file, const char *name, const wf_tensor *tensors, int count, const wf_pair *metadata,
                         int pairs, wf_byte_sink *seen, void *user)
{
    char *header = NULL;
    size_t length = 0;
    WF_TRY(make_header(name, tensors, count, metadata, pairs, &header, &length));
    uint64_t prefix = length;
    int status = WF_OK;
    WF_GO(write_bytes(file, name, &prefix, sizeof prefix, seen, user));
    WF_GO(write_bytes(file, name, header, length, seen, user));
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (int i = 0; i < count; i++)
            if (wf_dtype_size(tensors[i].dtype) == widths[w])
                WF_GO(write_bytes(file, name, tensors[i].data, tensors[i].bytes, seen, user));
out:
    free(header);
    return status;
}
