/* chain.c - the grammar of flows */
#include "../../lib/flow/flow_text.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char *text = strndup((const char *)bytes, n);
    wf_flow_text chain;
    int status = text ? wf_flow_text_parse(text, &chain) : WF_AGAIN;
    if (!status) {
        for (int i = 0; i < chain.count; i++)
            if (!*chain.words[i].name || chain.words[i].options > WF_FLOW_TEXT_MAX_OPTIONS)
                abort();
        wf_flow_text_clear(&chain);
    }
    fuzz_check(status);
    free(text);
    return 0;
}
