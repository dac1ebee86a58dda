/* linkage.h - C linkage for C++ programs: every public header puts its declarations between WF_BEGIN and WF_END */
#ifndef WF_LINKAGE_H
#define WF_LINKAGE_H

#ifdef __cplusplus
#define WF_BEGIN extern "C" {
#define WF_END }
#else
#define WF_BEGIN
#define WF_END
#endif

#endif
