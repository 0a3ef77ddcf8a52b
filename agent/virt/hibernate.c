/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Saving a VM's memory to a volume, and where it is read from when the VM goes on.
 *
 * VM.hibernate answers when the saving is queued on the VM's lane: Saving State -> Down with reason 5 (libvirt's "saved" event says so), or running again
 * with the error in the log when it could not be saved. VM.create with memoryDumpVolume restores instead of starting (lifecycle.c).
 */
#define LOG_MODULE "virt"
#include <string.h>
#include "agent/storage/storage.h"
#include "agent/virt/vm.h"
#include "common/error.h"
#include "common/lock.h"
#include "common/log.h"

/* {poolID, domainID, imageID, volumeID}, or "domain,pool,image,volume,..." */
bool vm_memory_path(struct agent *agent, const json_t *handle, char **ret_path, GError **error)
{
	const char *domain = json_string_value(json_object_get(handle, "domainID")), *image = json_string_value(json_object_get(handle, "imageID"));
	const char *volume = json_string_value(json_object_get(handle, "volumeID")), *format;
	g_auto(GStrv) parts = g_strsplit(json_is_string(handle) ? json_string_value(handle) : "", ",", -1);

	if (g_strv_length(parts) >= 4) {
		domain = parts[0];
		image = parts[2];
		volume = parts[3];
	}
	if (!domain || !image || !volume) {
		error_set(error, ERR_INVALID_PARAMETER, "volume for the memory: domainID, imageID and volumeID are needed");
		return false;
	}
	return storage_prepare(agent->storage, domain, image, volume, ret_path, &format, error);
}

static void save(struct vm *vm, void *data)
{
	g_autofree char *path = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(virDomain) domain = vm_domain(vm, &error);

	if (domain && virDomainSaveFlags(domain, path, NULL, 0) < 0)
		libvirt_error_set(&error, ERR_UNEXPECTED_ERROR, "save VM %s", vm->id);
	if (error && !(domain && virDomainIsActive(domain) == 1)) {
		log_warn("VM %s: saving: %s, ignoring: the news of its end says how it ended", vm->id, error->message);
	} else if (error && vm_check_running(vm, NULL)) {
		log_error("VM %s goes on, its memory could not be saved: %s", vm->id, error->message);
		vm_set_running(vm);
	} else if (!error) {
		(void)vm_hook(vm, "after_vm_hibernate", NULL, NULL, /* may_fail= */ false, NULL, NULL);
	}
}

/* An engine that was restarted asks again for what is under way: a second saving would find the VM gone and call the first one failed. */
static bool is_saving(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->status == VM_WIRE_SAVING;
}

bool vm_hibernate_verb(struct agent *agent, const struct verb_call *call, void *params, GString *ret_result, GError **error)
{
	const struct vm_hibernate_params *p = params;
	AUTO_VM vm = vms_find(agent->vms, p->vm_id, error);
	g_autofree char *path = NULL;

	if (vm && is_saving(vm))
		return true;
	if (!vm || !vm_check_running(vm, error) || !vm_memory_path(agent, p->handle, &path, error) ||
	    !vm_hook(vm, "before_vm_hibernate", NULL, NULL, /* may_fail= */ true, NULL, error))
		return false;
	vm_set_status(vm, VM_WIRE_SAVING);
	if (!vm_queue(vm, "save", save, path, g_free, error)) {
		vm_set_running(vm);
		return false;
	}
	path = NULL;
	return true;
}
