/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of a VM reach the agent: with the start, and while it runs whenever a QoS or a profile changes, once; also when the host was away, or the agent
 * refused. One VM with a disk and a NIC; all of its profiles have a QoS.
 */
#include "engine/flow/vm_flow.h"
#include "engine/flow/vm_limits.h"
#include "engine/model/datacenter.h"
#include "engine/model/disk.h"
#include "engine/model/disk_profile.h"
#include "engine/model/network.h"
#include "engine/model/nic.h"
#include "engine/model/qos.h"
#include "engine/model/vnic_profile.h"
#include "tests/unit/fake-agent.h"

#define QOS_CPU_ID "a0000000-0000-0000-0000-000000000001"
#define QOS_DISK_ID "a0000000-0000-0000-0000-000000000002"
#define QOS_NET_ID "a0000000-0000-0000-0000-000000000003"
#define CPU_PROFILE_ID "b0000000-0000-0000-0000-000000000001"
#define DISK_PROFILE_ID "b0000000-0000-0000-0000-000000000002"
#define VNIC_PROFILE_ID "b0000000-0000-0000-0000-000000000003"
#define DISK_ID "c0000000-0000-0000-0000-000000000001"
#define NIC_ID "c0000000-0000-0000-0000-000000000002"
#define NET_ID "c0000000-0000-0000-0000-000000000003"
#define EVENT_FAILED 20354

/* ---- what there is ---- */

static const char *data_center;

static struct qos *new_qos(const char *id, enum qos_class type)
{
	struct qos *qos = record_new(&qos_type);

	set_string(&qos->id, id);
	set_string(&qos->name, qos_class_names[type]);
	set_ref(&qos->data_center, data_center);
	SET(qos, type, (int)type);
	return qos;
}

static void add_qoss(void)
{
	struct qos *qos = new_qos(QOS_CPU_ID, QOS_CPU);

	SET(qos, cpu_limit, 50);
	add_record(qos);
	qos = new_qos(QOS_DISK_ID, QOS_STORAGE);
	SET(qos, max_throughput, 3);
	SET(qos, max_read_iops, 70);
	add_record(qos);
	qos = new_qos(QOS_NET_ID, QOS_NETWORK);
	SET(qos, inbound_average, 10);
	SET(qos, inbound_peak, 20);
	SET(qos, inbound_burst, 2);
	SET(qos, outbound_average, 1);
	add_record(qos);
}

static void add_profiles(const char *cluster)
{
	struct cpu_profile *cpu = record_new(&cpu_profile_type);
	struct disk_profile *disk = record_new(&disk_profile_type);
	struct vnic_profile *vnic = record_new(&vnic_profile_type);
	struct option_item *option = list_add(&vnic->custom_properties, &option_item_type);

	set_string(&cpu->id, CPU_PROFILE_ID);
	set_string(&cpu->name, "half");
	set_ref(&cpu->cluster, cluster);
	set_ref(&cpu->qos, QOS_CPU_ID);
	add_record(cpu);
	set_string(&disk->id, DISK_PROFILE_ID);
	set_string(&disk->name, "slow");
	set_ref(&disk->storage_domain, DOMAIN_ID);
	set_ref(&disk->qos, QOS_DISK_ID);
	add_record(disk);
	set_string(&vnic->id, VNIC_PROFILE_ID);
	set_string(&vnic->name, "thin");
	set_ref(&vnic->network, NET_ID);
	set_ref(&vnic->qos, QOS_NET_ID);
	SET(vnic, port_mirroring, true);
	set_string(&option->name, "queues");
	set_string(&option->value, "2");
	add_record(vnic);
}

static void add_devices(void)
{
	struct disk *disk = record_new(&disk_type);
	struct nic *nic = record_new(&nic_type);
	struct object_ref *place = list_add(&disk->storage_domains, &object_ref_type);

	set_string(&place->id, DOMAIN_ID);
	set_string(&disk->id, DISK_ID);
	set_string(&disk->image_id, VOLUME_ID);
	set_ref(&disk->vm, VM_ID);
	set_ref(&disk->disk_profile, DISK_PROFILE_ID);
	SET(disk, active, true);
	SET(disk, state, DISK_OK);
	add_record(disk);
	set_string(&nic->id, NIC_ID);
	set_string(&nic->name, "nic1");
	set_ref(&nic->vm, VM_ID);
	set_ref(&nic->network, NET_ID);
	set_ref(&nic->vnic_profile, VNIC_PROFILE_ID);
	SET(nic, plugged, true);
	SET(nic, linked, true);
	add_record(nic);
}

static bool edit_profile(void *copy, struct change *change, void *data, GError **error)
{
	set_ref(&((struct vm *)copy)->cpu_profile, CPU_PROFILE_ID);
	return true;
}

static bool edit_local(void *copy, struct change *change, void *data, GError **error)
{
	SET((struct datacenter *)copy, local, true);
	return true;
}

static void add_all(void)
{
	struct cluster *cluster = model_find(world.engine.model, &cluster_kind, NULL, "Default");
	struct network *network = record_new(&network_type);

	data_center = cluster->data_center.id;
	assert_true(store_modify(world.engine.store, &datacenter_kind, data_center, edit_local, NULL, NULL, NULL));
	set_string(&network->id, NET_ID);
	set_string(&network->name, "red");
	set_ref(&network->data_center, data_center);
	add_record(network);
	add_qoss();
	add_profiles(cluster->id);
	add_vm(VM_DOWN);
	add_devices();
	assert_true(store_modify(world.engine.store, &vm_kind, VM_ID, edit_profile, NULL, NULL, NULL));
	record_unref(cluster);
}

static void start(void)
{
	g_autoptr(GError) error = NULL;

	add_all();
	engine_connect();
	if (!flow_run(&world.engine, &start_vm_flow, VM_ID, NULL, json_object(), NULL, &error))
		fail_msg("%s", error->message);
	wait_for(!flows());
	assert_int_equal(vm_state(), VM_UP);
}

/* ---- changes ---- */

struct limit { size_t member; int value; };

static bool edit_limit(void *copy, struct change *change, void *data, GError **error)
{
	const struct limit *limit = data;

	*(int *)(void *)((char *)copy + limit->member) = limit->value;
	record_mark(copy, limit->member, true);
	return true;
}

/* As PUT does it. */
static void change_limit(const char *qos, size_t member, int value)
{
	struct limit limit = { member, value };

	assert_true(store_modify(world.engine.store, &qos_kind, qos, edit_limit, &limit, NULL, NULL));
	vm_limits_follow(&world.engine, NULL, NULL);
}

#define CHANGE(of, member, value) change_limit(of, offsetof(struct qos, member), value)

static void set_flag(void *data)
{
	g_atomic_int_set((int *)data, 1);
}

/* Until what was begun before has looked at the VMs, and what came of it is over. */
static void wait_for_look(void)
{
	static const char *const lanes[] = { "limits", "vms/" VM_ID };

	for (size_t i = 0; i < G_N_ELEMENTS(lanes); i++) {
		int over = 0;
		struct lane_job job = { .name = "test", .run = set_flag, .data = &over };

		assert_true(lane_submit(world.engine.lanes, lanes[i], &job, NULL));
		wait_for(g_atomic_int_get(&over));
	}
}

/* What is stored as told is what the model wants. */
static bool all_told(void)
{
	struct vm *vm = get_vm();
	json_t *wanted = vm_limits(world.engine.model, vm);
	bool told = wanted ? vm->limits && json_equal(wanted, vm->limits) : !vm->limits;

	json_decref(wanted);
	record_unref(vm);
	return told;
}

/* The parameters of the last call of the verb, below path, as JSON. */
static void assert_asked(const char *verb, const char *expected)
{
	json_t *params = agent_params(verb), *json = json_loads(expected, 0, NULL);
	char *text = json_dumps(params, JSON_COMPACT | JSON_SORT_KEYS), *wanted = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);

	if (!json || !json_equal(params, json))
		fail_msg("%s: got %s, expected %s", verb, text, wanted ? wanted : expected);
	free(text);
	free(wanted);
	json_decref(params);
	json_decref(json);
}

static json_t *device_of(const json_t *create, const char *id)
{
	json_t *device;
	size_t i;

	json_array_foreach(json_object_get(json_object_get(create, "vmParams"), "devices"), i, device)
		if (!g_strcmp0(json_string_value(json_object_get(device, "deviceId")), id))
			return device;
	fail_msg("no device %s", id);
	return NULL;
}

/* ---- tests ---- */

static void a_start_has_all_limits(void **state)
{
	json_t *create, *disk, *nic, *tune;

	start();
	create = agent_params("VM.create");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(create, "vmParams"), "vcpuLimit")), 50);
	disk = json_object_get(device_of(create, DISK_ID), "specParams");
	tune = json_pack("{s:{s:s, s:s}}", "ioTune", "total_bytes_sec", "3145728", "read_iops_sec", "70");
	assert_true(json_equal(disk, tune));
	json_decref(tune);
	nic = device_of(create, NIC_ID);
	tune = json_pack("{s:{s:s, s:s, s:s}, s:{s:s}}", "inbound", "average", "1250", "peak", "2500", "burst", "2048", "outbound", "average", "125");
	assert_true(json_equal(json_object_get(nic, "specParams"), tune));
	json_decref(tune);
	assert_string_equal(json_string_value(json_array_get(json_object_get(nic, "portMirroring"), 0)), "red");
	assert_string_equal(json_string_value(json_object_get(json_object_get(nic, "custom"), "queues")), "2");
	json_decref(create);
	assert_true(all_told());
	/* and nothing more is to be said */
	vm_limits_follow(&world.engine, VM_ID, NULL);
	CHANGE(QOS_CPU_ID, max_iops, 5);
	CHANGE(QOS_CPU_ID, cpu_limit, 40);
	wait_for(all_told());
	assert_int_equal(agent_asked("VM.updateVmPolicy"), 1);
	assert_int_equal(agent_asked("VM.updateDevice"), 0);
}

static void a_change_reaches_the_running_vm(void **state)
{
	start();
	CHANGE(QOS_CPU_ID, cpu_limit, 20);
	wait_for(all_told());
	assert_asked("VM.updateVmPolicy", "{\"vmID\": \"" VM_ID "\", \"params\": {\"vcpuLimit\": 20}}");
	CHANGE(QOS_DISK_ID, max_read_iops, 0);
	wait_for(all_told());
	assert_asked("VM.updateVmPolicy", "{\"vmID\": \"" VM_ID "\", \"params\": {\"ioTune\": [{\"imageID\": \"" DISK_ID "\", \"maximum\": {"
		     "\"total_bytes_sec\": 3145728, \"read_bytes_sec\": 0, \"write_bytes_sec\": 0, \"total_iops_sec\": 0, \"read_iops_sec\": 0, \"write_iops_sec\": 0}}]}}");
	assert_int_equal(agent_asked("VM.updateDevice"), 0);
	CHANGE(QOS_NET_ID, outbound_average, 0);
	wait_for(all_told());
	assert_asked("VM.updateDevice", "{\"vmID\": \"" VM_ID "\", \"params\": {\"deviceType\": \"interface\", \"alias\": \"ua-" NIC_ID "\", "
		     "\"portMirroring\": [\"red\"], \"specParams\": {\"inbound\": {\"average\": \"1250\", \"peak\": \"2500\", \"burst\": \"2048\"}, \"outbound\": {}}}}");
	assert_int_equal(agent_asked("VM.updateVmPolicy"), 2);
	CHANGE(QOS_CPU_ID, cpu_limit, 0);
	wait_for(all_told());
	assert_asked("VM.updateVmPolicy", "{\"vmID\": \"" VM_ID "\", \"params\": {\"vcpuLimit\": 100}}");
}

static void what_a_silent_host_missed_it_hears_when_it_is_back(void **state)
{
	start();
	agent_kill();
	wait_for(fleet_reach(world.engine.fleet, HOST_ID) == REACH_SILENT);
	CHANGE(QOS_CPU_ID, cpu_limit, 30);
	wait_for_look();
	agent_start();
	wait_for(host_state() == HOST_UP && vm_state() == VM_UP);
	assert_false(all_told());
	vm_limits_host_up(&world.engine, HOST_ID);
	wait_for(all_told());
	assert_asked("VM.updateVmPolicy", "{\"vmID\": \"" VM_ID "\", \"params\": {\"vcpuLimit\": 30}}");
	assert_int_equal(events_of(EVENT_FAILED), 0);
}

static void a_refusal_is_an_event_and_is_not_forgotten(void **state)
{
	start();
	world.refuses = "VM.updateVmPolicy";
	CHANGE(QOS_CPU_ID, cpu_limit, 30);
	wait_for(events_of(EVENT_FAILED) == 1);
	assert_false(all_told());
	world.refuses = NULL;
	vm_limits_follow(&world.engine, VM_ID, NULL);
	wait_for(all_told());
	assert_int_equal(agent_asked("VM.updateVmPolicy"), 2);
}

static void a_vm_that_ends_forgets_its_limits(void **state)
{
	struct vm *vm;

	start();
	agent_has(VM_ID, "Down", VM_EXIT_ADMIN_SHUTDOWN);
	wait_for(vm_state() == VM_DOWN);
	vm = get_vm();
	assert_null(vm->limits);
	record_unref(vm);
	CHANGE(QOS_CPU_ID, cpu_limit, 30);
	wait_for_look();
	assert_int_equal(agent_asked("VM.updateVmPolicy"), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_start_has_all_limits), TEST(a_change_reaches_the_running_vm), TEST(what_a_silent_host_missed_it_hears_when_it_is_back),
		TEST(a_refusal_is_an_event_and_is_not_forgotten), TEST(a_vm_that_ends_forgets_its_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
