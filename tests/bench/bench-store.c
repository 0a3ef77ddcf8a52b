/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store with 10,000 VMs: how long it takes to load them, what memory each costs, how fast changes are committed. One JSON object a line.
 * Each VM has what one made by a usual request has: everything that Blank says is spelled out.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include <glib/gstdio.h>
#include "common/loop.h"
#include "engine/model/cluster.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/template.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"
#include "tests/unit/store-place.h"

#define VMS 10000
#define TOGETHER 500

static int failures;

/* limit 0: for information */
static void report(const char *name, double value, const char *unit, double limit)
{
	bool ok = limit == 0 || value <= limit;

	printf("{\"name\": \"%s\", \"value\": %.6g, \"unit\": \"%s\", \"limit\": %.6g, \"ok\": %s}\n", name, value, unit, limit, ok ? "true" : "false");
	failures += !ok;
}

static struct vm *vm_new(int number, const char *cluster, const struct template *blank)
{
	struct vm *vm = record_new(&vm_type);

	vm->name = g_strdup_printf("vm-%05d.example.com", number);
	set_string(&vm->description, "made by the bench");
	set_ref(&vm->cluster, cluster);
	set_ref(&vm->template, BLANK_ID);
	SET(vm, state, VM_DOWN);
	SET(vm, creation_time, wall_msec());
	SET(vm, stop_time, wall_msec());
	SET(vm, next_run_configuration_exists, false);
	vm_inherit(vm, blank);
	return vm;
}

static struct store *must_open(const char *dir, struct model *model)
{
	g_autoptr(GError) error = NULL;
	struct store *store = place_open(dir, model, &error);

	if (!store) {
		fprintf(stderr, "bench-store: %s\n", error->message);
		exit(1);
	}
	return store;
}

static void fill(struct store *store, struct model *model)
{
	struct cluster *cluster = model_find(model, &cluster_kind, NULL, "Default");
	struct template *blank = model_get(model, &template_kind, BLANK_ID);

	for (int i = 0; i < VMS;) {
		struct change *change = change_new(store);
		g_autoptr(GError) error = NULL;

		for (int j = 0; j < TOGETHER; j++, i++) {
			struct vm *vm = vm_new(i, cluster->id, blank);

			change_add(change, vm);
			record_unref(vm);
		}
		if (!change_commit(change, &error)) {
			fprintf(stderr, "bench-store: %s\n", error->message);
			exit(1);
		}
	}
	record_unref(cluster);
	record_unref(blank);
}

static size_t heap(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

struct worker { struct store *store; struct model *model; int number; };
#define WORKERS 8
#define COMMITS 100

static bool grow(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;

	SET(vm, memory, vm->memory + 1048576);
	return true;
}

static void *work(void *data)
{
	const struct worker *worker = data;
	g_autoptr(GPtrArray) vms = model_list(worker->model, &vm_kind);

	for (int i = 0; i < COMMITS; i++)
		(void)store_modify(worker->store, &vm_kind, object_id(vms->pdata[worker->number * COMMITS + i]), grow, NULL, NULL, NULL);
	return NULL;
}

static double commits_a_second(struct store *store, struct model *model)
{
	struct worker workers[WORKERS];
	pthread_t threads[WORKERS];
	int64_t start = now_usec();

	for (int i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker) { store, model, i };
		if (pthread_create(&threads[i], NULL, work, &workers[i]))
			exit(1);
	}
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	return WORKERS * COMMITS / ((double)(now_usec() - start) / 1e6);
}

static double finds(struct model *model)
{
	int64_t start = now_usec();

	for (int i = 0; i < VMS; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "VM-%05d.example.com", i);
		record_unref(model_find(model, &vm_kind, NULL, name));
	}
	return (double)(now_usec() - start) / VMS;
}

int main(void)
{
	g_autofree char *dir = g_dir_make_tmp("berth-bench-XXXXXX", NULL);
	struct model *model = model_new();
	struct store *store = must_open(dir, model);
	size_t empty, full;
	int64_t start, listed;

	fill(store, model);
	(void)store_close(store);
	(void)model_free(model);

	model = model_new();
	(void)malloc_trim(0);
	empty = heap();
	start = now_usec();
	store = must_open(dir, model);
	report("store_load_10000_vms", (double)(now_usec() - start) / 1e6, "s", 1.0);
	full = heap();
	report("store_memory_per_vm", (double)(full - empty) / VMS, "bytes", 4096);
	start = now_usec();
	g_ptr_array_unref(model_list(model, &vm_kind));
	listed = now_usec() - start;
	report("model_list_10000_vms", (double)listed / 1e3, "ms", 0);
	report("model_find_by_name", finds(model), "us", 0);
	report("store_commits_8_threads", commits_a_second(store, model), "1/s", 0);
	store_close(store);
	model_free(model);
	place_remove(dir, NULL);
	return failures ? 1 : 0;
}
