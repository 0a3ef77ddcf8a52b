/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm.limits is what the agent was told last: stored with the reservation of a start, before VM.create, and after each change that an agent took. So the
 * difference to what the model wants says what is left to be told, also after the engine or a host was away.
 *
 * An agent is told on the lane of its VM, where starts are, too; looking at many VMs has lanes of its own.
 *
 * Units: a QoS counts Mbit/s, MB of a burst, MB/s of a disk; libvirt's traffic shaping kB/s (tc's kbps: 1000 bytes) and KiB of a burst, its disks bytes/s.
 */
#include "engine/flow/vm_limits.h"

#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "engine/flow/agent.h"
#include "engine/model/disk.h"
#include "engine/model/disk_profile.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/network.h"
#include "engine/model/nic.h"
#include "engine/model/qos.h"
#include "engine/model/vnic_profile.h"
#include "engine/store/store.h"
#include "proto/device.h"

#define LOG_MODULE "flow"
#define EVENT_LIMITS_FAILED 20354             /* of our own */
#define KBYTES_PER_MBIT 125
#define KIB_PER_MB 1024
#define BYTES_PER_MB (INT64_C(1) << 20)
/* In these an agent has the VM and can change it. */
#define STATES (1u << VM_UP | 1u << VM_POWERING_UP | 1u << VM_POWERING_DOWN | 1u << VM_PAUSED | 1u << VM_REBOOT_IN_PROGRESS)

/* ---- what the model wants ---- */

static struct qos *qos_of(struct model *model, const struct ref *ref, enum qos_class type)
{
	struct qos *qos = ref->id ? model_get(model, &qos_kind, ref->id) : NULL;

	if (!qos || qos->type == (int)type)
		return qos;
	record_unref(qos);
	return NULL;
}

static void set_text(json_t *object, const char *name, int64_t value)
{
	g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value);

	if (value)
		json_object_set_new(object, name, json_string(text));
}

/* An object that says nothing is left out. */
static void set_part(json_t **object, const char *name, json_t *part)
{
	if (!json_object_size(part)) {
		json_decref(part);
		return;
	}
	if (!*object)
		*object = json_object();
	json_object_set_new(*object, name, part);
}

static json_t *disk_limits(struct model *model, const struct disk *disk)
{
	struct disk_profile *profile = disk->disk_profile.id ? model_get(model, &disk_profile_kind, disk->disk_profile.id) : NULL;
	struct qos *qos = profile ? qos_of(model, &profile->qos, QOS_STORAGE) : NULL;
	json_t *limits = json_object();

	if (qos) {
		set_text(limits, "total_bytes_sec", qos->max_throughput * BYTES_PER_MB);
		set_text(limits, "read_bytes_sec", qos->max_read_throughput * BYTES_PER_MB);
		set_text(limits, "write_bytes_sec", qos->max_write_throughput * BYTES_PER_MB);
		set_text(limits, "total_iops_sec", qos->max_iops);
		set_text(limits, "read_iops_sec", qos->max_read_iops);
		set_text(limits, "write_iops_sec", qos->max_write_iops);
	}
	record_unref(qos);
	record_unref(profile);
	return limits;
}

static json_t *direction(int average, int peak, int burst)
{
	json_t *limits = json_object();

	set_text(limits, "average", (int64_t)average * KBYTES_PER_MBIT);
	set_text(limits, "peak", (int64_t)peak * KBYTES_PER_MBIT);
	set_text(limits, "burst", (int64_t)burst * KIB_PER_MB);
	return limits;
}

static json_t *mirrored(struct model *model, const struct nic *nic, const struct vnic_profile *profile)
{
	struct network *network = profile && profile->port_mirroring ? model_get(model, &network_kind, profile->network.id) : NULL;
	json_t *names = json_array();

	if (network)
		json_array_append_new(names, json_string(network->name));
	record_unref(network);
	for (guint i = 0; nic->port_mirroring && i < nic->port_mirroring->len; i++) {
		network = model_get(model, &network_kind, ((const struct object_ref *)nic->port_mirroring->pdata[i])->id);
		if (network && !(json_array_size(names) && !strcmp(json_string_value(json_array_get(names, 0)), network->name)))
			json_array_append_new(names, json_string(network->name));
		record_unref(network);
	}
	return names;
}

static json_t *nic_limits(struct model *model, const struct nic *nic)
{
	struct vnic_profile *profile = nic->vnic_profile.id ? model_get(model, &vnic_profile_kind, nic->vnic_profile.id) : NULL;
	struct qos *qos = profile ? qos_of(model, &profile->qos, QOS_NETWORK) : NULL;
	json_t *limits = json_object(), *shaping = json_object(), *mirror = mirrored(model, nic, profile);

	if (qos) {
		set_part(&shaping, "inbound", direction(qos->inbound_average, qos->inbound_peak, qos->inbound_burst));
		set_part(&shaping, "outbound", direction(qos->outbound_average, qos->outbound_peak, qos->outbound_burst));
	}
	set_part(&limits, "qos", shaping);
	if (json_array_size(mirror))
		json_object_set(limits, "mirror", mirror);
	json_decref(mirror);
	record_unref(qos);
	record_unref(profile);
	return limits;
}

json_t *vm_limits(struct model *model, const struct vm *vm)
{
	g_autoptr(GPtrArray) disks = model_children(model, &disk_kind, vm->id), nics = model_children(model, &nic_kind, vm->id);
	struct cpu_profile *profile = vm->cpu_profile.id ? model_get(model, &cpu_profile_kind, vm->cpu_profile.id) : NULL;
	struct qos *qos = profile ? qos_of(model, &profile->qos, QOS_CPU) : NULL;
	json_t *limits = NULL, *of_disks = NULL, *of_nics = NULL;

	if (qos && qos->cpu_limit)
		limits = json_pack("{s:i}", "cpu", qos->cpu_limit);
	for (guint i = 0; i < disks->len; i++)
		if (((const struct disk *)disks->pdata[i])->active)
			set_part(&of_disks, object_id(disks->pdata[i]), disk_limits(model, disks->pdata[i]));
	for (guint i = 0; i < nics->len; i++)
		if (((const struct nic *)nics->pdata[i])->plugged)
			set_part(&of_nics, object_id(nics->pdata[i]), nic_limits(model, nics->pdata[i]));
	set_part(&limits, "disks", of_disks);
	set_part(&limits, "nics", of_nics);
	record_unref(qos);
	record_unref(profile);
	return limits;
}

void vm_limits_put(const json_t *limits, struct vm_params *params)
{
	if (json_object_get(limits, "cpu"))
		SET(params, vcpu_limit, (int)json_integer_value(json_object_get(limits, "cpu")));
	for (guint i = 0; params->devices && i < params->devices->len; i++) {
		struct vm_device *device = params->devices->pdata[i];
		const char *id = device->device_id ? device->device_id : "";
		json_t *disk = json_object_get(json_object_get(limits, "disks"), id), *nic = json_object_get(json_object_get(limits, "nics"), id);

		if (disk)
			device->spec_params = json_pack("{s:O}", "ioTune", disk);
		if (json_object_get(nic, "qos"))
			device->spec_params = json_deep_copy(json_object_get(nic, "qos"));
		if (json_object_get(nic, "mirror"))
			device->port_mirroring = json_deep_copy(json_object_get(nic, "mirror"));
	}
}

/* ---- telling the agent ---- */

/* vm_id: to tell of; host_id: whose VMs to look at, NULL: all */
struct follow { struct engine *engine; char *vm_id, *host_id; struct actor actor; };

static struct follow *follow_new(struct engine *engine, const char *vm_id, const char *host_id, const struct actor *actor)
{
	struct follow *follow = g_new0(struct follow, 1);

	*follow = (struct follow){ engine, g_strdup(vm_id), g_strdup(host_id), { NULL, NULL, NULL } };
	if (actor)
		follow->actor = (struct actor){ g_strdup(actor->user_id), g_strdup(actor->user_name), g_strdup(actor->correlation_id) };
	return follow;
}

static void follow_free(void *data)
{
	struct follow *follow = data;

	g_free(follow->vm_id);
	g_free(follow->host_id);
	g_free((char *)follow->actor.user_id);
	g_free((char *)follow->actor.user_name);
	g_free((char *)follow->actor.correlation_id);
	g_free(follow);
}

static void submit(struct follow *follow, const char *lane, void (*run)(void *data))
{
	struct lane_job job = { .name = "limits of VMs", .run = run, .data = follow, .free_data = follow_free };
	g_autoptr(GError) error = NULL;

	if (!lane_submit(follow->engine->lanes, lane, &job, &error)) {
		log_warn("limits of VMs: %s, ignoring", error->message);
		follow_free(follow);
	}
}

/* The ids that either has. */
static GHashTable *ids_of(const json_t *one, const json_t *other)
{
	GHashTable *ids = g_hash_table_new(g_str_hash, g_str_equal);
	const char *id;
	json_t *value;

	json_object_foreach((json_t *)one, id, value)
		g_hash_table_add(ids, (gpointer)id);
	json_object_foreach((json_t *)other, id, value)
		g_hash_table_add(ids, (gpointer)id);
	return ids;
}

static bool same(const json_t *one, const json_t *other)
{
	return one == other || (one && other && json_equal(one, other));
}

static bool has_device(struct model *model, const struct kind *kind, const char *id, const struct vm *vm)
{
	void *device = model_get(model, kind, id);
	bool there = device && !g_strcmp0(object_parent(device), vm->id);

	record_unref(device);
	return there;
}

/* Every limit of the disk; those that are not wanted are 0: no limit. */
static void add_disk(struct vm_policy *policy, const char *id, const json_t *limits)
{
	struct io_policy *disk = list_add(&policy->io, &io_policy_type);

	set_string(&disk->image_id, id);
	disk->maximum = record_new(&io_limits_type);
	for (size_t i = 0; i < io_limits_type.n_fields; i++) {
		const struct field *field = &io_limits_type.fields[i];
		const char *text = json_string_value(json_object_get(limits, field->path));

		(void)record_set_text(disk->maximum, field, text ? text : "0", /* error= */ NULL);
	}
}

static bool tell_policy(struct follow *follow, const struct vm *vm, const json_t *wanted, GError **error)
{
	const json_t *disks = json_object_get(wanted, "disks"), *told = json_object_get(vm->limits, "disks");
	struct vm_policy_params *params = record_new(&vm_policy_params_type);
	g_autoptr(GHashTable) ids = ids_of(disks, told);
	GHashTableIter each;
	const char *id;
	bool ok = true;

	set_string(&params->vm_id, vm->id);
	params->params = record_new(&vm_policy_type);
	if (!same(json_object_get(wanted, "cpu"), json_object_get(vm->limits, "cpu")))
		SET(params->params, vcpu_limit, json_object_get(wanted, "cpu") ? (int)json_integer_value(json_object_get(wanted, "cpu")) : 100);
	g_hash_table_iter_init(&each, ids);
	while (g_hash_table_iter_next(&each, (gpointer *)&id, NULL))
		if (!same(json_object_get(disks, id), json_object_get(told, id)) && has_device(follow->engine->model, &disk_kind, id, vm))
			add_disk(params->params, id, json_object_get(disks, id));
	if (HAS(params->params, vcpu_limit) || params->params->io)
		ok = agent_call(follow->engine, vm->host.id, "VM.updateVmPolicy", params, NULL, AGENT_PATIENCE_S, NULL, error);
	record_unref(params);
	return ok;
}

static bool tell_nic(struct follow *follow, const struct vm *vm, const char *id, const json_t *limits, GError **error)
{
	struct device_update_params *params = record_new(&device_update_params_type);
	const json_t *shaping = json_object_get(limits, "qos"), *in = json_object_get(shaping, "inbound"), *out = json_object_get(shaping, "outbound");
	size_t i;
	json_t *network;
	bool ok;

	set_string(&params->vm_id, vm->id);
	params->params = record_new(&device_update_type);
	set_string(&params->params->device_type, "interface");
	params->params->alias = g_strdup_printf("ua-%s", id);
	params->params->spec_params = json_pack("{s:o, s:o}", "inbound", in ? json_deep_copy(in) : json_object(),
						"outbound", out ? json_deep_copy(out) : json_object());
	params->params->port_mirroring = strings_new();
	json_array_foreach(json_object_get(limits, "mirror"), i, network)
		g_ptr_array_add(params->params->port_mirroring, g_strdup(json_string_value(network)));
	ok = agent_call(follow->engine, vm->host.id, "VM.updateDevice", params, NULL, AGENT_PATIENCE_S, NULL, error);
	record_unref(params);
	return ok;
}

static bool tell_nics(struct follow *follow, const struct vm *vm, const json_t *wanted, GError **error)
{
	const json_t *nics = json_object_get(wanted, "nics"), *told = json_object_get(vm->limits, "nics");
	g_autoptr(GHashTable) ids = ids_of(nics, told);
	GHashTableIter each;
	const char *id;
	bool ok = true;

	g_hash_table_iter_init(&each, ids);
	while (ok && g_hash_table_iter_next(&each, (gpointer *)&id, NULL))
		if (!same(json_object_get(nics, id), json_object_get(told, id)) && has_device(follow->engine->model, &nic_kind, id, vm))
			ok = tell_nic(follow, vm, id, json_object_get(nics, id), error);
	return ok;
}

struct told { const char *host_id; const json_t *limits; };

static bool edit_told(void *copy, struct change *change, void *data, GError **error)
{
	const struct told *told = data;
	struct vm *vm = copy;

	if (!vm_is_running(vm) || g_strcmp0(vm->host.id, told->host_id))
		return false;
	json_decref(vm->limits);
	vm->limits = told->limits ? json_deep_copy(told->limits) : NULL;
	return true;
}

static void tell(void *data)
{
	struct follow *follow = data;
	struct vm *vm = model_get(follow->engine->model, &vm_kind, follow->vm_id);
	json_t *wanted = vm ? vm_limits(follow->engine->model, vm) : NULL;
	g_autoptr(GError) error = NULL;

	if (vm && vm->host.id && STATES >> vm->state & 1 && !same(wanted, vm->limits)) {
		struct told told = { vm->host.id, wanted };

		/* What has been told twice does no harm: on a failure in the middle all of the difference stays. */
		if (tell_policy(follow, vm, wanted, &error) && tell_nics(follow, vm, wanted, &error))
			(void)store_modify(follow->engine->store, &vm_kind, vm->id, edit_told, &told, NULL, &error);
		if (error && !agent_is_away(error))
			store_event(follow->engine->store, EVENT_LIMITS_FAILED, &follow->actor, (void *[]){ vm, NULL }, "The limits of VM %s could not be changed: %s",
				    vm->name, error->message);
	}
	json_decref(wanted);
	record_unref(vm);
}

static void look(struct follow *follow, const struct vm *vm)
{
	json_t *wanted = STATES >> vm->state & 1 ? vm_limits(follow->engine->model, vm) : NULL;
	g_autofree char *lane = g_strdup_printf("vms/%s", vm->id);

	if (STATES >> vm->state & 1 && !same(wanted, vm->limits))
		submit(follow_new(follow->engine, vm->id, NULL, &follow->actor), lane, tell);
	json_decref(wanted);
}

static bool runs(const void *record, void *data)
{
	return vm_is_running(record);
}

static void look_at_all(void *data)
{
	struct follow *follow = data;
	struct model *model = follow->engine->model;
	g_autoptr(GPtrArray) vms = follow->host_id ? model_referring(model, &vm_kind, offsetof(struct vm, host), follow->host_id)
						   : model_select(model, &vm_kind, &(struct model_filter){ .fits = runs }, SIZE_MAX);

	for (guint i = 0; i < vms->len; i++)
		look(follow, vms->pdata[i]);
}

void vm_limits_follow(struct engine *engine, const char *vm_id, const struct actor *actor)
{
	struct follow *follow = follow_new(engine, NULL, NULL, actor);
	struct vm *vm = vm_id ? model_get(engine->model, &vm_kind, vm_id) : NULL;

	if (!vm_id) {
		submit(follow, "limits", look_at_all);
		return;
	}
	if (vm)
		look(follow, vm);
	record_unref(vm);
	follow_free(follow);
}

void vm_limits_host_up(struct engine *engine, const char *host_id)
{
	g_autofree char *lane = g_strdup_printf("limits/%s", host_id);

	submit(follow_new(engine, NULL, host_id, NULL), lane, look_at_all);
}
