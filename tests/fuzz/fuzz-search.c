/* SPDX-License-Identifier: Apache-2.0 */
/* The search language: first byte chooses the kind and the options, the rest is the query. */
#include <string.h>
#include "engine/model/kinds.h"
#include "engine/model/vm.h"
#include "engine/search/search.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct model *make_model(void)
{
	struct model *model = model_new();
	for (unsigned i = 0; i < 20; i++) {
		struct vm *vm = record_new(&vm_type);
		vm->id = g_strdup_printf("%08x-0000-4000-8000-000000000000", i);
		vm->name = g_strdup_printf("vm%u", i);
		vm->description = i % 3 ? g_strdup("two words") : NULL;
		SET(vm, state, (int)(i % VM_STATE_MAX));
		SET(vm, memory, (int64_t)i << 20);
		const struct model_change change = { &vm_kind, vm->id, vm };
		model_publish(model, &change, 1);
		record_unref(vm);
	}
	return model;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model *model;
	if (!model)
		model = make_model();
	if (size < 1)
		return 0;
	const struct kind *const of[] = { &vm_kind, &host_kind, &cluster_kind, &datacenter_kind, &event_kind, &disk_kind, &storage_domain_kind, &network_kind };
	const struct kind *kind = of[data[0] & 7];
	const struct search_options options = { .case_insensitive = data[0] & 8, .max = data[0] & 16 ? 3 : 0 };
	char *text = g_strndup((const char *)data + 1, size - 1);
	GError *error = NULL;
	struct query *query = query_new(kind, text, &options, &error);
	if (query) {
		GPtrArray *objects = model_list(model, kind), *found = query_run(query, model, objects);
		if (found->len > objects->len || (options.max && found->len > options.max))
			__builtin_trap();
		g_ptr_array_unref(found);
		g_ptr_array_unref(objects);
	} else if (!error) {
		__builtin_trap();
	}
	g_clear_error(&error);
	query_free(query);
	g_free(text);
	return 0;
}
