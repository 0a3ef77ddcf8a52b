/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flow/vm_definition.h"

#include <string.h>

#include "common/error.h"
#include "engine/flow/iso_disc.h"
#include "engine/flow/vm_limits.h"
#include "engine/model/cdrom.h"
#include "engine/model/cluster.h"
#include "engine/model/disk.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/network.h"
#include "engine/model/nic.h"
#include "engine/model/vnic_profile.h"

#define MIB (1024 * 1024)

struct vm *vm_for_run(const struct vm *vm, GError **error)
{
	struct vm *copy = record_copy(vm);

	if (vm->run_once) {
		struct record_input input = { .dialect = RECORD_STORE };
		struct vm *once = record_from_json(&vm_type, vm->run_once, &input, error);

		record_input_clear(&input);
		if (!once) {
			record_unref(copy);
			return NULL;
		}
		record_overlay(copy, once);
		record_unref(once);
	}
	return copy;
}

char *vm_data_center(struct engine *engine, const struct vm *vm)
{
	struct cluster *cluster = model_get(engine->model, &cluster_kind, vm->cluster.id);
	char *id = cluster ? g_strdup(cluster->data_center.id) : NULL;

	record_unref(cluster);
	return id;
}

static char *boot_letters(const struct vm *vm)
{
	static const char letters[BOOT_DEVICE_MAX] = { [BOOT_HD] = 'c', [BOOT_CDROM] = 'd', [BOOT_NETWORK] = 'n' };
	GString *boot = g_string_new(NULL);

	for (guint i = 0; vm->boot && i < vm->boot->len; i++)
		g_string_append_c(boot, letters[((const struct boot_item *)vm->boot->pdata[i])->dev]);
	return g_string_free(boot, !boot->len);
}

static bool add_disks(struct engine *engine, const struct vm *vm, const char *pool, struct vm_params *params, GError **error)
{
	static const char *const buses[DISK_INTERFACE_MAX] = { [DISK_IDE] = "sata", [DISK_VIRTIO] = "virtio", [DISK_VIRTIO_SCSI] = "scsi" };
	g_autoptr(GPtrArray) disks = model_children(engine->model, &disk_kind, vm->id);
	int next[DISK_INTERFACE_MAX] = { 0 };

	for (guint i = 0; i < disks->len; i++) {
		const struct disk *disk = disks->pdata[i];
		struct vm_device *device;

		if (!disk->active)
			continue;
		if (disk->state != DISK_OK) {
			error_set(error, ERR_OPERATION_FAILED, "disk '%s' is %s", disk->name ? disk->name : disk->id, disk_state_names[disk->state]);
			return false;
		}
		device = list_add(&params->devices, &vm_device_type);
		set_string(&device->type, "disk");
		set_string(&device->device, "disk");
		set_string(&device->iface, buses[disk->interface]);
		SET(device, index, next[disk->interface]++);
		if (disk_is_lun(disk)) {
			set_string(&device->guid, object_id(disk->logical_units->pdata[0]));
		} else {
			set_string(&device->pool_id, pool);
			set_string(&device->domain_id, disk_domain(disk));
			set_string(&device->image_id, disk->id);
			set_string(&device->volume_id, disk->image_id);
		}
		set_string(&device->format, disk->format == DISK_COW ? "cow" : "raw");
		set_string(&device->serial, disk->id);
		set_string(&device->device_id, disk->id);
		SET(device, readonly, disk->read_only);
		SET(device, shared, disk->shareable);
		SET(device, propagate_errors, disk->propagate_errors);
	}
	return true;
}

/* Map of texts; NULL when there are none. */
static json_t *properties_of(const GPtrArray *properties)
{
	json_t *map = NULL;

	for (guint i = 0; properties && i < properties->len; i++) {
		const struct option_item *property = properties->pdata[i];

		if (!map)
			map = json_object();
		if (property->name)
			json_object_set_new(map, property->name, json_string(property->value ? property->value : ""));
	}
	return map;
}

static bool add_nic(const struct nic *nic, const struct network *network, const struct vnic_profile *profile, struct vm_params *params, GError **error)
{
	static const char *const models[NIC_INTERFACE_MAX] = {
		[NIC_E1000] = "e1000", [NIC_VIRTIO] = "virtio", [NIC_RTL8139] = "rtl8139", [NIC_RTL8139_VIRTIO] = "virtio"
	};
	struct vm_device *device;

	if (profile && profile->pass_through) {
		error_set(error, ERR_UNSUPPORTED_OPERATION, "NIC '%s': vnic_profile '%s' has pass_through: functions of a host's interfaces are not given to VMs yet",
			  nic->name, profile->name);
		return false;
	}
	device = list_add(&params->devices, &vm_device_type);
	set_string(&device->type, "interface");
	set_string(&device->device, "bridge");
	set_string(&device->nic_model, models[nic->interface]);
	set_string(&device->mac_addr, nic->mac);
	set_string(&device->network, network ? network->name : "");
	set_string(&device->device_id, nic->id);
	SET(device, link_active, nic->linked);
	if (profile)
		device->custom = properties_of(profile->custom_properties);
	return true;
}

static bool add_nics(struct engine *engine, const struct vm *vm, struct vm_params *params, GError **error)
{
	g_autoptr(GPtrArray) nics = model_children(engine->model, &nic_kind, vm->id);
	bool ok = true;

	for (guint i = 0; ok && i < nics->len; i++) {
		const struct nic *nic = nics->pdata[i];
		struct network *network = nic->network.id ? model_get(engine->model, &network_kind, nic->network.id) : NULL;
		struct vnic_profile *profile = nic->vnic_profile.id ? model_get(engine->model, &vnic_profile_kind, nic->vnic_profile.id) : NULL;

		ok = !nic->plugged || add_nic(nic, network, profile, params, error);
		record_unref(profile);
		record_unref(network);
	}
	return ok;
}

const char *vm_disc(const struct vm *vm)
{
	const struct cdrom *cdrom = vm->cdroms && vm->cdroms->len ? vm->cdroms->pdata[0] : NULL;

	return cdrom && cdrom->file && *cdrom->file ? cdrom->file : NULL;
}

/* Each VM has one drive, with or without a disc. After the disks: it takes the first place that they leave. */
static bool add_drive(struct engine *engine, const struct vm *vm, const char *data_center, struct vm_params *params, GError **error)
{
	const char *disc = vm_disc(vm);
	g_autofree char *path = disc ? iso_disc_path(engine, data_center, disc, vm->host.id, error) : NULL;
	struct vm_device *device;

	if (disc && !path)
		return false;
	device = list_add(&params->devices, &vm_device_type);
	set_string(&device->type, "disk");
	set_string(&device->device, "cdrom");
	set_string(&device->iface, "sata");
	set_string(&device->path, path ? path : "");
	set_string(&device->format, "raw");
	SET(device, readonly, true);
	return true;
}

struct vm_create_params *vm_definition(struct engine *engine, const struct vm *stored, bool paused, GError **error)
{
	struct vm *vm = vm_for_run(stored, error);
	struct vm_create_params *create;
	struct vm_params *params;
	struct vm_device *graphics;
	g_autofree char *pool = NULL;

	if (!vm)
		return NULL;
	pool = vm_data_center(engine, vm);
	create = record_new(&vm_create_params_type);
	params = create->params = record_new(&vm_params_type);
	set_string(&create->vm_id, vm->id);
	set_string(&params->vm_id, vm->id);
	set_string(&params->vm_name, vm->name);
	SET(params, mem_size, vm->memory / MIB);
	if (HAS(vm, memory_guaranteed))
		SET(params, mem_guaranteed, vm->memory_guaranteed / MIB);
	SET(params, smp, MAX(vm->sockets, 1) * MAX(vm->cores, 1) * MAX(vm->threads, 1));
	SET(params, smp_cores_per_socket, MAX(vm->cores, 1));
	SET(params, smp_threads_per_core, MAX(vm->threads, 1));
	if (vm->cpu_shares)
		SET(params, cpu_shares, vm->cpu_shares);
	if (HAS(vm, cpu_mode) && vm->cpu_mode != CPU_MODE_CUSTOM)
		set_string(&params->cpu_type, vm->cpu_mode == CPU_MODE_HOST_PASSTHROUGH ? "hostPassthrough" : "hostModel");
	set_string(&params->kernel, vm->os_kernel);
	set_string(&params->initrd, vm->os_initrd);
	set_string(&params->kernel_args, vm->os_cmdline);
	params->boot = boot_letters(vm);
	SET(params, boot_menu, vm->boot_menu);
	SET(params, balloon_enabled, !HAS(vm, ballooning) || vm->ballooning);
	/* A guest that goes on from its memory is let run when its memory is known to be in it: vm_flow.c */
	SET(params, launch_paused, paused || vm_has_saved_memory(vm));
	set_string(&params->keyboard_layout, vm->display_keyboard_layout);
	set_string(&params->time_zone, vm->timezone);
	if (vm_has_saved_memory(vm))
		params->memory_dump = json_pack("{s:O, s:O, s:O, s:O}", "poolID", json_object_get(vm->memory_volume, "pool"), "domainID",
						json_object_get(vm->memory_volume, "domain"), "imageID", json_object_get(vm->memory_volume, "image"),
						"volumeID", json_object_get(vm->memory_volume, "volume"));
	graphics = list_add(&params->devices, &vm_device_type);
	set_string(&graphics->type, "graphics");
	set_string(&graphics->device, vm->display_type == DISPLAY_SPICE ? "spice" : "vnc");
	params->custom = properties_of(vm->custom_properties);
	if (!add_disks(engine, vm, pool, params, error) || !add_drive(engine, vm, pool, params, error) || !add_nics(engine, vm, params, error)) {
		record_unref(create);
		create = NULL;
	} else {
		vm_limits_put(vm->limits, params);
	}
	record_unref(vm);
	return create;
}
