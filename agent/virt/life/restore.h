/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_LIFE_RESTORE_H
#define BERTH_AGENT_VIRT_LIFE_RESTORE_H
/* Saved memory and the VM that goes on from it. Theory of operation in restore.c. */
#include <libvirt/libvirt.h>
#include <stdbool.h>
#include <glib.h>
#include "agent/virt/life/memory_volume.h"

/*
 * The XML to restore the files' memory with (with passwords; g_free). fresh: what VM.create asked for now. ret_from_snapshot: the description says so, or some
 * disk is another volume than when the memory was saved. Errors say which file is wrong and why: not of that VM, incomplete, no saved memory at all. Worker.
 */
bool restore_prepare(virConnectPtr conn, const char *vm_id, const struct memory_files *files, const char *fresh, char **ret_xml, bool *ret_from_snapshot,
		     GError **error);

/* The pure part, for tests. start_time: epoch, s; 0: as saved. ret_moved: some disk is another volume. */
bool restore_fit(const char *vm_id, const char *saved, const char *fresh, double start_time, char **ret_xml, bool *ret_moved, GError **error);

#endif
