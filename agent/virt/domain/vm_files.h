/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_AGENT_VIRT_DOMAIN_VM_FILES_H
#define BERTH_AGENT_VIRT_DOMAIN_VM_FILES_H
/*
 * What exists on the host for one run of a VM, as files <vm id>.<what> in run_dir/vms:
 *
 *	<vm>.<target>.img      image of a payload disk
 *	<vm>.<uuid>.mdev       empty: a mediated device of that uuid was made
 *	<vm>.sock              socket of its serial console, made by QEMU
 */
#include <stdbool.h>
#include <glib.h>

struct vms;

/* The directory, made when missing; g_free. NULL + ERR_IO_FAILED */
char *vm_files_dir(const char *run_dir, GError **error);
/* Makes what the orders (struct domain_order) say. On failure nothing of the VM is left. Worker. */
bool vm_files_make(const char *dir, const char *vm_id, const GPtrArray *orders, GError **error);
/* All of a VM that does not run any more. */
void vm_files_remove(const char *dir, const char *vm_id);
/* All of VMs that do not run: an agent that was killed left them. */
void vm_files_sweep(const char *dir, bool (*runs)(void *data, const char *vm_id), void *data);

#endif
