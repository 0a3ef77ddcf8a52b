/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_COMMON_LOG_H
#define BERTH_COMMON_LOG_H
/*
 * The flight recorder.
 *
 * Every line goes, at any level, into a bounded ring in memory (LOG_RING_BYTES); the lines at or above the configured level
 * also go to standard error (with a journal level prefix "<N>" when stderr is the journal: JOURNAL_STREAM is set). The ring
 * is written out on request, on the failure of a job, and on a crash (log_dump_on_crash()). Never log secrets.
 *
 * A source file names its module once, before use:   #define LOG_MODULE "virt"
 * Lines carry the context of the thread: log_context_set(vm_id, flow_id).
 */
#include <glib.h>
#include <stdbool.h>

#define LOG_RING_BYTES (1024 * 1024)

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVEL_TRACE, LOG_LEVEL_MAX, LOG_LEVEL_INVALID = -1 };

void log_write(enum log_level level, const char *module, const char *format, ...) G_GNUC_PRINTF(3, 4);
#define log_error(...) log_write(LOG_LEVEL_ERROR, LOG_MODULE, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, LOG_MODULE, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, LOG_MODULE, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, LOG_MODULE, __VA_ARGS__)

/* "error" "warn"/"warning" "info" "debug" "trace", vdsm's upper case too; LOG_LEVEL_INVALID if none */
enum log_level log_level_from_name(const char *name);
const char *log_level_name(enum log_level level);

/* Level for stderr: of everything (module NULL or "") or of one module. Thread-safe, at run time. */
void log_set_level(const char *module, enum log_level level);
enum log_level log_get_level(const char *module);

/* Context of the calling thread, copied; NULL clears. */
void log_context_set(const char *vm_id, const char *flow_id);
void log_context_clear(void);

char *log_dump(void);                                      /* the ring, oldest first; g_free */
void log_dump_on_crash(void);                              /* install SIGSEGV/SIGBUS/SIGABRT/SIGFPE/SIGILL handler that writes the ring to stderr */

#endif
