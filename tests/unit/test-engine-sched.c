/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a VM starts: which hosts are left out, and which of the others is taken. Three hosts of a made-up fleet, h1 to h3, each with four processors and
 * 10,000 MiB; VMs have 1,000 MiB.
 */
#include "tests/unit/cmocka-all.h"

#include <string.h>
#include "common/error.h"
#include "engine/fleet/fleet.h"
#include "engine/model/affinity_group.h"
#include "engine/model/cluster.h"
#include "engine/model/host.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/network.h"
#include "engine/model/nic.h"
#include "engine/sched/sched.h"

#define MIB (INT64_C(1) << 20)
#define CLUSTER "00000000-0000-0000-0000-0000000000c0"
#define NET "00000000-0000-0000-0000-0000000000e0"

static struct { struct engine engine; struct cluster *cluster; double load[4]; bool away[4]; bool has_net[4]; } w;

/* ---- the fleet ---- */

static int number(const char *id)
{
	return id[strlen(id) - 1] - '0';
}

bool fleet_is_connected(struct fleet *fleet, const char *host_id)
{
	return !w.away[number(host_id)];
}

struct host_stats *fleet_host_stats(struct fleet *fleet, const char *host_id)
{
	struct host_stats *stats = record_new(&host_stats_type);

	SET(stats, cpu_idle, 100 - w.load[number(host_id)]);
	return stats;
}

struct host_caps *fleet_host_caps(struct fleet *fleet, const char *host_id)
{
	struct host_caps *caps = record_new(&host_caps_type);

	caps->networks = w.has_net[number(host_id)] ? json_pack("{s:{}}", "red") : json_object();
	return caps;
}

/* ---- the model ---- */

static char *id_of(char what, int number)
{
	return g_strdup_printf("00000000-0000-0000-0000-00000000%c00%d", what, number);
}

static void put(const struct kind *kind, void *record)
{
	const struct model_change change = { kind, object_id(record), record };

	model_publish(w.engine.model, &change, 1);
	record_unref(record);
}

static void put_host(int n)
{
	struct host *host = record_new(&host_type);

	host->id = id_of('a', n);
	host->name = g_strdup_printf("h%d", n);
	set_ref(&host->cluster, CLUSTER);
	SET(host, state, HOST_UP);
	SET(host, memory, 10000 * MIB);
	SET(host, cpu_cores, 2);
	SET(host, cpu_sockets, 2);
	put(&host_kind, host);
}

static struct vm *new_vm(int n, int host)
{
	struct vm *vm = record_new(&vm_type);
	g_autofree char *at = id_of('a', host);

	vm->id = id_of('b', n);
	vm->name = g_strdup_printf("vm%d", n);
	set_ref(&vm->cluster, CLUSTER);
	SET(vm, memory, 1000 * MIB);
	SET(vm, state, host ? VM_UP : VM_DOWN);
	if (host)
		set_ref(&vm->host, at);
	return vm;
}

/* Runs on the host; 0: down. */
static void put_vm(int n, int host)
{
	put(&vm_kind, new_vm(n, host));
}

static void put_cluster(const char *policy, int overcommit)
{
	struct cluster *cluster = record_new(&cluster_type);

	set_string(&cluster->id, CLUSTER);
	set_string(&cluster->name, "c");
	set_string(&cluster->scheduling_policy, policy);
	SET(cluster, overcommit_percent, overcommit);
	put(&cluster_kind, cluster);
}

static void put_group(const char *name, bool positive, bool enforcing, int first, int second, int third)
{
	struct affinity_group *group = record_new(&affinity_group_type);
	const int members[] = { first, second, third };

	group->id = g_strdup_printf("00000000-0000-0000-0000-0000000f%s", "0000");
	group->id[34] = name[0];
	set_string(&group->name, name);
	set_ref(&group->cluster, CLUSTER);
	SET(group, positive, positive);
	SET(group, enforcing, enforcing);
	for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
		if (members[i])
			((struct object_ref *)list_add(&group->vms, &object_ref_type))->id = id_of('b', members[i]);
	put(&affinity_group_kind, group);
}

static int set_up(void **state)
{
	memset(&w, 0, sizeof(w));
	w.engine.model = model_new();
	put_cluster("none", 100);
	for (int n = 3; n >= 1; n--)                    /* an order that names do not have */
		put_host(n);
	return 0;
}

static int tear_down(void **state)
{
	w.engine.model = model_free(w.engine.model);
	return 0;
}

/* ---- what is asked ---- */

/* Number of the host for vm 1; or 0, and *why (g_free). */
static int pick(const struct vm *vm, char **why)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *id = sched_pick_host(&w.engine, vm, NULL, &error);

	if (!id) {
		assert_true(error_is(error, ERR_OPERATION_FAILED));
		*why = g_strdup(error->message);
	}
	return id ? number(id) : 0;
}

static void assert_picked(int expected)
{
	struct vm *vm = new_vm(1, 0);
	g_autofree char *why = NULL;
	int host = pick(vm, &why);

	if (host != expected)
		fail_msg("got h%d %s, expected h%d", host, why ? why : "", expected);
	record_unref(vm);
}

static void assert_nowhere(struct vm *vm, const char *text)
{
	g_autofree char *why = NULL;

	assert_int_equal(pick(vm, &why), 0);
	if (!strstr(why, text))
		fail_msg("got '%s', expected '%s'", why, text);
	record_unref(vm);
}

/* ---- tests ---- */

static void the_one_with_most_memory(void **state)
{
	put_vm(2, 1);
	put_vm(3, 3);
	assert_picked(2);
	put_vm(4, 2);
	assert_picked(1);               /* all are equal: by name */
	w.away[1] = true;
	assert_picked(2);
}

static void no_more_than_the_overcommit(void **state)
{
	struct vm *vm = new_vm(1, 0);

	SET(vm, memory, 9000 * MIB);
	for (int n = 1; n <= 3; n++)
		put_vm(1 + n, n);
	assert_nowhere(record_ref(vm), "host h1: it has 8679 MiB left and the VM needs 9065 MiB; host h2: it has 8679 MiB");
	put_cluster("none", 150);
	assert_int_equal(pick(vm, NULL), 1);
	put_cluster("none", 50);
	assert_nowhere(vm, "host h1: it has 3679 MiB left");
	assert_picked(1);
}

static void no_more_processors_than_there_are(void **state)
{
	struct vm *vm = new_vm(1, 0);

	SET(vm, sockets, 4);
	assert_int_equal(pick(vm, NULL), 1);
	SET(vm, cores, 2);
	assert_nowhere(vm, "host h2: it has 4 processors and the VM 8");
}

static void only_where_its_networks_are(void **state)
{
	struct network *network = record_new(&network_type);
	struct nic *nic = record_new(&nic_type);

	set_string(&network->id, NET);
	set_string(&network->name, "red");
	put(&network_kind, network);
	nic->id = id_of('d', 1);
	set_string(&nic->name, "nic1");
	nic->vm.id = id_of('b', 1);
	record_mark(nic, offsetof(struct nic, vm), true);
	set_ref(&nic->network, NET);
	SET(nic, plugged, true);
	put(&nic_kind, nic);
	assert_nowhere(new_vm(1, 0), "host h3: it does not have network 'red'");
	w.has_net[3] = true;
	assert_picked(3);
}

static void together_or_apart_by_force(void **state)
{
	put_vm(2, 2);
	put_group("together", true, true, 1, 2, 0);
	assert_picked(2);
	put_group("x-apart", false, true, 1, 2, 0);
	assert_nowhere(new_vm(1, 0), "host h1: affinity group 'together' wants the VM where VM 'vm2' runs; host h2: affinity group 'x-apart' keeps the VM apart "
		       "from VM 'vm2'");
	put_vm(2, 0);
	assert_picked(1);
}

static void apart_while_there_is_room(void **state)
{
	put_group("x-apart", false, true, 1, 2, 3);
	put_vm(2, 1);
	put_vm(3, 2);
	assert_picked(3);
	w.away[3] = true;
	assert_nowhere(new_vm(1, 0), "host h2: affinity group 'x-apart' keeps the VM apart from VM 'vm3'; host h3: its agent is not connected");
	/* a group that does not enforce gives way */
	put_group("x-apart", false, false, 1, 2, 3);
	assert_picked(1);
	w.away[3] = false;
	assert_picked(3);
}

static void rather_together_than_with_more_memory(void **state)
{
	put_vm(2, 3);
	put_vm(3, 3);
	assert_picked(1);
	put_group("together", true, false, 1, 2, 0);
	assert_picked(3);
	w.away[3] = true;
	assert_picked(1);
}

static void two_starts_at_a_time(void **state)
{
	struct vm *vm = new_vm(1, 1);
	g_autoptr(GError) error = NULL;

	put_group("x-apart", false, true, 1, 2, 0);
	assert_true(sched_still_fits(w.engine.model, vm, &error));
	put_vm(2, 1);
	assert_false(sched_still_fits(w.engine.model, vm, &error));
	assert_true(error_is(error, ERR_RESOURCE_UNAVAILABLE) && strstr(error->message, "host h1: affinity group 'x-apart' keeps the VM apart from VM 'vm2'"));
	g_clear_error(&error);
	put_vm(2, 2);
	assert_true(sched_still_fits(w.engine.model, vm, &error));
	for (int n = 3; n <= 9; n++)
		put_vm(n, 1);
	assert_true(sched_still_fits(w.engine.model, vm, &error));
	SET(vm, memory, 3000 * MIB);
	assert_false(sched_still_fits(w.engine.model, vm, &error));
	assert_true(error_is(error, ERR_RESOURCE_UNAVAILABLE) && strstr(error->message, "MiB left"));
	record_unref(vm);
}

static void spread_or_packed(void **state)
{
	struct vm *starting = new_vm(2, 3);

	w.load[1] = 30;
	w.load[2] = 50;
	w.load[3] = 20;
	put_cluster("evenly_distributed", 100);
	assert_picked(3);
	put_cluster("power_saving", 100);
	assert_picked(2);
	w.load[2] = 90;                 /* above the threshold */
	assert_picked(1);
	w.load[1] = w.load[3] = 85;     /* all are */
	assert_picked(1);
	w.load[2] = 82;
	assert_picked(2);
	/* what starts there counts */
	w.load[1] = w.load[3] = 20;
	w.load[2] = 30;
	SET(starting, state, VM_POWERING_UP);
	put(&vm_kind, starting);
	put_cluster("evenly_distributed", 100);
	assert_picked(1);
	put_cluster("power_saving", 100);
	assert_picked(3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(the_one_with_most_memory), TEST(no_more_than_the_overcommit), TEST(no_more_processors_than_there_are), TEST(only_where_its_networks_are),
		TEST(together_or_apart_by_force), TEST(apart_while_there_is_room), TEST(rather_together_than_with_more_memory), TEST(two_starts_at_a_time),
		TEST(spread_or_packed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
