/* SPDX-License-Identifier: Apache-2.0 */
/* The decision, without HTTP: objects in their places, permissions of users and groups; and that every operation names a permit that there is. */
#include "engine/api/action.h"
#include "engine/api/resource.h"
#include "engine/auth/access.h"
#include "engine/model/datacenter.h"
#include "engine/model/event.h"
#include "engine/model/permission.h"
#include "engine/model/role.h"
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

/* Where ids tell what is seen, they leave out nothing that is. */
static void expect_ids(struct world *world, const struct access *access, const struct kind *kind, bool told)
{
	GHashTable *ids = access_seen_ids(access, kind, /* filter= */ true);
	g_autoptr(GPtrArray) objects = model_list(world->model, kind);

	assert_int_equal(ids != NULL, told);
	for (guint i = 0; ids && i < objects->len; i++)
		assert_int_equal(g_hash_table_contains(ids, object_id(objects->pdata[i])), access_sees(access, world->model, objects->pdata[i], true));
	g_clear_pointer(&ids, g_hash_table_unref);
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

/* Worked out anew when a permission is given or taken, and not otherwise. */
static void test_age(void **state)
{
	struct world *world = *state;
	void *user = make_user(world, "user"), *cluster = find(world, &cluster_kind, "Default");
	struct access *access = access_new(world->model, object_id(user));

	assert_false(access_logs_in(access));
	assert_true(access_is_current(access, world->model));
	record_unref(make_vm(world, "vm", cluster));
	assert_true(access_is_current(access, world->model));
	give(world, ROLE_USER, user, cluster);
	assert_false(access_is_current(access, world->model));
	access_unref(access);
	access = access_new(world->model, object_id(user));
	assert_true(access_logs_in(access));
	assert_false(access_is_administrator(access));
	access_unref(access);
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
		cmocka_unit_test_setup_teardown(test_age, setup, teardown),
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
