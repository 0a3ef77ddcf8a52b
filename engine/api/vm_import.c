/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Import of VMs and templates from an export domain, and registration of those that a data domain brought along (REST 12.6).
 *
 * They keep their ids unless they are cloned, and a VM has what its definition does not say from the template Blank. NICs keep their network when the data center
 * has one of that name, and their address unless somebody else has it. Disks come without their snapshots, as one volume each.
 */
#include "engine/api/vm_import.h"

#include <string.h>

#include "common/error.h"
#include "common/loop.h"
#include "engine/api/action.h"
#include "engine/flow/agent.h"
#include "engine/flow/definitions.h"
#include "engine/flow/domain_sizes.h"
#include "engine/flow/image_copies.h"
#include "engine/flow/import_flow.h"
#include "engine/flow/storage_flow.h"
#include "engine/model/cluster.h"
#include "engine/model/features.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/network.h"
#include "engine/model/template.h"
#include "engine/model/vnic_profile.h"
#include "engine/store/store.h"

/* Import and registration; name: of the new VM; disks: struct object_ref, ids as they are at the source */
struct import_action { ACTION_MEMBERS struct ref cluster, storage_domain; char *name; bool clone, collapse_snapshots; GPtrArray *disks; };
#define OF_BOTH \
	ACTION_FIELDS(struct import_action), \
	FIELD_REF_(struct import_action, cluster, "cluster", CREATE | REQUIRED, "clusters", "cluster that the VM comes into"), \
	FIELD_STRING_(struct import_action, name, "name", CREATE, "name of the new VM; absent: the one it has", .min = 1, .max = 255, .pattern = "[-\\w.+]+"), \
	FIELD_STRING_(struct import_action, name, "vm/name", CREATE | ALIAS, "other place of name")
static const struct field import_fields[] = {
	OF_BOTH,
	FIELD_REF_(struct import_action, storage_domain, "storage_domain", CREATE, "storagedomains",
		   "data domain that takes the disks; may be left out when the data center has only one that is active"),
	FIELD_BOOL_(struct import_action, clone, "clone", CREATE, "a new VM, with ids of its own"),
	FIELD_LIST_(struct import_action, disks, "disks/disk", CREATE, &object_ref_type, "only these disks"),
	FIELD_LIST_(struct import_action, disks, "vm/disks/disk", CREATE | ALIAS, &object_ref_type, "other place of disks"),
	FIELD_BOOL_(struct import_action, collapse_snapshots, "vm/snapshots/collapse_snapshots", CREATE, "disks come without snapshots: they always do"),
};
const struct record_type import_action_type = RECORD_TYPE("action", NULL, struct import_action, import_fields, "What to import, and where to");
static const struct field register_fields[] = { OF_BOTH };
const struct record_type register_action_type = RECORD_TYPE("action", NULL, struct import_action, register_fields, "Where to register a VM");

#define OF_TEMPLATE \
	ACTION_FIELDS(struct import_action), \
	FIELD_REF_(struct import_action, cluster, "cluster", CREATE | REQUIRED, "clusters", "cluster that the template comes into"), \
	FIELD_STRING_(struct import_action, name, "name", CREATE, "name of the new template; absent: the one it has", .min = 1, .max = 255, .pattern = "[-\\w.+]+"), \
	FIELD_STRING_(struct import_action, name, "template/name", CREATE | ALIAS, "other place of name")
static const struct field template_fields[] = {
	OF_TEMPLATE,
	FIELD_REF_(struct import_action, storage_domain, "storage_domain", CREATE, "storagedomains", "data domain that takes the disks; a template without disks needs none"),
	FIELD_BOOL_(struct import_action, clone, "clone", CREATE, "a new template, with ids of its own"),
	FIELD_LIST_(struct import_action, disks, "disks/disk", CREATE, &object_ref_type, "only these disks"),
	FIELD_LIST_(struct import_action, disks, "template/disks/disk", CREATE | ALIAS, &object_ref_type, "other place of disks"),
};
const struct record_type template_import_type = RECORD_TYPE("action", NULL, struct import_action, template_fields, "Which template to import, and where to");
static const struct field template_register_fields[] = { OF_TEMPLATE };
const struct record_type template_register_type = RECORD_TYPE("action", NULL, struct import_action, template_register_fields, "Where to register a template");

/* ---- where to ---- */

static bool check_permit(struct request *request, const void *object, GError **error)
{
	if (request_permits(request, "import_export_vm", object))
		return true;
	error_set(error, ERR_FORBIDDEN, "'%s' has no permit 'import_export_vm' on %s '%s'", request->actor.user_name,
		  ((const struct record *)object)->type->name, object_name(object));
	return false;
}

static struct cluster *target_cluster(struct request *request, const struct import_action *how, const struct storage_domain *source, GError **error)
{
	struct cluster *cluster = model_get(request->engine->model, &cluster_kind, how->cluster.id);
	bool ok = false;

	if (!cluster)
		error_set(error, ERR_NOT_FOUND, "cluster: '%s'", how->cluster.id);
	else if (g_strcmp0(cluster->data_center.id, source->data_center.id))
		error_set(error, ERR_OPERATION_FAILED, "cluster '%s' is not in the data center of storage domain '%s'", cluster->name, source->name);
	else
		ok = check_permit(request, cluster, error);
	if (ok)
		return cluster;
	record_unref(cluster);
	return NULL;
}

/* The only active data domain of the data center; new reference. NULL: there is none, or (ret_many) more than one. */
static struct storage_domain *only_domain(struct model *model, const char *data_center_id, bool *ret_many)
{
	g_autoptr(GPtrArray) domains = model_referring(model, &storage_domain_kind, offsetof(struct storage_domain, data_center), data_center_id);
	const struct storage_domain *found = NULL;

	*ret_many = false;
	for (guint i = 0; i < domains->len; i++) {
		const struct storage_domain *domain = domains->pdata[i];

		if (domain->type != DOMAIN_DATA || domain->state != DOMAIN_ACTIVE)
			continue;
		*ret_many = found != NULL;
		found = domain;
	}
	return found && !*ret_many ? record_ref(found) : NULL;
}

static struct storage_domain *target_domain(struct request *request, const struct import_action *how, const struct storage_domain *source, GError **error)
{
	struct model *model = request->engine->model;
	bool many = false, ok = false;
	struct storage_domain *domain = how->storage_domain.id ? model_get(model, &storage_domain_kind, how->storage_domain.id) :
							 only_domain(model, source->data_center.id, &many);

	if (!domain && how->storage_domain.id)
		error_set(error, ERR_NOT_FOUND, "storage_domain: '%s'", how->storage_domain.id);
	else if (!domain && many)
		error_set(error, ERR_INCOMPLETE, "Action [storageDomain.id|name] required for import");
	else if (!domain)
		error_set(error, ERR_WRONG_STATE, "the data center of storage domain '%s' has no active data domain", source->name);
	else if (domain->type != DOMAIN_DATA)
		error_set(error, ERR_OPERATION_FAILED, "storage_domain: storage domain '%s' is of type %s, not data", domain->name,
			  storage_domain_flavor_names[domain->type]);
	else if (domain->state != DOMAIN_ACTIVE)
		error_set(error, ERR_WRONG_STATE, "storage domain '%s' is %s: an import needs an active one", domain->name, storage_domain_state_names[domain->state]);
	else if (g_strcmp0(domain->data_center.id, source->data_center.id))
		error_set(error, ERR_OPERATION_FAILED, "storage domain '%s' is not in the data center of storage domain '%s'", domain->name, source->name);
	else
		ok = check_permit(request, domain, error);
	if (ok)
		return domain;
	record_unref(domain);
	return NULL;
}

/* ---- what ---- */

static void plan_vm(struct model *model, const struct vm *defined, const struct import_action *how, const struct cluster *cluster, struct import *import)
{
	struct template *blank = model_get(model, &template_kind, BLANK_ID);
	struct vm *vm = import->vm = record_copy(defined);

	if (how->clone) {
		set_string(&vm->id, NULL);
		vm->id = g_uuid_string_random();
	}
	if (how->name)
		set_string(&vm->name, how->name);
	set_ref(&vm->cluster, cluster->id);
	set_ref(&vm->template, BLANK_ID);
	set_string(&vm->cpu_architecture, cluster->cpu_architecture);
	vm_inherit(vm, blank);
	record_unref(blank);
	features_mask(model, vm);
	SET(vm, creation_time, HAS(defined, creation_time) && !how->clone ? defined->creation_time : wall_msec());
	SET(vm, stop_time, wall_msec());
	SET(vm, next_run_configuration_exists, false);
}

static void plan_template(const struct template *defined, const struct import_action *how, const struct cluster *cluster, struct import *import)
{
	struct template *template = import->template = record_copy(defined);

	if (how->clone) {
		set_string(&template->id, NULL);
		template->id = g_uuid_string_random();
	}
	if (how->name)
		set_string(&template->name, how->name);
	set_ref(&template->cluster, cluster->id);
	set_string(&template->cpu_architecture, cluster->cpu_architecture);
	template_begin_versions(template);
	record_defaults(template, 0);
	if (!HAS(template, creation_time) || how->clone)
		SET(template, creation_time, wall_msec());
}

static bool is_chosen(const struct import_action *how, const char *id)
{
	for (guint i = 0; how->disks && i < how->disks->len; i++) {
		const struct object_ref *ref = how->disks->pdata[i];

		if (ref->id && !g_ascii_strcasecmp(ref->id, id))
			return true;
	}
	return !how->disks;
}

/* Each disk that was asked for is there. */
static bool check_choice(const struct import_action *how, const struct ovf *ovf, GError **error)
{
	for (guint i = 0; how->disks && i < how->disks->len; i++) {
		const char *id = object_id(how->disks->pdata[i]);
		bool there = false;

		for (guint j = 0; id && j < ovf->disks->len && !there; j++)
			there = !g_ascii_strcasecmp(id, object_id(ovf->disks->pdata[j]));
		if (!there) {
			error_set(error, ERR_NOT_FOUND, "disks: disk '%.128s' of %s '%s'", id ? id : "", ovf->vm ? "VM" : "template", object_name(ovf_object(ovf)));
			return false;
		}
	}
	return true;
}

static void plan_disks(const struct ovf *ovf, const struct import_action *how, struct import *import)
{
	for (guint i = 0; i < ovf->disks->len; i++) {
		const struct disk *source = ovf->disks->pdata[i];
		struct disk *disk;
		struct object_ref *ref;

		if (!is_chosen(how, source->id))
			continue;
		disk = record_copy(source);
		ref = list_add(&disk->storage_domains, &object_ref_type);
		set_string(&ref->id, import->target->id);
		if (how->clone) {
			set_string(&disk->id, NULL);
			set_string(&disk->image_id, NULL);
			disk->id = g_uuid_string_random();
			disk->image_id = g_uuid_string_random();
		}
		if (import->source != import->target)
			copies_fit(disk, import->target);
		if (!disk->name)
			disk->name = g_strdup_printf("%s_Disk%u", object_name(import_object(import)), i + 1);
		if (import->template)
			CLEAR(disk, active);
		g_ptr_array_add(import->sources, record_ref(source));
		g_ptr_array_add(import->disks, disk);
	}
}

static struct network *find_network(struct model *model, const char *data_center_id, const char *name)
{
	g_autoptr(GPtrArray) networks = model_referring(model, &network_kind, offsetof(struct network, data_center), data_center_id);

	for (guint i = 0; i < networks->len; i++)
		if (!g_ascii_strcasecmp(object_name(networks->pdata[i]), name))
			return record_ref(networks->pdata[i]);
	return NULL;
}

/* Names become ids; what is not there is left out. false: the network is lost. */
static bool connect_nic(struct model *model, const char *data_center_id, struct nic *nic)
{
	g_autofree char *profile_name = g_steal_pointer(&nic->vnic_profile.name);
	struct network *network = nic->network.name ? find_network(model, data_center_id, nic->network.name) : NULL;
	struct vnic_profile *profile = network && profile_name ? model_find(model, &vnic_profile_kind, network->id, profile_name) : NULL;
	bool lost = nic->network.name && !network;

	g_clear_pointer(&nic->network.name, g_free);
	set_ref(&nic->network, network ? network->id : NULL);
	set_ref(&nic->vnic_profile, profile ? profile->id : NULL);
	record_unref(profile);
	record_unref(network);
	return !lost;
}

/* Returns what is lost: "nic1: red, nic2: blue"; g_free; NULL: nothing */
static char *plan_nics(struct model *model, const struct ovf *ovf, const struct import_action *how, struct import *import)
{
	GString *lost = g_string_new(NULL);

	for (guint i = 0; i < ovf->nics->len; i++) {
		struct nic *nic = record_copy(ovf->nics->pdata[i]), *same = nic->id ? model_get(model, &nic_kind, nic->id) : NULL;
		g_autofree char *network = g_strdup(((const struct nic *)ovf->nics->pdata[i])->network.name);

		if (how->clone || same)
			set_string(&nic->id, NULL);
		if (how->clone || import->template)
			set_string(&nic->mac, NULL);
		if (!nic->id)
			nic->id = g_uuid_string_random();
		record_unref(same);
		if (!connect_nic(model, import->source->data_center.id, nic))
			g_string_append_printf(lost, "%s%s: %s", lost->len ? ", " : "", nic->name, network);
		g_ptr_array_add(import->nics, nic);
	}
	return g_string_free(lost, !lost->len);
}

/* Has another one of its kind its name? */
static bool check_name(struct model *model, const struct import *import, GError **error)
{
	const void *object = import_object(import);
	void *other = model_find(model, kind_of(object), NULL, object_name(object));
	bool taken = other && strcmp(object_id(other), object_id(object));

	if (taken)
		error_set(error, ERR_OPERATION_FAILED, "%s '%s': there is another %s of this name: give it one of its own (%s/name)", import->vm ? "VM" : "template",
			  object_name(object), import->vm ? "VM" : "template", kind_of(object)->type->name);
	record_unref(other);
	return !taken;
}

static bool check_space(const struct import *import, GError **error)
{
	int64_t bytes = 0;

	for (guint i = 0; i < import->disks->len; i++) {
		const struct disk *disk = import->disks->pdata[i];

		bytes += disk->sparse ? 0 : disk->size;
	}
	return domain_has_space(import->target, bytes, error);
}

/* ---- the actions ---- */

/* What the storage keeps under the object's id. NULL + error */
static struct definition *definition_of(struct request *request, const void *object, GError **error)
{
	const struct storage_domain *source = request->parent;
	struct definition *definition = definition_read(request->engine, source, object_id(object), error);
	bool is_template = request->resource->kind == &template_kind;

	if (!definition || (definition->ovf && (is_template ? definition->ovf->template != NULL : definition->ovf->vm != NULL)))
		return definition;
	error_set(error, ERR_OPERATION_FAILED, "%s '%s' on storage domain '%s' cannot be read: %s", is_template ? "template" : "VM", definition->id, source->name,
		  definition->problem ? definition->problem : is_template ? "it is a VM" : "it is a template");
	return definition_free(definition);
}

static bool check_source(const struct storage_domain *source, int type, const char *what, GError **error)
{
	if (source->type != type)
		error_set(error, ERR_OPERATION_FAILED, "%s: storage domain '%s' is of type %s, not %s", what, source->name,
			  storage_domain_flavor_names[source->type], storage_domain_flavor_names[type]);
	else if (source->state != DOMAIN_ACTIVE)
		error_set(error, ERR_WRONG_STATE, "storage domain '%s' is %s", source->name, storage_domain_state_names[source->state]);
	else
		return true;
	return false;
}

static bool all_there(struct request *request, const struct import *import, GError **error)
{
	g_autofree char *host = storage_host(request->engine, import->target, error);
	const struct storage_call call = { request->engine, host, request->actor.correlation_id, AGENT_PATIENCE_NONE };

	for (guint i = 0; host && i < import->disks->len; i++) {
		struct disk *disk = import->disks->pdata[i];
		const struct volume_place place = { .pool_id = import->target->data_center.id, .domain_id = import->target->id, .image_id = disk->id,
						    .volume_id = disk->image_id };
		int64_t capacity, used;

		if (!volume_sizes(&call, &place, &capacity, &used, error)) {
			error_wrap(error, "%s '%s': disk '%s'", import->vm ? "VM" : "template", object_name(import_object(import)), disk->name);
			return false;
		}
		SET(disk, size, capacity);
		SET(disk, actual_size, used);
	}
	return host != NULL;
}

static bool run(struct request *request, const struct import *import, GError **error)
{
	json_t *data;

	if (import->source == import->target)
		return all_there(request, import, error) && import_register(request->engine, import, &request->actor, error);
	data = !import->target || check_space(import, error) ? import_data(request->engine, import, error) : NULL;
	return data && flow_run(request->engine, import->vm ? &import_vm_flow : &import_template_flow, object_id(import_object(import)), &request->actor, data, NULL, error);
}

/* Of a VM of a later level: its disks would be on a controller that hosts here need not know. */
static bool check_level(struct model *model, const struct import *import, GError **error)
{
	for (guint i = 0; i < import->disks->len; i++) {
		const struct disk *disk = import->disks->pdata[i];

		if (HAS(disk, interface) && disk->interface == DISK_VIRTIO_SCSI && !feature_check(model, import_object(import), "VirtIO-SCSI", error)) {
			error_wrap(error, "disk '%s'", disk->name);
			return false;
		}
	}
	return true;
}

static bool plan_and_run(struct request *request, const struct import_action *how, const struct cluster *cluster, const struct storage_domain *target,
			 const struct ovf *ovf, GError **error)
{
	struct model *model = request->engine->model;
	struct import import = { .disks = list_new(), .sources = list_new(), .nics = list_new(), .source = request->parent, .target = target };
	g_autofree char *lost = NULL;
	bool ok;

	if (ovf->vm)
		plan_vm(model, ovf->vm, how, cluster, &import);
	else
		plan_template(ovf->template, how, cluster, &import);
	plan_disks(ovf, how, &import);
	import.lost = lost = plan_nics(model, ovf, how, &import);
	ok = check_choice(how, ovf, error) && check_name(model, &import, error) && check_level(model, &import, error) && run(request, &import, error);
	record_unref(import.vm);
	record_unref(import.template);
	g_ptr_array_unref(import.disks);
	g_ptr_array_unref(import.sources);
	g_ptr_array_unref(import.nics);
	return ok;
}

bool vm_import(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct storage_domain *source = request->parent;
	const struct import_action *how = params;
	struct cluster *cluster = check_source(source, DOMAIN_EXPORT, "import", error) ? target_cluster(request, how, source, error) : NULL;
	autodefinition definition = cluster ? definition_of(request, object, error) : NULL;
	/* a template may have no disks, and then needs no domain */
	bool needs_domain = definition && (definition->ovf->vm || definition->ovf->disks->len || how->storage_domain.id);
	struct storage_domain *target = needs_domain ? target_domain(request, how, source, error) : NULL;
	bool ok = definition && (target || !needs_domain) && plan_and_run(request, how, cluster, target, definition->ovf, error);

	record_unref(target);
	record_unref(cluster);
	return ok;
}

bool vm_register(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct storage_domain *source = request->parent;
	const struct import_action *how = params;
	struct cluster *cluster = check_source(source, DOMAIN_DATA, "register", error) ? target_cluster(request, how, source, error) : NULL;
	autodefinition definition = cluster ? definition_of(request, object, error) : NULL;
	bool ok = definition && plan_and_run(request, how, cluster, source, definition->ovf, error);

	record_unref(cluster);
	return ok;
}
