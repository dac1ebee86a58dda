/* words.c - the words of chains as text, from the registries that parse them */
#include "words.h"

#include <stdio.h>
#include <string.h>

#include "../lib/flow/bijector.h"
#include "../lib/flow/net.h"
#include "../lib/train/optimizer.h"
#include "cli.h"

/* Prints "from 1 to 4096", or "tanh, sigmoid or exp". */
static void print_range(const wf_bijector_option *o)
{
    if (!o->names) {
        printf("%d to %d", o->low, o->high);
        return;
    }
    for (int i = 0; o->names[i]; i++)
        printf("%s%s", !i ? "" : o->names[i + 1] ? ", " : " or ", o->names[i]);
}

static void print_default(const wf_bijector_option *o)
{
    if (o->names)
        fputs(o->names[o->standard], stdout);
    else if (o->otherwise)
        fputs(o->otherwise, stdout);
    else
        printf("%d", o->standard);
}

static const wf_bijector_option *option_at(const wf_bijector_type *type, int i)
{
    return i < WF_BIJECTOR_MAX_OPTIONS && type->options[i].key ? &type->options[i] : NULL;
}

static void print_words(void)
{
    const wf_bijector_type *type;
    const wf_bijector_option *o;
    for (int i = 0; (type = wf_bijector_row(i)); i++) {
        printf("%s - %s%s\n", type->name, type->summary, type->pictures_only ? "; pictures only" : "");
        for (int k = 0; (o = option_at(type, k)); k++) {
            printf("    %s=", o->key);
            print_range(o);
            printf(": %s; default ", o->meaning);
            print_default(o);
            putchar('\n');
        }
    }
    puts("\nNetworks:");
    for (int i = 0; wf_net_names[i]; i++)
        printf("    %s - %s\n", wf_net_names[i], wf_net_describe(i).summary);
    puts("\nwf-chain(7) has the grammar and examples.");
}

/* Prints the default of an optimizer's option. */
static void print_number(const wf_optimizer_option *o)
{
    if (o->shown)
        fputs(o->shown, stdout);
    else
        printf("%g", o->standard);
}

static void print_optimizers(void)
{
    const wf_optimizer_type *type;
    for (int i = 0; (type = wf_optimizer_row(i)); i++) {
        printf("%s - %s\n", type->name, type->summary);
        for (const wf_optimizer_option *o = type->options; o->key; o++) {
            printf("    %s=%g to %g: %s; default ", o->key, o->low, o->high, o->meaning);
            print_number(o);
            putchar('\n');
        }
    }
}

bool words_help(const char *chain, const char *optimizer)
{
    bool words = chain && !strcmp(chain, "help"), optimizers = optimizer && !strcmp(optimizer, "help");
    if (words)
        print_words();
    else if (optimizers)
        print_optimizers();
    if (words || optimizers)
        finish_stdout();
    return words || optimizers;
}

void words_roff_optimizers(void)
{
    const wf_optimizer_type *type;
    for (int i = 0; (type = wf_optimizer_row(i)); i++) {
        printf(".TP\n.B %s\n%s.\n.RS\n", type->name, type->summary);
        for (const wf_optimizer_option *o = type->options; o->key; o++) {
            printf(".TP\n\\fB%s\\fR=\\fI%g to %g\\fR\n%s; default ", o->key, o->low, o->high, o->meaning);
            print_number(o);
            puts(".");
        }
        puts(".RE");
    }
}

void words_roff_bijectors(void)
{
    const wf_bijector_type *type;
    const wf_bijector_option *o;
    for (int i = 0; (type = wf_bijector_row(i)); i++) {
        printf(".TP\n.B %s\n%s.\n%s\n", type->name, type->summary,
               type->pictures_only ? "For pictures only." : "For pictures, sounds and volumes.");
        if (!option_at(type, 0))
            continue;
        puts(".RS");
        for (int k = 0; (o = option_at(type, k)); k++) {
            printf(".TP\n\\fB%s\\fR=\\fI", o->key);
            print_range(o);
            printf("\\fR\n%s; default ", o->meaning);
            print_default(o);
            puts(".");
        }
        puts(".RE");
    }
}

void words_roff_networks(void)
{
    for (int i = 0; wf_net_names[i]; i++) {
        wf_net_text net = wf_net_describe(i);
        printf(".TP\n.B %s\n%s.\nDefaults:", wf_net_names[i], net.summary);
        if (net.width)
            printf(" width %d%s", net.width, net.blocks ? "," : ".");
        if (net.blocks)
            printf(" blocks %d%s", net.blocks, net.heads ? "," : ".");
        if (net.heads)
            printf(" heads 4, or 2 or 1 where 4 does not divide the width.");
        if (!net.width)
            printf(" none; width and blocks are refused.");
        else if (!net.blocks)
            printf(" It has no blocks.");
        putchar('\n');
    }
}

void words_completion(void)
{
    const wf_bijector_type *type;
    const wf_bijector_option *o;
    for (int i = 0; (type = wf_bijector_row(i)); i++) {
        printf("chain\t%s\t", type->name);
        for (int k = 0; (o = option_at(type, k)); k++) {
            printf("%s%s=", k ? " " : "", o->key);
            for (int v = 0; o->names && o->names[v]; v++)
                printf("%s%s", v ? "|" : "", o->names[v]);
        }
        printf("%s\t-\t%s\n", option_at(type, 0) ? "" : "-", type->summary);
    }
}
