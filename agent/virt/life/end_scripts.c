/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scripts that know of a VM are told that it is gone, once: after_vm_destroy, and after_device_destroy for each device with properties. Also when it ended
 * while the agent was dead: the last known XML of each VM that they know of is run_dir/ends/<id>.xml until they were told. What an agent finds there at
 * its start of VMs that neither run nor are looked for by a job (a migration, a hibernation) it tells. One that was killed while the scripts ran tells
 * them anew. A host that started anew has no such files: what scripts did on it for its VMs is gone with them.
 */
#define LOG_MODULE "virt"
#include "agent/virt/life/end_scripts.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/virt/device/device_hooks.h"
#include "agent/virt/migration/migration.h"
#include "common/lock.h"
#include "common/log.h"

#define SUFFIX ".xml"

char *end_scripts_dir(const char *run_dir, GError **error)
{
	char *dir = g_build_filename(run_dir, "ends", NULL);

	if (mkdir(dir, 0700) == 0 || errno == EEXIST)
		return dir;
	error_set_errno(error, ERR_IO_FAILED, errno, "directory %s", dir);
	g_free(dir);
	return NULL;
}

static char *path_of(const struct vm *vm)
{
	return g_strdup_printf("%s/%s" SUFFIX, vm->vms->ends_dir, vm->id);
}

/* g_free; NULL: nothing is owed, or what is there is right */
static char *new_xml(struct vm *vm, unsigned *ret_version)
{
	AUTO_LOCK(&vm->vms->lock);
	*ret_version = vm->xml_version;
	return vm->end_owed && vm->xml_kept != vm->xml_version ? g_strdup(vm->xml) : NULL;
}

static void set_kept(struct vm *vm, unsigned version)
{
	AUTO_LOCK(&vm->vms->lock);
	vm->xml_kept = version;
}

void end_scripts_keep(struct vm *vm)
{
	g_autofree char *path = path_of(vm), *xml = NULL;
	g_autoptr(GError) error = NULL;
	unsigned version;

	AUTO_LOCK(&vm->end_lock);
	if (!(xml = new_xml(vm, &version)))
		return;
	if (g_file_set_contents_full(path, xml, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &error))
		set_kept(vm, version);
	else
		log_warn("VM %s: if it ends while this agent is dead its scripts are not told: %s", vm->id, error->message);
}

void end_scripts_owe(struct vm *vm)
{
	{
		AUTO_LOCK(&vm->vms->lock);
		if (!vm->end_owed)
			vm->xml_kept = 0;
		vm->end_owed = true;
	}
	end_scripts_keep(vm);
}

void vm_tell_end(struct vm *vm, void *unused)
{
	g_autofree char *path = path_of(vm);

	{
		AUTO_LOCK(&vm->vms->lock);
		if (!vm->end_owed)
			return;
		vm->end_owed = false;
		vm->telling_end = true;
	}
	(void)vm_hook(vm, "after_vm_destroy", NULL, NULL, NULL, NULL);
	(void)device_hooks(vm, "after_device_destroy", NULL, NULL, NULL);
	{
		AUTO_LOCK(&vm->end_lock);
		if (unlink(path) < 0 && errno != ENOENT)
			log_warn("VM %s: the scripts of its end will run again: %s: %s", vm->id, path, g_strerror(errno));
	}
	AUTO_LOCK(&vm->vms->lock);
	vm->telling_end = false;
}

/* ---- after a start ---- */

void end_scripts_recall(struct vm *vm)
{
	g_autofree char *path = path_of(vm), *xml = NULL;

	if (!g_file_get_contents(path, &xml, NULL, NULL))
		return;
	if (!vm->info)
		vm_take_xml(vm, xml);
	AUTO_LOCK(&vm->vms->lock);
	vm->end_owed = true;
	if (!vm->custom && vm->info)
		vm->custom = json_incref(vm->info->custom);
}

static void tell(struct vms *vms, const char *id)
{
	AUTO_VM vm = vm_new(vms, id);
	g_autoptr(GError) error = NULL;

	vm->status = VM_WIRE_DOWN;              /* nobody else knows it */
	end_scripts_recall(vm);
	log_info("VM %s ended while no agent was there: its scripts are told", id);
	if (!vm_queue(vm, "scripts of its end", vm_tell_end, NULL, NULL, &error))
		log_warn("VM %s: its scripts are not told of its end: %s", id, error->message);
}

void end_scripts_resumed(struct vms *vms)
{
	g_autoptr(GDir) files = g_dir_open(vms->ends_dir, 0, NULL);
	const char *file;

	while (files && (file = g_dir_read_name(files))) {
		g_autofree char *id = g_str_has_suffix(file, SUFFIX) ? g_strndup(file, strlen(file) - strlen(SUFFIX)) : NULL;
		AUTO_VM vm = id ? vms_lookup(vms, id) : NULL;

		if (id && g_uuid_string_is_valid(id) && !vm && !migration_has_job(vms, id))
			tell(vms, id);
	}
}
