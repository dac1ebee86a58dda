/* peak.h - measurements of bench-level that need no level */
#ifndef WF_BENCH_PEAK_H
#define WF_BENCH_PEAK_H

#include <stdbool.h>

/* Makes the measurement that `text` names, for `seconds`, and prints its lines: peak:NAME (peak.c), conv:OUT:IN:H:N[:K]
 * or maps:C:H:N (slots.c), for which the CPU backend is opened. Ends the program if it cannot. Returns false for other
 * texts. `device` describes the backend. */
bool peak_job(const char *text, int threads, double seconds, const char *device);
bool slot_job(const char *text, int threads, double seconds);

#endif
