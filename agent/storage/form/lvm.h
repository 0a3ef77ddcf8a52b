/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_STORAGE_FORM_LVM_H
#define BERTH_AGENT_STORAGE_FORM_LVM_H
/* The one place that runs lvm(8). Theory of operation in lvm.c. Blocks: workers only. */
#include <jansson.h>
#include <stdbool.h>
#include <glib.h>
#include "agent/jobs.h"
#include "common/error.h"

/* Runs "lvm <words>" (NULL-terminated) with these devices (paths, char *) and no others. What it says is the message. ret_output may be NULL (g_free) */
bool lvm_run(const GPtrArray *paths, enum error_code code, char **ret_output, GError **error, const char *const *words);
#define LVM(paths, code, error, ...) lvm_run(paths, code, NULL, error, (const char *const[]){ __VA_ARGS__, NULL })
/* pvmove, for as long as it takes: the job's progress, and its cancel (ERR_TASK_ABORTED: what is moved stays so). */
bool lvm_move(const GPtrArray *paths, struct job *job, GError **error, const char *const *words);
/* Rows of a report ("vgs", "-o", ...): an array of objects of texts, sizes in bytes. NULL + error; new reference */
json_t *lvm_rows(const GPtrArray *paths, GError **error, const char *const *words);
#define LVM_ROWS(paths, error, ...) lvm_rows(paths, error, (const char *const[]){ __VA_ARGS__, NULL })
const char *lvm_text(const json_t *row, const char *column);             /* "" when there is none */
int64_t lvm_number(const json_t *row, const char *column);

#endif
