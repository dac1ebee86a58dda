/* start.c - opens a program's backend, and names it with the model and the job in one line */
#include "start.h"

#include <ctype.h>
#include <string.h>

wf_backend *start_backend(void)
{
    wf_backend *b;
    must(wf_backend_open(common.backend, common.threads, &b));
    if (b->fallback[0])
        note("%s; computing on the CPU (--backend cuda fails instead)", b->fallback);
    return b;
}

const char *start_device(const wf_backend *b, char text[START_DEVICE])
{
    int name = (int)strcspn(b->device, ",");
    const char *rest = b->device + name + strspn(b->device + name, ", ");
    int n = snprintf(text, START_DEVICE, "%.*s", name, b->device);
    if (b->host)
        snprintf(text + n, START_DEVICE - (size_t)n, " (%s%s%d thread%s)", rest, *rest ? ", " : "", b->threads,
                 plural(b->threads));
    else if (*rest)
        snprintf(text + n, START_DEVICE - (size_t)n, " (%s)", rest);
    return text;
}

const char *start_precision(const wf_backend *b, wf_precision precision)
{
    bool queued = b->queued; /* a device with a queue has TF32; see wf_precision */
    if (b->real == sizeof(double))
        return "double precision";
    if (precision == WF_BF16)
        return b->bf16 ? "bf16" : "bf16 (computed as fp32)";
    if (precision == WF_TF32)
        return queued ? "tf32" : "tf32 (computed as fp32)";
    return "fp32";
}

const char *start_chain(const char *name, const char *chain, char text[START_CHAIN])
{
    enum { MOST = 72 };
    char shown[MOST + 1];
    int n = 0;
    for (const char *p = chain + strspn(chain, " \t\n"); *p && n < MOST; p++)
        if (!isspace((unsigned char)*p))
            shown[n++] = *p;
        else if (shown[n - 1] != ' ')
            shown[n++] = ' ';
    shown[n] = '\0';
    snprintf(text, START_CHAIN, "chain %s%s'%s%s'", name ? name : "", name ? ": " : "", shown, n == MOST ? " .." : "");
    return text;
}

const char *start_parameters(size_t n, char text[START_PARAMETERS])
{
    if (n < 100000)
        snprintf(text, START_PARAMETERS, "%zu parameter%s", n, plural((int64_t)n));
    else
        snprintf(text, START_PARAMETERS, "%.3g M parameters", (double)n / 1e6);
    return text;
}

const char *start_pictures(int64_t n, const wf_meta *meta, char text[START_PICTURES])
{
    char size[WF_SIZE_TEXT], count[24] = "";
    if (n >= 0)
        snprintf(count, sizeof count, "%lld ", (long long)n);
    snprintf(text, START_PICTURES, "%s%s%s of %s", count, wf_signal_names[meta->signal], plural(n),
             wf_meta_shape_text(meta, size));
    return text;
}

/* The precision of some levels, by a set of one bit each. */
static const char *levels_precision(const wf_backend *b, unsigned set, char text[START_PRECISION])
{
    int n = 0;
    for (int i = 0; i < WF_PRECISIONS; i++)
        if (set >> i & 1)
            n += snprintf(text + n, START_PRECISION - (size_t)n, "%s%s", n ? " and " : "",
                          start_precision(b, (wf_precision)i));
    return b->real == sizeof(double) ? start_precision(b, WF_FP32) : text;
}

void start_note(const wf_backend *b, const wf_model *model, int first, int last, const wf_precision *precision,
                const char *job)
{
    char device[START_DEVICE], chain[START_CHAIN], parameters[START_PARAMETERS], levels[48];
    char precisions[START_PRECISION];
    wf_level_summary level, highest = {0};
    unsigned set = 0;
    size_t sum = 0;
    int lowest = -1, top = -1;
    for (int l = first; l <= last; l++) {
        if (wf_level_summarize(model, l, &level)) /* the program itself dies of a level that it needs */
            continue;
        lowest = lowest < 0 ? l : lowest;
        top = l;
        sum += level.parameters;
        highest = level;
        set |= 1u << (precision ? *precision : level.precision);
    }
    if (top < 0)
        return;
    snprintf(levels, sizeof levels, lowest < top ? "levels %d to %d" : "level %d", lowest, top);
    note("model %s on %s, %s, %s, %s in %s, %s", model->path, start_device(b, device),
         levels_precision(b, set, precisions), start_chain(NULL, highest.chain, chain),
         start_parameters(sum, parameters), levels, job);
}
