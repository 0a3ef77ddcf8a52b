/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/flow/definitions.h"

#include <string.h>

#include "common/error.h"
#include "common/log.h"
#include "common/loop.h"
#include "engine/flow/agent.h"
#include "engine/flow/pool_calls.h"
#include "engine/flow/storage_flow.h"
#include "engine/model/kinds.h"

#define LOG_MODULE "flow"
#define AT_ONCE 16                       /* texts in one answer; when it gets too long for that, each by itself */

struct definition *definition_free(struct definition *definition)
{
	if (!definition)
		return NULL;
	(void)ovf_free(definition->ovf);
	g_free(definition->id);
	g_free(definition->problem);
	g_free(definition);
	return NULL;
}

static void free_item(void *definition)
{
	(void)definition_free(definition);
}

/* text NULL: problem says why */
static struct definition *take(const char *id, const char *text, const char *problem)
{
	struct definition *definition = g_new0(struct definition, 1);
	g_autoptr(GError) error = NULL;

	definition->id = g_strdup(id);
	definition->ovf = text ? ovf_read(text, strlen(text), &error) : NULL;
	if (definition->ovf && g_ascii_strcasecmp(object_id(ovf_object(definition->ovf)), id)) {
		error_set(&error, ERR_BAD_VALUE, "OVF: it is that of '%s'", object_id(ovf_object(definition->ovf)));
		definition->ovf = ovf_free(definition->ovf);
	}
	if (!definition->ovf)
		definition->problem = g_strdup(error ? error->message : problem);
	return definition;
}

struct source { struct storage_call call; const struct storage_domain *domain; };

static bool read_some(const struct source *source, const json_t *ids, GPtrArray *list, GError **error)
{
	json_t *map = pool_definitions(&source->call, source->domain->data_center.id, source->domain->id, ids, error), *id;
	size_t i;

	if (!map)
		return false;
	json_array_foreach((json_t *)ids, i, id)
		g_ptr_array_add(list, take(json_string_value(id), json_string_value(json_object_get(map, json_string_value(id))),
					   "OVF: it is longer than 4 MiB, or no text"));
	json_decref(map);
	return true;
}

static bool read_each(const struct source *source, const json_t *ids, GPtrArray *list, GError **error)
{
	size_t i;
	json_t *id;

	json_array_foreach((json_t *)ids, i, id) {
		json_t *one = json_pack("[O]", id);
		g_autoptr(GError) own = NULL;
		bool ok = read_some(source, one, list, &own);

		json_decref(one);
		if (!ok && error_is(own, ERR_INVALID_PARAMETER_EXCEPTION))
			g_ptr_array_add(list, take(json_string_value(id), NULL, own->message));
		else if (!ok) {
			g_propagate_error(error, g_steal_pointer(&own));
			return false;
		}
	}
	return true;
}

static bool read_all(const struct source *source, const json_t *ids, GPtrArray *list, GError **error)
{
	for (size_t i = 0; i < json_array_size(ids); i += AT_ONCE) {
		json_t *some = json_array();
		g_autoptr(GError) own = NULL;
		bool ok;

		for (size_t j = i; j < MIN(i + AT_ONCE, json_array_size(ids)); j++)
			json_array_append(some, json_array_get(ids, j));
		ok = read_some(source, some, list, &own);
		if (!ok && error_is(own, ERR_INVALID_PARAMETER_EXCEPTION)) {
			g_clear_error(&own);
			ok = read_each(source, some, list, &own);
		}
		json_decref(some);
		if (!ok) {
			g_propagate_error(error, g_steal_pointer(&own));
			return false;
		}
	}
	return true;
}

GPtrArray *definitions_read(struct engine *engine, const struct storage_domain *domain, GError **error)
{
	g_autofree char *host = storage_host(engine, domain, error);
	const struct source source = { { engine, host, NULL, AGENT_PATIENCE_NONE }, domain };
	json_t *ids = host ? pool_definition_ids(&source.call, domain->data_center.id, domain->id, error) : NULL;
	GPtrArray *list = g_ptr_array_new_with_free_func(free_item);

	if (!ids || !read_all(&source, ids, list, error))
		g_clear_pointer(&list, g_ptr_array_unref);
	json_decref(ids);
	return list;
}

struct definition *definition_read(struct engine *engine, const struct storage_domain *domain, const char *id, GError **error)
{
	g_autofree char *host = storage_host(engine, domain, error);
	const struct source source = { { engine, host, NULL, AGENT_PATIENCE_NONE }, domain };
	json_t *ids = host ? pool_definition_ids(&source.call, domain->data_center.id, domain->id, error) : NULL, *one = NULL, *item;
	g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(free_item);
	bool ok = ids != NULL;
	size_t i;

	json_array_foreach(ids, i, item)
		if (!one && !g_ascii_strcasecmp(json_string_value(item) ? json_string_value(item) : "", id))
			one = json_pack("[O]", item);
	if (ok && !one) {
		error_set(error, ERR_NOT_FOUND, "'%.128s' on storage domain '%s'", id, domain->name);
		ok = false;
	}
	ok = ok && read_each(&source, one, list, error);
	json_decref(one);
	json_decref(ids);
	return ok ? g_ptr_array_steal_index(list, 0) : NULL;
}

/* ---- data domains ---- */

static bool has_definitions(const struct storage_domain *domain)
{
	return domain->type == DOMAIN_DATA && domain->storage_type != STORAGE_LOCALFS && !domain->local_host.id && domain->data_center.id;
}

void definitions_forget(const struct storage_call *call, const struct storage_domain *domain, const char *vm_id)
{
	g_autoptr(GError) error = NULL;

	if (has_definitions(domain) && !pool_forget_definition(call, domain->data_center.id, domain->id, vm_id, &error))
		log_warn("storage domain %s: the definition of VM %s stays: %s, ignoring", domain->id, vm_id, error->message);
}

/* The disks of the VM or template on the domain; empty: it is none of the domain's. */
static GPtrArray *disks_on(struct model *model, const void *object, const char *domain_id)
{
	GPtrArray *disks = kind_of(object) == &template_kind ? template_disks(model, object_id(object)) : model_children(model, &disk_kind, object_id(object));

	for (guint i = disks->len; i > 0; i--) {
		const struct disk *disk = disks->pdata[i - 1];

		if (g_strcmp0(disk_domain(disk), domain_id) || !disk->image_id || disk->shareable)
			g_ptr_array_remove_index(disks, i - 1);
	}
	return disks;
}

static bool keep(const struct storage_call *call, const struct storage_domain *domain, const void *object, const json_t *there, GError **error)
{
	g_autoptr(GPtrArray) disks = disks_on(call->engine->model, object, domain->id);
	g_autofree char *text = disks->len ? ovf_write(call->engine->model, object, disks, wall_msec()) : NULL;
	const char *own = object_id(object);
	bool stale = false;
	size_t i;
	json_t *id;

	if (text)
		return pool_keep_definition(call, domain->data_center.id, domain->id, own, text, error);
	json_array_foreach((json_t *)there, i, id)
		stale = stale || !g_strcmp0(json_string_value(id), own);
	return !stale || pool_forget_definition(call, domain->data_center.id, domain->id, own, error);
}

void definitions_keep(const struct storage_call *call, const struct storage_domain *domain)
{
	g_autoptr(GPtrArray) vms = has_definitions(domain) ? model_list(call->engine->model, &vm_kind) : list_new();
	g_autoptr(GPtrArray) templates = has_definitions(domain) ? model_list(call->engine->model, &template_kind) : list_new();
	g_autoptr(GError) error = NULL;
	json_t *there = vms->len + templates->len ? pool_definition_ids(call, domain->data_center.id, domain->id, &error) : NULL;

	for (guint i = 0; there && i < vms->len && !error; i++)
		(void)keep(call, domain, vms->pdata[i], there, &error);
	for (guint i = 0; there && i < templates->len && !error; i++)
		(void)keep(call, domain, templates->pdata[i], there, &error);
	if (error)
		log_warn("storage domain %s: not all definitions of VMs and templates are on it: %s, ignoring", domain->id, error->message);
	json_decref(there);
}
