/* SPDX-License-Identifier: Apache-2.0 */
/* The decision, without HTTP: objects in their places, permissions of users and groups; and that every operation names a permit that there is. */
#include "engine/api/action.h"
#include "engine/api/resource.h"
#include "engine/auth/access.h"
#include "engine/model/cluster.h"
#include "engine/model/datacenter.h"
#include "engine/model/disk.h"
#include "engine/model/event.h"
#include "engine/model/permission.h"
#include "engine/model/role.h"
#include "engine/model/storage_domain.h"
#include "engine/model/user.h"
#include "tests/unit/store-fixture.h"

static void *find(struct world *world, const struct kind *kind, const char *name)
{
	void *object = model_find(world->model, kind, NULL, name);

	assert_non_null(object);
	return object;
}

static void *make_user(struct world *world, const char *name)
{
	struct change *change = change_new(world->store);
	struct user *user = record_new(&user_type);
	g_autofree char *full = g_strconcat(name, "@internal", NULL);

	set_string(&user->name, name);
	set_string(&user->user_name, full);
	change_add(change, user);
	assert_true(change_commit(change, NULL));
	return user;
}

static void give(struct world *world, const char *role, const void *user, const void *object)
{
	struct change *change = change_new(world->store);
	struct permission *permission = record_new(&permission_type);

	set_ref(&permission->role, role);
	set_ref(&permission->user, object_id(user));
	permission_set_object(permission, object);
	change_add(change, permission);
	record_unref(permission);
	assert_true(change_commit(change, NULL));
}

static void *make_vm(struct world *world, const char *name, const void *cluster)
{
	struct change *change = change_new(world->store);
	struct vm *vm = record_new(&vm_type);

	set_string(&vm->name, name);
	set_ref(&vm->cluster, object_id(cluster));
	set_ref(&vm->template, BLANK_ID);
	change_add(change, vm);
	assert_true(change_commit(change, NULL));
	return vm;
}

/* A sight says of each object what access_sees() does; so do ids, where they alone tell. */
static void expect_ids(struct world *world, const struct access *access, const struct kind *kind, bool told)
{
	struct sight *sight = access_sight(access, world->model, kind, /* filter= */ true);
	GHashTable *ids = sight ? sight_ids(sight) : NULL;
	g_autoptr(GPtrArray) objects = model_list(world->model, kind);

	assert_int_equal(ids != NULL, told);
	for (guint i = 0; sight && i < objects->len; i++) {
		bool seen = access_sees(access, world->model, objects->pdata[i], true);

		assert_int_equal(sight_sees(objects->pdata[i], sight), seen);
		if (ids)
			assert_int_equal(g_hash_table_contains(ids, object_id(objects->pdata[i])), seen);
	}
	sight_free(sight);
}

static void expect_seen_ids(struct world *world, const void *user, bool vms, bool clusters)
{
	struct access *access = access_new(world->model, object_id(user));

	expect_ids(world, access, &vm_kind, vms);
	expect_ids(world, access, &cluster_kind, clusters);
	expect_ids(world, access, &datacenter_kind, clusters);
	expect_ids(world, access, &user_kind, false);
	expect_ids(world, access, &permission_kind, false);
	expect_ids(world, access, &role_kind, false);
	access_unref(access);
}

static void test_inheritance(void **state)
{
	struct world *world = *state;
	void *dc = find(world, &datacenter_kind, "Default"), *cluster = find(world, &cluster_kind, "Default");
	void *vm = make_vm(world, "vm", cluster), *other = make_vm(world, "other", cluster);
	void *on_vm = make_user(world, "vm"), *on_cluster = make_user(world, "cluster"), *on_dc = make_user(world, "dc"), *on_all = make_user(world, "all");
	struct nic *nic = record_new(&nic_type);
	struct vm *new_vm = record_new(&vm_type);

	set_string(&nic->id, "nic");
	set_ref(&nic->vm, object_id(vm));
	set_ref(&new_vm->cluster, object_id(cluster));
	give(world, ROLE_USER_VM_MANAGER, on_vm, vm);
	give(world, ROLE_POWER_USER, on_cluster, cluster);
	give(world, ROLE_USER, on_dc, dc);
	give(world, ROLE_USER, on_all, NULL);
	const struct { void *user; const char *permit; const void *object; bool permitted; } cases[] = {
		{ on_vm, "run_vm", vm, true }, { on_vm, "run_vm", other, false }, { on_vm, "configure_vm_network", nic, true }, { on_vm, "run_vm", cluster, false },
		{ on_vm, "create_vm", vm, false }, { on_vm, "no_such_permit", vm, false }, { on_vm, "run_vm", NULL, false },
		{ on_cluster, "run_vm", vm, true }, { on_cluster, "create_vm", new_vm, true }, { on_cluster, "create_vm", dc, false },
		{ on_cluster, "run_vm", nic, true }, { on_cluster, "edit_vm_properties", vm, false },
		{ on_dc, "run_vm", vm, true }, { on_dc, "run_vm", cluster, true }, { on_dc, "create_vm", new_vm, false },
		{ on_all, "run_vm", NULL, true }, { on_all, "run_vm", vm, true }, { on_all, "create_vm", vm, false },
	};
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct access *access = access_new(world->model, object_id(cases[i].user));

		if (access_permits(access, world->model, cases[i].permit, cases[i].object) != cases[i].permitted)
			fail_msg("case %zu: %s", i, cases[i].permit);
		access_unref(access);
	}
	const struct { void *user; const void *object; bool seen; } sights[] = {
		{ on_vm, vm, true }, { on_vm, other, false }, { on_vm, nic, true }, { on_vm, cluster, true }, { on_vm, dc, true }, { on_vm, on_vm, true },
		{ on_vm, on_cluster, false }, { on_cluster, other, true }, { on_dc, other, true }, { on_all, on_vm, true },
	};
	for (size_t i = 0; i < G_N_ELEMENTS(sights); i++) {
		struct access *access = access_new(world->model, object_id(sights[i].user));

		if (access_sees(access, world->model, sights[i].object, /* filter= */ true) != sights[i].seen)
			fail_msg("sight %zu", i);
		access_unref(access);
	}
	expect_seen_ids(world, on_vm, true, true);
	expect_seen_ids(world, on_cluster, false, true);
	expect_seen_ids(world, on_all, false, false);
	void *const all[] = { dc, cluster, vm, other, on_vm, on_cluster, on_dc, on_all, nic, new_vm };
	for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
		record_unref(all[i]);
}

/* ---- what a sight says of each object of every kind, for users with permissions here and there ---- */

#define USERS 12
#define OBJECTS 40

static void *put(struct world *world, void *record)
{
	g_autoptr(GError) error = NULL;

	if (!add(world, record_ref(record), &error))
		fail_msg("%s", error->message);
	return record;
}

static void *any(const GPtrArray *objects)
{
	return objects->len ? objects->pdata[g_random_int_range(0, (gint32)objects->len)] : NULL;
}

static const char *any_id(const GPtrArray *objects)
{
	return objects->len ? object_id(any(objects)) : NULL;
}

static void replace(struct world *world, const struct vm *vm, const char *description, const char *cluster)
{
	struct change *change = change_new(world->store);
	struct vm *now = model_get(world->model, &vm_kind, vm->id), *copy = record_copy(now);

	if (description)
		set_string(&copy->description, description);
	if (cluster)
		set_ref(&copy->cluster, cluster);
	change_replace(change, now, copy);
	record_unref(copy);
	record_unref(now);
	assert_true(change_commit(change, NULL));
}

struct places { GPtrArray *dcs, *clusters, *domains, *vms, *disks, *nics; };

static void make_one(struct world *world, struct places *all, int n)
{
	g_autofree char *name = g_strdup_printf("o%d", n);

	if (n % 6 == 0) {
		struct datacenter *dc = record_new(&datacenter_type);
		struct cluster *cluster = record_new(&cluster_type);
		struct storage_domain *domain = record_new(&storage_domain_type);

		set_string(&dc->name, name);
		g_ptr_array_add(all->dcs, put(world, dc));
		set_string(&cluster->name, name);
		set_ref(&cluster->data_center, any_id(all->dcs));
		g_ptr_array_add(all->clusters, put(world, cluster));
		set_string(&domain->name, name);
		if (n % 4)
			set_ref(&domain->data_center, any_id(all->dcs));
		g_ptr_array_add(all->domains, put(world, domain));
		return;
	}
	struct disk *disk = record_new(&disk_type);
	struct nic *nic = record_new(&nic_type);

	g_ptr_array_add(all->vms, make_vm(world, name, any(all->clusters)));
	set_string(&disk->name, name);
	if (n % 3)
		set_ref(&disk->vm, any_id(all->vms));
	disk->storage_domains = list_new();
	for (int i = 0; i < n % 4; i++) {
		struct object_ref *at = record_new(&object_ref_type);

		set_string(&at->id, any_id(all->domains));
		g_ptr_array_add(disk->storage_domains, at);
	}
	g_ptr_array_add(all->disks, put(world, disk));
	set_string(&nic->name, name);
	set_ref(&nic->vm, any_id(all->vms));
	g_ptr_array_add(all->nics, put(world, nic));
}

static unsigned compare_kind(struct world *world, const struct access *access, const struct kind *kind)
{
	struct sight *sight = access_sight(access, world->model, kind, /* filter= */ true);
	g_autoptr(GPtrArray) objects = model_list(world->model, kind);
	unsigned seen = 0;

	for (guint i = 0; sight && i < objects->len; i++) {
		bool sees = access_sees(access, world->model, objects->pdata[i], true);

		if (sight_sees(objects->pdata[i], sight) != sees)
			fail_msg("%s %s: %s", kind->collection, object_id(objects->pdata[i]), sees ? "is seen" : "is not seen");
		seen += sees;
	}
	sight_free(sight);
	return seen;
}

static void test_sights(void **state)
{
	struct world *world = *state;
	struct places all = { list_new(), list_new(), list_new(), list_new(), list_new(), list_new() };
	GPtrArray *const kinds_of[] = { all.dcs, all.clusters, all.domains, all.vms, all.disks, all.nics };
	unsigned seen = 0;

	for (int i = 0; i < OBJECTS; i++)
		make_one(world, &all, i);
	for (int i = 0; i < USERS; i++) {
		g_autofree char *name = g_strdup_printf("user%d", i);
		void *user = make_user(world, name);
		struct access *access;

		for (int j = 0; j <= i % 4; j++)
			give(world, ROLE_USER, user, any(kinds_of[(i + j * 5) % (int)G_N_ELEMENTS(kinds_of)]));
		access = access_new(world->model, object_id(user));
		for (const struct kind *const *kind = kinds; *kind; kind++)
			seen += compare_kind(world, access, *kind);
		access_unref(access);
		record_unref(user);
	}
	assert_true(seen > USERS * 2);
	for (size_t i = 0; i < G_N_ELEMENTS(kinds_of); i++)
		g_ptr_array_unref(kinds_of[i]);
}

/* Worked out anew when a permission is given or taken, or something comes to be elsewhere, and not otherwise. */
static void test_age(void **state)
{
	struct world *world = *state;
	void *user = make_user(world, "user"), *cluster = find(world, &cluster_kind, "Default");
	struct access *access = access_new(world->model, object_id(user));

	assert_false(access_logs_in(access));
	assert_true(access_is_current(access, world->model));
	void *vm = make_vm(world, "vm", cluster);
	assert_true(access_is_current(access, world->model));
	give(world, ROLE_USER, user, cluster);
	assert_false(access_is_current(access, world->model));
	access_unref(access);
	access = access_new(world->model, object_id(user));
	assert_true(access_logs_in(access));
	assert_false(access_is_administrator(access));
	replace(world, vm, "new", NULL);
	assert_true(access_is_current(access, world->model));
	struct cluster *second = record_new(&cluster_type);
	set_string(&second->name, "second");
	(void)put(world, second);
	assert_true(access_is_current(access, world->model));
	replace(world, vm, NULL, object_id(second));
	assert_false(access_is_current(access, world->model));
	record_unref(second);
	access_unref(access);
	record_unref(vm);
	record_unref(user);
	record_unref(cluster);
}

static void check_permit(const struct resource *resource, const char *what, const char *permit)
{
	if (!permit || !permit_number(permit))
		fail_msg("%s of %s%s%s has no permit that there is: %s", what, resource->parent ? resource->parent->path : "", resource->parent ? "/" : "",
			 resource->path, permit ? permit : "NULL");
}

static void test_rows(void **state)
{
	for (size_t i = 0; resources[i]; i++) {
		const struct resource *resource = resources[i];

		if (resource->methods & RESOURCE_ADD)
			check_permit(resource, "POST", resource->permit_add);
		if (resource->methods & RESOURCE_UPDATE)
			check_permit(resource, "PUT", resource->permit_update);
		if (resource->methods & RESOURCE_REMOVE)
			check_permit(resource, "DELETE", resource->permit_remove);
		for (const struct action *action = resource->actions; action && action->name; action++)
			check_permit(resource, action->name, action->permit);
	}
	for (const struct builtin_role *role = builtin_roles; role->id; role++) {
		struct role *made = record_new(&role_type);

		if (role->permits)
			role_give(made, role->permits);        /* asserts that there are such permits */
		for (int number = 1; !role->administrative && permits[number - 1].name; number++)
			if (role->permits && permits[number - 1].administrative && role_has(made, number) && strcmp(role->name, "TagManager") &&
			    strcmp(role->name, "ExternalEventsCreator"))
				fail_msg("role %s is for users and has %s", role->name, permits[number - 1].name);
		record_unref(made);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_inheritance, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sights, setup, teardown),
		cmocka_unit_test_setup_teardown(test_age, setup, teardown),
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
