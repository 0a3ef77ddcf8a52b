/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of an image service (REST 12.7): listed as the service has them now, imported as disks; and disks exported to it.
 *
 * An import stores the new disk, locked, with the announcement of its flow (res_disk.c says why); what the flow does is in image_flow.c.
 */
#include "engine/api/res_image.h"

#include <string.h>

#include "common/error.h"
#include "common/loop.h"
#include "engine/api/action.h"
#include "engine/api/res_data.h"
#include "engine/api/res_disk.h"
#include "engine/api/res_storage_domain.h"
#include "engine/flow/domain_sizes.h"
#include "engine/flow/image_flow.h"
#include "engine/flow/rivals.h"
#include "engine/glance/glance.h"
#include "engine/model/cluster.h"
#include "engine/model/kinds.h"
#include "engine/model/misc.h"
#include "engine/model/template.h"
#include "engine/store/store.h"

/* ---- images ---- */

static struct glance *open_service(struct request *request, GError **error)
{
	const struct storage_domain *domain = request->parent;

	return glance_open(request->engine, domain->provider.id, /* flow= */ false, error);
}

static GPtrArray *list(struct request *request, GError **error)
{
	const struct storage_domain *domain = request->parent;
	autoglance glance = NULL;
	GPtrArray *images;

	if (domain->type != DOMAIN_IMAGE)
		return list_new();
	glance = open_service(request, error);
	images = glance ? glance_images(glance, error) : NULL;
	for (guint i = 0; images && i < images->len; i++)
		set_ref(&((struct image *)images->pdata[i])->storage_domain, domain->id);
	return images;
}

static void *get(struct request *request, const char *id, GError **error)
{
	const struct storage_domain *domain = request->parent;
	autoglance glance = NULL;
	struct image *image;

	if (domain->type != DOMAIN_IMAGE) {
		error_set(error, ERR_NOT_FOUND, "image '%.128s' on storage domain '%s'", id, domain->name);
		return NULL;
	}
	glance = open_service(request, error);
	image = glance ? glance_image(glance, id, error) : NULL;
	if (image)
		set_ref(&image->storage_domain, domain->id);
	return image;
}

/* ---- import ---- */

struct import_action { ACTION_MEMBERS struct ref storage_domain, cluster; char *name; bool import_as_template; };
#define A struct import_action
static const struct field import_fields[] = {
	ACTION_FIELDS(A),
	FIELD_REF_(A, storage_domain, "storage_domain", CREATE | REQUIRED, "storagedomains", "data domain that takes the disk"),
	FIELD_REF_(A, cluster, "cluster", CREATE, "clusters", "cluster of the domain's data center, which a template needs; a disk is in none"),
	FIELD_STRING_(A, name, "name", CREATE, "name of the disk or template; absent: GlanceDisk- or GlanceTemplate- and the beginning of the image's id", .min = 1, .max = 255),
	FIELD_STRING_(A, name, "disk/name", CREATE | ALIAS, "other place of name", .min = 1, .max = 255),
	FIELD_STRING_(A, name, "disk/alias", CREATE | ALIAS, "other place of name", .min = 1, .max = 255),
	FIELD_STRING_(A, name, "template/name", CREATE | ALIAS, "other place of name", .min = 1, .max = 255),
	FIELD_BOOL_(A, import_as_template, "import_as_template", CREATE, "make it a template with this disk, instead of a disk alone"),
};
static const struct record_type import_type = RECORD_TYPE("action", NULL, A, import_fields, "Where to import an image");

static bool check_cluster(struct request *request, const struct import_action *how, const struct storage_domain *target, GError **error)
{
	struct cluster *cluster = how->cluster.id ? model_get(request->engine->model, &cluster_kind, how->cluster.id) : NULL;
	bool fits = !how->cluster.id || (cluster && !g_strcmp0(cluster->data_center.id, target->data_center.id));
	bool may = !how->import_as_template || request_permits(request, "create_template", cluster);

	if (fits && !may)
		error_set(error, ERR_FORBIDDEN, "'%s' has no permit 'create_template' on cluster '%s'", request->actor.user_name, cluster->name);
	else if (!fits)
		error_set(error, ERR_OPERATION_FAILED, "cluster '%s' is not in the data center of storage domain '%s'", cluster ? cluster->name : how->cluster.id,
			  target->name);
	record_unref(cluster);
	return fits && may;
}

static bool check_target(struct request *request, const struct import_action *how, const struct storage_domain *target, GError **error)
{
	if (how->import_as_template && !how->cluster.id)
		error_set(error, ERR_INCOMPLETE, "Action [cluster.id|name] required for import");
	else if (target->type != DOMAIN_DATA)
		error_set(error, ERR_OPERATION_FAILED, "storage_domain: storage domain '%s' is of type %s, not data", target->name,
			  storage_domain_flavor_names[target->type]);
	else if (target->state != DOMAIN_ACTIVE)
		error_set(error, ERR_WRONG_STATE, "storage domain '%s' is %s: an import needs an active one", target->name, storage_domain_state_names[target->state]);
	else if (!request_permits(request, "create_disk", target))
		error_set(error, ERR_FORBIDDEN, "'%s' has no permit 'create_disk' on storage domain '%s'", request->actor.user_name, target->name);
	else
		return check_cluster(request, how, target, error);
	return false;
}

static bool check_image(const struct image *image, GError **error)
{
	if (image->type != IMAGE_DISK)
		error_set(error, ERR_OPERATION_FAILED, "image '%s' is of disk_format %s in container_format %s: only raw and qcow2 in bare can be imported as a disk",
			  image->name, image->format ? image->format : "(none)", image->container ? image->container : "(none)");
	else if (!HAS(image, size) || image->size <= 0)
		error_set(error, ERR_OPERATION_FAILED, "image '%s' has no data", image->name);
	else
		return true;
	return false;
}

static struct disk *plan_disk(struct request *request, const struct import_action *how, const struct image *image, int64_t size,
			      const struct storage_domain *target)
{
	struct disk *disk = record_new(&disk_type);
	bool cow = !strcmp(image->format, "qcow2");
	struct object_ref *ref = list_add(&disk->storage_domains, &object_ref_type);

	set_string(&ref->id, target->id);
	disk->name = how->name && !how->import_as_template ? g_strdup(how->name) : g_strdup_printf("GlanceDisk-%.7s", image->id);
	disk->description = g_strdup_printf("%s (%.7s)", image->name, image->id);
	SET(disk, size, size);
	SET(disk, format, cow ? DISK_COW : DISK_RAW);
	/* on LUNs only qcow2 grows as it is written */
	SET(disk, sparse, cow || !storage_type_is_block(target->storage_type));
	disk_fill(request->engine->model, NULL, target->wipe_after_delete, disk);
	return disk;
}

/* The template that the disk becomes the system disk of: as Blank, but for its name and cluster. */
static struct template *plan_template(struct request *request, const struct import_action *how, const struct image *image, struct disk *disk)
{
	struct template *blank = model_get(request->engine->model, &template_kind, BLANK_ID), *template = record_copy(blank);

	record_unref(blank);
	set_string(&template->id, NULL);
	set_string(&template->name, NULL);
	template->id = g_uuid_string_random();
	template->name = how->name ? g_strdup(how->name) : g_strdup_printf("GlanceTemplate-%.7s", image->id);
	set_string(&template->description, disk->description);
	set_ref(&template->cluster, how->cluster.id);
	SET(template, state, TEMPLATE_LOCKED);
	SET(template, creation_time, wall_msec());
	template_begin_versions(template);
	set_ref(&disk->template, template->id);
	SET(disk, bootable, true);
	return template;
}

/* The disk, locked, its template, if it is one's, and the announcement of its flow; then the flow. */
static bool run_import(struct request *request, struct disk *disk, struct template *template, const struct image *image, struct storage_domain *target,
		       GError **error)
{
	json_t *data = image_import_data(request->engine, disk, request->parent, image, target, error);
	struct change *change;

	if (!data)
		return false;
	change = change_new(request->engine->store);
	if (template) {
		request_add(request, change, template);
		change_add(change, disk);
	} else {
		request_add(request, change, disk);
	}
	change_check(change, disk_domain_is_active, disk);
	flow_announce(change, &import_image_flow, disk->id, &request->actor, data);
	image_import_begun(change, &request->actor, disk, image, target);
	if (!change_commit(change, error)) {
		json_decref(data);
		return false;
	}
	return flow_run(request->engine, &import_image_flow, disk->id, &request->actor, data, NULL, error);
}

/* What a disk of the image has. */
static bool disk_size_of(struct request *request, const struct image *image, int64_t *ret_size, GError **error)
{
	autoglance glance = check_image(image, error) ? open_service(request, error) : NULL;

	return glance && glance_virtual_size(glance, image, ret_size, error);
}

static bool import(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct import_action *how = params;
	const struct image *image = object;
	struct storage_domain *target = model_get(request->engine->model, &storage_domain_kind, how->storage_domain.id);
	struct template *template;
	struct disk *disk;
	int64_t size;
	bool ok = false;

	if (!target)
		error_set(error, ERR_NOT_FOUND, "storage_domain: '%s'", how->storage_domain.id);
	else
		ok = check_target(request, how, target, error) && disk_size_of(request, image, &size, error);
	if (ok) {
		disk = plan_disk(request, how, image, size, target);
		template = how->import_as_template ? plan_template(request, how, image, disk) : NULL;
		ok = domain_has_space(target, disk->sparse ? image->size : disk->size, error) && run_import(request, disk, template, image, target, error);
		record_unref(template);
		record_unref(disk);
	}
	record_unref(target);
	return ok;
}

static const struct action image_actions[] = {
	{ "import", &import_type, import, "create_disk", "Copies the image into a data domain, as a disk or as a template" },
	{ 0 },
};

const struct resource resource_storage_domain_image = {
	.kind = &image_kind, .path = "images", .parent = &resource_storage_domain, .methods = RESOURCE_READ, .links = no_links, .actions = image_actions,
	.slow = true, .doc = "Images of the image service that the storage domain stands for, as it has them now", .list = list, .get = get,
};

/* ---- export ---- */

struct export_action { ACTION_MEMBERS struct ref storage_domain; };
static const struct field export_fields[] = {
	ACTION_FIELDS(struct export_action),
	FIELD_REF_(struct export_action, storage_domain, "storage_domain", CREATE | REQUIRED, "storagedomains", "domain of an image service that takes it"),
};
const struct record_type disk_export_type = RECORD_TYPE("action", NULL, struct export_action, export_fields, "Where to export a disk");

static bool check_export(struct request *request, const struct disk *disk, const struct storage_domain *target, GError **error)
{
	if (target->type != DOMAIN_IMAGE)
		error_set(error, ERR_OPERATION_FAILED, "storage_domain: storage domain '%s' is of type %s, not image", target->name,
			  storage_domain_flavor_names[target->type]);
	else if (!request_permits(request, "create_disk", target))
		error_set(error, ERR_FORBIDDEN, "'%s' has no permit 'create_disk' on storage domain '%s'", request->actor.user_name, target->name);
	else if (disk->state != DISK_OK)
		error_set(error, ERR_WRONG_STATE, "disk '%s' is %s", disk_label(disk), disk_state_names[disk->state]);
	else if (!disk->image_id || !disk_domain(disk))
		error_set(error, ERR_OPERATION_FAILED, "disk '%s' has no volume that could be exported", disk_label(disk));
	else
		return true;
	return false;
}

bool disk_export(struct request *request, const void *object, const void *params, void **ret_result, GError **error)
{
	const struct disk *disk = object;
	const struct export_action *how = params;
	struct storage_domain *target = model_get(request->engine->model, &storage_domain_kind, how->storage_domain.id);
	json_t *data = NULL;

	if (!target)
		error_set(error, ERR_NOT_FOUND, "storage_domain: '%s'", how->storage_domain.id);
	else if (check_export(request, disk, target, error))
		data = image_export_data(request->engine, disk, target, error);
	record_unref(target);
	return data && flow_run(request->engine, &export_image_flow, disk->id, &request->actor, data, NULL, error);
}
