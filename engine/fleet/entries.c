/* SPDX-License-Identifier: Apache-2.0 */
/* See entries.h. One job at most waits for each VM and host: the host's next list asks again for what could not be dropped. */
#include "engine/fleet/entries.h"

#include "common/error.h"
#include "common/log.h"
#include "engine/fleet/fleet-priv.h"
#include "engine/model/kinds.h"
#include "engine/model/vm.h"
#include "engine/store/store.h"

#define LOG_MODULE "fleet"
#define ASK_TIMEOUT_S 30

static bool is_down(const json_t *info)
{
	return !g_strcmp0(json_string_value(json_object_get(info, "status")), vm_wire_status_names[VM_WIRE_DOWN]);
}

static bool destroy(struct fleet *fleet, const char *host_id, const char *vm_id, const char *flow_id, GError **error)
{
	struct vm_destroy_params *params = record_new(&vm_destroy_params_type);
	bool ok;

	set_string(&params->vm_id, vm_id);
	ok = fleet_call(fleet, host_id, "VM.destroy", params, flow_id, ASK_TIMEOUT_S, NULL, error);
	record_unref(params);
	return ok;
}

bool entry_drop(struct fleet *fleet, const char *host_id, const char *vm_id, const char *flow_id, bool *ret_gone, GError **error)
{
	struct vm_id_params *params = record_new(&vm_id_params_type);
	json_t *info = NULL;
	GError *own = NULL;

	set_string(&params->vm_id, vm_id);
	if (fleet_call(fleet, host_id, "VM.getInfo", params, flow_id, ASK_TIMEOUT_S, &info, &own))
		*ret_gone = is_down(info) && destroy(fleet, host_id, vm_id, flow_id, &own);
	json_decref(info);
	record_unref(params);
	if (error_is(own, ERR_NO_SUCH_VM)) {
		g_clear_error(&own);
		*ret_gone = true;
	}
	if (own)
		g_propagate_error(error, own);
	return !own;
}

/* ---- later ---- */

struct drop { struct fleet *fleet; char *host_id, *vm_id, *key; };

static void drop_free(void *data)
{
	struct drop *drop = data;

	g_mutex_lock(&drop->fleet->lock);
	g_hash_table_remove(drop->fleet->drops, drop->key);
	g_mutex_unlock(&drop->fleet->lock);
	g_free(drop->host_id);
	g_free(drop->vm_id);
	g_free(drop->key);
	g_free(drop);
}

static bool edit_no_entry(void *copy, struct change *change, void *data, GError **error)
{
	struct vm *vm = copy;

	if (g_strcmp0(vm->entry_host.id, data))
		return false;
	set_ref(&vm->entry_host, NULL);
	return true;
}

static void run(void *data)
{
	struct drop *drop = data;
	struct fleet *fleet = drop->fleet;
	struct vm *vm = model_get(fleet->engine->model, &vm_kind, drop->vm_id);
	bool wanted = vm && g_strcmp0(vm->host.id, drop->host_id), gone = false;
	g_autoptr(GError) error = NULL;

	record_unref(vm);
	if (!wanted)
		return;
	if (entry_drop(fleet, drop->host_id, drop->vm_id, NULL, &gone, &error) && gone)
		(void)store_modify(fleet->engine->store, &vm_kind, drop->vm_id, edit_no_entry, drop->host_id, NULL, &error);
	if (error)
		log_info("host %s: the entry of VM %s, which is down, stays for now: %s", drop->host_id, drop->vm_id, error->message);
}

void entry_drop_later(struct fleet *fleet, const char *host_id, const char *vm_id)
{
	struct drop *drop;
	g_autofree char *lane = g_strdup_printf("%s/%s", vm_kind.collection, vm_id);
	struct lane_job job = { .name = "entry of a VM that is down", .run = run, .free_data = drop_free };
	g_autofree char *key = g_strdup_printf("%s/%s", host_id, vm_id);
	g_autoptr(GError) error = NULL;
	bool first;

	g_mutex_lock(&fleet->lock);
	first = g_hash_table_add(fleet->drops, g_strdup(key));
	g_mutex_unlock(&fleet->lock);
	if (!first)
		return;
	drop = g_new0(struct drop, 1);
	*drop = (struct drop){ fleet, g_strdup(host_id), g_strdup(vm_id), g_steal_pointer(&key) };
	job.data = drop;
	if (!lane_submit(fleet->engine->lanes, lane, &job, &error)) {
		log_info("VM %s: %s, ignoring: the host's next list asks again", vm_id, error->message);
		drop_free(drop);
	}
}
