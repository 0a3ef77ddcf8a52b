/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM that an I/O error paused goes on by itself when its storage can be written to again, and thin volumes are extended before a VM comes to their end.
 *
 *   t=0       QEMU cannot write, and stops the VM (error_policy=stop): Paused, pauseCode ENOSPC, EIO, ... and the disk in `ioerror`
 *   t=2 s     the disks of which QEMU says that they are in error are looked at: is the storage there, is there room (storage_extend())?
 *             yes: virDomainResume; QEMU writes again what failed, nothing is lost. No, or it stops again: after twice the time, up to a minute
 *   t=80 s    still paused, and resumeBehavior is "kill": powered off, exit reason 14 (vms.c, [vm] kill_paused_time)
 *
 * The metadata's resumeBehavior decides, as with vdsm: auto_resume (also when there is none), kill (this, until its time is over), leave_paused (nothing
 * of all this). Who pauses such a VM with VM.pause wants it to stay so: it waits for VM.cont.
 *
 * Looking has a lane of its own, "resume/<vm>": storage that hangs holds up nothing else.
 */
#define LOG_MODULE "resume"
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include "agent/storage/storage.h"
#include "agent/virt/disk/disk_chain.h"
#include "agent/virt/news.h"
#include "agent/virt/vm.h"
#include "common/xml.h"
#include "common/lock.h"
#include "common/log.h"

#define LOOK_MIN_USEC (2 * G_USEC_PER_SEC)
#define LOOK_MAX_USEC (60 * G_USEC_PER_SEC)

/* ---- the error ---- */

static const char *pause_code(const char *reason)
{
	if (reason && !strcmp(reason, "enospc"))
		return "ENOSPC";
	if (reason && (!strcmp(reason, "eio") || !*reason))
		return "EIO";
	return reason && (!strcmp(reason, "eperm") || !strcmp(reason, "eacces")) ? "EPERM" : "EOTHER";
}

static void run_hook(struct vm *vm, void *data)
{
	(void)vm_hook(vm, "on_vm_io_error", data, NULL, NULL, NULL);
	free(data);
}

/* QEMU tells of each request that failed; of the first one, until the VM runs again, the scripts hear. */
void vm_set_io_error(struct vm *vm, const char *reason, const char *disk, const char *path)
{
	const char *code = pause_code(reason);
	json_t *told = NULL;
	char *text;

	{
		AUTO_LOCK(&vm->vms->lock);
		const struct domain_disk *known = domain_info_disk(vm->info, disk);
		bool first = !vm->ioerror;

		json_decref(vm->ioerror);
		vm->ioerror = json_pack("{s:s, s:s, s:s}", "alias", known && known->alias ? known->alias : disk ? disk : "", "name", known ? known->target : "",
					"path", path ? path : known && known->path ? known->path : "");
		if (first)
			told = json_copy(vm->ioerror);
	}
	vm_set_paused(vm, code);
	news_tell(vm, NEWS_IO_ERROR, NULL, 0);
	if (!told)
		return;
	json_object_set_new(told, "reason", json_string(reason ? reason : ""));
	json_object_set_new(told, "pauseCode", json_string(code));
	text = json_dumps(told, JSON_COMPACT);
	json_decref(told);
	if (!vm_queue_on(vm, "hook", "on_vm_io_error", run_hook, text, free, NULL))
		free(text);
}

static GPtrArray *chains_of(struct vm *vm)
{
	g_autofree char *xml = vm_xml(vm);
	g_autoptr(xmlDoc) doc = xml ? xml_parse(xml, strlen(xml), NULL) : NULL;

	return disk_chains_read(doc ? xmlDocGetRootElement(doc) : NULL);
}

/* Room for what the disk writes to. One without a file (a network disk) is somebody else's: fine. */
static bool make_room(struct vm *vm, const GPtrArray *chains, const char *target, GError **error)
{
	const struct disk_key key = { .target = target };
	const struct disk_chain *chain = disk_chains_find(chains, &key);
	const struct disk_layer *active = chain && chain->layers->len ? chain->layers->pdata[0] : NULL;
	struct storage_disk disk;

	if (!active || *active->path != '/')
		return true;
	disk = (struct storage_disk){ .domain = chain->domain, .image = chain->image, .volume = chain->volume, .path = active->path };
	if (storage_extend(vm->vms->agent->storage, &disk, error))
		return true;
	error_wrap(error, "disk %s", target);
	return false;
}

/* ---- going on ---- */

/* All disks in error can be written to. */
static bool is_mended(struct vm *vm, virDomainPtr domain, GError **error)
{
	g_autoptr(GPtrArray) chains = chains_of(vm);
	virDomainDiskErrorPtr errors = g_new0(virDomainDiskError, chains->len + 1);
	int n = virDomainGetDiskErrors(domain, errors, chains->len, 0);
	bool good = n >= 0;

	if (n < 0)
		libvirt_error_set(error, ERR_UNEXPECTED_ERROR, "disks in error");
	for (int i = 0; i < n; i++) {
		good = good && make_room(vm, chains, errors[i].disk, error);
		free(errors[i].disk);
	}
	g_free(errors);
	return good;
}

static bool is_to_go_on(struct vm *vm)
{
	AUTO_LOCK(&vm->vms->lock);
	return vm->status == VM_WIRE_PAUSED && vm->paused_by_error_usec && !vm->keep_paused;
}

static void look(struct vm *vm, void *unused)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(virDomain) domain = vm_domain(vm, &error);

	if (domain && is_mended(vm, domain, &error) && is_to_go_on(vm)) {
		log_info("VM %s goes on: its disks can be written to again", vm->id);
		if (virDomainResume(domain) < 0)
			libvirt_error_set(&error, ERR_UNEXPECTED_ERROR, "resume");
	}
	if (error)
		log_info("VM %s stays paused: %s", vm->id, error->message);
	AUTO_LOCK(&vm->vms->lock);
	vm->resume_wait_usec = MIN(vm->resume_wait_usec * 2, LOOK_MAX_USEC);
	vm->resume_at_usec = now_usec() + vm->resume_wait_usec;
	vm->resume_queued = false;
}

void resume_tick(struct vm *vm, int64_t now)
{
	bool waits = vm->status == VM_WIRE_PAUSED && vm->paused_by_error_usec && !vm->keep_paused && vm->info && !vm->info->leave_paused;

	if (!waits) {
		/* one that stops again at once is the same trouble */
		if (vm->status != VM_WIRE_PAUSED && now > vm->resume_at_usec)
			vm->resume_wait_usec = 0;
		return;
	}
	if (!vm->resume_wait_usec) {
		vm->resume_wait_usec = LOOK_MIN_USEC;
		vm->resume_at_usec = now + LOOK_MIN_USEC;
	}
	if (!vm->resume_queued && now >= vm->resume_at_usec)
		vm->resume_queued = vm_queue_on(vm, "resume", "can it go on?", look, NULL, NULL, NULL);
}

/* ---- thin volumes ---- */

static void arm(struct vm *vm, void *unused)
{
	g_autoptr(GPtrArray) chains = chains_of(vm);

	for (guint i = 0; i < chains->len; i++) {
		const struct disk_chain *chain = chains->pdata[i];
		const struct disk_layer *active = chain->layers->len ? chain->layers->pdata[0] : NULL;
		const struct storage_disk disk = { chain->domain, chain->image, chain->volume, active ? active->path : NULL };
		int64_t mark = active && chain->volume ? storage_watermark(vm->vms->agent->storage, &disk) : 0;
		g_autoptr(virDomain) domain = mark ? vm_domain(vm, NULL) : NULL;
		g_autofree char *name = NULL;

		if (!domain)
			continue;
		name = g_strdup_printf("%s[%d]", chain->target, active->index);
		if (virDomainSetBlockThreshold(domain, name, (unsigned long long)mark, 0) < 0)
			log_warn("VM %s, disk %s: no watermark: %s", vm->id, chain->target, virGetLastErrorMessage());
	}
}

static void extend(struct vm *vm, void *data)
{
	g_autofree char *target = data;
	g_autoptr(GPtrArray) chains = chains_of(vm);
	g_autoptr(GError) error = NULL;

	if (make_room(vm, chains, target, &error))
		log_info("VM %s has written disk %s up to its watermark: there is room for more", vm->id, target);
	else
		log_warn("VM %s has written up to its watermark and will pause when there is no room: %s", vm->id, error->message);
	arm(vm, NULL);
}

void watermark_arm(struct vm *vm)
{
	g_autoptr(GError) error = NULL;

	if (!vm_queue_on(vm, "resume", "watermarks", arm, NULL, NULL, &error))
		log_warn("VM %s: no watermarks: %s", vm->id, error->message);
}

void watermark_reached(struct vm *vm, const char *name)
{
	char *target = g_strndup(name, strcspn(name, "["));

	if (!vm_queue_on(vm, "resume", "room for a thin volume", extend, target, g_free, NULL))
		g_free(target);
}
