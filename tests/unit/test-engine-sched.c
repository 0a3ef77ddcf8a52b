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
#include "engine/sched/balance.h"
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

/* Number n keeps processors busy by n %. */
struct vm_figures *fleet_vm_figures(struct fleet *fleet, const char *vm_id)
{
	struct vm_figures *figures = g_new0(struct vm_figures, 1);

	figures->cpu_user = number(vm_id);
	return figures;
}

struct vm_figures *figures_unref(struct vm_figures *figures)
{
	g_free(figures);
	return NULL;
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

/* Number of the host for vm 1; or 0, and *why (g_free; NULL: there must be one). */
static int pick(const struct vm *vm, char **why)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *id = sched_pick_host(&w.engine, vm, NULL, &error);

	if (id)
		return number(id);
	assert_true(error_is(error, ERR_OPERATION_FAILED));
	if (!why)
		fail_msg("no host for the VM: %s", error->message);
	*why = g_strdup(error->message);
	return 0;
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
	assert_non_null(why);
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
	g_autofree char *vm = id_of('b', 1);
	struct network *network = record_new(&network_type);
	struct nic *nic = record_new(&nic_type);

	set_string(&network->id, NET);
	set_string(&network->name, "red");
	put(&network_kind, network);
	nic->id = id_of('d', 1);
	set_string(&nic->name, "nic1");
	set_ref(&nic->vm, vm);
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

/* ---- VMs that run ---- */

/* rows: r01-273 */
static void moved_where_there_is_room(void **state)
{
	struct vm *vm = new_vm(1, 1);
	g_autofree char *second = id_of('a', 2), *third = id_of('a', 3), *id = NULL, *but = NULL, *only = NULL;
	struct sched_move move = { NULL, NULL };
	struct flow_record *flow;
	struct vm *coming;
	g_autoptr(GError) error = NULL;

	put_vm(2, 2);
	id = sched_pick_host(&w.engine, vm, &move, &error);
	assert_string_equal(id, third);                  /* more memory is free there; not where it is */
	move.but_not = json_pack("[s]", third);
	but = sched_pick_host(&w.engine, vm, &move, &error);
	assert_string_equal(but, second);
	json_decref((json_t *)move.but_not);
	move = (struct sched_move){ vm->host.id, NULL };
	only = sched_pick_host(&w.engine, vm, &move, &error);
	assert_null(only);
	assert_non_null(strstr(error->message, "host h1: the VM runs there"));
	/* what is on its way takes memory: 9 VMs of 1,065 MiB fit, eight are there or come */
	coming = new_vm(9, 1);
	SET(coming, memory, 8700 * MIB);
	set_string(&coming->migration_host, third);
	put(&vm_kind, record_ref(coming));
	flow = record_new(&flow_record_type);
	flow->id = id_of('c', 1);
	set_string(&flow->name, FLOW_MIGRATE_VM);
	set_string(&flow->object_id, coming->id);
	put(&flow_kind, flow);
	g_clear_error(&error);
	move = (struct sched_move){ third, NULL };
	only = sched_pick_host(&w.engine, vm, &move, &error);
	assert_null(only);
	assert_non_null(strstr(error->message, "host h3: it has"));
	record_unref(coming);
	record_unref(vm);
}

/* "2>3": VM 2 goes to h3; "-": nothing */
static void assert_look(struct balance *balance, int second, const char *expected)
{
	struct cluster *cluster = model_get(w.engine.model, &cluster_kind, CLUSTER);
	g_autofree char *vm = NULL, *host = NULL, *got = NULL;
	bool found = balance_look(balance, &w.engine, cluster, (int64_t)(1000 + second) * G_USEC_PER_SEC, &vm, &host);

	got = found ? g_strdup_printf("%d>%d", number(vm), number(host)) : g_strdup("-");
	assert_string_equal(got, expected);
	record_unref(cluster);
}

static void put_policy(const char *policy)
{
	struct cluster *cluster = record_new(&cluster_type);

	set_string(&cluster->id, CLUSTER);
	set_string(&cluster->name, "c");
	set_string(&cluster->scheduling_policy, policy);
	SET(cluster, threshold_low, 20);
	SET(cluster, threshold_high, 70);
	SET(cluster, threshold_duration, 60);
	SET(cluster, overcommit_percent, 100);
	put(&cluster_kind, cluster);
}

/* rows: r01-273 */
static void overload_moves_after_its_time(void **state)
{
	struct balance *balance = balance_new();
	struct vm *pinned = new_vm(1, 1);

	put_policy("evenly_distributed");
	SET(pinned, affinity, AFFINITY_USER_MIGRATABLE);
	put(&vm_kind, pinned);
	put_vm(3, 1);
	put_vm(2, 1);
	w.load[1] = 90;
	w.load[2] = 75;
	w.load[3] = 30;
	assert_look(balance, 0, "-");
	assert_look(balance, 59, "-");
	w.load[1] = 60;
	assert_look(balance, 60, "-");                   /* it was below once: from the beginning */
	w.load[1] = 90;
	assert_look(balance, 61, "-");
	assert_look(balance, 120, "-");
	assert_look(balance, 121, "2>3");                /* the least busy one that may, to the least loaded one */
	assert_look(balance, 122, "-");                  /* what that brought is seen first */
	w.load[3] = 71;
	assert_look(balance, 200, "-");                  /* nowhere is better */
	w.away[1] = true;
	w.load[3] = 30;
	assert_look(balance, 300, "-");
	(void)balance_free(balance);
}

/* rows: r01-273 */
static void under_used_hosts_are_emptied(void **state)
{
	struct balance *balance = balance_new();

	put_policy("power_saving");
	put_vm(1, 1);
	put_vm(2, 2);
	w.load[1] = 10;
	w.load[2] = 15;
	w.load[3] = 50;
	assert_look(balance, 0, "-");
	assert_look(balance, 60, "1>3");                 /* the least used one is emptied, where most is done */
	w.load[3] = 90;
	assert_look(balance, 61, "-");
	assert_look(balance, 121, "1>2");                /* to one that is used more, and not back */
	put_vm(1, 2);
	w.load[1] = 0;
	assert_look(balance, 190, "-");
	put_policy("none");
	assert_look(balance, 300, "-");
	assert_look(balance, 400, "-");
	(void)balance_free(balance);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(the_one_with_most_memory), TEST(no_more_than_the_overcommit), TEST(no_more_processors_than_there_are), TEST(only_where_its_networks_are),
		TEST(together_or_apart_by_force), TEST(apart_while_there_is_room), TEST(rather_together_than_with_more_memory), TEST(two_starts_at_a_time),
		TEST(spread_or_packed), TEST(moved_where_there_is_room), TEST(overload_moves_after_its_time), TEST(under_used_hosts_are_emptied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
