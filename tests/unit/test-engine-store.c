/* SPDX-License-Identifier: Apache-2.0 */
/* The store: what is stored, the rules, races. */
#include "tests/unit/store-fixture.h"
#include <pthread.h>
#include "engine/model/datacenter.h"
#include "engine/model/disk.h"
#include "engine/model/event.h"
#include "engine/model/host.h"
#include "engine/model/network.h"
#include "engine/model/permission.h"
#include "engine/model/role.h"
#include "engine/model/tag.h"
#include "engine/model/user.h"

/* ---- what is there ---- */

static void a_new_installation_has_its_first_objects(void **state)
{
	struct world *world = *state;
	struct datacenter *dc = model_find(world->model, &datacenter_kind, NULL, "default");
	struct cluster *cluster = model_find(world->model, &cluster_kind, NULL, "default");
	struct network *network = model_get(world->model, &network_kind, "00000000-0000-0000-0000-000000000009");
	struct template *blank = model_get(world->model, &template_kind, BLANK_ID);
	struct tag *root = model_get(world->model, &tag_kind, "-1");
	struct user *admin = model_find(world->model, &user_kind, NULL, "admin");
	g_autoptr(GPtrArray) members = model_children(world->model, &cluster_network_kind, cluster->id);

	assert_string_equal(cluster->data_center.id, dc->id);
	assert_string_equal(network->data_center.id, dc->id);
	assert_string_equal(network->name, "ovirtmgmt");
	assert_true(network->management);
	assert_int_equal(members->len, 1);
	assert_string_equal(((struct cluster_network *)members->pdata[0])->network.id, network->id);
	assert_string_equal(blank->name, "Blank");
	assert_int_equal(blank->memory, 1073741824);
	assert_string_equal(root->parent.id, "-1");
	assert_string_equal(admin->user_name, "admin@internal");
	for (const struct builtin_role *row = builtin_roles; row->id; row++) {
		struct role *role = model_get(world->model, &role_kind, row->id);
		assert_non_null(role);
		assert_string_equal(role->name, row->name);
		assert_false(role->mutable);
		record_unref(role);
	}
	assert_int_equal(model_count(world->model, &cpu_profile_kind), 1);
	/* the administrator's, and what everyone may use: template and network */
	assert_int_equal(model_count(world->model, &permission_kind), 3);
	record_unref(dc);
	record_unref(cluster);
	record_unref(network);
	record_unref(blank);
	record_unref(root);
	record_unref(admin);
}

static void what_is_stored_is_there_again(void **state)
{
	struct world *world = *state;
	g_autofree char *first = NULL, *again = NULL;
	struct vm *vm = vm_new(world, "vm1"), *old, *now;

	set_string(&vm->description, "\303\274ber \"quoted\" 'text'\n");
	SET(vm, start_time, 1423550982110);
	assert_done(add(world, vm, &e_));
	assert_done(add(world, nic_new(first = vm_id(world, "vm1"), "nic1"), &e_));
	old = model_get(world->model, &vm_kind, first);
	world_close(world);
	world_open(world);
	again = vm_id(world, "VM1");
	assert_string_equal(first, again);
	now = model_get(world->model, &vm_kind, again);
	assert_true(record_equal(old, now));
	{
		g_autoptr(GPtrArray) nics = model_children(world->model, &nic_kind, again);

		assert_int_equal(nics->len, 1);
	}
	assert_int_equal(model_count(world->model, &datacenter_kind), 1);
	record_unref(old);
	record_unref(now);
}

/* ---- rules ---- */

static void a_base_that_is_not_the_newest_is_a_conflict(void **state)
{
	struct world *world = *state;
	g_autofree char *id = NULL;
	struct vm *base, *copy;
	struct change *change;

	assert_done(add(world, vm_new(world, "vm1"), &e_));
	id = vm_id(world, "vm1");
	base = model_get(world->model, &vm_kind, id);
	for (int i = 0; i < 2; i++) {
		copy = record_copy(base);
		SET(copy, memory, 1048576 * (i + 2));
		change = change_new(world->store);
		change_replace(change, base, copy);
		record_unref(copy);
		if (i == 0)
			assert_done(change_commit(change, &e_));
		else
			assert_fails(ERR_CONFLICT, "vm 'vm1'", change_commit(change, &error));
	}
	change = change_new(world->store);
	change_remove(change, base);
	assert_fails(ERR_CONFLICT, "vm 'vm1'", change_commit(change, &error));
	assert_done(remove_object(world, &vm_kind, id, &e_));
	change = change_new(world->store);
	change_remove(change, base);
	assert_fails(ERR_NOT_FOUND, "does not exist any more", change_commit(change, &error));
	record_unref(base);
}

static void names_are_unique_within_their_parent(void **state)
{
	struct world *world = *state;
	g_autofree char *one = NULL, *two = NULL;
	struct change *change;
	struct vm *a, *b;

	assert_done(add(world, vm_new(world, "vm1"), &e_));
	assert_fails(ERR_OPERATION_FAILED, "name 'VM1' is already used by vm 'vm1'", add(world, vm_new(world, "VM1"), &error));
	assert_done(add(world, vm_new(world, "vm2"), &e_));
	one = vm_id(world, "vm1");
	two = vm_id(world, "vm2");
	assert_done(add(world, nic_new(one, "nic1"), &e_));
	assert_done(add(world, nic_new(two, "nic1"), &e_));
	assert_fails(ERR_OPERATION_FAILED, "nic 'nic1'", add(world, nic_new(one, "NIC1"), &error));

	/* both in one change */
	change = change_new(world->store);
	a = vm_new(world, "same");
	b = vm_new(world, "Same");
	change_add(change, a);
	change_add(change, b);
	assert_fails(ERR_OPERATION_FAILED, "already used", change_commit(change, &error));
	record_unref(a);
	record_unref(b);

	/* names changed hands in one change */
	change = change_new(world->store);
	a = model_get(world->model, &vm_kind, one);
	b = model_get(world->model, &vm_kind, two);
	{
		struct vm *a2 = record_copy(a), *b2 = record_copy(b);

		set_string(&a2->name, "vm2");
		set_string(&b2->name, "vm1");
		change_replace(change, a, a2);
		change_replace(change, b, b2);
		record_unref(a2);
		record_unref(b2);
	}
	assert_done(change_commit(change, &e_));
	record_unref(a);
	record_unref(b);
	g_free(g_steal_pointer(&one));
	one = vm_id(world, "vm2");
	assert_string_not_equal(one, two);
}

static void two_hosts_cannot_have_the_same_identity(void **state)
{
	struct world *world = *state;
	static const struct { const char *name, *address, *uuid, *says; } rows[] = {
		{ "h1", "10.0.0.1", "u1", NULL }, { "H1", "10.0.0.2", "u2", "name 'H1' is already used by host 'h1'" },
		{ "h3", "10.0.0.3", "u1", "agent_uuid 'u1' is already used by host 'h1'" }, { "h4", "10.0.0.4", NULL, NULL }, { "h5", "10.0.0.5", NULL, NULL },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct host *host = record_new(&host_type);

		set_string(&host->name, rows[i].name);
		set_string(&host->address, rows[i].address);
		set_string(&host->agent_uuid, rows[i].uuid);
		if (rows[i].says)
			assert_fails(ERR_OPERATION_FAILED, rows[i].says, add(world, host, &error));
		else
			assert_done(add(world, host, &e_));
	}
}

static void references_must_name_what_exists(void **state)
{
	struct world *world = *state;
	struct vm *vm = vm_new(world, "vm1");
	struct disk *disk;
	struct object_ref *domain;

	set_ref(&vm->cluster, "11111111-1111-1111-1111-111111111111");
	assert_fails(ERR_NOT_FOUND, "cluster: there is no cluster with id '11111111-1111-1111-1111-111111111111'", add(world, vm, &error));
	disk = record_new(&disk_type);
	set_string(&disk->name, "d1");
	domain = list_add(&disk->storage_domains, &object_ref_type);
	set_string(&domain->id, "11111111-1111-1111-1111-111111111112");
	assert_fails(ERR_NOT_FOUND, "storage_domain", add(world, disk, &error));
	assert_int_equal(model_count(world->model, &vm_kind), 0);
}

static void what_is_used_cannot_be_removed(void **state)
{
	struct world *world = *state;
	g_autofree char *cluster = default_cluster(world->model), *id = NULL;
	struct disk *disk = record_new(&disk_type);
	struct change *change;
	void *vm;

	assert_done(add(world, vm_new(world, "vm1"), &e_));
	id = vm_id(world, "vm1");
	assert_done(add(world, nic_new(id, "nic1"), &e_));
	assert_fails(ERR_OPERATION_FAILED, "cluster 'Default' cannot be removed: it is used by", remove_object(world, &cluster_kind, cluster, &error));
	assert_fails(ERR_OPERATION_FAILED, "template 'Blank' cannot be removed: it is used by vm 'vm1'",
		     remove_object(world, &template_kind, BLANK_ID, &error));
	set_string(&disk->name, "d1");
	set_ref(&disk->vm, id);
	record_ref(disk);
	assert_done(add(world, disk, &e_));
	assert_fails(ERR_OPERATION_FAILED, "used by disk 'd1'", remove_object(world, &vm_kind, id, &error));
	/* the same change removes both; the NIC goes along */
	change = change_new(world->store);
	vm = model_get(world->model, &vm_kind, id);
	change_remove(change, vm);
	change_remove(change, disk);
	assert_done(change_commit(change, &e_));
	assert_int_equal(model_count(world->model, &nic_kind), 0);
	assert_int_equal(model_count(world->model, &disk_kind), 0);
	record_unref(vm);
	record_unref(disk);
	world_close(world);
	world_open(world);
	assert_int_equal(model_count(world->model, &nic_kind), 0);
	assert_int_equal(model_count(world->model, &vm_kind), 0);
}

static void permissions_go_with_their_object(void **state)
{
	struct world *world = *state;
	struct permission *permission = record_new(&permission_type);
	g_autofree char *id = NULL;

	assert_done(add(world, vm_new(world, "vm1"), &e_));
	id = vm_id(world, "vm1");
	set_ref(&permission->role, ROLE_USER);
	set_ref(&permission->user, ADMIN_USER_ID);
	set_string(&permission->object_kind, "vms");
	set_string(&permission->object_id, id);
	assert_done(add(world, permission, &e_));
	assert_int_equal(model_count(world->model, &permission_kind), 4);
	assert_done(remove_object(world, &vm_kind, id, &e_));
	assert_int_equal(model_count(world->model, &permission_kind), 3);
}

static bool check_says_no(struct model *model, void *data, GError **error)
{
	(*(int *)data)++;
	error_set(error, ERR_WRONG_STATE, "no");
	return false;
}

static void a_check_can_say_no(void **state)
{
	struct world *world = *state;
	struct change *change = change_new(world->store);
	struct vm *vm = vm_new(world, "vm1");
	int called = 0;

	change_check(change, check_says_no, &called);
	change_add(change, vm);
	record_unref(vm);
	assert_fails(ERR_WRONG_STATE, "no", change_commit(change, &error));
	assert_int_equal(called, 1);
	assert_int_equal(model_count(world->model, &vm_kind), 0);
}

static void a_change_that_is_not_committed_does_nothing(void **state)
{
	struct world *world = *state;
	struct change *change = change_new(world->store);
	struct vm *vm = vm_new(world, "vm1");

	change_add(change, vm);
	change_free(change);
	change_free(NULL);
	assert_non_null(vm->id);
	record_unref(vm);
	assert_int_equal(model_count(world->model, &vm_kind), 0);
	assert_done(change_commit(change_new(world->store), &e_));
}

static void events_are_numbered_and_kept(void **state)
{
	struct world *world = *state;
	struct actor actor = { .user_id = ADMIN_USER_ID, .user_name = "admin", .correlation_id = "c1" };
	struct vm *vm = vm_new(world, "vm1");
	struct event *event;

	record_ref(vm);
	assert_done(add(world, vm, &e_));
	store_event(world->store, 34, &actor, (void *[]) { vm, NULL }, "VM %s was created by %s.", vm->name, actor.user_name);
	store_event(world->store, 12, NULL, NULL, "Host %s is non responsive.", "h1");
	world_close(world);
	world_open(world);
	store_event(world->store, 61, NULL, NULL, "third");
	event = model_get(world->model, &event_kind, "1");
	assert_string_equal(event->description, "VM vm1 was created by admin.");
	assert_string_equal(event->vm.id, vm->id);
	assert_string_equal(event->user.id, ADMIN_USER_ID);
	assert_string_equal(event->correlation_id, "c1");
	assert_string_equal(event->origin, "oVirt");
	assert_int_equal(event->custom_id, -1);
	assert_int_equal(event->severity, SEVERITY_NORMAL);
	record_unref(event);
	event = model_get(world->model, &event_kind, "2");
	assert_int_equal(event->severity, SEVERITY_ERROR);
	record_unref(event);
	event = model_get(world->model, &event_kind, "3");
	assert_string_equal(event->description, "third");
	record_unref(event);
	/* an event does not hold what it names */
	assert_done(remove_object(world, &vm_kind, vm->id, &e_));
	record_unref(vm);
}

static void old_events_go(void **state)
{
	struct world *world = *state;
	enum { TOGETHER = 4000 };
	unsigned added = 0;

	while (added < EVENTS_IN_MEMORY + 3000) {
		struct change *change = change_new(world->store);

		for (int i = 0; i < TOGETHER; i++, added++)
			change_event(change, 1, NULL, NULL, "event %u", added);
		assert_done(change_commit(change, &e_));
	}
	assert_true(model_count(world->model, &event_kind) < EVENTS_IN_MEMORY + 2 * TOGETHER);
	store_event(world->store, 1, NULL, NULL, "last");
	store_event(world->store, 1, NULL, NULL, "last");
	store_event(world->store, 1, NULL, NULL, "last");
	{
		g_autoptr(GPtrArray) events = model_list(world->model, &event_kind);

		assert_true(events->len <= EVENTS_IN_MEMORY + 1000);
		assert_true(events->len >= EVENTS_IN_MEMORY);
		assert_string_equal(((struct event *)events->pdata[events->len - 1])->description, "last");
		for (unsigned i = 1; i < events->len; i++)
			assert_true(g_ascii_strtoll(object_id(events->pdata[i]), NULL, 10) == g_ascii_strtoll(object_id(events->pdata[i - 1]), NULL, 10) + 1);
	}
	world_close(world);
	world_open(world);
	assert_int_equal(model_count(world->model, &event_kind), EVENTS_IN_MEMORY);
}

/* ---- races ---- */

#define THREADS 8

struct racer { struct world *world; const char *id; int number, rounds, won; int lost; };

static bool increment(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;

	SET(vm, memory, vm->memory + 1);
	return true;
}

static void *modify_again_and_again(void *data)
{
	struct racer *racer = data;

	for (int i = 0; i < racer->rounds; i++) {
		g_autoptr(GError) error = NULL;

		if (store_modify(racer->world->store, &vm_kind, racer->id, increment, NULL, NULL, &error))
			racer->won++;
		else
			racer->lost++;
	}
	return NULL;
}

static void run_racers(struct racer *racers, void *(*run)(void *))
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run, &racers[i]), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void no_modification_is_lost(void **state)
{
	struct world *world = *state;
	struct racer racers[THREADS];
	g_autofree char *id = NULL;
	struct vm *vm;

	assert_done(add(world, vm_new(world, "vm1"), &e_));
	id = vm_id(world, "vm1");
	for (int i = 0; i < THREADS; i++)
		racers[i] = (struct racer) { world, id, i, 50, 0, 0 };
	run_racers(racers, modify_again_and_again);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(racers[i].won, 50);
	vm = model_get(world->model, &vm_kind, id);
	assert_int_equal(vm->memory, 1048576 + THREADS * 50);
	record_unref(vm);
}

static void *add_the_same_name(void *data)
{
	struct racer *racer = data;

	for (int i = 0; i < racer->rounds; i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *name = g_strdup_printf(racer->number % 2 ? "Name%d" : "name%d", i);

		if (add(racer->world, vm_new(racer->world, name), &error))
			racer->won++;
		else if (error_is(error, ERR_OPERATION_FAILED))
			racer->lost++;
	}
	return NULL;
}

static void one_of_many_gets_the_name(void **state)
{
	struct world *world = *state;
	struct racer racers[THREADS];
	int won = 0, lost = 0;

	for (int i = 0; i < THREADS; i++)
		racers[i] = (struct racer) { world, NULL, i, 40, 0, 0 };
	run_racers(racers, add_the_same_name);
	for (int i = 0; i < THREADS; i++) {
		won += racers[i].won;
		lost += racers[i].lost;
	}
	assert_int_equal(won, 40);
	assert_int_equal(lost, 40 * (THREADS - 1));
	assert_int_equal(model_count(world->model, &vm_kind), 40);
}

static bool give_up(void *copy, struct change *change, void *data, GError **error)
{
	if (data)
		error_set(error, ERR_WRONG_STATE, "not now");
	return false;
}

static void an_edit_can_give_up(void **state)
{
	struct world *world = *state;
	g_autofree char *id = NULL;
	void *before, *after = NULL;

	assert_done(add(world, vm_new(world, "vm1"), &e_));
	id = vm_id(world, "vm1");
	before = model_get(world->model, &vm_kind, id);
	assert_done(store_modify(world->store, &vm_kind, id, give_up, NULL, &after, &e_));
	assert_ptr_equal(before, after);
	assert_fails(ERR_WRONG_STATE, "not now", store_modify(world->store, &vm_kind, id, give_up, id, NULL, &error));
	assert_fails(ERR_NOT_FOUND, "vm 'x'", store_modify(world->store, &vm_kind, "x", give_up, NULL, NULL, &error));
	record_unref(before);
	record_unref(after);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_new_installation_has_its_first_objects),
		TEST(what_is_stored_is_there_again),
		TEST(a_base_that_is_not_the_newest_is_a_conflict),
		TEST(names_are_unique_within_their_parent),
		TEST(two_hosts_cannot_have_the_same_identity),
		TEST(references_must_name_what_exists),
		TEST(what_is_used_cannot_be_removed),
		TEST(permissions_go_with_their_object),
		TEST(a_check_can_say_no),
		TEST(a_change_that_is_not_committed_does_nothing),
		TEST(events_are_numbered_and_kept),
		TEST(old_events_go),
		TEST(no_modification_is_lost),
		TEST(one_of_many_gets_the_name),
		TEST(an_edit_can_give_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
