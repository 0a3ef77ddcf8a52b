/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_TESTS_UNIT_STORE_FIXTURE_H
#define BERTH_TESTS_UNIT_STORE_FIXTURE_H
/* A store in a directory of its own, for the tests of the store. */
#include "tests/unit/cmocka-all.h"
#include <string.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "common/error.h"
#include "engine/model/cluster.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/nic.h"
#include "engine/model/template.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"
#include "tests/unit/store-place.h"

struct world { char *dir; struct model *model; struct store *store; };

static inline void world_open(struct world *world)
{
	g_autoptr(GError) error = NULL;

	world->model = model_new();
	world->store = place_open(world->dir, world->model, &error);
	if (!world->store)
		fail_msg("%s", error->message);
}

static inline void world_close(struct world *world)
{
	world->store = store_close(world->store);
	world->model = model_free(world->model);
}

static inline int setup(void **state)
{
	struct world *world = g_new0(struct world, 1);

	world->dir = g_dir_make_tmp("berth-store-XXXXXX", NULL);
	world_open(world);
	*state = world;
	return 0;
}

static inline void clean(const char *dir)
{
	place_remove(dir, (const char *const[]) { "acknowledged", NULL });
}

static inline int teardown(void **state)
{
	struct world *world = *state;

	world_close(world);
	clean(world->dir);
	g_free(world->dir);
	g_free(world);
	return 0;
}

/* ---- helpers ---- */

static inline char *default_cluster(struct model *model)
{
	struct cluster *cluster = model_find(model, &cluster_kind, NULL, "Default");
	char *id = g_strdup(cluster->id);

	record_unref(cluster);
	return id;
}

static inline struct vm *vm_new(struct world *world, const char *name)
{
	struct vm *vm = record_new(&vm_type);
	g_autofree char *cluster = default_cluster(world->model);

	set_string(&vm->name, name);
	set_ref(&vm->cluster, cluster);
	set_ref(&vm->template, BLANK_ID);
	SET(vm, state, VM_DOWN);
	SET(vm, memory, 1048576);
	return vm;
}

static inline bool add(struct world *world, void *record, GError **error)
{
	struct change *change = change_new(world->store);
	bool done;

	change_add(change, record);
	done = change_commit(change, error);
	record_unref(record);
	return done;
}

static inline struct nic *nic_new(const char *vm, const char *name)
{
	struct nic *nic = record_new(&nic_type);

	set_string(&nic->name, name);
	set_ref(&nic->vm, vm);
	return nic;
}

static inline char *vm_id(struct world *world, const char *name)
{
	struct vm *vm = model_find(world->model, &vm_kind, NULL, name);
	char *id = vm ? g_strdup(vm->id) : NULL;

	record_unref(vm);
	return id;
}

static inline bool remove_object(struct world *world, const struct kind *kind, const char *id, GError **error)
{
	struct change *change = change_new(world->store);
	void *record = model_get(world->model, kind, id);

	assert_non_null(record);
	change_remove(change, record);
	record_unref(record);
	return change_commit(change, error);
}

#define assert_done(call) do { g_autoptr(GError) e_ = NULL; if (!(call)) fail_msg("%s", e_ ? e_->message : "no error"); } while (0)
#define assert_fails(expected, part, call) do { \
	g_autoptr(GError) error = NULL; \
	assert_false(call); \
	assert_non_null(error); \
	if (error->code != (expected) || !strstr(error->message, part)) \
		fail_msg("got %d '%s', expected %d with '%s'", error->code, error->message, (int)(expected), part); \
} while (0)

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
