/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_KSM_H
#define BERTH_AGENT_KSM_H
/* Kernel samepage merging: what the kernel says and how it is set (Linux, Documentation/admin-guide/mm/ksm.rst). */
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#define KSM_DIRECTORY "/sys/kernel/mm/ksm"

struct ksm { bool there, run, merge_across_nodes; int pages_to_scan; int64_t shared_kib; };
void ksm_read(const char *directory, struct ksm *ret);
/* {"run" 0..2, "pages_to_scan", "sleep_millisecs", "merge_across_nodes" 0..1}, any of them; numbers, texts or booleans. All are checked before the first
 * is written. Pages that are merged are separated first when merge_across_nodes changes (the kernel asks for it); that may take memory.
 * ERR_KSM_UPDATE_FAILED. */
bool ksm_write(const char *directory, const json_t *values, GError **error);
/* % of one CPU that ksmd took since the last call that came at least a second before; 0 at first. Any thread. */
int ksm_cpu(void);

#endif
