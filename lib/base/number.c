/* number.c - a locale of one thread, for the time of a call */
#include "number.h"

#include <locale.h>
#include <stdatomic.h>
#include <stdlib.h>

/* The C locale, made once. Without memory for it, the caller's locale stays in use. */
static locale_t points(void)
{
    static _Atomic(locale_t) made;
    locale_t now = atomic_load(&made), none = (locale_t)0;
    if (now)
        return now;
    now = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!now || atomic_compare_exchange_strong(&made, &none, now))
        return now;
    freelocale(now);
    return none;
}

double wf_strtod(const char *text, char **end)
{
    locale_t before = uselocale(points());
    double value = strtod(text, end);
    uselocale(before);
    return value;
}

int wf_vsnprintf(char *out, size_t size, const char *format, va_list ap)
{
    locale_t before = uselocale(points());
    int n = vsnprintf(out, size, format, ap);
    uselocale(before);
    return n;
}

int wf_snprintf(char *out, size_t size, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = wf_vsnprintf(out, size, format, ap);
    va_end(ap);
    return n;
}

int wf_vfprintf(FILE *file, const char *format, va_list ap)
{
    locale_t before = uselocale(points());
    int n = vfprintf(file, format, ap);
    uselocale(before);
    return n;
}

int wf_fprintf(FILE *file, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = wf_vfprintf(file, format, ap);
    va_end(ap);
    return n;
}
