/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs, seen after each connect to libvirt: at the agent's start (the table is empty), or when libvirt was away for a while.
 *
 *   domain with our metadata, not in the table   -> a VM again, with start time, parameters and custom properties of its metadata
 *   domain in the table                          -> its state is taken over
 *   domain of a VM whose start failed because libvirt went away: it was told to be Down, so it is ended - somebody may run it elsewhere by now
 *   VM in the table, no domain                   -> Down, reason 9 (nobody saw its end); one whose start is still queued is left to its lane
 *   domain without our metadata                  -> somebody else's, left alone
 *
 * Before a connection is handed out, on the worker that opened it. It costs two calls and one XML a VM: far below a second for hundreds.
 */
#define LOG_MODULE "virt"
#include <libvirt/virterror.h>
#include <stdlib.h>
#include "agent/virt/vm.h"
#include "common/lock.h"
#include "common/log.h"

static void revive(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	if (vm->status == VM_WIRE_DOWN)
		vm->status = VM_WIRE_WAIT_FOR_LAUNCH;
}

static bool was_told_down(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->start_unknown;
}

static void start_is_known(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	vm->start_unknown = false;
}

static void see(struct vms *vms, virDomainPtr domain, GHashTable *seen)
{
	char id[VIR_UUID_STRING_BUFLEN], *xml;
	struct domain_info *info = NULL;
	AUTO_VM vm = NULL;
	bool ours = false;

	if (virDomainGetUUIDString(domain, id) < 0)
		return;
	vm = vms_lookup(vms, id);
	if (!vm) {
		xml = virDomainGetXMLDesc(domain, 0);
		info = xml ? domain_info_read(xml, &ours, NULL) : NULL;
		free(xml);
		domain_info_unref(info);
		if (!ours) {
			log_debug("domain %s is not ours", id);
			return;
		}
		vm = vm_new(vms, id);
		(void)vms_add(vms, vm, NULL);
		log_info("VM %s runs: recovered", id);
	}
	g_hash_table_add(seen, g_strdup(id));
	if (was_told_down(vm)) {
		log_warn("VM %s runs although its start failed when libvirt went away: ending it", id);
		/* libvirt may have ended it on its own, having found it half made */
		if (virDomainDestroy(domain) == 0 || libvirt_error_code() == VIR_ERR_NO_DOMAIN || libvirt_error_code() == VIR_ERR_OPERATION_INVALID)
			start_is_known(vm);
		else
			log_error("VM %s runs and cannot be ended: %s", id, virGetLastErrorMessage());
		return;
	}
	revive(vm);
	vm_adopt(vm, domain);
}

static bool is_missing(struct vm *vm, GHashTable *seen)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm_is_running_status(vm->status) && !g_hash_table_contains(seen, vm->id);
}

bool recovery_run(struct vms *vms, virConnectPtr conn, GError **error)
{
	GHashTable *seen;
	GPtrArray *all;
	virDomainPtr *domains = NULL;
	int n = virConnectListAllDomains(conn, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);

	if (n < 0) {
		libvirt_error_set(error, ERR_UNEXPECTED_ERROR, "list domains");
		return false;
	}
	seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	all = vms_all(vms);             /* before: a VM that starts meanwhile is not missing */
	for (int i = 0; i < n; i++) {
		see(vms, domains[i], seen);
		virDomainFree(domains[i]);
	}
	free(domains);
	for (guint i = 0; i < all->len; i++) {
		if (!g_hash_table_contains(seen, ((struct vm *)all->pdata[i])->id))
			start_is_known(all->pdata[i]);
		if (is_missing(all->pdata[i], seen))
			vm_set_down(all->pdata[i], 1, VM_EXIT_DOMAIN_MISSING, "The VM ended while libvirt was not connected");
	}
	g_ptr_array_unref(all);
	g_hash_table_destroy(seen);
	return true;
}
